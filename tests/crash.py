"""Pull the plug at every call of a night that writes, syncs, renames or unlinks, and go on.

    python -m tests.crash                          every call of a night of 20 claims, three faults
    python -m tests.crash --claims 200 --points 200
    python -m tests.crash --points 60              a sample, seeded

strace kills the process at the n-th call of one of its threads on a file (SIGKILL), or makes that
call fail (EIO, ENOSPC). Then the same command is done again, undisturbed, and must end in the same
bytes as a night that nothing happened to: published files and every row of the store. What was done
is kept in build/crash, so that a sweep that was stopped goes on. A change of the program begins it
anew. Each night is a process of its own, forked from one that has loaded the program (Nights).
"""

from __future__ import annotations

import argparse
import ctypes
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
from typing import Any

from sqlalchemy import select

from adjudicator import store
from adjudicator.load import load_reference
from adjudicator.night import Order, run_night
from adjudicator.programs import (
    load_benefit_categories,
    load_code_lists,
    load_forms,
    load_programs,
)
from adjudicator.store.tables import metadata
from adjudicator.verify import verify
from edi.guide import GUIDES, guide_for
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
PLACE = re.compile(r"^(?:\d+ +)?(\w+)\((?:\d+<([^>]*)>|\"([^\"]*)\"|AT_FDCWD[^,]*, \"([^\"]*)\")")


MAIN = "1"
SET_PTRACER, ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
SECONDS = 600


@dataclass(frozen=True)
class Point:
    """A thread's ``when``-th call of that name on a file, and what happens there.

    Threads go by who began them: 1.2 is the second that the first thread began."""

    call: str
    path: str  # below the night's place
    when: int
    fault: str
    thread: str = MAIN

    def key(self) -> str:
        return f"{self.fault} {self.thread} {self.call} {self.when} {self.path}"


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
        self.local = threading.local()  # a server for each thread that strikes
        self.servers: list[Nights] = []
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

    def close(self) -> None:
        for nights in self.servers:
            nights.close()

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

    def strace(
        self, place: Path, *options: str, thread: str = ""
    ) -> tuple[int, str, dict[str, str]]:
        """The night under strace, in one thread or in all: its exit code, what strace tells, and
        its threads by their numbers in that."""
        log = place / "strace"
        if not hasattr(self.local, "nights"):
            self.local.nights = Nights()
            self.servers.append(self.local.nights)
        code, threads = self.local.nights.run(
            self.command(place)[3:], place, ["-o", str(log), *options], thread
        )
        told = log.read_text("utf-8", "replace")
        log.unlink()
        return code, told, threads

    def run_again(self, place: Path) -> None:
        config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out")
        run_night(Order((place / "inbox",), config, BUSINESS_DATE, BUSINESS_DATE))

    def undisturbed(self) -> tuple[Ended, list[Point]]:
        """How the night ends, and every call of it that a fault can be put at."""
        place = self.fresh("undisturbed")
        code, told, threads = self.strace(place, "-y", "-e", f"trace={','.join(CALLS)}")
        assert code == 0, told[-2000:]
        counts: Counter[tuple[str, str, str]] = Counter()
        points: dict[Point, None] = {}
        for number, call, name in calls_of(told, place):
            counts[number, call, name] += 1
            when = counts[number, call, name]
            for fault in FAULTS:
                # threads of the libraries, which no name is known of, write to no file
                points[Point(call, name, when, fault, threads[number])] = None
        return ended(place), list(points)

    def strike(self, point: Point, expected: Ended, name: str) -> Struck:
        """The night with that fault, what is seen of it then, and the same command again."""
        place = self.fresh(name)
        code, told, _ = self.strace(
            place, "-P", str(place / point.path), "-e", f"trace={point.call}",
            "-e", f"inject={point.call}:{FAULTS[point.fault]}:when={point.when}",
            thread=point.thread,
        )  # fmt: skip
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


class Nights:
    """A process that has loaded the program and, asked for a night, forks another that does it.

    That one stops before its first step, or as the named thread begins, until strace is attached
    to all of it, or to that thread alone.
    """

    def __init__(self) -> None:
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.crash", "--nights"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1",
                 "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip

    def close(self) -> None:
        for pipe in (self.server.stdin, self.server.stdout):
            assert pipe is not None
            pipe.close()
        self.server.wait(SECONDS)

    def _hear(self) -> dict[str, Any]:
        assert self.server.stdout is not None
        told: dict[str, Any] = json.loads(self.server.stdout.readline())
        return told

    def _say(self, what: object) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps(what) + "\n")
        self.server.stdin.flush()

    def run(
        self, command: list[str], place: Path, options: list[str], thread: str
    ) -> tuple[int, dict[str, str]]:
        self._say({"command": command, "place": str(place), "thread": thread})
        tracer: subprocess.Popen[str] | None = None
        threads: dict[str, str] = {}
        while True:
            told = self._hear()
            if "waits" in told:
                everywhere = [] if thread else ["-f"]
                tracer = subprocess.Popen(
                    ["strace", *everywhere, *options, "-p", str(told["waits"])],
                    stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
                assert tracer.stderr is not None
                line = tracer.stderr.readline()
                assert "attached" in line, line
                self._say("go")
            elif "thread" in told:
                threads[str(told["number"])] = told["thread"]
            else:
                break
        if tracer is not None:
            tracer.communicate(timeout=SECONDS)
        else:  # the thread was never begun
            (place / "strace").touch()
        return int(told["ended"]), threads


def serve_nights() -> None:
    """The server of Nights: a line asks for a night, lines tell of it."""
    from importlib import import_module

    for name in ("cli", "adjudicator.night", "adjudicator.load", "sqlalchemy.dialects.sqlite",
                 "adjudicator.explain", "adjudicator.story", "pyx12.map_if"):  # fmt: skip
        import_module(name)
    load_programs(None), load_forms(), load_code_lists(), load_benefit_categories()
    for code in GUIDES:
        guide_for(code)
    assert threading.active_count() == 1  # a fork has only the thread that forks
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _be_a_night(**asked)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), flush=True)


def _be_a_night(command: list[str], place: str, thread: str) -> None:
    """The command, in this process, which ends by it."""
    said, heard = os.dup(1), os.dup(0)
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    ctypes.CDLL(None).prctl(SET_PTRACER, ANYBODY, 0, 0, 0)  # where only parents may trace

    def say(**what: object) -> None:
        os.write(said, (json.dumps(what) + "\n").encode())

    def begin(name: str) -> None:
        here = threading.current_thread()
        here.begun_as, here.begun = name, 0  # type: ignore[attr-defined]
        say(number=threading.get_native_id(), thread=name)
        if name == (thread or MAIN):
            say(waits=threading.get_native_id())
            os.read(heard, 100)

    start, run = threading.Thread.start, threading.Thread.run

    def start_named(self: Any) -> None:
        parent: Any = threading.current_thread()
        parent.begun += 1
        self.to_begin_as = f"{parent.begun_as}.{parent.begun}"
        start(self)

    def run_named(self: Any) -> None:
        begin(self.to_begin_as)
        run(self)

    threading.Thread.start = start_named  # type: ignore[method-assign]
    threading.Thread.run = run_named  # type: ignore[method-assign]
    os.chdir(place)
    sys.argv = ["adjudicate", *command]
    import cli

    code = 1
    try:
        begin(MAIN)
        cli.main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        os._exit(code)


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
    names = iter(range(workers))

    def strike(point: Point) -> Struck:
        if not hasattr(site.local, "name"):
            site.local.name = f"worker{next(names)}"
        return site.strike(point, expected, site.local.name)

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
    site.close()
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
    parser.add_argument("--nights", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.nights:
        serve_nights()
        return 0
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
