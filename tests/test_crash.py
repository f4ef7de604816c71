"""Some points of tests/crash.py, and a disk that is full; the sweep itself is `make crash`, which
also gives ROOMS, the kibibytes that are left on the disk."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import CALLS, FAULTS, Ended, Point, Site, calls_of, ended, faults_of, told, visible

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
CLAIMS = 20
ROOMS = [int(room) for room in os.environ.get("ROOMS", "360").split()]
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not here to put faults at calls"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("crash") / "site", CLAIMS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def expected(site: Site) -> Ended:
    place = site.fresh("alone")
    site.run_again(place)
    return ended(place)


@needs_strace
@pytest.mark.parametrize(
    ("call", "path", "fault"),
    [
        ("rename", "out/.run-000001-2025-11-15.partial", "kill"),
        ("write", "out/.run-000001-2025-11-15.partial/manifest.json", "ENOSPC"),
    ],
)
def test_whatever_happens_at_a_call_the_next_run_ends_as_if_it_had_not(
    site: Site, expected: Ended, call: str, path: str, fault: str
) -> None:
    struck = site.strike(Point(call, path, 1, fault), expected, f"{fault}-{call}")
    assert struck.reached
    assert struck.good, struck
    assert struck.code == (-9 if fault == "kill" else 1)
    assert told([struck], CLAIMS, 3).count("\n") == 8
    assert fault in FAULTS


@needs_strace
def test_all_is_on_disk_before_the_commit_and_visible_only_after_it(site: Site) -> None:
    """What a power cut asks for, which no kill can show: every file and folder synced, then the
    store's log, then the rename, then the folder it is in."""
    place = site.fresh("order")
    code, trace, _ = site.strace(place, "-y", "-e", f"trace={','.join(CALLS)}")
    assert code == 0
    calls = [(call, name) for _, call, name in calls_of(trace, place)]
    partial = "out/.run-000001-2025-11-15.partial"
    committed = max(
        at for at, call in enumerate(calls[: calls.index(("rename", partial))])
        if call == ("fdatasync", "a.db-wal")
    )  # fmt: skip
    before = calls[:committed]
    written = {name for call, name in before if call == "write" and name.startswith(partial)}
    assert len(written) > 10
    for name in written:
        assert before.index(("write", name)) < before.index(("fsync", name)), name
    last = max(at for at, (call, _) in enumerate(before) if call == "write")
    for folder in (partial, f"{partial}/835", f"{partial}/acks", "out"):
        assert ("fsync", folder) in before[last:], folder
    after = calls[committed:]
    assert not any(call == "write" and name.startswith("out/") for call, name in after)
    assert after.index(("rename", partial)) < after.index(("fsync", "out"))
    # then the store says so
    assert after.index(("fsync", "out")) < after.index(("pwrite64", "a.db-wal"))


# ---- a disk without room ---------------------------------------------------------------------


def run(site: Site, place: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def small() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        site.command(place), cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=small, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("kibibytes", [280, 340])
def test_files_that_may_not_grow_stop_the_night_and_cost_nothing(
    site: Site, expected: Ended, kibibytes: int
) -> None:
    """No file above the limit: the log of the store can't be written, or (340) the store itself."""
    place = site.fresh(f"limit-{kibibytes}")
    done = run(site, place, kibibytes * 1024)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert visible(place) == {}
    site.run_again(place)
    found = ended(place)
    assert (found.files, found.tables) == (expected.files, expected.tables)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1.5 MB, where mounting is permitted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k,mode=700", "tmpfs", str(disk)],
        check=False, capture_output=True,
    ).returncode:  # fmt: skip
        pytest.skip("no small disk can be mounted here: it takes the right to mount")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("room", ROOMS)
def test_a_full_disk_stops_the_night_and_costs_nothing(
    site: Site, expected: Ended, small_disk: Path, room: int
) -> None:
    """Kibibytes are left: for the intake's beginning, for the decisions but not all files."""
    shutil.copy(site.made / "a.db", small_disk / "a.db")
    (small_disk / "inbox").symlink_to(site.made / "inbox")
    free = shutil.disk_usage(small_disk).free
    with (small_disk / "ballast").open("wb") as ballast:
        ballast.write(bytes(free - room * 1024))
    done = run(site, small_disk)
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.strip().splitlines()) == 1
    assert visible(small_disk) == {}
    (small_disk / "ballast").unlink()
    site.run_again(small_disk)
    found = ended(small_disk)
    assert (found.files, found.tables) == (expected.files, expected.tables)
    assert faults_of(small_disk) == []
    assert sys.platform == "linux"
