"""Visits under a referral and units under an authorization: counted in receipt order, claim by
claim, up to their limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import polars as pl

from adjudicator.edits.edit import Edit
from adjudicator.edits.prior_authorization import TOLD as OF_AUTHORIZATION
from adjudicator.edits.prior_authorization import prior_authorization
from adjudicator.edits.referral import TOLD as OF_REFERRAL
from adjudicator.edits.referral import referral
from adjudicator.pipeline import Batch
from schemas import frames

LINE = ["claim_id", "line_number"]
USED_UP_RANK = 940  # after what the stage of benefits finds without counting
ONE_UNIT = 1_000
COUNTED = {"claim_id": pl.Int64, "line_number": pl.Int64, "told": pl.String}


class Asked(NamedTuple):
    """A line that a permit with a limit covers, maybe beside others: the first to end first."""

    claim_id: int
    line_number: int
    day: date
    provider_number: str | None
    unit_quantity: int
    permits: Sequence[Mapping[str, Any]]


class Used(NamedTuple):
    """What the count found: entries of visits and units, Findings, and the counted lines.

    ``lines``: COUNTED; ``told`` is a piece of JSON: which visit, or how many units, of what limit.
    """

    visits: pl.DataFrame
    units: pl.DataFrame
    findings: pl.DataFrame
    lines: pl.DataFrame


Visits = dict[tuple[str, date, str | None], list[tuple[int, int]]]


def count_used(batch: Batch, stands: pl.Series) -> Used | None:
    """Counts the units and visits of the lines that stand; None where no limit is to be kept.

    A line takes all its units, one where it names none [j], from the first of its authorizations
    that has so many left; one that finds none is denied 198, whole [j]. Of the others, a visit is
    one claim-day of a provider under a referral's number [j]; a line takes the first of its
    referrals under which its visit is counted already, or that has one left. A claim of which one
    line finds none pends AUREQ (001:1493-1494), and consumes nothing.
    """
    under_referral = _asked(batch, stands, referral, "referrals", OF_REFERRAL)
    authorized = _asked(batch, stands, prior_authorization, "authorizations", OF_AUTHORIZATION)
    if not under_referral and not authorized:
        return None
    visits_used: dict[str, int] = dict(
        batch.referral_visits.select("referral_number", "visit_count").iter_rows()
    )
    units_used: dict[str, int] = dict(
        batch.authorization_units.select("authorization_number", "unit_quantity").iter_rows()
    )
    visit_entries: list[tuple[int, str, date, int]] = []
    unit_entries: list[tuple[int, str, int]] = []
    findings: list[dict[str, Any]] = []
    counted: list[tuple[int, int, str]] = []
    for claim_id in _in_receipt_order(batch, {*under_referral, *authorized}):
        taken, exceeding = _units(authorized.get(claim_id, ()), units_used)
        findings += [_exceeding(line, units_used, taken) for line in exceeding]
        denied = {line.line_number for line in exceeding}
        lines = [n for n in under_referral.get(claim_id, ()) if n.line_number not in denied]
        visits, lacking = _visits(lines, visits_used)
        if lacking:
            findings += [_used_up(line, lines, visits_used) for line in lacking]
            continue
        of_claim: dict[str, int] = {}
        for line, number, limit in taken:
            units_used[number] = units_used.get(number, 0) + line.unit_quantity
            of_claim[number] = of_claim.get(number, 0) + line.unit_quantity
            told = {"authorization_number": number, "used_quantity": units_used[number],
                    "unit_limit": limit}  # fmt: skip
            counted.append((claim_id, line.line_number, _json(told)))
        unit_entries += [(claim_id, number, quantity) for number, quantity in of_claim.items()]
        days: dict[tuple[str, date], int] = {}
        for (number, day, _), under in visits.items():
            visits_used[number] = visits_used.get(number, 0) + 1
            days[number, day] = days.get((number, day), 0) + 1
            for line_number, limit in under:
                visit = {"referral_number": number, "visit": visits_used[number],
                         "visit_limit": limit}  # fmt: skip
                counted.append((claim_id, line_number, _json(visit)))
        visit_entries += [(claim_id, number, day, count) for (number, day), count in days.items()]
    empty = frames.empty
    return Used(
        pl.DataFrame(
            sorted(visit_entries), empty(frames.ReferralVisitEntries).schema, orient="row"
        ),
        pl.DataFrame(
            sorted(unit_entries), empty(frames.AuthorizationUnitEntries).schema, orient="row"
        ),
        pl.DataFrame(findings, empty(frames.Findings).schema),
        pl.DataFrame(counted, COUNTED, orient="row"),
    )


def _json(told: Mapping[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"))


def _asked(
    batch: Batch, stands: pl.Series, edit: Edit, permits: str, told: Mapping[str, Any]
) -> dict[int, list[Asked]]:
    """By claim the lines that stand and that a permit of this edit with a limit covers."""
    [limit] = [name for name in told if name.endswith("_limit")]
    limited = batch.findings.filter(
        (pl.col("edit") == edit.name)
        & (pl.col("disposition") == "inform")
        & pl.col("inputs").str.contains(f'"{limit}":[0-9]')
    )
    if limited.is_empty():
        return {}
    inputs = pl.Struct(
        {
            "decision_date": pl.Date,
            "provider_number": pl.String,
            permits: pl.List(pl.Struct(dict(told))),
        }
    )
    rows = (
        limited.select(*LINE, "inputs")
        .join(batch.lines.select(*LINE, "unit_quantity").filter(stands), on=LINE)
        .sort(*LINE)
        .with_columns(pl.col("inputs").str.json_decode(inputs))
        .unnest("inputs")
        .select(
            *LINE, "decision_date", "provider_number",
            pl.col("unit_quantity").fill_null(ONE_UNIT), permits,
        )
    )  # fmt: skip
    asked: dict[int, list[Asked]] = {}
    for row in rows.iter_rows():
        asked.setdefault(row[0], []).append(Asked(*row))
    return asked


def _in_receipt_order(batch: Batch, claim_ids: Iterable[int]) -> list[int]:
    wanted = pl.Series([*claim_ids], dtype=pl.Int64).implode()
    claims = batch.claims.filter(pl.col("claim_id").is_in(wanted))
    return claims.sort("receipt_number", "claim_id")["claim_id"].to_list()


# ---- units -----------------------------------------------------------------------------------


def _units(
    lines: Iterable[Asked], used: Mapping[str, int]
) -> tuple[list[tuple[Asked, str, int]], list[Asked]]:
    """A claim's lines, each with the authorization it takes its units from and the limit of it;
    and the lines for which none has enough left."""
    taken: list[tuple[Asked, str, int]] = []
    exceeding = []
    for line in lines:
        for each in line.permits:
            number, limit = each["authorization_number"], each["unit_limit"]
            if limit is None:
                break
            if _so_far(number, used, taken) + line.unit_quantity <= limit * ONE_UNIT:
                taken.append((line, number, limit))
                break
        else:
            exceeding.append(line)
    return taken, exceeding


def _so_far(number: str, used: Mapping[str, int], taken: Iterable[tuple[Asked, str, int]]) -> int:
    return used.get(number, 0) + sum(line.unit_quantity for line, n, _ in taken if n == number)


def _exceeding(
    line: Asked, used: Mapping[str, int], taken: Sequence[tuple[Asked, str, int]]
) -> dict[str, Any]:
    """The finding of a line for which too few units are left."""
    inputs = {
        "because": "units used up",
        "decision_date": line.day.isoformat(),
        "provider_number": line.provider_number,
        "unit_quantity": line.unit_quantity,
        "authorizations": [
            {**_told(each), "used_quantity": _so_far(each["authorization_number"], used, taken)}
            for each in line.permits
        ],
    }
    return {
        **_finding(line, prior_authorization, inputs),
        "group_code": prior_authorization.group_code,
        "carc": "198",
    }


# ---- visits ----------------------------------------------------------------------------------


def _visits(lines: Iterable[Asked], used: Mapping[str, int]) -> tuple[Visits, list[Asked]]:
    """A claim's visits, each with its lines and the limit they know; and lines without one."""
    visits: Visits = {}
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
        "because": "visits used up",
        "decision_date": line.day.isoformat(),
        "provider_number": line.provider_number,
        "visits_on_claim": len({(each.day, each.provider_number) for each in lines}),
        "referrals": [
            {**_told(each), "visits_used": used.get(each["referral_number"], 0)}
            for each in line.permits
        ],
    }
    return {
        **_finding(line, referral, inputs),
        "pend_code": referral.pend_code,
    }


def _told(permit: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in permit.items()}


def _finding(line: Asked, edit: Edit, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "claim_id": line.claim_id,
        "line_number": line.line_number,
        "edit": edit.name,
        "edit_rank": USED_UP_RANK,
        "disposition": edit.disposition,
        "inputs": _json(inputs),
    }
