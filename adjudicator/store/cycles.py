"""Payment cycles as the store keeps them: what was paid when, what waits, acts on accounts.

A cycle of a program takes every entry of the ledger since its last one, so that each entry is in
exactly one payment. What an 835 says of a claim that waits for its cycle is kept as it was
decided, as Parquet, by the night that decided it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
from sqlalchemy import Connection, select

from adjudicator.payments import OWED, PAYEE
from adjudicator.store.audit import append_audit
from adjudicator.store.decided import decided_parts, insert_decided
from adjudicator.store.dialect import marks
from adjudicator.store.rows import insert_frame, read_frame, take_numbers
from adjudicator.store.snapshot import ledger_head
from adjudicator.store.tables import decided_part
from schemas import frames

WAITING = {
    "program_code": pl.String, "payee_id": pl.String, "run_id": pl.Int64,
    "business_date": pl.Date, "payment_amount": pl.Int64, "claim_count": pl.Int64,
}  # fmt: skip
FORWARDS = {
    "program_code": pl.String, "payee_id": pl.String, "payment_id": pl.Int64,
    "reference_number": pl.String, "adjustment_amount": pl.Int64,
}  # fmt: skip
ENTRIES = {
    "entry_id": pl.Int64, "claim_id": pl.Int64, "kind": pl.String, "payment_id": pl.Int64,
    "run_id": pl.Int64, "payee_id": pl.String, "program_code": pl.String, "entry_amount": pl.Int64,
    "by_claim_id": pl.Int64, "remark_code": pl.String,
}  # fmt: skip
ACTS = {
    "adjustment_number": pl.Int64, **OWED, "made_date": pl.Date, "made_by": pl.String,
    "note": pl.String,
}  # fmt: skip
# what is kept of the remittance of claims that wait
_KEPT = ("claims", "lines", "adjustments")


@dataclass(frozen=True)
class LastCycle:
    """Up to where a program has paid."""

    payment_date: date | None = None
    last_entry_id: int = 0
    last_adjustment_number: int = 0


def last_cycles(connection: Connection) -> dict[str, LastCycle]:
    """Each program's last payment cycle, by program; nothing of one that never paid."""
    # a row a program: no frame is worth its while
    found = connection.exec_driver_sql(
        "SELECT program_code, max(payment_date), max(last_entry_id), max(last_adjustment_number) "
        "FROM payment_cycle GROUP BY program_code"
    )
    return {
        code: LastCycle(date.fromisoformat(day), int(entry), int(act))
        for code, day, entry, act in found
    }


def is_plain(connection: Connection) -> bool:
    """Whether no payment ever carried anything beside claims, and nobody acted on an account."""
    found = connection.exec_driver_sql(
        "SELECT EXISTS (SELECT 1 FROM provider_adjustment), EXISTS (SELECT 1 FROM payee_adjustment)"
    ).one()
    return not any(found)


def waiting_entries(
    connection: Connection, programs: Sequence[str], cycles: Mapping[str, LastCycle], head: int
) -> pl.DataFrame:
    """What these programs owe since their last cycle, a row a payee and night (WAITING).

    ``head`` is the ledger's last entry. Asks nothing where all of it is paid.
    """
    after = {code: cycles.get(code, LastCycle()).last_entry_id for code in programs}
    open_since = {code: last for code, last in after.items() if last < head}
    if not open_since:
        return pl.DataFrame(schema=WAITING)
    [mark] = marks(connection, 1)
    found = [pl.DataFrame(schema=WAITING)]
    found += [
        read_frame(
            connection,
            "SELECT e.program_code, e.payee_id, e.run_id, r.business_date, "
            "CAST(sum(e.entry_amount) AS BIGINT) AS payment_amount, count(*) AS claim_count "
            "FROM ledger_entry AS e JOIN run AS r ON r.run_id = e.run_id "
            f"WHERE e.entry_id > {int(last)} AND e.program_code = {mark} "
            "AND e.payment_id IS NULL "
            "GROUP BY e.program_code, e.payee_id, e.run_id, r.business_date",
            WAITING,
            (code,),
        )
        for code, last in open_since.items()
    ]
    return pl.concat(found).sort(*PAYEE, "run_id")


def forwards(connection: Connection) -> pl.DataFrame:
    """Every forwarding balance that payments carried or brought (FORWARDS)."""
    return read_frame(
        connection,
        "SELECT p.program_code, p.payee_id, p.payment_id, a.reference_number, "
        "a.adjustment_amount FROM provider_adjustment AS a "
        "JOIN payment AS p ON p.payment_id = a.payment_id WHERE a.reason_code = 'FB'",
        FORWARDS,
    )


def acts_waiting(connection: Connection, cycles: Mapping[str, LastCycle]) -> pl.DataFrame:
    """People's acts on accounts that no cycle has taken yet, in the order made (ACTS)."""
    acts = read_frame(connection, f"SELECT {', '.join(ACTS)} FROM payee_adjustment", ACTS).sort(
        "adjustment_number"
    )
    if acts.is_empty():
        return acts
    taken = {code: cycle.last_adjustment_number for code, cycle in cycles.items()}
    return acts.filter(
        pl.col("adjustment_number")
        > pl.col("program_code").replace_strict(taken, default=0, return_dtype=pl.Int64)
    )


def act_reference(number: int) -> str:
    """PLB03-2 of an act that names nothing else."""
    return f"ADJ{number:09d}"


def insert_act(
    connection: Connection, *, program_code: str, payee_id: str, reason_code: str,
    reference_number: str | None, adjustment_amount: int, made_date: date, made_by: str, note: str,
    recorded_at: str | None = None,
) -> int:  # fmt: skip
    """Keeps a person's act on a payee's account for the next cycle, with its audit row. Returns
    its number, which is its reference where none is given."""
    number = take_numbers(connection, "payee_adjustment")
    row = {
        "adjustment_number": number, "program_code": program_code, "payee_id": payee_id,
        "reason_code": reason_code, "reference_number": reference_number or act_reference(number),
        "adjustment_amount": adjustment_amount, "made_date": made_date, "made_by": made_by,
        "note": note,
    }  # fmt: skip
    insert_frame(connection, "payee_adjustment", pl.DataFrame([row], ACTS))
    told = {**row, "made_date": made_date.isoformat()}
    append_audit(connection, "payee adjusted", told, recorded_at=recorded_at)
    return number


# ---- what a night pays -----------------------------------------------------------------------


def insert_payments(
    connection: Connection, run_id: int, payments: pl.DataFrame, file_names: Mapping[str, int]
) -> None:
    """The night's payments, with the 835 that each is in."""
    files = pl.DataFrame(
        {"payment_id": list(file_names.values()), "file_name": list(file_names)},
        schema={"payment_id": pl.Int64, "file_name": pl.String},
    )
    insert_frame(
        connection, "payment",
        payments.select(
            "payment_id", "payee_id", "program_code", "trace_number", "control_number",
            "payment_method_code", "payment_date", "payment_amount",
        )
        .join(files, on="payment_id", maintain_order="left")
        .with_columns(pl.lit(run_id, dtype=pl.Int64).alias("run_id")),
    )  # fmt: skip


def insert_cycles(
    connection: Connection, run_id: int, today: date, programs: Sequence[str],
    cycles: Mapping[str, LastCycle], last_act: int, provider_adjustments: pl.DataFrame,
    entries: pl.DataFrame,
) -> None:  # fmt: skip
    """What tonight's payments carry beside claims, its ``entries`` in the ledger (claim_id, kind,
    payment_id, payee, program, entry_amount), and how far each program has now paid. After all
    other entries of the night."""
    if provider_adjustments.height:
        insert_frame(connection, "provider_adjustment", provider_adjustments)
    if entries.height:
        first = take_numbers(connection, "ledger_entry", entries.height)
        insert_frame(
            connection, "ledger_entry",
            entries.with_columns(
                entry_id=pl.int_range(pl.len(), dtype=pl.Int64) + first,
                run_id=pl.lit(run_id, dtype=pl.Int64),
            ),
        )  # fmt: skip
    head = ledger_head(connection)
    rows = [
        {
            "program_code": code, "run_id": run_id, "payment_date": today,
            "first_entry_id": cycles.get(code, LastCycle()).last_entry_id + 1,
            "last_entry_id": head,
            "last_adjustment_number": last_act,
        }
        for code in programs
    ]  # fmt: skip
    if rows:
        insert_frame(connection, "payment_cycle", pl.DataFrame(rows))


# ---- claims that wait for their cycle --------------------------------------------------------


def insert_waiting(connection: Connection, run_id: int, **kept: pl.DataFrame) -> None:
    """Keeps what the 835 will say of claims: its ``claims``, ``lines`` and ``adjustments``, each
    row with its program and payee."""
    for name in _KEPT:
        parts = decided_parts(kept[name].sort("claim_id", maintain_order=True))
        insert_decided(connection, run_id, f"remittance_{name}", parts)


def waiting_remittance(connection: Connection, waited: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What was kept of claims that waited: claims, lines, adjustments, with program and payee, by
    claim. ``waited``: the ``run_id`` of each night that kept any, by ``program_code``."""
    contracts = {
        "claims": frames.RemittanceClaims, "lines": frames.RemittanceLines,
        "adjustments": frames.RemittanceAdjustments,
    }  # fmt: skip
    programs: dict[int, list[str]] = {}
    for code, run_id in waited.select("program_code", "run_id").unique().iter_rows():
        programs.setdefault(run_id, []).append(code)
    found = {}
    for name in _KEPT:
        rows = connection.execute(
            select(decided_part.c.run_id, decided_part.c.part_number, decided_part.c.content).where(
                decided_part.c.kind == f"remittance_{name}", decided_part.c.run_id.in_([*programs])
            )
        )
        # of another program the same night's claims may be paid already, or wait on
        parts = [
            pl.read_parquet(io.BytesIO(content)).filter(
                pl.col("program_code").is_in(programs[run_id])
            )
            for run_id, _, content in sorted(rows)
        ]
        nobody = frames.empty(contracts[name]).with_columns(
            pl.lit(None, pl.String).alias(column) for column in PAYEE
        )
        found[name] = pl.concat([nobody, *(p.select(nobody.columns) for p in parts)])
    return found


# ---- what a committed night paid -------------------------------------------------------------


def payments_of(connection: Connection, run_id: int) -> pl.DataFrame:
    """The payments of a night, by number: ``payment_id``, program, payee, ``payment_amount``."""
    return read_frame(
        connection,
        "SELECT payment_id, program_code, payee_id, payment_amount FROM payment "
        f"WHERE run_id = {int(run_id)}",
        {"payment_id": pl.Int64, "program_code": pl.String, "payee_id": pl.String,
         "payment_amount": pl.Int64},
    ).sort("payment_id")  # fmt: skip


def nights_paid(connection: Connection, run_id: int) -> pl.DataFrame:
    """The earlier nights whose claims the payments of this one carry: ``run_id`` by
    ``program_code``."""
    return read_frame(
        connection,
        "SELECT DISTINCT e.program_code, e.run_id FROM payment_cycle AS c "
        f"CROSS JOIN ledger_entry AS e WHERE c.run_id = {int(run_id)} "
        "AND e.entry_id >= c.first_entry_id AND e.entry_id <= c.last_entry_id "
        "AND e.program_code = c.program_code AND e.payment_id IS NULL "
        f"AND e.run_id <> {int(run_id)}",
        {"program_code": pl.String, "run_id": pl.Int64},
    ).sort("program_code", "run_id")


def interest_of(connection: Connection, run_id: int) -> pl.DataFrame:
    """What a night paid beside claims that it paid late: ``claim_id``, program, payee,
    ``interest_amount`` in cents, by claim."""
    return read_frame(
        connection,
        "SELECT claim_id, program_code, payee_id, entry_amount AS interest_amount "
        f"FROM ledger_entry WHERE run_id = {int(run_id)} AND kind = 'interest'",
        {"claim_id": pl.Int64, "program_code": pl.String, "payee_id": pl.String,
         "interest_amount": pl.Int64},
    ).sort("claim_id")  # fmt: skip


# ---- which payment carries an entry ----------------------------------------------------------


def entries_of(connection: Connection, run_ids: Sequence[int]) -> pl.DataFrame:
    """The entries of the ledger that the payments of these nights carry, with their payment
    (ENTRIES), by entry."""
    runs = ", ".join(str(int(run_id)) for run_id in run_ids)
    names = ", ".join(f"e.{n}" for n in ENTRIES if n not in ("payment_id", "run_id"))
    entries = read_frame(
        connection,
        f"SELECT {names}, c.run_id FROM payment_cycle AS c CROSS JOIN ledger_entry AS e "
        f"WHERE c.run_id IN ({runs}) AND e.entry_id >= c.first_entry_id "
        "AND e.entry_id <= c.last_entry_id AND e.program_code = c.program_code",
        {n: t for n, t in ENTRIES.items() if n != "payment_id"},
    )
    payments = read_frame(
        connection,
        f"SELECT payment_id, run_id, program_code, payee_id FROM payment WHERE run_id IN ({runs})",
        {"payment_id": pl.Int64, "run_id": pl.Int64, "program_code": pl.String,
         "payee_id": pl.String},
    )  # fmt: skip
    return (
        entries.join(payments, on=("run_id", *PAYEE), how="left")
        .select(list(ENTRIES))
        .sort("entry_id")
    )


def provider_adjustments_of(connection: Connection, run_ids: Sequence[int]) -> pl.DataFrame:
    """RemittanceProviderAdjustments of the payments of these nights, by payment and place."""
    runs = ", ".join(str(int(run_id)) for run_id in run_ids)
    names = ", ".join(f"a.{n}" for n in frames.RemittanceProviderAdjustments.column_names())
    return read_frame(
        connection,
        f"SELECT {names} FROM provider_adjustment AS a "
        f"JOIN payment AS p ON p.payment_id = a.payment_id WHERE p.run_id IN ({runs})",
        frames.RemittanceProviderAdjustments,
    ).sort("payment_id", "sequence_number")
