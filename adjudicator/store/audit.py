"""The audit trail: rows only ever added, each chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from adjudicator.store.tables import audit

BEGINNING = "0" * 64  # what the first row follows


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
    """Adds a row and returns its hash. ``recorded_at`` (UTC text) stands outside the hash."""
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
            recorded_at=recorded_at,
            previous_hash=previous_hash,
            hash=digest,
        )
    )
    return digest


def broken_audit(connection: Connection) -> int | None:
    """Number of the first row that doesn't follow from the ones before it; None: all is well."""
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
    expected, head = 1, BEGINNING
    for number, run_id, what, detail, previous_hash, digest in rows:
        if (
            number != expected
            or previous_hash != head
            or digest != _hash(head, number, run_id, what, detail)
        ):
            return expected
        expected, head = number + 1, digest
    return None
