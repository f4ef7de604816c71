"""Whether the books still say what they said: published files, payments, ledger, counters, audit.

Nothing here trusts what decided or wrote a night: 835s are read from their bytes, sums are made
anew, and every chain is walked from its beginning.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from adjudicator import store
from adjudicator.arithmetic import money
from adjudicator.store.corrections import REVERSAL, TAKEN
from adjudicator.store.tables import decided_part
from edi.balance import check_835
from edi.remitted import remitted

MANIFEST = "manifest.json"
STORE = "the store"
AUDIT = "the audit trail"
TOLD = 3  # of one kind at one place
FINAL = ("paid", "denied")
NOT_ASKED = ("pended", "voided")  # lines on which no money was decided
ON_CLAIMS = ("claim", REVERSAL)  # kinds of ledger entries that an 835's claims carry
TAKEN_AMOUNTS = {
    "deductible_amount", "out_of_pocket_amount", "visit_count", "unit_quantity", "use_count",
}  # fmt: skip
SHARES = ("deductible_amount", "coinsurance_amount", "copay_amount")
PUT_BACK = "have `adjudicate publish` render it again, or put it back from the backup"
RESTORE = "restore store and published nights from one backup, and do the nights since again"
REPORT = "keep the store and report it"


@dataclass(frozen=True)
class Fault:
    """What is wrong in one place, and what mends it. Claims go by their numbers."""

    file: str
    what: str
    mend: str


@dataclass
class Verified:
    """How much was looked at, and what is wrong of it."""

    nights: int = 0
    files: int = 0
    received: int = 0
    payments: int = 0
    ledger_entries: int = 0
    accumulator_entries: int = 0
    audit_rows: int = 0
    faults: list[Fault] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_text(self) -> str:
        counted = {k.replace("_", " "): v for k, v in vars(self).items() if k != "faults"}
        lines = [f"  {name:<20}{count:>12,}" for name, count in counted.items()]
        lines += [""]
        for fault in self.faults:
            lines += [f"{fault.file}: {fault.what}", f"  {fault.mend}"]
        count = len(self.faults)
        lines += [f"{count:,} fault{'s' * (count != 1)} found" if count else "nothing is wrong"]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Night:
    run_id: int
    business_date: str
    state: str

    @property
    def folder(self) -> str:
        return f"run-{self.run_id:06d}-{self.business_date}"


def verify(connection: Connection, out: Path) -> Verified:
    """Looks at everything the store and the folder of nights hold; writes nothing.

    Raises nothing for what is wrong: each fault is a row of the answer.
    """
    done = Verified()
    trail = _trail(connection, done)
    nights = [
        _Night(int(r), str(d), str(s))
        for r, d, s in connection.exec_driver_sql(
            "SELECT run_id, business_date, state FROM run ORDER BY run_id"
        )
    ]
    _acts(connection, nights, trail, done)
    for night in nights:
        if night.state != "intake":
            done.nights += 1
            _files(connection, out, night, trail, done)
    _received(connection, done)
    _payments(connection, out, nights, done)
    _claims(connection, done)
    _given_back(connection, done)
    for night in nights:
        _counters(connection, night, done)
    return done


# ---- audit -----------------------------------------------------------------------------------


def _trail(connection: Connection, done: Verified) -> list[store.AuditRow]:
    trail, wrong = store.walk_audit(connection)
    done.audit_rows = len(trail)
    done.faults += [Fault(AUDIT, what, RESTORE) for _, what in wrong]
    return trail


def _acts(
    connection: Connection, nights: list[_Night], trail: list[store.AuditRow], done: Verified
) -> None:
    """Every act that the store knows of has its one row in the trail."""
    acts = Counter((row.run_id, row.what) for row in trail)
    due = {(n.run_id, "begun") for n in nights}
    due |= {(n.run_id, "decided") for n in nights if n.state in ("decided", "published")}
    due |= {(n.run_id, "published") for n in nights if n.state == "published"}
    told = {key for key in acts if key[1] in ("begun", "decided", "published")}
    for run_id, what in sorted(due | told, key=str):
        count = acts[run_id, what]
        if count != ((run_id, what) in due):
            done.faults.append(
                Fault(AUDIT, f"run {run_id} was {what} once, the trail tells it {count} times",
                      RESTORE)
            )  # fmt: skip
    versions = set(connection.exec_driver_sql("SELECT version FROM reference_version").scalars())
    loaded = {json.loads(r.detail)["version"] for r in trail if r.what == "reference loaded"}
    for version in sorted(versions ^ loaded):
        done.faults.append(
            Fault(AUDIT, f"reference version {version[:12]} stands in the store or in the trail, "
                  "not in both", RESTORE)
        )  # fmt: skip
    kept = {
        int(row["override_number"]): {k: v for k, v in row.items() if v is not None}
        for row in connection.exec_driver_sql("SELECT * FROM override").mappings()
    }
    said = {}
    for row in trail:
        if row.what in ("pend released", "pend denied", "edit waived"):
            detail = json.loads(row.detail)
            del detail["claim_number"]
            said[int(detail["override_number"])] = detail
    for number in sorted({*kept} | {*said}):
        if kept.get(number) != said.get(number):
            done.faults.append(
                Fault(AUDIT, f"act {number} on a pend is not as the trail tells it", RESTORE)
            )


# ---- files -----------------------------------------------------------------------------------


def _files(
    connection: Connection, out: Path, night: _Night, trail: list[store.AuditRow], done: Verified
) -> None:
    """A night's folder against what was committed, and that against the audit trail."""
    folder, name = out / night.folder, night.folder
    committed = store.outbox_of(connection, night.run_id)
    others = [f for f in committed if f.name != MANIFEST]
    decided = [r for r in trail if r.run_id == night.run_id and r.what == "decided"]
    if decided and json.loads(decided[-1].detail)["files_digest"] != store.files_digest(others):
        done.faults.append(
            Fault(STORE, f"the checksums of run {night.run_id}'s files are not those that its "
                  "audit row tells", RESTORE)
        )  # fmt: skip
    waits = f"`adjudicate publish {night.run_id}` publishes what is committed"
    if not folder.is_dir():
        mend = waits if night.state == "decided" else f"{PUT_BACK}, or give --out"
        done.faults.append(Fault(name, "the folder is not there", mend))
        return
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if not p.is_dir()}
    for file in committed:
        path = there.pop(file.name, None)
        if path is None:
            done.faults.append(Fault(f"{name}/{file.name}", "is missing", PUT_BACK))
            continue
        done.files += 1
        try:
            content = path.read_bytes()
        except OSError as error:
            done.faults.append(
                Fault(f"{name}/{file.name}", f"can't be read: {error.strerror}", PUT_BACK)
            )
            continue
        if hashlib.sha256(content).hexdigest() != file.sha256:
            what = (
                f"has {len(content):,} bytes, {file.byte_count:,} were published"
                if len(content) != file.byte_count
                else "is not what was published: its checksum differs"
            )
            done.faults.append(Fault(f"{name}/{file.name}", what, PUT_BACK))
        if file.name == MANIFEST:
            _manifest(name, content, others, trail, done)
    for extra in sorted(there):
        mend = "move it away, ask who put it there"
        done.faults.append(Fault(f"{name}/{extra}", "is no file of this night", mend))
    if night.state == "decided":
        done.faults.append(Fault(name, "is in place, but the store doesn't know yet", waits))


def _manifest(
    folder: str, content: bytes, others: list[store.Published], trail: list[store.AuditRow],
    done: Verified,
) -> None:  # fmt: skip
    where = f"{folder}/{MANIFEST}"
    try:
        told = json.loads(content)
        files, number, head = told["files"], told["audit"]["sequence_number"], told["audit"]["hash"]
    except (ValueError, KeyError, TypeError):
        done.faults.append(Fault(where, "is no manifest", PUT_BACK))
        return
    if files != {f.name: f.sha256 for f in others}:
        done.faults.append(Fault(where, "names other files or checksums than the store", RESTORE))
    if not any(r.sequence_number == number and r.hash == head for r in trail):
        done.faults.append(
            Fault(where, f"the audit trail's row {number} is not the one the manifest was "
                  "published with", RESTORE)
        )  # fmt: skip


def _received(connection: Connection, done: Verified) -> None:
    rows = connection.exec_driver_sql("SELECT file_id, run_id, sha256 FROM file").all()
    kept = set(connection.exec_driver_sql("SELECT DISTINCT file_id FROM file_part").scalars())
    for file_id, run_id, digest in sorted(tuple(r) for r in rows if r[0] in kept):
        done.received += 1
        try:
            content = store.read_file(connection, file_id)
        except Exception:  # whatever the damaged bytes make zlib say
            content = None
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            done.faults.append(
                Fault(STORE, f"received file {file_id} of run {run_id} is not what was received",
                      RESTORE)
            )  # fmt: skip


# ---- money -----------------------------------------------------------------------------------


def _payments(connection: Connection, out: Path, nights: list[_Night], done: Verified) -> None:
    """Each payment is the sum of its ledger entries and of the balances it brought and carried,
    and its 835 pays just that, claim by claim."""
    folders = {n.run_id: n.folder for n in nights}
    entries = _entries(connection, nights)
    done.ledger_entries = entries.height
    of_payment = entries.group_by("payment_id").agg(
        pl.col("entry_amount").sum(),
        claims=pl.struct("claim_number", "entry_amount").filter(pl.col("kind").is_in(ON_CLAIMS)),
    )
    booked = {p: (int(a), claims) for p, a, claims in of_payment.iter_rows()}
    balances = {
        int(payment_id): -int(amount)
        for payment_id, amount in connection.exec_driver_sql(
            "SELECT payment_id, CAST(sum(adjustment_amount) AS BIGINT) FROM provider_adjustment "
            "WHERE reason_code = 'FB' GROUP BY payment_id"
        )
    }
    payments = store.read_frame(
        connection,
        "SELECT payment_id, run_id, trace_number, payment_amount, file_name FROM payment",
        dict.fromkeys(("payment_id", "run_id", "payment_amount"), pl.Int64)
        | dict.fromkeys(("trace_number", "file_name"), pl.String),
    ).sort("payment_id")
    done.payments = payments.height
    for of_file in payments.partition_by("run_id", "file_name", maintain_order=True):
        run_id, file_name = of_file.select("run_id", "file_name").row(0)
        where = f"{folders.get(run_id, run_id)}/{file_name}"
        try:
            data: bytes | None = (out / where).read_bytes()
        except OSError:
            data = None  # told with the files
        sets = {s.trace_number: s for s in remitted(data)} if data is not None else {}
        if data is not None:
            imbalances = check_835(data)[:TOLD]
            done.faults += [
                Fault(where, f"segment {i.segment}: {i.what}, {i.expected} expected, {i.found} "
                      "found", PUT_BACK)
                for i in imbalances
            ]  # fmt: skip
            for trace in sorted({*sets} - {*of_file["trace_number"]})[:TOLD]:
                number = trace if trace.isdecimal() else "another"
                done.faults.append(
                    Fault(where, f"payment {number} is not one of this file", PUT_BACK)
                )
        for row in of_file.iter_rows(named=True):
            amount, claims = booked.pop(row["payment_id"], (0, []))
            balance = balances.pop(row["payment_id"], 0)
            amount += balance
            if amount != row["payment_amount"]:
                carried = f" with {money(balance)} brought and carried" if balance else ""
                done.faults.append(
                    Fault(STORE, f"payment {row['payment_id']} is {money(row['payment_amount'])}, "
                          f"its ledger entries are {money(amount)}{carried}", RESTORE)
                )  # fmt: skip
            if data is None:
                continue
            found = sets.get(row["trace_number"])
            if found is None:
                what = f"payment {row['trace_number']} is not in it"
                done.faults.append(Fault(where, what, PUT_BACK))
                continue
            if found.paid_amount != amount:
                done.faults.append(
                    Fault(where, f"pays {money(found.paid_amount or 0)}, the ledger holds "
                          f"{money(amount)}", PUT_BACK)
                )  # fmt: skip
            _claims_paid(where, found.claims, claims, done)
    for payment_id in sorted(p for p in booked if p is not None):
        what = f"ledger entries name payment {payment_id}, which is not there"
        done.faults.append(Fault(STORE, what, RESTORE))


def _entries(connection: Connection, nights: list[_Night]) -> pl.DataFrame:
    """The ledger: ``payment_id``, ``kind``, ``entry_amount``, ``claim_number``. What waited for the
    cycle of its program is its payment's."""
    entries = store.read_frame(
        connection,
        "SELECT l.entry_id, l.payment_id, l.kind, l.entry_amount, c.claim_number "
        "FROM ledger_entry AS l LEFT JOIN claim AS c ON c.claim_id = l.claim_id",
        dict.fromkeys(("entry_id", "payment_id", "entry_amount"), pl.Int64)
        | dict.fromkeys(("kind", "claim_number"), pl.String),
    )
    if not entries["payment_id"].null_count():
        return entries
    paid_later = store.entries_of(connection, [n.run_id for n in nights])
    return entries.join(
        paid_later.select("entry_id", later="payment_id"), on="entry_id", how="left"
    ).with_columns(pl.coalesce("payment_id", "later"))


def _claims_paid(
    where: str, paid: Mapping[str, int], entries: list[dict[str, Any]], done: Verified
) -> None:
    owed: dict[str, int] = {}
    for entry in entries:
        if entry["claim_number"] is not None:
            number = entry["claim_number"]
            owed[number] = owed.get(number, 0) + entry["entry_amount"]
    if owed == paid:
        return
    off = sorted(n for n in {*owed} | {*paid} if owed.get(n) != paid.get(n))
    for number in off[:TOLD]:
        shown = number if number.isdecimal() else "of another number"
        in_file, in_ledger = (
            "nothing" if amount is None else money(amount)
            for amount in (paid.get(number), owed.get(number))
        )
        what = f"claim {shown}: {in_file} in the file, {in_ledger} in the ledger"
        done.faults.append(Fault(where, what, PUT_BACK))


def _claims(connection: Connection, done: Verified) -> None:
    """A final claim is booked once, as paid. One that is not final, or was taken back, nets to 0,
    and what took it back was decided the same night. Of two versions only one is final."""
    ledger = store.read_frame(
        connection,
        "SELECT l.claim_id, l.kind, l.entry_amount, l.run_id, b.decided_run_id FROM ledger_entry "
        "AS l LEFT JOIN claim AS b ON b.claim_id = l.by_claim_id WHERE l.kind IN ('claim', "
        f"'{REVERSAL}')",
        dict.fromkeys(("claim_id", "entry_amount", "run_id", "decided_run_id"), pl.Int64)
        | {"kind": pl.String},
    )
    back = pl.col("kind") == REVERSAL
    booked = ledger.group_by("claim_id").agg(
        (~back).sum().cast(pl.Int64).alias("entry_count"),
        back.sum().cast(pl.Int64).alias("reversal_count"),
        pl.col("entry_amount").filter(~back).sum().alias("booked_amount"),
        pl.col("entry_amount").sum(),
        (back & pl.col("run_id").ne_missing(pl.col("decided_run_id"))).any().alias("astray"),
    )
    schema = dict.fromkeys(("claim_id", "paid_amount", "predecessor_claim_id"), pl.Int64)
    claims = store.read_frame(
        connection,
        # late charges stand beside what they add to
        "SELECT claim_id, paid_amount, CASE WHEN version_number > 1 THEN predecessor_claim_id END "
        "AS predecessor_claim_id, disposition FROM claim",
        {**schema, "disposition": pl.String},
    )
    final = pl.col("disposition").is_in(FINAL).fill_null(value=False)
    rows = claims.join(booked, on="claim_id", how="left").with_columns(
        pl.col("entry_count", "reversal_count", "booked_amount", "entry_amount").fill_null(0),
        pl.col("astray").fill_null(value=False),
        beside=final
        & pl.col("claim_id").is_in(
            claims.filter(final)["predecessor_claim_id"].drop_nulls().implode()
        ),
    )
    reversed_ = pl.col("reversal_count") > 0
    wrong = {
        "is final and not booked once": final & (pl.col("entry_count") != 1),
        "is booked with another amount than it is paid": (final | reversed_)
        & pl.col("booked_amount").ne_missing(pl.col("paid_amount")),
        "is final and reversed": final & reversed_,
        "is not final and has money in the ledger": ~final
        & ~reversed_
        & (pl.col("entry_amount") != 0),
        "is reversed with another amount than it was booked": ~final
        & reversed_
        & (pl.col("entry_amount") != 0),
        "is booked and neither final nor reversed once": ~final
        & (pl.col("entry_count") != pl.col("reversal_count")),
        "is reversed for a claim that its night did not decide": pl.col("astray"),
        "is final beside a version that takes its place": pl.col("beside"),
    }
    for what, test in wrong.items():
        for claim_id in sorted(rows.filter(test)["claim_id"])[:TOLD]:
            done.faults.append(Fault(STORE, f"claim S{claim_id} {what}", REPORT))


def _given_back(connection: Connection, done: Verified) -> None:
    """A voided claim leaves nothing on any counter."""
    for table, contract in TAKEN.values():
        columns = contract.column_names()
        names = ", ".join(f"t.{c}" for c in columns)
        rows = store.read_frame(
            connection,
            f"SELECT {names} FROM {table} AS t JOIN claim AS c ON c.claim_id = t.claim_id "
            "WHERE c.disposition = 'voided'",
            contract,
        )
        counts = [c for c in columns if c in TAKEN_AMOUNTS]
        sums = rows.group_by([c for c in columns if c not in counts]).agg(pl.col(counts).sum())
        left = sums.filter(pl.any_horizontal(pl.col(c) != 0 for c in counts))
        for claim_id in sorted(set(left["claim_id"]))[:TOLD]:
            what = f"claim S{claim_id} is voided and has not given back all it took ({table})"
            done.faults.append(Fault(STORE, what, RESTORE))


def _counters(connection: Connection, night: _Night, done: Verified) -> None:
    """The night's accumulator entries made anew from its decided lines, and each line's money.
    What it gave back of claims it reversed is no line's."""
    entries = store.read_frame(
        connection,
        "SELECT claim_id, plan_code, network_code, benefit_year_start_date, deductible_amount, "
        f"out_of_pocket_amount FROM accumulator_entry WHERE run_id = {night.run_id}",
        {
            "claim_id": pl.Int64, "plan_code": pl.String, "network_code": pl.String,
            "benefit_year_start_date": pl.Date, "deductible_amount": pl.Int64,
            "out_of_pocket_amount": pl.Int64,
        },
    )  # fmt: skip
    done.accumulator_entries += entries.height
    taken_back = connection.exec_driver_sql(
        f"SELECT claim_id FROM ledger_entry WHERE run_id = {night.run_id} AND kind = '{REVERSAL}'"
    )
    if of_earlier := sorted(taken_back.scalars()):
        entries = entries.filter(~pl.col("claim_id").is_in(of_earlier))
    line = ["claim_id", "line_number"]
    lines = _decided(connection, night, "lines", [
        *line, "plan_code", "network_code", "share_network_code", "decision_date",
        "charge_amount", "paid_amount", "line_disposition", "coordination_inputs", *SHARES,
    ])  # fmt: skip
    if lines is None:
        if entries.height:
            what = f"run {night.run_id} has accumulator entries and no decided lines"
            done.faults.append(Fault(STORE, what, RESTORE))
        return
    adjusted = _decided(
        connection, night, "adjustments", [*line, "group_code", "carc", "adjustment_amount"]
    )
    if adjusted is None:
        adjusted = pl.DataFrame(schema=dict.fromkeys((*line, "adjustment_amount"), pl.Int64)
                                | dict.fromkeys(("group_code", "carc"), pl.String))  # fmt: skip
    owes = pl.col("group_code") == "PR"
    sums = adjusted.group_by(line).agg(
        taken=pl.col("adjustment_amount").sum(),
        owed_deductible=pl.col("adjustment_amount").filter(owes & (pl.col("carc") == "1")).sum(),
        owed=pl.col("adjustment_amount").filter(owes & pl.col("carc").is_in(["1", "2", "3"])).sum(),
    )
    lines = lines.join(sums, on=line, how="left").with_columns(
        pl.col("taken", "owed_deductible", "owed").fill_null(0)
    )
    final = ~pl.col("line_disposition").is_in(NOT_ASKED)
    off = final & (pl.col("charge_amount") - pl.col("taken") != pl.col("paid_amount"))
    for claim_id in sorted(set(lines.filter(off)["claim_id"]))[:TOLD]:
        what = f"claim S{claim_id}: a line's charge less its adjustments is not what is paid"
        done.faults.append(Fault(STORE, what, RESTORE))
    keys = ["claim_id", "plan_code", "network_code", "benefit_year_start_date"]
    alone = pl.sum_horizontal(SHARES)
    made = (
        lines.filter(pl.col("line_disposition") == "paid")
        .with_columns(
            network_code=pl.coalesce("share_network_code", "network_code"),
            benefit_year_start_date=pl.col("decision_date").dt.truncate("1y"),
            share=alone,
            beside=pl.col("coordination_inputs").is_not_null(),
        )
        .group_by(keys)
        .agg(
            pl.col("deductible_amount", "share", "owed_deductible", "owed").sum(),
            pl.col("beside").any(),
        )
    )
    # beside other payers the counters hold what is owed there, or what would be owed alone
    both = made.join(entries, on=keys, how="full", coalesce=True, suffix="_entry").with_columns(
        pl.exclude(*keys, "beside").fill_null(0), pl.col("beside").fill_null(value=False)
    )
    as_alone = (pl.col("deductible_amount_entry") == pl.col("deductible_amount")) & (
        pl.col("out_of_pocket_amount") == pl.col("share")
    )
    between = pl.col("out_of_pocket_amount").is_between(
        pl.min_horizontal("share", "owed"), pl.max_horizontal("share", "owed")
    )
    for claim_id in sorted(set(both.filter(~as_alone & ~(pl.col("beside") & between))["claim_id"]))[
        :TOLD
    ]:
        what = f"claim S{claim_id}: what counts to its member's limits is not what its lines share"
        done.faults.append(Fault(STORE, what, RESTORE))


def _decided(
    connection: Connection, night: _Night, kind: str, columns: list[str]
) -> pl.DataFrame | None:
    """Some columns of what the night decided, of all its claims; None where there is nothing."""
    parts = [pl.read_parquet(io.BytesIO(content), columns=columns)
             for content in _parts(connection, night.run_id, kind)]  # fmt: skip
    return pl.concat(parts) if parts else None


def _parts(connection: Connection, run_id: int, kind: str) -> Iterator[bytes]:
    rows = connection.execute(
        select(decided_part.c.content).where(
            decided_part.c.run_id == run_id, decided_part.c.kind == kind
        )
    )
    for (content,) in rows:
        yield bytes(content)
