"""A whole night, in process and as a command: what it writes, what it refuses, what it survives."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Connection

import cli
from adjudicator import night, store
from adjudicator.explain import UnknownClaimError, as_text, explain
from adjudicator.load import load_reference
from adjudicator.night import FileVerdict, LockedError, NightError, Order, Summary, run_night
from adjudicator.stages import STAGES
from edi.apart import Apart
from edi.balance import check_835, check_files
from schemas.config import Config
from tests import samples
from tests.pyx12_check import pyx12_errors
from tests.stores import Stores
from tests.synthetic import generate

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DAY = date(2025, 11, 15)
NEXT = date(2025, 11, 16)
# what doesn't turn on the database, or is asked of the command
ON_SQLITE = pytest.mark.parametrize("stores", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic night of 200 claims and a store that has its reference data."""
    folder = tmp_path_factory.mktemp("night")
    generate(folder, 200, seed=7)
    load(f"sqlite:///{folder / 'loaded.db'}", folder / "reference")
    return folder


def load(database: str, reference: Path) -> None:
    engine = store.open_store(database)
    with engine.begin() as connection:
        load_reference(connection, reference)
    engine.dispose()  # the write-ahead log goes into the file, which is then copied


@pytest.fixture
def place(made: Path, tmp_path: Path, stores: Stores) -> Path:
    """A folder with that night's inbox and a store of its own, on either database."""
    shutil.copytree(made / "inbox", tmp_path / "inbox")
    own_store(tmp_path, made, stores)
    return tmp_path


def own_store(place: Path, made: Path, stores: Stores) -> None:
    """A store with the reference data for a folder; ``url`` in it names it."""
    loaded = f"sqlite:///{made / 'loaded.db'}"
    if stores.is_postgresql:
        loaded = stores.once(str(made), lambda empty: load(empty, made / "reference"))
    (place / "url").write_text(stores.copy(loaded, "a", place))


def url(place: Path) -> str:
    named = place / "url"
    return named.read_text() if named.exists() else f"sqlite:///{place / 'a.db'}"


@contextmanager
def opened(place: Path) -> Iterator[Connection]:
    engine = store.open_store(url(place), create=False)
    with store.reading(engine) as connection:
        yield connection
    engine.dispose()


def order(place: Path, *inputs: Path, day: date = DAY, **more: Any) -> Order:
    config = Config(db=url(place), out=place / "out")
    return Order(inputs or (place / "inbox",), config, day, day, **more)


def published(place: Path) -> dict[str, bytes]:
    return {
        p.relative_to(place / "out").as_posix(): p.read_bytes()
        for p in sorted((place / "out").rglob("*"))
        if p.is_file()
    }


def rows(place: Path, table: str) -> int:
    with opened(place) as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def by_fate(summary: Summary) -> dict[str, int]:
    return {name: figures["count"] for name, figures in summary.counts.items()}


def test_the_night_balances_and_everything_published_can_be_read_again(place: Path) -> None:
    summary = run_night(order(place))
    fates = by_fate(summary)
    assert fates["received"] == 200
    assert fates["brought_forward"] == 0
    # tests/synthetic.py means 1 in 200 to be rejected, 3 denied late or uncovered, ...
    assert sum(fates[f] for f in night.DISPOSITIONS) == 200
    assert min(fates["rejected"], fates["denied"], fates["carried_forward"]) > 0
    assert fates["paid"] >= 140
    documents = [b for n, b in published(place).items() if n.endswith(".835")]
    assert documents
    for document in documents:
        assert check_835(document) == []
        assert pyx12_errors(document) == []


@ON_SQLITE
def test_what_is_published_is_for_its_owner_alone(place: Path) -> None:
    run_night(order(place))
    for path in (place / "out").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_every_line_of_every_final_claim_adds_up_in_the_store(place: Path) -> None:
    run_night(order(place))
    with opened(place) as connection:
        lines = store.read_frame(
            connection,
            "SELECT claim_id, line_number, charge_amount, paid_amount, member_amount FROM line "
            "WHERE line_disposition <> 'pended'",
            dict.fromkeys(("claim_id", "line_number", "charge_amount", "paid_amount",
                           "member_amount"), pl.Int64),
        )  # fmt: skip
        taken = (
            store.adjustments_of(connection, lines["claim_id"])
            .group_by("claim_id", "line_number")
            .agg(
                pl.col("adjustment_amount").sum(),
                pl.col("adjustment_amount").filter(group_code="PR").sum().alias("owed"),
            )
        )
        wrong = (
            lines.join(taken, on=("claim_id", "line_number"), how="left")
            .with_columns(pl.col("adjustment_amount", "owed").fill_null(0))
            .filter(
                (pl.col("charge_amount") - pl.col("adjustment_amount") != pl.col("paid_amount"))
                | (pl.col("owed") != pl.col("member_amount"))
            )
        )
        paid, posted = (
            connection.exec_driver_sql(text).scalar_one()
            for text in (
                "SELECT sum(payment_amount) FROM payment",
                "SELECT sum(entry_amount) FROM ledger_entry",
            )
        )
    assert lines.height > 100
    assert wrong.is_empty()
    assert paid == posted


def test_a_finished_night_asked_for_again_writes_nothing(place: Path) -> None:
    first = run_night(order(place))
    before, ledger = published(place), rows(place, "ledger_entry")
    again = run_night(order(place))
    assert again == first
    assert published(place) == before
    assert rows(place, "ledger_entry") == ledger
    assert rows(place, "run") == 1


def test_pended_claims_come_forward_and_are_read_again_from_their_bytes(place: Path) -> None:
    first = by_fate(run_night(order(place)))
    empty = place / "empty"
    empty.mkdir()
    second = by_fate(run_night(order(place, empty, day=NEXT)))
    assert second["brought_forward"] == first["carried_forward"] == second["carried_forward"]
    assert second["received"] == second["paid"] == second["denied"] == 0


def test_a_pended_claim_is_paid_once_what_it_waits_for_is_loaded(place: Path, made: Path) -> None:
    """Load fees for the codes that have none: those claims leave, nothing else changes."""
    first = by_fate(run_night(order(place)))
    with opened(place) as connection:
        codes = connection.exec_driver_sql(
            "SELECT DISTINCT l.procedure_code FROM line l JOIN finding f "
            "ON f.claim_id = l.claim_id AND f.line_number = l.line_number "
            "WHERE f.pend_code = 'REFERENCE'"
        ).fetchall()
    assert codes
    fees = pl.read_csv(made / "reference" / "fees.csv", infer_schema=False)
    one = fees.filter(pl.col("end_date").is_null()).head(1)
    tables = fees["fee_table_code"].unique().sort()
    extra = pl.concat(
        one.with_columns(
            fee_table_code=pl.lit(table), procedure_code=pl.lit(code), fee_amount=pl.lit("5.00"),
            modifier_code=pl.lit(None, dtype=pl.String),
        )
        for (code,) in codes
        for table in tables
    )  # fmt: skip
    more = place / "more"
    more.mkdir()
    pl.concat([fees, extra]).write_csv(more / "fees.csv")
    load(url(place), more)
    empty = place / "empty"
    empty.mkdir()
    second = by_fate(run_night(order(place, empty, day=NEXT)))
    assert second["paid"] > 0
    assert second["paid"] + second["carried_forward"] == first["carried_forward"]


def test_the_same_bytes_again_have_no_effect(place: Path) -> None:
    run_night(order(place))
    copied = place / "copied"
    shutil.copytree(place / "inbox", copied)
    for path in copied.iterdir():
        path.rename(path.with_name(f"again-{path.name}"))
    summary = run_night(order(place, copied, day=NEXT))
    assert {f.verdict for f in summary.files} == {"repeated"}
    assert by_fate(summary)["received"] == 0


@pytest.mark.long
def test_one_file_or_its_sets_in_several_decide_alike(
    place: Path, made: Path, tmp_path: Path, stores: Stores
) -> None:
    """The same claims in the same receipt order: the same decisions, to the cent."""
    whole = run_night(order(place))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    own_store(elsewhere, made, stores)
    smaller = Config(db=url(elsewhere), out=elsewhere / "out", chunk_bytes=5_000)
    parts = run_night(Order((place / "inbox",), smaller, DAY, DAY))
    assert parts.counts == whole.counts
    assert published(elsewhere) == published(place)


@ON_SQLITE
@pytest.mark.parametrize("fails", [False, True])
def test_835s_are_checked_in_another_process_or_where_that_fails_here(
    place: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    asked: list[str] = []

    def submit(self: Apart, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        asked.append(function.__name__)
        return original(self, os._exit, 3) if fails else original(self, function, *arguments)

    original = Apart.submit
    monkeypatch.setattr(Apart, "submit", submit)
    monkeypatch.setattr("adjudicator.night_files.ALONE_CLAIMS", 0)
    monkeypatch.setattr("adjudicator.night_files.PIECE_CLAIMS", 1)
    found: list[str] = []

    def checked(files: Sequence[Path]) -> dict[str, list[str]]:
        found.extend(file.name for file in files)
        return {}

    monkeypatch.setattr("adjudicator.night_files.check_files", checked if fails else check_files)
    run_night(order(place))
    assert set(asked) == {"checked" if fails else "check_files"}
    assert len(asked) > 1  # some are checked while others are written
    names = sorted(path.name for path in (place / "out").glob("run-*/835/*"))
    assert sorted(found) == (names if fails else [])


@ON_SQLITE
def test_a_test_file_is_not_adjudicated_unless_asked(place: Path) -> None:
    for path in (place / "inbox").iterdir():
        path.write_bytes(path.read_bytes().replace(b"*0*P*:", b"*0*T*:", 1))
    summary = run_night(order(place))
    assert {f.verdict for f in summary.files} == {"test"}
    assert all("ISA15 is T" in f.reasons[0] for f in summary.files)
    assert by_fate(summary)["received"] == 0


@ON_SQLITE
def test_accept_test_adjudicates_it(place: Path) -> None:
    for path in (place / "inbox").iterdir():
        path.write_bytes(path.read_bytes().replace(b"*0*P*:", b"*0*T*:", 1))
    assert by_fate(run_night(order(place, accept_test=True)))["received"] == 200


@ON_SQLITE
def test_a_file_for_another_payer_is_refused(place: Path) -> None:
    for path in (place / "inbox").iterdir():
        path.write_bytes(path.read_bytes().replace(b"CPCT1", b"OTHER"))
    summary = run_night(order(place))
    assert all("another receiver" in f.reasons[0] for f in summary.files)


@ON_SQLITE
def test_an_unreadable_file_costs_only_itself(place: Path) -> None:
    (place / "inbox" / "000-not-x12.837").write_bytes(b"PK\x03\x04 nothing of ours")
    (place / "inbox" / "001-empty.837").write_bytes(b"")
    summary = run_night(order(place))
    assert summary.files[0].reasons == ["byte 0: not an X12 interchange: this is a zip archive"]
    assert summary.files[1].reasons == ["byte 0: the file is empty"]
    assert by_fate(summary)["received"] == 200


def test_another_run_at_work_is_told_by_a_locked_error(place: Path) -> None:
    with night._lock(url(place)), pytest.raises(LockedError):
        run_night(order(place))
    assert not (place / "out").exists() or not published(place)


@pytest.mark.parametrize("step", ["decide", "commit", "publish"])
def test_a_run_stopped_at_any_step_ends_in_the_same_bytes(
    place: Path, made: Path, step: str, stores: Stores
) -> None:
    undisturbed = place / "undisturbed"
    undisturbed.mkdir()
    own_store(undisturbed, made, stores)
    run_night(order(undisturbed, place / "inbox"))

    class Killed(BaseException):
        pass

    def kill(at: str) -> None:
        if at == step:
            raise Killed

    with pytest.raises(Killed):
        run_night(order(place), kill)
    summary = run_night(order(place))
    assert by_fate(summary)["received"] == 200
    assert published(place) == published(undisturbed)


@pytest.mark.long
@ON_SQLITE
def test_a_claim_that_breaks_our_own_code_pends_system_and_the_others_do_not_notice(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = STAGES

    @wraps(stages[4])
    def fragile(batch: Any, reference: Any) -> Any:
        if (batch.claims["claim_id"] == 17).any():
            raise ZeroDivisionError
        return stages[4](batch, reference)

    plain = place / "plain"
    plain.mkdir()
    shutil.copy(place / "a.db", plain / "a.db")
    shutil.copytree(place / "inbox", plain / "inbox")
    run_night(order(plain))
    monkeypatch.setattr("adjudicator.decide.STAGES", (*stages[:4], fragile, *stages[5:]))
    run_night(order(place))
    name = f"run-000001-{DAY}/claims.csv"
    before = pl.read_csv(published(plain)[name], infer_schema=False)
    after = pl.read_csv(published(place)[name], infer_schema=False)
    broken = after.filter(pl.col("submission") == "17")
    assert broken["disposition"].to_list() == ["pended"]
    assert broken["reasons"].to_list() == ["system"]
    others = pl.col("submission") != "17"
    assert after.filter(others).equals(before.filter(others))


@ON_SQLITE
def test_a_failure_that_no_claim_shows_alone_stops_the_night(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = STAGES

    @wraps(stages[4])
    def crowded(batch: Any, reference: Any) -> Any:
        if batch.claims.height > 150:
            raise ZeroDivisionError
        return stages[4](batch, reference)

    monkeypatch.setattr("adjudicator.decide.STAGES", (*stages[:4], crowded, *stages[5:]))
    with pytest.raises(NightError, match="on no claim alone"):
        run_night(order(place))
    assert rows(place, "payment") == 0
    assert not published(place)


# ---- the command -----------------------------------------------------------------------------


def command(place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


RUN = ("run", "inbox", "--db", "sqlite:///a.db", "--out", "out", "--business-date", "2025-11-15")


def test_threads_and_hash_seed_do_not_change_a_byte(made: Path, tmp_path: Path) -> None:
    results = []
    for threads, seed, zone in (("1", "1", "UTC"), ("2", "999", "Asia/Tokyo")):
        here = tmp_path / f"threads{threads}"
        here.mkdir()
        shutil.copytree(made / "inbox", here / "inbox")
        shutil.copy(made / "loaded.db", here / "a.db")
        done = command(
            here, *RUN, "--json", POLARS_MAX_THREADS=threads, PYTHONHASHSEED=seed, TZ=zone
        )
        assert done.returncode == 0, done.stderr
        results.append((done.stdout, published(here)))
    assert results[0] == results[1]


@ON_SQLITE
def test_json_holds_the_equation(place: Path) -> None:
    done = command(place, *RUN, "--json")
    # the process ends at once, yet the store is closed: one file, which may be copied
    assert sorted(p.name for p in place.glob("a.db*")) == ["a.db", "a.db.lock"]
    told = json.loads(done.stdout)
    for unit in ("count", "charge_amount"):
        came = told["received"][unit] + told["brought_forward"][unit]
        assert came == sum(told[d][unit] for d in night.DISPOSITIONS)
    assert done.stderr == ""


@ON_SQLITE
def test_the_exit_code_tells_a_lock_from_a_failure_and_from_bad_usage(place: Path) -> None:
    with night._lock(url(place)):
        assert command(place, *RUN).returncode == 75
    assert command(place, *RUN[:-1], "2025-13-45").returncode == 2
    missing = command(place, "run", "nowhere", "--db", "sqlite:///a.db")
    assert missing.returncode == 1
    assert missing.stderr == "adjudicate: nowhere: no such file or folder; check the name\n"


@ON_SQLITE
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "inbox", "--db", "mysql://x"),
        ("run", "inbox", "--db", "sqlite:///nowhere/deep/a.db"),
        ("run", "inbox", "--config", "absent.yaml"),
        ("run", "inbox", "--db", "sqlite:///fresh.db"),
        ("explain", "123", "--db", "sqlite:///a.db"),
        ("explain", "12x", "--db", "sqlite:///a.db"),
        ("explain", "1", "--db", "sqlite:///absent.db"),
        ("reference", "load", "inbox", "--db", "sqlite:///a.db"),
        ("check", "absent.837"),
        ("run", "--no-such-option", "inbox"),
        ("run",),
        ("no-such-command",),
        ("explain", "1", "--line", "x"),
    ],
)
def test_what_goes_wrong_is_one_line_and_never_a_traceback(
    place: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole command but for its process, which takes a second to start."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["adjudicate", *arguments])
    monkeypatch.setattr(os, "_exit", sys.exit)
    monkeypatch.setattr(gc, "disable", lambda: None)
    monkeypatch.setenv("POLARS_MAX_THREADS", "1")  # so that the command's own ends with the test
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code in (1, 2)
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1
    assert told.startswith("adjudicate: ")


# ---- explain ---------------------------------------------------------------------------------


@pytest.mark.long
def test_every_claim_can_be_explained_and_its_figures_add_up(place: Path) -> None:
    run_night(order(place))
    listed = pl.read_csv(published(place)[f"run-000001-{DAY}/claims.csv"], infer_schema=False)
    with opened(place) as connection:
        for number, submission, disposition in listed.select(
            "claim_number", "submission", "disposition"
        ).iter_rows():
            told = explain(connection, number or f"S{submission}")
            text = as_text(told)
            assert told.claim["disposition"] == disposition
            assert max(map(len, text.splitlines())) <= 80
            if disposition in ("denied", "pended", "rejected"):
                assert told.findings
            if disposition == "denied":
                assert any(f["cites"] for f in told.findings if f["disposition"] == "deny")
            for line in told.lines:
                taken = sum(
                    a["adjustment_amount"]
                    for a in told.adjustments
                    if a["line_number"] == line["line_number"]
                )
                if disposition in ("paid", "denied"):
                    assert line["charge_amount"] - taken == line["paid_amount"]
        with pytest.raises(UnknownClaimError):
            explain(connection, "999999999999")


def test_a_verdict_can_be_told_again() -> None:
    told = FileVerdict("a.837", "read", 3, 1, ["x"])
    assert FileVerdict(**vars(told)) == told


# ---- the corpus ------------------------------------------------------------------------------


def own_number(path: Path, number: int) -> bytes:
    """A sample under an ISA13 of its own: they come from many hands, who all began at 1."""
    data = path.read_bytes()
    isa = re.match(rb"(?s)ISA(.).{86}([0-9]{9})\1", data)
    if isa is None:
        return data
    own = b"%09d" % number
    return re.sub(rb"(IEA.[0-9]+.)" + isa[2], rb"\g<1>" + own, data).replace(isa[2], own, 1)


def _checked_npi(found: re.Match[bytes]) -> bytes:
    return samples.npi(int(found[1])).encode()


@pytest.mark.long
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is absent: no corpus to read")
def test_the_corpus_is_read_or_refused_and_what_is_read_is_priced(tmp_path: Path) -> None:
    from tests.corpus_reference import write_reference

    inbox = tmp_path / "inbox"
    inbox.mkdir()
    files = [p for p in sorted((SHARED / "corpus").rglob("*837*")) if p.is_file()]
    for at, path in enumerate(files, start=1):
        # most of their NPIs are made up without a check digit, which would return the claim
        data = re.sub(rb"(?<=XX.)\d(\d{8})\d(?!\d)", _checked_npi, own_number(path, at))
        (inbox / f"{path.parent.name}-{path.name}").write_bytes(data)
    write_reference(tmp_path / "reference", sorted(inbox.iterdir()))
    load(url(tmp_path), tmp_path / "reference")
    config = Config(
        db=url(tmp_path), out=tmp_path / "out",
        programs=tmp_path / "reference" / "config" / "programs",
    )  # fmt: skip
    summary = run_night(Order((inbox,), config, DAY, DAY, accept_test=True))
    assert len(summary.files) == len(files)
    for f in summary.files:
        assert f.verdict == "read" or f.reasons, f.name
    fates = by_fate(summary)
    assert sum(fates[d] for d in night.DISPOSITIONS) == fates["received"]
    readable = fates["received"] - fates["rejected"]
    # of the 13 that can be read, three bill a range of days on a line (box 24a)
    assert readable >= 10
    assert summary.priced_count >= 0.6 * readable
    for name, document in published(tmp_path).items():
        if name.endswith(".835"):
            assert check_835(document) == []
            assert pyx12_errors(document) == []
