"""What a night decided of its lines, whole: every column of them and their adjustments.

Kept once a night as Parquet, in parts of some thousand claims, and only ever added: a claim
that waits is decided anew each night, and what each night saw of it stays. It is read with its
claim alone; what is queried across claims stands in the table ``line``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Literal

import dataframely as dy
import polars as pl
from sqlalchemy import Connection, func, select

from adjudicator.store.dialect import wanted_keys
from adjudicator.store.rows import read_frame
from adjudicator.store.tables import decided_part
from schemas import frames

Kind = Literal["lines", "adjustments"]
CONTRACTS: dict[Kind, type[dy.Schema]] = {
    "lines": frames.DecidedLines,
    "adjustments": frames.Adjustments,
}
PART_ROWS = 30_000


Part = tuple[int, int, bytes]  # first and last claim, and their rows as Parquet


def decided_parts(frame: pl.DataFrame) -> list[Part]:
    """A frame of one of CONTRACTS, in claim order, as parts; a claim may stand across two."""
    parts = []
    for rows in frame.iter_slices(PART_ROWS):
        if rows.height:
            content = io.BytesIO()
            rows.write_parquet(content, compression="zstd", compression_level=1, statistics=False)
            parts.append((rows["claim_id"][0], rows["claim_id"][-1], content.getvalue()))
    return parts


def insert_decided(connection: Connection, run_id: int, kind: str, parts: Sequence[Part]) -> None:
    """Keeps the parts of one of a night's frames, of CONTRACTS or of claims that wait, beside
    those that are kept of it already."""
    here = (decided_part.c.run_id == run_id) & (decided_part.c.kind == kind)
    kept = connection.execute(select(func.count()).where(here)).scalar_one()
    for number, (first, last, content) in enumerate(parts, int(kept) + 1):
        connection.execute(
            decided_part.insert().values(
                run_id=run_id,
                kind=kind,
                part_number=number,
                first_claim_id=first,
                last_claim_id=last,
                content=content,
            )
        )


def decided(
    connection: Connection,
    kind: Kind,
    claim_ids: pl.Series | Sequence[int],
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """The rows of these claims as the last night that looked at them decided them; grain, columns
    (or some of them, a line's key among them) and units of CONTRACTS[kind], by claim. A claim that
    no night has decided yet has none."""
    wanted = wanted_keys(connection, "int", claim_ids)
    runs = read_frame(
        connection,
        f"SELECT c.claim_id, c.decided_run_id FROM {wanted} AS w CROSS JOIN claim AS c "
        "WHERE c.claim_id = w.key AND c.decided_run_id IS NOT NULL",
        {"claim_id": pl.Int64, "decided_run_id": pl.Int64},
    )
    found = [frames.empty(CONTRACTS[kind])]
    if columns is not None:
        found = [found[0].select(columns)]
    for (run_id,), of_run in runs.sort("claim_id").group_by("decided_run_id", maintain_order=True):
        found += _of_run(connection, int(str(run_id)), kind, of_run["claim_id"], found[0])
    return pl.concat(found).sort("claim_id", "line_number", maintain_order=True)


def decided_in(
    connection: Connection, run_id: int, kind: Kind, claim_ids: pl.Series
) -> pl.DataFrame:
    """The rows of these claims, ``claim_ids`` in order, as that night decided them, in its order;
    grain, columns and units of CONTRACTS[kind]."""
    nothing = frames.empty(CONTRACTS[kind])
    return pl.concat([nothing, *_of_run(connection, run_id, kind, claim_ids, nothing)])


def claims_decided(connection: Connection, run_id: int) -> pl.Series:
    """``claim_id`` of every claim that a night looked at, in order: decided, or left to wait."""
    parts = connection.execute(
        select(decided_part.c.content).where(
            decided_part.c.run_id == run_id, decided_part.c.kind == "lines"
        )
    )
    found = [pl.Series("claim_id", [], dtype=pl.Int64)]
    found += [pl.read_parquet(io.BytesIO(c), columns=["claim_id"])["claim_id"] for (c,) in parts]
    return pl.concat(found).unique().sort()


def _of_run(
    connection: Connection, run_id: int, kind: Kind, ids: pl.Series, columns: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """The rows of some claims, ``ids`` in order, in the parts of a night; with these columns."""
    if ids.is_empty():
        return
    parts = connection.execute(
        select(decided_part.c.content)
        .where(
            decided_part.c.run_id == run_id,
            decided_part.c.kind == kind,
            decided_part.c.last_claim_id >= ids[0],
            decided_part.c.first_claim_id <= ids[-1],
        )
        .order_by(decided_part.c.part_number)
    )
    for (content,) in parts:
        stored = pl.read_parquet_schema(io.BytesIO(content))
        rows = pl.read_parquet(
            io.BytesIO(content), columns=[name for name in columns.columns if name in stored]
        )
        # an earlier release knew other columns
        known = (
            (pl.col(name) if name in stored else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in columns.schema.items()
        )
        yield rows.filter(pl.col("claim_id").is_in(ids.implode())).select(known)


def taken_copays(connection: Connection, claim_ids: pl.Series) -> pl.DataFrame:
    """What these claims took of their visits' copays (TakenCopays)."""
    names = ("claim_id", "line_number", "benefit_category", "network_code", "share_network_code",
             "decision_date", "copay_amount")  # fmt: skip
    contract = frames.TakenCopays
    return (
        decided(connection, "lines", claim_ids, names)
        .filter(pl.col("copay_amount") > 0)
        .with_columns(network_code=pl.coalesce("share_network_code", "network_code"))
        .group_by(contract.primary_key())
        .agg(pl.col("copay_amount").sum())
        .select(contract.column_names())
        .sort(contract.primary_key())
    )


def adjustments_of(connection: Connection, claim_ids: pl.Series | Sequence[int]) -> pl.DataFrame:
    """Adjustments of the claims, by claim, line and sequence; a pended claim has none."""
    return decided(connection, "adjustments", claim_ids)
