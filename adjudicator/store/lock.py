"""One run at a time: flock beside an SQLite store, an advisory lock in a PostgreSQL one.

A lock can be lost without its holder's knowledge (the connection to the server breaks); the
fencing number (fencing.py) then tells who may still write.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from adjudicator.store.books import lock_path
from adjudicator.store.dialect import place_of


def lock_name(url: str) -> str:
    """As messages call it."""
    place = place_of(url)
    if place.get_backend_name() == "postgresql":
        return f"database {place.database or place.username}"
    return lock_path(url).name


def lost_lock_mend(url: str) -> str:
    """What keeps a lock from being lost again."""
    if place_of(url).get_backend_name() == "postgresql":
        return (
            "The server let go of the lock when the connection that held it broke: see to the "
            "server and the network"
        )
    return "Keep the store on a local disk and leave its .lock file"


@contextmanager
def run_lock(url: str) -> Iterator[bool]:
    """Whether the store's lock was to be had; held until the block ends, or the process."""
    place = place_of(url)
    if place.get_backend_name() == "postgresql":
        from adjudicator.store import postgresql

        with postgresql.run_lock(place) as is_ours:
            yield is_ours
        return
    with lock_path(url).open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
