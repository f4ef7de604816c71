"""Frames into tables and tables into frames: the only two ways rows travel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dataframely as dy
import polars as pl
from sqlalchemy import BigInteger, Connection, Executable, Integer, LargeBinary, String, Table

from adjudicator.store.dialect import CHUNK_ROWS, StoreError, insert_rows, marks, update_rows
from adjudicator.store.tables import claim, metadata

# what the tables hold in place of these
_STORED: dict[Any, Any] = {pl.Date: pl.String, pl.Boolean: pl.Int64}

# what fits into a column of each type
_WHOLE = (pl.Int64, pl.Int32, pl.Int16, pl.Int8, pl.UInt32, pl.UInt16, pl.UInt8, pl.Boolean)
_FITS: dict[type, tuple[type[pl.DataType], ...]] = {
    String: (pl.String, pl.Date, pl.Enum, pl.Categorical),
    BigInteger: _WHOLE,
    Integer: _WHOLE,
    LargeBinary: (pl.Binary,),
}

FrameSchema = Mapping[str, pl.DataType | type[pl.DataType]] | type[dy.Schema]


def _table(table: Table | str) -> Table:
    return table if isinstance(table, Table) else metadata.tables[table]


def _refuse_misfits(target: Table, frame: pl.DataFrame) -> None:
    """SQLite would take any value anywhere: no float may pass for cents, no number for text."""
    for name, kind in frame.schema.items():
        if name not in target.columns:
            raise StoreError(f"table {target.name}: no column {name}")
        fits = _FITS[type(target.columns[name].type)]
        if kind != pl.Null and not isinstance(kind, fits):
            raise StoreError(f"table {target.name}, column {name}: {kind} doesn't fit")


def insert_frame(connection: Connection, table: Table | str, frame: pl.DataFrame) -> int:
    """Adds the frame's rows, in its order; columns go by name. Returns the number of rows.

    Raises StoreError where the frame has a column the table lacks, lacks one it requires, or
    holds another type (a float never passes for cents);
    IntegrityError where a key is there already or a required value is null.
    """
    target = _table(table)
    missing = [c.name for c in target.columns if not c.nullable and c.name not in frame.columns]
    if missing:
        raise StoreError(f"table {target.name}: the frame lacks {missing}")
    _refuse_misfits(target, frame)
    return insert_rows(connection, target.name, frame)


def update_claims(connection: Connection, frame: pl.DataFrame) -> int:
    """Sets the frame's columns on the claims its ``claim_id`` names. Returns their number.

    Raises StoreError where a claim isn't in the store, or a column is unknown or doesn't fit.
    """
    if "claim_id" not in frame.columns or frame.width == 1:
        raise StoreError(f"table claim: can't update by {frame.columns}")
    _refuse_misfits(claim, frame)
    changed = update_rows(connection, claim.name, "claim_id", frame)
    if changed != frame.height:
        raise StoreError(f"table claim: {frame.height} claims to update, {changed} are there")
    return changed


def read_frame(
    connection: Connection,
    statement: str | Executable,
    schema: FrameSchema,
    parameters: Sequence[Any] = (),
) -> pl.DataFrame:
    """The statement's rows as a frame of that schema, columns in the schema's order.

    A string goes to the driver as it is, with positional ``parameters``. Rows come in no order:
    sort in polars, since databases sort text each in their own way.
    """
    if isinstance(schema, type):
        schema = {name: column.dtype for name, column in schema.columns().items()}
    if isinstance(statement, str):
        result = connection.exec_driver_sql(statement, tuple(parameters))
    else:
        result = connection.execute(statement)
    names = list(result.keys())
    if set(names) != set(schema):
        raise StoreError(f"the statement answers {names}, not {list(schema)}")
    stored = {name: _STORED.get(schema[name], schema[name]) for name in names}
    cursor = result.cursor  # the driver's tuples: SQLAlchemy's rows cost half as much again
    assert cursor is not None
    chunks = [pl.DataFrame(schema=stored)]
    while rows := cursor.fetchmany(CHUNK_ROWS):
        chunks.append(pl.DataFrame(rows, schema=stored, orient="row", strict=True))
    result.close()
    return pl.concat(chunks).select(
        pl.col(name).str.to_date("%Y-%m-%d") if kind == pl.Date else pl.col(name).cast(kind)
        for name, kind in schema.items()
    )


def take_numbers(connection: Connection, name: str, count: int = 1) -> int:
    """The first of ``count`` contiguous numbers of the sequence, never handed out before.

    They are taken only if the transaction commits. Raises StoreError for an unknown sequence.
    """
    if count < 0:
        raise StoreError(f"sequence {name}: can't take {count} numbers")
    add, where = marks(connection, 2)
    taken = connection.exec_driver_sql(
        f"UPDATE sequence SET next_value = next_value + {add} WHERE name = {where}", (count, name)
    )
    if taken.rowcount != 1:
        raise StoreError(f"the store has no sequence {name!r}")
    [mark] = marks(connection, 1)
    after = connection.exec_driver_sql(
        f"SELECT next_value FROM sequence WHERE name = {mark}", (name,)
    ).scalar_one()
    return int(after) - count
