"""Corrections that no row of fixtures/corrections has: which claim is meant where several could be,
deadlines, stays that are paid whole, chains, and the copay of what is added to a visit."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from adjudicator import store
from adjudicator.edits.correction import correction
from adjudicator.explain import as_text, explain
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from edi.balance import check_835, check_forwards
from schemas import frames
from tests.case_tools import load_store
from tests.correction_cases import (
    ADMISSION,
    DAY,
    FIRST,
    FOLDER,
    LAST,
    SECOND,
    Bill,
    CaseNights,
    lines,
    members,
    named,
    told,
)
from tests.pyx12_check import pyx12_errors

PROGRAMS = Path(frames.__file__).parent / "programs"
PEOPLE = members()
# 837P: 99213 91.50 - 10.00 = 81.50; 99212 41.30 - 10.00 = 31.30; 71046 44.00 - 15.00 = 29.00
VISIT, SMALLER, IMAGE = "99213 150.00", "99212 95.00", "71046 90.00"
# 837I, by days: 3 x 1850.00 - 250.00 = 5300.00 and 640.00
STAY = "0120 7200.00 x3, 0250 900.00"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = tmp_path_factory.mktemp("scenarios") / "loaded.db"
    load_store(database, FOLDER / "reference")
    return database


def started(loaded: Path, folder: Path) -> CaseNights:
    shutil.copy(loaded, folder / "a.db")
    return CaseNights(folder)


def sent(
    number: str, text: str, frequency: str = "1", original: str | None = None, *,
    member: str | None = None, day: date = DAY,
) -> Bill:  # fmt: skip
    """A claim of member KP01 is numbered KP01A; ``original`` as it is written."""
    return Bill(number, lines(text), PEOPLE[member or number[:4]], day, frequency, original, None)


def sound(nights: CaseNights) -> None:
    documents = [path.read_bytes() for path in nights.documents()]
    assert documents
    for document in documents:
        assert check_835(document) == []
        assert pyx12_errors(document) == []
    assert check_forwards(documents) == []


def corrects(nights: CaseNights) -> dict[str, str | None]:
    """By correction the claim that it corrects."""
    return dict(
        nights.rows(
            "SELECT c.patient_control_number, p.patient_control_number FROM claim c "
            "LEFT JOIN claim p ON p.claim_id = c.predecessor_claim_id"
        )
    )


# ---- which claim is meant ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def ambiguous(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaseNights]:
    """Claims 000000000001 to 6, a hundred million claims, and 000100000001 to 6."""
    nights = started(loaded, tmp_path_factory.mktemp("ambiguous"))
    other_day = date(2025, 11, 5)
    nights.of_files(
        [("837P", [sent(f"KP0{n}A", VISIT) for n in (1, 3, 4, 5, 8, 9)]
          + [sent(f"KP{n}A", VISIT) for n in (11, 12, 13, 14)]
          + [sent("KP13C", IMAGE)])],
        FIRST,
    )  # fmt: skip
    with store.open_store(nights.url).begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sequence SET next_value = 100000001 WHERE name = 'claim'"
        )
    nights.of_files(
        [
            ("837P", [sent("KP02D", VISIT), sent("KP03D", VISIT, day=other_day),
                      sent("KP04D", SMALLER), sent("KP06D", VISIT), sent("KP10D", VISIT)]),
            ("CMS-1500", [sent("KC01D", VISIT)]),
        ],
        SECOND,
    )  # fmt: skip
    assert nights.number("KP01A") == "000000000001"
    assert nights.number("KC01D") == "000100000006"
    nights.of_files(
        [
            ("837P", [
                sent("KP02B", SMALLER, "7", "00000001"),
                sent("KP03B", SMALLER, "7", "00000002", day=other_day),
                sent("KP04B", IMAGE, "7", "00000003"),
                sent("KP05B", SMALLER, "7", "00000004", member="KP07"),
                sent("KP10B", SMALLER, "7", "000000000005"),
                sent("KP09B", SMALLER, "7", "00000006", member="KC01"),
                sent("KP11L", IMAGE, "5"),
                sent("KP13L", SMALLER, "5"),
                sent("KP14L", IMAGE, "5", day=other_day),
            ]),
            ("CMS-1500", [sent("KC01B", VISIT, "7", "00000006", member="KP09"),
                          sent("KP12L", "93000 30.00", "5")]),
        ],
        LAST,
    )  # fmt: skip
    yield nights


def test_the_member_chooses_among_claims_of_the_same_eight_digits(ambiguous: CaseNights) -> None:
    assert corrects(ambiguous)["KP02B"] == "KP02D"
    assert [ambiguous.fate(n) for n in ("KP01A", "KP02D", "KP02B")] == ["paid", "voided", "paid"]


def test_then_the_days_choose(ambiguous: CaseNights) -> None:
    assert corrects(ambiguous)["KP03B"] == "KP03D"
    assert [ambiguous.fate(n) for n in ("KP03A", "KP03D", "KP03B")] == ["paid", "voided", "paid"]


def test_a_person_chooses_where_these_leave_several(ambiguous: CaseNights) -> None:
    """KP04's two are of one day; nobody has claimed for KP07; KP13 has two claims of that day."""
    pends = dict(
        ambiguous.rows(
            "SELECT patient_control_number, pend_codes FROM claim WHERE disposition = 'pended'"
        )
    )
    assert pends == dict.fromkeys(("KP04B", "KP05B", "KP13L"), "ORIGINAL")
    standing = ("KP04A", "KP04D", "KP05A", "KP06D", "KP13A", "KP13C")
    assert {ambiguous.fate(n) for n in standing} == {"paid"}


def test_all_twelve_digits_leave_none_but_that_claim(ambiguous: CaseNights) -> None:
    """KP10B names KP08's claim, not that of its own member which ends in the same digits."""
    assert corrects(ambiguous)["KP10B"] == "KP08A"
    assert [ambiguous.fate(n) for n in ("KP08A", "KP10D", "KP10B")] == ["voided", "paid", "paid"]


def test_a_claim_of_another_payee_is_never_meant(ambiguous: CaseNights) -> None:
    """00000006 is of both payees; each means its own, even under the other's member. Nobody's late
    charges are added to another's claim."""
    found = corrects(ambiguous)
    assert (found["KP09B"], found["KC01B"]) == ("KP09A", "KC01D")
    assert found["KP12L"] is None
    assert ambiguous.fate("KP12L") == "denied"
    assert ambiguous.fate("KP12A") == "paid"


def test_late_charges_without_a_number_are_found_by_member_payee_and_days(
    ambiguous: CaseNights,
) -> None:
    assert corrects(ambiguous)["KP11L"] == "KP11A"
    assert (ambiguous.fate("KP11L"), ambiguous.fate("KP14L")) == ("paid", "denied")
    denied = ambiguous.rows(
        "SELECT c.patient_control_number, f.carc, f.rarc FROM finding f JOIN claim c "
        "ON c.claim_id = f.claim_id WHERE f.edit = 'correction' AND f.disposition = 'deny' "
        "ORDER BY 1"
    )
    assert denied == [("KP12L", "16", "M47"), ("KP14L", "16", "M47")]


def test_the_ambiguous_add_up(ambiguous: CaseNights) -> None:
    """The first night pays 837P 10 x 81.50 + 29.00 = 844.00; the second 4 x 81.50 + 31.30 = 357.30
    and CMS-1500 81.50; the last takes back 81.50 four times (KP02D, KP03D, KP08A, KP09A) and pays
    31.30 four times and 29.00 for KP11L: 4 x (31.30 - 81.50) + 29.00 = -171.80; CMS-1500
    -81.50 + 81.50 = 0.00."""
    paid = ambiguous.rows("SELECT payment_amount FROM payment ORDER BY payment_id")
    assert [amount for (amount,) in paid] == [84_400, 8_150, 35_730, 0, 0]
    carried = ambiguous.rows("SELECT adjustment_amount FROM provider_adjustment")
    assert carried == [(-17_180,)]


def test_a_correction_before_its_original_finds_nothing(loaded: Path, tmp_path: Path) -> None:
    """Of one night's files the correction's comes first."""
    nights = started(loaded, tmp_path)
    nights.of_files(
        [("837P", [sent("KP01B", SMALLER, "7", "00000002")]), ("837P", [sent("KP01A", VISIT)])],
        FIRST,
    )
    assert nights.number("KP01A") == "000000000002"
    assert nights.fates() == {"KP01B": "denied", "KP01A": "paid"}
    assert nights.ledger() == {"KP01A": 8150}
    sound(nights)


# ---- chains ----------------------------------------------------------------------------------


def test_replaced_three_times_then_voided(loaded: Path, tmp_path: Path) -> None:
    """81.50, then 31.30, 29.00, 81.50, then nothing; named are A, B, A again, and at last B.

    night  claims                    brought  carried  paid
    A      81.50                                       81.50
    B      31.30 - 81.50 = -50.20             50.20     0.00
    C      29.00 - 31.30 =  -2.30    50.20    52.50     0.00
    D      81.50 - 29.00 =  52.50    52.50               0.00
    V     -81.50                              81.50     0.00
    """
    nights = started(loaded, tmp_path)
    steps = [("A", VISIT, "1", None), ("B", SMALLER, "7", "A"), ("C", IMAGE, "7", "B"),
             ("D", VISIT, "7", "A"), ("V", VISIT, "8", "B")]  # fmt: skip
    shown = []
    for place, (name, text, frequency, of) in enumerate(steps):
        number = named("837P", nights.number(f"KP01{of}")) if of else None
        nights.of_files(
            [("837P", [sent(f"KP01{name}", text, frequency, number)])], date(2025, 11, 15 + place)
        )
        shown.append(
            [(c.name[4:], c.status, c.paid) for c in told(nights.documents()[-1].read_bytes())]
        )
        assert nights.ledger() == ({f"KP01{name}": shown[-1][-1][2]} if name != "V" else {})
        if name == "B":
            with nights.reading() as connection:
                story = as_text(explain(connection, nights.number("KP01B")))
            assert " ".join(story.split("PAYMENT\n")[1].split()).startswith(
                "31.30 in payment 000000002 of 2025-11-16, which comes to 0.00 with what it takes "
                "back (no money moves) to payee "
            )
        owed = {"A": 1000, "B": 1000, "C": 1500, "D": 1000, "V": 0}[name]
        assert sum(nights.counters().values()) == owed
    assert shown == [
        [("A", "1", 8150)],
        [("A", "22", -8150), ("B", "1", 3130)],
        [("B", "22", -3130), ("C", "1", 2900)],
        [("C", "22", -2900), ("D", "1", 8150)],
        [("D", "22", -8150)],
    ]
    assert nights.rows("SELECT patient_control_number, version_number, disposition FROM claim") == [
        ("KP01A", 1, "voided"), ("KP01B", 2, "voided"), ("KP01C", 3, "voided"),
        ("KP01D", 4, "voided"), ("KP01V", 5, "voided"),
    ]  # fmt: skip
    paid = nights.rows("SELECT payment_amount FROM payment ORDER BY payment_id")
    assert [amount for (amount,) in paid] == [8150, 0, 0, 0, 0]
    balances = nights.rows("SELECT adjustment_amount FROM provider_adjustment ORDER BY 1")
    assert balances == [(-8150,), (-5250,), (-5020,), (5020,), (5250,)]
    sound(nights)


# ---- deadlines -------------------------------------------------------------------------------

DAY_60, DAY_61 = date(2026, 1, 3), date(2026, 1, 4)  # 26 of November, 31 of December, 3 and 4
OTHER_TERMS = {
    "replacement_keeps_received_date": "false", "late_charges_keep_received_date": "true",
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("terms", "fates", "ledger"),
    [
        # a replacement as its first version, late charges by their own day
        ({}, {"KP03B": "paid", "KP04B": "denied"},
         {"KP01B": 3130, "KP02A": 8150, "KP02B": 2900, "KP03B": 3130, "KP04A": 8150}),
        # the other way round: KP03's first version goes all the same
        (OTHER_TERMS, {"KP03B": "denied", "KP04B": "paid"},
         {"KP01B": 3130, "KP02A": 8150, "KP02B": 2900, "KP04A": 8150, "KP04B": 2900}),
    ],
    ids=["shipped", "other"],
)  # fmt: skip
def test_the_day_after_the_last_one_is_late_for_whom_the_terms_say(
    terms: dict[str, str],
    fates: dict[str, str],
    ledger: dict[str, int],
    loaded: Path,
    tmp_path: Path,
) -> None:
    """On day 60 KP01B replaces and KP02B adds, in time by any terms; on day 61 KP03B and KP04B."""
    nights = started(loaded, tmp_path)
    nights.programs = programs_with(tmp_path, terms)
    nights.of_files([("837P", [sent(f"KP0{n}A", VISIT) for n in (1, 2, 3, 4)])], FIRST)
    for day, replaced, added in ((DAY_60, 1, 2), (DAY_61, 3, 4)):
        bills = [
            sent(f"KP0{n}B", text, frequency, named("837P", nights.number(f"KP0{n}A")))
            for n, text, frequency in ((replaced, SMALLER, "7"), (added, IMAGE, "5"))
        ]
        nights.of_files([("837P", bills)], day)
    a = {"KP01A": "voided", "KP02A": "paid", "KP03A": "voided", "KP04A": "paid"}
    assert nights.fates() == {**a, "KP01B": "paid", "KP02B": "paid", **fates}
    assert nights.ledger() == ledger
    late = nights.rows(
        "SELECT c.patient_control_number FROM finding f JOIN claim c ON c.claim_id = f.claim_id "
        "WHERE f.carc = '29'"
    )
    assert late == [(name,) for name, fate in fates.items() if fate == "denied"]
    sound(nights)


def programs_with(folder: Path, terms: dict[str, str]) -> Path:
    """The shipped programs with these terms of CarePartners."""
    made = Path(shutil.copytree(PROGRAMS, folder / "programs"))
    path = made / "carepartners" / "program.yaml"
    text = path.read_text("utf-8")
    for name, value in terms.items():
        text, count = re.subn(f"(?m)^  {name}: .*$", f"  {name}: {value}", text)
        assert count == 1
    path.write_text(text, "utf-8")
    return made


# ---- stays that are paid whole -----------------------------------------------------------------

WHOLE_STAY = {"late_charges_gain_nothing": "[per_diem]"}


@pytest.fixture(scope="module")
def by_the_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saltbox Harbor Hospital is paid by the day, for everything in the stay."""
    folder = tmp_path_factory.mktemp("by-the-day")
    tables = shutil.copytree(FOLDER / "reference", folder / "reference")
    contracts = (tables / "contracts.csv").read_text("utf-8")
    by_day = contracts.replace(
        "C04,P04,carepartners,in,fee_table", "C04,P04,carepartners,in,per_diem"
    )
    assert by_day != contracts
    (tables / "contracts.csv").write_text(by_day, "utf-8")
    load_store(folder / "loaded.db", tables)
    return folder / "loaded.db"


@pytest.mark.long
@pytest.mark.parametrize("terms", [WHOLE_STAY, {}], ids=["gains nothing", "shipped"])
def test_corrections_of_a_stay_that_is_paid_whole(
    terms: dict[str, str], by_the_day: Path, tmp_path: Path
) -> None:
    """3 x 1850.00 = 5550.00 for the stay. What is added to it is CO-97 where the terms say so, else
    somebody must say what it is worth; what replaces it comes to the same, whatever it charges.

        A   7200.00 - 5550.00 = 1650.00 (CO-45); 5550.00 - 250.00 = 5300.00; 900.00 (CO-97)
        R   6900.00 - 5550.00 = 1350.00 (CO-45); 5300.00; 900.00 and 560.00 (CO-97)
        L   560.00 (CO-97)
    """
    nights = started(by_the_day, tmp_path)
    nights.programs = programs_with(tmp_path, terms)
    nights.of_files([("837I", [sent(f"KI0{n}A", STAY, day=ADMISSION) for n in (1, 2, 3)])], FIRST)
    assert nights.ledger() == dict.fromkeys(("KI01A", "KI02A", "KI03A"), 530_000)
    number = {n: named("837I", nights.number(f"KI0{n}A")) for n in (1, 2, 3)}
    nights.of_files(
        [("837I", [
            sent("KI01L", "0300 560.00", "5", number[1], day=ADMISSION),
            sent("KI02R", "0120 6900.00 x3, 0250 900.00, 0300 560.00", "7", number[2],
                 day=ADMISSION),
            sent("KI03V", STAY, "8", number[3], day=ADMISSION),
        ])],
        SECOND,
    )  # fmt: skip
    assert nights.fates() == {
        "KI01A": "paid", "KI01L": "denied" if terms else "pended", "KI02A": "voided",
        "KI02R": "paid", "KI03A": "voided", "KI03V": "voided",
    }  # fmt: skip
    shown = [str(c) for c in told(nights.documents()[-1].read_bytes())]
    of_stay = "CO-45 -1650.00, PR-3 -250.00 | CO-97 -900.00"
    assert shown == [
        *(["KI01L 1 560.00 0.00 0.00 / CO-97 560.00"] if terms else []),
        f"KI02A 22 -8100.00 -5300.00 N694 / {of_stay}",
        "KI02R 1 8360.00 5300.00 250.00 / CO-45 1350.00, PR-3 250.00 | CO-97 900.00 | CO-97 560.00",
        f"KI03A 22 -8100.00 -5300.00 N693 / {of_stay}",
    ]
    assert nights.ledger() == {"KI01A": 530_000, "KI02R": 530_000}
    assert nights.counters() == {
        f"accumulator_entry out_of_pocket_amount KI0{n}": 25_000 for n in (1, 2)
    }
    sound(nights)


@pytest.mark.parametrize(
    ("method", "day", "outcomes"),
    [
        ("ms_drg", date(2025, 6, 30), ["inform", "deny"]),
        ("case_rate", date(2025, 6, 30), ["inform", "deny"]),
        ("ms_drg", date(2025, 7, 1), ["inform"]),  # the contract has ended
        ("fee_table", date(2025, 6, 30), ["inform"]),
    ],
)
def test_lines_added_under_a_drg_gain_nothing(method: str, day: date, outcomes: list[str]) -> None:
    """Shipped terms, 97; by the contract of the line's day."""
    told = {"claim_id": 2, "frequency_code": "5", "outcome": "found", "version_number": 1,
            "predecessor_claim_id": 1, "predecessor_claim_number": "000000000001"}  # fmt: skip
    batch = Batch(
        claims=pl.DataFrame(
            {"claim_id": [2], "payee_id": ["P1"], "program_code": ["carepartners"],
             "frequency_code": ["5"], "original_claim_number": ["00000001"]}
        ),
        lines=pl.DataFrame(
            {"claim_id": [2], "line_number": [1], "contract_id": ["C1"], "decision_date": [day]}
        ),
        corrections=pl.DataFrame([told], frames.empty(frames.Corrections).schema),
    )  # fmt: skip
    contracts = pl.DataFrame(
        {"contract_id": ["C1"], "payee_id": ["P1"], "program_code": ["carepartners"],
         "pricing_method_code": [method], "start_date": [date(2025, 1, 1)],
         "end_date": [date(2025, 6, 30)]}
    )  # fmt: skip
    reference = Reference(
        version="", programs=load_programs(PROGRAMS), tables={"contracts": contracts}
    )
    found = correction.find(batch, reference).collect().sort("line_number", nulls_last=False)
    assert found["disposition"].to_list() == outcomes
    if "deny" in outcomes:
        assert found.row(1)[:6] == (2, 1, "deny", "CO", "97", None)


# ---- the copay of a visit to which something is added --------------------------------------------


@pytest.mark.long
def test_what_is_added_to_a_visit_owes_its_copay_once(loaded: Path, tmp_path: Path) -> None:
    """A stay's copay is 250.00. KI01's was taken with A: 0300 comes to 410.00 and 0250 to 640.00.
    KI02's A is denied: its first late charges owe it (410.00 - 250.00 = 160.00), the second don't.
    KI03's A waits: of two that come the same night the first owes it."""
    nights = started(loaded, tmp_path)
    unknown = Bill("KI02A", lines(STAY), PEOPLE["KI02"], ADMISSION, "1", None, "N0000000000")
    nights.of_files(
        [("837I", [sent("KI01A", "0120 7200.00 x3", day=ADMISSION), unknown,
                   sent("KI03A", "0278 900.00", day=ADMISSION)])],
        FIRST,
    )  # fmt: skip
    number = {n: named("837I", nights.number(f"KI0{n}A")) for n in (1, 2, 3)}

    def added(n: int, name: str, text: str) -> Bill:
        return sent(f"KI0{n}{name}", text, "5", number[n], day=ADMISSION)

    nights.of_files(
        [("837I", [added(1, "L", "0300 560.00"), added(2, "L", "0300 560.00"),
                   added(3, "L", "0300 560.00"), added(3, "M", "0250 900.00")])],
        SECOND,
    )  # fmt: skip
    nights.of_files([("837I", [added(1, "M", "0250 900.00"), added(2, "M", "0250 900.00")])], LAST)
    assert nights.ledger() == {
        "KI01A": 530_000, "KI01L": 41_000, "KI01M": 64_000,
        "KI02L": 16_000, "KI02M": 64_000,
        "KI03L": 16_000, "KI03M": 64_000,
    }  # fmt: skip
    assert set(nights.counters().values()) == {25_000}
    sound(nights)
