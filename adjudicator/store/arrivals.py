"""What arrived and what was answered: files, their interchanges, and their acknowledgements."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Connection, func, select, update

from adjudicator.store.tables import acknowledgement, claim, file, interchange

REPEATED = "repeated"
# an interchange that none of whose claims was taken in for a reason that may pass
UNSETTLED = ("test", "misdirected")


@dataclass(frozen=True)
class KnownFile:
    """An arrival that the store has. ``is_settled``: no later arrival of the same bytes can have
    another fate."""

    file_id: int
    run_id: int
    verdict: str
    reasons: list[str]
    is_settled: bool


@dataclass(frozen=True)
class KnownInterchange:
    """An interchange that arrived: where, the digest of its bytes, and what became of it."""

    file_id: int
    position: int
    sha256: str
    verdict: str


@dataclass(frozen=True)
class Answer:
    """An acknowledgement as it is kept; ``content`` is compressed by zlib."""

    name: str
    position: int
    kind: str
    code: str
    control_number: int
    content: bytes


@dataclass(frozen=True)
class DueAnswer:
    """An acknowledgement that is to be published, and the arrival that it answers."""

    run_id: int
    receipt_position: int
    name: str
    code: str
    content: bytes

    def document(self) -> bytes:
        return zlib.decompress(self.content)


def find_arrival(connection: Connection, run_id: int, position: int) -> KnownFile | None:
    """The file that this run took in at this place, before it was interrupted."""
    return _known(connection, (file.c.run_id == run_id) & (file.c.receipt_position == position))


def find_file(connection: Connection, digest: str) -> KnownFile | None:
    """The last arrival of these bytes that was looked into."""
    alike = (file.c.sha256 == digest) & (file.c.verdict != REPEATED)
    last = select(func.max(file.c.file_id)).where(alike).scalar_subquery()
    return _known(connection, file.c.file_id == last)


def _known(connection: Connection, which: ColumnElement[bool]) -> KnownFile | None:
    columns = (file.c.file_id, file.c.run_id, file.c.verdict, file.c.reason)
    row = connection.execute(select(*columns).where(which)).first()
    if row is None:
        return None
    file_id = int(row[0])
    verdicts = connection.execute(
        select(interchange.c.verdict).where(interchange.c.file_id == file_id)
    ).scalars()
    settled = not any(verdict in UNSETTLED for verdict in verdicts)
    return KnownFile(file_id, int(row[1]), str(row[2]), (row[3] or "").splitlines(), settled)


def claim_counts(connection: Connection, file_id: int) -> tuple[int, int]:
    """How many claims of a file were taken in, and how many of them rejected."""
    is_rejected = func.coalesce(claim.c.disposition, "") == "rejected"
    rows = connection.execute(
        select(is_rejected, func.count()).where(claim.c.file_id == file_id).group_by(is_rejected)
    )
    counts = {bool(rejected): int(count) for rejected, count in rows}
    return sum(counts.values()), counts.get(True, 0)


def insert_file(
    connection: Connection, file_id: int, run_id: int, position: int, name: str, digest: str,
    byte_count: int, received_date: date, verdict: str, reason: str,
) -> None:  # fmt: skip
    connection.execute(
        file.insert().values(
            file_id=file_id, run_id=run_id, receipt_position=position, name=name, sha256=digest,
            byte_count=byte_count, received_date=received_date.isoformat(), verdict=verdict,
            reason=reason,
        )
    )  # fmt: skip


def find_interchanges(
    connection: Connection, sender: str, receiver: str, number: str
) -> list[KnownInterchange]:
    """Every arrival of an interchange under this control number, the first one first."""
    columns = interchange.c
    rows = connection.execute(
        select(columns.file_id, columns.position, columns.sha256, columns.verdict).where(
            columns.control_number == number,
            columns.sender_number == sender,
            columns.receiver_number == receiver,
        )
    )
    return sorted(
        (KnownInterchange(int(f), int(p), str(s), str(v)) for f, p, s, v in rows),
        key=lambda known: (known.file_id, known.position),
    )


def insert_interchanges(
    connection: Connection, file_id: int, rows: Sequence[tuple[int, str, str, str, str, str]]
) -> None:
    """``rows``: position, sender, receiver and control number, digest and verdict of each."""
    names = ("position", "sender_number", "receiver_number", "control_number", "sha256", "verdict")
    values = [{"file_id": file_id, **dict(zip(names, row, strict=True))} for row in rows]
    if values:
        connection.execute(interchange.insert(), values)


def insert_answers(connection: Connection, file_id: int, answers: Sequence[Answer]) -> None:
    """Keeps what the senders of a file are answered, in the transaction that takes it in."""
    rows = [{"file_id": file_id, **vars(answer)} for answer in answers]
    if rows:
        connection.execute(acknowledgement.insert(), rows)


def answers_to(connection: Connection, file_id: int, position: int | None = None) -> list[Answer]:
    """What was answered to a file, or to one interchange of it, by name."""
    columns = acknowledgement.c
    which = columns.file_id == file_id
    if position is not None:
        which &= columns.position == position
    rows = connection.execute(
        select(
            columns.name, columns.position, columns.kind, columns.code, columns.control_number,
            columns.content,
        ).where(which)
    )  # fmt: skip
    return sorted((Answer(*row) for row in rows), key=lambda answer: answer.name)


def due_answers(connection: Connection, answered_run_id: int | None = None) -> list[DueAnswer]:
    """The answers to every file that no night has published any for, in order of arrival: those
    of this night, and of nights that were interrupted and never run again; or those that
    ``answered_run_id`` published."""
    rows = connection.execute(
        select(
            file.c.run_id, file.c.receipt_position, acknowledgement.c.name,
            acknowledgement.c.code, acknowledgement.c.content,
        )
        .join(acknowledgement, acknowledgement.c.file_id == file.c.file_id)
        .where(file.c.answered_run_id.is_not_distinct_from(answered_run_id))
    )  # fmt: skip
    answers = (DueAnswer(int(r), int(p), n, c, content) for r, p, n, c, content in rows)
    return sorted(answers, key=lambda answer: (answer.run_id, answer.receipt_position, answer.name))


def set_answered(connection: Connection, run_id: int) -> None:
    """Says that this night published the answers to every file that had none published yet."""
    connection.execute(
        update(file).where(file.c.answered_run_id.is_(None)).values(answered_run_id=run_id)
    )
