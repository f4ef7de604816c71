"""Reference tables so large that a night reads only the rows of its own procedure codes.

They are kept in order of a code, as Parquet whose row groups tell their first and last one, so
that what no claim of the night can meet is never decoded. The first part of such a table says what
it holds, and the digest of the bytes of the others.
"""

from __future__ import annotations

import hashlib
import io
import json
from datetime import date, timedelta
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, select

from adjudicator.reports.text import counted
from adjudicator.store.tables import reference_part
from schemas.frames import CodingTables, empty

# table: its columns of codes, all of which must be the night's; it is kept in the first's order
CODED = {
    "procedure_pairs": ("column_one_code", "column_two_code"),
    "add_on_codes": ("add_on_code",),
    "unit_limits": ("procedure_code",),
}
ROW_GROUP_ROWS = 131_072
PART_BYTES = 8 * 1024 * 1024
FACTS_PART = 0


class Facts(NamedTuple):
    """What a coded table holds: CodingTables but for their name, and the digest of its bytes."""

    tables: list[dict[str, Any]]
    sha256: str


def store_coded(connection: Connection, name: str, sha256: str, frame: pl.DataFrame) -> None:
    """Keeps the rows of a table of CODED under the digest of its content."""
    buffer = io.BytesIO()
    frame.sort(CODED[name][0], maintain_order=True).write_parquet(
        buffer, compression="zstd", statistics=True, row_group_size=ROW_GROUP_ROWS
    )
    content = buffer.getvalue()
    told = json.dumps(
        {"tables": spans_of(name, frame), "sha256": hashlib.sha256(content).hexdigest()}
    ).encode()
    parts = [hashlib.sha256(told).hexdigest().encode() + told]
    parts += [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]
    for part_number, part in enumerate(parts, FACTS_PART):
        connection.execute(
            reference_part.insert().values(sha256=sha256, part_number=part_number, content=part)
        )


def spans_of(name: str, frame: pl.DataFrame) -> list[dict[str, Any]]:
    """CodingTables of a table's rows: each run of days without a gap on which any row holds."""
    if "table_code" not in frame.columns:
        frame = frame.with_columns(table_code=pl.lit(None, pl.String))
    counts = dict(frame.group_by("table_code").len().iter_rows())
    spans = frame.select("table_code", "start_date", "end_date").unique()
    told: list[dict[str, Any]] = []
    for code, start, end in spans.sort("table_code", "start_date", "end_date").iter_rows():
        last = told[-1] if told and told[-1]["table_code"] == code else None
        if last and (last["end_date"] is None or start <= last["end_date"] + timedelta(days=1)):
            last["end_date"] = (
                None if None in (end, last["end_date"]) else max(end, last["end_date"])
            )
        else:
            told.append({
                "table": name, "table_code": code, "row_count": counts[code],
                "start_date": start, "end_date": end,
            })  # fmt: skip
    return [
        {**each, **{n: each[n] and each[n].isoformat() for n in ("start_date", "end_date")}}
        for each in told
    ]


def coded_facts(connection: Connection, sha256: str) -> Facts | None:
    """What the table of that digest holds; None where its bytes are not what was loaded."""
    part = reference_part.c
    told = connection.execute(
        select(part.content).where(part.sha256 == sha256, part.part_number == FACTS_PART)
    ).scalar_one_or_none()
    if told is None or hashlib.sha256(told[64:]).hexdigest().encode() != told[:64]:
        return None
    return Facts(**json.loads(told[64:]))


def coding_tables(facts: list[Facts]) -> pl.DataFrame:
    """CodingTables of these tables, in the order of CODED."""
    columns = empty(CodingTables).schema
    rows = [row for each in facts for row in each.tables]
    schema = {n: pl.String if kind == pl.Date else kind for n, kind in columns.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    order = {name: place for place, name in enumerate(CODED)}
    return frame.select(
        pl.col(n).str.to_date("%Y-%m-%d") if kind == pl.Date else pl.col(n)
        for n, kind in columns.items()
    ).sort(pl.col("table").replace_strict(order, return_dtype=pl.Int64), "table_code", "start_date")


def coding_ages(tables: pl.DataFrame, day: date) -> list[str]:
    """Of each correct coding table how old it is on that day, a sentence each."""
    told = []
    for (name, code), spans in tables.group_by("table", "table_code", maintain_order=True):
        what = " ".join(str(n).replace("_", " ") for n in (code, name) if n)
        ends: list[date | None] = spans["end_date"].to_list()
        last = None if None in ends else max(filter(None, ends))
        holds = spans.filter(
            (pl.col("start_date") <= day)
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= day))
        )
        if holds.height:
            until = f"holds to {last}" if last else "holds without end"
        elif last and last < day:
            days = (day - last).days
            ago = f"{counted(days, 'day')} ago"
            until = f"ended {last}, {ago}: load the next edition"
        else:
            until = f"holds from {min(spans['start_date'])}, and not on {day}"
        told.append(f"{what}: {until}")
    return told


def read_coded(
    connection: Connection, name: str, sha256: str, codes: pl.Series
) -> pl.DataFrame | None:
    """The rows of a table of CODED of which all codes are among these; None as coded_facts."""
    facts = coded_facts(connection, sha256)
    part = reference_part.c
    parts = connection.execute(
        select(part.content)
        .where(part.sha256 == sha256, part.part_number > FACTS_PART)
        .order_by(part.part_number)
    )
    content = b"".join(each for (each,) in parts)
    if facts is None or hashlib.sha256(content).hexdigest() != facts.sha256:
        return None
    wanted = pl.all_horizontal(pl.col(c).is_in(codes.implode()) for c in CODED[name])
    return pl.scan_parquet(io.BytesIO(content)).filter(wanted).collect()
