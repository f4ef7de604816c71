"""Providers' disputes as the store keeps them: what came, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
from sqlalchemy import Connection

from adjudicator.store.audit import append_audit
from adjudicator.store.dialect import marks, wanted_keys
from adjudicator.store.rows import insert_frame, read_frame, take_numbers

Schema = dict[str, pl.DataType | type[pl.DataType]]
OF_DISPUTE: Schema = {
    "dispute_number": pl.Int64, "claim_id": pl.Int64, "kind": pl.String,
    "received_date": pl.Date, "channel_code": pl.String, "claim_count": pl.Int64,
    "has_form": pl.Boolean, "has_letter": pl.Boolean, "eop_date": pl.Date, "last_date": pl.Date,
}  # fmt: skip
# one row a dispute, with its claim
DISPUTES: Schema = {
    **OF_DISPUTE, "claim_number": pl.String, "program_code": pl.String, "payee_id": pl.String,
    "charge_amount": pl.Int64,
}  # fmt: skip
# one row a document that came with a dispute
DOCUMENTS: Schema = {
    "dispute_number": pl.Int64, "document_number": pl.Int64, "document_kind": pl.String,
    "document_date": pl.Date,
}  # fmt: skip
# one row what became of a dispute; reasons and letter are JSON
EVENTS: Schema = {
    "dispute_number": pl.Int64, "event_number": pl.Int64, "event": pl.String,
    "run_id": pl.Int64, "made_date": pl.Date, "made_by": pl.String, "note": pl.String,
    "reasons": pl.String, "letter": pl.String,
}  # fmt: skip
# one row an edit that was waived in deciding a dispute
WAIVED: Schema = {"dispute_number": pl.Int64, "claim_id": pl.Int64, "edit": pl.String}


def disputes(connection: Connection, number: int | None = None) -> pl.DataFrame:
    """DISPUTES by number; with ``number`` that one, or none."""
    own = [f"d.{name}" for name in OF_DISPUTE]
    of_claim = [f"c.{name}" for name in DISPUTES if name not in OF_DISPUTE]
    where, given = _only(connection, "d.dispute_number", number)
    return read_frame(
        connection,
        f"SELECT {', '.join(own + of_claim)} FROM dispute AS d "
        f"JOIN claim AS c ON c.claim_id = d.claim_id{where}",
        DISPUTES,
        given,
    ).sort("dispute_number")


def dispute_documents(connection: Connection, number: int | None = None) -> pl.DataFrame:
    """DOCUMENTS by dispute and number."""
    where, given = _only(connection, "dispute_number", number)
    return read_frame(
        connection, f"SELECT {', '.join(DOCUMENTS)} FROM dispute_document{where}", DOCUMENTS, given
    ).sort("dispute_number", "document_number")


def dispute_events(connection: Connection, number: int | None = None) -> pl.DataFrame:
    """EVENTS by dispute and number."""
    where, given = _only(connection, "dispute_number", number)
    return read_frame(
        connection, f"SELECT {', '.join(EVENTS)} FROM dispute_event{where}", EVENTS, given
    ).sort("dispute_number", "event_number")


def waived_edits(connection: Connection) -> pl.DataFrame:
    """WAIVED by dispute, in the order in which they were waived."""
    return (
        read_frame(
            connection,
            f"SELECT {', '.join(WAIVED)}, override_number FROM override "
            "WHERE dispute_number IS NOT NULL",
            {**WAIVED, "override_number": pl.Int64},
        )
        .sort("override_number")
        .drop("override_number")
    )


def eop_date(connection: Connection, claim_id: int, edits: Sequence[str] = ()) -> date | None:
    """The date of the EOP that told of the claim; None where none has.

    With ``edits``: of the first among the claim and those it corrects that these edits denied.
    """
    [mark] = marks(connection, 1)
    told: list[date | None] = []
    at: int | None = claim_id
    while at is not None:
        if not told or _denied_by(connection, at, edits):
            days = read_frame(
                connection,
                "SELECT p.payment_date FROM claim AS c JOIN payment AS p "
                f"ON p.payment_id = c.payment_id WHERE c.claim_id = {mark}",
                {"payment_date": pl.Date},
                (at,),
            )["payment_date"]
            told.append(days[0] if len(days) else None)
        at = read_frame(
            connection,
            f"SELECT predecessor_claim_id FROM claim WHERE claim_id = {mark}",
            {"predecessor_claim_id": pl.Int64},
            (at,),
        )["predecessor_claim_id"][0] if edits else None  # fmt: skip
    return min((day for day in told if day is not None), default=None)


def _denied_by(connection: Connection, claim_id: int, edits: Sequence[str]) -> bool:
    claim_mark, *of_edits = marks(connection, 1 + len(edits))
    return bool(
        connection.exec_driver_sql(
            f"SELECT count(*) FROM finding WHERE claim_id = {claim_mark} "
            f"AND disposition = 'deny' AND edit IN ({', '.join(of_edits)})",
            (claim_id, *edits),
        ).scalar_one()
    )


def earlier_versions(connection: Connection, claim_ids: pl.Series | Sequence[int]) -> pl.DataFrame:
    """``claim_id`` and ``predecessor_claim_id`` of these claims, and on back to the first of each;
    what ``carried_over`` takes acts of earlier versions over by. Sorted."""
    schema: Schema = {"claim_id": pl.Int64, "predecessor_claim_id": pl.Int64}
    if not len(claim_ids):
        return pl.DataFrame(schema=schema)
    wanted = wanted_keys(connection, "int", claim_ids)
    return read_frame(
        connection,
        "WITH RECURSIVE version AS (SELECT c.claim_id, c.predecessor_claim_id FROM claim AS c "
        f"WHERE c.claim_id IN (SELECT key FROM {wanted}) UNION "
        "SELECT c.claim_id, c.predecessor_claim_id FROM version AS v JOIN claim AS c "
        "ON c.claim_id = v.predecessor_claim_id) "
        "SELECT claim_id, predecessor_claim_id FROM version "
        "WHERE predecessor_claim_id IS NOT NULL",
        schema,
    ).sort("claim_id")


def insert_dispute(
    connection: Connection, facts: Mapping[str, Any], documents: Sequence[tuple[str, date]]
) -> int:
    """Keeps a dispute (OF_DISPUTE without its number) and its documents; returns its number."""
    number = take_numbers(connection, "dispute")
    row = {"dispute_number": number, **facts}
    insert_frame(connection, "dispute", pl.DataFrame([row], OF_DISPUTE))
    rows = [(number, place, *document) for place, document in enumerate(documents, 1)]
    insert_frame(connection, "dispute_document", pl.DataFrame(rows, DOCUMENTS, orient="row"))
    return number


def insert_dispute_event(
    connection: Connection, number: int, event: str, *, made_date: date,
    told: Mapping[str, Any] | None = None, recorded_at: str | None = None, **facts: Any,
) -> int:  # fmt: skip
    """Keeps what became of a dispute, with its audit row (``told``: more of it). Returns the
    event's number among the dispute's own."""
    before = dispute_events(connection, number)
    row = {"dispute_number": number, "event_number": before.height + 1, "event": event,
           "made_date": made_date, **facts}  # fmt: skip
    insert_frame(connection, "dispute_event", pl.DataFrame([row], EVENTS))
    known = {k: v for k, v in facts.items() if v is not None and k not in ("letter", "run_id")}
    append_audit(
        connection,
        f"dispute {event.replace('_', ' ')}",
        {"dispute_number": number, "made_date": made_date.isoformat(), **known, **(told or {})},
        run_id=facts.get("run_id"),
        recorded_at=recorded_at,
    )
    return before.height + 1


def carry_out_disputes(
    connection: Connection, run_id: int, numbers: Sequence[int], made_date: date
) -> None:
    """Tells of these overturned disputes that the run decided their claims anew."""
    for number in sorted(numbers):
        insert_dispute_event(connection, number, "carried_out", made_date=made_date, run_id=run_id)


def _only(connection: Connection, column: str, number: int | None) -> tuple[str, tuple[int, ...]]:
    if number is None:
        return "", ()
    [mark] = marks(connection, 1)
    return f" WHERE {column} = {mark}", (number,)
