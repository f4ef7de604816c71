"""Claims beside payers before us: by hand, against a plain model, and on the 835."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adjudicator.money import apportion, apportion_int
from adjudicator.other_payers import prior_decisions
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from adjudicator.remittance import payees_to_pay, payments_due, remit
from adjudicator.stages.benefits import benefits
from adjudicator.stages.coordinate import UncoordinatedError, coordinate
from adjudicator.stages.settle import OutOfBalanceError, settle
from edi.balance import check_835
from edi.write_835 import write_835
from schemas import frames
from tests import build
from tests.model import Row, coordinate_model, night

TERMS = load_programs()["carepartners"].coordination
assert TERMS is not None
UNLIMITED: Row = {"individual_amount": None, "family_amount": None}
# office: copay 15.00. surgery: deductible 50.00, then 20 %. lab: nothing
PLAN: Row = {
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
    ],
}

SHARES = ("deductible", "coinsurance", "copay")
Cas = tuple[str, str, int]  # group, reason, cents


def reference(
    statuses: Sequence[Row] = (), maximum: int | None = None, **program: Any
) -> Reference:
    terms = {**PLAN, "out_of_pocket": {"in": {**UNLIMITED, "individual_amount": maximum}}}
    return build.reference(
        build.program(
            plans={"ppo": {"plan_code": "ppo", "name": "ppo", "terms": [terms]}},
            uncollectable_statuses=("qmb",),
            **program,
        ),
        special_statuses=[{"start_date": date(2024, 1, 1), **row} for row in statuses],
    )


@dataclass(frozen=True)
class Payer:
    """A payer before us: what it paid and adjusted of the claim, or line by line."""

    paid: int = 0
    cas: tuple[Cas, ...] = ()
    lines: tuple[tuple[int, tuple[Cas, ...]], ...] | None = None
    filing: str = "CI"

    @property
    def paid_amount(self) -> int:
        if self.lines is None:
            return self.paid
        return sum(paid for paid, _ in self.lines) - sum(a for *_, a in self.cas)


@dataclass(frozen=True)
class Line:
    charge: int
    allowed: int
    category: str = "office"
    denied: tuple[str, str] | None = None
    facts: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A claim, and of each line what it comes to: "group-CARC cents" and what is paid."""

    says: str
    lines: tuple[Line, ...]
    payers: tuple[Payer, ...]
    comes_to: tuple[tuple[dict[str, int], int], ...]
    status: str | None = None


def batch_of(cases: Sequence[tuple[tuple[Line, ...], tuple[Payer, ...]]], **given: Any) -> Batch:
    """A night of such claims, numbered from 1; each of a member of its own unless ``members``."""
    members = given.pop("members", [f"M{n}" for n in range(1, len(cases) + 1)])
    claims: list[Row] = []
    lines: list[Row] = []
    findings: list[Row] = []
    payers: list[Row] = []
    told: list[Row] = []
    adjusted: list[Row] = []
    for claim_id, (of_claim, before) in enumerate(cases, start=1):
        claims.append({
            "claim_id": claim_id, "member_id": members[claim_id - 1],
            "family_id": members[claim_id - 1], "responsibility_code": "PSTABC"[len(before)],
        })  # fmt: skip
        for number, line in enumerate(of_claim, start=1):
            lines.append({
                "claim_id": claim_id, "charge_amount": line.charge,
                "allowed_amount": line.allowed, "benefit_category": line.category, **line.facts,
            })  # fmt: skip
            if line.denied:
                findings.append({
                    "claim_id": claim_id, "line_number": number, "edit": "an_edit",
                    "edit_rank": 50, "disposition": "deny", "group_code": line.denied[0],
                    "carc": line.denied[1],
                })  # fmt: skip
        for n, payer in enumerate(before, start=1):
            key = {"claim_id": claim_id, "payer_sequence": n}
            payers.append({
                **key, "responsibility_code": "PSTABC"[n - 1], "claim_filing_code": payer.filing,
                "payer_number": f"X{n}", "paid_amount": payer.paid_amount,
                "adjudication_date": date(2025, 1, 20),
            })  # fmt: skip
            adjusted += [{**key, **cas(c)} for c in payer.cas]
            for number, (paid, of_line) in enumerate(payer.lines or (), start=1):
                loop = {"claim_id": claim_id, "line_number": number, "adjudication_sequence": n}
                told.append({**loop, "payer_number": f"X{n}", "paid_amount": paid})
                adjusted += [{**loop, **cas(c)} for c in of_line]
    return night(lines, claims, findings, other_payers=payers, **given).with_(
        other_payer_lines=build.frame(frames.OtherPayerLines, told),
        other_payer_adjustments=build.frame(frames.OtherPayerAdjustments, adjusted),
    )


def cas(given: Cas) -> Row:
    return dict(zip(("group_code", "reason_code", "adjustment_amount"), given, strict=True))


def decided(batch: Batch, terms: Reference) -> Batch:
    return settle(coordinate(benefits(batch, terms), terms), terms)


def outcome(batch: Batch, claim_id: int = 1) -> tuple[tuple[dict[str, int], int], ...]:
    """Of each line its adjustments, "group-CARC" to cents, and what is paid."""
    rows = batch.adjustments.filter(claim_id=claim_id).to_dicts()
    return tuple(
        (
            {
                f"{r['group_code']}-{r['carc']}": r["adjustment_amount"]
                for r in rows
                if r["line_number"] == line["line_number"]
            },
            line["paid_amount"],
        )
        for line in batch.lines.filter(claim_id=claim_id).to_dicts()
    )


# ---- by hand ---------------------------------------------------------------------------------

# billed 500.00; the primary paid 300.00, CO 125.00, PR 75.00
PRIMARY = (("CO", "45", 12_500), ("PR", "2", 7_500))
EXAMPLE = Payer(30_000, PRIMARY)
ACUTE = Line(50_000, 8_000)  # allowed 80.00, copay 15.00: alone 65.00

CASES = (
    Case(  # least of 75 left, 500 - 300 = 200, 65, 375 - 300 = 75; 75 - 65 = 10 of the copay
        "the worked example: what remains is the member's as far as the copay goes",
        (ACUTE,), (EXAMPLE,), (({"OA-23": 42_500, "PR-3": 1_000}, 6_500),),
    ),
    Case(  # allowed 65, no cost share: 65 paid, nobody owes the 10
        "the worked example without cost share: what remains is written off",
        (Line(50_000, 6_500, "lab"),), (EXAMPLE,), (({"OA-23": 42_500, "CO-45": 1_000}, 6_500),),
    ),
    Case(
        "the worked example told by line",
        (ACUTE,), (Payer(lines=((30_000, PRIMARY),)),),
        (({"OA-23": 42_500, "PR-3": 1_000}, 6_500),),
    ),
    Case(  # allowed 70, alone 55; 75 - 55 = 20 = copay 15 + 5
        "the cost share explains a part of what remains",
        (Line(50_000, 7_000),), (EXAMPLE,),
        (({"OA-23": 42_500, "CO-45": 500, "PR-3": 1_500}, 5_500),),
    ),
    Case(  # 375 + 125 = 500
        "the primary left nothing",
        (ACUTE,), (Payer(37_500, (("CO", "45", 12_500),)),), (({"OA-23": 50_000}, 0),),
    ),
    Case(
        "the primary paid the whole charge", (ACUTE,), (Payer(50_000),), (({"OA-23": 50_000}, 0),),
    ),
    Case(  # alone 235, left 75, the higher allowed 375 - 300 = 75
        "what was left is the least",
        (Line(50_000, 25_000),), (EXAMPLE,), (({"OA-23": 42_500}, 7_500),),
    ),
    Case(  # left 200; 350 - 300 = 50 is the least; 150 remain: copay 15, 135
        "the higher allowed amount less what was paid is the least: ours is higher",
        (Line(50_000, 35_000),), (Payer(30_000, (("PR", "45", 20_000),)),),
        (({"OA-23": 30_000, "CO-45": 13_500, "PR-3": 1_500}, 5_000),),
    ),
    Case(  # theirs is 300 (250 is ours): 300 - 300 = 0; 200 remain: copay 15, 185
        "the primary paid what it allows, more than we do, and left the balance",
        (Line(50_000, 25_000),), (Payer(30_000, (("PR", "45", 20_000),)),),
        (({"OA-23": 30_000, "CO-45": 18_500, "PR-3": 1_500}, 0),),
    ),
    Case(  # 300 + 200; a cent below: 299.99 allowed by them, 300.00 by us: 0.01 is paid
        "one cent more allowed by us than paid",
        (Line(50_000, 30_000, "lab"),), (Payer(29_999, (("PR", "45", 20_001),)),),
        (({"OA-23": 29_999, "CO-45": 20_000}, 1),),
    ),
    Case(  # 90 - 20 + 30 = 100: left 30, yet 100 - 90 = 10; 20 remain
        "the primary allows more than the charge: never more than the charge less what was paid",
        (Line(10_000, 10_000, "lab"),), (Payer(9_000, (("CO", "45", -2_000), ("PR", "2", 3_000))),),
        (({"OA-23": 7_000, "CO-45": 2_000}, 1_000),),
    ),
    Case(  # 120 - 20 = 100
        "the primary paid more than the charge",
        (Line(10_000, 10_000, "lab"),), (Payer(12_000, (("CO", "45", -2_000),)),),
        (({"OA-23": 10_000}, 0),),
    ),
    Case(  # 375 left to the deductible: alone 65; 375 - 65 = 310: copay 15, 295
        "all of it went to the primary's deductible",
        (ACUTE,), (Payer(0, (("CO", "45", 12_500), ("PR", "1", 37_500))),),
        (({"OA-23": 12_500, "CO-45": 29_500, "PR-3": 1_500}, 6_500),),
    ),
    Case(  # CARC 96: as if there were no primary: 200 - 80 = 120, copay 15
        "the primary does not cover it: whatever its group, we pay as if alone",
        (Line(20_000, 8_000),), (Payer(0, (("CO", "96", 20_000),)),),
        (({"CO-45": 12_000, "PR-3": 1_500}, 6_500),),
    ),
    Case(
        "the primary does not cover it, and the patient owes",
        (Line(20_000, 8_000),), (Payer(0, (("PR", "204", 20_000),)),),
        (({"CO-45": 12_000, "PR-3": 1_500}, 6_500),),
    ),
    Case(  # CARC 29 with CO: nobody owes it there, so it is not ours
        "the primary was billed too late",
        (Line(20_000, 8_000),), (Payer(0, (("CO", "29", 20_000),)),), (({"OA-23": 20_000}, 0),),
    ),
    Case(  # 100 not covered are left beside 15 coinsurance: 200 - 40 - 45 = 115; alone 65
        "a part not covered, a part paid",
        (Line(20_000, 8_000),),
        (Payer(4_000, (("CO", "45", 4_500), ("PR", "2", 1_500), ("CO", "96", 10_000))),),
        # 80 - 40 = 40 is the least (theirs 55); 115 - 40 = 75: copay 15, 60
        (({"OA-23": 8_500, "CO-45": 6_000, "PR-3": 1_500}, 4_000),),
    ),
    Case(  # 375 accepted - 300 - 65 = 10 left; 135, alone 65, 375 - 365 = 10
        "two payers before us",
        (ACUTE,), (EXAMPLE, Payer(6_500, (("OA", "23", 42_500), ("PR", "3", 1_000)))),
        (({"OA-23": 49_000}, 1_000),),
    ),
    Case(  # the first leaves all, the second is the worked example's primary
        "two payers before us, of which the first does not cover it",
        (ACUTE,), (Payer(0, (("CO", "96", 50_000),)), EXAMPLE),
        (({"OA-23": 42_500, "PR-3": 1_000}, 6_500),),
    ),
    Case(  # 20 + 55 = 75 paid; the first writes off 100: 400 - 325 = 75; the second 90 more: the
        # least accepted counts: 500 - 110 = 390, 500 - 100 = 400: 390 - 300 - 55 = 35
        "two payers that write off differently: the provider accepts the least",
        (ACUTE,),
        (
            Payer(30_000, (("CO", "45", 10_000), ("PR", "2", 10_000))),
            Payer(5_500, (("OA", "23", 30_000), ("CO", "45", 11_000), ("PR", "3", 3_500))),
        ),
        # the higher allowed is the first's: 400 - 355 = 45; 35 left is the least
        (({"OA-23": 46_500}, 3_500),),
    ),
    Case(  # alone 45 + 35 = 80, left 75: 75 x 45/80 = 42.1875, 75 x 35/80 = 32.8125: the cent goes
        # to the second's .8125? 4218.75 and 3281.25: the larger remainder is the first's
        "a claim's figures: our payment by what each line would be paid alone",
        (Line(30_000, 6_000), Line(20_000, 3_500, "lab")), (EXAMPLE,),
        (({"OA-23": 25_781}, 4_219), ({"OA-23": 16_719}, 3_281)),
    ),
    Case(  # 10.00 in thirds: the cent that is left goes to the first; 100 - 3.34 = 96.66
        "a claim's figures: of equal remainders the first line",
        (Line(10_000, 4_000, "lab"),) * 3,
        (Payer(20_000, (("CO", "45", 9_000), ("PR", "2", 1_000))),),
        (({"OA-23": 9_666}, 334), ({"OA-23": 9_667}, 333), ({"OA-23": 9_667}, 333)),
    ),
    Case(  # alone 105 + 8 = 113, shares 15 + 52; the least is 180 - 100 = 80
        # 80 x 105/113 = 74.3362.., 80 x 8/113 = 5.6637..; owed 67 of 320 left; rest 210.66 + 142.34
        # OA-23 100: x 210.66/353 = 59.677.., x 142.34/353 = 40.322..
        "a claim's figures: payment, cost shares, OA-23 and CO-45 on each line",
        (Line(30_000, 12_000), Line(20_000, 6_000, "surgery")),
        (Payer(10_000, (("PR", "45", 40_000),)),),
        (
            ({"OA-23": 5_968, "CO-45": 15_098, "PR-3": 1_500}, 7_434),
            ({"OA-23": 4_032, "CO-45": 10_202, "PR-1": 5_000, "PR-2": 200}, 566),
        ),
    ),
    Case(  # shares 52 and 6, alone 8 and 24; 40 - 32 = 8 owed: 8 x 52/58 = 7.172.., x 6/58 = .827..
        "a claim's figures: a part of the cost shares, the deductible first",
        (Line(20_000, 6_000, "surgery"), Line(20_000, 3_000, "surgery")),
        (Payer(30_000, (("CO", "45", 6_000), ("PR", "2", 4_000))),),
        (({"OA-23": 18_483, "PR-1": 717}, 800), ({"OA-23": 17_517, "PR-2": 83}, 2_400)),
    ),
    Case(
        "a denied claim: the denial takes what was left",
        (replace(ACUTE, denied=("CO", "29")),), (EXAMPLE,),
        (({"OA-23": 42_500, "CO-29": 7_500}, 0),),
    ),
    Case(
        "a denied claim of which nothing was left",
        (replace(ACUTE, denied=("PR", "26")),), (Payer(37_500, (("CO", "45", 12_500),)),),
        (({"OA-23": 50_000}, 0),),
    ),
    Case(
        "a duplicate tells of no other payer",
        (replace(ACUTE, denied=("OA", "18")),), (EXAMPLE,), (({"OA-18": 50_000}, 0),),
    ),
    Case(  # by charge 3:2: left 45 and 30, paid 180 and 120, allowed 225 and 150
        # line 2: least of 30, 80, 100, 150 - 120 = 30
        "a claim's figures and a denied line: its part by its charge",
        (Line(30_000, 9_000, "lab", denied=("CO", "29")), Line(20_000, 10_000, "lab")), (EXAMPLE,),
        (({"OA-23": 25_500, "CO-29": 4_500}, 0), ({"OA-23": 17_000}, 3_000)),
    ),
    Case(  # line 1: left 20, 70, 88 - 15 = 73, 90 - 70 = 20; line 2: not covered there: 40, 60 - 40
        "line by line: one paid, one not covered by the primary",
        (Line(14_000, 8_800), Line(6_000, 4_000, "lab")),
        (Payer(lines=((7_000, (("CO", "45", 5_000), ("PR", "2", 2_000))),
                      (0, (("CO", "96", 6_000),)))),),
        (({"OA-23": 12_000}, 2_000), ({"CO-45": 2_000}, 4_000)),
    ),
    Case(  # by line 20 and 0 are left; each line's least by itself, though 30 more were allowed
        "line by line: what one line has too much pays for no other",
        (Line(14_000, 3_000, "lab"), Line(10_000, 9_000, "lab")),
        (Payer(lines=((7_000, (("CO", "45", 2_000), ("PR", "2", 5_000))),
                      (6_000, (("CO", "45", 4_000),)))),),
        # line 1: 50 left, alone 30, 120 - 70 = 50: 30 paid, 20 remain; line 2: nothing left
        (({"OA-23": 9_000, "CO-45": 2_000}, 3_000), ({"OA-23": 10_000}, 0)),
    ),
    Case(  # 140 paid by line, 10 taken of the claim: AMT D 130; 240 - 130 - 60 = 50 left
        "lines and an adjustment of the whole claim: by the claim",
        (Line(14_000, 3_000, "lab"), Line(10_000, 1_000, "lab")),
        (Payer(cas=(("PR", "1", 1_000),),
               lines=((8_000, (("CO", "45", 2_000), ("PR", "2", 4_000))),
                      (6_000, (("CO", "45", 4_000),)))),),
        # alone 40; 180 - 130 = 50: 40 paid as alone: 30 and 10; 10 remain: CO-45
        # rest 110 and 90; OA-23 190: x 110/200 = 104.50, x 90/200 = 85.50
        (({"OA-23": 10_450, "CO-45": 550}, 3_000), ({"OA-23": 8_550, "CO-45": 450}, 1_000)),
    ),
    Case(  # left 10 of the copay 15; nothing is left for CO-24
        "a prepaid line: nothing is paid, the copay as far as something is left",
        (Line(10_000, 8_000, facts={"pricing_method_code": "capitated"}),),
        (Payer(6_000, (("CO", "45", 3_000), ("PR", "2", 1_000))),),
        (({"OA-23": 9_000, "PR-3": 1_000}, 0),),
    ),
    Case(  # 50 left: copay 15, 35 prepaid
        "a prepaid line of which more is left",
        (Line(10_000, 8_000, facts={"pricing_method_code": "capitated"}),),
        (Payer(2_000, (("CO", "45", 3_000), ("PR", "2", 5_000))),),
        (({"OA-23": 5_000, "PR-3": 1_500, "CO-24": 3_500}, 0),),
    ),
    Case(  # nothing is allowed for it: what is left is packaged
        "a packaged line",
        (Line(5_000, 0, "lab", facts={"pricing_method_code": "packaged"}),),
        (Payer(3_000, (("CO", "45", 1_500), ("PR", "2", 500))),),
        (({"OA-23": 4_500, "CO-97": 500}, 0),),
    ),
    Case(  # alone 150 on a charge of 100: left 30 is the least, and no OA-94 is needed
        "a price above the charge",
        (Line(10_000, 15_000, "lab"),), (Payer(6_000, (("CO", "45", 1_000), ("PR", "2", 3_000))),),
        (({"OA-23": 7_000}, 3_000),),
    ),
    Case(  # left 300, 500, 400, 400 - 100 = 300: all on line 1, which charges 100: OA-94 of 200;
        # OA-23 300 fits on line 2 alone, of which 200 are packaged
        "a stay's daily rate pays for its packaged lines",
        (
            Line(10_000, 40_000, "lab"),
            Line(50_000, 0, "lab", facts={"pricing_method_code": "packaged"}),
        ),
        (Payer(10_000, (("CO", "45", 20_000), ("PR", "45", 30_000))),),
        (({"OA-94": -20_000}, 30_000), ({"OA-23": 30_000, "CO-97": 20_000}, 0)),
    ),
    Case(
        "a line that charges nothing",
        (Line(0, 0, "lab"), Line(50_000, 6_500, "lab")), (EXAMPLE,),
        (({}, 0), ({"OA-23": 42_500, "CO-45": 1_000}, 6_500)),
    ),
    Case(  # 100.01 allowed - 50.01 paid = 50.00: x 10000/10001 = 49.995.., x 1/10001 = .004..: the
        # cent is line 1's. OA-23 50.01: nine cents would have none of it by its weight, and CO-45
        # whole: so it has a cent first; of the other 50.00 x 8/95008 is no cent
        "a claim's figures: CARC 45 takes no line whole",
        (Line(100_000, 10_000, "lab"), Line(9, 1, "lab")), (Payer(5_001, (("PR", "45", 95_008),)),),
        (({"OA-23": 5_000, "CO-45": 90_000}, 5_000), ({"OA-23": 1, "CO-45": 8}, 0)),
    ),
    Case(  # Medicare paid 80 of 200, wrote off 100, left 20: more than the 12 we would pay alone
        "hospice elected: the cost share that Original Medicare left",
        (Line(20_000, 1_200, "lab"),),
        (Payer(8_000, (("CO", "45", 10_000), ("PR", "2", 2_000)), filing="MB"),),
        (({"OA-23": 18_000}, 2_000),), "hospice",
    ),
    Case(  # nor is our copay owed
        "hospice elected: our own cost share is not taken",
        (Line(20_000, 8_000),),
        (Payer(8_000, (("CO", "45", 10_000), ("PR", "1", 500), ("PR", "2", 1_500)), filing="MA"),),
        (({"OA-23": 18_000}, 2_000),), "hospice",
    ),
    Case(
        "hospice elected: what Medicare does not cover is ours as ever",
        (Line(20_000, 8_000),), (Payer(0, (("PR", "96", 20_000),), filing="MB"),),
        (({"CO-45": 12_000, "PR-3": 1_500}, 6_500),), "hospice",
    ),
    Case(
        "hospice elected, and a group health plan decided: the least as ever",
        (ACUTE,), (EXAMPLE,), (({"OA-23": 42_500, "PR-3": 1_000}, 6_500),), "hospice",
    ),
    Case(
        "a Qualified Medicare Beneficiary owes nothing: Medicaid is asked",
        (ACUTE,), (EXAMPLE,), (({"OA-23": 42_500, "OA-209": 1_000}, 6_500),), "qmb",
    ),
    Case(
        "a Qualified Medicare Beneficiary, and nobody before us",
        (Line(20_000, 6_000, "surgery"),), (), (({"CO-45": 14_000, "OA-209": 5_200}, 800),), "qmb",
    ),
    Case(
        "nobody before us", (Line(20_000, 8_000),), (), (({"CO-45": 12_000, "PR-3": 1_500}, 6_500),)
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_by_hand(case: Case) -> None:
    terms = reference([{"member_id": "M1", "status_code": case.status}] if case.status else [])
    assert outcome(decided(batch_of([(case.lines, case.payers)]), terms)) == case.comes_to
    for line, (adjusted, paid) in zip(case.lines, case.comes_to, strict=True):
        assert sum(adjusted.values()) + paid == line.charge


def test_at_least_twenty_beside_the_example_by_claim_and_by_line() -> None:
    by_line = [c for c in CASES if any(p.lines and not p.cas for p in c.payers)]
    by_claim = [c for c in CASES if any(p.lines is None for p in c.payers)]
    assert len(by_line) >= 3
    assert len(by_claim) >= 21


def test_all_of_them_balance_on_the_835() -> None:
    """In one night: as each alone, and each balanced on the bytes of the 835."""
    statuses = [
        {"member_id": f"M{n}", "status_code": c.status} for n, c in enumerate(CASES, 1) if c.status
    ]
    terms = reference(statuses)
    done = decided(batch_of([(c.lines, c.payers) for c in CASES]), terms)
    for claim_id, case in enumerate(CASES, start=1):
        assert outcome(done, claim_id) == case.comes_to, case.says
    payments = payments_due(payees_to_pay(done), terms, 1, date(2025, 2, 3))
    written = remit(done, terms, payments)
    [data] = write_835(
        written.payments, written.claims, written.lines, written.adjustments,
        written.provider_adjustments,
    ).values()  # fmt: skip
    assert check_835(data) == []
    segments = data.decode("ascii").split("~")
    assert "CLP*PCN*2*500*65*10*16*000000000001*11*1" in segments
    # CLP02 by our position, also of the denied
    places = {r["claim_id"]: r["status_code"] for r in written.claims.to_dicts()}
    assert places == {n: "123"[len(c.payers)] for n, c in enumerate(CASES, start=1)}
    # CLP05 is nothing of a Qualified Medicare Beneficiary's
    qmb = [
        c["member_amount"]
        for c in written.claims.to_dicts()
        if CASES[c["claim_id"] - 1].status == "qmb"
    ]
    assert qmb == [0, 0]


def test_where_the_provider_has_no_contract_the_rest_may_be_the_members() -> None:
    # as above: 50 paid, 150 remain: copay 15, 135 above the usual charge (000:219)
    terms = reference(
        out_of_network={"balance_group_code": "PR", "pricing_method_code": "percent_of_medicare"}
    )
    line = Line(50_000, 35_000, facts={"contract_id": None})
    batch = batch_of([((line,), (Payer(30_000, (("PR", "45", 20_000),)),))])
    assert outcome(decided(batch, terms)) == (
        ({"OA-23": 30_000, "PR-45": 13_500, "PR-3": 1_500}, 5_000),
    )


@pytest.mark.parametrize(
    ("end_date", "pays"),
    [(None, 2_000), (date(2025, 1, 31), 2_000), (date(2025, 1, 1), 2_000), (date(2024, 12, 31), 0)],
)
def test_hospice_holds_to_the_end_of_the_month_of_its_revocation(
    end_date: date | None, pays: int
) -> None:
    """001:3366-3368; served 2025-01-10. Outside it: alone 0 (allowed 12, copay 15)."""
    status = {"member_id": "M1", "status_code": "hospice", "end_date": end_date}
    medicare = Payer(8_000, (("CO", "45", 10_000), ("PR", "2", 2_000)), filing="MB")
    batch = batch_of([((Line(20_000, 1_200),), (medicare,))])
    assert decided(batch, reference([status])).lines["paid_amount"].to_list() == [pays]


# ---- whole, or not at all --------------------------------------------------------------------


@pytest.mark.parametrize(
    "payer",
    [
        Payer(30_000, (("CO", "45", 12_499), ("PR", "2", 7_500))),  # a cent is missing
        Payer(0, (("CO", "16", 50_000),)),  # wants information first
    ],
)
def test_a_denied_claim_whose_other_payer_is_not_understood_carries_all_on_the_denial(
    payer: Payer,
) -> None:
    batch = batch_of([((replace(ACUTE, denied=("CO", "29")),), (payer,))])
    assert outcome(decided(batch, reference())) == (({"CO-29": 50_000}, 0),)


def unheard(**payer: Any) -> Batch:
    """A claim that makes us second to a payer with these facts."""
    batch = batch_of([((ACUTE,), (EXAMPLE,)), ((ACUTE,), ())])
    facts = {"adjudication_date": None, "paid_amount": None, **payer}
    return batch.with_(
        other_payers=batch.other_payers.with_columns(
            pl.lit(value).alias(name) for name, value in facts.items()
        ).cast(frames.empty(frames.OtherPayers).schema),
        other_payer_adjustments=frames.empty(frames.OtherPayerAdjustments),
    )


@pytest.mark.parametrize(
    "payer",
    [{}, {"paid_amount": 30_000}, {"responsibility_code": None}, {"claim_filing_code": "MB"}],
)
def test_a_claim_is_never_paid_before_its_other_payers_are_heard(payer: Row) -> None:
    with pytest.raises(UncoordinatedError, match=r"\[1\]"):
        coordinate(benefits(unheard(**payer), reference()), reference())


def test_second_to_nobody_is_never_paid_either() -> None:
    batch = unheard(responsibility_code="T")
    with pytest.raises(UncoordinatedError, match=r"\[1\]"):
        coordinate(benefits(batch, reference()), reference())


def test_an_auto_insurer_that_is_silent_is_another_edits() -> None:
    done = decided(unheard(claim_filing_code="AM"), reference())
    assert outcome(done) == (({"CO-45": 42_000, "PR-3": 1_500}, 6_500),)


def test_what_a_person_released_is_paid_as_if_alone() -> None:
    """An ended pend of ``coordination`` is a finding that informs."""
    released = [
        {"claim_id": 1, "edit": "coordination", "edit_rank": 140, "disposition": "inform",
         "group_code": None, "carc": None}
    ]  # fmt: skip
    batch = unheard(paid_amount=30_000)
    batch = batch.with_(findings=build.frame(frames.Findings, released))
    assert outcome(decided(batch, reference())) == (({"CO-45": 42_000, "PR-3": 1_500}, 6_500),)


def test_a_pended_claim_is_not_coordinated() -> None:
    pend = {"claim_id": 1, "edit": "x", "edit_rank": 9, "disposition": "pend", "pend_code": "COB"}
    batch = batch_of([((ACUTE,), (EXAMPLE,))]).with_(findings=build.frame(frames.Findings, [pend]))
    done = decided(batch, reference())
    assert done.decisions["disposition"].to_list() == ["pended"]
    assert done.adjustments.is_empty()
    assert done.coordinated.is_empty()
    assert done.accumulator_entries.is_empty()


def test_a_night_without_other_payers_is_left_as_it_is() -> None:
    batch = benefits(batch_of([((ACUTE,), ())]), reference())
    assert coordinate(batch, reference()) is batch
    assert prior_decisions(batch, reference()) is None


def test_a_wrong_other_payers_part_stops_the_night() -> None:
    batch = coordinate(benefits(batch_of([((ACUTE,), (EXAMPLE,))]), reference()), reference())
    for change, promise in (
        ({"other_payer_amount": -1}, "other payers' effect is none"),
        ({"other_payer_amount": 50_001}, "other payers' effect is none"),
        ({"copay_amount": 999}, "accumulators did not count"),
    ):
        wrong = batch.coordinated.with_columns(
            pl.lit(value, dtype=pl.Int64).alias(name) for name, value in change.items()
        )
        with pytest.raises(OutOfBalanceError, match=promise):
            settle(batch.with_(coordinated=wrong), reference())


# ---- what the member's counters count --------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "counted", "second_copay"),
    [
        # the first claim owes 10.00 of its copay; of a maximum of 20.00 there are 10.00 left
        ("owed", 1_000, 1_000),
        # as if alone: 15.00 counted, 5.00 left
        ("alone", 1_500, 500),
    ],
)
def test_counters_count_what_the_terms_say(counts: str, counted: int, second_copay: int) -> None:
    assert TERMS is not None
    terms = reference(
        maximum=2_000,
        coordination=TERMS.model_copy(update={"accumulators_count": counts}),
    )
    batch = batch_of([((ACUTE,), (EXAMPLE,)), ((Line(20_000, 8_000),), ())], members=["M1", "M1"])
    done = decided(batch, terms)
    assert outcome(done, 1) == (({"OA-23": 42_500, "PR-3": 1_000}, 6_500),)
    assert outcome(done, 2)[0][0]["PR-3"] == second_copay
    entries = done.accumulator_entries.sort("claim_id")["out_of_pocket_amount"].to_list()
    assert entries == [counted, second_copay]


@pytest.mark.parametrize(
    ("ceiling", "first", "paid", "second_copay"),
    [
        # theirs, 60 + 40: least of 40 left, 150 - 60, 88 - 15, 100 - 60: nothing is left to owe
        ("higher_allowed", {"OA-23": 11_000}, 4_000, 1_500),
        # ours: 88 - 60 = 28; of the 12 that remain all are the copay's; 20 - 12 = 8 of the maximum
        ("own_allowed", {"OA-23": 11_000, "PR-3": 1_200}, 2_800, 800),
    ],
)
def test_up_to_whose_allowed_amount_we_pay(
    ceiling: str, first: dict[str, int], paid: int, second_copay: int
) -> None:
    """The counters, reckoned before it is known what is paid, see the same."""
    terms = reference(maximum=2_000, coordination=TERMS.model_copy(update={"ceiling": ceiling}))
    payer = Payer(6_000, (("CO", "45", 5_000), ("PR", "2", 4_000)))
    batch = batch_of(
        [((Line(15_000, 8_800),), (payer,)), ((Line(20_000, 8_000),), ())], members=["M1", "M1"]
    )
    done = decided(batch, terms)
    assert outcome(done, 1) == ((first, paid),)
    assert outcome(done, 2)[0][0]["PR-3"] == second_copay


def test_a_deductible_that_nobody_owes_is_still_to_be_met() -> None:
    """The first claim is paid whole by the primary: its 50.00 are given back, the second owes
    them; the family's counter, too."""
    line = Line(20_000, 6_000, "surgery")
    batch = batch_of([((line,), (Payer(20_000),)), ((line,), ())], members=["M1", "M1"])
    done = decided(batch, reference())
    assert outcome(done, 1) == (({"OA-23": 20_000}, 0),)
    # 60 allowed: deductible 50, 20 % of 10 = 2
    assert outcome(done, 2) == (({"CO-45": 14_000, "PR-1": 5_000, "PR-2": 200}, 800),)
    assert done.accumulator_entries.select("claim_id", "deductible_amount").rows() == [(2, 5_000)]


def test_a_part_of_the_deductible_counts() -> None:
    # shares 52 and 6 alone; owed 7.17 (deductible) and 0.83 (coinsurance), as worked above
    case = next(c for c in CASES if "the deductible first" in c.says)
    done = decided(batch_of([(case.lines, case.payers)]), reference())
    assert done.accumulator_entries.select("deductible_amount", "out_of_pocket_amount").rows() == [
        (717, 800)
    ]


@pytest.mark.parametrize(("maximum", "met"), [(1_000, True), (1_500, False)])
def test_the_maximum_is_met_only_by_what_is_owed(maximum: int, met: bool) -> None:
    """Alone the copay of 15.00 would meet 15.00; beside the primary 10.00 of it are owed. Of
    10.00 all are owed: 10.00 = 75.00 - 65.00."""
    line = Line(50_000, 7_500)  # alone 75 - 10 = 65 (maximum 10), 75 - 15 = 60 (maximum 15)
    paid = Payer(
        30_000,
        (
            ("CO", "45", 12_500),
            ("PR", "2", 7_500 if met else 7_000),
            *(() if met else (("CO", "96", 0), ("CO", "45", 500))),
        ),
    )
    done = decided(batch_of([((line,), (paid,))]), reference(maximum=maximum))
    remarks = done.adjustments["rarc"].drop_nulls().to_list()
    assert remarks == (["N549"] if met else [])


# ---- apportioning ----------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9_999_999_999),
            st.lists(st.integers(0, 9_999_999_999), min_size=1, max_size=6),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_parts_are_exact_and_by_the_largest_remainder(groups: list[tuple[int, list[int]]]) -> None:
    frame = pl.DataFrame(
        [(n, total, w) for n, (total, weights) in enumerate(groups) for w in weights],
        schema={"group": pl.Int64, "total": pl.Int64, "weight": pl.Int64},
        orient="row",
    )
    found = apportion(frame, "total", "weight", ["group"], "part")
    assert found.drop("part").equals(frame)
    for n, (total, weights) in enumerate(groups):
        parts = found.filter(group=n)["part"].to_list()
        assert parts == apportion_int(total, weights) == coordinate_model.parts(total, weights)
        assert sum(parts) == (total if sum(weights) else 0)
        if total <= sum(weights):
            assert all(p <= w for p, w in zip(parts, weights, strict=True))


# ---- against the model -----------------------------------------------------------------------

THOROUGH = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
REASONS = [("CO", "45"), ("CO", "96"), ("CO", "29"), ("PR", "1"), ("PR", "2"), ("PR", "45"),
           ("PR", "204"), ("OA", "94"), ("PI", "45")]  # fmt: skip


@st.composite
def drawn_line(draw: st.DrawFn) -> Line:
    charge = draw(st.sampled_from([0, 1, 99, 100, 10_000]) | st.integers(1, 80_000))
    method = draw(st.sampled_from([None, None, None, "capitated", "packaged"]))
    allowed = draw(st.integers(1, 2 * charge)) if charge else 0
    return Line(
        charge,
        0 if method == "packaged" else allowed,
        draw(st.sampled_from(["office", "surgery", "lab"])),
        draw(st.sampled_from([None, None, None, ("CO", "29"), ("OA", "18")])),
        {"pricing_method_code": method},
    )


@st.composite
def split(draw: st.DrawFn, charge: int, most: int) -> tuple[int, tuple[Cas, ...]]:
    """A payer's payment of a charge, of which ``most`` is still unpaid, and adjustments of the
    rest that add up."""
    paid = draw(st.integers(0, max(most, 0)))
    rest, told = charge - paid, []
    for group, reason in draw(st.lists(st.sampled_from(REASONS), max_size=3, unique=True)):
        amount = draw(st.integers(0, rest)) if rest > 0 else 0
        told.append((group, reason, amount))
        rest -= amount
    return paid, (*told, ("PR", "2", rest))


@st.composite
def drawn_claim(draw: st.DrawFn) -> tuple[tuple[Line, ...], tuple[Payer, ...]]:
    lines = tuple(draw(st.lists(drawn_line(), min_size=1, max_size=4)))
    payers: list[Payer] = []
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            told = tuple(draw(split(x.charge, x.charge // (1 + len(payers)))) for x in lines)
            payers.append(Payer(lines=told))
        else:
            charge = sum(x.charge for x in lines)
            paid, of_claim = draw(split(charge, charge // (1 + len(payers))))
            payers.append(Payer(paid, of_claim))
    return lines, tuple(payers)


@pytest.mark.long
@THOROUGH
@given(st.lists(drawn_claim(), min_size=1, max_size=3))
def test_the_engine_agrees_with_the_model(
    claims: list[tuple[tuple[Line, ...], tuple[Payer, ...]]],
) -> None:
    terms = reference()
    batch = benefits(batch_of(claims), terms)
    prior = prior_decisions(batch, terms)
    assert prior is not None
    # figures that contradict each other are another test's
    sound = batch.claims.join(prior.problems, on="claim_id", how="anti")["claim_id"]
    assert set(prior.problems["because"]) <= {"contradictory"}
    done = settle(coordinate(batch.only(sound), terms), terms)
    for claim_id in sound.to_list():
        lines, payers = claims[claim_id - 1]
        shared = batch.lines.filter(claim_id=claim_id).to_dicts()
        expected = coordinate_model.coordinate(
            {
                "lines": [
                    {
                        "charge": line.charge,
                        "allowed": row["allowed_amount"],
                        "shares": [row[f"{s}_amount"] for s in SHARES],
                        "fate": "paid" if not line.denied else (
                            "duplicate" if line.denied[1] == "18" else "denied"
                        ),
                        "method": line.facts["pricing_method_code"],
                    }
                    for line, row in zip(lines, shared, strict=True)
                ],
                "payers": [
                    {
                        "paid": p.paid_amount,
                        "cas": list(p.cas),
                        "lines": p.lines
                        and [{"paid": paid, "cas": list(c)} for paid, c in p.lines],
                    }
                    for p in payers
                ],
            }
        )  # fmt: skip
        paid = 0
        for line, told, (adjusted, amount) in zip(
            lines, expected, outcome(done, claim_id), strict=True
        ):
            # conservation, line by line
            assert sum(adjusted.values()) + amount == line.charge
            assert adjusted.get("OA-23", 0) == told["taken"]
            assert amount == told["paid"]
            assert (
                sum(a for c, a in adjusted.items() if c in ("PR-1", "PR-2", "PR-3")) == told["owed"]
            )
            if line.denied:
                assert adjusted.get("-".join(line.denied), 0) == told["denied"]
            assert adjusted.get("CO-45", 0) < max(line.charge, 1) or line.charge == 0
            paid += amount
        # never more than alone, nor than the charge less what was paid
        charge = sum(line.charge for line in lines)
        alone_paid = sum(
            row["allowed_amount"] - sum(row[f"{s}_amount"] for s in SHARES)
            for line, row in zip(lines, shared, strict=True)
            if not line.denied and line.facts["pricing_method_code"] != "capitated"
        )
        assert paid <= alone_paid
        assert paid <= max(0, charge - sum(p.paid_amount for p in payers))
        written = max(
            sum(
                a for g, r, a in (*p.cas, *(c for _, x in p.lines or () for c in x))
                if g != "PR" and r not in coordinate_model.UNCOVERED
            )
            for p in payers
        )  # fmt: skip
        assert paid <= max(0, charge - written - sum(p.paid_amount for p in payers))


@pytest.mark.long
@settings(THOROUGH, max_examples=40)
@given(st.lists(drawn_claim(), min_size=2, max_size=4), st.integers(1, 3))
def test_two_nights_come_to_what_one_does(
    claims: list[tuple[tuple[Line, ...], tuple[Payer, ...]]], cut: int
) -> None:
    """Of one member: what the counters count of a claim is what the next night begins with."""
    terms = reference(maximum=6_000)
    batch = batch_of(claims, members=["M1"] * len(claims))
    prior = prior_decisions(batch, terms)
    assert prior is not None
    batch = batch.only(batch.claims.join(prior.problems, on="claim_id", how="anti")["claim_id"])
    whole = decided(batch, terms)
    early = batch.claims.filter(pl.col("claim_id") <= cut)["claim_id"]
    late = batch.claims.filter(pl.col("claim_id") > cut)["claim_id"]
    first = decided(batch.only(early), terms)
    counted = first.accumulator_entries.group_by(
        "member_id", "family_id", "plan_code", "network_code", "benefit_year_start_date"
    ).agg(pl.col("deductible_amount", "out_of_pocket_amount").sum())
    schema = frames.empty(frames.Accumulators).schema
    second = decided(batch.only(late).with_(accumulators=counted.select(schema.names())), terms)
    both = pl.concat([first.adjustments, second.adjustments])
    assert both.equals(whole.adjustments)


def test_terms_are_the_shipped_ones() -> None:
    """The model's lists are the program's."""
    terms = [p.coordination for p in load_programs().values() if p.coordination]
    assert len(terms) >= 2
    for each in terms:
        assert set(each.cost_share_carcs) == coordinate_model.SHARE
        assert set(each.not_covered_carcs) == coordinate_model.UNCOVERED
