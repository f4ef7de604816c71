"""A claim's story: whole texts of some, and of all that its arithmetic comes to what was stored."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.arithmetic import price, share
from adjudicator.edits import EDITS, Edit
from adjudicator.explain import (
    CONDITIONAL,
    EXCLUDED,
    RESUBMIT,
    Explanation,
    UnknownClaimError,
    _cites,
    as_text,
    effects,
    explain,
    money,
)
from adjudicator.fate import fates
from adjudicator.load import load_reference
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.sentences import TELLS, _filled, ended_by, figures, says
from schemas import frames
from schemas.program import Citation
from tests import build
from tests.case_tools import CLAIMS, FIRST_NIGHT, REFERENCE, do_night, load_store
from tests.test_edits import BY_NAME, fixture, found

SECOND_NIGHT = date(2025, 11, 16)
SEEDS = Path(__file__).parents[1].parent / "shared" / "seeds"


# ---- the nights ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Explanation]:
    """Every claim of the fixture cases, all in one night and all second files in another."""
    folder = tmp_path_factory.mktemp("all")
    load_store(folder / "a.db")
    for name, day in (("claim", FIRST_NIGHT), ("second-night", SECOND_NIGHT)):
        files = sorted(CLAIMS.glob(f"*/{name}.*"))
        named = [(f, folder / f"{f.parent.name}-{f.name}") for f in files]
        do_night([Path(shutil.copy(file, copy)) for file, copy in named], folder, day)
    with store.reading(store.open_store(f"sqlite:///{folder / 'a.db'}")) as connection:
        told = [explain(connection, f"S{number}") for number in submissions(connection)]
    assert len(told) > 40
    return told


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store after two nights: some cases; then the claims of one of them again, a
    day later, when a fee that was missing has been loaded."""
    folder = tmp_path_factory.mktemp("two")
    load_store(folder / "a.db")
    first = ("deductible-in-mid-claim", "missing-fee", "out-of-network", "professional-fee-table",
             "rejected", "timely-filing")  # fmt: skip
    files = [
        Path(shutil.copy(CLAIMS / case / "claim.837", folder / f"{case}.837")) for case in first
    ]
    do_night(files, folder, FIRST_NIGHT)
    with_fee = shutil.copytree(REFERENCE, folder / "reference")
    with (with_fee / "fees.csv").open("a", encoding="utf-8") as fees:
        header = (REFERENCE / "fees.csv").read_text("utf-8").splitlines()[0].split(",")
        row = {"fee_table_code": "OFFICE", "procedure_code": "95115", "fee_amount": "12.25",
               "start_date": "2025-01-01"}  # fmt: skip
        fees.write(",".join(row.get(name, "") for name in header) + "\n")
    url = f"sqlite:///{folder / 'a.db'}"
    engine = store.open_store(url)
    with engine.begin() as connection:
        load_reference(connection, with_fee)
    engine.dispose()
    again = (CLAIMS / "timely-filing" / "claim.837").read_text("ascii")
    control = again.split("~", 1)[0].split("*")[13]
    assert again.count(control) == 2
    (folder / "again.837").write_text(again.replace(control, "000000777"), "ascii")
    do_night([folder / "again.837"], folder, SECOND_NIGHT)
    return url


def submissions(connection: Any) -> list[int]:
    rows = connection.exec_driver_sql("SELECT claim_id FROM claim ORDER BY claim_id").all()
    return [row[0] for row in rows]


def told(url: str, patient_control_number: str, place: int = 0, **of: Any) -> Explanation:
    """A claim's explanation by its patient control number; ``place``: of several, which."""
    with store.reading(store.open_store(url)) as connection:
        rows = connection.exec_driver_sql(
            "SELECT claim_id FROM claim WHERE patient_control_number = ? ORDER BY claim_id",
            (patient_control_number,),
        ).all()
        return explain(connection, f"S{rows[place][0]}", **of)


def story(explanation: Explanation) -> str:
    """The text, without what changes with every edit and every row of reference data."""
    text = re.sub(r"version [0-9a-f]{12}$", "version X", as_text(explanation), flags=re.M)
    return re.sub(r"(?m)^\d+ (other )?edits? found nothing: (.|\n)*?\n\n", "", text)


# ---- whole texts -----------------------------------------------------------------------------

STORIES = {
    "FT-1": """
Claim 000000000008 (submission S8), patient control number FT-1
  paid: charge 180.00, allowed 106.40, member 25.00, paid 81.40
  decided in the night of 2025-11-15 (run 1), reference version X
  a clean claim (source 001, line 2029), 0 days old that night

RECEIVED
  2025-11-15 in professional-fee-table.837, 837P, charge 180.00: interchange
    000000002, group 2, set 0001, bytes 702 to 856

LINE 1, paid: 99213 on 2025-10-30, 1 unit, charge 140.00
  price, by contract C03: fee of 99213 in table OFFICE
    source 001, lines 3307-3308: "and methodologies, such as fee for service and
      capitation, according to the"
    fee 88.00 x 1 unit = 88.00
    the lesser of 88.00 and charge 140.00 = 88.00
    allowed 88.00
  share, office visit in the network, careadvantage-preferred-hmo, terms from
    2020-01-01 (illustrative figures: the source gives none)
    the lesser of copay 10.00 and allowed 88.00 = 10.00
    the member owes 10.00
    member's maximum (4,500.00 a year): 4,500.00 - 10.00 = 4,490.00 left
          140.00 charged
          -52.00 CO-45 charged above what is allowed [price]
          -10.00 PR-3 the member's copay [copay]
           78.00 paid

LINE 2, paid: 71046:26 on 2025-10-30, 1 unit, charge 40.00
  price, by contract C03: fee of 71046:26 in table OFFICE
    source 001, lines 3307-3308
    fee 18.40 x 1 unit = 18.40
    the lesser of 18.40 and charge 40.00 = 18.40
    allowed 18.40
  share, imaging in the network, careadvantage-preferred-hmo, terms from
    2020-01-01 (illustrative figures: the source gives none)
    the lesser of copay 15.00 and allowed 18.40 = 15.00
    the member owes 15.00
    member's maximum (4,500.00 a year): 4,490.00 - 15.00 = 4,475.00 left
           40.00 charged
          -21.60 CO-45 charged above what is allowed [price]
          -15.00 PR-3 the member's copay [copay]
            3.40 paid

PAYMENT
  the lines: 78.00 + 3.40 = 81.40
  81.40 of 280.20 in payment 000000002 of 2025-11-15 (check) to payee P03, in
    835/carepartners-000000002.835
    source 001, lines 2106-2107: "Payment will be sent to the address listed as
      the primary provider"
  CO: not paid under the agreement; the member may not be billed
  PR: the member owes it
""",
    "DM-1, line 3": """
Claim 000000000001 (submission S1), patient control number DM-1
  paid: charge 337.26, allowed 337.26, member 312.05, paid 25.21
  decided in the night of 2025-11-15 (run 1), reference version X

RECEIVED
  2025-11-15 in deductible-in-mid-claim.837, 837P, charge 337.26: interchange
    000000007, group 7, set 0001, bytes 698 to 1043

LINE 3, paid: 71046 on 2025-11-06, 1 unit, charge 34.99
  price, without a contract: 100 % of Medicare's fee for 71046, status A, at
    place of service 11 (no facility), ZIP code 06106, locality 13102-00;
    relative values from 2025-10-01, cost indexes from 2025-01-01
    work 0.22 x 1.022 = 0.22484
    practice expense 0.77 x 1.091 = 0.84007
    malpractice 0.02 x 1.207 = 0.02414
    0.22484 + 0.84007 + 0.02414 = 1.08905
    1.08905 x conversion factor 32.3465 = 35.226955825, rounded 35.23
    the lesser of 35.23 and the outpatient hospital's amount 106.63 = 35.23
    35.23 x 1 unit x 100 % = 35.23
    the lesser of 35.23 and charge 34.99 = 34.99
    allowed 34.99
  share, imaging outside the network, state-bluecare-pos, terms from 2020-01-01
    source 000, line 116: "deductible plus 40% coinsurance"
    the lesser of deductible left 12.00 and allowed 34.99 = 12.00
    allowed 34.99 - deductible 12.00 = 22.99
    22.99 x 40 % = 9.196, rounded 9.20
    deductible 12.00 + coinsurance 9.20 = 21.20
    the member owes 21.20
    deductible (300.00, family 900.00 a year): 12.00 - 12.00 = 0.00 left
    member's maximum (2,300.00 a year): 2,012.00 - 21.20 = 1,990.80 left
    family's maximum (4,900.00 a year): 4,612.00 - 21.20 = 4,590.80 left
           34.99 charged
          -12.00 PR-1 counts to the member's deductible [deductible]
           -9.20 PR-2 the member's coinsurance [coinsurance]
           13.79 paid

PAYMENT
  the lines: 0.00 + 0.00 + 13.79 + 11.42 = 25.21
  25.21 of 25.21 in payment 000000005 of 2025-11-15 (check) to payee P07, in
    835/ct-partnership-000000005.835
    source 001, lines 2106-2107: "Payment will be sent to the address listed as
      the primary provider"
  PR: the member owes it
""",
    "TF-61": """
Claim 000000000012 (submission S13), patient control number TF-61
  denied: charge 140.00, allowed 0.00, member 0.00, paid 0.00
  decided in the night of 2025-11-15 (run 1), reference version X
  no clean claim: timely_filing (source 001, line 2029), 0 days old that night

RECEIVED
  2025-11-15 in timely-filing.837, 837P, charge 140.00: interchange 000000016,
    group 16, set 0001, bytes 993 to 1090

LINE 1, denied: 99213 on 2025-09-15, 1 unit, charge 140.00
  timely_filing, deny CO-29: received 2025-11-15, 61 days after 2025-09-15
    (service); the limit is 60: one day late
    source 001, lines 2255-2258: "within 60 days of the date of service, or
      within 60 days of the date of hospital discharge for inpatient or
      institutional services"
          140.00 charged
         -140.00 CO-29 received after the filing limit [timely_filing]
            0.00 paid

PAYMENT
  0.00 of 280.20 in payment 000000002 of 2025-11-15 (check) to payee P03, in
    835/carepartners-000000002.835
    source 001, lines 2106-2107: "Payment will be sent to the address listed as
      the primary provider"
  CO: not paid under the agreement; the member may not be billed
""",
    "TF-60, claim 2": """
Claim 000000000016 (submission S17), patient control number TF-60
  denied: charge 140.00, allowed 0.00, member 0.00, paid 0.00
  decided in the night of 2025-11-16 (run 2), reference version X
  no clean claim: timely_filing (source 001, line 2029), 0 days old that night

RECEIVED
  2025-11-16 in again.837, 837P, charge 140.00: interchange 000000777, group 16,
    set 0001, bytes 697 to 794

LINE 1, denied: 99213 on 2025-09-16, 1 unit, charge 140.00
  exact_duplicate, deny OA-18: it repeats line 1 of claim 000000000011: same
    member, provider, dates, code, modifiers, units and charge
    our judgement; the nearest rule is in source 001, lines 2061-2063: "Claim
      forms are submitted by noncapitated providers for both payment"
  timely_filing, deny CO-29: received 2025-11-16, 61 days after 2025-09-16
    (service); the limit is 60: one day late
    decides nothing: an earlier edit, exact_duplicate, denies the line
    source 001, lines 2255-2258: "within 60 days of the date of service, or
      within 60 days of the date of hospital discharge for inpatient or
      institutional services"
          140.00 charged
         -140.00 OA-18 the same service was already paid or is being decided
                   [exact_duplicate]
            0.00 paid

PAYMENT
  0.00 of 93.75 in payment 000000006 of 2025-11-16 (check) to payee P03, in
    835/carepartners-000000006.835
    source 001, lines 2106-2107: "Payment will be sent to the address listed as
      the primary provider"
  OA: neither paid nor owed by the member
""",
    "MF-DATE": """
Claim 000000000003 (submission S3), patient control number MF-DATE
  pended: waits for REFERENCE
  decided in the night of 2025-11-16 (run 2), reference version X
  a clean claim (source 001, line 2029), 1 day old that night
  in the night of 2025-11-15 (run 1) it waited for REFERENCE

RECEIVED
  2025-11-15 in missing-fee.837, 837P, charge 165.00: interchange 000000021,
    group 21, set 0001, bytes 1203 to 1371

LINE 1, pended: 99213 on 2025-09-30, 1 unit, charge 165.00
  missing_reference, pend REFERENCE: table physician_fee_values (procedure code
    99213) on 2025-09-30: no row in force; table zip_localities (zip code 06103)
    on 2025-09-30: no row in force

WAITS FOR
  REFERENCE (line 1): a price or plan term for the date of service is being
    loaded; nothing is needed from you
    released by a row of table physician_fee_values that holds on 2025-09-30; a
      row of table zip_localities that holds on 2025-09-30
    since 2025-11-15, with reference-data, to load the value that the finding
      names; due by 2025-11-25
  every night decides the claim again
""",
    "RJ-1": """
Claim without a number (submission S10), patient control number RJ-1
  rejected: sent back, never adjudicated, on no 835
  decided in the night of 2025-11-15 (run 1), reference version X

RECEIVED
  2025-11-15 in rejected.837, 837P, charge 165.00: interchange 000000022, group
    22, set 0001, bytes 706 to 850

FINDINGS
  syntax, send back A7:21: segment 23, DTP (loop 2400): a required segment or
    loop is missing
  mandatory_field, line 1, send back A6:187: box 24a, date of service (2400 DTP
    472), is empty
    source 001, lines 2840-2845

TO MEND
  write segment 23, DTP, as the implementation guide wants it
  line 1: fill in box 24a, date of service (2400 DTP 472)
  then send the whole claim anew; the filing limit runs on meanwhile
    source 001, lines 2073-2075: "a clean electronic claim must be resubmitted
      no later than 60 days from the date of service"
""",
}


@pytest.mark.parametrize("name", STORIES)
def test_the_whole_story(two_nights: str, name: str) -> None:
    number, *more = name.split(", ")
    of = {what.split()[0]: int(what.split()[1]) for what in more}
    place, line = of.get("claim", 1) - 1, of.get("line")
    explanation = told(two_nights, number, place, line_number=line)
    assert story(explanation) == STORIES[name].strip("\n")


def test_what_is_no_more_is_told_as_past(two_nights: str) -> None:
    """A pend that a loaded fee released: told as waiting then, and not among the findings."""
    released = told(two_nights, "MF-FEE")
    assert released.findings == []
    assert [(n["run_id"], n["pend_codes"]) for n in released.earlier] == [(1, ["REFERENCE"])]
    text = as_text(released)
    assert "  in the night of 2025-11-15 (run 1) it waited for REFERENCE\n" in text
    assert "missing_reference" not in text
    # 12.25 x 1; 81.50 for the visit (91.50 - 10.00)
    assert "    fee 12.25 x 1 unit = 12.25\n" in text
    assert "  the lines: 81.50 + 12.25 = 93.75\n" in text


def test_edits_that_found_nothing(two_nights: str) -> None:
    late = told(two_nights, "TF-61")
    [program] = {late.claim["program_code"]}
    assert program == "carepartners"
    asked = load_programs()[program].edits
    names = [e.name for e in EDITS if e.name in asked and e.name != "timely_filing"]
    assert late.found_nothing == names
    text = " ".join(as_text(late).split())
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    assert f"{len(names)} other edits found nothing: {listed} PAYMENT" in text
    assert told(two_nights, "RJ-1").found_nothing == []  # nobody asked any
    assert " other " not in as_text(told(two_nights, "FT-1"))


def test_a_line_alone(two_nights: str) -> None:
    alone = told(two_nights, "DM-1", line_number=3)
    whole = told(two_nights, "DM-1")
    assert alone.lines == [whole.lines[2]]
    assert {a["line_number"] for a in alone.adjustments} == {3}
    assert alone.claim == whole.claim
    first, second = told(two_nights, "TF-BOTH"), told(two_nights, "TF-BOTH", line_number=2)
    assert [f["edit"] for f in first.findings] == ["timely_filing"]
    assert second.findings == []
    # found of line 1 is not "found nothing"
    assert "timely_filing" not in second.found_nothing


# ---- of every claim --------------------------------------------------------------------------

SCALES = {"cents": 100, "basis_points": 10_000, "hundredths": 100, "thousandths": 1_000,
          "ten_thousandths": 10_000, "hundred_thousandths": 100_000}  # fmt: skip


def exact(term: Mapping[str, Any]) -> Fraction:
    return Fraction(term["value"], SCALES[term["unit"]])


def again(step: Mapping[str, Any]) -> int:
    """The step's result from its terms, by other arithmetic than the program's."""
    terms = [exact(t) for t in step["terms"]]
    if step["operation"] == "sum":
        value = sum(terms, Fraction(0))
    elif step["operation"] == "least":
        value = min(terms)
    elif step["operation"] == "greatest":
        value = max(terms)
    elif step["operation"] == "proportion":
        of, part, whole = terms
        value = of * part / whole
    else:
        assert step["operation"] == "product"
        value = Fraction(1)
        for term in terms:
            value *= term
    scaled = abs(value) * SCALES[step["result"]["unit"]]
    return (1 if value >= 0 else -1) * floor(scaled + Fraction(1, 2))


def come_to(steps: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The last result of each name; every step must come to what it says."""
    for step in steps:
        assert again(step) == step["result"]["value"], step
    return {step["result"]["name"]: step["result"]["value"] for step in steps}


@pytest.mark.long
def test_the_arithmetic_ends_in_the_stored_amounts(everything: list[Explanation]) -> None:
    priced = shared = 0
    for row in (row for each in everything for row in each.lines):
        if row["price"]:
            steps = row["price"]["steps"]
            come_to(steps)
            assert row["price"]["agrees"]
            if steps:
                assert steps[-1]["result"]["value"] == row["allowed_amount"]
                priced += 1
            else:  # nothing, or the charge of a prepaid line that its contract has no price for
                prepaid = row["pricing_inputs"].get("priced_by") == "charge"
                assert row["allowed_amount"] == (row["charge_amount"] if prepaid else 0)
        if row["share"]:
            owed = {n: row[n] for n in ("deductible_amount", "coinsurance_amount", "copay_amount")}
            results = come_to(row["share"]["steps"])
            assert row["share"]["agrees"]
            assert row["share"]["amount"] == sum(owed.values())
            assert {n: results.get(n, 0) for n in owed} == owed
            shared += bool(sum(owed.values()))
            for step in row["share"]["counters"]:
                before, taken = (t["value"] for t in step["terms"])
                name = step["result"]["name"]
                assert before == row["benefit_inputs"][name]
                of = owed["deductible_amount"] if name.startswith("ded") else sum(owed.values())
                assert taken == -of
                assert again(step) == step["result"]["value"] == before - of >= 0
        if row["balance"]:
            assert again(row["balance"]) == row["balance"]["result"]["value"] == row["paid_amount"]
        else:
            assert row["line_disposition"] == "pended"
    assert priced > 60
    assert shared > 30
    for each in everything:
        if each.payment:
            assert again(each.payment["sum"]) == each.claim["paid_amount"]


def test_every_paid_line_tells_its_price_and_share(everything: list[Explanation]) -> None:
    for row in (row for each in everything for row in each.lines):
        paid = row["line_disposition"] == "paid"
        assert bool(row["share"]) == paid
        assert bool(row["price"]) >= paid


def test_every_claim_is_told_in_80_columns_with_its_figures(everything: list[Explanation]) -> None:
    for each in everything:
        text = as_text(each)
        assert max(map(len, text.splitlines())) <= 80
        assert not re.search(r"[{}\[\]]|None|null", re.sub(r"\[[a-z_]+\]$", "", text, flags=re.M))
        plain = " ".join(text.split())
        for f in each.findings:
            assert " ".join(f["says"].split()) in plain
        for row in each.lines:
            for part in ("price", "share"):
                for step in (row[part] or {}).get("steps", ()):
                    assert step["says"] in plain
        json.dumps(each.as_json())


def test_what_decided_a_line_is_told_as_deciding_it(everything: list[Explanation]) -> None:
    """What the store kept of a denial or pend is the effect that is told of its finding."""
    seen = set()
    for each in everything:
        stands: dict[str, set[Any]] = {"denies": set(), "pends": set(), "rejects": set()}
        for f in each.findings:
            for e in f["effects"]:
                assert (e["effect"] == "none") == (e["because"] is not None)
                if e["effect"] != "none":
                    what = f["pend_code"] if e["effect"] == "pends" else f["edit"]
                    stands[e["effect"]].add((e["line_number"], what))
        denied = {r["line_number"] for r in each.lines if r["line_disposition"] == "denied"}
        # of what payers before us took whole nothing is left for a denial
        wholly = {
            a["line_number"]
            for a in each.adjustments
            for r in each.lines
            if a["reason"] == "other_payer"
            and (a["line_number"], a["adjustment_amount"]) == (r["line_number"], r["charge_amount"])
        }
        assert {d for d in stands["denies"] if d[0] not in wholly} == {
            (a["line_number"], a["reason"])
            for a in each.adjustments
            if a["line_number"] in denied and a["reason"] != "other_payer"
        }
        codes = {code for _, code in stands["pends"]}
        assert codes == set((each.claim["pend_codes"] or "").split(",")) - {""}
        assert bool(stands["rejects"]) == (each.claim["disposition"] == "rejected")
        assert {w["pend_code"] for w in each.waits_for} == codes
        assert all(w["words"] and w["released_by"] for w in each.waits_for)
        assert all(m["mended_by"] for m in each.to_mend)
        assert bool(each.to_mend) == bool(stands["rejects"])
        seen |= {effect for effect, found in stands.items() if found}
    assert seen == set(stands)


def test_every_denial_and_every_adjustment_is_in_words_with_a_source(
    everything: list[Explanation],
) -> None:
    for each in everything:
        for f in each.findings:
            assert f["cites"] or f["disposition"] != "deny"
        for a in each.adjustments:
            assert a["group_words"]
            assert a["carc_words"]
            assert bool(a["rarc_words"]) == bool(a["rarc"])


def test_every_story_tells_rule_source_inputs_liability_and_what_took_no_money(
    everything: list[Explanation],
) -> None:
    """As text, of every claim of the cases: each finding by its edit, its codes, the document and
    lines it rests on and the values it looked at; who bears each adjustment, to the cent; and of a
    finding that decides nothing, why. The arithmetic is held above."""
    denials = idle = with_values = 0
    for each in everything:
        plain = " ".join(as_text(each).split())
        for f in each.findings:
            assert f"{f['edit']}" in plain
            for cited in f["cites"]:
                first, last = cited["lines"]
                where = f"{first}" if first == last else f"{first}-{last}"
                assert re.search(rf"source {cited['document']}, lines? {where}\b", plain), f
            assert f["inputs"], f
            told = {str(v) for v in values_of(f["inputs"])}
            with_values += bool(told and any(v in f["says"] for v in told))
            for effect in f["effects"]:
                if effect["effect"] == "none":
                    idle += 1
                    assert "decides nothing" in plain
                    assert effect["because"] in plain
                elif effect["effect"] == "denies":
                    denials += 1
                    assert f"deny {f['group_code']}-{f['carc']}" in plain
        for a in each.adjustments:
            assert money(abs(a["adjustment_amount"])) in plain
            assert a["group_words"] in plain
    assert denials > 80
    assert idle > 30
    assert with_values > 150


def values_of(inputs: Any) -> Iterator[Any]:
    """The values of a finding's inputs, however deep."""
    if isinstance(inputs, dict):
        for value in inputs.values():
            yield from values_of(value)
    elif isinstance(inputs, list):
        for value in inputs:
            yield from values_of(value)
    elif inputs not in (None, "", True, False):
        yield inputs


def test_no_story_names_a_member(everything: list[Explanation]) -> None:
    """Neither as enrolled nor as on the claims: name, birth date, card number, the payer's key."""
    secret: set[str] = set()
    with (REFERENCE / "members.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            day = row.pop("birth_date")
            secret |= {day, day.replace("-", "")}
            secret |= {v for n, v in row.items() if n not in ("sex_code",) and v}
    for path in CLAIMS.glob("*/*.837"):
        for segment in path.read_text("ascii").split("~"):
            elements = segment.strip().split("*")
            if elements[:2] in (["NM1", "IL"], ["NM1", "QC"]):
                secret |= {*elements[3:6], *elements[9:10]} - {""}
            if elements[0] == "DMG":
                secret.add(elements[2])
    assert len(secret) > 100
    for each in everything:
        for text in (as_text(each), json.dumps(each.as_json())):
            words = {word.upper() for word in re.findall(r"[\w-]+", text)}
            assert not {s for s in secret if s.upper() in words}


def test_the_keys_of_the_json_are_stable(two_nights: str) -> None:
    whole = told(two_nights, "DM-1").as_json()
    assert list(whole) == [
        "claim", "clean", "received", "decided", "earlier", "findings", "found_nothing",
        "lines", "adjustments", "waits_for", "to_mend", "resubmit", "payment", "versions",
    ]  # fmt: skip
    line = whole["lines"][2]
    assert line["price"]["steps"][0] == {
        "operation": "product",
        "terms": (
            {"name": "work_units", "value": 22, "unit": "hundredths"},
            {"name": "work_index", "value": 1022, "unit": "thousandths"},
        ),
        "result": {"name": "work_value", "value": 22484, "unit": "hundred_thousandths"},
        "says": "work 0.22 x 1.022 = 0.22484",
    }
    assert list(line["price"]) == [
        "basis", "says", "amount", "steps", "counters", "agrees", "cites",
    ]  # fmt: skip
    assert list(line["share"]) == [
        "basis", "says", "amount", "steps", "counters", "agrees", "illustrative",
        "deductible_waived", "deductible_individual_amount", "deductible_family_amount",
        "out_of_pocket_individual_amount", "out_of_pocket_family_amount", "uncollectable", "cites",
    ]  # fmt: skip
    assert line["share"]["cites"] == [
        {"document": "000", "lines": [116, 116], "phrase": "deductible plus 40% coinsurance"}
    ]
    [found] = told(two_nights, "TF-61").findings
    assert list(found) == [
        "line_number", "edit", "edit_rank", "disposition", "group_code", "carc", "rarc",
        "pend_code", "status_code", "inputs", "says", "cites", "judgement", "effects",
    ]  # fmt: skip
    assert found["effects"] == [{"line_number": 1, "effect": "denies", "because": None}]


@pytest.mark.parametrize(
    "citation", [CONDITIONAL, EXCLUDED, RESUBMIT], ids=["conditional", "excluded", "resubmit"]
)
def test_phrase_stands_in_its_lines(citation: Citation) -> None:
    documents = sorted(SEEDS.glob(f"{citation.document}_*.txt"))
    if not documents:
        pytest.skip(f"source document {citation.document} is not here (../shared/seeds)")
    first, last = citation.lines
    lines = documents[0].read_text(encoding="utf-8").split("\n")[first - 1 : last]
    assert citation.phrase in " ".join(" ".join(lines).split())


def test_a_filing_limit_without_a_contract_has_a_source_of_its_own() -> None:
    row = {"program_code": "carepartners", "claim_type_code": "P"}
    for days, lines in ((60, [[2255, 2258]]), (366, [[2255, 2258], [3308, 3309]])):
        late = finding("timely_filing", {"limit_days": days})
        assert [c["lines"] for c in _cites(late, row, load_programs())] == lines


# ---- findings --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("edit", "case"),
    [
        pytest.param(BY_NAME[name], case, id=f"{name}: {case['says']}")
        for name in BY_NAME
        for case in fixture(name)["hits"]
    ],
)
def test_what_an_edit_finds_is_a_sentence(edit: Edit, case: dict[str, Any]) -> None:
    for row in found(edit, case):
        sentence = says(row)
        assert sentence
        assert not re.search(r"None|null|[{}\[\]]|  |_", sentence.replace("not_", "not ")), sentence
        if edit.name in TELLS:  # its own words fit all that it finds
            assert sentence == _filled(TELLS[edit.name].says, row)
        end = ended_by(row)
        assert not re.search(r"None|null|[{}]", end)
        assert end or edit.name not in TELLS or row["disposition"] != "pend"


def finding(edit: str, inputs: dict[str, Any], **facts: Any) -> dict[str, Any]:
    named = ("group_code", "carc", "rarc", "pend_code", "status_code", "line_number")
    return {"edit": edit, "inputs": inputs, "disposition": "deny", **dict.fromkeys(named), **facts}


def test_sentences() -> None:
    who = {"decision_date": "2025-11-05", "provider_number": "2310007010",
           "specialty_codes": "207RC0000X", "referral_number": None, "zip_code": None,
           "emergency_date": None, "coverage_start_date": None, "transition_days": None,
           "referrals": None, "candidates": None}  # fmt: skip
    beginning = "NPI 2310007010 (207RC0000X) is outside the network on 2025-11-05"
    r1 = {"referral_number": "R1", "start_date": "2025-10-01", "end_date": "2025-10-31"}
    r2 = {"referral_number": "R2", "start_date": "2025-11-01", "end_date": None}
    expected = {
        f"{beginning}; it needs a referral, and the member has none":
            finding("referral", who | {"because": "no referral"}, disposition="pend"),
        f"{beginning}, and no referral covers it: R1 (2025-10-01 to 2025-10-31) fails by other "
        "dates; R2 (from 2025-11-01) fails by other provider, cancelled":
            finding("referral", who | {
                "because": "no referral covers it",
                "candidates": [r1 | {"fails": "other dates"},
                               r2 | {"fails": "other provider, cancelled"}],
            }, disposition="pend"),
        f"{beginning}; no referral is needed: stay after an emergency (on 2025-11-04)":
            finding("referral", who | {
                "because": "stay after an emergency", "emergency_date": "2025-11-04",
            }, disposition="inform"),
        f"{beginning}; referral R1 (2025-10-01 to 2025-10-31, 2 visits) covers it":
            finding("referral", who | {
                "because": "referral", "referrals": [r1 | {"visit_limit": 2}],
            }, disposition="inform"),
        "NPI 2310007010 is outside the network on 2025-11-05; too few visits are left for this "
        "claim: R2 (from 2025-11-01, one visit), 1 used":
            finding("referral", {
                "because": "visits used up", "decision_date": "2025-11-05",
                "provider_number": "2310007010", "visits_on_claim": 1,
                "referrals": [r2 | {"visit_limit": 1, "visits_used": 1}],
            }, disposition="pend"),
        "we were told on 2025-01-13 of the admission of 2025-01-10, which was due by 2025-01-12: "
        "one day late":
            finding("inpatient_notification", {
                "reason": "late", "notification_number": None, "admission_date": "2025-01-10",
                "admission_type_code": "1", "notified_date": "2025-01-13",
                "due_date": "2025-01-12",
            }),
        "received 2025-04-15, 92 days after 2025-01-13 (discharge); the limit is 90: 2 days late":
            finding("timely_filing", {
                "clock": "discharge", "clock_date": "2025-01-13", "received_date": "2025-04-15",
                "days": 92, "limit_days": 90,
            }),
        "no cost share (plan code pos, benefit category drugs, network code in, decision date "
        "2025-11-05)":
            finding("missing_reference", {
                "problem": "cost share", "program_code": "p", "plan_code": "pos",
                "benefit_category": "drugs", "network_code": "in", "decision_date": "2025-11-05",
            }, disposition="pend"),
    }  # fmt: skip
    for sentence, row in expected.items():
        assert says(row) == sentence


def test_an_edit_without_words_is_told_by_its_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"coverage_code": "gap", "charge_amount": 123450, "unit_quantity": 2500,
              "rate_basis_points": 8050, "covered": False, "none": None,
              "spans": [{"end_date": "2025-01-01"}, {"end_date": "2025-03-01"}]}  # fmt: skip
    told = (
        "coverage code gap, charge 1,234.50, unit quantity 2.5, rate 80.5 %, covered no, "
        "spans (end date 2025-01-01); (end date 2025-03-01)"
    )
    assert figures(inputs) == told
    monkeypatch.setattr(
        "adjudicator.sentences.TELLS", {n: w for n, w in TELLS.items() if n != "coverage"}
    )
    row = finding("coverage", inputs)
    assert says(row) == (f"the member is not covered on the line's date; the member owes ({told})")
    assert ended_by(row) == ""
    assert says(finding("no_such_edit", {})) == "no such edit"
    assert says(finding("no_such_edit", {"days": 3})) == "days 3"


def test_inputs_of_another_release_are_told_too() -> None:
    row = finding("timely_filing", {"clock_day": "2025-01-01"})
    assert says(row).endswith("(clock day 2025-01-01)")


ANY_FINDING = st.fixed_dictionaries(
    {
        "line_number": st.sampled_from([None, 1, 2]),
        "edit": st.sampled_from(["a", "b", "c"]),
        "edit_rank": st.just(0),
        "disposition": st.sampled_from(["deny", "pend", "inform", "reject"]),
        "carc": st.sampled_from(["16", "29"]),
        "pend_code": st.sampled_from(["COB", "PAYEE"]),
    }
)
RANKS = {"a": 10, "b": 20, "c": 30}


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_FINDING, max_size=5), st.integers(1, 2))
def test_effects_are_those_of_the_fates(rows: list[dict[str, Any]], count: int) -> None:
    """What is told to take a line or to pend it is what *settle* reads from the same findings."""
    rows = [
        {
            **row,
            "edit_rank": RANKS[row["edit"]],
            **dict.fromkeys(("rarc", "status_code")),
            "group_code": "CO" if row["disposition"] == "deny" else None,
            "carc": row["carc"] if row["disposition"] == "deny" else None,
            "pend_code": row["pend_code"] if row["disposition"] == "pend" else None,
        }
        for row in rows
        if row["line_number"] is None or row["line_number"] <= count
    ]
    rows.sort(key=lambda r: (r["edit_rank"], r["line_number"] or 0))
    fate = fates(
        Batch(
            claims=build.claims([{}]),
            lines=build.lines([{}] * count),
            findings=build.frame(frames.Findings, [{"claim_id": 1, **row} for row in rows]),
        )
    )
    told = effects(rows, list(range(1, count + 1)))
    stands: dict[str, set[Any]] = {"denies": set(), "pends": set(), "rejects": set()}
    for row, of_lines in zip(rows, told, strict=True):
        assert of_lines
        for e in of_lines:
            if e["effect"] != "none":
                stands[e["effect"]].add((e["line_number"], row["edit"], row["pend_code"]))
    [(_, disposition, pend_codes)] = fate.claims.rows()
    assert bool(stands["rejects"]) == (disposition == "rejected")
    if disposition == "rejected":
        assert not stands["denies"] | stands["pends"]
        return
    assert {code for _, _, code in stands["pends"]} == set((pend_codes or "").split(",")) - {""}
    denied = fate.lines.filter(line_disposition="denied").select("line_number", "edit").rows()
    assert {(n, edit) for n, edit, _ in stands["denies"]} == set(denied)


# ---- arithmetic by hand ----------------------------------------------------------------------


def line(**values: Any) -> dict[str, Any]:
    amounts = ("deductible_amount", "coinsurance_amount", "copay_amount")
    return {
        "line_number": 1, "procedure_code": "99213", "revenue_code": None,
        "charge_amount": 20_000, "allowed_amount": 10_000, "unit_quantity": 1_000,
        "pricing_method_code": "fee_table", "pricing_inputs": {}, "benefit_inputs": {},
        **dict.fromkeys(amounts, 0), **values,
    }  # fmt: skip


def steps(part: Any) -> list[str]:
    assert part is not None
    assert part.agrees, part
    return [step.says for step in part.steps]


MEDICARE = {
    "lesser_of_charge": True, "modifier_code": "", "status_code": "A",
    "place_of_service_code": "22", "is_facility": True, "carrier_number": "13102",
    "locality_number": "00", "work_units": 100, "expense_units": 200, "malpractice_units": 10,
    "work_index": 1_000, "expense_index": 1_100, "malpractice_index": 900,
    "conversion_factor": 323_465, "values_start_date": "2025-10-01",
    "indexes_start_date": "2025-01-01", "rate_basis_points": 10_550,
}  # fmt: skip


def test_medicares_fee_held_to_the_hospitals() -> None:
    # 1.00 + 2.20 + 0.09 = 3.29; 3.29 x 32.3465 = 106.419985; held to 80.01; x 2 x 105.5 % =
    # 168.8211
    told = price(
        line(
            pricing_method_code="percent_of_medicare",
            pricing_inputs=MEDICARE | {"cap_fee_amount": 8_001},
            unit_quantity=2_000,
            allowed_amount=16_882,
        ),
        [],
    )
    assert steps(told) == [
        "work 1.00 x 1 = 1.00000",
        "practice expense 2.00 x 1.100 = 2.20000",
        "malpractice 0.10 x 0.900 = 0.09000",
        "1.00000 + 2.20000 + 0.09000 = 3.29000",
        "3.29000 x conversion factor 32.3465 = 106.419985, rounded 106.42",
        "the lesser of 106.42 and the outpatient hospital's amount 80.01 = 80.01",
        "80.01 x 2 units x 105.5 % = 168.8211, rounded 168.82",
        "the lesser of 168.82 and charge 200.00 = 168.82",
    ]


def test_no_lesser_of_the_charge() -> None:
    inputs = {"fee_table_code": "T", "fee_amount": 25_000, "lesser_of_charge": False}
    told = price(line(pricing_inputs=inputs, allowed_amount=37_500, unit_quantity=1_500), [])
    assert steps(told) == ["fee 250.00 x 1.500 units = 375.00"]


def test_a_line_that_charges_nothing() -> None:
    inputs = {"fee_table_code": "T", "fee_amount": 25_000, "lesser_of_charge": False}
    told = price(line(pricing_inputs=inputs, allowed_amount=0, charge_amount=0), [])
    assert steps(told) == [
        "fee 250.00 x 1 unit = 250.00", "the lesser of 250.00 and charge 0.00 = 0.00",
    ]  # fmt: skip


def test_days_of_a_stay_that_charged_less() -> None:
    """Two rooms, 1,000.00 + 2,000.00 by the day, 1,000.00 charged for all: the first line gets
    1,000 x 1,000 / 3,000 = 333.33, the second what is left to 1,000.00: 666.67."""
    stay = {"fee_table_code": "D", "stay_days": 3, "stay_charge_amount": 100_000,
            "room_quantity": 3_000, "lesser_of_charge": True}  # fmt: skip
    rooms = [
        line(line_number=n, revenue_code="0120", pricing_method_code="per_diem",
             unit_quantity=days * 1_000, allowed_amount=allowed,
             pricing_inputs=stay | {"fee_amount": 100_000, "priced_amount": days * 100_000})
        for n, days, allowed in ((1, 1, 33_333), (2, 2, 66_667))
    ]  # fmt: skip
    packaged = line(line_number=3, pricing_method_code="packaged", allowed_amount=0,
                    pricing_inputs=stay | {"fee_amount": None, "priced_amount": 0})  # fmt: skip
    stays = [*rooms, packaged]
    lesser = "the lesser of the stay's days 3,000.00 and the stay's charges 1,000.00 = 1,000.00"
    of_first = (
        "the stay's charges 1,000.00 x 1,000.00 / the stay's days 3,000.00 = 333.333333333..., "
        "rounded 333.33"
    )
    assert steps(price(rooms[0], stays)) == [
        "1,000.00 a day x 1 day = 1,000.00", lesser, of_first,
    ]  # fmt: skip
    assert steps(price(rooms[1], stays)) == [
        "1,000.00 a day x 2 days = 2,000.00",
        lesser,
        "the stay's charges 1,000.00 x 3,000.00 / the stay's days 3,000.00 = 1,000.00",
        of_first,
        "1,000.00 - 333.33 = 666.67",
    ]
    assert steps(price(packaged, stays)) == []


def test_prepaid_by_a_price_above_the_charge() -> None:
    inputs = {"priced_by": "fee_table", "fee_table_code": "T", "fee_amount": 25_000,
              "lesser_of_charge": False}  # fmt: skip
    told = price(
        line(pricing_method_code="capitated", pricing_inputs=inputs, allowed_amount=20_000), []
    )
    assert steps(told) == [
        "fee 250.00 x 1 unit = 250.00", "the lesser of 250.00 and charge 200.00 = 200.00",
    ]  # fmt: skip


def test_figures_of_another_release_tell_the_amount_alone() -> None:
    told = price(line(pricing_method_code="case_rate", pricing_inputs={"rate": 5}), [])
    assert told is not None
    assert (told.says, told.amount, told.steps) == ("by case rate", 10_000, ())
    lacking = price(line(pricing_inputs={"fee_amount": 10_000}), [])
    assert lacking is not None
    assert lacking.steps == ()


def test_the_maximum_stops_a_copay_and_a_deductible() -> None:
    left = {"member_out_of_pocket_remaining": 700, "family_out_of_pocket_remaining": 90_000}
    copay = share(line(copay_amount=700, benefit_inputs={"copay_amount": 1_000, **left}))
    assert steps(copay) == [
        "the least of copay 10.00, allowed 100.00 and member's maximum left 7.00 = 7.00"
    ]
    assert copay is not None
    assert [c.says for c in copay.counters] == ["7.00 - 7.00 = 0.00", "900.00 - 7.00 = 893.00"]
    inputs = {"deductible_applies": True, "coinsurance_basis_points": 2_000,
              "deductible_remaining": 5_000, **left}  # fmt: skip
    assert steps(share(line(deductible_amount=700, benefit_inputs=inputs))) == [
        "the least of deductible left 50.00, allowed 100.00 and member's maximum left 7.00 = 7.00",
        "allowed 100.00 - deductible 7.00 = 93.00",
        "93.00 x 20 % = 18.60",
        "the lesser of coinsurance 18.60 and member's maximum left 0.00 = 0.00",
        "deductible 7.00 + coinsurance 0.00 = 7.00",
    ]


def test_shares_of_nothing() -> None:
    copay = {"copay_amount": 1_000}
    waived = share(line(benefit_inputs=copay | {"waived_if_admitted": True}))
    prepaid = share(
        line(pricing_method_code="capitated", benefit_inputs={"coinsurance_basis_points": 2_000})
    )
    empty = share(line(allowed_amount=0, benefit_inputs=copay))
    for told, words in ((waived, "waived"), (prepaid, "prepaid"), (empty, "nothing is allowed")):
        assert told is not None
        assert words in told.says
        assert (told.amount, told.steps, told.counters) == (0, (), ())
    assert share(line()) is None


def test_figures_that_do_not_come_to_the_stored_amount_are_told_so(two_nights: str) -> None:
    whole = told(two_nights, "FT-1")
    part = whole.lines[0]["price"]
    assert "    allowed 88.00\n" in as_text(whole)
    part |= {"amount": 8_801, "agrees": False}
    assert "    allowed 88.01 was kept, which is not what these figures come to\n" in as_text(whole)


# ---- hostile text ----------------------------------------------------------------------------


def test_hostile_text_is_inert_on_a_terminal(two_nights: str) -> None:
    whole = told(two_nights, "FT-1")
    whole.claim["patient_control_number"] = "A\x1b[31m\u202eB\nC\t" + "D" * 200
    text = as_text(whole)
    assert all(c.isprintable() for c in text.replace("\n", ""))
    assert max(map(len, text.splitlines())) <= 80


# ---- the command -----------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["explain", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_tells_the_same_as_text_and_data(two_nights: str) -> None:
    number = told(two_nights, "TF-61").claim["claim_number"]
    code, text, _ = command(number.lstrip("0"), "--db", two_nights)
    assert code == 0
    assert text == as_text(told(two_nights, "TF-61")) + "\n"
    code, data, _ = command(number, "--json", "--line", "1", "--db", two_nights)
    assert code == 0
    assert json.loads(data) == json.loads(json.dumps(told(two_nights, "TF-61").as_json()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["999999999999"], "no claim has this number; the store holds claims 000000000001 to"),
        (["S9999"], "no submission has this number; the store holds submissions S1 to S"),
        (["TF-61"], "that is no claim number: write its 12 digits"),
        (["1234567890123"], "that is no claim number"),
        (["1", "--line", "9"], "the claim has no line 9; it has lines 1 to 4"),
        (["4", "--line", "0"], "the claim has no line 0; it has one line, number 1"),
    ],
)
def test_an_unknown_claim_is_told_with_what_there_is(
    two_nights: str, arguments: list[str], words: str
) -> None:
    code, text, error = command(*arguments, "--db", two_nights)
    assert code == 1
    assert text == ""
    assert words in error
    assert "TF-61" not in error
    assert ("claims.csv" in error) == (len(arguments) == 1)


def test_a_store_without_claims(tmp_path: Path) -> None:
    engine = store.open_store(f"sqlite:///{tmp_path / 'a.db'}")
    with (
        store.reading(engine) as connection,
        pytest.raises(UnknownClaimError, match="no claim yet"),
    ):
        explain(connection, "1")
