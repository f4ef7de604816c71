from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.stages.benefits import benefits
from adjudicator.stages.coordinate import UncoordinatedError, coordinate
from adjudicator.stages.settle import OutOfBalanceError, settle
from schemas import frames
from schemas.program import OutOfNetworkPricing
from tests.model import Row, benefits_model, night, reference

UNLIMITED: Row = {"individual_amount": None, "family_amount": None}
# office: copay $15. surgery: $50 deductible, then 20 %. lab: free. gym: not covered
PLAN = reference(
    {
        "start_date": date(2024, 1, 1),
        "deductible": {"in": {"individual_amount": 5_000, "family_amount": None}},
        "out_of_pocket": {"in": UNLIMITED},
        "cost_shares": [
            {"category": "office", "network_code": "in", "copay_amount": 1_500},
            {
                "category": "surgery",
                "network_code": "in",
                "coinsurance_basis_points": 2_000,
                "deductible_applies": True,
            },
            {"category": "lab", "network_code": "in"},
            {"category": "gym", "network_code": "in", "covered": False},
        ],
    }
)

# the same, under a program that leaves the member what is charged above the price
BALANCING = replace(
    PLAN,
    programs={
        "test": PLAN.programs["test"].model_copy(
            update={"out_of_network": OutOfNetworkPricing(balance_group_code="PR")}
        )
    },
)


def deny(claim_id: int = 1, line_number: int | None = None, rank: int = 50, **given: Any) -> Row:
    return {
        "claim_id": claim_id,
        "line_number": line_number,
        "edit": f"deny_{rank}",
        "edit_rank": rank,
        "disposition": "deny",
        "group_code": "CO",
        "carc": "29",
        **given,
    }


def pend(
    claim_id: int = 1, line_number: int | None = None, rank: int = 50, code: str = "COB"
) -> Row:
    return {
        "claim_id": claim_id,
        "line_number": line_number,
        "edit": f"pend_{rank}",
        "edit_rank": rank,
        "disposition": "pend",
        "pend_code": code,
    }


def decided(batch: Batch) -> Batch:
    return settle(coordinate(benefits(batch, PLAN), PLAN), PLAN)


def cas_of(batch: Batch) -> list[tuple[Any, ...]]:
    return batch.adjustments.drop("claim_id").rows()


def fate_of(batch: Batch) -> tuple[Any, ...]:
    """(disposition, charge, allowed, member, paid, pend codes) of the one claim."""
    return batch.decisions.drop("claim_id").row(0)


# ---- findings become a fate ------------------------------------------------------------------


def test_the_first_denier_takes_the_money() -> None:
    batch = night([{}], findings=[deny(rank=50, carc="29"), deny(rank=20, carc="18")])
    assert cas_of(decided(batch)) == [(1, 1, "CO", "18", None, 10_000, "deny_20")]


def test_of_one_rank_the_lines_own_denial_speaks_first() -> None:
    batch = night([{}, {}], findings=[deny(carc="26"), deny(line_number=2, carc="27")])
    assert [(r[0], r[3]) for r in cas_of(decided(batch))] == [(1, "26"), (2, "27")]


@pytest.mark.parametrize(
    ("code", "rank", "disposition"),
    [
        ("DUPLICATE", 40, "denied"),
        ("SYSTEM", 49, "pended"),
        ("SYSTEM", 50, "denied"),
        ("SYSTEM", 51, "denied"),
        ("REFERENCE", 49, "pended"),
        ("REFERENCE", 51, "denied"),
    ],
)
@pytest.mark.parametrize("line_number", [None, 1])
def test_a_deny_beats_a_pend_but_not_an_earlier_blind_one(
    code: str, rank: int, disposition: str, line_number: int | None
) -> None:
    findings = [deny(rank=50), pend(line_number=line_number, rank=rank, code=code)]
    assert fate_of(decided(night([{}], findings=findings)))[0] == disposition


def test_a_claims_pend_stands_if_some_line_is_not_denied() -> None:
    one_line = [deny(line_number=1), pend()]
    assert fate_of(decided(night([{}, {}], findings=one_line)))[0] == "pended"
    both = [deny(line_number=1), deny(line_number=2), pend()]
    assert fate_of(decided(night([{}, {}], findings=both)))[0] == "denied"


def test_a_line_that_pends_pends_the_claim_whole() -> None:
    batch = night([{}, {}, {}], findings=[deny(line_number=1), pend(line_number=2)])
    done = decided(batch)
    assert fate_of(done) == ("pended", 30_000, 0, 0, 0, "COB")
    assert done.lines["line_disposition"].to_list() == ["pended"] * 3
    assert done.lines["paid_amount"].to_list() == [0, 0, 0]
    assert done.adjustments.is_empty()
    assert done.accumulator_entries.is_empty()


def test_only_the_pends_that_stand_are_named_each_once_in_order() -> None:
    findings = [
        pend(line_number=2, rank=70, code="COB"),
        pend(line_number=2, rank=30, code="MEMBER"),
        pend(line_number=3, rank=60, code="COB"),
        pend(line_number=1, rank=10, code="REVIEW"),  # beaten by the denial
        deny(line_number=1, rank=90),
    ]
    assert fate_of(decided(night([{}, {}, {}], findings=findings)))[-1] == "MEMBER,COB"


def test_information_changes_nothing() -> None:
    inform = {**deny(), "disposition": "inform"}
    assert fate_of(decided(night([{}], findings=[inform])))[0] == "paid"


def test_a_rejected_claim_leaves_no_line_and_no_money() -> None:
    done = decided(night([{}], findings=[{**deny(), "disposition": "reject"}, deny(), pend()]))
    assert fate_of(done) == ("rejected", 10_000, 0, 0, 0, None)
    assert done.lines.is_empty()
    assert done.adjustments.is_empty()


def test_a_claim_without_lines_waits_or_is_refused_whole() -> None:
    empty = [{"claim_id": 1, "charge_amount": 0}]
    assert fate_of(decided(night([], empty, [pend(code="SYSTEM")])))[0] == "pended"
    assert fate_of(decided(night([], empty, [deny()])))[0] == "denied"


FINDING = st.builds(
    lambda kind, line, rank, code: {
        **(deny(1, line, rank) if kind == "deny" else pend(1, line, rank, code)),
        "pend_code": code if kind == "pend" else None,
        "carc": str(rank) if kind == "deny" else None,
    },
    st.sampled_from(["deny", "pend"]),
    st.none() | st.integers(1, 2),
    st.integers(1, 6),
    st.sampled_from(["SYSTEM", "REFERENCE", "DUPLICATE"]),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(FINDING, max_size=5))
def test_fates_agree_with_the_sentences_of_the_rules(findings: list[Row]) -> None:
    batch = night([{}, {}], findings=findings)
    answer = fates(batch)
    rows = batch.findings.to_dicts()
    lines = batch.lines.select("claim_id", "line_number").to_dicts()
    assert answer.claims["disposition"].item() == benefits_model.claim_fate(lines, rows)
    for line, said in zip(lines, answer.lines.to_dicts(), strict=True):
        denial = benefits_model.denier(line, rows)
        assert said["carc"] == (denial and denial["carc"])


# ---- adjustments -----------------------------------------------------------------------------


def test_a_paid_line_goes_from_charge_to_allowed_to_paid() -> None:
    batch = night(
        [
            {"charge_amount": 20_000, "allowed_amount": 12_000, "benefit_category": "surgery"},
            {"charge_amount": 8_000, "allowed_amount": 6_000},
        ]
    )
    done = decided(batch)
    # line 1: 200 - 80 = 120 allowed; deductible 50, 20 % of 70 = 14; paid 56
    # line 2: 80 - 20 = 60 allowed; copay 15; paid 45
    assert cas_of(done) == [
        (1, 1, "CO", "45", None, 8_000, "price"),
        (1, 2, "PR", "1", None, 5_000, "deductible"),
        (1, 3, "PR", "2", None, 1_400, "coinsurance"),
        (2, 1, "CO", "45", None, 2_000, "price"),
        (2, 2, "PR", "3", None, 1_500, "copay"),
    ]
    assert done.lines["paid_amount"].to_list() == [5_600, 4_500]
    # charge 280, allowed 180, member 50 + 14 + 15 = 79, paid 101
    assert fate_of(done) == ("paid", 28_000, 18_000, 7_900, 10_100, None)
    for schema, frame in (
        (frames.DecidedLines, done.lines),
        (frames.Adjustments, done.adjustments),
        (frames.DecidedClaims, done.decisions),
    ):
        schema.validate(frame)


@pytest.mark.parametrize(
    ("allowed", "cas"),
    [
        (9_999, [(1, 1, "CO", "45", None, 1, "price")]),
        (10_000, []),
        (10_001, [(1, 1, "OA", "94", None, -1, "price")]),
    ],
)
def test_allowed_below_at_and_above_the_charge(allowed: int, cas: list[Any]) -> None:
    done = decided(night([{"benefit_category": "lab", "allowed_amount": allowed}]))
    assert cas_of(done) == cas
    assert done.lines["paid_amount"].item() == allowed


def test_allowed_above_the_charge_is_shared_and_paid_in_full() -> None:
    # surgery: 90.00 charged, 130.00 allowed by a contract without the lesser of the two:
    # deductible 50.00, 20 % of 80.00 = 16.00; paid 64.00 = 90.00 + 40.00 - 66.00
    line = {"charge_amount": 9_000, "allowed_amount": 13_000, "benefit_category": "surgery"}
    done = decided(night([line]))
    assert cas_of(done) == [
        (1, 1, "OA", "94", None, -4_000, "price"),
        (1, 2, "PR", "1", None, 5_000, "deductible"),
        (1, 3, "PR", "2", None, 1_600, "coinsurance"),
    ]
    assert fate_of(done) == ("paid", 9_000, 13_000, 6_600, 6_400, None)


def test_a_balance_the_member_would_owe_is_never_negative() -> None:
    line = {"contract_id": None, "benefit_category": "lab", "allowed_amount": 10_001}
    batch = benefits(night([line]), BALANCING)
    assert cas_of(settle(batch, BALANCING)) == [(1, 1, "OA", "94", None, -1, "price")]
    below = benefits(night([{**line, "allowed_amount": 9_999}]), BALANCING)
    assert cas_of(settle(below, BALANCING)) == [(1, 1, "PR", "45", None, 1, "above_usual_charge")]


def test_a_stay_at_a_daily_rate_packages_the_rest() -> None:
    # 4,500.00 charged for the room, 6,300.00 allowed for the whole stay; 900.00 of drugs in it
    batch = night(
        [
            {"charge_amount": 450_000, "allowed_amount": 630_000, "pricing_method_code": "per_diem",
             "benefit_category": "lab"},
            {"charge_amount": 90_000, "allowed_amount": 0, "pricing_method_code": "packaged",
             "benefit_category": "lab"},
            {"charge_amount": 0, "allowed_amount": 0, "pricing_method_code": "packaged",
             "benefit_category": "lab"},
        ]
    )  # fmt: skip
    done = decided(batch)
    assert cas_of(done) == [
        (1, 1, "OA", "94", None, -180_000, "price"),
        (2, 1, "CO", "97", None, 90_000, "packaged"),
    ]
    # 5,400.00 + 1,800.00 - 900.00
    assert fate_of(done) == ("paid", 540_000, 630_000, 0, 630_000, None)
    assert done.lines["line_disposition"].to_list() == ["paid"] * 3
    assert done.lines["paid_amount"].to_list() == [630_000, 0, 0]


@pytest.mark.parametrize(
    ("line", "cas"),
    [
        # 150.00 charged, 91.50 allowed for the record: the copay first, prepaid the rest
        (
            {"charge_amount": 15_000, "allowed_amount": 9_150},
            [(1, 1, "PR", "3", None, 1_500, "copay"), (1, 2, "CO", "24", None, 13_500, "prepaid")],
        ),
        # the copay is no more than what is allowed, and may be the whole charge
        (
            {"charge_amount": 1_000, "allowed_amount": 900},
            [(1, 1, "PR", "3", None, 900, "copay"), (1, 2, "CO", "24", None, 100, "prepaid")],
        ),
        (
            {"charge_amount": 1_000, "allowed_amount": 1_000},
            [(1, 1, "PR", "3", None, 1_000, "copay")],
        ),
        # no deductible and no coinsurance, and no copay of what is free
        (
            {"benefit_category": "surgery"},
            [(1, 1, "CO", "24", None, 10_000, "prepaid")],
        ),
        (
            {"benefit_category": "lab", "allowed_amount": 0},
            [(1, 1, "CO", "24", None, 10_000, "prepaid")],
        ),
        ({"charge_amount": 0, "allowed_amount": 0}, []),
    ],
)
@pytest.mark.parametrize("plan", ["usual", "balancing"])
def test_a_capitated_line_is_paid_nothing(line: Row, cas: list[Any], plan: str) -> None:
    known = {"usual": PLAN, "balancing": BALANCING}[plan]
    prepaid = {**line, "pricing_method_code": "capitated", "contract_id": None}
    done = settle(benefits(night([prepaid]), known), known)
    assert cas_of(done) == cas
    assert done.lines["line_disposition"].to_list() == ["paid"]
    member = sum(amount for _, _, group, _, _, amount, _ in cas if group == "PR")
    charge, allowed = done.lines.select("charge_amount", "allowed_amount").row(0)
    assert fate_of(done) == ("paid", charge, allowed, member, 0, None)


def test_a_capitated_line_beside_others() -> None:
    batch = night(
        [
            {"pricing_method_code": "capitated", "benefit_category": "gym"},  # not covered
            {"pricing_method_code": "capitated", "benefit_category": "lab"},
            {"benefit_category": "lab"},
        ]
    )
    done = decided(batch)
    assert cas_of(done) == [
        (1, 1, "CO", "96", "N130", 10_000, "plan_exclusion"),
        (2, 1, "CO", "24", None, 10_000, "prepaid"),
    ]
    assert fate_of(done) == ("paid", 30_000, 20_000, 0, 10_000, None)


def test_the_last_adjustment_tells_that_the_maximum_is_met() -> None:
    limited = reference(
        {
            "start_date": date(2024, 1, 1),
            "deductible": {"in": UNLIMITED},
            "out_of_pocket": {"in": {"individual_amount": 2_000, "family_amount": None}},
            "cost_shares": [{"category": "office", "network_code": "in", "copay_amount": 1_500}],
        }
    )
    batch = night(
        [
            {"claim_id": 1},
            {"claim_id": 2, "allowed_amount": 9_000},
            {"claim_id": 3, "allowed_amount": 9_000},
            {"claim_id": 4},
            {"claim_id": 5, "pricing_method_code": "capitated"},
        ]
    )
    done = settle(benefits(batch, limited), limited)
    # 15.00 of 20.00, the last 5.00, then nothing; claim 4 has no adjustment to stand beside
    assert done.adjustments.drop("sequence_number", "reason").rows() == [
        (1, 1, "PR", "3", None, 1_500),
        (2, 1, "CO", "45", None, 1_000),
        (2, 1, "PR", "3", "N549", 500),
        (3, 1, "CO", "45", "N549", 1_000),
        (5, 1, "CO", "24", "N549", 10_000),
    ]


def test_a_denied_line_beside_a_paid_one() -> None:
    batch = night(
        [{"charge_amount": 7_000}, {"benefit_category": "gym", "charge_amount": 3_000}],
        findings=[deny(line_number=1, group_code="PR", carc="26")],
    )
    done = decided(batch)
    assert cas_of(done) == [
        (1, 1, "PR", "26", None, 7_000, "deny_50"),
        (2, 1, "CO", "96", "N130", 3_000, "plan_exclusion"),
    ]
    assert done.lines["allowed_amount"].to_list() == [None, None]
    assert fate_of(done) == ("denied", 10_000, 0, 7_000, 0, None)

    one_denied = decided(night([{}, {"benefit_category": "gym"}]))
    assert one_denied.lines["line_disposition"].to_list() == ["paid", "denied"]
    # 200 charged, 100 allowed, 15 copay, 85 paid
    assert fate_of(one_denied) == ("paid", 20_000, 10_000, 1_500, 8_500, None)


def test_lines_that_charge_nothing_have_no_adjustments() -> None:
    free = {"charge_amount": 0, "allowed_amount": 4_000}
    done = decided(night([free, free, {}], findings=[deny(line_number=2)]))
    assert done.adjustments["line_number"].unique().to_list() == [3]
    assert done.lines["line_disposition"].to_list() == ["paid", "denied", "paid"]
    assert done.lines["paid_amount"].to_list() == [0, 0, 8_500]


def test_output_is_ordered_by_claim_and_line_whatever_came_in() -> None:
    batch = night(
        [
            {"claim_id": 2, "line_number": 2},
            {"claim_id": 2, "line_number": 1},
            {"claim_id": 1, "line_number": 1},
        ]
    )
    # claim 2 is one visit: its copay is taken on line 1, so line 2 is paid in full
    done = decided(batch)
    assert done.decisions["claim_id"].to_list() == [1, 2]
    assert done.adjustments.select("claim_id", "line_number").rows() == [(1, 1), (2, 1)]
    assert done.lines.select("claim_id", "line_number").rows() == [(2, 2), (2, 1), (1, 1)]


# ---- promises that stop the night ------------------------------------------------------------


def broken(batch: Batch, **changed: pl.Expr) -> Batch:
    return batch.with_(lines=batch.lines.with_columns(**changed).cast(batch.lines.schema))


SHARED = benefits(night([{}, {"claim_id": 77, "benefit_category": "lab"}]), PLAN)


@pytest.mark.parametrize(
    ("batch", "promise"),
    [
        (broken(SHARED, allowed_amount=pl.lit(None, pl.Int64)), "allowed less"),
        (broken(SHARED, copay_amount=pl.col("copay_amount") + 1), "accumulators did not count"),
        (broken(SHARED, copay_amount=pl.col("allowed_amount") + 1), "less than nothing is paid"),
        (broken(SHARED, coinsurance_amount=pl.lit(-1)), "share is below nothing"),
        (broken(SHARED, allowed_amount=pl.lit(0), copay_amount=pl.lit(0)), "CARC 45 would take"),
        (
            SHARED.with_(accumulator_entries=SHARED.accumulator_entries.clear()),
            "accumulators did not count",
        ),
        (
            SHARED.with_(
                accumulator_entries=SHARED.accumulator_entries.with_columns(plan_code=pl.lit("x"))
            ),
            "accumulators did not count",
        ),
        (broken(SHARED, charge_amount=pl.lit(None, pl.Int64)), "allowed less"),
        (broken(SHARED, charge_amount=pl.lit(10_001)), "not the sum of its lines'"),
        (broken(SHARED, pricing_method_code=pl.lit("packaged")), "allowed less"),
        (
            broken(SHARED, pricing_method_code=pl.lit("capitated"), copay_amount=pl.lit(10_001)),
            "less than nothing is adjusted as prepaid",
        ),
        (SHARED.with_(lines=pl.concat([SHARED.lines[:1], SHARED.lines])), "line is here twice"),
        (
            SHARED.with_(claims=pl.concat([SHARED.claims, SHARED.claims[:1]])),
            "claim is here twice",
        ),
        (SHARED.with_(claims=SHARED.claims[1:]), "line has no claim"),
        (SHARED.with_(lines=SHARED.lines[1:]), "not the sum of its lines'"),
    ],
)
def test_a_broken_promise_stops_the_night_and_names_only_claims(batch: Batch, promise: str) -> None:
    with pytest.raises(OutOfBalanceError, match=rf"{promise}.*: claims \[[0-9, ]+\]$"):
        settle(batch, PLAN)


@pytest.mark.parametrize(
    ("finding", "promise"),
    [
        (deny(line_number=2), "finding names no line"),
        (deny(line_number=1), "has a member's share"),
        (pend(), "has a member's share"),
        (deny(claim_id=77, carc=None), "without group code or CARC"),
        (deny(claim_id=77, group_code=None), "without group code or CARC"),
    ],
)
def test_a_finding_after_the_count_stops_the_night(finding: Row, promise: str) -> None:
    late = night([], findings=[finding]).findings
    batch = SHARED.with_(findings=late)
    with pytest.raises(OutOfBalanceError, match=promise):
        settle(batch, PLAN)


def test_an_untouched_night_passes() -> None:
    assert settle(SHARED, PLAN).decisions["disposition"].to_list() == ["paid", "paid"]


# ---- coordination ----------------------------------------------------------------------------


@pytest.mark.parametrize("findings", [[pend()], [deny()]])
def test_claims_with_another_payer_pass_while_nobody_pays_them(findings: list[Row]) -> None:
    others = [{"claim_id": 1, "payer_sequence": 1}]
    batch = benefits(night([{}], findings=findings, other_payers=others), PLAN)
    assert coordinate(batch, PLAN) is batch


def test_a_claim_with_another_payer_is_never_paid_as_if_alone() -> None:
    others = [{"claim_id": 2, "payer_sequence": 1}]
    batch = benefits(night([{}, {"claim_id": 2}], other_payers=others), PLAN)
    with pytest.raises(UncoordinatedError, match=r"\[2\]"):
        coordinate(batch, PLAN)
