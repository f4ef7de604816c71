"""What claims use up: counted in receipt order, claim by claim, whatever it is that is counted."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple, Protocol

import polars as pl

from adjudicator.corrections import acting, taken_by
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.plan_limits import LimitCount, limited_lines
from adjudicator.reference import Reference
from adjudicator.units import UnitCount
from adjudicator.visits import VisitCount
from schemas import frames

TOLD = {"claim_id": pl.Int64, "line_number": pl.Int64, "use": pl.String}


class Count(Protocol):
    """Counts one kind of thing; ``told`` is JSON of what a line was counted as."""

    told: list[tuple[int, int, str]]

    def lacking(self, claim_id: int, without: Set[int]) -> list[dict[str, Any]]:
        """The findings of the claim's lines for which nothing is left; nothing is counted yet."""

    def take(self, claim_id: int, without: Set[int]) -> None:
        """Counts what the claim's lines use, but for those denied."""

    def give_back(self, taken: Mapping[str, Any], sign: int = 1) -> None:
        """Counts a row of what an earlier claim used as not used; with -1 as used again."""


class Uses(NamedTuple):
    """What the count found: Findings, entries a kind, and what each line was counted as."""

    findings: pl.DataFrame
    referral_visit_entries: pl.DataFrame
    benefit_use_entries: pl.DataFrame
    authorization_unit_entries: pl.DataFrame
    told: pl.DataFrame  # TOLD


def count_uses(
    batch: Batch, lines: pl.DataFrame, stands: pl.Series, reference: Reference
) -> Uses | None:
    """Counts what the lines that stand use up; None where there is no limit to be kept.

    Claims go in receipt order. A line that finds nothing left is denied, or pends its claim. A
    line denied by one count is not asked by the next, and a claim that pends uses nothing. What a
    claim of an earlier night used is given back where that which takes its place is counted.
    """
    limits = LimitCount(limited_lines(batch, lines, stands, reference.programs), batch.benefit_uses)
    visits = VisitCount(batch, stands, reference)
    units = UnitCount(batch, stands)
    if not limits.lines and not visits.lines and not units.lines:
        return None
    # those that deny before those that pend; of those that deny, in the order of the edits
    counts: tuple[Count, ...] = (units, limits, visits)
    frames_taken = (batch.taken_units, batch.taken_uses, batch.taken_visits)
    back = [(c, taken_by(batch, taken)) for c, taken in zip(counts, frames_taken, strict=True)]
    of_corrections = [claim_id for _, taken in back for claim_id in taken]
    waiting = _waiting(batch) if of_corrections else set()
    ids = pl.Series(
        [*limits.lines, *visits.lines, *units.lines, *of_corrections], dtype=pl.Int64
    ).unique()
    in_turn = (
        batch.claims.select("claim_id", "receipt_number")
        .filter(pl.col("claim_id").is_in(ids.implode()))
        .sort("receipt_number", "claim_id")
    )
    findings: list[dict[str, Any]] = []
    for claim_id in in_turn["claim_id"]:
        denied: set[int] = set()
        pends = claim_id in waiting
        for count, taken in back:
            for row in taken.get(claim_id, ()) if not pends else ():
                count.give_back(row)
        for count in counts:
            for finding in count.lacking(claim_id, denied):
                findings.append(finding)
                pends |= finding["disposition"] == "pend"
                if finding["disposition"] == "deny":
                    denied.add(finding["line_number"])
        if not pends:
            for count in counts:
                count.take(claim_id, denied)
        elif claim_id not in waiting:  # it pends only now: what it corrects stands
            for count, taken in back:
                for row in taken.get(claim_id, ()):
                    count.give_back(row, -1)
    return Uses(
        pl.DataFrame(findings, frames.empty(frames.Findings).schema),
        visits.entries(),
        limits.entries(),
        units.entries(),
        pl.DataFrame([*limits.told, *visits.told, *units.told], TOLD, orient="row"),
    )


def _waiting(batch: Batch) -> set[int]:
    """The corrections that are to take a claim's place and don't tonight, as far as is known
    before the count. Late charges take none: they count as any claim."""
    pended = fates(batch).claims.filter(disposition="pended")["claim_id"]
    return set(batch.corrected["claim_id"]) - set(acting(batch.corrections, pended)["claim_id"])
