"""Visits under a referral: counted in receipt order, claim by claim, up to the referral's limit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Set
from datetime import date
from typing import Any

import polars as pl

from adjudicator.edits.referral import TOLD, referral
from adjudicator.pends import RESOLUTION, resolved
from adjudicator.permits import Asked, as_json, asked, finding_of, told_of
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas import frames

USED_UP = "visits used up"
ENDED = ("disposition", "group_code", "carc", "rarc")  # what an end of the pend changes


class VisitCount:
    """The visits under referrals with a limit, claim by claim in the order asked.

    A visit is one claim-day of a provider under a referral's number [j]. A line takes the first
    of its referrals under which its visit is counted already, or that has one left. A claim of
    which one line finds none pends AUREQ (001:1493-1494), unless a person or its last day has
    ended that pend (``resolved``); that line counts nothing.
    """

    def __init__(self, batch: Batch, stands: pl.Series, reference: Reference) -> None:
        self.lines = asked(batch, stands, referral, "referrals", TOLD)
        self.used: dict[str, int] = dict(
            batch.referral_visits.select("referral_number", "visit_count").iter_rows()
        )
        self._ended = _ended(self.lines, batch, reference)
        self._entries: list[tuple[int, str, date, int]] = []
        self.told: list[tuple[int, int, str]] = []

    def lacking(self, claim_id: int, without: Set[int]) -> list[dict[str, Any]]:
        """The findings of the claim's lines for which no visit is left; nothing is counted yet."""
        lines = self._of(claim_id, without)
        _, lacking = _visits(lines, self.used)
        found = [_used_up(line, lines, self.used) for line in lacking]
        if found and (end := self._ended.get(claim_id)):
            # the same for every line: it goes by the claim and what was found
            for each in found:
                inputs = json.loads(each["inputs"]) | {RESOLUTION: end["resolution"]}
                each |= {name: end[name] for name in ENDED}
                each["inputs"] = as_json(inputs)
        return found

    def take(self, claim_id: int, without: Set[int]) -> None:
        """Counts the visits of the claim's lines, but for those denied or without one."""
        visits, _ = _visits(self._of(claim_id, without), self.used)
        days: dict[tuple[str, date], int] = {}
        for (number, day, _), under in visits.items():
            self.used[number] = self.used.get(number, 0) + 1
            days[number, day] = days.get((number, day), 0) + 1
            for line_number, limit in under:
                told = {"referral_number": number, "visit": self.used[number],
                        "visit_limit": limit}  # fmt: skip
                self.told.append((claim_id, line_number, as_json(told)))
        self._entries += [(claim_id, number, day, count) for (number, day), count in days.items()]

    def give_back(self, taken: Mapping[str, Any], sign: int = 1) -> None:
        """Counts the visits of a ReferralVisitEntries row as not made; with -1 as made again."""
        number = taken["referral_number"]
        if number in self.used:
            self.used[number] -= sign * taken["visit_count"]

    def entries(self) -> pl.DataFrame:
        """ReferralVisitEntries of what was counted."""
        schema = frames.empty(frames.ReferralVisitEntries).schema
        return pl.DataFrame(sorted(self._entries), schema, orient="row")

    def _of(self, claim_id: int, without: Set[int]) -> list[Asked]:
        return [line for line in self.lines.get(claim_id, ()) if line.line_number not in without]


def _ended(
    claim_ids: Iterable[int], batch: Batch, reference: Reference
) -> dict[int, dict[str, Any]]:
    """What becomes of "visits used up" on a claim where a person or its last day ended that."""
    if batch.open_pends.is_empty() and batch.overrides.is_empty():
        return {}
    schema = frames.empty(frames.Findings).schema
    rows = [
        {"claim_id": claim_id, "edit": referral.name, "disposition": referral.disposition,
         "pend_code": referral.pend_code, "inputs": json.dumps({"because": USED_UP})}
        for claim_id in claim_ids
    ]  # fmt: skip
    ends = resolved(pl.DataFrame(rows, schema), batch, reference)
    return {
        row["claim_id"]: row | {RESOLUTION: json.loads(row["inputs"])[RESOLUTION]}
        for row in ends.filter(pl.col("disposition") != referral.disposition).to_dicts()
    }


def _visits(
    lines: Iterable[Asked], used: Mapping[str, int]
) -> tuple[dict[tuple[str, date, str | None], list[tuple[int, int]]], list[Asked]]:
    """A claim's visits, each with its lines and the limit they know; and lines without one."""
    visits: dict[tuple[str, date, str | None], list[tuple[int, int]]] = {}
    taken: dict[str, int] = {}
    lacking = []
    for line in lines:
        for each in line.permits:
            number, limit = each["referral_number"], each["visit_limit"]
            if limit is None:
                break
            visit = (number, line.day, line.provider_number)
            if visit in visits:
                visits[visit].append((line.line_number, limit))
                break
            if used.get(number, 0) + taken.get(number, 0) < limit:
                visits[visit] = [(line.line_number, limit)]
                taken[number] = taken.get(number, 0) + 1
                break
        else:
            lacking.append(line)
    return visits, lacking


def _used_up(line: Asked, lines: Iterable[Asked], used: Mapping[str, int]) -> dict[str, Any]:
    """The finding of a line for which no visit is left."""
    inputs = {
        "because": USED_UP,
        "decision_date": line.day.isoformat(),
        "provider_number": line.provider_number,
        "visits_on_claim": len({(each.day, each.provider_number) for each in lines}),
        "referrals": [
            {**told_of(each), "visits_used": used.get(each["referral_number"], 0)}
            for each in line.permits
        ],
    }
    return {**finding_of(line, referral, inputs), "pend_code": referral.pend_code}
