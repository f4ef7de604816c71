"""What only a PostgreSQL store needs: its connections, COPY, its errors, the run's lock, roles.

Loaded where a store's URL is PostgreSQL's, and with it the driver: an SQLite night does without.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DBAPIError

from adjudicator.store.dialect import BusyError, LostStoreError, StoreError

try:
    import psycopg
except ImportError as error:
    raise StoreError(
        "PostgreSQL's driver is not installed: install requirements-postgresql.txt beside the "
        "program, or adjudicator[postgresql]"
    ) from error

OLDEST = 140000  # PostgreSQL 14, as the server numbers itself
CHUNK_ROWS = 50_000
LOCK_WAIT = "30s"
RUN_LOCK, MIGRATION_LOCK = 837_835, 837_001  # advisory locks: one database is one store

# what a write transaction on SQLite gets by BEGIN IMMEDIATE: one writer at a time, no reader waits.
# LOCK TABLE takes no snapshot, so the transaction then sees all that was committed before
ONE_WRITER = "LOCK TABLE sequence IN EXCLUSIVE MODE"

# the session's own, set at each connection
SESSION = {
    "synchronous_commit": "on",
    "standard_conforming_strings": "on",
    "lock_timeout": LOCK_WAIT,
    "statement_timeout": "0",
    "idle_session_timeout": "0",  # the lock's connection is idle all night
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",  # compiling takes longer than any statement here
    "timezone": "UTC",
}
# the server's: without them what it calls committed may be gone after a power cut, or names garbled
SERVER = {"server_encoding": "UTF8", "fsync": "on", "full_page_writes": "on"}
# a connection that a firewall or a dead machine cut is noticed within a minute
ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")

BUSY = ("40001", "40P01", "55P03")  # can't be serialized, deadlock, lock not to be had
FULL = ("53100", "53200")
LOST = ("08", "57P")  # connection exceptions; the server shuts down, or an operator ended us


def connect(place: URL) -> Engine:
    """An engine on a database that is there; SERIALIZABLE. No connection is made yet."""
    if place.drivername not in ("postgresql", "postgresql+psycopg"):
        raise StoreError(
            f"no store speaks {place.drivername}: give postgresql://USER@HOST/DATABASE"
        )
    engine = create_engine(
        place.set(drivername="postgresql+psycopg"),
        isolation_level="SERIALIZABLE",
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={"application_name": "adjudicator", "connect_timeout": 10,
                      "prepare_threshold": None, **ALIVE,
                      **_checked_peer(place)},
    )  # fmt: skip
    event.listen(engine, "connect", _settle)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _handle, retval=True)
    return engine


def _checked_peer(place: URL) -> dict[str, str]:
    """A server elsewhere must prove who it is unless someone has said what it need not prove:
    the driver's own default would go on without TLS."""
    named = place.host or place.query.get("host") or os.environ.get("PGHOST", "")
    host = named if isinstance(named, str) else "several"
    said = "sslmode" in place.query or "service" in place.query or "PGSSLMODE" in os.environ
    if said or host.startswith("/") or host in LOCAL_HOSTS:
        return {}
    return {"sslmode": "verify-full"}


def _settle(connection: psycopg.Connection[Any], _record: object) -> None:
    """Sets the session's settings and reads all back."""
    if connection.info.server_version < OLDEST:
        raise StoreError("the server is older than PostgreSQL 14: give a newer one")
    wanted = {**SESSION, **SERVER}
    before, connection.autocommit = connection.autocommit, True
    connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in SESSION.items()))
    shown = ", ".join(f"current_setting('{name}')" for name in wanted)
    found = connection.execute(f"SELECT {shown}").fetchone()
    connection.autocommit = before
    assert found is not None
    for (name, expected), value in zip(wanted.items(), found, strict=True):
        if str(value) != expected:
            raise StoreError(f"the server keeps {name} at {value}; the store needs {expected}")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("migrates", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
    elif not options.get("only_reads", False):
        connection.exec_driver_sql(ONE_WRITER)


# ---- errors ----------------------------------------------------------------------------------


def _handle(context: ExceptionContext) -> BaseException | None:
    error = context.original_exception
    if not isinstance(error, psycopg.Error):
        return None
    told = _told(error, is_connecting=context.connection is None)
    if told is None and isinstance(context.sqlalchemy_exception, DBAPIError):
        _strip(error, context.sqlalchemy_exception)
    return told


def _told(error: psycopg.Error, *, is_connecting: bool = False) -> StoreError | None:
    """What an operator can mend, in the program's words; None: a fault of the program."""
    state = error.sqlstate or ""
    if state in BUSY:
        return BusyError(
            "another process writes to the store; nothing of this step is kept, run again"
        )
    if state in FULL:
        return StoreError("the store's server has no room left; make room and run again")
    if state == "42501":
        return StoreError(
            "this database role may not do that: see the roles in docs/operate.md (the owner "
            "upgrades, the application runs nights, the reader reads)"
        )
    if state == "42P01":
        return StoreError("the store has no tables yet: run `adjudicate db upgrade`")
    if state == "3D000":
        return StoreError("there is no such database; make it (createdb), or correct its name")
    if state.startswith("28"):
        return StoreError(
            "the store's server does not let this role in: check user, password (PGPASSFILE) and "
            "pg_hba.conf"
        )
    if state.startswith(LOST) or (not state and isinstance(error, psycopg.OperationalError)):
        if is_connecting:
            return LostStoreError(f"the store's server can't be reached: {_why(error)}")
        return LostStoreError(
            f"the store's server was lost ({_why(error)}): what was being committed is there "
            "whole or not at all; run the same command again, it looks before it repeats"
        )
    return None


def _why(error: psycopg.Error) -> str:
    """The cause without names: the driver's words hold host and user, the server's whole rows."""
    if error.sqlstate:
        return f"SQLSTATE {error.sqlstate}"
    words = str(error).casefold()
    known = {
        "root certificate": "there is no sslrootcert to check its certificate by",
        "certificate": "its certificate does not prove who it is",
        "ssl": "it does not speak TLS as asked",
        "refused": "connection refused",
        "translate host": "no such host",
        "resolve": "no such host",
        "timeout": "no answer in time",
        "no password": "no password given",
        "password": "no password given",
        "closed": "the connection was closed",
    }
    return next((told for word, told in known.items() if word in words), "no connection")


def _strip(error: psycopg.Error, wrapped: DBAPIError) -> None:
    """Leaves the server's first line only: its DETAIL and CONTEXT repeat whole rows."""
    first = error.diag.message_primary or type(error).__name__
    wrapped.args = (f"({type(error).__name__}) {first}",)
    error.args = (first,)


# ---- rows ------------------------------------------------------------------------------------


def copy_frame(connection: Connection, table: str, frame: pl.DataFrame) -> int:
    """Adds the frame's rows by COPY, in the connection's transaction. Returns their number."""
    statement = f"COPY {table} ({', '.join(frame.columns)}) FROM STDIN (FORMAT csv)"
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for chunk in frame.iter_slices(CHUNK_ROWS):
                copy.write(_as_csv(chunk))
    except psycopg.Error as error:
        raise _copy_error(connection, statement, error) from None
    return frame.height


def _as_csv(frame: pl.DataFrame) -> bytes:
    """Rows for COPY: text in quotes, so that an empty text is not a null."""
    held = frame.with_columns(
        pl.col(pl.Boolean).cast(pl.Int64),
        pl.col(pl.Binary).bin.encode("hex").str.replace("^", r"\x"),
        pl.col(pl.Categorical, pl.Enum).cast(pl.String),
    )
    written = io.BytesIO()
    held.write_csv(written, include_header=False, quote_style="non_numeric")
    return written.getvalue()


def _copy_error(connection: Connection, statement: str, error: psycopg.Error) -> BaseException:
    """As SQLAlchemy would raise it, which knows nothing of COPY."""
    told = _told(error)
    if isinstance(told, LostStoreError):
        connection.invalidate(error)
    if told is not None:
        return told
    wrapped = DBAPIError.instance(
        statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
    )
    assert isinstance(wrapped, DBAPIError)
    _strip(error, wrapped)
    return wrapped


# ---- one run at a time -----------------------------------------------------------------------


@contextmanager
def run_lock(place: URL) -> Iterator[bool]:
    """Whether the lock that one run at a time holds was to be had: until the block ends, or the
    connection is lost (then the fencing number tells who may still write)."""
    engine = connect(place)
    try:
        options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "only_reads": True}
        with engine.connect().execution_options(**options) as connection:
            yield bool(
                connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({RUN_LOCK})").scalar_one()
            )
    finally:
        engine.dispose()  # the lock goes with the connection
