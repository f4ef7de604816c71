"""Coordinate: the other payer's money on top of what we would have paid alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adjudicator.fate import fates

if TYPE_CHECKING:
    from adjudicator.pipeline import Batch
    from adjudicator.reference import Reference


class UncoordinatedError(AssertionError):
    """A claim with another payer came through to be paid as if we were alone."""


def coordinate(batch: Batch, reference: Reference) -> Batch:
    """SharedLines → SharedLines: so far nothing is coordinated, and nothing may need it.

    Claims with another payer pend COB before they are priced. Once coordination is built, this
    stage lowers what we pay to the least that 42 CFR 411.33(a) allows and puts the primary's
    effect on the whole charge as OA-23; price and benefits stay as if we paid alone.
    Raises UncoordinatedError, naming the claims, where one with another payer would be paid.
    """
    if batch.other_payers.is_empty():
        return batch
    loose = (
        fates(batch)
        .claims.filter(disposition="paid")
        .join(batch.other_payers, on="claim_id", how="semi")["claim_id"]
        .sort()
    )
    if loose.len():
        raise UncoordinatedError(
            f"claims with another payer must pend COB: {loose.head(10).to_list()}"
        )
    return batch
