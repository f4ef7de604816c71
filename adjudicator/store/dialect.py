"""Everything that differs between SQLite and PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

# name → what is set, what must be read back
PRAGMAS: dict[str, tuple[str, str]] = {
    "busy_timeout": ("30000", "30000"),  # milliseconds; first, the others may have to wait
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", "2"),
    "foreign_keys": ("ON", "1"),
    "recursive_triggers": ("ON", "1"),  # else INSERT OR REPLACE deletes past the triggers
    "temp_store": ("MEMORY", "2"),  # member ids never reach a temporary file
    "cache_size": ("-131072", "-131072"),  # kibibytes
}

PAGE_BYTES = 8192  # a night's rows are written in half as many pieces as with SQLite's usual pages
CHUNK_ROWS = 50_000
PARAMETERS = 30_000  # of one statement, where the SQLite at hand takes so many


class StoreError(Exception):
    """The store can't be used as asked: the message says why and what mends it."""


class BusyError(StoreError):
    """Another process writes to the store; nothing of this transaction is kept."""


class LostStoreError(StoreError):
    """The store is gone, or went within a transaction: whether a commit took is not known."""


def place_of(url: str | URL) -> URL:
    """The URL taken apart. Raises StoreError, which doesn't repeat it: it may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(
            "the store's URL can't be read: give sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        ) from None


def connect(url: str | URL, *, create: bool = True) -> Engine:
    """An engine on the store.

    An SQLite store is one file, made with mode 0600 where it is absent and ``create`` is set; a
    PostgreSQL store is a database that is there. ``engine.begin()`` takes the write lock at once,
    :func:`reading` takes none. Raises StoreError for an absent file, a store in memory, an unknown
    driver, or a setting that didn't take.
    """
    place = place_of(url)
    if place.get_backend_name() == "postgresql":
        from adjudicator.store import postgresql  # its driver is loaded only where it is asked for

        return postgresql.connect(place)
    if place.drivername not in ("sqlite", "sqlite+pysqlite"):
        # a second SQLite library in one process shares no locks with the first
        raise StoreError(
            f"no store speaks {place.drivername}: give sqlite:///FILE or a postgresql URL"
        )
    if place.database in (None, "", ":memory:") or str(place.database).startswith("file:"):
        raise StoreError("an SQLite store is a file: give sqlite:///FILE")
    path = Path(str(place.database))
    if create:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            raise StoreError(f"{path}: the store can't be made: {error.strerror}") from error
    elif not path.is_file():
        raise StoreError(f"{path}: no store is there; `adjudicate run` makes one")
    # hidden: an error shows its statement, never a member's values
    engine = create_engine(place, connect_args={"isolation_level": None}, hide_parameters=True)
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    # of a new store; one that is there keeps its own, so it is not asserted
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    for name, (value, expected) in PRAGMAS.items():
        try:
            connection.execute(f"PRAGMA {name} = {value}")
            (found,) = connection.execute(f"PRAGMA {name}").fetchone()
        except sqlite3.DatabaseError as error:
            raise StoreError(f"the store can't be opened: {error}") from error
        if str(found) != expected:
            raise StoreError(f"SQLite keeps PRAGMA {name} at {found}; the store needs {expected}")


def _begin(connection: Connection) -> None:
    # the driver's own BEGIN comes late and leaves DDL outside
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


class Rehearsal:
    """An engine all of whose transactions are parts of one that nobody commits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self.connection.begin_nested():
            yield self.connection


def is_postgresql(connection: Connection | Engine) -> bool:
    return connection.dialect.name == "postgresql"


def checkpoint(engine: Engine | Rehearsal) -> None:
    """SQLite's write-ahead log into the file, as far as no reader is in the way: a disk that can't
    keep what was committed is told now, not in silence at the close. PostgreSQL needs none."""
    if isinstance(engine, Engine) and engine.dialect.name == "sqlite":
        driver = engine.raw_connection()
        try:
            driver.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            driver.close()


@contextmanager
def rehearsing(engine: Engine) -> Iterator[Rehearsal]:
    """The store as it would be after what is done here, and then as it was before."""
    with engine.connect() as connection, connection.begin() as transaction:
        yield Rehearsal(connection)
        transaction.rollback()


@contextmanager
def reading(engine: Engine | Rehearsal) -> Iterator[Connection]:
    """A connection on one snapshot of the store, that waits for no writer and blocks none."""
    if isinstance(engine, Rehearsal):
        with engine.connection.begin_nested() as part:
            yield engine.connection
            part.rollback()
        return
    with engine.connect() as plain:
        options: dict[str, Any] = {"only_reads": True}
        if is_postgresql(plain):
            options["isolation_level"] = "REPEATABLE READ"
        connection = plain.execution_options(**options)
        with connection.begin() as transaction:
            yield connection
            transaction.rollback()


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction in which one process at a time changes the tables, all of it or nothing."""
    with engine.connect() as plain:
        options: dict[str, Any] = {"migrates": True}
        if is_postgresql(plain):  # so that it sees what the one waited for has done
            options["isolation_level"] = "READ COMMITTED"
        with plain.execution_options(**options) as connection, connection.begin():
            yield connection


def marks(connection: Connection, count: int) -> list[str]:
    """``count`` positional placeholders as the driver spells them."""
    return ["%s" if is_postgresql(connection) else "?"] * count


def insert_rows(connection: Connection, table: str, frame: pl.DataFrame) -> int:
    """Adds the frame's rows to a table in its order, columns by name. Returns their number.

    Dates are kept as ISO text, booleans as 0 and 1. SQLite is handed many rows a statement: half
    the time of one a statement, and a night's other threads aren't asked for Python's lock at
    each row.
    """
    if is_postgresql(connection):
        from adjudicator.store import postgresql

        return postgresql.copy_frame(connection, table, frame)
    held = frame.with_columns(pl.col(pl.Date).cast(pl.String), pl.col(pl.Boolean).cast(pl.Int64))
    width = frame.width
    row = f"({', '.join('?' * width)})"
    into = f"INSERT INTO {table} ({', '.join(frame.columns)}) VALUES "
    at_once = max(_parameters(connection) // width, 1)
    for chunk in held.iter_slices(max(CHUNK_ROWS // at_once, 1) * at_once):
        values: list[Any] = [None] * (width * chunk.height)
        for place, column in enumerate(chunk.iter_columns()):
            values[place::width] = column.to_list()
        whole = chunk.height // at_once * at_once * width
        step = at_once * width
        if whole:
            many = [tuple(values[at : at + step]) for at in range(0, whole, step)]
            connection.exec_driver_sql(into + ", ".join([row] * at_once), many)
        if rest := tuple(values[whole:]):
            connection.exec_driver_sql(into + ", ".join([row] * (len(rest) // width)), rest)
    return frame.height


def _parameters(connection: Connection) -> int:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return min(PARAMETERS, driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))


def update_rows(connection: Connection, table: str, key: str, frame: pl.DataFrame) -> int:
    """Sets the frame's columns on the rows its ``key`` names. Returns how many there were."""
    names = ", ".join(frame.columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE changed AS SELECT {names} FROM {table} LIMIT 0"
    )
    insert_rows(connection, "changed", frame)
    if is_postgresql(connection):
        connection.exec_driver_sql("ANALYZE changed")
    settings = ", ".join(f"{name} = c.{name}" for name in frame.columns if name != key)
    changed = connection.exec_driver_sql(
        f"UPDATE {table} AS t SET {settings} FROM changed AS c WHERE t.{key} = c.{key}"
    ).rowcount
    connection.exec_driver_sql("DROP TABLE changed")
    return changed


def wanted_keys(connection: Connection, kind: str, keys: pl.Series | Sequence[Any]) -> str:
    """A temporary table ``key`` of the distinct keys, to join from; its name.

    ``kind`` is text or int. Of 100,000 keys as quick as IN lists of 20,000, three times as quick
    as lists of 500, and one statement on both databases. Write ``FROM wanted CROSS JOIN table
    WHERE …``: SQLite keeps that order; left to itself it scans the large table.
    """
    name = f"wanted_{kind}"
    column = {"text": "VARCHAR", "int": "BIGINT"}[kind]
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} (key {column} PRIMARY KEY)"
    )
    distinct = pl.Series("key", keys).drop_nulls().unique().sort()
    empty = "TRUNCATE" if is_postgresql(connection) else "DELETE FROM"
    connection.exec_driver_sql(f"{empty} {name}")
    if len(distinct):
        insert_rows(connection, name, distinct.to_frame())
    return name
