"""Slow, plain models of the engine, written from the rules, and priced nights to feed both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas import frames
from tests import build

Row = Mapping[str, Any]


def night(
    lines: Sequence[Row],
    claims: Iterable[Row] = (),
    findings: Iterable[Row] = (),
    accumulators: Iterable[Row] = (),
    other_payers: Iterable[Row] = (),
) -> Batch:
    """A priced night; a line is an office visit in plan ppo, allowed as charged.

    A claim that is not spelt out belongs to M1 of F1; one charges the sum of its lines.
    """
    spelt = {claim["claim_id"]: claim for claim in claims}
    charges: dict[int, int] = dict.fromkeys(spelt, 0)
    rows: list[Row] = []
    for line in lines:
        row = {"claim_id": 1, "benefit_category": "office", "charge_amount": 10_000, **line}
        rows.append({"allowed_amount": row["charge_amount"], **row})
        charges[row["claim_id"]] = charges.get(row["claim_id"], 0) + (row["charge_amount"] or 0)
    return Batch(
        claims=build.claims(
            [
                {"claim_id": claim_id, "charge_amount": charge, **spelt.get(claim_id, {})}
                for claim_id, charge in charges.items()
            ]
        ),
        lines=build.lines(rows, frames.PricedLines),
        findings=build.frame(frames.Findings, list(findings), FINDING),
        accumulators=build.frame(frames.Accumulators, list(accumulators), COUNTER),
        other_payers=build.frame(frames.OtherPayers, list(other_payers)),
    )


FINDING: Row = {"edit": "some_edit", "group_code": "CO", "carc": "29"}
COUNTER: Row = {"member_id": "M1", "family_id": "F1", "plan_code": "ppo", "network_code": "in"}


def reference(*terms: Row, **plans: Sequence[Row]) -> Reference:
    """Program test with plan ppo under these terms, or with these plans' terms by plan code."""
    return build.reference(
        build.program(
            plans={
                code: {"plan_code": code, "name": code, "terms": list(dated)}
                for code, dated in (plans or {"ppo": terms}).items()
            }
        )
    )
