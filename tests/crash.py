"""Pull the plug at every call of a night that writes, syncs, renames or unlinks, and go on.

    python -m tests.crash                          every call of a night of 20 claims, three faults
    python -m tests.crash --claims 200 --points 200
    python -m tests.crash --points 60              a sample, seeded

strace kills the interpreter at the n-th call on a file (SIGKILL), or makes that call fail (EIO,
ENOSPC). Then the same command is done again, undisturbed, and must end in the same bytes as a night
that nothing happened to: published files and every row of the store. What was done is kept in
build/crash, so that a sweep that was stopped goes on. A change of the program begins it anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select

from adjudicator import store
from adjudicator.load import load_reference
from adjudicator.night import Order, run_night
from adjudicator.store.tables import metadata
from adjudicator.verify import verify
from edi.remitted import remitted
from schemas.config import Config
from tests.synthetic import BUSINESS_DATE, generate

ROOT = Path(__file__).resolve().parents[1]
CALLS = (
    "write", "writev", "pwrite64", "pwritev", "fsync", "fdatasync", "ftruncate", "fallocate",
    "rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat", "mkdir", "mkdirat",
    "rmdir",
)  # fmt: skip
FAULTS = {"kill": "signal=SIGKILL", "EIO": "error=EIO", "ENOSPC": "error=ENOSPC"}
CLOCK = ("recorded_at", "started_at", "finished_at")
NIGHT_SEED = 7
# the place of a call: what was opened as fd<path>, or the first path said
PLACE = re.compile(r"^\d+ +(\w+)\((?:\d+<([^>]*)>|\"([^\"]*)\"|AT_FDCWD[^,]*, \"([^\"]*)\")")


@dataclass(frozen=True)
class Point:
    """The ``when``-th call of that name on a file, and what happens there."""

    call: str
    path: str  # below the night's place
    when: int
    fault: str

    def key(self) -> str:
        return f"{self.fault} {self.call} {self.when} {self.path}"


@dataclass(frozen=True)
class Struck:
    """What came of one point. ``whole``: what was visible after the fault was a whole night or
    none; ``code`` the exit code then, -9 where it was killed."""

    point: Point
    reached: bool
    code: int
    whole: bool
    lost: int
    paid_twice: int
    same: bool
    faults: list[str]

    @property
    def absorbed(self) -> bool:
        """The fault was met without loss, by SQLite as a rule, which keeps its log and goes on."""
        return self.reached and self.point.fault != "kill" and self.code == 0

    @property
    def good(self) -> bool:
        return self.whole and self.same and not (self.lost or self.paid_twice or self.faults)


@dataclass(frozen=True)
class Ended:
    """A night as it ended: files by name, digests of the store's tables, claims and payments."""

    files: dict[str, bytes]
    tables: dict[str, str]
    claims: frozenset[tuple[int, str | None]]


class Site:
    """A night with its reference data, done once without disturbance, and how to disturb it."""

    def __init__(self, folder: Path, claims: int) -> None:
        self.folder = folder
        made = folder / "made"
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            generate(made, claims, seed=NIGHT_SEED)
            engine = store.open_store(f"sqlite:///{made / 'a.db'}")
            with engine.begin() as connection:
                load_reference(connection, made / "reference")
            engine.dispose()
            (folder / "ready").touch()
        self.made = made

    def fresh(self, name: str) -> Path:
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        shutil.copy(self.made / "a.db", place / "a.db")
        (place / "inbox").symlink_to(self.made / "inbox")
        return place

    def command(self, place: Path) -> list[str]:
        return [
            sys.executable, "-m", "cli", "run", str(place / "inbox"),
            "--db", f"sqlite:///{place / 'a.db'}", "--out", str(place / "out"),
            "--business-date", BUSINESS_DATE.isoformat(),
        ]  # fmt: skip

    def strace(self, place: Path, *options: str) -> tuple[int, str]:
        log = place / "strace"
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", str(log), *options, *self.command(place)],
            cwd=place, check=False, capture_output=True, timeout=600,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        told = log.read_text("utf-8", "replace")
        log.unlink()
        return done.returncode, told

    def run_again(self, place: Path) -> None:
        config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out")
        run_night(Order((place / "inbox",), config, BUSINESS_DATE, BUSINESS_DATE))

    def undisturbed(self) -> tuple[Ended, list[Point]]:
        """How the night ends, and every call of it that a fault can be put at."""
        place = self.fresh("undisturbed")
        code, told = self.strace(place, "-y", "-e", f"trace={','.join(CALLS)}")
        assert code == 0, told[-2000:]
        # strace counts by thread: where two write one file, the first to come so far is struck
        counts: Counter[tuple[str, str, str]] = Counter()
        points: dict[Point, None] = {}
        for thread, call, name in calls_of(told, place):
            counts[thread, call, name] += 1
            for fault in FAULTS:
                points[Point(call, name, counts[thread, call, name], fault)] = None
        return ended(place), list(points)

    def strike(self, point: Point, expected: Ended, name: str) -> Struck:
        """The night with that fault, what is seen of it then, and the same command again."""
        place = self.fresh(name)
        code, told = self.strace(
            place, "-P", str(place / point.path), "-e", f"trace={point.call}",
            "-e", f"inject={point.call}:{FAULTS[point.fault]}:when={point.when}",
        )  # fmt: skip
        # strace ends as its child did
        code = -9 if code in (-9, 137) else code
        seen = visible(place)
        whole = not seen or seen == visible_of(expected)
        self.run_again(place)
        found = ended(place)
        faults = faults_of(place)
        struck = Struck(
            point=point,
            reached="INJECTED" in told or code == -9,
            code=code,
            whole=whole,
            lost=len(expected.claims - found.claims),
            paid_twice=paid_twice(place),
            same=(found.files, found.tables) == (expected.files, expected.tables),
            faults=faults,
        )
        if struck.good:
            shutil.rmtree(place)
        return struck


def calls_of(told: str, place: Path) -> Iterator[tuple[str, str, str]]:
    """The calls of a trace with decoded paths: thread, call, and the file below the place."""
    for line in told.splitlines():
        found = PLACE.match(line)
        path = next((p for p in found.groups()[1:] if p), "") if found else ""
        if found is not None and path.startswith(f"{place}/"):
            yield line.split()[0], found[1], path.removeprefix(f"{place}/")


def visible(place: Path) -> dict[str, bytes]:
    """What whoever collects a night sees of it: folders that aren't hidden."""
    return {n: b for n, b in _files(place / "out") if not n.startswith(".")}


def visible_of(ended: Ended) -> dict[str, bytes]:
    return {n: b for n, b in ended.files.items() if not n.startswith(".")}


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def ended(place: Path) -> Ended:
    engine = store.open_store(f"sqlite:///{place / 'a.db'}", create=False)
    tables = {}
    with store.reading(engine) as connection:
        for name, table in metadata.tables.items():
            columns = [c for c in table.columns if c.name not in CLOCK]
            rows = sorted(map(repr, connection.execute(select(*columns))))
            if name == "sequence":  # each attempt has a number of its own
                rows = [r for r in rows if "fencing" not in r]
            tables[name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        claims = connection.exec_driver_sql("SELECT claim_id, disposition FROM claim").all()
    engine.dispose()
    return Ended(dict(_files(place / "out")), tables, frozenset((int(c), d) for c, d in claims))


def paid_twice(place: Path) -> int:
    """Claims that stand more than once in the 835s of the place."""
    counts = Counter(
        number
        for name, data in _files(place / "out")
        if name.endswith(".835")
        for each in remitted(data)
        for number in each.claims
    )
    return sum(count > 1 for count in counts.values())


def faults_of(place: Path) -> list[str]:
    engine = store.open_store(f"sqlite:///{place / 'a.db'}", create=False)
    with store.reading(engine) as connection:
        found = verify(connection, place / "out").faults
    engine.dispose()
    return [f"{fault.file}: {fault.what}" for fault in found]


def sample(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    return random.Random(seed).sample(list(points), min(count, len(points)))


def source_digest() -> str:
    digest = hashlib.sha256()
    for room in ("adjudicator", "edi", "schemas"):
        for path in sorted((ROOT / room).rglob("*.py")):
            digest.update(path.read_bytes())
    digest.update((ROOT / "tests" / "synthetic.py").read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:12]


def sweep(
    folder: Path, claims: int, count: int | None, seed: int, workers: int
) -> tuple[list[Struck], int]:
    """Strikes the points that were not struck before; returns all results, and how many points
    the night has."""
    site = Site(folder / f"{claims}-{source_digest()}", claims)
    expected, points = site.undisturbed()
    chosen = points if count is None else sample(points, count, seed)
    kept = site.folder / "done.jsonl"
    known: dict[str, Struck] = {}
    if kept.exists():
        for line in kept.read_text("utf-8").splitlines():
            told = json.loads(line)
            one = Struck(**{**told, "point": Point(**told["point"])})
            known[one.point.key()] = one
    todo = [p for p in chosen if p.key() not in known]
    local = threading.local()
    names = iter(range(workers))

    def strike(point: Point) -> Struck:
        if not hasattr(local, "name"):
            local.name = f"worker{next(names)}"
        return site.strike(point, expected, local.name)

    with ThreadPoolExecutor(workers) as pool, kept.open("a", encoding="utf-8") as done:
        for at, future in enumerate(as_completed([pool.submit(strike, p) for p in todo]), 1):
            one = future.result()
            known[one.point.key()] = one
            done.write(json.dumps(asdict(one)) + "\n")
            done.flush()
            if not one.good:
                print(f"\n{one}", file=sys.stderr)
            if sys.stderr.isatty():
                print(f"\r{at} of {len(todo)}", end="", file=sys.stderr)
    return [known[p.key()] for p in chosen], len(points)


def told(results: Sequence[Struck], claims: int, points: int) -> str:
    by_fault = Counter(r.point.fault for r in results)
    errors = [r for r in results if r.point.fault != "kill" and r.reached]
    return "\n".join([
        f"a night of {claims} claims, {points} points "
        f"({points // len(FAULTS)} calls, {len(FAULTS)} faults each)",
        f"  struck        {len(results):>6}  ({', '.join(f'{n} {by_fault[n]}' for n in FAULTS)})",
        f"  not reached   {sum(not r.reached for r in results):>6}",
        f"  lost          {sum(r.lost for r in results):>6}",
        f"  paid twice    {sum(r.paid_twice for r in results):>6}",
        f"  half a night  {sum(not r.whole for r in results):>6}",
        f"  other bytes   {sum(not r.same for r in results):>6}",
        f"  verify finds  {sum(bool(r.faults) for r in results):>6}",
        f"  errors        {len(errors):>6}  exit 1: {sum(r.code == 1 for r in errors)}, "
        f"met without loss, exit 0: {sum(r.absorbed for r in errors)}",
        *sorted({f"    exit 0 at {r.point.call} {r.point.path}" for r in errors if r.absorbed}),
    ])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--claims", type=int, default=20)
    parser.add_argument("--points", type=int, help="so many, by --seed; default every one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "crash")
    given = parser.parse_args(arguments)
    if shutil.which("strace") is None:
        print("strace is not here: install it (Debian: strace)", file=sys.stderr)
        return 1
    results, points = sweep(
        given.folder.resolve(), given.claims, given.points, given.seed, given.workers
    )
    print(told(results, given.claims, points))
    return int(not all(r.good and r.reached for r in results))


if __name__ == "__main__":
    raise SystemExit(main())
