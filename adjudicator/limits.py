"""Visits under a referral: counted in receipt order, claim by claim, up to the referral's limit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from adjudicator.edits.referral import TOLD, referral
from adjudicator.pipeline import Batch
from schemas import frames

LINE = ["claim_id", "line_number"]
USED_UP_RANK = 940  # after what the stage of benefits finds without counting
COUNTED = {
    "claim_id": pl.Int64,
    "line_number": pl.Int64,
    "referral_number": pl.String,
    "visit": pl.Int64,
    "visit_limit": pl.Int64,
}


class Asked(NamedTuple):
    """A line that a referral with a limit covers, maybe beside others: the first to end first."""

    claim_id: int
    line_number: int
    day: date
    provider_number: str | None
    referrals: Sequence[Mapping[str, Any]]


class Visits(NamedTuple):
    """What the count found: ReferralVisitEntries, Findings, and the lines of counted visits.

    ``lines``: COUNTED; ``visit`` is which one it is under the referral.
    """

    entries: pl.DataFrame
    findings: pl.DataFrame
    lines: pl.DataFrame


def count_visits(batch: Batch, stands: pl.Series) -> Visits | None:
    """Counts the visits of the lines that stand; None where no limit is to be kept.

    A visit is one claim-day of a provider under a referral's number [j]. A line takes the first
    of its referrals under which its visit is counted already, or that has one left. A claim of
    which one line finds none pends AUREQ (001:1493-1494), and consumes nothing.
    """
    asked = _asked(batch, stands)
    if not asked:
        return None
    used: dict[str, int] = dict(
        batch.referral_visits.select("referral_number", "visit_count").iter_rows()
    )
    entries: list[tuple[int, str, date, int]] = []
    findings: list[dict[str, Any]] = []
    counted: list[tuple[int, int, str, int, int]] = []
    for claim_id, of_claim in groupby(asked, key=lambda line: line.claim_id):
        lines = list(of_claim)
        visits, lacking = _visits(lines, used)
        if lacking:
            findings += [_used_up(line, lines, used) for line in lacking]
            continue
        days: dict[tuple[str, date], int] = {}
        for (number, day, _), under in visits.items():
            used[number] = used.get(number, 0) + 1
            days[number, day] = days.get((number, day), 0) + 1
            counted += [(claim_id, n, number, used[number], limit) for n, limit in under]
        entries += [(claim_id, number, day, count) for (number, day), count in days.items()]
    entry = frames.empty(frames.ReferralVisitEntries).schema
    finding = frames.empty(frames.Findings).schema
    return Visits(
        pl.DataFrame(sorted(entries), entry, orient="row"),
        pl.DataFrame(findings, finding),
        pl.DataFrame(counted, COUNTED, orient="row"),
    )


def _asked(batch: Batch, stands: pl.Series) -> list[Asked]:
    """The lines that stand under a referral with a limit, in receipt order."""
    limited = batch.findings.filter(
        (pl.col("edit") == referral.name)
        & (pl.col("disposition") == "inform")
        & pl.col("inputs").str.contains('"visit_limit":[0-9]')
    )
    if limited.is_empty():
        return []
    told = pl.Struct(
        {
            "decision_date": pl.Date,
            "provider_number": pl.String,
            "referrals": pl.List(pl.Struct(TOLD)),
        }
    )
    rows = (
        limited.join(batch.lines.select(LINE).filter(stands), on=LINE, how="semi")
        .join(batch.claims.select("claim_id", "receipt_number"), on="claim_id")
        .sort("receipt_number", *LINE)
        .select(*LINE, pl.col("inputs").str.json_decode(told))
        .unnest("inputs")
    )
    return [Asked(*row) for row in rows.iter_rows()]


def _visits(
    lines: Iterable[Asked], used: Mapping[str, int]
) -> tuple[dict[tuple[str, date, str | None], list[tuple[int, int]]], list[Asked]]:
    """A claim's visits, each with its lines and the limit they know; and lines without one."""
    visits: dict[tuple[str, date, str | None], list[tuple[int, int]]] = {}
    taken: dict[str, int] = {}
    lacking = []
    for line in lines:
        for each in line.referrals:
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
        "because": "visits used up",
        "decision_date": line.day.isoformat(),
        "provider_number": line.provider_number,
        "visits_on_claim": len({(each.day, each.provider_number) for each in lines}),
        "referrals": [
            {
                "referral_number": each["referral_number"],
                "start_date": each["start_date"].isoformat(),
                "end_date": each["end_date"] and each["end_date"].isoformat(),
                "visit_limit": each["visit_limit"],
                "visits_used": used.get(each["referral_number"], 0),
            }
            for each in line.referrals
        ],
    }
    return {
        "claim_id": line.claim_id,
        "line_number": line.line_number,
        "edit": referral.name,
        "edit_rank": USED_UP_RANK,
        "disposition": referral.disposition,
        "pend_code": referral.pend_code,
        "inputs": json.dumps(inputs, separators=(",", ":")),
    }
