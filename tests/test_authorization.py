"""Authorizations: what their units come to over claims and nights, beside referrals' visits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.edits import edits
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from adjudicator.stages.benefits import benefits
from adjudicator.stages.settle import settle
from schemas import frames
from tests import build, model
from tests.model import Row

JANUARY = {"start_date": date(2025, 1, 1), "end_date": date(2025, 1, 31)}
LIST = {"program_code": "test", "first_procedure_code": "97110", "last_procedure_code": "97110",
        "start_date": date(2025, 1, 1)}  # fmt: skip
TERMS: Row = {
    "start_date": date(2024, 1, 1),
    "deductible": {"in": {}, "out": {}},
    "out_of_pocket": {"in": {}, "out": {}},
    "cost_shares": [
        {"category": "gym", "network_code": "in", "covered": False},
        {"category": "other", "network_code": "in"},
        {"category": "other", "network_code": "out"},
    ],
}


def authorization(number: str = "A1", limit: int | None = 6, **given: Any) -> Row:
    return {
        "authorization_number": number, "member_id": "M1", "npi": None,
        "first_procedure_code": "97110", "last_procedure_code": "97110",
        "status_code": "approved", "unit_limit": limit, **JANUARY, **given,
    }  # fmt: skip


def reference(*authorizations: Row, **tables: Any) -> Reference:
    plan = {"name": "x", "terms": [TERMS]}
    program = build.program(
        edits=("referral", "prior_authorization"),
        emergency={"places_of_service": ["23"]},
        plans={
            "ppo": {"plan_code": "ppo", **plan},
            "hmo": {"plan_code": "hmo", "referral_required": True, **plan},
        },
        prior_authorization={"outside_group_code": "PR"},
    )
    return build.reference(
        program, authorization_list=[LIST], authorizations=authorizations, **tables
    )


def therapy(claim_id: int, units: int | None, day: int = 10, **given: Any) -> Row:
    return {
        "claim_id": claim_id,
        "procedure_code": "97110",
        "unit_quantity": None if units is None else units * 1_000,
        "service_from_date": date(2025, 1, day),
        **given,
    }


def decided(
    lines: Sequence[Row],
    held: Reference,
    claims: Sequence[Row] = (),
    findings: Sequence[Row] = (),
    before: Sequence[tuple[str, int]] = (),
) -> Batch:
    batch = model.night(lines, claims, findings).with_(
        authorization_units=build.frame(
            frames.AuthorizationUnits,
            [{"authorization_number": n, "unit_quantity": q} for n, q in before],
        )
    )
    shared = benefits(edits(batch, held), held)
    frames.AuthorizationUnitEntries.validate(shared.authorization_unit_entries)
    settle(shared, held)
    return shared


def entries(batch: Batch) -> list[tuple[Any, ...]]:
    return batch.authorization_unit_entries.rows()


def denied(batch: Batch) -> list[tuple[Any, ...]]:
    """(claim, line, group, CARC) of the lines denied."""
    rows = fates(batch).lines.filter(line_disposition="denied")
    return rows.select("claim_id", "line_number", "group_code", "carc").rows()


def dispositions(batch: Batch) -> list[str]:
    return fates(batch).claims["disposition"].to_list()


def test_units_count_up_to_the_limit_in_order_of_receipt() -> None:
    # 6 allowed: 3 + 2 = 5, then 2 don't go into the 1 left, but 1 does
    batch = decided([therapy(1, 3), therapy(2, 2), therapy(3, 2), therapy(4, 1)],
                    reference(authorization()))  # fmt: skip
    assert entries(batch) == [(1, "A1", 3_000), (2, "A1", 2_000), (4, "A1", 1_000)]
    assert denied(batch) == [(3, 1, "CO", "198")]
    assert dispositions(batch) == ["paid", "paid", "denied", "paid"]
    [told] = batch.findings.filter(carc="198")["inputs"].to_list()
    assert json.loads(told) == {
        "because": "units used up",
        "decision_date": "2025-01-10",
        "provider_number": "2000000010",
        "unit_quantity": 2_000,
        "authorizations": [
            {
                "authorization_number": "A1",
                "start_date": "2025-01-01",
                "end_date": "2025-01-31",
                "unit_limit": 6,
                "used_quantity": 5_000,
            }
        ],
    }
    inputs = [json.loads(x) for x in batch.lines["benefit_inputs"].drop_nulls()]
    assert [(i["authorization_number"], i["used_quantity"], i["unit_limit"]) for i in inputs] == [
        ("A1", 3_000, 6), ("A1", 5_000, 6), ("A1", 6_000, 6),
    ]  # fmt: skip


def test_the_limit_itself_passes_and_a_thousandth_more_does_not() -> None:
    batch = decided([therapy(1, 6)], reference(authorization()))
    assert dispositions(batch) == ["paid"]
    batch = decided([therapy(1, 6, unit_quantity=6_001)], reference(authorization()))
    assert dispositions(batch) == ["denied"]
    assert entries(batch) == []


def test_receipt_decides_not_the_claims_number() -> None:
    claims = [{"claim_id": c, "receipt_number": 9 - c} for c in (1, 2)]
    lines = [therapy(1, 4), therapy(2, 4)]
    for order in (lines, lines[::-1]):
        batch = decided(order, reference(authorization()), claims)
        assert entries(batch) == [(2, "A1", 4_000)]
        assert denied(batch) == [(1, 1, "CO", "198")]


def test_lines_of_one_claim_count_one_after_the_other() -> None:
    batch = decided([therapy(1, 4), therapy(1, 4), therapy(1, 2)], reference(authorization()))
    assert denied(batch) == [(1, 2, "CO", "198")]
    assert entries(batch) == [(1, "A1", 6_000)]
    assert dispositions(batch) == ["paid"]


def test_what_was_used_before_counts_and_what_was_given_back_does_not() -> None:
    batch = decided([therapy(1, 2)], reference(authorization()), before=[("A1", 5_000)])
    assert denied(batch) == [(1, 1, "CO", "198")]
    # 5 used and 3 given back by a void: 2 used, 4 left
    batch = decided([therapy(1, 2)], reference(authorization()), before=[("A1", 5_000 - 3_000)])
    assert entries(batch) == [(1, "A1", 2_000)]


def test_a_line_without_units_is_one() -> None:
    batch = decided([therapy(1, None), therapy(2, None)], reference(authorization(limit=1)))
    assert entries(batch) == [(1, "A1", 1_000)]
    assert denied(batch) == [(2, 1, "CO", "198")]


def test_without_a_limit_nothing_is_counted() -> None:
    batch = decided([therapy(1, 900)], reference(authorization(limit=None)))
    assert dispositions(batch) == ["paid"]
    assert entries(batch) == []


def test_a_second_authorization_takes_what_the_first_has_no_room_for() -> None:
    later = authorization("A2", 3, end_date=date(2025, 6, 30))
    batch = decided([therapy(1, 4), therapy(2, 3), therapy(3, 2), therapy(4, 1)],
                    reference(later, authorization()))  # fmt: skip
    # A1 ends first: 4, then 3 don't go into 2, so A2's 3; then A1's last 2; then none
    assert entries(batch) == [(1, "A1", 4_000), (2, "A2", 3_000), (3, "A1", 2_000)]
    assert denied(batch) == [(4, 1, "CO", "198")]
    unlimited = authorization("A2", None, end_date=None)
    batch = decided([therapy(1, 4), therapy(2, 3)], reference(unlimited, authorization()))
    assert entries(batch) == [(1, "A1", 4_000)]
    assert dispositions(batch) == ["paid", "paid"]


@pytest.mark.parametrize(
    "finding",
    [
        {"disposition": "pend", "pend_code": "DUPLICATE"},
        {"disposition": "deny", "line_number": 1},
        {"disposition": "deny"},
    ],
)
def test_what_is_pended_or_denied_uses_nothing(finding: Row) -> None:
    batch = decided([therapy(1, 6), therapy(2, 6)], reference(authorization()),
                    findings=[{"claim_id": 1, "edit_rank": 30, **finding}])  # fmt: skip
    assert entries(batch) == [(2, "A1", 6_000)]


def test_what_lacks_a_price_or_is_excluded_uses_nothing() -> None:
    lines = [therapy(1, 6, allowed_amount=None), therapy(2, 6, benefit_category="gym"),
             therapy(3, 6)]  # fmt: skip
    batch = decided(lines, reference(authorization()))
    assert dispositions(batch) == ["pended", "denied", "paid"]
    assert entries(batch) == [(3, "A1", 6_000)]


def test_an_emergency_uses_no_unit() -> None:
    lines = [therapy(1, 6, place_of_service_code="23"), therapy(2, 6)]
    assert entries(decided(lines, reference(authorization()))) == [(2, "A1", 6_000)]


def test_outside_the_network_the_member_owes_only_that_there_is_none() -> None:
    outside = {"network_code": "out", "contract_id": None}
    batch = decided([therapy(1, 7, **outside)], reference(authorization()))
    assert denied(batch) == [(1, 1, "CO", "198")]
    assert denied(decided([therapy(1, 7, **outside)], reference())) == [(1, 1, "PR", "197")]


def referred(claim_id: int, units: int, day: int) -> Row:
    return therapy(claim_id, units, day, plan_code="hmo", network_code="out", contract_id=None)


def test_units_and_visits_are_counted_together_claim_by_claim() -> None:
    """A claim that waits for a visit uses no unit; a line denied for its units uses no visit."""
    one_visit = {"referral_number": "R1", "member_id": "M1", "npi": "2000000010",
                 "status_code": "approved", "visit_limit": 1, **JANUARY}  # fmt: skip
    held = reference(authorization(limit=3), referrals=[one_visit])
    batch = decided([referred(1, 4, 6), referred(2, 2, 7), referred(3, 1, 8)], held)
    # 1: four units of three, so its visit is not used; 2: two units, the visit; 3: no visit left
    assert dispositions(batch) == ["denied", "paid", "pended"]
    assert denied(batch) == [(1, 1, "CO", "198")]
    assert entries(batch) == [(2, "A1", 2_000)]
    assert batch.referral_visit_entries.select("claim_id", "visit_count").rows() == [(2, 1)]
    inputs = json.loads(batch.lines["benefit_inputs"][1])
    assert (inputs["visit"], inputs["used_quantity"]) == (1, 2_000)
    # of a claim that waits, a line above the units stays denied
    held = reference(authorization(limit=3), referrals=[{**one_visit, "visit_limit": 0}])
    batch = decided([referred(1, 4, 6), referred(1, 1, 7)], held)
    assert dispositions(batch) == ["pended"]
    assert entries(batch) == []
    assert batch.findings.filter(disposition="deny").select("line_number", "carc").rows() == [
        (1, "198")
    ]


NIGHT = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=2, max_size=6)
GRANTED = st.lists(
    st.tuples(st.none() | st.integers(0, 6), st.integers(9, 12)), min_size=1, max_size=3
)


@pytest.mark.long
@settings(max_examples=30, deadline=None, derandomize=True)
@given(NIGHT, GRANTED, st.integers(0, 6), st.randoms(use_true_random=False))
def test_limits_are_kept_however_the_claims_are_split_over_nights(
    night: list[list[int]], granted: Any, cut: int, random: Any
) -> None:
    held = reference(
        *(
            authorization(f"A{n}", limit, end_date=date(2025, 1, last))
            for n, (limit, last) in enumerate(granted)
        )
    )
    lines = [therapy(c, units, 9) for c, each in enumerate(night, start=1) for units in each]
    whole = decided(lines, held)
    used: dict[str, int] = {}
    for _, number, quantity in entries(whole):
        used[number] = used.get(number, 0) + quantity
    limits = {f"A{n}": limit for n, (limit, _) in enumerate(granted)}
    assert all(count <= (limits[number] or 0) * 1_000 for number, count in used.items())
    assert {row[3] for row in denied(whole)} <= {"198"}

    first = decided([line for line in lines if line["claim_id"] <= cut], held)
    carried = first.authorization_unit_entries.group_by("authorization_number").agg(
        pl.col("unit_quantity").sum()
    )
    later = [line for line in lines if line["claim_id"] > cut]
    second = decided(later, held, before=carried.rows())
    assert entries(first) + entries(second) == entries(whole)
    assert denied(first) + denied(second) == denied(whole)


def test_the_shipped_programs_say_who_needs_none_and_who_bears_it() -> None:
    programs = load_programs()
    manual, partnership = programs["carepartners"], programs["ct-partnership"]
    assert manual.prior_authorization.outside_group_code == "CO"
    assert partnership.prior_authorization.outside_group_code == "PR"
    exempt = manual.prior_authorization.exempt.procedure_ranges
    for code, free in (("33935", True), ("47135", True), ("50360", True), ("38240", True),
                       ("50384", False), ("44138", False)):  # fmt: skip
        assert any(a <= code <= b for a, b in exempt) is free
    assert not partnership.prior_authorization.exempt.procedure_ranges
    assert partnership.emergency == manual.emergency
