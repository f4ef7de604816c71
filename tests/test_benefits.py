from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from adjudicator.stages.benefits import benefits
from adjudicator.stages.settle import settle
from schemas import frames
from schemas import reference as tables
from tests import build
from tests.model import Row, benefits_model, night, reference

THOROUGH = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
QUICK = settings(THOROUGH, max_examples=30)
YEAR = date(2025, 1, 1)


def limits(individual: int | None, family: int | None) -> Row:
    return {"individual_amount": individual, "family_amount": family}


def cost_share(category: str = "office", network: str = "in", **given: Any) -> Row:
    return {"category": category, "network_code": network, **given}


def terms(*shares: Row, deductible: Row, maximum: Row, **changed: Any) -> Row:
    """Terms from 2024 on with the same limits in and out of network."""
    return {
        "start_date": date(2024, 1, 1),
        "deductible": {"in": deductible, "out": deductible},
        "out_of_pocket": {"in": maximum, "out": maximum},
        "cost_shares": list(shares),
        **changed,
    }


NO_LIMITS = limits(None, None)
COPAY_15 = reference(terms(cost_share(copay_amount=1_500), deductible=NO_LIMITS, maximum=NO_LIMITS))
# $300 a member, $500 a family; then 25 %
DEDUCTIBLE_300 = reference(
    terms(
        cost_share(deductible_applies=True, coinsurance_basis_points=2_500),
        cost_share("office", "out", deductible_applies=True, coinsurance_basis_points=2_500),
        deductible=limits(30_000, 50_000),
        maximum=NO_LIMITS,
    )
)


def shares_of(batch: Batch) -> list[tuple[int, int, int]]:
    """(deductible, coinsurance, copay) of every line, in the batch's order."""
    return batch.lines.select("deductible_amount", "coinsurance_amount", "copay_amount").rows()


def entries_of(batch: Batch) -> list[tuple[Any, ...]]:
    return batch.accumulator_entries.select(
        "claim_id", "member_id", "network_code", "deductible_amount", "out_of_pocket_amount"
    ).rows()


# ---- goldens ---------------------------------------------------------------------------------


def test_deductible_is_met_in_mid_claim_and_the_rest_is_coinsured() -> None:
    batch = night([{"charge_amount": 25_000}, {"charge_amount": 12_002}, {"charge_amount": 4_000}])
    shared = benefits(batch, DEDUCTIBLE_300)
    # line 1: 250.00 of the 300.00. Line 2: the last 50.00, then 25 % of 70.02 = 17.505 -> 17.51
    # (to the even cent it would be 17.50). Line 3: 25 % of 40.00 = 10.00
    assert shares_of(shared) == [(25_000, 0, 0), (5_000, 1_751, 0), (0, 1_000, 0)]
    assert entries_of(shared) == [(1, "M1", "in", 30_000, 32_751)]  # 300.00 + 17.51 + 10.00
    frames.SharedLines.validate(shared.lines)
    frames.AccumulatorEntries.validate(shared.accumulator_entries)


def test_the_inputs_tell_terms_and_counters_before_the_line() -> None:
    batch = night([{"charge_amount": 25_000}, {"charge_amount": 12_000}])
    told = [json.loads(x) for x in benefits(batch, DEDUCTIBLE_300).lines["benefit_inputs"]]
    assert told[1] == {
        "category": "office",
        "terms_start_date": "2024-01-01",
        "coinsurance_basis_points": 2_500,
        "deductible_applies": True,
        "deductible_remaining": 5_000,  # 300.00 - 250.00
    }
    assert told[0]["deductible_remaining"] == 30_000


def test_the_family_deductible_is_reached_by_the_second_member() -> None:
    batch = night(
        [{"claim_id": c, "charge_amount": 30_000} for c in (1, 2, 3)],
        claims=[{"claim_id": c, "member_id": f"M{c}"} for c in (1, 2, 3)],
    )
    shared = benefits(batch, DEDUCTIBLE_300)
    # M1 300.00, M2 the family's last 200.00 + 25 % of 100.00, M3 nothing left: 25 % of 300.00
    assert shares_of(shared) == [(30_000, 0, 0), (20_000, 2_500, 0), (0, 7_500, 0)]


def test_the_family_maximum_is_reached_by_the_second_member() -> None:
    plan = reference(
        terms(
            cost_share(copay_amount=6_000),
            deductible=NO_LIMITS,
            maximum=limits(10_000, 15_000),
        )
    )
    batch = night(
        [{"claim_id": c} for c in (1, 2, 3, 4, 5)],
        claims=[{"claim_id": c, "member_id": m} for c, m in enumerate("AABBC", start=1)],
    )
    shared = benefits(batch, plan)
    # A 60 + 40 (own maximum 100), B the family's last 50 (150 - 100), then nobody owes anything
    assert [copay for _, _, copay in shares_of(shared)] == [6_000, 4_000, 5_000, 0, 0]
    assert [e[0] for e in entries_of(shared)] == [1, 2, 3]


def test_copays_reach_the_maximum_and_earlier_nights_count() -> None:
    plan = reference(
        terms(cost_share(copay_amount=1_500), deductible=NO_LIMITS, maximum=limits(4_000, None))
    )
    before = [
        {
            "benefit_year_start_date": YEAR,
            "deductible_amount": 0,
            "out_of_pocket_amount": 2_000,
        }
    ]
    batch = night([{"claim_id": c} for c in (1, 2, 3)], accumulators=before)
    # 40.00 - 20.00 before tonight: 15.00, then the last 5.00, then nothing
    assert [c for _, _, c in shares_of(benefits(batch, plan))] == [1_500, 500, 0]


def test_the_deductible_counts_to_the_maximum_and_stops_there() -> None:
    plan = reference(
        terms(
            cost_share(deductible_applies=True, coinsurance_basis_points=10_000),
            deductible=limits(30_000, None),
            maximum=limits(20_000, None),
        )
    )
    assert shares_of(benefits(night([{"charge_amount": 45_000}]), plan)) == [(20_000, 0, 0)]


def test_a_deductible_already_paid_counts_to_the_maximum() -> None:
    plan = reference(
        terms(
            cost_share("surgery", deductible_applies=True),
            cost_share(copay_amount=1_500),
            deductible=limits(30_000, None),
            maximum=limits(31_000, None),
        )
    )
    batch = night([{"benefit_category": "surgery", "charge_amount": 40_000}, {}])
    # the deductible takes 300 of the 310, so of the copay only 10 is left
    assert shares_of(benefits(batch, plan)) == [(30_000, 0, 0), (0, 0, 1_000)]


def test_counters_past_a_limit_owe_nothing_and_give_nothing_back() -> None:
    plan = reference(
        terms(
            cost_share(deductible_applies=True, coinsurance_basis_points=2_000),
            deductible=limits(30_000, None),
            maximum=limits(50_000, None),
        )
    )
    for out_of_pocket, coinsurance in ((40_000, 2_000), (60_000, 0)):
        before = {
            "benefit_year_start_date": YEAR,
            "deductible_amount": 40_000,  # 100 past its limit, as after a change of terms
            "out_of_pocket_amount": out_of_pocket,
        }
        batch = night([{}], accumulators=[before])
        shared = benefits(batch, plan)
        assert shares_of(shared) == [(0, coinsurance, 0)]
        told = json.loads(shared.lines["benefit_inputs"][0])
        assert told["deductible_remaining"] == 0
        assert told["member_out_of_pocket_remaining"] == max(50_000 - out_of_pocket, 0)


def test_each_plan_counts_for_itself() -> None:
    plan = terms(
        cost_share(deductible_applies=True), deductible=limits(None, 8_000), maximum=NO_LIMITS
    )
    batch = night([{"plan_code": "a"}, {"plan_code": "b"}, {"plan_code": "a"}])
    shared = benefits(batch, reference(a=[plan], b=[plan]))
    assert shares_of(shared) == [(8_000, 0, 0), (8_000, 0, 0), (0, 0, 0)]


def test_one_visit_owes_one_copay_and_a_small_line_leaves_the_rest_to_the_next() -> None:
    # allowed 4.00, 9.00, 100.00 on one day: 15.00 = 4.00 + 9.00 + 2.00
    lines = [{"charge_amount": a} for a in (400, 900, 10_000)]
    shared = benefits(night(lines), COPAY_15)
    assert [c for _, _, c in shares_of(shared)] == [400, 900, 200]
    told = [json.loads(x).get("visit_copay_remaining") for x in shared.lines["benefit_inputs"]]
    assert told == [None, 1_100, 200]


def test_another_day_or_another_claim_is_another_visit() -> None:
    lines = [{}, {"decision_date": date(2025, 3, 15)}, {}, {"claim_id": 2}]
    shared = benefits(night(lines), COPAY_15)
    assert [c for _, _, c in shares_of(shared)] == [1_500, 1_500, 0, 1_500]


def test_a_copay_the_maximum_stopped_is_not_made_up_later() -> None:
    plan = reference(
        terms(cost_share(copay_amount=1_500), deductible=NO_LIMITS, maximum=limits(1_000, None))
    )
    assert [c for _, _, c in shares_of(benefits(night([{}, {}]), plan))] == [1_000, 0]


@pytest.mark.parametrize(("allowed", "copay"), [(1_499, 1_499), (1_500, 1_500), (1_501, 1_500)])
def test_a_copay_never_exceeds_the_allowed_amount(allowed: int, copay: int) -> None:
    batch = night([{"allowed_amount": allowed}])
    assert shares_of(benefits(batch, COPAY_15)) == [(0, 0, copay)]


def test_a_copay_replaces_deductible_and_coinsurance() -> None:
    plan = reference(
        terms(
            cost_share(copay_amount=1_500, deductible_applies=True, coinsurance_basis_points=2_000),
            deductible=limits(30_000, None),
            maximum=NO_LIMITS,
        )
    )
    assert shares_of(benefits(night([{}]), plan)) == [(0, 0, 1_500)]


def test_a_new_year_begins_a_new_deductible() -> None:
    batch = night(
        [
            {"charge_amount": 40_000, "service_from_date": date(2024, 12, 31)},
            {"charge_amount": 40_000, "service_from_date": date(2025, 1, 1)},
        ]
    )
    shared = benefits(batch, DEDUCTIBLE_300)
    # each year: 300.00, then 25 % of 100.00
    assert shares_of(shared) == [(30_000, 2_500, 0)] * 2
    assert shared.accumulator_entries["benefit_year_start_date"].to_list() == [
        date(2024, 1, 1),
        date(2025, 1, 1),
    ]


def test_in_and_out_of_network_are_counted_apart() -> None:
    lines = [{"charge_amount": 30_000, "network_code": n} for n in ("in", "out", "in")]
    shared = benefits(night(lines), DEDUCTIBLE_300)
    assert shares_of(shared) == [(30_000, 0, 0), (30_000, 0, 0), (0, 7_500, 0)]
    assert [e[2:] for e in entries_of(shared)] == [("in", 30_000, 37_500), ("out", 30_000, 30_000)]


def test_lines_count_in_receipt_order_not_in_row_order() -> None:
    batch = night(
        [{"claim_id": 1, "charge_amount": 30_000}, {"claim_id": 2, "charge_amount": 30_000}],
        claims=[{"claim_id": 1, "receipt_number": 9}, {"claim_id": 2, "receipt_number": 8}],
    )
    assert shares_of(benefits(batch, DEDUCTIBLE_300)) == [(0, 7_500, 0), (30_000, 0, 0)]


def test_terms_are_those_of_the_date_of_service() -> None:
    old = terms(cost_share(copay_amount=1_000), deductible=NO_LIMITS, maximum=NO_LIMITS)
    new = {**old, "start_date": date(2025, 1, 10), "cost_shares": [cost_share(copay_amount=2_000)]}
    plan = reference({**old, "end_date": date(2025, 1, 9)}, new)
    days = [date(2025, 1, 9), date(2025, 1, 10)]
    shared = benefits(night([{"service_from_date": d} for d in days]), plan)
    assert [copay for _, _, copay in shares_of(shared)] == [1_000, 2_000]


def test_an_unnamed_category_shares_as_other_and_a_free_one_counts_nothing() -> None:
    plan = reference(
        terms(
            cost_share("office"),
            cost_share("other", copay_amount=700),
            deductible=NO_LIMITS,
            maximum=NO_LIMITS,
        )
    )
    lines = [
        {"claim_id": n, "benefit_category": c} for n, c in enumerate(("office", "surgery", None))
    ]
    shared = benefits(night(lines), plan)
    assert [copay for _, _, copay in shares_of(shared)] == [0, 700, 700]
    assert json.loads(shared.lines["benefit_inputs"][0])["category"] == "office"
    assert json.loads(shared.lines["benefit_inputs"][1])["category"] == "other"


# ---- a family's year by hand -----------------------------------------------------------------

PARTNERSHIP = build.reference(load_programs()["ct-partnership"])
OF_PARTNERSHIP = {"program_code": "ct-partnership"}


def partnership(
    lines: Sequence[Row],
    members: Sequence[str],
    history: Sequence[Row] = (),
    household_statuses: Sequence[Row] = (),
) -> Batch:
    """Benefits of a claim a line under the plan of 000, each of the member it names."""
    batch = night(
        [
            {"claim_id": n, "plan_code": "state-bluecare-pos", **line}
            for n, line in enumerate(lines, start=1)
        ],
        claims=[
            {"claim_id": n, "member_id": m, **OF_PARTNERSHIP}
            for n, m in enumerate(members, start=1)
        ],
    ).with_(history=build.frame(frames.HistoryLines, history))
    statuses = build.frame(tables.HouseholdStatuses, household_statuses, {"family_id": "F1"})
    known = {**PARTNERSHIP.tables, "household_statuses": statuses}
    return benefits(batch, replace(PARTNERSHIP, tables=known))


def test_the_year_of_a_family_outside_the_network() -> None:
    """300.00 a member and 900.00 a family, then 20 %; at most 2,300.00 and 4,900.00."""
    year = [
        # member, allowed, deductible, coinsurance, whether the member's maximum is met
        ("A", 25_000, 25_000, 0, False),  # A 250.00 of 300.00; family 250.00
        ("B", 100_000, 30_000, 14_000, False),  # 20 % of 700.00; family 550.00 deductible
        ("A", 10_000, 5_000, 1_000, False),  # the last 50.00, 20 % of 50.00; family 600.00
        ("C", 40_000, 30_000, 2_000, False),  # 20 % of 100.00; family 900.00: met
        ("D", 50_000, 0, 10_000, False),  # 20 % of 500.00: D owes no deductible any more
        # A owed 250.00 + 60.00 = 310.00; 20 % of 12,000.00 are 2,400.00, 1,990.00 are left
        ("A", 1_200_000, 0, 199_000, True),
        ("A", 8_000, 0, 0, True),
        # family 310 + 440 + 320 + 100 + 1,990 = 3,160.00: 1,740.00 are left of 4,900.00, and of
        # B's own 2,300.00 - 440.00 = 1,860.00; 20 % of 9,000.00 are 1,800.00
        ("B", 900_000, 0, 174_000, False),
        ("C", 6_000, 0, 0, False),
    ]
    lines = [{"charge_amount": allowed, "network_code": "out"} for _, allowed, *_ in year]
    shared = partnership(lines, [member for member, *_ in year])
    assert shares_of(shared) == [(d, c, 0) for _, _, d, c, _ in year]
    assert shared.lines["maximum_met"].to_list() == [met for *_, met in year]
    # 2,300.00 + 2,180.00 + 320.00 + 100.00 = 4,900.00
    owed = shared.accumulator_entries.group_by("member_id").agg(
        pl.col("out_of_pocket_amount").sum()
    )
    assert dict(owed.rows()) == {"A": 230_000, "B": 218_000, "C": 32_000, "D": 10_000}


def test_what_a_family_owes_outside_counts_for_nothing_inside() -> None:
    lines: list[Row] = [
        {"charge_amount": 30_000, "network_code": "out"},
        {"charge_amount": 12_000, "benefit_category": "office_visit"},
        {"charge_amount": 30_000, "network_code": "out"},
    ]
    # outside 300.00 of deductible, then 20 % of 300.00; inside a copay of 15.00
    assert shares_of(partnership(lines, "AAA")) == [(30_000, 0, 0), (0, 0, 1_500), (0, 6_000, 0)]


def test_an_unlimited_maximum_is_never_met() -> None:
    assert benefits(night([{}]), COPAY_15).lines["maximum_met"].to_list() == [False]


def test_the_maximum_is_met_to_the_cent() -> None:
    before = {"benefit_year_start_date": YEAR, "deductible_amount": 0}
    for used, met in ((2_499, False), (2_500, True), (2_501, True)):
        plan = reference(
            terms(cost_share(copay_amount=1_500), cost_share("free"), deductible=NO_LIMITS,
                  maximum=limits(4_000, None))
        )  # fmt: skip
        counters = [{**before, "out_of_pocket_amount": used}]
        lines: list[Row] = [{}, {"benefit_category": "free"}]
        shared = benefits(night(lines, accumulators=counters), plan)
        # a line that owes nothing by the plan tells nothing of its maximum
        assert shared.lines["maximum_met"].to_list() == [met, None]


# ---- households that do not comply -----------------------------------------------------------

STAY: Row = {"benefit_category": "inpatient", "charge_amount": 100_000}
NONCOMPLIANT: Row = {"compliance_code": "noncompliant", "start_date": date(2025, 1, 10)}


@pytest.mark.parametrize(
    ("statuses", "deductible"),
    [
        ([], 0),  # nothing is said: the programme comes with the plan
        ([NONCOMPLIANT], 35_000),
        ([{**NONCOMPLIANT, "compliance_code": "compliant"}], 0),
        ([{**NONCOMPLIANT, "start_date": date(2025, 1, 11)}], 0),  # the line's day is the 10th
        ([{**NONCOMPLIANT, "end_date": date(2025, 1, 10)}], 35_000),
        ([{**NONCOMPLIANT, "start_date": YEAR, "end_date": date(2025, 1, 9)}], 0),
        ([{**NONCOMPLIANT, "family_id": "F2"}], 0),
    ],
)
def test_the_deductible_inside_is_of_households_that_do_not_comply(
    statuses: list[Row], deductible: int
) -> None:
    shared = partnership([STAY], "A", household_statuses=statuses)
    assert shares_of(shared) == [(deductible, 0, 0)]
    told = json.loads(shared.lines["benefit_inputs"][0])
    assert told.get("deductible_waived", False) == (deductible == 0)
    assert told.get("deductible_applies", False) == (deductible > 0)


def test_where_the_deductible_of_noncompliance_is_taken() -> None:
    categories = ("preventive", "office_visit", "laboratory", "inpatient", "chiropractic")
    lines = [{"benefit_category": c, "charge_amount": 20_000} for c in categories]
    # none of preventive care, a copay instead of it, then 200.00, the last 150.00, nothing
    assert shares_of(partnership(lines, "AAAAA", household_statuses=[NONCOMPLIANT])) == [
        (0, 0, 0), (0, 0, 1_500), (20_000, 0, 0), (15_000, 0, 0), (0, 0, 0)
    ]  # fmt: skip


def test_four_members_meet_a_noncompliant_familys_deductible() -> None:
    # 350.00 x 4 = 1,400.00
    shared = partnership([STAY] * 5, "ABCDE", household_statuses=[NONCOMPLIANT])
    assert shares_of(shared) == [(35_000, 0, 0)] * 4 + [(0, 0, 0)]


def test_the_deductible_outside_is_waived_for_nobody() -> None:
    line = {**STAY, "network_code": "out"}
    for statuses in ([], [NONCOMPLIANT]):
        # 300.00, 20 % of 700.00
        shared = partnership([line], "A", household_statuses=statuses)
        assert shares_of(shared) == [(30_000, 14_000, 0)]


# ---- an emergency that leads to an admission --------------------------------------------------

EMERGENCY: Row = {"benefit_category": "emergency", "charge_amount": 80_000}
ROOM: Row = {
    **STAY, "revenue_code": "0120", "procedure_code": None, "network_code": "in"
}  # fmt: skip


@pytest.mark.parametrize(
    ("room", "member", "copay"),
    [
        ({}, "A", 0),
        ({"service_from_date": date(2025, 1, 11)}, "A", 0),  # the emergency was on the 10th
        ({"service_from_date": date(2025, 1, 12)}, "A", 25_000),
        ({"service_from_date": date(2025, 1, 9)}, "A", 25_000),
        ({}, "B", 25_000),
        ({"revenue_code": "0762"}, "A", 25_000),  # observation is no admission
        ({"revenue_code": None}, "A", 25_000),
    ],
)
def test_the_emergency_copay_ends_with_an_admission(room: Row, member: str, copay: int) -> None:
    for network in ("in", "out"):
        lines: list[Row] = [{**EMERGENCY, "network_code": network}, {**ROOM, **room}]
        shared = partnership(lines, ["A", member])
        assert shares_of(shared)[0] == (0, 0, copay)
        told = json.loads(shared.lines["benefit_inputs"][0])
        assert told.get("waived_if_admitted", False) == (copay == 0)


def test_another_copay_does_not_end_with_an_admission() -> None:
    lines: list[Row] = [{"benefit_category": "office_visit"}, ROOM]
    assert shares_of(partnership(lines, "AA"))[0] == (0, 0, 1_500)


def test_a_stay_that_is_denied_tells_of_no_admission_and_one_that_waits_does() -> None:
    for disposition, copay in (("deny", 25_000), ("pend", 0)):
        batch = partnership([EMERGENCY, ROOM], "AA")
        finding = {"claim_id": 2, "edit_rank": 30, "disposition": disposition, "pend_code": "COB"}
        found = night([], findings=[finding]).findings
        again = benefits(batch.with_(findings=found), PARTNERSHIP)
        assert shares_of(again)[0] == (0, 0, copay)


@pytest.mark.parametrize(
    ("line", "copay"),
    [
        ({}, 0),
        ({"service_from_date": date(2025, 1, 11)}, 0),
        ({"service_from_date": date(2025, 1, 12)}, 25_000),
        ({"member_id": "B"}, 25_000),
        ({"procedure_code": "0220"}, 25_000),
        ({"procedure_code": "01202"}, 25_000),  # a procedure, though between the two as text
    ],
)
def test_an_admission_of_an_earlier_night(line: Row, copay: int) -> None:
    earlier = {
        "claim_id": 90,
        "line_number": 1,
        "claim_number": "000000000090",
        "receipt_number": 90,
        "line_disposition": "paid",
        "member_id": "A",
        "procedure_code": "0120",
        "service_from_date": date(2025, 1, 10),
    }
    assert shares_of(partnership([EMERGENCY], "A", history=[{**earlier, **line}])) == [
        (0, 0, copay)
    ]


# ---- prepaid and packaged lines --------------------------------------------------------------


def test_a_capitated_line_owes_its_copay_alone() -> None:
    plan = reference(
        terms(
            cost_share(copay_amount=1_500),
            cost_share("equipment", deductible_applies=True, coinsurance_basis_points=2_000),
            deductible=limits(30_000, None),
            maximum=NO_LIMITS,
        )
    )
    prepaid = {"pricing_method_code": "capitated"}
    lines: list[Row] = [
        prepaid,
        {**prepaid, "benefit_category": "equipment"},
        {"benefit_category": "equipment"},
    ]
    shared = benefits(night(lines), plan)
    assert shares_of(shared) == [(0, 0, 1_500), (0, 0, 0), (10_000, 0, 0)]
    assert entries_of(shared) == [(1, "M1", "in", 10_000, 11_500)]


@pytest.mark.parametrize("code", ["packaged", "capitated"])
def test_a_line_meant_to_be_allowed_nothing_needs_no_review(code: str) -> None:
    line = {"allowed_amount": 0, "pricing_method_code": code}
    assert found(night([line]), COPAY_15) == []
    assert shares_of(benefits(night([line]), COPAY_15)) == [(0, 0, 0)]


# ---- what stops a line here ------------------------------------------------------------------

EXCLUDING = reference(
    terms(
        cost_share(copay_amount=1_500),
        cost_share("gym", covered=False),
        deductible=NO_LIMITS,
        maximum=NO_LIMITS,
    )
)


def found(batch: Batch, plan: Reference) -> list[tuple[Any, ...]]:
    shared = benefits(batch, plan)
    new = shared.findings[batch.findings.height :]
    assert shared.findings.schema == frames.empty(frames.Findings).schema
    return new.select("line_number", "edit", "disposition", "carc", "pend_code").rows()


def test_a_category_that_the_terms_exclude_is_denied_and_counts_nothing() -> None:
    batch = night([{"benefit_category": "gym"}, {}])
    assert found(batch, EXCLUDING) == [(1, "plan_exclusion", "deny", "96", None)]
    shared = benefits(batch, EXCLUDING)
    assert shared.findings.select("group_code", "rarc", "edit_rank").row(0) == ("CO", "N130", 920)
    assert shares_of(shared) == [(0, 0, 0), (0, 0, 1_500)]
    assert shared.lines["benefit_inputs"].is_null().to_list() == [True, False]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ({"service_from_date": date(2023, 12, 31)}, "plan terms"),  # terms begin 2024-01-01
        ({"plan_code": "other plan"}, "plan terms"),
        ({"plan_code": None}, "plan"),
        ({"decision_date": None}, "date of service"),
        ({"network_code": "out"}, "cost share"),
        ({"benefit_category": "surgery"}, "cost share"),
        ({"allowed_amount": None}, "allowed amount"),
    ],
)
def test_what_is_missing_pends_the_claim_and_is_named(line: Row, missing: str) -> None:
    batch = night([{}, line])
    assert found(batch, EXCLUDING) == [(2, "missing_reference", "pend", None, "REFERENCE")]
    shared = benefits(batch, EXCLUDING)
    assert json.loads(shared.findings["inputs"][0])["problem"] == missing
    assert shares_of(shared) == [(0, 0, 0), (0, 0, 0)]
    assert shared.accumulator_entries.is_empty()


def test_terms_that_lack_the_limits_of_a_network_pend() -> None:
    plan = terms(cost_share(copay_amount=1_500), deductible=NO_LIMITS, maximum=NO_LIMITS)
    assert found(night([{}]), reference({**plan, "deductible": {}})) == []
    assert found(night([{}]), reference({**plan, "out_of_pocket": {}})) == [
        (1, "missing_reference", "pend", None, "REFERENCE")
    ]
    coinsured = {**plan, "cost_shares": [cost_share(deductible_applies=True)], "deductible": {}}
    assert found(night([{}]), reference(coinsured)) == [
        (1, "missing_reference", "pend", None, "REFERENCE")
    ]


def test_a_price_of_nothing_pends_but_a_charge_of_nothing_is_allowed_nothing() -> None:
    free = {"charge_amount": 0, "allowed_amount": 5_000}
    batch = night([{"charge_amount": 1, "allowed_amount": 0}, {"claim_id": 2, **free}])
    assert found(batch, COPAY_15) == [(1, "allowed_zero", "pend", None, "REVIEW")]
    shared = benefits(batch, COPAY_15)
    assert shared.lines["allowed_amount"].to_list() == [0, 0]
    assert shares_of(shared) == [(0, 0, 0), (0, 0, 0)]


def test_a_daily_rate_is_paid_though_the_room_itself_charges_nothing() -> None:
    line = {"charge_amount": 0, "allowed_amount": 5_000, "pricing_method_code": "per_diem"}
    shared = benefits(night([line]), COPAY_15)
    assert shared.lines["allowed_amount"].to_list() == [5_000]
    assert shares_of(shared) == [(0, 0, 1_500)]


def test_a_member_nobody_knows_pends_only_where_nothing_else_decides() -> None:
    unknown = [{"claim_id": 1, "member_id": None}]
    assert found(night([{}], claims=unknown), COPAY_15) == [
        (1, "missing_reference", "pend", None, "REFERENCE")
    ]
    pended = [{"claim_id": 1, "edit_rank": 30, "disposition": "pend", "pend_code": "MEMBER"}]
    assert found(night([{}], claims=unknown, findings=pended), COPAY_15) == []
    denied = [{"claim_id": 1, "edit_rank": 30, "disposition": "deny"}]
    assert found(night([{"plan_code": None}], unknown, denied), COPAY_15) == []


def test_nothing_is_asked_of_a_denied_line_on_a_pended_claim() -> None:
    findings = [
        {"claim_id": 1, "line_number": 1, "edit_rank": 30, "disposition": "deny"},
        {"claim_id": 1, "edit_rank": 40, "disposition": "pend", "pend_code": "COB"},
    ]
    batch = night([{"plan_code": "other plan"}, {}], findings=findings)
    assert found(batch, EXCLUDING) == []


def test_an_exclusion_beats_a_pend_of_the_claim() -> None:
    pended = [{"claim_id": 1, "edit_rank": 30, "disposition": "pend", "pend_code": "DUPLICATE"}]
    batch = night([{"benefit_category": "gym"}], findings=pended)
    assert fates(benefits(batch, EXCLUDING)).claims["disposition"].to_list() == ["denied"]


def test_a_claim_that_an_exclusion_frees_of_its_pend_still_needs_its_values() -> None:
    pend = {"claim_id": 1, "line_number": 1, "edit_rank": 30, "disposition": "pend"}
    batch = night(
        [{"benefit_category": "gym"}, {"allowed_amount": None}],
        findings=[{**pend, "pend_code": "DUPLICATE"}],
    )
    assert found(batch, EXCLUDING) == [
        (1, "plan_exclusion", "deny", "96", None),
        (2, "missing_reference", "pend", None, "REFERENCE"),
    ]


def test_two_cost_shares_for_one_category_are_refused_by_name() -> None:
    twice = terms(cost_share(), cost_share(), deductible=NO_LIMITS, maximum=NO_LIMITS)
    with pytest.raises(ValueError, match=r"plan ppo.*two cost shares for office, network in"):
        benefits(night([{}]), reference(twice))


def test_an_empty_night_is_answered() -> None:
    shared = benefits(night([]), COPAY_15)
    assert shared.lines.is_empty()
    assert settle(shared, COPAY_15).decisions.is_empty()


# ---- against the plain model -----------------------------------------------------------------


def mostly(usual: st.SearchStrategy[Any], seldom: st.SearchStrategy[Any]) -> Any:
    """Nine in ten of the usual: a night where everything is odd counts nothing."""
    return st.integers(1, 10).flatmap(lambda n: usual if n < 10 else seldom)


LIMIT = st.integers(0, 900) | st.sampled_from([None, 100, 250])
LIMITS = st.fixed_dictionaries(dict.fromkeys(("in", "out"), st.tuples(LIMIT, LIMIT)))
SHARE = st.fixed_dictionaries(
    {
        "copay": st.sampled_from([0, 0, 15, 60]),
        "basis_points": st.sampled_from([0, 2_000, 2_500, 3_333, 5_000, 10_000]),
        "deductible": st.booleans(),
        "covered": mostly(st.just(value=True), st.just(value=False)),
    }
)
NAMED = [(c, n) for c in ("office", "surgery", "other") for n in ("in", "out")]
TERMS = st.fixed_dictionaries(
    {
        "deductible": LIMITS,
        "maximum": LIMITS,
        "shares": mostly(
            st.fixed_dictionaries(dict.fromkeys(NAMED, SHARE)),
            st.dictionaries(st.sampled_from(NAMED), SHARE),
        ),
    }
)


def as_priced(line: Row) -> Row:
    """A packaged line is allowed nothing, a capitated one at most its charge."""
    most = {"packaged": 0, "capitated": line["charge_amount"]}.get(line["pricing_method_code"])
    if most is None:
        return line
    return {**line, "allowed_amount": min(most, line["allowed_amount"] or most)}


LINE = st.fixed_dictionaries(
    {
        "charge_amount": mostly(st.integers(1, 300), st.just(0)),
        "allowed_amount": mostly(st.integers(1, 300), st.sampled_from([None, 0])),
        "plan_code": mostly(st.just("ppo"), st.sampled_from(["hmo", "hmo", "lost"])),
        "network_code": st.sampled_from(["in", "in", "out"]),
        "decision_date": st.sampled_from([YEAR, date(2025, 1, 2), date(2024, 12, 31)]),
        "benefit_category": st.sampled_from(["office", "surgery", "dental", None]),
        "pricing_method_code": mostly(st.none(), st.sampled_from(["packaged", "capitated"])),
    }
).map(as_priced)
FINDING = st.fixed_dictionaries(
    {
        "line_number": st.none() | st.integers(1, 3),
        "edit_rank": st.sampled_from([10, 20, 30, 915]),
        "disposition": st.sampled_from(["deny", "pend", "inform"]),
        "pend_code": st.sampled_from(["SYSTEM", "REFERENCE", "DUPLICATE", "COB"]),
    }
)
MEMBER = st.sampled_from([("A", "F1"), ("B", "F1"), ("C", "F2")])
CLAIM = st.tuples(
    MEMBER,
    st.lists(LINE, min_size=1, max_size=3),
    mostly(st.just([]), st.lists(FINDING, min_size=1, max_size=3)),
)


class Drawn:
    """A night as rows for the model, and as frames for the engine."""

    def __init__(self, terms: Any, drawn: Sequence[Any], counters: Sequence[Any]) -> None:
        self.terms = terms
        self.claims = [
            {"claim_id": i, "receipt_number": i, "member_id": m, "family_id": f}
            for i, ((m, f), _, _) in enumerate(drawn, start=1)
        ]
        self.lines = [
            {"claim_id": i, "line_number": n, **line}
            for i, (_, lines, _) in enumerate(drawn, start=1)
            for n, line in enumerate(lines, start=1)
        ]
        self.findings = [
            {"claim_id": i, **finding}
            for i, (_, lines, findings) in enumerate(drawn, start=1)
            for finding in findings
            if (finding["line_number"] or 1) <= len(lines)
        ]
        self.counters = [
            {
                "member_id": m,
                "family_id": f,
                "plan_code": "ppo",
                "network_code": network,
                "benefit_year_start_date": YEAR,
                "deductible_amount": min(used),
                "out_of_pocket_amount": max(used),
            }
            for ((m, f), network), used in counters
        ]

    def batch(self) -> Batch:
        return night(self.lines, self.claims, self.findings, self.counters)

    def reference(self) -> Reference:
        return reference(
            **{
                plan: [
                    {
                        "start_date": date(2020, 1, 1),
                        "deductible": {n: limits(*x) for n, x in t["deductible"].items()},
                        "out_of_pocket": {n: limits(*x) for n, x in t["maximum"].items()},
                        "cost_shares": [
                            cost_share(
                                category,
                                network,
                                copay_amount=share["copay"],
                                coinsurance_basis_points=share["basis_points"],
                                deductible_applies=share["deductible"],
                                covered=share["covered"],
                            )
                            for (category, network), share in t["shares"].items()
                        ],
                    }
                ]
                for plan, t in self.terms.items()
            }
        )


NIGHTS = st.builds(
    Drawn,
    st.fixed_dictionaries({"ppo": TERMS, "hmo": TERMS}),
    st.lists(CLAIM, min_size=3, max_size=10),
    st.dictionaries(
        st.tuples(MEMBER, st.sampled_from(["in", "out"])),
        st.tuples(st.integers(0, 300), st.integers(0, 300)),
        max_size=4,
    ).map(lambda counters: list(counters.items())),
)


def by_line(batch: Batch) -> dict[tuple[int, int], tuple[int, int, int]]:
    return dict(
        zip(batch.lines.select("claim_id", "line_number").rows(), shares_of(batch), strict=True)
    )


def by_counter(entries: pl.DataFrame) -> dict[Any, Any]:
    key = ["claim_id", "member_id", "plan_code", "network_code", "benefit_year_start_date"]
    return {
        (*row[:4], row[4].year): row[5:]
        for row in entries.select(*key, "deductible_amount", "out_of_pocket_amount").rows()
    }


@pytest.mark.long
@THOROUGH
@given(NIGHTS)
def test_engine_and_model_agree(drawn: Drawn) -> None:
    expected = benefits_model.benefits(
        drawn.claims, drawn.lines, drawn.findings, drawn.counters, drawn.terms
    )
    plans = drawn.reference()
    shared = benefits(drawn.batch(), plans)
    assert by_line(shared) == expected["shares"]
    assert by_counter(shared.accumulator_entries) == expected["added"]
    assert dict(fates(shared).claims.select("claim_id", "disposition").rows()) == expected["fates"]
    decided = settle(shared, plans)  # asserts the balance of all of it
    assert decided.decisions["claim_id"].to_list() == sorted(expected["fates"])


@QUICK
@given(NIGHTS)
def test_shares_stay_within_allowed_and_counters_within_limits(drawn: Drawn) -> None:
    shared = benefits(drawn.batch(), drawn.reference())
    for row in shared.lines.iter_rows(named=True):
        owed = [row["deductible_amount"], row["coinsurance_amount"], row["copay_amount"]]
        assert min(owed) >= 0
        assert sum(owed) <= (row["allowed_amount"] or 0)

    used: Counter[Any] = Counter()
    before: Counter[Any] = Counter()
    family_of = {c["member_id"]: c["family_id"] for c in drawn.claims + drawn.counters}
    started = [
        ((r["member_id"], r["plan_code"], r["network_code"], 2025), r["out_of_pocket_amount"])
        for r in drawn.counters
    ]
    added = [(k[1:], v[1]) for k, v in by_counter(shared.accumulator_entries).items()]
    for counts, rows in ((before, started), (used, started + added)):
        for (member, plan, network, year), amount in rows:
            counts["member", member, plan, network, year] += amount
            counts["family", family_of[member], plan, network, year] += amount
    for key, amount in used.items():
        who, _, plan, network, _ = key
        limit = drawn.terms[plan]["maximum"][network][who == "family"]
        # nothing is added past a limit, also where an earlier night had passed it
        assert limit is None or amount <= max(limit, before[key])


@pytest.mark.long
@QUICK
@given(NIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_other_families_change_nothing(drawn: Drawn, random: Any) -> None:
    plans, batch = drawn.reference(), drawn.batch()
    whole = by_line(benefits(batch, plans))
    shuffled = batch.with_(
        **{
            name: frame[random.sample(range(frame.height), frame.height)] if frame.height else frame
            for name in ("claims", "lines", "findings", "accumulators")
            for frame in [getattr(batch, name)]
        }
    )
    assert by_line(benefits(shuffled, plans)) == whole

    claims = batch.claims.filter(family_id="F1")
    alone = batch.with_(
        claims=claims,
        lines=batch.lines.join(claims, on="claim_id", how="semi", maintain_order="left"),
        findings=batch.findings.join(claims, on="claim_id", how="semi"),
    )
    shares = by_line(benefits(alone, plans))
    assert shares == {key: whole[key] for key in shares}


@pytest.mark.long
@QUICK
@given(NIGHTS, st.integers(0, 10))
def test_two_nights_with_their_counters_carried_equal_one(drawn: Drawn, cut: int) -> None:
    plans = drawn.reference()
    batch = drawn.batch()
    first, second = (
        batch.with_(
            claims=batch.claims.filter(part),
            lines=batch.lines.filter(part),
            findings=batch.findings.filter(part),
        )
        for part in (pl.col("claim_id") <= cut, pl.col("claim_id") > cut)
    )
    earlier = benefits(first, plans)
    key = ["member_id", "plan_code", "network_code", "benefit_year_start_date"]
    carried = (
        pl.concat(
            [batch.accumulators, earlier.accumulator_entries.drop("claim_id")], how="diagonal"
        )
        .group_by(key)
        .agg(
            pl.col("family_id").first(),
            pl.col("deductible_amount").sum(),
            pl.col("out_of_pocket_amount").sum(),
        )
        .select(batch.accumulators.columns)
    )
    later = benefits(second.with_(accumulators=carried), plans)
    assert by_line(earlier) | by_line(later) == by_line(benefits(batch, plans))
