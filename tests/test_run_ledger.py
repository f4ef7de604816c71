"""One run at a time, nights off the usual, our own failures: nothing is lost or paid twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from adjudicator import night, store
from adjudicator.abnormal import abnormal
from adjudicator.decide import allowed_failures
from adjudicator.night import LockedError, NightError, Order, run_night
from adjudicator.stages import STAGES
from adjudicator.verify import verify
from schemas.config import Config
from tests.crash import Ended, ended, faults_of, paid_twice
from tests.synthetic import generate
from tests.test_night import DAY, NEXT, ROOT, load, order, published, rows

CLAIMS = 40
RACES = int(os.environ.get("RACES", "1"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    generate(folder, CLAIMS, seed=7)
    load(f"sqlite:///{folder / 'loaded.db'}", folder / "reference")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def expected(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    alone = tmp_path_factory.mktemp("alone")
    shutil.copy(made / "loaded.db", alone / "a.db")
    run_night(order(alone, made / "inbox"))
    return ended(alone)


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made / "loaded.db", tmp_path / "a.db")
    (tmp_path / "inbox").symlink_to(made / "inbox")
    return tmp_path


# ---- one run at a time -----------------------------------------------------------------------


@pytest.mark.parametrize("step", ["intake", "commit", "publish"])
def test_a_run_that_lost_its_lock_writes_nothing_more(
    place: Path, expected: Ended, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The lock's file was taken away: a second run of the same night begins and ends in the
    middle of the first."""
    monkeypatch.setattr(night, "_lock", lambda _: nullcontext())
    after: list[Ended] = []

    def second(at: str) -> None:
        if at == step and not after:
            after.append(ended(place)) if run_night(order(place)) else None

    with pytest.raises(LockedError, match="another run has begun"):
        run_night(order(place), second)
    assert (after[0].files, after[0].tables) == (expected.files, expected.tables)
    assert ended(place) == after[0]
    assert faults_of(place) == []


def test_a_run_that_lost_its_lock_to_another_night_commits_nothing(
    place: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run, of another day, decides what the first took in: it is not decided twice."""
    monkeypatch.setattr(night, "_lock", lambda _: nullcontext())
    after: list[Ended] = []

    def second(at: str) -> None:
        if at == "commit" and not after:
            run_night(order(place, made / "empty", day=NEXT))
            after.append(ended(place))

    with pytest.raises(LockedError):
        run_night(order(place), second)
    assert ended(place) == after[0]
    assert rows(place, "payment") > 0
    assert paid_twice(place) == 0


def test_a_ledger_that_moved_since_the_snapshot_stops_the_night(place: Path) -> None:
    """Whoever books beside the night, with no number taken, is seen by the ledger's head."""

    def beside(at: str) -> None:
        if at == "commit":
            engine = store.open_store(f"sqlite:///{place / 'a.db'}")
            with engine.begin() as connection:
                connection.exec_driver_sql(
                    "INSERT INTO ledger_entry (entry_id, run_id, payee_id, program_code, kind, "
                    "entry_amount) VALUES (1, 1, 'P', 'carepartners', 'claim', 100)"
                )
            engine.dispose()

    with pytest.raises(NightError, match="the ledger has moved"):
        run_night(order(place), beside)
    assert rows(place, "payment") == 0
    assert not published(place)


def test_a_run_whose_claims_another_night_decided_meanwhile_comes_to_its_end(
    place: Path, made: Path
) -> None:
    """Stopped once its files were taken in, it finds them decided: it receives what it rejected,
    brings forward what still waits, and every claim stands in one night's figures as received."""

    def stopped(at: str) -> None:
        if at == "decide":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_night(order(place), stopped)
    other = run_night(order(place, made / "empty", day=NEXT)).counts
    rejected, accepted = (
        rows(place, "claim WHERE disposition = 'rejected'"),
        rows(place, "claim WHERE claim_number IS NOT NULL"),
    )
    assert rejected > 0
    assert rejected + accepted == CLAIMS
    assert other["received"]["count"] == 0
    assert other["brought_forward"]["count"] == accepted
    waiting = other["carried_forward"]
    assert waiting["count"] > 0
    own = run_night(order(place)).counts
    assert own["received"] == own["rejected"] != waiting
    assert own["received"]["count"] == rejected
    assert own["brought_forward"] == waiting
    assert faults_of(place) == []


def test_a_finished_night_asked_for_again_takes_no_number(place: Path) -> None:
    run_night(order(place))
    before = (place / "a.db").read_bytes()
    run_night(order(place))
    assert (place / "a.db").read_bytes() == before


@pytest.mark.parametrize("race", range(RACES))
def test_of_two_runs_at_once_one_works_and_the_other_exits_75(
    place: Path, expected: Ended, race: int
) -> None:
    command = [
        sys.executable, "-m", "cli", "run", "inbox", "--db", "sqlite:///a.db", "--out", "out",
        "--business-date", DAY.isoformat(),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=120) for process in both]
    codes = sorted(process.returncode for process in both)
    # started one after the other, the second may find the night done and only report it
    assert codes in ([0, 75], [0, 0]), told
    if codes == [0, 75]:
        assert any("another run holds the lock" in err for _, err in told)
    found = ended(place)
    assert (found.files, found.tables) == (expected.files, expected.tables)


# ---- what was committed and is not published yet ---------------------------------------------


class Killed(BaseException):
    pass


def stopped_before_publishing(place: Path) -> Path:
    def stop(at: str) -> None:
        if at == "publish":
            raise Killed

    with pytest.raises(Killed):
        run_night(order(place), stop)
    [partial] = (place / "out").iterdir()
    return partial


def test_files_that_are_not_as_committed_are_not_published(place: Path, expected: Ended) -> None:
    """The torn one is rendered again (tests/test_render_again.py)."""
    partial = stopped_before_publishing(place)
    path = min(partial.rglob("*.835"))
    path.write_bytes(path.read_bytes()[:-1])
    run_night(order(place))
    found = ended(place)
    assert (found.files, found.tables) == (expected.files, expected.tables)
    assert faults_of(place) == []


def test_a_night_renamed_but_not_noted_is_noted_by_the_next_run(
    place: Path, expected: Ended
) -> None:
    partial = stopped_before_publishing(place)
    partial.rename(partial.with_name(partial.name.removeprefix(".").removesuffix(".partial")))
    run_night(order(place))
    found = ended(place)
    assert (found.files, found.tables) == (expected.files, expected.tables)


# ---- nights off the usual --------------------------------------------------------------------


def nights_before(place: Path, nights: list[tuple[int, int]]) -> None:
    """Nights as the audit trail tells them: claims received, cents paid."""
    engine = store.open_store(f"sqlite:///{place / 'a.db'}")
    with engine.begin() as connection:
        for count, paid in nights:
            store.append_audit(
                connection, "decided", {"received": {"count": count}, "paid_amount": paid}
            )
    engine.dispose()


@pytest.mark.parametrize(
    ("nights", "claims", "paid", "found"),
    [
        ([(100, 5_000)] * 4, 10_000, 9_000_000, []),  # four nights tell nothing yet
        ([(100, 5_000)] * 5, 300, 15_000, []),  # three times the median is usual still
        ([(100, 5_000)] * 5, 301, 15_000, [("claim_count", 100, 300)]),
        ([(100, 5_000)] * 5, 300, 15_001, [("paid_amount", 5_000, 15_000)]),
        ([(1, 50)] * 5, 50, 1_000, []),  # not above the floors, 50 and 1,000
        ([(1, 50)] * 5, 51, 1_001, [("claim_count", 1, 50), ("paid_amount", 50, 1_000)]),
        # nights without claims don't tell what is usual
        ([(0, 0)] * 9 + [(100, 5_000)] * 5, 300, 15_000, []),
        ([(0, 0)] * 9 + [(100, 5_000)] * 4, 9_999, 0, []),
        # the last 20 alone: of 10 of 200 and 10 of 100 claims the higher middle one is 200
        ([(9_000, 0)] * 30 + [(200, 0)] * 10 + [(100, 0)] * 10, 600, 0, []),
        ([(9_000, 0)] * 30 + [(200, 0)] * 10 + [(100, 0)] * 10, 601, 0,
         [("claim_count", 200, 600)]),
    ],
)  # fmt: skip
def test_far_off_the_usual(
    tmp_path: Path, nights: list[tuple[int, int]], claims: int, paid: int, found: list[Any]
) -> None:
    nights_before(tmp_path, nights)
    config = Config(abnormal_claim_count=50, abnormal_paid_amount=1_000)
    engine = store.open_store(f"sqlite:///{tmp_path / 'a.db'}")
    with store.reading(engine) as connection:
        told = abnormal(connection, config, claim_count=claims, paid_amount=paid)
    engine.dispose()
    assert [(a.figure, a.median, a.limit) for a in told] == found


def test_an_abnormal_night_waits_for_approval(place: Path, expected: Ended) -> None:
    nights_before(place, [(10, 100_000)] * 5)
    config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out", abnormal_claim_count=39)
    asked = Order((place / "inbox",), config, DAY, DAY)
    with pytest.raises(NightError) as stopped:
        run_night(asked)
    # 40 came; 3 times 10 is 30, below the floor of 39
    assert "40 claims received, above 39; the median of the last 5 nights is 10" in str(
        stopped.value
    )
    assert "--approve" in str(stopped.value)
    assert rows(place, "payment") == rows(place, "ledger_entry") == rows(place, "outbox") == 0
    assert list((place / "out").iterdir()) == []
    run_night(Order((place / "inbox",), config, DAY, DAY, approve=True))
    found = ended(place)
    changed = {n for n in expected.files if found.files[n] != expected.files[n]}
    assert {Path(n).name for n in changed} == {"manifest.json"}  # the trail has a row more
    assert found.tables["ledger_entry"] == expected.tables["ledger_entry"]
    engine = store.open_store(f"sqlite:///{place / 'a.db'}")
    with store.reading(engine) as connection:
        [approved] = store.details_of(connection, "approved", 10)
        assert json.loads(approved)["abnormal"][0]["tonight"] == 40
        assert all("row" not in f.what for f in verify(connection, place / "out").faults)
    engine.dispose()


def test_approval_of_a_usual_night_changes_nothing(place: Path, expected: Ended) -> None:
    run_night(order(place, approve=True))
    found = ended(place)
    assert (found.files, found.tables) == (expected.files, expected.tables)


# ---- our own failures ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "limit", "allowed"),
    [(1, 100, 1), (199, 100, 1), (200, 100, 2), (10_000, 100, 100), (10_100, 100, 100),
     (100_000, 100, 100), (10_000, 7, 7)],
)  # fmt: skip
def test_one_in_a_hundred_may_fail_and_no_more_than_the_limit(
    claims: int, limit: int, allowed: int
) -> None:
    assert allowed_failures(claims, limit) == allowed


@pytest.mark.long
@pytest.mark.parametrize(("culprits", "stops"), [(1, False), (2, True)])
def test_above_one_in_a_hundred_the_night_stops(
    place: Path, monkeypatch: pytest.MonkeyPatch, culprits: int, stops: bool
) -> None:
    """Of fewer than 200 claims one may fail, and no second one."""
    bad = {7, 17}

    @wraps(STAGES[4])
    def fragile(batch: Any, reference: Any) -> Any:
        if not set(sorted(bad)[:culprits]).isdisjoint(batch.claims["claim_id"]):
            raise ZeroDivisionError
        return STAGES[4](batch, reference)

    monkeypatch.setattr("adjudicator.decide.STAGES", (*STAGES[:4], fragile, *STAGES[5:]))
    if not stops:
        run_night(order(place))
        assert rows(place, "claim WHERE pend_codes = 'SYSTEM'") == culprits
        return
    with pytest.raises(NightError, match=r"more than 1 of \d+ claims make the program fail"):
        run_night(order(place))
    assert rows(place, "payment") == 0
    assert not published(place)
