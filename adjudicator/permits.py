"""Permits with a limit, as lines ask for them: referrals by visits, authorizations by units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import polars as pl

from adjudicator.edits.edit import Edit
from adjudicator.pipeline import Batch

LINE = ["claim_id", "line_number"]
USED_UP_RANK = 940  # after what the stage of benefits finds without counting
ONE_UNIT = 1_000


class Asked(NamedTuple):
    """A line that a permit with a limit covers, maybe beside others: the first to end first."""

    claim_id: int
    line_number: int
    day: date
    provider_number: str | None
    unit_quantity: int
    permits: Sequence[Mapping[str, Any]]


def asked(
    batch: Batch, stands: pl.Series, edit: Edit, permits: str, told: Mapping[str, Any]
) -> dict[int, list[Asked]]:
    """By claim the lines that stand and that a permit of this edit with a limit covers.

    The edit says so as an informational finding whose inputs hold ``permits``, each with ``told``.
    A line that names no units asks for one [j].
    """
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
        .join(
            batch.lines.select(*LINE, "unit_quantity").filter(stands),
            on=LINE,
            maintain_order="left",
        )
        .sort(*LINE)
        .with_columns(pl.col("inputs").str.json_decode(inputs))
        .unnest("inputs")
        .select(
            *LINE, "decision_date", "provider_number",
            pl.col("unit_quantity").fill_null(ONE_UNIT), permits,
        )
    )  # fmt: skip
    found: dict[int, list[Asked]] = {}
    for row in rows.iter_rows():
        found.setdefault(row[0], []).append(Asked(*row))
    return found


def as_json(told: Mapping[str, Any]) -> str:
    return json.dumps(told, separators=(",", ":"))


def told_of(permit: Mapping[str, Any]) -> dict[str, Any]:
    """A permit as a finding tells it: days as text."""
    return {k: v.isoformat() if isinstance(v, date) else v for k, v in permit.items()}


def finding_of(line: Asked, edit: Edit, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A finding that the line's permits are used up."""
    return {
        "claim_id": line.claim_id,
        "line_number": line.line_number,
        "edit": edit.name,
        "edit_rank": USED_UP_RANK,
        "disposition": edit.disposition,
        "inputs": as_json(inputs),
    }
