"""A number for each run that holds the lock: what a run that lost it may still not commit by.

The lock is the operating system's; on a disk that doesn't keep it, or where somebody takes the
lock's file away, two runs could be at work. Each takes the next number when it begins, and every
transaction of a night asks first whether its number is still the last.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from adjudicator.store.rows import take_numbers
from adjudicator.store.tables import sequence

FENCING = "fencing"


def take_fence(connection: Connection) -> int:
    """The number under which a run works from now on; whoever had one before is shut out."""
    return take_numbers(connection, FENCING)


def holds_fence(connection: Connection, fence: int) -> bool:
    """Whether no other run has begun since this number was taken."""
    after = connection.execute(
        select(sequence.c.next_value).where(sequence.c.name == FENCING)
    ).scalar_one()
    return int(after) == fence + 1
