"""What a night writes: its run, the files and claims it took in, and all it decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, select, update
from sqlalchemy.engine import make_url

from adjudicator.corrections import given_back
from adjudicator.pipeline import Batch
from adjudicator.remittance import FINAL
from adjudicator.stages.match import claim_provider, comparable_lines
from adjudicator.store.audit import append_audit, utc_now
from adjudicator.store.corrections import TAKEN, insert_reversals, set_versions
from adjudicator.store.decided import CONTRACTS, Kind, decided_parts, insert_decided
from adjudicator.store.dialect import wanted_keys
from adjudicator.store.rows import insert_frame, read_frame, take_numbers, update_claims
from adjudicator.store.snapshot import delete_lines
from adjudicator.store.tables import claim, line, outbox, run
from edi.threads import Beside
from schemas import frames

CARRIED = "pended"


@dataclass(frozen=True)
class Run:
    run_id: int
    state: str  # intake, decided or published


@dataclass(frozen=True)
class BegunRun(Run):
    """A run with what it was begun with; ``reference_version`` is the digest of all that its
    decisions rest on."""

    business_date: date
    reference_version: str


def lock_path(url: str) -> Path:
    """The file whose lock one run at a time holds: beside an SQLite store, else in the folder."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite":
        return Path(f"{place.database}.lock")
    return Path(f"{place.database or 'adjudicator'}.lock")


def open_run(
    connection: Connection, business_date: date, manifest: str, reference: str, settings: str
) -> Run:
    """The run of exactly these inputs: found, or begun now in state ``intake``."""
    found = connection.execute(
        select(run.c.run_id, run.c.state).where(
            run.c.business_date == business_date.isoformat(),
            run.c.manifest_digest == manifest,
            run.c.reference_version == reference,
            run.c.configuration_digest == settings,
        )
    ).first()
    if found is not None:
        return Run(int(found[0]), str(found[1]))
    run_id = take_numbers(connection, "run")
    connection.execute(
        run.insert().values(
            run_id=run_id, business_date=business_date.isoformat(), manifest_digest=manifest,
            reference_version=reference, configuration_digest=settings, state="intake",
            started_at=utc_now(),
        )
    )  # fmt: skip
    told = {
        "business_date": business_date.isoformat(), "inputs": manifest, "reference": reference,
        "configuration": settings,
    }  # fmt: skip
    append_audit(connection, "begun", told, run_id=run_id)
    return Run(run_id, "intake")


def find_run(connection: Connection, run_id: int) -> BegunRun | None:
    """The run of that number; None where there is none."""
    columns = (run.c.run_id, run.c.state, run.c.business_date, run.c.reference_version)
    row = connection.execute(select(*columns).where(run.c.run_id == run_id)).first()
    if row is None:
        return None
    return BegunRun(int(row[0]), str(row[1]), date.fromisoformat(row[2]), str(row[3]))


def set_run_state(connection: Connection, run_id: int, state: str, **facts: object) -> None:
    connection.execute(update(run).where(run.c.run_id == run_id).values(state=state, **facts))


def claim_rows(claims: pl.DataFrame, sources: pl.DataFrame) -> pl.DataFrame:
    """The claims of one file as the store keeps them: accepted (no disposition yet) and
    rejected."""
    return claims.select(
        "claim_id", "claim_number", "receipt_number", "claim_type_code", "source_format_code",
        "received_date", "patient_control_number", "charge_amount", "disposition",
        "decided_run_id", version_number=pl.lit(1, dtype=pl.Int64),
    ).join(sources.drop("set_index"), on="claim_id", maintain_order="left")  # fmt: skip


def insert_claims(connection: Connection, rows: pl.DataFrame) -> None:
    """Adds the rows of ``claim_rows``."""
    insert_frame(connection, claim, rows)


def insert_findings(connection: Connection, run_id: int, findings: pl.DataFrame) -> None:
    insert_frame(
        connection, "finding", findings.with_columns(run_id=pl.lit(run_id, dtype=pl.Int64))
    )


def insert_decisions(
    connection: Connection, run_id: int, batch: Batch, payments: pl.DataFrame,
    decided_before: pl.Series,
) -> None:  # fmt: skip
    """What tonight decided, all of it or a piece, in the caller's transaction. ``payments`` are
    tonight's, there already; a claim of a payee without one waits for its program's next cycle.
    ``decided_before``: the claims that were pended, whose lines are written anew."""
    # packing runs beside: it is not Python's work, inserting is
    with Beside() as beside:
        whole: dict[Kind, pl.DataFrame] = {"lines": batch.lines, "adjustments": batch.adjustments}
        packed = {
            kind: beside.submit(decided_parts, frame.select(CONTRACTS[kind].column_names()))
            for kind, frame in whole.items()
        }
        _insert_rows(connection, run_id, batch, payments, decided_before)
        for kind, parts in packed.items():
            insert_decided(connection, run_id, kind, parts.result())


def _insert_rows(
    connection: Connection, run_id: int, batch: Batch, payments: pl.DataFrame,
    decided_before: pl.Series,
) -> None:  # fmt: skip
    in_run = pl.lit(run_id, dtype=pl.Int64).alias("run_id")
    claims = batch.claims
    owed = (
        batch.adjustments.lazy()
        .filter(group_code="PR")
        .group_by("claim_id", "line_number")
        .agg(pl.col("adjustment_amount").sum().alias("member_amount"))
    )
    # as duplicates are told, so that history compares with tonight
    lines = (
        pl.concat(
            [
                comparable_lines(claims, batch.lines).drop(
                    "claim_number", "receipt_number", "member_id"
                ),
                batch.lines.select("line_disposition", "allowed_amount", "paid_amount"),
            ],
            how="horizontal",
        )
        .lazy()
        .join(owed, on=("claim_id", "line_number"), how="left", maintain_order="left")
        .with_columns(pl.col("member_amount").fill_null(0))
        .collect()
    )
    first_plan = batch.lines.group_by("claim_id", maintain_order=True).agg(
        pl.col("plan_code").drop_nulls().first()
    )
    decided = (
        batch.decisions.drop("charge_amount")
        .join(
            claims.select("claim_id", "member_id", "family_id", "payee_id", "program_code",
                          provider_number=claim_provider()),
            on="claim_id", maintain_order="left",
        )
        .join(first_plan, on="claim_id", how="left", maintain_order="left")
        .join(payments.select("payment_id", "payee_id", "program_code"),
              on=("payee_id", "program_code"), how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("disposition").is_in(FINAL)).then("payment_id").alias("payment_id"),
            decided_run_id=in_run,
        )
    )  # fmt: skip
    delete_lines(connection, decided_before)
    update_claims(connection, decided)
    insert_frame(connection, line, lines)
    insert_findings(connection, run_id, batch.findings.filter(pl.col("disposition") != "reject"))
    insert_frame(connection, "accumulator_entry", batch.accumulator_entries.with_columns(in_run))
    insert_frame(connection, "referral_visit", batch.referral_visit_entries.with_columns(in_run))
    units = batch.authorization_unit_entries
    insert_frame(connection, "authorization_unit", units.with_columns(in_run))
    insert_frame(connection, "benefit_use", batch.benefit_use_entries.with_columns(in_run))
    insert_frame(connection, "pend", batch.pends.with_columns(in_run))
    final = decided.filter(pl.col("disposition").is_in(FINAL)).sort("claim_id")
    entry = take_numbers(connection, "ledger_entry", final.height)
    insert_frame(
        connection, "ledger_entry",
        final.select(
            "claim_id", "payment_id", "payee_id", "program_code", entry_amount="paid_amount",
            kind=pl.lit("claim"), entry_id=pl.int_range(pl.len(), dtype=pl.Int64) + entry,
        ).with_columns(in_run),
    )  # fmt: skip


def insert_corrections(
    connection: Connection, run_id: int, batch: Batch, payments: pl.DataFrame
) -> None:
    """What tonight's corrections correct, and what they reverse, after ``insert_decisions``."""
    set_versions(connection, batch.corrections)
    if batch.reversals.height:
        back = {name: given_back(batch, getattr(batch, name)) for name in TAKEN}
        insert_reversals(connection, run_id, batch.reversals, payments, back)


def findings_of(connection: Connection, run_id: int, claim_ids: pl.Series) -> pl.DataFrame:
    """The findings of a night on these claims, by claim and rank of the edit (Findings)."""
    wanted = wanted_keys(connection, "int", claim_ids)
    names = ", ".join(f"f.{name}" for name in frames.Findings.column_names())
    return read_frame(
        connection,
        f"SELECT {names} FROM {wanted} AS w CROSS JOIN finding AS f "
        f"WHERE f.claim_id = w.key AND f.run_id = {int(run_id)}",
        frames.Findings,
    ).sort("claim_id", "edit_rank", "line_number", "edit")


def night_counts(
    connection: Connection, run_id: int, open_claims: pl.DataFrame, decisions: pl.DataFrame
) -> dict[str, dict[str, int]]:
    """Both sides of the night's equation: what came and what became of it; counts and cents.

    ``received`` are the claims of files this run took in, rejected ones too, but for those that
    another run has decided since, as it may where this one was interrupted; ``brought_forward``
    the open claims of earlier runs.
    """
    of_run = f"JOIN file AS f ON f.file_id = c.file_id WHERE f.run_id = {int(run_id)}"
    here = {
        disposition == "rejected": {"count": int(count), "charge_amount": int(amount or 0)}
        for disposition, count, amount in connection.exec_driver_sql(
            "SELECT CASE WHEN c.disposition = 'rejected' THEN 'rejected' END, COUNT(*), "
            f"SUM(c.charge_amount) FROM claim AS c {of_run} AND c.decided_run_id = {int(run_id)} "
            "GROUP BY 1"
        )
    }
    # of those that waited some may have come tonight, before the run was interrupted
    wanted = wanted_keys(connection, "int", open_claims["claim_id"])
    mine = read_frame(
        connection,
        f"SELECT c.claim_id FROM {wanted} AS w CROSS JOIN claim AS c {of_run} "
        "AND c.claim_id = w.key",
        {"claim_id": pl.Int64},
    )["claim_id"]
    is_mine = pl.col("claim_id").is_in(mine.implode())
    was_decided = pl.col("decided_run_id").is_not_null()
    fates = decisions.with_columns(
        pl.col("disposition").replace(CARRIED, "carried_forward").alias("fate")
    )

    def tally(frame: pl.DataFrame) -> dict[str, int]:
        return {"count": frame.height, "charge_amount": int(frame["charge_amount"].sum() or 0)}

    none = {"count": 0, "charge_amount": 0}
    again = tally(open_claims.filter(is_mine & was_decided))
    return {
        "received": {unit: sum(h[unit] for h in here.values()) - again[unit] for unit in none},
        "brought_forward": tally(open_claims.filter(~is_mine | was_decided)),
        "rejected": here.get(True, none),
        **{
            fate: tally(fates.filter(pl.col("fate") == fate))
            for fate in ("denied", "paid", "voided", "carried_forward")
        },
    }


@dataclass(frozen=True)
class Published:
    """A file of a night by its name in the night's folder."""

    name: str
    sha256: str
    byte_count: int

    @staticmethod
    def of(name: str, content: bytes) -> Published:
        return Published(name, hashlib.sha256(content).hexdigest(), len(content))


def files_of(folder: Path) -> list[Published]:
    """Every file below the folder, as it stands on disk, by name."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [Published.of(p.relative_to(folder).as_posix(), p.read_bytes()) for p in paths]


def insert_outbox(connection: Connection, run_id: int, files: Sequence[Published]) -> None:
    """The files of the night as they will be published, by name and checksum."""
    rows = [
        {"run_id": run_id, "file_name": f.name, "sha256": f.sha256, "byte_count": f.byte_count,
         "published": 0}
        for f in files
    ]  # fmt: skip
    connection.execute(outbox.insert(), rows)


def outbox_of(connection: Connection, run_id: int) -> list[Published]:
    """The files of a night as they were committed, by name."""
    columns = (outbox.c.file_name, outbox.c.sha256, outbox.c.byte_count)
    rows = connection.execute(select(*columns).where(outbox.c.run_id == run_id))
    return sorted((Published(n, d, int(c)) for n, d, c in rows), key=lambda file: file.name)


def files_digest(files: Sequence[Published]) -> str:
    """One digest of names and checksums, in order of name: what the audit trail holds of them."""
    told = json.dumps([(f.name, f.sha256) for f in files]).encode()
    return hashlib.sha256(told).hexdigest()


def set_published(connection: Connection, run_id: int) -> None:
    """Says that all files of a night are in place, and that the night is over."""
    connection.execute(update(outbox).where(outbox.c.run_id == run_id).values(published=1))
    set_run_state(connection, run_id, "published", finished_at=utc_now())
    append_audit(connection, "published", {}, run_id=run_id)


def rejected_claims(connection: Connection, run_id: int) -> pl.DataFrame:
    """Claims this run rejected, with the first reason of each; sorted by claim."""
    claims = read_frame(
        connection,
        "SELECT claim_id, patient_control_number, received_date, charge_amount FROM claim "
        f"WHERE disposition = 'rejected' AND decided_run_id = {int(run_id)}",
        {"claim_id": pl.Int64, "patient_control_number": pl.String, "received_date": pl.Date,
         "charge_amount": pl.Int64},
    )  # fmt: skip
    findings = read_frame(
        connection,
        "SELECT claim_id, edit, edit_rank, line_number, inputs FROM finding "
        f"WHERE disposition = 'reject' AND run_id = {int(run_id)}",
        {n: frames.empty(frames.Findings).schema[n]
         for n in ("claim_id", "edit", "edit_rank", "line_number", "inputs")},
    )  # fmt: skip
    first = findings.sort(
        "claim_id", "edit_rank", "line_number", "inputs", nulls_last=False
    ).unique("claim_id", keep="first", maintain_order=True)
    return claims.join(first, on="claim_id", how="left").sort("claim_id")
