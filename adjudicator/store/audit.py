"""The audit trail: rows only ever added, each chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from adjudicator.store.tables import audit

BEGINNING = "0" * 64  # what the first row follows


@dataclass(frozen=True)
class AuditRow:
    """An act as the trail holds it."""

    sequence_number: int
    run_id: int | None
    what: str
    detail: str
    hash: str


def utc_now() -> str:
    """The wall clock as the store writes it; no hash and no published file ever sees it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hash(
    previous_hash: str, sequence_number: int, run_id: int | None, what: str, detail: str
) -> str:
    told = json.dumps([previous_hash, sequence_number, run_id, what, detail], ensure_ascii=True)
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def audit_head(connection: Connection) -> tuple[int, str]:
    """Number and hash of the last row; 0 and BEGINNING where there is none."""
    last = select(func.max(audit.c.sequence_number)).scalar_subquery()
    row = connection.execute(
        select(audit.c.sequence_number, audit.c.hash).where(audit.c.sequence_number == last)
    ).first()
    return (int(row[0]), str(row[1])) if row else (0, BEGINNING)


def append_audit(
    connection: Connection,
    what: str,
    detail: Mapping[str, Any],
    *,
    run_id: int | None = None,
    recorded_at: str | None = None,
) -> str:
    """Adds a row and returns its hash. ``recorded_at`` (UTC text; default now) stands outside."""
    number, previous_hash = audit_head(connection)
    number += 1
    told = json.dumps(detail, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = _hash(previous_hash, number, run_id, what, told)
    connection.execute(
        audit.insert().values(
            sequence_number=number,
            run_id=run_id,
            what=what,
            detail=told,
            recorded_at=recorded_at or utc_now(),
            previous_hash=previous_hash,
            hash=digest,
        )
    )
    return digest


def details_of(connection: Connection, what: str, count: int) -> list[str]:
    """The facts of the last ``count`` such acts, as JSON, the last one first."""
    columns = audit.c
    of_kind = select(columns.detail).where(columns.what == what)
    last = of_kind.order_by(columns.sequence_number.desc()).limit(count)
    return [str(detail) for detail in connection.execute(last).scalars()]


def act_of(connection: Connection, run_id: int, what: str) -> AuditRow | None:
    """The row of what a run did last of that kind; None where it did not."""
    columns = audit.c
    row = connection.execute(
        select(columns.sequence_number, columns.run_id, columns.what, columns.detail, columns.hash)
        .where(columns.run_id == run_id, columns.what == what)
        .order_by(columns.sequence_number.desc())
    ).first()
    return AuditRow(*row) if row else None


def runs_from(connection: Connection, run_id: int) -> list[int]:
    """This run, and every one that was decided after it: a run that was interrupted may be decided
    after others that began later."""
    decided = act_of(connection, run_id, "decided")
    if decided is None:
        return [run_id]
    columns = audit.c
    after = select(columns.run_id).where(
        columns.what == "decided", columns.sequence_number > decided.sequence_number
    )
    return sorted({run_id, *map(int, connection.execute(after).scalars())})


def walk_audit(connection: Connection) -> tuple[list[AuditRow], list[tuple[int, str]]]:
    """The trail from its first row, and by number what is wrong with it: rows that are missing,
    that were changed, or that don't follow the one before them."""
    columns = audit.c
    rows = connection.execute(
        select(
            columns.sequence_number,
            columns.run_id,
            columns.what,
            columns.detail,
            columns.previous_hash,
            columns.hash,
        ).order_by(columns.sequence_number)
    )
    trail: list[AuditRow] = []
    wrong: list[tuple[int, str]] = []
    expected, head = 1, BEGINNING
    for number, run_id, what, detail, previous_hash, digest in rows:
        if number != expected:
            wrong.append((expected, f"row {expected} is missing, the next is {number}"))
        elif previous_hash != head:
            wrong.append((number, f"row {number} does not follow the row before it"))
        if digest != _hash(previous_hash, number, run_id, what, detail):
            wrong.append((number, f"row {number} was changed"))
        trail.append(AuditRow(number, run_id, what, detail, digest))
        expected, head = number + 1, digest
    return trail, wrong


def broken_audit(connection: Connection) -> int | None:
    """Number of the first row that doesn't follow from the ones before it; None: all is well."""
    _, wrong = walk_audit(connection)
    return wrong[0][0] if wrong else None
