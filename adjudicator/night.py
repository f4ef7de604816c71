"""One night: lock, intake, decide, commit, publish. Only here are store and files touched.

*Intake* is one transaction a file. *Decide* holds none: it is the stages over everything that
waits. *Commit* is one transaction for all that was decided, and the files of the night are on
disk, under a name nobody reads, before it ends. *Publish* is one rename. A kill before the commit
costs computing time only; a kill after it is mended by the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Engine

from adjudicator import store
from adjudicator.again import read_again, renumbered
from adjudicator.claims_list import claims_list
from adjudicator.coded import coding_ages
from adjudicator.contracts import READ, held, hold
from adjudicator.decide import UndecidableError, decide
from adjudicator.edits import EDITS
from adjudicator.load import read_codes, read_coding_tables, read_reference
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_benefit_categories, load_forms, load_programs
from adjudicator.reference import Reference
from adjudicator.remittance import Remittance, payees_to_pay, payments_due, remit
from adjudicator.stages import STAGES
from adjudicator.stages.identify import find_members
from adjudicator.stages.validate import objections_to_findings
from edi.apart import Apart, ApartError
from edi.balance import check_files
from edi.read_file import FileReading, read_file
from edi.write_835 import write_835
from schemas import frames
from schemas.config import Config

CLAIM_NUMBER_DIGITS = 12
CHECKED_APART_BYTES = 4_000_000  # of 835s; below it a process costs more than it saves
# frames that only the stages read: let go before the commit
ONLY_DECIDED_BY = (
    "diagnoses", "procedures", "occurrences", "dates", "references", "amounts", "notes",
    "attachments", "certifications", "other_payers", "other_payer_lines",
    "other_payer_adjustments",
)  # fmt: skip
DISPOSITIONS = ("rejected", "denied", "paid", "voided", "carried_forward")
Step = Callable[[str], None]


class NightError(Exception):
    """The night can't be done: the message names the place, the cause and the mend."""


class LockedError(NightError):
    """Another run holds the lock."""


@dataclass(frozen=True)
class Order:
    """What an operator asks for."""

    inputs: tuple[Path, ...]
    config: Config
    business_date: date
    received_date: date
    accept_test: bool = False


@dataclass
class FileVerdict:
    """What became of one input file."""

    name: str
    verdict: str  # read, repeated or refused
    claim_count: int = 0
    rejected_count: int = 0
    reasons: list[str] = field(default_factory=list)


@dataclass
class Summary:
    """A night in figures: the equation of the night, in counts and cents."""

    run_id: int
    business_date: date
    folder: str
    counts: dict[str, dict[str, int]]
    files: list[FileVerdict]
    written: list[str]
    paid_amount: int = 0
    priced_count: int = 0
    illustrative: list[str] = field(default_factory=list)
    coding_tables: list[str] = field(default_factory=list)  # how old each is

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "business_date": self.business_date.isoformat(),
            **self.counts,
            "paid_amount": self.paid_amount,
            "priced_count": self.priced_count,
            "illustrative_plans": self.illustrative,
            "coding_tables": self.coding_tables,
            "files": [vars(f) for f in self.files],
            "folder": self.folder,
            "written": self.written,
        }


def run_night(order: Order, step: Step = lambda _: None) -> Summary:
    """Do one night, or finish one that was interrupted; a finished one is only reported again.

    Raises NightError (LockedError where another run is at work); nothing is published then.
    """
    os.umask(0o077)
    engine = store.open_store(order.config.db)
    try:
        with _lock(order.config.db):
            _make_folder(order.config.out)
            return _Night(engine, order, order.config.out, step).run()
    finally:
        engine.dispose()


@contextmanager
def _lock(url: str) -> Iterator[None]:
    path = store.lock_path(url)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"{path.name}: another run holds the lock; wait for it") from None
        yield


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NightError(f"{out}: can't be made: {error.strerror}; give another --out") from error


class _Night:
    def __init__(self, engine: Engine, order: Order, out: Path, step: Step) -> None:
        self.engine, self.order, self.out, self.step = engine, order, out, step
        self.verdicts: list[FileVerdict] = []
        # the accepted claims of each file, ready to be decided without reading them again
        self.taken_in: list[dict[str, pl.DataFrame]] = []

    def run(self) -> Summary:
        inputs = _inputs(self.order.inputs)
        self.step("reference")
        self.reference = _reference(self.engine, self.order)
        manifest = hashlib.sha256(
            json.dumps([(name, digest) for name, _, digest in inputs]).encode()
        ).hexdigest()
        settings = hashlib.sha256(
            repr((self.order.received_date, self.order.accept_test)).encode()
        ).hexdigest()
        with self.engine.begin() as connection:
            run = store.open_run(
                connection, self.order.business_date, manifest, self.reference.version, settings
            )
        self.run_id = run.run_id
        self.folder = f"run-{run.run_id:06d}-{self.order.business_date.isoformat()}"
        if run.state in ("decided", "published"):
            return self._finish()
        self.step("intake")
        for position, (name, path, digest) in enumerate(inputs):
            self._take_in(position, name, path, digest)
        self.step("decide")
        batch = self._snapshot()
        if batch.claims.height:
            self.reference = _with_codes(self.engine, self.reference, batch)
            try:
                batch = decide(batch, self.reference, self.order.config.system_pends_limit)
            except UndecidableError as error:
                raise NightError(str(error)) from error
            batch = batch.with_(**{n: getattr(batch, n).clear() for n in ONLY_DECIDED_BY})
        self.step("commit")
        summary = self._commit(batch)
        self.step("publish")
        self._publish()
        return summary

    # ---- intake ------------------------------------------------------------------------------

    def _take_in(self, position: int, name: str, path: Path, digest: str) -> None:
        verdict = FileVerdict(name, "read")
        self.verdicts.append(verdict)
        with self.engine.begin() as connection:
            known = store.find_file(connection, digest)
            if known is not None:
                if known.run_id != self.run_id:
                    verdict.verdict = "repeated"
                    verdict.reasons.append("the same bytes were taken in before; nothing is done")
                else:
                    verdict.verdict, verdict.reasons = known.verdict, known.reasons
                    verdict.claim_count = known.claim_count
                    verdict.rejected_count = known.rejected_count
                return
            with (
                _bytes_of(path, self.order.config.file_bytes_limit) as data,
                ThreadPoolExecutor(1) as beside,
            ):
                parts = beside.submit(store.compressed, data)
                reading = read_file(data, self.order.config.chunk_bytes)
                refused = _not_for_us(reading, self.reference, self.order.accept_test)
                if refused:
                    reading.frames = {}
                verdict.reasons = refused or _reasons(reading)
                if not reading.claim_count and verdict.reasons:
                    verdict.verdict = "refused"
                file_id = store.take_numbers(connection, "file")
                store.insert_file(
                    connection, file_id, self.run_id, position, name, digest, len(data),
                    self.order.received_date, verdict.verdict, "\n".join(verdict.reasons),
                )  # fmt: skip
                store.store_parts(connection, file_id, parts.result())
            if reading.claim_count:
                self.taken_in.append(self._accept(connection, file_id, reading, verdict))

    def _accept(
        self, connection: Connection, file_id: int, reading: FileReading, verdict: FileVerdict
    ) -> dict[str, pl.DataFrame]:
        """Number the file's claims, reject those that can't be adjudicated, store all."""
        count = reading.claim_count
        first = store.take_numbers(connection, "submission", count)
        as_read = reading.frames["claims"]["claim_id"]
        numbers = pl.DataFrame(
            {"claim_id": as_read, "_new": pl.int_range(count, dtype=pl.Int64, eager=True) + first}
        )
        read = {n: renumbered(f, numbers) for n, f in reading.frames.items()}
        read["claims"] = read["claims"].with_columns(received_date=pl.lit(self.order.received_date))
        read["sources"] = read["sources"].with_columns(file_id=pl.lit(file_id, dtype=pl.Int64))
        batch = Batch(**{n: read[n] for n in AS_READ})
        objections = objections_to_findings(reading.objections).join(
            numbers, on="claim_id", maintain_order="left"
        )
        batch = batch.with_(
            findings=objections.with_columns(claim_id="_new").select(frames.Findings.column_names())
        )
        hold(batch, READ, "reading", whole=True)
        batch = held(STAGES[0](batch, self.reference), STAGES[0].__name__)
        rejected = batch.findings.filter(pl.col("disposition") == "reject")["claim_id"].unique()
        is_rejected = pl.col("claim_id").is_in(rejected.implode())
        accepted_ids = batch.claims.filter(~is_rejected)["claim_id"]
        number = store.take_numbers(connection, "claim", len(accepted_ids))
        given = pl.DataFrame(
            {"claim_id": accepted_ids, "_n": pl.int_range(len(accepted_ids), eager=True) + number}
        ).select(
            "claim_id",
            claim_number=pl.col("_n").cast(pl.String).str.zfill(CLAIM_NUMBER_DIGITS),
        )
        claims = batch.claims.join(given, on="claim_id", how="left", maintain_order="left")
        claims = claims.with_columns(receipt_number="claim_id")
        store.insert_claims(
            connection,
            claims.with_columns(
                disposition=pl.when(is_rejected).then(pl.lit("rejected")),
                decided_run_id=pl.when(is_rejected).then(pl.lit(self.run_id, dtype=pl.Int64)),
            ),
            read["sources"],
        )
        store.insert_findings(connection, self.run_id, batch.findings)
        verdict.claim_count, verdict.rejected_count = count, len(rejected)
        accepted = {n: getattr(batch, n).filter(~is_rejected) for n in AS_READ}
        accepted["claims"] = claims.filter(~is_rejected)
        accepted["findings"] = batch.findings.filter(~is_rejected)
        return accepted

    # ---- decide ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        """Everything that waits for a decision, in receipt order, with what the store knows."""
        with store.reading(self.engine) as connection:
            self.ledger_head = store.ledger_head(connection)
            just_now = list(self.taken_in)
            # numbers only grow: what waited before is below what came in just now
            first = min(
                (int(f["claims"]["claim_id"][0]) for f in just_now if f["claims"].height),
                default=None,
            )
            waiting = store.open_claims(connection, below=first)
            self.open = waiting
            # so these are in receipt order as they stand
            known = [*read_again(connection, waiting), *just_now]
            if not known:
                return Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
            names = [n for n in (*AS_READ, "findings") if n != "sources"]
            whole = {
                # in one piece only what the stages go over again and again
                n: pl.concat(
                    [f[n] for f in known],
                    how="vertical_relaxed",
                    rechunk=n in ("claims", "lines"),
                )
                for n in names
            }
            assert whole["claims"]["claim_id"].is_sorted()
            self.taken_in.clear()
            found = find_members(whole["claims"], self.reference.tables["members"])
            members = found["member_id"].drop_nulls().unique().sort()
            families = found["family_id"].drop_nulls().unique().sort()
            return Batch(
                **whole,
                history=store.history_lines(connection, members, whole["claims"]["claim_id"]),
                accumulators=store.accumulators(connection, families),
                referral_visits=store.referral_visits(connection, self._limited_referrals(members)),
            )

    def _limited_referrals(self, members: pl.Series) -> pl.Series:
        """The numbers of the members' referrals that have a limit of visits."""
        referrals = self.reference.tables["referrals"].filter(
            pl.col("visit_limit").is_not_null() & pl.col("member_id").is_in(members.implode())
        )
        return referrals["referral_number"].unique().sort()

    # ---- commit ------------------------------------------------------------------------------

    def _commit(self, batch: Batch) -> Summary:
        partial = self.out / f".{self.folder}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
        with self.engine.begin() as connection:
            if store.ledger_head(connection) != self.ledger_head:
                raise NightError("the ledger has moved since the snapshot; run again")
            decided = batch.decisions.height > 0
            if decided:
                due = payees_to_pay(batch)
                first = store.take_numbers(connection, "payment", due.height)
                payments = payments_due(due, self.reference, first, self.order.business_date)
                names = _file_names(payments)
                with ThreadPoolExecutor(1) as beside:
                    wrong = beside.submit(
                        lambda: _render(partial, remit(batch, self.reference, payments), names)
                    )
                    store.insert_decisions(
                        connection, self.run_id, batch, payments, names, self.open["claim_id"]
                    )
                    _refuse_unbalanced(wrong.result())
            summary = self._summary(connection, batch)
            _write(partial / "claims.csv", claims_list(connection, self.run_id, batch))
            there = (p.relative_to(partial).as_posix() for p in partial.rglob("*") if p.is_file())
            summary.written = [*sorted(there), "summary.json", "manifest.json"]
            text = json.dumps(summary.as_json(), indent=2, sort_keys=True) + "\n"
            _write(partial / "summary.json", text.encode())
            files = store.files_of(partial)
            manifest = {
                "run_id": self.run_id,
                "reference": self.reference.version,
                "files": {f.name: f.sha256 for f in files},
            }
            told = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
            _write(partial / "manifest.json", told)
            _sync_folder(partial)
            store.insert_outbox(
                connection, self.run_id, [*files, store.Published.of("manifest.json", told)]
            )
            store.append_audit(connection, "decided", summary.as_json(), run_id=self.run_id)
            store.set_run_state(connection, self.run_id, "decided")
        return summary

    def _summary(self, connection: Connection, batch: Batch) -> Summary:
        """The equation of the night, asserted: every claim exactly once, in counts and cents."""
        decided = batch.decisions.height > 0  # else the stages never gave the lines their columns
        counts = store.night_counts(connection, self.run_id, self.open, batch.decisions)
        for unit in ("count", "charge_amount"):
            came = counts["received"][unit] + counts["brought_forward"][unit]
            went = sum(counts[d][unit] for d in DISPOSITIONS)
            if came != went:
                raise NightError(
                    f"the night's {unit} does not balance: {came} came, {went} went; nothing is "
                    "committed. This is a fault of the program: keep the store and report it"
                )
        used = set(batch.lines["plan_code"].drop_nulls().unique()) if decided else set()
        illustrative = sorted(
            f"{p.name}: {plan.name}"
            for p in self.reference.programs.values()
            for plan in p.plans.values()
            if plan.plan_code in used and any(t.illustrative for t in plan.terms)
        )
        priced = (
            batch.lines.filter(pl.col("allowed_amount").is_not_null())["claim_id"].n_unique()
            if decided else 0
        )  # fmt: skip
        return Summary(
            self.run_id, self.order.business_date, self.folder, counts, self.verdicts, [],
            int(batch.decisions["paid_amount"].sum()), priced,
            illustrative, coding_ages(self.reference.coding_tables, self.order.business_date),
        )  # fmt: skip

    # ---- publish -----------------------------------------------------------------------------

    def _publish(self) -> None:
        partial = self.out / f".{self.folder}.partial"
        final = self.out / self.folder
        if partial.exists():
            if final.exists():
                raise NightError(f"{final}: already there; move it away and run again")
            partial.rename(final)
            _sync_folder(self.out)
        if not (final / "manifest.json").is_file():
            raise NightError(
                f"{final}: the night is committed but its files are gone; restore {self.out}"
            )
        with self.engine.begin() as connection:
            store.set_run_state(connection, self.run_id, "published")

    def _finish(self) -> Summary:
        """A night already committed: publish what still waits, report it, write nothing more."""
        final = self.out / self.folder
        if not (final / "manifest.json").is_file():
            self._publish()
        told = json.loads((final / "summary.json").read_text("utf-8"))
        return Summary(
            told["run_id"], date.fromisoformat(told["business_date"]), told["folder"],
            {k: told[k] for k in ("received", "brought_forward", *DISPOSITIONS)},
            [FileVerdict(**f) for f in told["files"]], told["written"], told["paid_amount"],
            told["priced_count"], told["illustrative_plans"], told.get("coding_tables", []),
        )  # fmt: skip


# ---- helpers ---------------------------------------------------------------------------------


def _inputs(paths: Sequence[Path]) -> list[tuple[str, Path, str]]:
    """Name, path and digest of every input file: folders opened, in order of name."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(
                (p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")),
                key=lambda p: os.fsencode(p.name),
            )
        elif path.is_file() or str(path) == "-":
            files.append(path)
        else:
            raise NightError(f"{path}: no such file or folder; check the name")
    out = []
    for path in files:
        try:
            with _bytes_of(path, None) as data:
                out.append((_shown(path), path, hashlib.sha256(data).hexdigest()))
        except OSError as error:
            raise NightError(f"{_shown(path)}: can't be read: {error.strerror}") from error
    return out


def _shown(path: Path) -> str:
    """A file's name without anything that could break a line of a report."""
    name = "standard input" if str(path) == "-" else path.name
    return "".join(c if c.isprintable() else "?" for c in name)


_STDIN: list[bytes] = []


@contextmanager
def _bytes_of(path: Path, limit: int | None) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes, mapped and not copied; standard input is read once."""
    if str(path) == "-":
        if not _STDIN:
            _STDIN.append(sys.stdin.buffer.read())
        yield _STDIN[0]
        return
    with path.open("rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        if limit is not None and size > limit:
            raise NightError(
                f"{_shown(path)}: {size} bytes, above file_bytes_limit {limit}; split the file or "
                "raise the limit in the configuration"
            )
        if size == 0:
            yield b""
            return
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


def _reference(engine: Engine, order: Order) -> Reference:
    with store.reading(engine) as connection:
        version, tables = read_reference(connection)
        coding = read_coding_tables(connection, version)
    programs = load_programs(order.config.programs)
    categories, forms = load_benefit_categories(), load_forms()
    whole = hashlib.sha256(version.encode())
    for program in programs.values():
        whole.update(program.model_dump_json().encode())
    for rule in (*categories, *forms):
        whole.update(rule.model_dump_json().encode())
    for e in EDITS:
        whole.update(repr(e.name).encode())
    return Reference(
        whole.hexdigest(), tables, programs, categories, forms, business_date=order.business_date,
        coding_tables=coding, tables_version=version,
    )  # fmt: skip


def _with_codes(engine: Engine, reference: Reference, batch: Batch) -> Reference:
    """The reference with the rows of the correct coding tables that the night's codes can meet."""
    if reference.coding_tables.is_empty():
        return reference
    codes = pl.concat([batch.lines["procedure_code"].unique(), batch.history["procedure_code"]])
    with store.reading(engine) as connection:
        rows = read_codes(connection, reference.tables_version, codes.drop_nulls().unique())
    return replace(reference, tables={**reference.tables, **rows})


def _reasons(reading: FileReading) -> list[str]:
    """Why something of a file was not read: each cause once, in order."""
    told = [
        f"byte {r['offset']}: {r['text']}"
        for r in reading.objections.filter(pl.col("level") != "claim").iter_rows(named=True)
        if r["level"] in ("file", "interchange", "group")
    ]
    told += [
        f"set {number}: {reason}"
        for number, verdict, reason in reading.sets.select(
            "set_number", "verdict", "reason"
        ).iter_rows()
        if verdict == "refused"
    ]
    if not told and not reading.claim_count:
        told.append("it holds no claim")
    return list(dict.fromkeys(told))


def _not_for_us(reading: FileReading, reference: Reference, accept_test: bool) -> list[str]:
    """Why a readable file is not adjudicated: a test, or addressed to another payer."""
    if accept_test:
        return []
    ours = {n.upper() for p in reference.programs.values() for n in p.receiver_numbers}
    reasons = []
    for interchange in reading.envelope.interchanges:
        if interchange.is_test:
            reasons.append("ISA15 is T: a test file is checked, not adjudicated (--accept-test)")
        addressed = {interchange.header[8].upper()} | {
            g.header[3].upper() for g in interchange.groups
        }
        if not addressed & ours:
            reasons.append(
                "ISA08 and GS03 name another receiver; files for us carry a number of "
                "receiver_numbers in program.yaml"
            )
    return list(dict.fromkeys(reasons))


def _file_names(payments: pl.DataFrame) -> dict[str, int]:
    return {
        f"835/{program}-{payment:09d}.835": payment
        for payment, program in payments.select("payment_id", "program_code").iter_rows()
    }


def _render(
    folder: Path, remittance: Remittance, names: Mapping[str, int]
) -> Mapping[str, Sequence[str]]:
    """Writes the 835s, then has every total of them recomputed from the written bytes by
    independent code, in a process of its own where the night is large. Returns what is wrong."""
    documents = write_835(
        remittance.payments, remittance.claims, remittance.lines, remittance.adjustments,
        remittance.provider_adjustments,
    )  # fmt: skip
    files = [(folder / name).resolve() for name in names]
    for file, payment in zip(files, names.values(), strict=True):
        _write(file, documents[payment])
    if sum(map(len, documents.values())) < CHECKED_APART_BYTES:
        return check_files(files)
    with Apart(check_files, files) as apart:
        try:
            return apart.result()
        except ApartError:
            return check_files(files)


def _refuse_unbalanced(wrong: Mapping[str, Sequence[str]]) -> None:
    for name, found in wrong.items():
        raise NightError(
            f"{name} does not balance ({found[0]}); nothing is committed. "
            "This is a fault of the program: keep the store and report it"
        )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    for path in [folder, *(p for p in folder.rglob("*") if p.is_dir())]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
