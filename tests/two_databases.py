"""SQLite beside PostgreSQL: the same night on both, and two runs at once on either.

    python -m tests.two_databases [--claims 10000] [--races 50]

needs a server (tests/stores.py). Prints what each took and whether bytes and books are the same;
exits 1 where they aren't, or where a race had no one winner.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from adjudicator import store
from adjudicator.load import load_reference
from adjudicator.night import Order, run_night
from adjudicator.store.tables import metadata
from schemas.config import Config
from tests.bench import ROOT, adjudicate, make_night, measure
from tests.stores import Stores
from tests.synthetic import generate

DAY = date(2025, 11, 15)
RACER = """
import json, sys
from typer.testing import CliRunner
import adjudicator.night, adjudicator.load, cli
print("ready", flush=True)
for line in sys.stdin:
    done = CliRunner().invoke(cli.app, json.loads(line))
    print(json.dumps([done.exit_code, done.stderr]), flush=True)
"""
# the wall clock's columns; and the numbers by which runs that are stopped are told apart
CLOCK = ("started_at", "finished_at", "recorded_at")
FENCING = "fencing"


def published(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def books(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, without what the wall clock says."""
    engine = store.open_store(url, create=False)
    found: dict[str, list[tuple[Any, ...]]] = {}
    with store.reading(engine) as connection:
        for name, table in metadata.tables.items():
            columns = [c.name for c in table.columns if c.name not in CLOCK]
            rows = connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM {name}")
            found[name] = sorted((tuple(row) for row in rows), key=repr)
    engine.dispose()
    found["sequence"] = [row for row in found["sequence"] if row[0] != FENCING]
    return found


def fences(url: str) -> int:
    """How many runs have held the lock with work to do."""
    engine = store.open_store(url, create=False)
    with store.reading(engine) as connection:
        of = connection.exec_driver_sql(
            f"SELECT next_value FROM sequence WHERE name = '{FENCING}'"
        ).scalar_one()
    engine.dispose()
    return int(of) - 1


def load(url: str, reference: Path) -> None:
    engine = store.open_store(url)
    with engine.begin() as connection:
        load_reference(connection, reference)
    engine.dispose()


# ---- two runs at once ------------------------------------------------------------------------


@dataclass(frozen=True)
class Race:
    codes: tuple[int, int]
    winner: int  # whose code is 0
    said: str  # by the other
    loser_wrote: bool


class Racers:
    """Two processes that have everything loaded and begin at the same word."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.processes = [self._racer() for _ in range(2)]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def _racer(self) -> subprocess.Popen[str]:
        return self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", RACER], cwd=ROOT, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, env={**os.environ, "POLARS_MAX_THREADS": "1"},
            )
        )  # fmt: skip

    def race(self, url: str, inbox: Path, outs: Sequence[Path]) -> Race:
        for process, out in zip(self.processes, outs, strict=True):
            config = out.with_suffix(".yaml")
            config.write_text(json.dumps({"db": url, "out": str(out)}))
            assert process.stdin is not None
            process.stdin.write(
                json.dumps(["run", str(inbox), "--config", str(config),
                            "--business-date", DAY.isoformat()]) + "\n"
            )  # fmt: skip
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.flush()
        told = []
        for process in self.processes:
            assert process.stdout is not None
            told.append(json.loads(process.stdout.readline()))
        codes = (told[0][0], told[1][0])
        winner = codes.index(0) if 0 in codes else 0
        return Race(codes, winner, told[1 - winner][1], outs[1 - winner].exists())

    def close(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        self._stack.close()


def races(kind: str, count: int, folder: Path, claims: int = 40) -> str:
    """So many races on one kind of store; a line that tells how they went."""
    generate(folder, claims, seed=3)
    stores = Stores(kind, folder)
    loaded = stores.fresh("loaded")
    load(loaded, folder / "reference")
    alone = stores.copy(loaded, "alone")
    run_night(Order((folder / "inbox",), Config(db=alone, out=folder / "alone"), DAY, DAY))
    expected, ledger = published(folder / "alone"), books(alone)
    racers, wins = Racers(), [0, 0]
    for number in range(count):
        url = stores.copy(loaded, f"race{number}")
        outs = [folder / f"{number}-{side}" for side in "ab"]
        done = racers.race(url, folder / "inbox", outs)
        assert sorted(done.codes) == [0, 75], done
        assert "another run holds the lock" in done.said, done
        assert not done.loser_wrote, done
        assert published(outs[done.winner]) == expected
        assert books(url) == ledger
        assert fences(url) == 1
        wins[done.winner] += 1
    racers.close()
    stores.remove()
    return (
        f"{kind:<10}  {count} races of two runs: each had one winner ({wins[0]} and {wins[1]}); "
        "the other exited 75 and wrote nothing"
    )


# ---- the same night --------------------------------------------------------------------------


def same_night(folder: Path, claims: int) -> str:
    """A made-up night on both, by the command; raises AssertionError where they differ."""
    make_night(folder, claims, seed=1)
    rows, found, kept = [], {}, []
    for kind in ("sqlite", "postgresql"):
        stores = Stores(kind, folder)
        url = stores.fresh(kind)
        kept.append(stores)
        config = folder / f"{kind}.yaml"
        config.write_text(json.dumps({"db": url, "out": str(folder / kind)}))
        told = ["--config", str(config)]
        loading = measure([*adjudicate(), "reference", "load", str(folder / "reference"), *told])
        night = measure([*adjudicate(), "run", str(folder / "inbox"), *told,
                         "--business-date", DAY.isoformat(), "--json"])  # fmt: skip
        rows.append(
            f"{kind:<10}  {claims:>9,}  {loading.seconds:>8.2f}  {night.seconds:>8.2f}  "
            f"{claims / night.seconds:>9,.0f}  {night.peak_mb:>8,.0f}"
        )
        found[kind] = (published(folder / kind), books(url))
    (files, one), (others, other) = found.values()
    assert files == others, sorted(n for n in files | others if files.get(n) != others.get(n))
    for name in one:
        assert one[name] == other[name], name
    for stores in kept:
        stores.remove()
    place = [*metadata.tables["ledger_entry"].columns.keys()].index("entry_amount")
    entries = sum(row[place] for row in one["ledger_entry"])
    return "\n".join(
        [
            f"{'store':<10}  {'claims':>9}  {'load s':>8}  {'night s':>8}  {'claims/s':>9}  "
            f"{'peak MB':>8}",
            *rows,
            f"{len(files):,} files of {sum(map(len, files.values())):,} bytes are the same; so are "
            f"{sum(map(len, one.values())):,} rows of {len(one)} tables, "
            f"{len(one['ledger_entry']):,} ledger entries of {entries:,} cents among them",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.two_databases", description=__doc__)
    parser.add_argument("--claims", type=int, default=0)
    parser.add_argument("--races", type=int, default=0)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="adjudicator-databases-") as name:
        if chosen.claims:
            print(same_night(Path(name) / "night", chosen.claims), flush=True)
        for kind in ("sqlite", "postgresql") if chosen.races else ():
            folder = Path(name) / kind
            folder.mkdir()
            print(races(kind, chosen.races, folder), flush=True)


if __name__ == "__main__":
    main()
