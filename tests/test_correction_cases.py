"""Every frequency 5, 7, 8 × original × form, as worked by hand in fixtures/corrections/cases.yaml:
all of them together in three nights, each row with a member of its own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from edi.balance import check_835, check_forwards
from tests.case_tools import cents, dollars, load_store
from tests.correction_cases import (
    ABSENT,
    FIRST,
    FOLDER,
    FORMATS,
    LAST,
    SECOND,
    Bill,
    Case,
    CaseNights,
    Told,
    bill,
    cases,
    members,
    payments,
    told,
)
from tests.pyx12_check import pyx12_errors

CASES = cases()
PAYEES = {"P06": "837P", "P04": "837I", "P21": "UB-04", "P03": "CMS-1500"}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> CaseNights:
    """What is corrected; what replaces or voids some of it; the corrections."""
    nights = CaseNights(tmp_path_factory.mktemp("cases"))
    load_store(nights.folder / "a.db", FOLDER / "reference")
    people = members()

    def of(form: str, originals: set[str], name: str, frequency: str) -> tuple[str, list[Bill]]:
        chosen = [c for c in CASES if c.form == form and c.original in originals]
        original = None if frequency == "1" else "A"
        bills = [
            bill(c, name, frequency, original and nights.number(c.number(original)), people)
            for c in chosen
        ]
        return form, bills

    before = {"paid", "denied", "pended", "replaced", "voided"}
    nights.of_files([of(form, before, "A", "1") for form in FORMATS], FIRST)
    for case in CASES:
        if case.original in before:
            fate = case.original if case.original in ("denied", "pended") else "paid"
            assert nights.fate(case.number("A")) == fate, case
    nights.of_files(
        [of(form, {"replaced"}, "R", "7") for form in FORMATS]
        + [of(form, {"voided"}, "W", "8") for form in FORMATS],
        SECOND,
    )
    tonight = [of(form, {"tonight"}, "A", "1") for form in FORMATS]
    [(last,)] = nights.rows("SELECT max(claim_number) FROM claim")
    come = [each.number for _, bills in tonight for each in bills]
    given = {number: f"{int(last) + place:012}" for place, number in enumerate(come, 1)}

    def number_of(case: Case) -> str:
        if case.original == "absent":
            return ABSENT
        named = case.number(case.told.get("names", "A"))
        return given.get(named) or nights.number(named)

    corrections = [
        (form, [bill(c, "B", c.frequency, number_of(c), people) for c in CASES if c.form == form])
        for form in FORMATS
    ]
    nights.of_files(tonight + corrections, LAST)
    assert [nights.number(number) for number in come] == list(given.values())
    return nights


@pytest.fixture(scope="module")
def documents(nights: CaseNights) -> dict[str, list[bytes]]:
    """By form its payee's 835s, a night each."""
    found: dict[str, list[bytes]] = {form: [] for form in FORMATS}
    forms = dict(nights.rows("SELECT 'carepartners-' || trace_number, payee_id FROM payment"))
    for path in nights.documents():
        found[PAYEES[forms[path.stem]]].append(path.read_bytes())
    return found


@pytest.fixture(scope="module")
def last(documents: dict[str, list[bytes]]) -> dict[str, list[Told]]:
    """By member what the last night's 835s tell of his claims, in order."""
    found: dict[str, list[Told]] = {case.member: [] for case in CASES}
    for of_form in documents.values():
        for claim in told(of_form[-1]):
            found[claim.name[:-1]].append(claim)
    return found


def test_every_combination_is_there() -> None:
    originals = ("paid", "denied", "pended", "replaced", "voided", "absent", "tonight")
    wanted = [(form, frequency, original) for form in FORMATS for frequency in "785"
              for original in originals]  # fmt: skip
    assert [(c.form, c.frequency, c.original) for c in CASES] == wanted
    assert len({c.member for c in CASES}) == len(CASES) == 84


@pytest.mark.parametrize("case", CASES, ids=[f"{c.form}-{c.frequency}-{c.original}" for c in CASES])
def test_a_correction_comes_to_what_was_worked_by_hand(
    case: Case, nights: CaseNights, last: dict[str, list[Told]]
) -> None:
    row = case.told
    mine = nights.rows(
        "SELECT substr(c.patient_control_number, 5), c.disposition, "
        "substr(p.patient_control_number, 5), c.claim_number FROM claim c "
        "LEFT JOIN claim p ON p.claim_id = c.predecessor_claim_id "
        f"WHERE c.patient_control_number LIKE '{case.member}_' ORDER BY 1"
    )
    assert {name: fate for name, fate, _, _ in mine} == row["fates"]
    assert {name: of for name, _, of, _ in mine}["B"] == row.get("corrects")
    shown = last[case.member]
    # the rows write A for KP01A
    assert [str(c).removeprefix(case.member) for c in shown] == row.get("remittance", [])
    numbers = {name: number for name, _, _, number in mine}
    frequencies = {"A": "1", "R": "7", "W": "8", "B": case.frequency}
    for claim in shown:
        name = claim.name[-1]
        assert (claim.number, claim.frequency) == (numbers[name], frequencies[name])
    assert dollars(sum(c.paid for c in shown)) == row["net"]
    ledger = nights.ledger()
    stands = {name: dollars(ledger[case.number(name)]) for name in "ARWB"
              if case.number(name) in ledger}  # fmt: skip
    assert stands == row.get("stands", {})
    counted = nights.counters().get(f"accumulator_entry out_of_pocket_amount {case.member}", 0)
    assert dollars(counted) == row.get("owed", "0.00")


@pytest.mark.parametrize("form", FORMATS)
def test_each_payment_is_what_its_claims_and_balances_come_to(
    form: str, documents: dict[str, list[bytes]]
) -> None:
    """By hand in the file's head; the last night's claims are the sum of the rows' nets."""
    by_hand = payments()[form]
    assert by_hand[-1][0] == sum(cents(c.told["net"]) for c in CASES if c.form == form)
    assert check_forwards(documents[form]) == []
    owed, before = 0, ""
    for document, (claims, brought, carried, paid) in zip(documents[form], by_hand, strict=True):
        assert claims - brought + carried == paid
        assert brought == owed
        segments = [s.split("*") for s in document.decode("ascii").split("~")]
        [bpr], [trn] = ([s for s in segments if s[0] == tag] for tag in ("BPR", "TRN"))
        assert (dollars(paid), bpr[4]) == (f"{float(bpr[2]):.2f}", "CHK" if paid else "NON")
        assert sum(c.paid for c in told(document)) == claims
        plb = [s[3:] for s in segments if s[0] == "PLB"]
        expected = [f"FB:{before}", _plain(brought)] * bool(brought)
        expected += [f"FB:{trn[2]}", _plain(-carried)] * bool(carried)
        assert plb == ([expected] if expected else [])
        owed, before = carried, trn[2]


def _plain(amount: int) -> str:
    return dollars(amount).rstrip("0").rstrip(".")


def test_every_835_is_sound(nights: CaseNights) -> None:
    paths = nights.documents()
    assert len(paths) == 3 * len(FORMATS)
    for path in paths:
        assert check_835(path.read_bytes()) == [], path.name
        assert pyx12_errors(path.read_bytes()) == [], path.name


def test_a_reversal_is_the_original_negated(documents: dict[str, list[bytes]]) -> None:
    """Amounts, groups, codes, level, units and remarks as the earlier 835 told them."""
    count = 0
    for of_form in documents.values():
        original: dict[str, Told] = {}
        for document in of_form:
            for claim in told(document):
                if claim.status != "22":
                    original[claim.number] = claim
                    continue
                first = original.pop(claim.number)
                count += 1
                assert (claim.name, claim.frequency) == (first.name, first.frequency)
                assert (claim.charge, claim.paid) == (-first.charge, -first.paid)
                for line, of_first in zip(claim.lines, first.lines, strict=True):
                    assert (line.service, line.units) == (of_first.service, of_first.units)
                    assert (line.charge, line.paid) == (-of_first.charge, -of_first.paid)
                    negated = [(code, -amount) for code, amount in of_first.adjustments]
                    assert line.adjustments == negated
                    assert line.remarks == of_first.remarks
    # a form: replaced and voided on the second night 3 + 3; on the last 7 and 8 of paid, denied
    # and replaced
    assert count == len(FORMATS) * (6 + 6)


def test_the_summary_counts_them(nights: CaseNights) -> None:
    """On the last night: 84 corrections and 12 originals come in; what waits is brought forward:
    the pended of 7, 8 and 5."""
    counted = Counter(fate for c in CASES for fate in [c.told["fates"]["B"]])
    summary = nights.told()
    assert summary["received"]["count"] == 84 + 12
    assert summary["brought_forward"]["count"] == 3 * len(FORMATS)
    # the corrections, and of A the "tonight" of 5 paid
    assert summary["paid"]["count"] == counted["paid"] + len(FORMATS)
    assert summary["denied"]["count"] == counted["denied"]
    # the voids; the originals that 7 and 8 found waiting or come the same night
    assert summary["voided"]["count"] == counted["voided"] + 4 * len(FORMATS)
    assert summary["reversed"]["count"] == 6 * len(FORMATS)


def test_the_members_are_not_told(nights: CaseNights) -> None:
    """No name stands in what a night writes for us."""
    folder = Path(nights.folder / "out")
    text = "".join(p.read_text() for name in ("summary.json", "claims.csv", "review.csv")
                   for p in folder.glob(f"run-*/{name}")).upper()  # fmt: skip
    assert not [m.last for m in members().values() if m.last in text]
