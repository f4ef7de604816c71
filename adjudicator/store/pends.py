"""What waits, as the store keeps it: the nights of a pend, and what people decided of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl
from sqlalchemy import Connection

from adjudicator.store.audit import append_audit, runs_from
from adjudicator.store.dialect import wanted_keys
from adjudicator.store.rows import insert_frame, read_frame, take_numbers
from schemas import frames

Numbers = pl.Series | Sequence[int]
ENDED = "ended"
PENDS: dict[str, pl.DataType | type[pl.DataType]] = {
    "run_id": pl.Int64, "business_date": pl.Date,
    **{name: column.dtype for name, column in frames.Pends.columns().items()},
}  # fmt: skip
# as the audit trail calls an act
ACT = {"released": "pend released", "denied": "pend denied", "waived": "edit waived"}


def open_pends(connection: Connection, claim_ids: Numbers) -> pl.DataFrame:
    """OpenPends of these claims, by claim and code: what the last night left of them."""
    if not len(claim_ids):
        return frames.empty(frames.OpenPends)
    wanted = wanted_keys(connection, "int", claim_ids)
    return read_frame(
        connection,
        f"SELECT p.claim_id, p.pend_code, p.began_date FROM {wanted} AS w CROSS JOIN claim AS c "
        "CROSS JOIN pend AS p WHERE c.claim_id = w.key AND p.claim_id = c.claim_id "
        f"AND p.run_id = c.decided_run_id AND p.state <> '{ENDED}'",
        frames.OpenPends,
    ).sort("claim_id", "pend_code")


def pends_before(connection: Connection, claim_ids: Numbers, run_id: int) -> pl.DataFrame:
    """OpenPends of whatever these claims waited for after any night that was decided before that
    run, ended since or not, by claim and code; each since it first began."""
    if not len(claim_ids):
        return frames.empty(frames.OpenPends)
    since = ", ".join(map(str, runs_from(connection, run_id)))
    wanted = wanted_keys(connection, "int", claim_ids)
    return read_frame(
        connection,
        "SELECT p.claim_id, p.pend_code, min(p.began_date) AS began_date "
        f"FROM {wanted} AS w CROSS JOIN pend AS p WHERE p.claim_id = w.key "
        f"AND p.run_id NOT IN ({since}) AND p.state <> '{ENDED}' GROUP BY p.claim_id, p.pend_code",
        frames.OpenPends,
    ).sort("claim_id", "pend_code")


def overrides(connection: Connection, claim_ids: Numbers) -> pl.DataFrame:
    """Overrides of these claims, in the order in which they were made."""
    if not len(claim_ids):
        return frames.empty(frames.Overrides)
    wanted = wanted_keys(connection, "int", claim_ids)
    names = ", ".join(f"o.{name}" for name in frames.Overrides.column_names())
    return read_frame(
        connection,
        f"SELECT {names} FROM {wanted} AS w CROSS JOIN override AS o WHERE o.claim_id = w.key",
        frames.Overrides,
    ).sort("override_number")


def pend_history(connection: Connection, claim_id: int) -> pl.DataFrame:
    """What each night saw of the claim's pends, by night and code (PENDS)."""
    names = ", ".join(f"p.{name}" for name in PENDS if name not in ("business_date",))
    return read_frame(
        connection,
        f"SELECT {names}, r.business_date FROM pend AS p JOIN run AS r ON r.run_id = p.run_id "
        f"WHERE p.claim_id = {int(claim_id)}",
        PENDS,
    ).sort("run_id", "pend_code")


def insert_override(
    connection: Connection, claim_id: int, claim_number: str, act: str,
    facts: Mapping[str, str | None], *, made_date: date, made_by: str, note: str,
    recorded_at: str | None = None, dispute_number: int | None = None,
) -> int:  # fmt: skip
    """Keeps a person's act for the nights to come, with its audit row. Returns its number.

    ``facts``: the edit, or the pend code and the codes of the denial. ``dispute_number``: the
    dispute that was decided so.
    """
    number = take_numbers(connection, "override")
    told: dict[str, str | int | None] = {"act": act, "made_by": made_by, "note": note, **facts}
    row = {"override_number": number, "claim_id": claim_id, "made_date": made_date, **told}
    schema = frames.empty(frames.Overrides).schema
    kept = pl.DataFrame([row], schema).with_columns(
        dispute_number=pl.lit(dispute_number, dtype=pl.Int64)
    )
    insert_frame(connection, "override", kept)
    told |= {} if dispute_number is None else {"dispute_number": dispute_number}
    append_audit(
        connection,
        ACT[act],
        {"override_number": number, "claim_id": claim_id, "claim_number": claim_number,
         "made_date": made_date.isoformat(), **{k: v for k, v in told.items() if v is not None}},
        recorded_at=recorded_at,
    )  # fmt: skip
    return number
