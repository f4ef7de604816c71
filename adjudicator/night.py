"""One night: lock, intake, decide, commit, publish. Only here are store and files touched.

*Intake* is one transaction a file. *Decide* holds none: it is the stages over everything that
waits. *Commit* is one transaction for all that was decided, and the files of the night are on
disk, under a name nobody reads, before it ends. *Publish* is one rename. A kill before the commit
costs computing time only; a kill after it is mended by the next run.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, Engine

from adjudicator import store
from adjudicator.abnormal import abnormal
from adjudicator.again import read_again, renumbered
from adjudicator.answers import AnswerError, answer, repeated_answers
from adjudicator.claims_list import claims_list, review_list
from adjudicator.coded import coding_ages
from adjudicator.contracts import READ as READ_CONTRACT
from adjudicator.contracts import held, hold
from adjudicator.decide import UndecidableError, decide, refuse_failures
from adjudicator.disk import sync
from adjudicator.edits import EDITS
from adjudicator.in_parts import Decided, Deciding, Waiting, part_count, parts_together
from adjudicator.interchanges import (
    READ,
    REPEATED,
    TEST,
    another_payers,
    claims_of,
    digests,
    file_verdict,
    judge,
    reasons,
)
from adjudicator.load import read_codes, read_coding_tables, read_reference, version_of
from adjudicator.night_files import (
    answers_by_name,
    balancing_apart,
    file_names,
    manifest_text,
    summary_text,
    sync_folder,
    write,
    write_835s,
    write_answers,
)
from adjudicator.payment_cycle import (
    Cycle,
    PaymentError,
    keep_cycle,
    open_cycle,
    remittances,
)
from adjudicator.pends import waiting as waits
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.plan_limits import limited_plans
from adjudicator.programs import (
    load_benefit_categories,
    load_code_lists,
    load_forms,
    load_programs,
    own_names,
)
from adjudicator.reading import limits_of
from adjudicator.reference import Reference
from adjudicator.render_again import MANIFEST, RenderError, render_again
from adjudicator.reversals import (
    REVIEWED,
    carry_out_disputes,
    observations_to_reverse,
    reversed_claims,
    review,
    with_versions,
)
from adjudicator.stages import STAGES
from adjudicator.stages.identify import find_members
from adjudicator.stages.validate import objections_to_findings
from edi.acks import READ as ANSWERED
from edi.acks import Issue, acknowledgement_count
from edi.ahead import Ahead
from edi.apart import Apart
from edi.read_claims import is_paper, read_claims_file
from edi.read_file import Begun, FileReading
from edi.received import bytes_of, files_of, sha256, too_large
from edi.threads import Beside, on_this_thread
from schemas import frames
from schemas.config import Config

CLAIM_NUMBER_DIGITS = 12
# frames that only the stages read: let go before the commit
ONLY_DECIDED_BY = (
    "diagnoses", "procedures", "occurrences", "dates", "references", "amounts", "notes",
    "attachments", "certifications", "other_payers", "other_payer_lines",
    "other_payer_adjustments",
)  # fmt: skip
COMMITTED = ("decided", "published")  # states of a run
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
    approve: bool = False
    reopening: Reopening | None = None


@dataclass(frozen=True)
class Reopening:
    """Claims to be decided anew in a night of its own. ``asked``: the operator's words, by which
    the night is known when it is asked for again."""

    asked: tuple[object, ...]
    select: Callable[[Connection], pl.Series]
    remark_code: str


@dataclass
class FileVerdict:
    """What became of one input file."""

    name: str
    verdict: str  # read, repeated, test or refused
    claim_count: int = 0
    rejected_count: int = 0
    reasons: list[str] = field(default_factory=list)
    # what its senders are answered: by name in the night's folder TA104, AK901, or WQ and U
    acknowledgements: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Arrival:
    """A file as it is received now."""

    file_id: int
    position: int
    digest: str
    byte_count: int
    verdict: FileVerdict


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
    # what was paid, where that is not just what was decided (adjudicator/payment_cycle.py)
    cycle: dict[str, int] | None = None
    # what was taken back of earlier nights, which paid_amount is less by
    reversed: dict[str, int] = field(default_factory=dict)
    # claims paid before whose shares or visits a reversal touches: they stand as they are
    review: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "business_date": self.business_date.isoformat(),
            **self.counts,
            "reversed": self.reversed,
            "paid_amount": self.paid_amount,
            **({"payment_cycle": self.cycle} if self.cycle else {}),
            "priced_count": self.priced_count,
            "illustrative_plans": self.illustrative,
            "coding_tables": self.coding_tables,
            "review": self.review,
            "files": [vars(f) for f in self.files],
            "folder": self.folder,
            "written": self.written,
        }


def run_night(order: Order, step: Step = lambda _: None, ahead: Ahead | None = None) -> Summary:
    """Do one night, or finish one that was interrupted; a finished one is only reported again.

    ``ahead`` reads the order's inputs already (``read_chunk`` of their chunks).
    Raises NightError (LockedError where another run is at work); nothing is published then.
    """
    os.umask(0o077)
    engine = store.open_store(order.config.db)
    try:
        with _lock(order.config.db):
            _make_folder(order.config.out)
            with Beside() as storing:
                night = _Night(engine, order, order.config.out, step, storing, ahead)
                return on_this_thread(night.run)
    finally:
        engine.dispose()


def publish_again(config: Config, run_id: int, step: Step = lambda _: None) -> Summary:
    """Has the files of a committed night in place as they were committed, whatever was loaded or
    decided since; those that are not there, or not so, are rendered again from the store.

    Raises NightError (LockedError where another run is at work), StoreError or ReferenceDataError;
    nothing is published then.
    """
    os.umask(0o077)
    engine = store.open_store(config.db, create=False)
    try:
        with _lock(config.db):
            _make_folder(config.out)
            with store.reading(engine) as connection:
                run = store.find_run(connection, run_id)
                version = version_of(connection, run_id)
            if run is None or run.state not in COMMITTED:
                raise NightError(
                    f"run {run_id} is not committed, it has no files; run its command again"
                )
            order = Order((), config, run.business_date, run.business_date)
            with Beside() as storing:
                night = _Night(engine, order, config.out, step, storing)
                with engine.begin() as connection:
                    night.begin(connection, run)
                step("reference")
                night.reference = _reference(engine, order, version)
                return on_this_thread(night.finish, run, put_back=True)
    finally:
        engine.dispose()


@contextmanager
def rehearsed_night(order: Order, step: Step = lambda _: None) -> Iterator[tuple[Summary, Any]]:
    """What ``run_night`` would come to, and a connection on the store as it would then be.
    Nothing of it is kept, neither in the store nor on disk."""
    os.umask(0o077)
    engine = store.open_store(order.config.db)
    try:
        with (
            _lock(order.config.db),
            TemporaryDirectory() as out,
            store.rehearsing(engine) as rehearsal,
            Beside() as storing,
        ):
            summary = on_this_thread(_Night(rehearsal, order, Path(out), step, storing).run)
            yield summary, rehearsal.connection
    finally:
        engine.dispose()


@contextmanager
def _lock(url: str) -> Iterator[None]:
    with store.run_lock(url) as is_ours:
        if not is_ours:
            name = store.lock_name(url)
            raise LockedError(f"{name}: another run holds the lock; wait for it")
        yield


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NightError(f"{out}: can't be made: {error.strerror}; give another --out") from error


def holding(url: str) -> AbstractContextManager[None]:
    """The lock of a night, for acts that no night may see in part. Raises LockedError."""
    return _lock(url)


class _Night:
    def __init__(
        self,
        engine: Engine | store.Rehearsal,
        order: Order,
        out: Path,
        step: Step,
        storing: Beside,
        ahead: Ahead | None = None,
    ) -> None:
        self.engine, self.order, self.out, self.step = engine, order, out, step
        self.storing, self.ahead = storing, ahead
        self.verdicts: list[FileVerdict] = []
        # the accepted claims of each file, ready to be decided without reading them again
        self.taken_in: list[dict[str, pl.DataFrame]] = []
        self.later: Waiting | None = None  # those of a large night instead
        self.stored: Future[None] | None = None  # the last file, while its claims are decided

    def run(self) -> Summary:
        inputs = _inputs(self.order.inputs)
        self.step("reference")
        self.reference = _reference(self.engine, self.order)
        self.own_names = own_names(self.reference.programs)
        manifest = hashlib.sha256(
            json.dumps([(i.name, i.digest) for i in inputs]).encode()
        ).hexdigest()
        asked: tuple[object, ...] = (self.order.received_date, self.order.accept_test)
        limits = (self.order.config.file_bytes_limit, *limits_of(self.order.config))
        if limits != _limits_unset():  # with other limits it is another night
            asked = (*asked, limits)
        if self.order.reopening:
            asked = (*asked, self.order.reopening.asked)
        settings = hashlib.sha256(repr(asked).encode()).hexdigest()
        with self.engine.begin() as connection:
            run = store.open_run(
                connection, self.order.business_date, manifest, self.reference.version, settings
            )
            self.begin(connection, run)
        if run.state in COMMITTED:
            return self.finish(run)
        self.step("intake")
        self._reopen_observations()
        self.paper = any(i.paper for i in inputs)
        parts = part_count(sum(i.byte_count for i in inputs), self.order.config.part_bytes)
        if parts > 1:
            self.later = Waiting(parts, self.reference.tables["members"])
        for position, given in enumerate(inputs):
            self._take_in(position, given)
        if self.ahead is not None:
            self.ahead.end()
        if self.order.reopening:
            self._wait_for_file()
            with self.engine.begin() as connection:
                claims = self.order.reopening.select(connection)
                store.reopen(connection, claims, self.order.reopening.remark_code)
        # begun now, it is there when the first 835 is
        with balancing_apart(sum(v.claim_count for v in self.verdicts)) as balancing:
            self.step("decide")
            try:
                decided = self._decide_in_parts() if self.later else self._decide(self._snapshot())
            except UndecidableError as error:
                raise NightError(str(error)) from error
            self._wait_for_file()
            self.step("commit")
            summary = self._commit(decided, balancing)
        self.step("publish")
        self._publish()
        return summary

    def begin(self, connection: Connection, run: store.Run) -> None:
        """Says which run this is; what is over takes no number."""
        self.run_id = run.run_id
        self.folder = f"run-{run.run_id:06d}-{self.order.business_date.isoformat()}"
        if run.state != "published":
            self.fence = store.take_fence(connection)

    def _reopen_observations(self) -> None:
        """Those that were paid before the admission of their day came."""
        with store.reading(self.engine) as connection:
            due = observations_to_reverse(connection)
        if len(due):
            with self._writing() as connection:
                store.reopen(connection, due, REVIEWED)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction of this night; none where another run has begun meanwhile."""
        with self.engine.begin() as connection:
            if not store.holds_fence(connection, self.fence):
                raise LockedError(
                    "another run has begun although this one held the lock; this one stops and "
                    f"writes nothing more. {store.lost_lock_mend(self.order.config.db)}"
                )
            yield connection

    # ---- intake ------------------------------------------------------------------------------

    def _take_in(self, position: int, given: _Input) -> None:
        path, digest = given.path, given.digest
        verdict = FileVerdict(given.name, "read")
        self.verdicts.append(verdict)
        if above := too_large(path, self.order.config.file_bytes_limit):
            # not kept, so that it can be taken in once the limit is raised
            verdict.verdict, verdict.reasons = "refused", [above]
            return
        self._wait_for_file()
        with ExitStack() as transaction:
            connection = transaction.enter_context(self._writing())
            taken = store.find_arrival(connection, self.run_id, position)
            if taken is not None:  # before this run was interrupted
                verdict.verdict, verdict.reasons = taken.verdict, taken.reasons
                counts = store.claim_counts(connection, taken.file_id)
                verdict.claim_count, verdict.rejected_count = counts
                return
            known = store.find_file(connection, digest)
            data = transaction.enter_context(bytes_of(path))
            number = store.take_numbers(connection, "file")
            arrival = _Arrival(number, position, digest, len(data), verdict)
            if known is not None and known.is_settled:
                self._repeat(connection, arrival, known)
                return
            begun = self.ahead.begun(path) if self.ahead is not None else None
            store_all, numbered = self._read(
                connection, arrival, data, begun, is_kept=known is not None
            )
            self.stored = self.storing.submit(_within, transaction.pop_all(), store_all)
        if numbered is not None:
            accepted = _accepted(numbered)
            self.later.add(accepted) if self.later else self.taken_in.append(accepted)
        if isinstance(self.engine, store.Rehearsal):  # it has one connection, for one at a time
            self._wait_for_file()

    def _wait_for_file(self) -> None:
        """Until all of the last file is in the store; raises what kept it out."""
        stored, self.stored = self.stored, None
        if stored is not None:
            stored.result()

    def _insert_file(self, connection: Connection, arrival: _Arrival) -> None:
        verdict = arrival.verdict
        store.insert_file(
            connection, arrival.file_id, self.run_id, arrival.position, verdict.name,
            arrival.digest, arrival.byte_count, self.order.received_date, verdict.verdict,
            "\n".join(verdict.reasons),
        )  # fmt: skip

    def _repeat(self, connection: Connection, arrival: _Arrival, known: store.KnownFile) -> None:
        """The same file again: its first answers again, no other effect."""
        told = f"the same bytes came in run {known.run_id}: answered as they were then, not read"
        arrival.verdict.verdict = REPEATED
        arrival.verdict.reasons = [told, *(known.reasons if known.verdict != READ else [])]
        self._insert_file(connection, arrival)
        answers = store.answers_to(connection, known.file_id)
        store.insert_answers(connection, arrival.file_id, answers)

    def _read(
        self,
        connection: Connection,
        arrival: _Arrival,
        data: bytes | mmap.mmap,
        begun: Begun | None,
        *,
        is_kept: bool,
    ) -> tuple[Callable[[], None], dict[str, pl.DataFrame] | None]:
        """Judge each interchange of a file. Returns what stores all of it, and the answers, in the
        same transaction; and the claims to be taken in, with their numbers, where there are any.

        ``is_kept``: the store has these bytes already.
        """
        verdict, order = arrival.verdict, self.order
        with Beside() as beside:
            reading = read_claims_file(
                data, order.config.chunk_bytes, self.own_names, limits_of(order.config),
                begun=begun,
            )  # fmt: skip
            sums = beside.submit(digests, data, reading.envelope)
            ours = {n.upper() for p in self.reference.programs.values() for n in p.receiver_numbers}
            received = judge(
                reading, lambda at: sums.result()[at],
                lambda *key: store.find_interchanges(connection, *key),
                arrival.file_id, ours, order.accept_test,
            )  # fmt: skip
            tests = claims_of(reading, received, TEST)
            taken_count = reading.claim_count - len(tests)
            verdict.verdict = file_verdict(received, taken_count)
            verdict.reasons = reasons(reading, received, taken_count)
            foreign = another_payers(reading, set() if order.accept_test else ours)
            batch = self._validated(reading, foreign.findings)
        if reading.frames:  # what is decided is held once: answers are made of a few columns
            reading.frames = {n: reading.frames[n].select(c) for n, c in ANSWERED.items()}
        findings = batch.findings
        claim_numbers = _claim_numbers(connection, batch, tests)
        repeated = [r.position for r in received if r.verdict == REPEATED]
        count = acknowledgement_count(reading, without=repeated)
        first = store.take_numbers(connection, "acknowledgement", count)
        numbered, inserting = None, None
        if taken_count:
            numbered = self._numbered(connection, arrival, _without(batch, tests), claim_numbers)
            inserting = self._claim_rows(arrival, numbered), numbered["findings"]

        def store_all() -> None:
            self._insert_file(connection, arrival)
            with Beside() as beside:
                # beside the inserts: most of it is not Python's work
                answers = beside.submit(
                    answer, reading, Issue(first, order.business_date, order.received_date),
                    findings, claim_numbers, foreign.refused_sets, repeated,
                )  # fmt: skip
                compressed = beside.submit(store.compressed, data)
                if inserting is not None:
                    store.insert_claims(connection, inserting[0])
                    store.insert_findings(connection, self.run_id, inserting[1])
                if not is_kept or verdict.verdict != REPEATED:
                    store.store_parts(connection, arrival.file_id, compressed.result())
                store.insert_interchanges(
                    connection, arrival.file_id,
                    [(r.position, *r.key, sums.result()[r.position], r.verdict) for r in received],
                )  # fmt: skip
                try:
                    store.insert_answers(connection, arrival.file_id, answers.result())
                except AnswerError as error:
                    raise NightError(f"{verdict.name}: {error}") from error
                store.insert_answers(
                    connection, arrival.file_id, repeated_answers(connection, received)
                )

        return store_all, numbered

    def _validated(self, reading: FileReading, findings: pl.DataFrame) -> Batch:
        """What was read, by ``claim_id`` as read, with a finding for all that rejects a claim."""
        if not reading.claim_count:
            return Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
        batch = Batch(**{n: reading.frames[n] for n in AS_READ})
        # paper may be stamped with an earlier day
        stamped = pl.min_horizontal("received_date", pl.lit(self.order.received_date))
        claims = batch.claims.with_columns(received_date=stamped)
        objections = objections_to_findings(reading.objections).join(
            claims, on="claim_id", how="semi", maintain_order="left"
        )
        batch = batch.with_(
            claims=claims,
            findings=pl.concat([objections, findings]).select(frames.Findings.column_names()),
        )
        with Beside() as beside:
            holding = beside.submit(hold, batch, READ_CONTRACT, "reading", whole=True)
            try:
                judged = STAGES[0](batch, self.reference)
            finally:  # where both fail, what was read is the cause
                holding.result()
        return held(judged, STAGES[0].__name__)

    def _numbered(
        self, connection: Connection, arrival: _Arrival, batch: Batch, claim_numbers: pl.DataFrame
    ) -> dict[str, pl.DataFrame]:
        """The claims of a file with their submission numbers as ``claim_id``, rejected ones too:
        they have no claim number."""
        count = batch.claims.height
        first = store.take_numbers(connection, "submission", count)
        numbers = batch.claims.select(
            "claim_id", _new=pl.int_range(pl.len(), dtype=pl.Int64) + first
        )
        read = {n: renumbered(getattr(batch, n), numbers) for n in (*AS_READ, "findings")}
        given = batch.claims.select("claim_id").join(
            claim_numbers, on="claim_id", how="left", maintain_order="left"
        )
        read["claims"] = read["claims"].with_columns(
            given["claim_number"], receipt_number="claim_id"
        )
        arrival.verdict.claim_count = count
        arrival.verdict.rejected_count = read["claims"]["claim_number"].null_count()
        return read

    def _claim_rows(self, arrival: _Arrival, numbered: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        is_rejected = pl.col("claim_number").is_null()
        return store.claim_rows(
            numbered["claims"].with_columns(
                disposition=pl.when(is_rejected).then(pl.lit("rejected")),
                decided_run_id=pl.when(is_rejected).then(pl.lit(self.run_id, dtype=pl.Int64)),
            ),
            numbered["sources"].with_columns(file_id=pl.lit(arrival.file_id, dtype=pl.Int64)),
        )

    # ---- decide ------------------------------------------------------------------------------

    def _snapshot(self) -> Batch:
        """Everything that waits for a decision, in receipt order, with what the store knows."""
        with store.reading(self.engine) as connection:
            just_now = list(self.taken_in)
            # numbers only grow: what waited before is below what came in just now
            first = min(
                (int(f["claims"]["claim_id"][0]) for f in just_now if f["claims"].height),
                default=None,
            )
            earlier = self._earlier(connection, first)
            # so these are in receipt order as they stand, but for reopened ones
            known = [*earlier, *just_now]
            self.taken_in.clear()
            return self._known(connection, known)

    def _earlier(
        self, connection: Connection, first: int | None
    ) -> Iterator[dict[str, pl.DataFrame]]:
        """The claims that waited before tonight's ``first``, read again."""
        self.ledger_head = store.ledger_head(connection)
        self.open = store.open_claims(connection, below=first)
        return read_again(connection, self.open, self.own_names)

    def _known(self, connection: Connection, known: list[dict[str, pl.DataFrame]]) -> Batch:
        """Claims, in receipt order, with what the store knows of their members; ``known`` is
        emptied."""
        if not known:
            return Batch(frames.empty(frames.Claims), frames.empty(frames.Lines))
        names = [n for n in (*AS_READ, "findings") if n != "sources"]
        whole = {
            # in one piece only what the stages go over again and again
            n: pl.concat(
                [f.pop(n) for f in known],
                how="vertical_relaxed",
                rechunk=n in ("claims", "lines"),
            )
            for n in names
        }
        if not whole["claims"]["claim_id"].is_sorted():
            # a version that we opened comes of an older file than what waits beside it, and one
            # part's claims come after another's
            whole = {n: f.sort("claim_id", maintain_order=True) for n, f in whole.items()}
        found = find_members(whole["claims"], self.reference.tables["members"])
        members = found["member_id"].drop_nulls().unique().sort()
        families = found["family_id"].drop_nulls().unique().sort()
        waiting, tonight = self.open, whole["claims"]["claim_id"]
        if self.later:
            waiting = waiting.filter(pl.col("claim_id").is_in(tonight.implode()))
            # of claims that wait none is history, whether or not it is in this part
            tonight = pl.concat([self.open["claim_id"], tonight])
        batch = Batch(
            **whole,
            found_members=found,
            history=store.history_lines(connection, members, tonight),
            accumulators=store.accumulators(connection, families),
            referral_visits=store.referral_visits(
                connection,
                self._limited("referrals", "referral_number", "visit_limit", members),
            ),
            authorization_units=store.authorization_units(
                connection,
                self._limited("authorizations", "authorization_number", "unit_limit", members),
            ),
            benefit_uses=store.benefit_uses(connection, self._limited_members(members)),
            open_pends=store.open_pends(connection, waiting["claim_id"]),
            overrides=store.overrides(connection, waiting["claim_id"]),
        )
        return with_versions(connection, batch, waiting)

    def _decide(self, batch: Batch) -> Decided:
        if not batch.claims.height:
            return Decided(batch)
        batch, self.reference = self._staged(batch)
        return Decided(batch.with_(**{n: getattr(batch, n).clear() for n in ONLY_DECIDED_BY}))

    def _staged(self, batch: Batch) -> tuple[Batch, Reference]:
        """What the stages come to, and the reference with all that they looked up."""
        reference = _with_codes(self.engine, self.reference, batch)
        batch = decide(batch, reference, self.order.config.system_pends_limit)
        return batch.with_(pends=waits(batch, reference)), reference

    def _decide_in_parts(self) -> Decided:
        """A large night, a part of its families after the other; parts together where a claim of
        one corrects what is of another."""
        assert self.later is not None
        with store.reading(self.engine) as connection:
            tonight = self.later.claim_ids
            for one in self._earlier(connection, tonight[0] if len(tonight) else None):
                self.later.add(one, earlier=True)
            together = parts_together(connection, self.later, self.open, self.reference)
        ids = self.later.claim_ids
        if not len(ids):
            return self._decide(self._snapshot())
        deciding = Deciding(ids)
        for parts in together:
            with store.reading(self.engine) as connection:
                batch = self._known(connection, self.later.take(parts))
            if batch.claims.is_empty():
                continue
            deciding.add(*self._staged(batch))
        decided = deciding.decided()
        refuse_failures(decided.whole, self.order.config.system_pends_limit)
        return decided

    def _limited(self, table: str, number: str, limit: str, members: pl.Series) -> pl.Series:
        """The numbers of the members' rows of a table that have a limit."""
        rows = self.reference.tables[table].filter(
            pl.col(limit).is_not_null() & pl.col("member_id").is_in(members.implode())
        )
        return rows[number].unique().sort()

    def _limited_members(self, members: pl.Series) -> pl.Series:
        """Those of the members who had a plan with a limit of visits or days."""
        covered = self.reference.tables["coverage"].filter(
            pl.col("plan_code").is_in(limited_plans(self.reference.programs))
            & pl.col("member_id").is_in(members.implode())
        )
        return covered["member_id"].unique().sort()

    # ---- commit ------------------------------------------------------------------------------

    def _commit(self, decided: Decided, balancing: Apart | None) -> Summary:
        batch = decided.whole
        partial = self.out / f".{self.folder}.partial"
        with self._writing() as connection, Beside() as answering, Beside() as remitting:
            if store.ledger_head(connection) != self.ledger_head:
                raise NightError("the ledger has moved since the snapshot; run again")
            self._refuse_abnormal(connection, batch)
            # only now: what is there may be another run's, as long as it isn't shut out
            if partial.exists():
                shutil.rmtree(partial)
            partial.mkdir()
            self._write_letters(partial)
            answered = answering.submit(write_answers, partial, self._answers(connection))
            cycle, unbalanced = self._pay(connection, decided, partial, balancing, remitting)
            summary = self._summary(connection, batch)
            summary.cycle = cycle.figures()
            write(
                partial / "claims.csv",
                claims_list(
                    connection,
                    self.run_id,
                    batch,
                    self.order.business_date,
                    self.reference.programs,
                ),
            )
            if summary.review:
                write(partial / "review.csv", review_list(summary.review))
            answered.result()
            _refuse_unbalanced(unbalanced.result())
            there = (p.relative_to(partial).as_posix() for p in partial.rglob("*") if p.is_file())
            summary.written = [*sorted(there), "summary.json", "manifest.json"]
            write(partial / "summary.json", summary_text(summary.as_json()))
            files = store.files_of(partial)
            store.append_audit(
                connection,
                "decided",
                {**summary.as_json(), "files_digest": store.files_digest(files)},
                run_id=self.run_id,
            )
            told = manifest_text(
                self.run_id, self.reference.version, store.audit_head(connection), files
            )
            write(partial / "manifest.json", told)
            sync_folder(partial)
            sync(self.out)
            store.insert_outbox(
                connection, self.run_id, [*files, store.Published.of("manifest.json", told)]
            )
            store.set_run_state(
                connection, self.run_id, "decided", ledger_head=store.ledger_head(connection)
            )
        store.checkpoint(self.engine)
        return summary

    def _pay(
        self,
        connection: Connection,
        decided: Decided,
        partial: Path,
        balancing: Apart | None,
        remitting: Beside,
    ) -> tuple[Cycle, Future[Mapping[str, Sequence[str]]]]:
        """What was decided tonight into the store, and the payments of the programs whose day it
        is. Their 835s are written by ``remitting``, and ``balancing`` checks them: what is wrong
        is known later."""
        try:
            cycle = open_cycle(connection, decided.whole, self.reference, self.ledger_head)
        except PaymentError as error:
            raise NightError(str(error)) from error
        any_decided, payments = decided.whole.decisions.height > 0, cycle.payments
        names = file_names(payments)
        # before anything is written beside: it reads what was paid
        originals = reversed_claims(connection, decided.whole, self.own_names)
        due = remittances(cycle, decided, self.reference, originals) if any_decided or names else ()
        unbalanced = remitting.submit(write_835s, partial, due, names, balancing)
        store.insert_payments(connection, self.run_id, payments, names)
        before = self.open["claim_id"]
        for piece in decided.pieces() if any_decided else ():
            store.insert_decisions(connection, self.run_id, piece, payments, before)
            before = before.clear()
        if any_decided:
            store.insert_corrections(connection, self.run_id, decided.whole, payments)
        keep_cycle(connection, self.run_id, cycle, decided, self.reference, originals)
        carry_out_disputes(connection, self.run_id, decided.whole, self.reference)
        return cycle, unbalanced

    def _refuse_abnormal(self, connection: Connection, batch: Batch) -> None:
        """Stops a night far off the usual, unless it is approved, which the audit trail tells."""
        found = abnormal(
            connection,
            self.order.config,
            claim_count=sum(v.claim_count for v in self.verdicts),
            paid_amount=int(batch.decisions["paid_amount"].sum()),
        )
        if found and not self.order.approve:
            raise NightError(
                f"an abnormal night: {'; '.join(f.sentence() for f in found)}; nothing is "
                "committed. Look at its files; if it is meant, run the same command with --approve"
            )
        if found:
            told = {"abnormal": [f.as_json() for f in found]}
            store.append_audit(connection, "approved", told, run_id=self.run_id)

    def _answers(self, connection: Connection) -> dict[str, store.DueAnswer]:
        """By their names in the night's folder, the answers to every file of it, and to those of
        an earlier night that never came to its end."""
        due = answers_by_name(self.run_id, store.due_answers(connection))
        for name, one in due.items():
            if one.run_id == self.run_id:
                self.verdicts[one.receipt_position].acknowledgements[name] = one.code
        store.set_answered(connection, self.run_id)
        return due

    def _write_letters(self, partial: Path) -> None:
        """A letter for each paper claim that goes back; nothing where no paper came."""
        if not self.paper:
            return
        from adjudicator.reports.letters import return_letters  # only paper needs its models

        with store.reading(self.engine) as connection:
            for name, content in return_letters(connection, self.run_id, self.reference):
                write(partial / name, content)

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
            int(batch.decisions["paid_amount"].sum()) + int(batch.reversals["paid_amount"].sum()),
            priced,
            illustrative,
            coding_ages(self.reference.coding_tables, self.order.business_date),
            None,
            {
                "count": batch.reversals.height,
                "paid_amount": int(batch.reversals["paid_amount"].sum()),
            },
            review(connection, batch).drop("claim_id").to_dicts(),
        )  # fmt: skip

    # ---- publish -----------------------------------------------------------------------------

    def _publish(self) -> None:
        self._rename()
        with self._writing() as connection:
            store.set_published(connection, self.run_id)

    def _rename(self) -> None:
        """Has the night's folder in place."""
        partial = self.out / f".{self.folder}.partial"
        final = self.out / self.folder
        if partial.exists():
            if final.exists():
                raise NightError(f"{final}: already there; move it away and run again")
            partial.rename(final)
        sync(self.out)  # even where a run that was stopped has renamed it
        if not (final / MANIFEST).is_file():
            raise NightError(
                f"{final}: the night is committed but its files are gone; {self._mend}"
            )

    @property
    def _mend(self) -> str:
        return f"run `adjudicate publish {self.run_id}`, it renders them again"

    def finish(self, run: store.Run, *, put_back: bool = False) -> Summary:
        """A night already committed: publish what still waits, report it, write nothing more.
        Of a published one files are ``put_back`` only where that is asked for: whoever fetched its
        payments would fetch them again."""
        final = self.out / self.folder
        partial = self.out / f".{self.folder}.partial"
        is_published = run.state == "published"
        is_in_place = final.exists() and (is_published or not partial.exists())
        if not is_published or put_back:
            self._mend_files(final if is_in_place else partial)
        if not is_published:
            self._publish()
        elif put_back and not is_in_place:
            self._rename()
        if not (final / MANIFEST).is_file():
            raise NightError(
                f"{final}: the night is published but its files are gone; {self._mend}"
            )
        told = json.loads((final / "summary.json").read_text("utf-8"))
        return Summary(
            told["run_id"], date.fromisoformat(told["business_date"]), told["folder"],
            {k: told[k] for k in ("received", "brought_forward", *DISPOSITIONS)},
            [FileVerdict(**f) for f in told["files"]], told["written"], told["paid_amount"],
            told["priced_count"], told["illustrative_plans"], told.get("coding_tables", []),
            told.get("payment_cycle"), told["reversed"], told["review"],
        )  # fmt: skip

    def _mend_files(self, folder: Path) -> None:
        """What is on disk of a committed night must be what it committed; what is not is rendered
        again from the store."""
        rendered = self.out / f".{self.folder}.rendered"
        if rendered.exists():
            shutil.rmtree(rendered)
        with store.reading(self.engine) as connection:
            committed = store.outbox_of(connection, self.run_id)
            there = store.files_of(folder)
            if there == committed:
                return
            names = {f.name for f in committed}
            others = sorted({f.name for f in there} - names)
            if others and folder.name != self.folder:
                raise NightError(
                    f"{folder}: {others[0]} is no file of this night; nothing is published. Move "
                    "it away, ask who put it there, and run again"
                )
            wrong = names - {f.name for f in there if f in committed}
            if not wrong:
                return
            self.step("render")
            self._render(connection, wrong, committed, rendered)
        self.step("publish")
        for name in sorted(wrong, key=lambda name: (name == MANIFEST, name)):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (rendered / name).replace(target)
            sync(target.parent)
        sync_folder(folder)
        shutil.rmtree(rendered)

    def _render(
        self,
        connection: Connection,
        wrong: set[str],
        committed: Sequence[store.Published],
        folder: Path,
    ) -> None:
        """These files, and what is rendered with them, each with the checksum of its commit."""
        folder.mkdir()
        try:
            render_again(connection, self.run_id, self.reference, wrong, folder)
            rendered = {f.name: f for f in store.files_of(folder)}
            for file in committed:
                found = rendered.pop(file.name, None)
                if found != file and (found is not None or file.name in wrong):
                    differs = "another" if found else "none"
                    raise RenderError(file.name, f"the store now gives {differs}")
            for name in rendered:
                raise RenderError(name, "the store gives it, and the night did not")
        except RenderError as error:
            shutil.rmtree(folder)
            raise NightError(
                f"{self.out / self.folder}: {error.file} is not as it was committed and can't be "
                f"rendered again: {error}; nothing is published. Restore {self.out} and the store "
                "from the same backup and run again"
            ) from error


# ---- helpers ---------------------------------------------------------------------------------


class _Input(NamedTuple):
    """A file of the order as it was found."""

    name: str
    path: Path
    digest: str
    byte_count: int
    paper: bool


def _inputs(paths: Sequence[Path]) -> list[_Input]:
    """Every input file: folders opened, in order of name."""
    files = list(files_of(paths))
    for path in files:
        if not path.is_file() and str(path) != "-":
            raise NightError(f"{path}: no such file or folder; check the name")
    out = []
    for path in files:
        try:
            with bytes_of(path) as data:
                out.append(_Input(_shown(path), path, sha256(data), len(data), is_paper(data)))
        except OSError as error:
            raise NightError(f"{_shown(path)}: can't be read: {error.strerror}") from error
    return out


def _limits_unset() -> tuple[int, ...]:
    unset = Config()
    return (unset.file_bytes_limit, *limits_of(unset))


def _shown(path: Path) -> str:
    """A file's name without anything that could break a line of a report."""
    name = "standard input" if str(path) == "-" else path.name
    return "".join(c if c.isprintable() else "?" for c in name)


def _reference(
    engine: Engine | store.Rehearsal, order: Order, version: str | None = None
) -> Reference:
    """What the night's decisions rest on, with the tables in force or those of a version."""
    with store.reading(engine) as connection:
        version, tables = read_reference(connection, version)
        coding = read_coding_tables(connection, version)
    programs = load_programs(order.config.programs)
    categories, forms = load_benefit_categories(), load_forms()
    whole = hashlib.sha256(version.encode())
    for program in programs.values():
        whole.update(program.model_dump_json().encode())
    for rule in (*categories, *forms, load_code_lists()):
        whole.update(rule.model_dump_json().encode())
    for e in EDITS:
        whole.update(repr(e.name).encode())
    return Reference(
        whole.hexdigest(), tables, programs, categories, forms, business_date=order.business_date,
        coding_tables=coding, tables_version=version,
    )  # fmt: skip


def _with_codes(engine: Engine | store.Rehearsal, reference: Reference, batch: Batch) -> Reference:
    """The reference with the rows of the correct coding tables that the night's codes can meet."""
    if reference.coding_tables.is_empty():
        return reference
    codes = pl.concat([batch.lines["procedure_code"].unique(), batch.history["procedure_code"]])
    with store.reading(engine) as connection:
        rows = read_codes(connection, reference.tables_version, codes.drop_nulls().unique())
    return replace(reference, tables={**reference.tables, **rows})


def _within(transaction: ExitStack, work: Callable[[], None]) -> None:
    with transaction:
        work()


def _accepted(numbered: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """What of a file's claims is to be decided. Where that is not all, ``numbered`` is emptied, so
    that a frame's memory serves the next."""
    claims = numbered["claims"]
    rejected = claims.filter(pl.col("claim_number").is_null())["claim_id"]
    if not len(rejected):
        return numbered
    del claims
    accepted = ~pl.col("claim_id").is_in(rejected.implode())
    return {name: numbered.pop(name).filter(accepted) for name in list(numbered)}


def _claim_numbers(connection: Connection, batch: Batch, tests: pl.Series) -> pl.DataFrame:
    """A number for each claim that is taken in and not rejected, by ``claim_id`` as read."""
    rejected = batch.findings.filter(pl.col("disposition") == "reject")["claim_id"].unique()
    claims = batch.claims.select("claim_id")
    for out in (rejected, tests):
        if len(out):
            claims = claims.filter(~pl.col("claim_id").is_in(out.implode()))
    first = store.take_numbers(connection, "claim", claims.height)
    numbers = pl.int_range(pl.len(), dtype=pl.Int64) + first
    return claims.with_columns(claim_number=numbers.cast(pl.String).str.zfill(CLAIM_NUMBER_DIGITS))


def _without(batch: Batch, tests: pl.Series) -> Batch:
    """The batch without the claims that are only checked."""
    if not len(tests):
        return batch
    claims = batch.claims["claim_id"]
    return batch.only(claims.filter(~claims.is_in(tests.implode())))


def _refuse_unbalanced(wrong: Mapping[str, Sequence[str]]) -> None:
    for name, found in wrong.items():
        raise NightError(
            f"{name} does not balance ({found[0]}); nothing is committed. "
            "This is a fault of the program: keep the store and report it"
        )
