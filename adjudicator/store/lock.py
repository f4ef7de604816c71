"""One run at a time: the lock that a run holds, and the number that fences it from later runs.

The lock keeps a second run out. It can be lost without its holder's knowledge (the connection to
the server breaks, the machine sleeps); so each run that has work takes a number, and writes only
while no later run has taken one.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from adjudicator.store.dialect import StoreError, marks, place_of
from adjudicator.store.rows import take_numbers

FENCING = "fencing"


def lock_path(url: str | URL) -> Path:
    """The file beside an SQLite store whose lock one run at a time holds."""
    return Path(f"{place_of(url).database}.lock")


def lock_name(url: str | URL) -> str:
    """As messages call it."""
    place = place_of(url)
    if place.get_backend_name() == "postgresql":
        return f"database {place.database or place.username}"
    return lock_path(place).name


@contextmanager
def run_lock(url: str | URL) -> Iterator[bool]:
    """Whether the store's lock was to be had; held until the block ends, or the process."""
    place = place_of(url)
    if place.get_backend_name() == "postgresql":
        from adjudicator.store import postgresql

        with postgresql.run_lock(place) as is_ours:
            yield is_ours
        return
    with lock_path(place).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def take_fence(connection: Connection) -> int:
    """The run's fencing number: no other has it, and later runs have higher ones."""
    return take_numbers(connection, FENCING)


def check_fence(connection: Connection, number: int) -> None:
    """Raises StoreError where a later run has begun: this one may write nothing more."""
    [mark] = marks(connection, 1)
    following = connection.exec_driver_sql(
        f"SELECT next_value FROM sequence WHERE name = {mark}", (FENCING,)
    ).scalar_one()
    if following != number + 1:
        raise StoreError(
            "another run has begun since this one, whose lock was lost: this one writes nothing "
            "more; run again when the other is done"
        )
