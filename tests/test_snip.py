"""SNIP 3 to 5: a hit and a miss of every rule, days on both sides, and models in plain Python."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from adjudicator.check import LEVELS, check_files
from adjudicator.pipeline import Batch
from adjudicator.programs import load_code_lists, load_forms
from adjudicator.reference import Reference
from adjudicator.sentences import ended_by, says
from adjudicator.snip import RULES, snip
from adjudicator.snip.codes import ICD_10_FIRST_DAY, REMARK
from adjudicator.stages.validate import CHECKS, objections_to_findings, validate
from cli import app
from edi.acks import STATUS
from edi.guide import REMARKS
from edi.read_file import read_file
from schemas import frames
from schemas.frames import empty
from schemas.reference import CodeSets
from tests import build, samples
from tests.test_forms import FORMS, Hit, changed, npi, on_paper, read, segments, without

SHARED = Path(__file__).parents[1].parent / "shared"
CORPUS = SHARED / "corpus"
TABLES = SHARED / "reference" / "tables"
BY_NAME = {rule.name: rule for rule in RULES}


def with_codes(*rows: tuple[str, str, str, str | None]) -> Reference:
    """code_sets of these rows: set, code, first and last day."""
    table = build.frame(
        CodeSets,
        [
            {
                "code_set": code_set, "code": code, "start_date": date.fromisoformat(start),
                "end_date": date.fromisoformat(end) if end else None,
            }
            for code_set, code, start, end in rows
        ],
    )  # fmt: skip
    return Reference("", {"code_sets": table}, {}, forms=load_forms())


def told(batch: Batch, reference: Reference = FORMS) -> list[dict[str, Any]]:
    """What the rules find, as they are kept."""
    parts = list(snip(batch, reference))
    found = pl.concat(parts) if parts else empty(frames.Findings)
    assert found.schema == empty(frames.Findings).schema
    return [{**row, **json.loads(row["inputs"])} for row in found.iter_rows(named=True)]


def names(batch: Batch, reference: Reference = FORMS) -> list[str]:
    return [row["edit"] for row in told(batch, reference)]


# ---- the rules themselves ----------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_told_whole(rule: Any) -> None:
    assert rule.level in (3, 4, 5) and rule.element and rule.source and rule.mend
    assert re.fullmatch(r"[A-Z].*\.", (rule.find.__doc__ or "").split("\n\n")[0], re.S)
    for code in (rule.status_code, *rule.other_codes):
        assert re.fullmatch(STATUS, code)
    finding = {
        "edit": rule.name, "disposition": "reject", "line_number": None,
        "inputs": {"level": rule.level, "element": rule.element, "cause": "something is wrong"},
    }  # fmt: skip
    assert says(finding) == f"{rule.element}: something is wrong"
    assert ended_by(finding) == rule.mend


def test_rules_have_names_of_their_own_and_stand_by_level() -> None:
    assert len(BY_NAME) == len(RULES)
    assert not BY_NAME.keys() & {check.edit for check in CHECKS.values()}
    assert [rule.level for rule in RULES] == sorted(rule.level for rule in RULES)


def test_claim_statuses_are_known_to_pyx12() -> None:
    import pyx12

    text = (Path(pyx12.__file__).parent / "map" / "codes.xml").read_text("utf-8")
    known = {
        name: set(re.findall(r"<code>(\w+)</code>", text.split(f"<id>{name}<")[1].split("<id>")[0]))
        for name in ("claim_status_cat", "claim_status", "entity_id")
    }  # fmt: skip
    for rule in RULES:
        for code in (rule.status_code, *rule.other_codes):
            category, status, *entity = code.split(":")
            assert category in known["claim_status_cat"]
            assert status in known["claim_status"]
            assert set(entity) <= known["entity_id"]
            assert bool(entity) == (status in {"145", "501", "562"})


@pytest.mark.skipif(not TABLES.is_dir(), reason=f"{TABLES} is absent")
def test_remarks_are_in_force_and_no_alerts() -> None:
    codes = pl.read_parquet(TABLES / "adjustment_codes.parquet")
    usable = codes.filter(
        (pl.col("adj_type") == "RARC") & pl.col("adj_end_date").is_null() & ~pl.col("is_alert")
    )["adj_code"].to_list()
    text = "".join(p.read_text("utf-8") for p in Path("adjudicator/snip").glob("*.py"))
    used = set(re.findall(r'"((?:N|MA?)\d{1,3})"', text))
    assert len(used) > 15 and used <= set(usable)


# ---- a hit of every rule on 837 ----------------------------------------------------------------

# the other payer's 300.00 and 1,250.00 balance: 100 paid + CO-45 200, 500 paid + CO-45 750
LINE_2430 = """
    DTP*472*D8*20250513
    SVD*SHH01*{paid}*HC:99213**1
    CAS*CO*45*{adjusted}
    DTP*573*D8*20250501
"""
# 60 + 140 = 200 of the first line; the second, 100, is left: claim 60 + 140 + CAS 2320 100 = 300,
# and AMT D 60 - 100 = -40 isn't what was paid, so that CAS 2320 is none of it
BY_LINE = (
    ("CAS*CO*45*200", ""),
    ("SV1*HC:93000*100*UN*2***1", "SV1*HC:93000*100*UN*2***1"),
    ("DTP*472*RD8*20250513-20250513",
     "DTP*472*RD8*20250513-20250513\nSVD*SHH01*40*HC:93000**1\nCAS*CO*45*60\nDTP*573*D8*20250501"),
    ("DTP*472*D8*20250513", LINE_2430.format(paid="60", adjusted="140")),
)  # fmt: skip


def remade(base: str, *changes: tuple[str, str]) -> Batch:
    """The base with segments, each the first that begins so, put as other lines."""
    made = segments(base)
    for old, new in changes:
        place = next(n for n, segment in enumerate(made) if segment.startswith(old))
        made[place : place + 1] = samples.segments(new)
    return read("P" if base[0] == "P" else "I", made)


HITS = (
    (Hit("P", "AMT*D*100", "AMT*D*100.01", "", "other_payer_claim_balance"), "A7:672"),
    (Hit("P", "AMT*D*100", "AMT*D*99.99", "", "other_payer_claim_balance"), "A7:672"),
    (Hit("P", "CAS*CO*45*200", "", "", "other_payer_claim_balance"), "A7:672"),
    (Hit("I", "CAS*CO*45*750", "CAS*CO*45*749.99", "", "other_payer_claim_balance"), "A7:672"),
    (Hit("P", "DTP*439", "", "", "accident_undated"), "A6:727"),
    (Hit("P", "SBR*S*01", "SBR*P*01", "", "responsibility_twice"), "A8:171"),
    (Hit("P", "DTP*472*RD8*20250513-20250513", "DTP*472*RD8*20250513-20250512", "",
         "reversed_dates", 2), "A7:187"),
    (Hit("I", "DTP*434*RD8*20250504-20250506", "DTP*434*RD8*20250506-20250504", "",
         "reversed_dates"), "A7:188"),
    (Hit("I", "HI*BH:02", "HI*BI:70:RD8:20250403-20250402*BH:02", "", "reversed_dates"), "A7:722"),
    (Hit("P", "DTP*435*D8*20250510",
         "DTP*435*D8*20250510\nDTP*314*RD8*20250512-20250511", "", "reversed_dates"), "A7:21"),
    (Hit("P", f"NM1*82*1*OSTERBRIDGE*HAL****XX*{npi('rendering')}",
         "NM1*82*1*OSTERBRIDGE*HAL****XX*2000000000", "", "npi"), "A7:562:82"),
    (Hit("I", f"NM1*71*1*BRACKENWELL*TESS****XX*{npi('attending')}",
         "NM1*71*1*BRACKENWELL*TESS****XX*ABC", "", "npi"), "A7:562:71"),
    (Hit("P", "PRV*BI*PXC*207Q00000X", "PRV*BI*PXC*207Q00000", "", "taxonomy_code"), "A7:145:85"),
    (Hit("I", "CLM*F1*1250***11", "CLM*F1*1250***19", "", "bill_type"), "A7:228"),
    (Hit("P", "CLM*F1*300***21", "CLM*F1*300***28", "", "place_of_service", 1), "A7:249"),
    (Hit("I", "SV2*0120", "SV2*0010", "", "revenue_code", 1), "A7:455"),
    (Hit("I", "SV2*0120", "SV2*120", "", "revenue_code", 1), "A7:455"),
    (Hit("P", "SV1*HC:99213", "SV1*HC:00000", "", "procedure_code", 1), "A7:454"),
    (Hit("P", "SV1*HC:99213", "SV1*HC:9921", "", "procedure_code", 1), "A7:454"),
    (Hit("P", "HI*ABK:S52501A*ABF:I10", "HI*ABK:ZZZZ99*ABF:I10", "", "diagnosis_code"), "A7:254"),
    (Hit("P", "HI*ABK:S52501A*ABF:I10", "HI*ABK:S52501A*ABF:10", "", "diagnosis_code"), "A7:255"),
    (Hit("P", "HI*ABK:S52501A*ABF:I10", "HI*BK:4660*BF:4019", "", "diagnosis_version"), "A7:255"),
    (Hit("I", "HI*BBR:0PSH04Z", "HI*BBR:0PSH04O", "", "inpatient_procedure_code"), "A7:465"),
    (Hit("I", "HI*BBQ:30233N1", "HI*BBQ:30233N", "", "inpatient_procedure_code"), "A7:490"),
    (Hit("P", "CAS*CO*45*200", "CAS*CO*A4500*200", "", "adjustment_reason_code"), "A7:521"),
    (Hit("P", "OI***Y***Y", "OI***Y***Y\nMOA***MA01*45", "", "remittance_remark_code"), "A7:286"),
    (Hit("I", "OI***Y***Y", f"OI***Y***Y\nMIA*0{'*' * 22}MA1", "", "remittance_remark_code"),
     "A7:286"),
)  # fmt: skip


@pytest.mark.parametrize(("hit", "status"), HITS, ids=lambda h: getattr(h, "new", None))
def test_a_rule_is_hit_by_what_an_837_says(hit: Hit, status: str) -> None:
    found = told(remade(hit.base, (hit.old, hit.new)))
    first = next(f for f in found if f["edit"] == hit.name and f["status_code"] == status)
    assert (first["line_number"], first["disposition"]) == (hit.line, "reject")
    rule = BY_NAME[hit.name]
    assert first["level"] == rule.level and first["element"] and first["cause"]
    assert {f["edit"] for f in found} == {hit.name}


def test_every_rule_is_hit() -> None:
    below = {"other_payer_line_balance", "other_payer_paid_balance", "other_payer_unnamed",
             "state_code"}  # fmt: skip
    assert {hit.name for hit, _ in HITS} | below == set(BY_NAME)


@pytest.mark.parametrize("base", ["P", "I", "outpatient", "P child", "I child", "outpatient child"])
def test_a_whole_claim_misses_every_rule(base: str) -> None:
    assert told(read("P" if base[0] == "P" else "I", segments(base))) == []


@pytest.mark.parametrize("kind", "PI")
def test_no_value_of_a_claim_is_repeated(kind: str) -> None:
    """A canary in every code that a rule may find wrong is in no finding."""
    made = [
        re.sub(r"(?<=HC:)\w+|(?<=BK:)\w+|(?<=BBR:)\w+", "CANARY", segment)
        for segment in segments(kind)
    ]
    made = [re.sub(r"(?<=\*XX\*)\d+", "CANARY", segment) for segment in made]
    made = [re.sub(r"^SV2\*\d+", "SV2*CANARY", segment) for segment in made]
    made = [re.sub(r"^PRV\*BI\*PXC\*.*", "PRV*BI*PXC*CANARY", segment) for segment in made]
    made = [s.replace("CAS*CO*45", "CAS*CO*CANAR") for s in made]
    found = told(read(kind, made))
    assert len(found) > 3
    assert "CANAR" not in json.dumps([f["inputs"] for f in found])


# ---- balancing ---------------------------------------------------------------------------------


def test_a_payer_that_decided_by_line_balances() -> None:
    # lines 60 + 140 = 200 and 40 + 60 = 100; AMT D 100 = 60 + 40; claim 100 + 0 + 140 + 60 = 300
    assert names(remade("P", *BY_LINE)) == []


def test_a_line_of_another_payer_out_of_balance_by_a_cent() -> None:
    made = (*BY_LINE[:-1], (BY_LINE[-1][0], LINE_2430.format(paid="60", adjusted="140.01")))
    found = told(remade("P", *made))
    # line 1: 60 + 140.01; the claim: 100 + 140.01 + 60 = 300.01; what was paid agrees
    assert [(f["edit"], f["line_number"]) for f in found] == [
        ("other_payer_line_balance", 1), ("other_payer_claim_balance", None),
    ]  # fmt: skip
    assert found[0]["cause"] == (
        "the line's charge, 200.00, is not what another payer paid, 60.00, plus its adjustments, "
        "140.01"
    )


def test_what_was_paid_is_that_of_the_lines_less_the_claims_adjustments() -> None:
    # Σ SVD02 100 − CAS of the claim 10 = 90; and 90 + 10 + 200 = 300
    less = [(old, "CAS*PR*1*10" if old == "CAS*CO*45*200" else new) for old, new in BY_LINE]
    assert names(remade("P", *less, ("AMT*D*100", "AMT*D*90"))) == []
    # 100 + 10 + 200 = 310 neither
    assert names(remade("P", *less)) == ["other_payer_paid_balance", "other_payer_claim_balance"]


def test_a_service_that_the_payer_split_counts_together() -> None:
    # 60 + 140 = 200 as 50 + 100 and 10 + 40
    split = """
        DTP*472*D8*20250513
        SVD*SHH01*50*HC:99213**1
        CAS*CO*45*100
        DTP*573*D8*20250501
        SVD*SHH01*10*HC:99212**1
        CAS*CO*45*40
        DTP*573*D8*20250501
    """
    assert names(remade("P", *BY_LINE[:-1], (BY_LINE[-1][0], split))) == []


def test_a_line_decided_by_a_payer_that_the_claim_does_not_name() -> None:
    stray = LINE_2430.replace("SHH01", "NOONE").format(paid="60", adjusted="140")
    found = told(remade("P", *BY_LINE[:-1], (BY_LINE[-1][0], stray)))
    assert ("other_payer_unnamed", 1) in [(f["edit"], f["line_number"]) for f in found]
    assert all(f["status_code"] == "A8:286" for f in found if f["edit"] == "other_payer_unnamed")


def test_a_payer_that_has_not_decided_need_not_balance() -> None:
    waits = (("CAS*CO*45*200", ""), ("AMT*D*100", "AMT*D*0"), ("DTP*573", ""))
    assert names(remade("P", *waits)) == []
    assert names(remade("P", *waits[:2])) == ["other_payer_claim_balance"]
    assert names(remade("P", waits[0], ("AMT*D*100", ""))) == []  # its box asks for the amount


def test_two_payers_of_one_number_leave_open_whose_lines_they_are() -> None:
    second = """
        DTP*573*D8*20250501
        SBR*T*18******CI
        AMT*D*7
        OI***Y***Y
        NM1*IL*1*TALLOWAY*ORRIN****MI*MB444
        NM1*PR*2*SECOND HARVEST HEALTH*****PI*SHH01
    """
    assert names(remade("P", *BY_LINE, ("DTP*573", second))) == []


def test_paper_says_only_what_was_paid() -> None:
    batch = on_paper("P")
    unbalanced = batch.with_(
        other_payer_adjustments=batch.other_payer_adjustments.clear(),
        other_payers=batch.other_payers.with_columns(
            paid_amount=pl.lit(100, dtype=pl.Int64), adjudication_date=date(2025, 5, 1)
        ),
    )
    assert "other_payer_claim_balance" not in names(unbalanced)


class Payer(NamedTuple):
    number: str | None
    paid: int | None
    decided: bool
    adjusted: tuple[int, ...]


class Loop(NamedTuple):
    number: str | None
    paid: int
    adjusted: tuple[int, ...]


class Claim(NamedTuple):
    charge: int
    payers: tuple[Payer, ...]
    lines: tuple[tuple[int, tuple[Loop, ...]], ...]


FEW = st.integers(-1, 3)
CAS = st.lists(FEW, max_size=2).map(tuple)
NUMBERS = st.sampled_from(["A", "B", None])
CLAIMS = st.builds(
    Claim,
    st.integers(0, 6),
    st.lists(
        st.builds(Payer, NUMBERS, st.none() | FEW, st.booleans(), CAS), max_size=3
    ).map(tuple),
    st.lists(
        st.tuples(FEW, st.lists(st.builds(Loop, NUMBERS, FEW, CAS), max_size=3).map(tuple)),
        max_size=3,
    ).map(tuple),
)  # fmt: skip


def modelled(claims: Sequence[Claim]) -> Counter[tuple[str, int, int | None]]:
    """The three equations and the unnamed payers, a claim and a payer at a time."""
    found: set[tuple[str, int, int | None, str]] = set()
    for number, claim in enumerate(claims, start=1):
        named = {p.number for p in claim.payers if p.number}
        for place, (charge, loops) in enumerate(claim.lines, start=1):
            for payer in {loop.number for loop in loops}:
                mine = [loop for loop in loops if loop.number == payer]
                if charge != sum(m.paid + sum(m.adjusted) for m in mine):
                    found.add(("other_payer_line_balance", number, place, str(payer)))
                if payer not in named:
                    found.add(("other_payer_unnamed", number, place, ""))
        everywhere = [loop for _, loops in claim.lines for loop in loops]
        for place, payer in enumerate(claim.payers):
            mine = [o for o in everywhere if o.number is not None and o.number == payer.number]
            same = [p for p in claim.payers if p.number == payer.number]
            if payer.paid is None or (mine and len(same) > 1):
                continue
            own = sum(payer.adjusted)
            if mine and payer.paid != sum(m.paid for m in mine) - own:
                found.add(("other_payer_paid_balance", number, None, str(place)))
            silent = not payer.paid and not payer.decided and not payer.adjusted and not mine
            if not silent and claim.charge != payer.paid + own + sum(sum(m.adjusted) for m in mine):
                found.add(("other_payer_claim_balance", number, None, str(place)))
    return Counter((rule, claim, line) for rule, claim, line, _ in found)


def framed(claims: Sequence[Claim]) -> Batch:
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, claim in enumerate(claims, start=1):
        rows["claims"].append(
            {"claim_id": number, "charge_amount": claim.charge, "source_format_code": "837P"}
        )
        for place, payer in enumerate(claim.payers, start=1):
            rows["payers"].append({
                "claim_id": number, "payer_sequence": place, "payer_number": payer.number,
                "paid_amount": payer.paid,
                "adjudication_date": date(2025, 5, 1) if payer.decided else None,
            })  # fmt: skip
            rows["cas"] += [
                {"claim_id": number, "payer_sequence": place, "adjustment_amount": amount}
                for amount in payer.adjusted
            ]
        for place, (charge, loops) in enumerate(claim.lines, start=1):
            line = {"claim_id": number, "line_number": place}
            rows["lines"].append({**line, "charge_amount": charge})
            for at, loop in enumerate(loops, start=1):
                rows["svd"].append({
                    **line, "adjudication_sequence": at, "payer_number": loop.number,
                    "paid_amount": loop.paid,
                })  # fmt: skip
                rows["cas"] += [
                    {**line, "adjudication_sequence": at, "adjustment_amount": amount}
                    for amount in loop.adjusted
                ]
    return Batch(
        build.frame(frames.Claims, rows["claims"]),
        build.frame(frames.Lines, rows["lines"]),
        other_payers=build.frame(frames.OtherPayers, rows["payers"]),
        other_payer_lines=build.frame(frames.OtherPayerLines, rows["svd"]),
        other_payer_adjustments=build.frame(
            frames.OtherPayerAdjustments, rows["cas"], {"group_code": "CO", "reason_code": "45"}
        ),
    )


BALANCING = {rule.name for rule in RULES if rule.level == 3} | {"other_payer_unnamed"}


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(st.lists(CLAIMS, min_size=1, max_size=4))
def test_balancing_is_that_of_a_model_in_plain_python(claims: list[Claim]) -> None:
    batch = framed(claims)
    ours: Counter[tuple[str, int, int | None]] = Counter()
    for name in BALANCING:
        found = BY_NAME[name](batch, FORMS)
        if found is not None:
            ours.update((name, *row) for row in found.select("claim_id", "line_number").rows())
    assert ours == modelled(claims)


# ---- pointers ----------------------------------------------------------------------------------


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.lists(st.lists(st.integers(1, 13) | st.just(0), min_size=1, max_size=5), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_pointers_are_those_of_a_model_in_plain_python(
    claims: list[tuple[int, list[list[int]]]],
) -> None:
    """Pointers: a claim's number of diagnoses, and each line's pointers; 0 stands for no number."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    expected = set()
    for number, (diagnoses, lines) in enumerate(claims, start=1):
        rows["claims"].append({"claim_id": number, "claim_type_code": "P"})
        rows["diagnoses"] += [
            {"claim_id": number, "sequence_number": n + 1, "qualifier_code": "ABF",
             "diagnosis_code": "I10"} for n in range(diagnoses)
        ]  # fmt: skip
        for place, pointers in enumerate(lines, start=1):
            text = ":".join(str(p) if p else "X" for p in pointers)
            rows["lines"].append(
                {"claim_id": number, "line_number": place, "diagnosis_pointers": text}
            )
            if any(p == 0 or p > diagnoses for p in pointers):
                expected.add((number, place, "to no diagnosis"))
            if len(pointers) > 4:
                expected.add((number, place, "too many"))
    batch = Batch(
        build.frame(frames.Claims, rows["claims"], {"source_format_code": "837P"}),
        build.frame(frames.Lines, rows["lines"]),
        diagnoses=build.frame(frames.Diagnoses, rows["diagnoses"]),
    )
    found = validate(batch, FORMS).findings.filter(pl.col("edit") == "diagnosis_pointer")
    ours = {
        (row["claim_id"], row["line_number"],
         "too many" if "more than" in row["inputs"] else "to no diagnosis")
        for row in found.iter_rows(named=True)
    }  # fmt: skip
    assert ours == expected


# ---- levels of the boxes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "old", "new", "edit", "level"),
    [
        ("P", "CLM*F1*300", "CLM*F1*301", "total_charge", 3),
        ("P", "REF*F8", "", "original_number", 4),
        ("I", "REF*F8", "", "original_number", 4),
        ("P", "SV1*HC:99213*200*UN*1***1:2", "SV1*HC:99213*200*UN*1***1:3",
         "diagnosis_pointer", 4),
        ("outpatient", "DTP*472", "", "mandatory_field", 4),
        ("P", "SV1*HC:99213*200*UN*1***1:2", "SV1*HC:99213*200*UN*1***1:2:1:2:1",
         "diagnosis_pointer", 7),
        ("P", "DTP*435", "", "mandatory_field", 7),
        ("P", "CLM*F1*300***21:B:7", "CLM*F1*300***21:B:2", "interim_bill", 7),
    ],
)  # fmt: skip
def test_a_box_that_x12_asks_as_well_is_of_its_level(
    base: str, old: str, new: str, edit: str, level: int
) -> None:
    found = validate(read("P" if base[0] == "P" else "I", changed(base, old, new)), FORMS).findings
    levels = [
        json.loads(inputs)["level"]
        for name, inputs in found.select("edit", "inputs").iter_rows()
        if name == edit
    ]
    assert levels == [level]


# ---- situations: misses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "hit"), [("AA", True), ("OA", True), ("EM", False), ("AA:EM", True), ("", False)]
)
def test_an_accident_of_car_or_another_kind_has_a_day(cause: str, hit: bool) -> None:
    claim = f"CLM*F1*300***21:B:7*Y*A*Y*Y*P*{cause}::CT".removesuffix("*::CT")
    made = remade("P", ("CLM", claim), ("DTP*439", ""))
    assert ("accident_undated" in names(made)) == hit


def test_an_institutional_accident_is_told_by_its_occurrence() -> None:
    batch = read("I", segments("I"))
    extra = {"claim_id": 0, "sequence_number": 99, "qualifier_code": "CLM11", "code": "AA"}
    more = pl.concat([batch.occurrences, build.frame(frames.Occurrences, [extra])])
    assert names(batch.with_(occurrences=more)) == []


@pytest.mark.parametrize(
    ("ours", "other", "third", "hit"),
    [
        ("P", "S", "T", False), ("S", "P", "T", False), ("P", "P", "T", True),
        ("S", "P", "P", True), ("T", "P", "T", True), ("P", "U", "U", False),
        ("U", "U", "P", False),
    ],
)  # fmt: skip
def test_each_payer_has_a_place_of_its_own(ours: str, other: str, third: str, hit: bool) -> None:
    batch = read("P", segments("P"))
    payer = batch.other_payers.with_columns(responsibility_code=pl.lit(other))
    last = payer.with_columns(
        responsibility_code=pl.lit(third), payer_sequence=pl.lit(2, dtype=pl.Int64),
        paid_amount=pl.lit(None, dtype=pl.Int64),
    )  # fmt: skip
    batch = batch.with_(
        claims=batch.claims.with_columns(responsibility_code=pl.lit(ours)),
        other_payers=pl.concat([payer, last]),
    )
    assert names(batch) == ["responsibility_twice"] * hit


@pytest.mark.parametrize(("last", "hit"), [("20250512", True), ("20250513", False)])
def test_a_range_may_be_one_day(last: str, hit: bool) -> None:
    made = remade("P", ("DTP*472*RD8*", f"DTP*472*RD8*20250513-{last}"))
    assert names(made) == ["reversed_dates"] * hit


# ---- NPI ---------------------------------------------------------------------------------------


def luhn(number: str) -> bool:
    """ISO 7812 as printed: from the right double every second digit, add the digits."""
    total = 0
    for place, character in enumerate(reversed("80840" + number)):
        digit = int(character)
        if place % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def providers(*numbers: str | None) -> Batch:
    rows = [{"claim_id": n, "role_code": "85", "npi": number} for n, number in enumerate(numbers)]
    return Batch(
        empty(frames.Claims), empty(frames.Lines),
        claim_providers=build.frame(frames.ClaimProviders, rows),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(st.from_regex(r"\A[0-9]{10}\Z"), min_size=1, max_size=20))
def test_a_check_digit_is_that_of_a_model_in_plain_python(numbers: list[str]) -> None:
    found = BY_NAME["npi"](providers(*numbers), FORMS)
    wrong = [] if found is None else found["claim_id"].to_list()
    assert wrong == [n for n, v in enumerate(numbers) if v[0] not in "12" or not luhn(v)]


def test_an_npi_of_another_form() -> None:
    good = samples.npi(7)
    assert luhn(good) and good[0] == "2"
    found = BY_NAME["npi"](
        providers(good, None, good[:-1], good + "0", "ABC", good[:-1] + "X", "1234567893"), FORMS
    )
    assert found is not None and found["claim_id"].to_list() == [2, 3, 4, 5]


# ---- our own lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "day", "hit"),
    [
        ("10", date(2021, 12, 31), True), ("10", date(2022, 1, 1), False),
        ("27", date(2023, 9, 30), True), ("27", date(2023, 10, 1), False),
        ("19", date(2015, 12, 31), True), ("19", date(2016, 1, 1), False),
        ("11", date(2010, 1, 1), False), ("28", date(2025, 5, 13), True),
    ],
)  # fmt: skip
def test_a_place_of_service_has_a_first_day(place: str, day: date, hit: bool) -> None:
    batch = read("P", segments("P"))
    lines = batch.lines.with_columns(
        place_of_service_code=pl.Series([place, "11"]), service_from_date=pl.lit(day),
        service_through_date=pl.lit(day),
    )  # fmt: skip
    found = told(batch.with_(lines=lines))
    of_place = [(f["line_number"], f["disposition"]) for f in found if f["level"] == 5]
    own = [row for row in of_place if row[0] is not None]
    assert own == [(1, "reject")] * hit


def test_a_line_without_a_day_is_of_its_bill() -> None:
    batch = read("I", segments("I"))
    lines = batch.lines.with_columns(place_of_service_code=pl.lit("10"))
    for last, hit in ((date(2021, 12, 31), True), (date(2022, 1, 1), False)):
        claims = batch.claims.with_columns(statement_through_date=pl.lit(last))
        found = names(batch.with_(lines=lines, claims=claims))
        assert ("place_of_service" in found) == hit


@pytest.mark.skipif(not TABLES.is_dir(), reason=f"{TABLES} is absent")
def test_our_lists_are_those_of_the_reference_data() -> None:
    lists = load_code_lists()
    ub = pl.read_parquet(TABLES / "ub_code_systems.parquet")
    revenue = ub.filter(system="CLM-REV-CNTR-CD")["code"].str.slice(0, 3).unique()
    assert set(lists.revenue_categories) == set(revenue) - {"000"}  # 0001 is a total
    assert set(lists.bill_types) <= set(ub.filter(system="CLM-BILL-CLSFCTN-CD")["code"])
    assigned = pl.read_parquet(TABLES / "place_of_service.parquet").filter(
        pl.col("pos_type") != "Unassigned"
    )
    assert {p.code for p in lists.places_of_service} == set(assigned["pos_code"])


def test_a_state_on_paper() -> None:
    batch = on_paper("P")
    assert "state_code" not in names(batch)
    wrong = batch.people.with_columns(
        state_code=pl.when(pl.col("role") == "patient").then(pl.lit("XX")).otherwise("state_code")
    )
    found = told(batch.with_(people=wrong))
    assert [(f["edit"], f["status_code"]) for f in found] == [("state_code", "A7:501:QC")]
    abroad = wrong.with_columns(country_code=pl.lit("FR"))
    assert names(batch.with_(people=abroad)) == []
    elsewhere = batch.claim_providers.with_columns(state_code=pl.lit("ZZ"))
    codes = {f["status_code"] for f in told(batch.with_(claim_providers=elsewhere))}
    assert "A7:501:85" in codes
    assert "state_code" not in names(read("P", segments("P")).with_(people=wrong))  # pyx12 asks


# ---- loaded lists ------------------------------------------------------------------------------

YEAR_2025 = ("2024-10-01", "2025-09-30")
OF_P = (("ICD10CM", "S52501A", *YEAR_2025), ("ICD10CM", "I10", *YEAR_2025))
OF_I = (
    ("ICD10PCS", "0PSH04Z", *YEAR_2025), ("ICD10PCS", "30233N1", *YEAR_2025),
    ("ICD10CM", "S52501A", *YEAR_2025), ("ICD10CM", "V4352XA", *YEAR_2025),
)  # fmt: skip


def moved(batch: Batch, day: date) -> Batch:
    """All lines on that day."""
    return batch.with_(
        lines=batch.lines.with_columns(
            service_from_date=pl.lit(day), service_through_date=pl.lit(day)
        )
    )


def outcomes(batch: Batch, reference: Reference) -> list[tuple[str, str]]:
    return [(f["edit"], f["disposition"]) for f in told(batch, reference)]


def test_nothing_is_said_where_nothing_is_loaded() -> None:
    assert outcomes(read("P", segments("P")), with_codes()) == []


def test_a_code_that_the_release_of_the_day_has() -> None:
    assert outcomes(read("P", segments("P")), with_codes(*OF_P)) == []
    assert outcomes(read("I", segments("I")), with_codes(*OF_I)) == []


def test_a_code_that_the_release_of_the_day_has_not() -> None:
    found = told(read("P", segments("P")), with_codes(OF_P[0]))
    assert [(f["edit"], f["disposition"], f["status_code"], f["element"]) for f in found] == [
        ("diagnosis_code", "reject", "A7:255", "2300 HI ABF, number 2")
    ]
    principal = told(read("P", segments("P")), with_codes(OF_P[1]))
    assert [f["status_code"] for f in principal] == ["A7:254"]
    found = told(read("I", segments("I")), with_codes(*OF_I[1:]))
    assert [(f["edit"], f["status_code"]) for f in found] == [
        ("inpatient_procedure_code", "A7:465")
    ]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # I10 was in the release of 2024 alone, S52501A is in both
        (date(2024, 9, 30), []),
        (date(2024, 10, 1), [("diagnosis_code", "reject")]),
        (date(2025, 9, 30), [("diagnosis_code", "reject")]),
        # no release of the day: both codes are in another one
        (date(2025, 10, 1), []),
        (date(2023, 9, 30), []),
    ],
)
def test_the_day_of_service_decides(day: date, expected: list[tuple[str, str]]) -> None:
    releases = with_codes(
        OF_P[0],
        ("ICD10CM", "S52501A", "2023-10-01", "2024-09-30"),
        ("ICD10CM", "I10", "2023-10-01", "2024-09-30"),
    )
    assert outcomes(moved(read("P", segments("P")), day), releases) == expected


def test_a_code_of_no_release_is_noted_where_none_is_of_the_day() -> None:
    other = with_codes(("ICD10CM", "S52501A", "2023-10-01", "2024-09-30"))
    found = told(read("P", segments("P")), other)
    assert [(f["edit"], f["disposition"]) for f in found] == [("diagnosis_code", "inform")]
    kept = {c: found[0][c] for c in ("group_code", "carc", "rarc", "status_code", "pend_code")}
    assert set(kept.values()) == {None}


def test_spans_that_follow_each_other_are_one() -> None:
    """A night of many days asks for no claim where a code goes on from release to release."""
    batch = read("P", segments("P"))
    lines = batch.lines.with_columns(
        service_from_date=pl.Series([date(2024, 9, 30), date(2024, 10, 1)]),
        service_through_date=pl.Series([date(2024, 9, 30), date(2024, 10, 1)]),
    )
    releases = [
        ("ICD10CM", code, *days)
        for code in ("S52501A", "I10")
        for days in (("2023-10-01", "2024-09-30"), YEAR_2025)
    ]
    assert outcomes(batch.with_(lines=lines), with_codes(*releases)) == []
    # with a gap a claim of both days still has a day of each
    gap = [r for r in releases if r != ("ICD10CM", "I10", *YEAR_2025)]
    assert outcomes(batch.with_(lines=lines), with_codes(*gap)) == []
    one_day = moved(batch, date(2024, 10, 1))
    assert outcomes(one_day, with_codes(*gap)) == [("diagnosis_code", "reject")]


@pytest.mark.parametrize(("last", "hit"), [(date(2025, 9, 30), False), (date(2025, 10, 1), True)])
def test_a_stay_is_coded_by_its_last_day(last: date, hit: bool) -> None:
    batch = read("I", segments("I"))
    claims = batch.claims.with_columns(statement_through_date=pl.lit(last))
    newer = ("ICD10CM", "A000", "2025-10-01", None)
    found = outcomes(batch.with_(claims=claims), with_codes(*OF_I[2:], newer))
    assert (("diagnosis_code", "reject") in found) == hit


def test_procedure_codes_are_of_three_lists() -> None:
    batch = read("P", segments("P"))
    lines = batch.lines.with_columns(procedure_code=pl.Series(["J1885", "D0120"]))
    coded = batch.with_(lines=lines)
    open_ = ("2020-01-01", None)
    # CPT alone says nothing of Medicare's and of dentists' codes
    assert outcomes(coded, with_codes(("CPT", "99213", *open_))) == []
    assert outcomes(coded, with_codes(("HCPCS", "J1885", *open_), ("CDT", "D0120", *open_))) == []
    found = told(coded, with_codes(("HCPCS", "J0001", *open_), ("CDT", "D0120", *open_)))
    assert [(f["edit"], f["line_number"]) for f in found] == [("procedure_code", 1)]
    assert outcomes(batch, with_codes(("CPT", "99213", *open_))) == [("procedure_code", "reject")]


@pytest.mark.parametrize(("day", "hit"), [(date(2025, 5, 12), False), (date(2025, 5, 13), True)])
def test_a_line_is_coded_by_its_own_day(day: date, hit: bool) -> None:
    batch = read("P", segments("P"))
    lines = batch.lines.with_columns(service_from_date=pl.Series([day, date(2025, 5, 13)]))
    ended = with_codes(("CPT", "99213", "2020-01-01", "2025-05-12"),
                       ("CPT", "93000", "2020-01-01", None))  # fmt: skip
    found = told(batch.with_(lines=lines), ended)
    assert [f["line_number"] for f in found] == [1] * hit


def test_a_rate_code_is_no_procedure_code() -> None:
    batch = read("I", segments("outpatient"))
    for qualifier, hit in (("HC", True), ("HP", False)):
        lines = batch.lines.with_columns(
            procedure_code=pl.lit("1AFKS0"), procedure_qualifier_code=pl.lit(qualifier)
        )
        assert ("procedure_code" in names(batch.with_(lines=lines))) == hit


@pytest.mark.parametrize(("day", "hit"), [("20250630", False), ("20250701", True)])
def test_a_reason_is_of_the_day_that_payer_decided(day: str, hit: bool) -> None:
    batch = remade("P", ("DTP*573", f"DTP*573*D8*{day}"))
    ended = with_codes(
        ("CARC", "45", "1995-01-01", "2025-06-30"), ("CARC", "1", "1995-01-01", None)
    )
    assert outcomes(batch, ended) == [("adjustment_reason_code", "reject")] * hit


@pytest.mark.parametrize(("day", "hit"), [("20240228", True), ("20240301", False)])
def test_a_remark_is_of_the_day_that_payer_decided(day: str, hit: bool) -> None:
    """MIA and MOA, each of its places; in force from 2024-03-01, or to the day before."""
    listed = with_codes(
        ("RARC", "N890", "2024-03-01", None), ("RARC", "MA01", "1997-01-01", None),
    )  # fmt: skip
    for base, old in (("P", "MOA***MA01*N890"), ("P", "MOA*****MA01**N890"),
                      ("I", "MOA***MA01*N890"), ("I", "MIA*0****N890"),
                      ("I", f"MIA*0{'*' * 19}N890"), ("I", f"MIA*0{'*' * 22}N890")):  # fmt: skip
        batch = remade(base, ("OI***Y***Y", f"OI***Y***Y\n{old}"), ("DTP*573", f"DTP*573*D8*{day}"))
        assert outcomes(batch, listed) == [("remittance_remark_code", "reject")] * hit
        assert outcomes(batch, FORMS) == []  # by form alone it may be one


def test_a_remark_of_no_release_is_noted_where_none_is_of_the_day() -> None:
    of_2025 = with_codes(("RARC", "N890", "2025-01-01", "2025-12-31"))
    for remark, said in (("N890", []), ("N1", [("remittance_remark_code", "inform")])):
        changes = (
            ("OI***Y***Y", f"OI***Y***Y\nMOA***{remark}"),
            ("DTP*573", "DTP*573*D8*20241231"),
        )
        assert outcomes(remade("P", *changes), of_2025) == said


def test_numbers_of_remarks_are_those_the_guide_lets_pass() -> None:
    """What level 2 leaves to this rule it judges: no form passes there alone."""
    form = re.compile(REMARK.form)
    assert all(form.match(code) for code in REMARKS)
    for code, hit in (("M1", True), ("M01", False), ("MA01", True), ("MA1", False), ("N1", True),
                      ("N0", False), ("N999", True), ("N1000", False), ("45", False)):  # fmt: skip
        assert (bool(form.match(code)), code in REMARKS) == (hit, hit)


@pytest.mark.skipif(not TABLES.is_dir(), reason=f"{TABLES} is absent")
def test_every_published_remark_passes_the_guide() -> None:
    codes = pl.read_parquet(TABLES / "adjustment_codes.parquet").filter(adj_type="RARC")
    assert codes.height > 1000
    assert set(codes["adj_code"]) <= REMARKS


def test_a_taxonomy_code_that_is_not_listed() -> None:
    batch = read("P", segments("P"))
    listed = with_codes(("TAXONOMY", "207Q00000X", "2020-01-01", None))
    assert outcomes(batch, listed) == []
    other = with_codes(("TAXONOMY", "208D00000X", "2020-01-01", None))
    found = told(batch, other)
    assert [(f["edit"], f["status_code"]) for f in found] == [("taxonomy_code", "A7:145:85")]


@pytest.mark.parametrize(
    ("day", "codes", "hit"),
    [
        (ICD_10_FIRST_DAY - timedelta(days=1), "HI*BK:4660*BF:4019", False),
        (ICD_10_FIRST_DAY, "HI*BK:4660*BF:4019", True),
        (ICD_10_FIRST_DAY - timedelta(days=1), "HI*ABK:S52501A*ABF:I10", True),
        (ICD_10_FIRST_DAY, "HI*ABK:S52501A*ABF:I10", False),
    ],
)
def test_icd_10_began_on_a_day(day: date, codes: str, hit: bool) -> None:
    batch = moved(remade("P", ("HI*ABK", codes)), day)
    assert names(batch) == ["diagnosis_version"] * hit


class Listed(NamedTuple):
    code: str
    start: int
    length: int | None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["A000", "B000", "C000"]), st.integers(0, 12)), min_size=1,
             max_size=4),
    st.lists(st.tuples(st.sampled_from(["A000", "B000", "D000"]), st.integers(0, 10),
                       st.integers(0, 4) | st.none()), max_size=4),
)  # fmt: skip
def test_lists_are_those_of_a_model_in_plain_python(
    claims: list[tuple[str, int]], spans: list[tuple[str, int, int | None]]
) -> None:
    """A claim is a code and a day; a list is codes from a day on, for so many days or open."""
    origin = date(2025, 1, 1)
    held: dict[str, set[int]] = defaultdict(set)
    rows = []
    for code, start, length in spans:
        days = set(range(start, 99 if length is None else start + length + 1))
        if days & held[code]:
            continue  # a load refuses two spans of one code on one day
        held[code] |= days
        last = None if length is None else (origin + timedelta(days=start + length)).isoformat()
        rows.append(("ICD10CM", code, (origin + timedelta(days=start)).isoformat(), last))
    expected = []
    for number, (code, day) in enumerate(claims):
        if not rows or day in held[code]:
            continue
        if any(day in days for days in held.values()):
            expected.append((number, "reject"))
        elif not held[code]:
            expected.append((number, "inform"))
    batch = Batch(
        build.frame(frames.Claims, [{"claim_id": n} for n in range(len(claims))]),
        build.frame(frames.Lines, [
            {"claim_id": n, "line_number": 1, "service_from_date": origin + timedelta(days=day)}
            for n, (_, day) in enumerate(claims)
        ]),
        diagnoses=build.frame(frames.Diagnoses, [
            {"claim_id": n, "sequence_number": 1, "qualifier_code": "ABK", "diagnosis_code": code}
            for n, (code, _) in enumerate(claims)
        ]),
    )  # fmt: skip
    found = BY_NAME["diagnosis_code"](batch, with_codes(*rows))
    ours = [] if found is None else sorted(found.select("claim_id", "disposition").rows())
    assert ours == expected


# ---- check -------------------------------------------------------------------------------------


def bad_file(folder: Path) -> Path:
    made = [
        s.replace("CLM*F1*300", "CLM*F1*301").replace("CAS*CO*45*200", "CAS*CO*45*201")
        .replace("HC:99213", "HC:00000").replace("HL*2*1*22*0", "HL*2*1*22*1")
        .replace("DTP*435*D8*20250510", "DTP*435*D8*20259999")
        for s in without(segments("P"), "REF*F8")
    ]  # fmt: skip
    set_ = samples.transaction(made)
    path = folder / "bad.837"
    path.write_bytes(samples.write(samples.interchange([samples.group([set_])])))
    return path


def test_check_prints_a_table_that_fits_a_terminal(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(bad_file(tmp_path))])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "bad.837: 1 claim, 6 findings"
    assert lines[1].split() == ["SNIP", "code", "place:", "finding"]
    rows = [(line[2], line[8:23].strip()) for line in lines if re.match(r"  [1-7] ", line)]
    assert rows == [
        ("4", "IK403 7"), ("1", "IK403 8"), ("7", "STC A6:394"), ("4", "STC A6:464"),
        ("3", "STC A7:178"), ("5", "STC A7:454"),
    ]  # fmt: skip
    assert lines[-5:] == [
        "SNIP 1, X12's syntax: 1 finding", "SNIP 3, balancing: 1 finding",
        "SNIP 4, situations: 2 findings", "SNIP 5, code sets: 1 finding",
        "SNIP 7, the payer's own: 1 finding",
    ]  # fmt: skip


def test_check_tells_scripts_level_place_code_text_and_position(tmp_path: Path) -> None:
    path = bad_file(tmp_path)
    result = CliRunner().invoke(app, ["check", str(path), "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.output)
    assert answer["levels"] == {"1": 1, "3": 1, "4": 2, "5": 1, "7": 1}
    wrong = next(f for f in answer["findings"] if f["level"] == 5)
    assert wrong == {
        "file": "bad.837", "level": 5, "scope": "claim", "claim": 1, "line": 1,
        "disposition": "reject", "place": "set 0001 claim 1 line 1 2400 SV101-2 or SV202-2",
        "element": "STC", "code": "A7:454",
        "text": "the procedure code is no code of its code set",
    }  # fmt: skip
    flag = next(f for f in answer["findings"] if f["code"] == "7")
    assert (flag["level"], flag["element"], flag["claim"]) == (4, "IK403", 1)
    assert flag["place"].endswith(" HL04")


def test_every_finding_of_check_has_a_level(tmp_path: Path) -> None:
    (tmp_path / "no.837").write_bytes(b"ISA*00*nothing")
    checked = check_files([tmp_path / "no.837", bad_file(tmp_path)])
    assert checked.rows and {row["level"] for row in checked.rows} <= set(LEVELS)


def test_a_wrong_child_flag_rejects_its_claims_alone(tmp_path: Path) -> None:
    made = samples.body([samples.claim(f"A{n}") for n in range(3)])
    made = [s.replace("HL*3*1*22*0", "HL*3*1*22*1") for s in made]
    data = samples.write(samples.interchange([samples.group([samples.transaction(made)])]))
    reading = read_file(data)
    assert reading.claim_count == 3 and reading.sets["verdict"].to_list() == ["read"]
    assert objections_to_findings(reading.objections)["claim_id"].to_list() == [1]


# ---- the corpus --------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"{CORPUS} is absent")
def test_what_the_corpus_is_found_wrong_in() -> None:
    """Samples of made-up numbers: NPIs whose check digit is none, CLM05 that isn't composed as its
    ISA says. No balanced claim of theirs is found out of balance."""
    claims, found = 0, Counter[tuple[int, str]]()
    of_claims: dict[tuple[int, str], set[tuple[str, int]]] = defaultdict(set)
    for path in sorted(p for p in CORPUS.rglob("*") if p.is_file() and p.suffix != ".tsv"):
        checked = check_files([path])
        claims += checked.files[0]["claims"]
        for row in checked.rows:
            if row["element"] == "STC" and row["level"] in (3, 4, 5):
                key = (row["level"], row["code"].split(":")[1])
                found[key] += 1
                of_claims[key].add((path.name, row["claim"]))
    assert claims == 26
    assert {key: len(its) for key, its in of_claims.items()} == {
        (3, "178"): 5,  # CLM02 against lines whose charge can't be read
        (5, "228"): 3,  # types of bill sent as 13>A>1 or 111
        (5, "249"): 4,  # places sent as 11>B>1
        (5, "562"): 20,  # check digits
    }
    assert not found.keys() & {(3, "672"), (4, "187"), (4, "286"), (4, "171")}
