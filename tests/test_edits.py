"""Each edit on its own by its fixture, then what the stage does with all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl
import pytest
import yaml

from adjudicator.edits import EDITS, Edit, edits
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.programs import load_adjustment_codes, load_benefit_categories, load_programs
from adjudicator.stages.match import match
from schemas import frames
from tests import build

FIXTURES = Path(__file__).parents[1] / "fixtures" / "edits"
SHARED = Path(__file__).parents[1].parent / "shared"
# libyaml where it was built: ten times as quick
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CATEGORIES = load_benefit_categories()
BY_NAME = {edit.name: edit for edit in EDITS}

OTHER_FRAMES: dict[str, tuple[type[dy.Schema], build.Row]] = {
    "other_payers": (
        frames.OtherPayers,
        {"claim_id": 1, "payer_sequence": 1, "responsibility_code": "P"},
    ),
    "other_payer_lines": (
        frames.OtherPayerLines,
        {"claim_id": 1, "line_number": 1, "adjudication_sequence": 1},
    ),
    "other_payer_adjustments": (
        frames.OtherPayerAdjustments,
        {"claim_id": 1, "group_code": "CO", "reason_code": "45"},
    ),
    "findings": (
        frames.Findings,
        {"edit": "earlier", "edit_rank": 1, "disposition": "deny"},
    ),
    "duplicates": (frames.DuplicateLines, {}),
    "versions": (
        frames.Versions,
        {
            "claim_id": 90,
            "claim_number": "000012345678",
            "claim_type_code": "P",
            "payee_id": "P1",
            "program_code": "test",
            "member_id": "M1",
            "received_date": date(2025, 1, 12),
            "disposition": "paid",
            "version_number": 1,
            "charge_amount": 10_000,
            "paid_amount": 8_000,
            "service_from_date": date(2025, 1, 10),
            "service_through_date": date(2025, 1, 10),
        },
    ),
    "occurrences": (frames.Occurrences, {"claim_id": 1, "sequence_number": 1}),
    "diagnoses": (
        frames.Diagnoses,
        {"claim_id": 1, "sequence_number": 1, "qualifier_code": "ABK"},
    ),
    "procedures": (
        frames.Procedures,
        {"claim_id": 1, "sequence_number": 1, "qualifier_code": "BBR"},
    ),
    "references": (frames.References, {"claim_id": 1, "loop": "2300"}),
    "notes": (frames.Notes, {"claim_id": 1, "qualifier_code": "ADD", "note": "as done"}),
    "attachments": (
        frames.Attachments,
        {"claim_id": 1, "report_type_code": "OZ", "transmission_code": "EL"},
    ),
    "claim_providers": (frames.ClaimProviders, {"claim_id": 1, "role_code": "82"}),
    "history": (
        frames.HistoryLines,
        {
            "claim_id": 90,
            "line_number": 3,
            "claim_number": "000000000090",
            "receipt_number": 0,
            "line_disposition": "paid",
            "member_id": "M1",
            "claim_type_code": "P",
            "payee_id": "P1",
            "claim_provider_number": "2000000010",
            "provider_number": "2000000010",
            "procedure_code": "99213",
            "unit_quantity": 1_000,
            "charge_amount": 10_000,
            "service_from_date": date(2025, 1, 10),
            "service_through_date": date(2025, 1, 10),
        },
    ),
}


@cache
def fixture(name: str) -> dict[str, Any]:
    """``hits`` and ``misses``; ``program``, what every case's program has beside its own;
    ``policies``: the program whose policies it has; ``reference``: tables of every case; and
    ``matched``: whether the cases go through *match* first."""
    loaded: dict[str, Any] = yaml.load(
        (FIXTURES / f"{name}.yaml").read_text(encoding="utf-8"), LOADER
    )
    return loaded


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(BY_NAME[name], case, id=f"{name}: {case['says']}")
        for name in BY_NAME
        for case in fixture(name)[kind]
    ]


_FOUND: dict[int, list[dict[str, Any]]] = {}  # by the case, which ``fixture`` holds


def found(edit: Edit, case: dict[str, Any]) -> list[dict[str, Any]]:
    """The edit's findings on a fixture's case, through the stage, with no other edit at work."""
    if id(case) not in _FOUND:
        _FOUND[id(case)] = _find(edit, case)
    return _FOUND[id(case)]


def _find(edit: Edit, case: dict[str, Any]) -> list[dict[str, Any]]:
    others = {}
    for name, (schema, defaults) in OTHER_FRAMES.items():
        rows = case.get(name, [])
        if name == "duplicates":
            rows = [{"of_claim_number": f"{row['of_claim_id']:012}", **row} for row in rows]
        others[name] = build.frame(schema, rows, defaults)
    batch = Batch(
        claims=build.claims(case.get("claims", [{}])),
        lines=build.lines(case.get("lines", [{}])),
        **others,
    )
    of_edit = fixture(edit.name)
    facts = {"edits": (edit.name,), **of_edit.get("program", {}), **case.get("program", {})}
    if code := of_edit.get("policies"):
        facts = {"policies": load_programs()[code].policies, **facts}
    reference = build.reference(
        build.program(**facts),
        benefit_categories=CATEGORIES,
        **{**of_edit.get("reference", {}), **case.get("reference", {})},
    )
    if of_edit.get("matched"):
        batch = match(batch, reference)
    decided = edits(batch, reference)
    rows = decided.findings.filter(edit=edit.name).to_dicts()
    assert len(rows) == decided.findings.height - others["findings"].height
    return [row | {"inputs": json.loads(row["inputs"])} for row in rows]


@pytest.mark.parametrize(("edit", "case"), cases("hits"))
def test_hit(edit: Edit, case: dict[str, Any]) -> None:
    rows = found(edit, case)
    assert len(rows) == len(case["finds"]) > 0
    for row, finds in zip(rows, case["finds"], strict=True):
        expected = {"claim_id": 1, **finds}
        inputs = expected.pop("inputs", {})
        assert {name: row[name] for name in expected} == expected
        assert {name: row["inputs"][name] for name in inputs} == inputs


@pytest.mark.parametrize(("edit", "case"), cases("misses"))
def test_miss(edit: Edit, case: dict[str, Any]) -> None:
    assert found(edit, case) == []


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_complete(edit: Edit) -> None:
    """A citation, a docstring, hits and misses, and only codes that may be put on an 835."""
    assert edit.cites.phrase
    assert edit.find.__doc__
    of_edit = fixture(edit.name)
    assert of_edit["hits"]
    assert of_edit["misses"]
    assert edit.disposition != "pend" or edit.pend_code
    if edit.disposition == "deny":
        assert edit.group_code
        assert edit.carc
    codes = load_adjustment_codes()
    declared = {(edit.group_code, edit.carc), *edit.other_codes} - {(None, None)}
    denials = [
        row for case in of_edit["hits"] for row in found(edit, case) if row["disposition"] == "deny"
    ]
    seen = {(row["group_code"], row["carc"]) for row in denials}
    assert seen == declared  # every outcome stands in a fixture, and none is undeclared
    for group, carc in declared:
        assert carc
        code = codes[carc]
        assert code.kind == "CARC"
        assert code.end_date is None
        assert code.start_date <= date(2021, 1, 1)  # long before any night
        assert code.only_group is None or group in code.only_group.split(" or ")
    for row in denials:
        assert row["rarc"] or not codes[row["carc"]].needs_remark
        assert row["rarc"] is None or codes[row["rarc"]].kind == "RARC"
        # what needs a remark needs one that explains it
        assert row["rarc"] is None or not codes[row["rarc"]].is_alert


def test_every_fixture_has_its_edit() -> None:
    assert {path.stem for path in FIXTURES.glob("*.yaml")} == set(BY_NAME)


def test_adjustment_codes_are_those_of_the_published_list() -> None:
    path = SHARED / "reference" / "tables" / "adjustment_codes.parquet"
    if not path.exists():
        pytest.skip("the published list of adjustment codes is not here (../shared/reference)")
    published = {
        (row["adj_type"], row["adj_code"]): row for row in pl.read_parquet(path).to_dicts()
    }
    for code in load_adjustment_codes().values():
        row = published[code.kind, code.code]
        assert row["adj_start_date"] == code.start_date.isoformat()
        assert row["adj_end_date"] == (code.end_date and code.end_date.isoformat())
        assert row["needs_remark"] == code.needs_remark
        assert row["only_group"] == code.only_group
        assert row["is_alert"] == code.is_alert


def test_order_is_the_written_one() -> None:
    names = [edit.name for edit in EDITS]
    assert names == [
        "correction", "payee_unknown",  # nobody else judges what they find
        "member_unknown", "coverage", "provider_ineligible", "provider_under_review",
        "carve_out", "hospice", "exact_duplicate", "suspected_duplicate", "timely_filing",
        "referral", "urgent_out_of_network", "prior_authorization", "inpatient_notification",
        "approved_facility", "serious_event", "necessity", "unlisted_code", "ambulance_in_stay",
        "urgent_care", "nutrition", "observation", "ncci",
        "other_payer_unbilled", "accident_primary", "coordination",
    ]  # fmt: skip


def night(claims: Sequence[build.Row], lines: Sequence[build.Row], **others: Any) -> Batch:
    return Batch(claims=build.claims(claims), lines=build.lines(lines), **others)


def test_every_finding_is_kept_with_its_rank_in_order() -> None:
    batch = night(
        [{"received_date": date(2025, 4, 1), "responsibility_code": "S"}],
        [{"coverage_code": "after"}, {}],
    )
    # 2025-01-10 to 2025-04-01: 21 + 28 + 31 + 1 = 81 days
    findings = edits(batch, build.reference()).findings
    assert findings.select("edit", "line_number").rows() == [
        ("coverage", 1),
        ("timely_filing", 1),
        ("timely_filing", 2),
        ("other_payer_unbilled", None),
    ]
    places = {edit.name: 10 * place for place, edit in enumerate(EDITS, start=1)}
    assert findings["edit_rank"].to_list() == [places[name] for name in findings["edit"]]


def test_findings_before_the_stage_are_kept() -> None:
    earlier = build.frame(
        frames.Findings,
        [{"claim_id": 1, "edit": "note", "edit_rank": 0, "disposition": "inform"}],
    )
    after = edits(night([{}], [{}], findings=earlier), build.reference())
    assert after.findings.equals(earlier)


@pytest.mark.parametrize(
    ("claim", "pend_code"),
    [
        ({"frequency_code": "7", "original_claim_number": "12345678"}, "ORIGINAL"),
        ({"payee_id": None}, "PAYEE"),
    ],
)
def test_the_pend_of_a_correction_or_an_unknown_payee_stands_beside_every_denial(
    claim: dict[str, Any], pend_code: str
) -> None:
    late = {"received_date": date(2026, 1, 1), "member_match_code": "none", "member_id": None}
    schema, version = OTHER_FRAMES["versions"]
    versions = build.frame(
        schema,
        [{"claim_id": 0}, {"claim_id": -1, "claim_number": "000112345678"}],
        version | {"received_date": date(2026, 1, 1)},
    )
    claims = night([claim | late, late], [{}, {"claim_id": 2}], versions=versions)
    batch = edits(match(claims, build.reference()), build.reference())
    assert batch.findings.filter(claim_id=1)["carc"].to_list() == [None, "31", "29"]
    assert fates(batch).claims["pend_codes"].to_list() == [pend_code, None]
    assert batch.findings.filter(claim_id=2)["carc"].to_list() == ["31", "29"]
    assert fates(batch).claims["disposition"].to_list() == ["pended", "denied"]


def test_a_program_asks_only_the_edits_that_it_lists() -> None:
    late = {"received_date": date(2026, 1, 1)}
    reference = build.reference(
        build.program(),
        build.program(program_code="other", edits=("coverage",)),
    )
    batch = night(
        [late, late | {"program_code": "other"}],
        [{}, {"claim_id": 2}, {"claim_id": 2, "coverage_code": "gap"}],
    )
    rows = edits(batch, reference).findings.select("claim_id", "line_number", "edit").rows()
    assert rows == [(1, 1, "timely_filing"), (2, 2, "coverage")]


def test_a_late_original_does_not_stand_in_the_way() -> None:
    """The first is denied by an edit after exact_duplicate in the order; the night, not the order,
    decides who is an original: split over two nights the same claims meet the same fate."""
    reference = build.reference(contracts=[{"filing_limit_days": 30}])
    late, in_time = {"received_date": date(2025, 2, 10)}, {"received_date": date(2025, 2, 9)}
    batch = night([late, in_time], [{}, {"claim_id": 2}])
    decided = edits(match(batch, reference), reference)
    assert decided.findings.select("claim_id", "edit").rows() == [(1, "timely_filing")]


def test_a_late_duplicate_is_denied_as_duplicate_first() -> None:
    reference = build.reference(contracts=[{"filing_limit_days": 30}])
    claims = [{"received_date": date(2025, 2, 9)}, {"received_date": date(2025, 2, 10)}]
    batch = edits(match(night(claims, [{}, {"claim_id": 2}]), reference), reference)
    assert batch.findings.select("claim_id", "edit", "carc").rows() == [
        (2, "exact_duplicate", "18"),
        (2, "timely_filing", "29"),
    ]
    assert fates(batch).lines["carc"].to_list() == [None, "18"]


def test_a_payer_that_was_not_heard_is_found_once() -> None:
    """By the edit that asks for its decision; it does not wait for a person, too."""
    other = build.frame(
        frames.OtherPayers, [{"claim_id": 1, "payer_sequence": 1, "responsibility_code": "P"}]
    )
    batch = night([{"responsibility_code": "S"}], [{}], other_payers=other)
    found = edits(batch, build.reference()).findings
    assert found.select("edit", "disposition").rows() == [("other_payer_unbilled", "deny")]


def test_an_empty_night() -> None:
    assert edits(night([], []), build.reference()).findings.is_empty()
