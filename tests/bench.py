"""How fast, in how much memory: pyx12's validation against ours, on the same made-up claims.

    python -m tests.bench [--sizes 1000 10000 100000] [--out build/bench.json]

Every figure is a process of its own, its start included. pyx12 and ``check`` read the night's
professional files; ``run`` takes in the whole night. Claims a second count what each has read.
Where CMS's correct coding tables are at hand (../shared), the nights' reference data has all of
them, three million procedure pairs. ``check`` and ``run`` take a few seconds, in which a machine
may be busy with other things: each is measured five times, and the middle one counts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TIMES = 5
PYX12_LIMIT = 10_000  # claims; it reads some two hundred a second
PYX12 = """
import io, logging, sys
from pyx12.params import params
from pyx12.x12n_document import x12n_document
logging.disable(logging.CRITICAL)
for path in sys.argv[1:]:
    x12n_document(params(), path, io.StringIO(), None)
"""
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
FATES = {  # the summary's words, and a table's
    "paid": "paid", "denied": "denied", "carried_forward": "pended", "rejected": "rejected",
    "voided": "voided",
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What one process took."""

    seconds: float
    peak_mb: float
    output: str
    cpu_seconds: float = 0.0  # of all its threads


def measure(command: Sequence[str], allowed: Sequence[int] = (0,)) -> Measured:
    """Run a command from the repository; its wall time, and the most memory that it and the
    processes it began held together, looked at twenty times a second.

    Raises RuntimeError where it ends with another exit code than those allowed. The peak is at
    least the largest resident set of one of them.
    """
    started = time.perf_counter()
    # bytecode is kept, as an installed program's is: pyx12's was made when it was installed
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, cwd=ROOT, env=kept, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with ThreadPoolExecutor(1) as looking:
        held = looking.submit(_held, process.pid)
        output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by Popen
    if process.returncode not in allowed:
        raise RuntimeError(f"{' '.join(command[:6])} … ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, max(usage.ru_maxrss, held.result()) / 1024, output, cpu)


def _held(pid: int) -> int:
    """The most kilobytes that a process and its children hold at a time, until it ends."""
    most = 0
    while Path(f"/proc/{pid}/statm").exists():
        held = 0
        for one in (pid, *_children(pid)):
            try:
                held += int(Path(f"/proc/{one}/statm").read_text().split()[1])
            except (OSError, IndexError):
                continue  # it has ended
        if held == 0:  # it waits to be reaped
            break
        most = max(most, held * PAGE_KB)
        time.sleep(0.05)
    return most


def _children(pid: int) -> list[int]:
    try:
        told = [p.read_text().split() for p in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for of_thread in told for child in of_thread]


def adjudicate() -> list[str]:
    """The checkout's command line, else the installed command beside this Python."""
    if (ROOT / "cli.py").exists():
        return [sys.executable, "-m", "cli"]
    return [str(Path(sys.executable).with_name("adjudicate"))]


def make_night(folder: Path, claims: int, seed: int, files: int = 1) -> dict[str, Any]:
    """A fresh night, made in a process of its own: a child's peak counts its parent's memory."""
    shutil.rmtree(folder, ignore_errors=True)
    made = measure(
        [sys.executable, "-m", "tests.synthetic", str(folder),
         "--claims", str(claims), "--seed", str(seed), "--files", str(files)]
    )  # fmt: skip
    night: dict[str, Any] = json.loads(made.output)
    told = measure(
        [sys.executable, "-m", "tests.coding_tables", str(folder / "reference"),
         "--from", "2025-01-01", "--to", "2025-12-31"]
    )  # fmt: skip
    return night | json.loads(told.output)


def entry(
    claims: int, what: str, count: int, measured: Measured, dispositions: dict[str, int]
) -> dict[str, Any]:
    return {
        "claims": claims,
        "what": what,
        "claims_read": count,
        "seconds": round(measured.seconds, 3),
        "claims_per_s": round(count / measured.seconds, 1),
        "peak_mb": round(measured.peak_mb, 1),
        "dispositions": dispositions,
    }


def bench(folder: Path, claims: int, seed: int) -> list[dict[str, Any]]:
    """Make a night of that size and measure each program on it."""
    command = adjudicate()
    night = make_night(folder, claims, seed)
    professional = [str(path) for path in sorted((folder / "inbox").glob("professional-*.837"))]
    results = []
    if claims <= PYX12_LIMIT:
        taken = measure([sys.executable, "-c", PYX12, *professional])
        results.append(entry(claims, "pyx12", night["professional"], taken, {}))
    # a night holds claims to be rejected, so that check rightly ends with 1; so does a traceback
    check = [*command, "check", *professional, "--json"]
    taken = _middle([measure(check, allowed=(0, 1)) for _ in range(TIMES)])
    json.loads(taken.output)
    results.append(entry(claims, "check", night["professional"], taken, {}))
    loaded, store, out = (folder / name for name in ("loaded.db", "night.db", "out"))
    measure(
        [*command, "reference", "load", str(folder / "reference"), "--db", f"sqlite:///{loaded}"]
    )
    runs = []
    for _ in range(TIMES):
        shutil.rmtree(out, ignore_errors=True)
        for before in folder.glob(f"{store.name}*"):
            before.unlink()
        shutil.copy(loaded, store)
        runs.append(
            measure(
                [*command, "run", str(folder / "inbox"), "--db", f"sqlite:///{store}",
                 "--out", str(out), "--business-date", "2025-11-15", "--json"]
            )
        )  # fmt: skip
    taken = _middle(runs)
    summary = json.loads(taken.output)
    fates = {fate: int(summary.get(fate, {}).get("count", 0)) for fate in FATES}
    results.append(entry(claims, "run", claims, taken, fates))
    return results


def _middle(measured: Sequence[Measured]) -> Measured:
    """The one of them that took neither most nor least time."""
    return sorted(measured, key=lambda one: one.seconds)[len(measured) // 2]


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results in 80 columns: figures, ratios to pyx12 at its largest size, fates."""
    measured = [r for r in results if r["what"] == "pyx12"]
    base = max(measured, key=lambda r: r["claims"]) if measured else None
    against = f"x pyx12@{base['claims']:,}" if base else "x pyx12"
    lines = [
        f"{'claims':>9}  {'what':<6}  {'read':>9}  {'seconds':>8}  {'claims/s':>9}  "
        f"{against:>14}  {'peak MB':>8}",
        "-" * 76,
    ]
    for r in sorted(
        results, key=lambda r: (r["claims"], ("pyx12", "check", "run").index(r["what"]))
    ):
        ratio = f"{r['claims_per_s'] / base['claims_per_s']:,.1f}" if base else ""
        lines.append(
            f"{r['claims']:>9,}  {r['what']:<6}  {r['claims_read']:>9,}  {r['seconds']:>8,.2f}  "
            f"{r['claims_per_s']:>9,.0f}  {ratio:>14}  {r['peak_mb']:>8,.0f}"
        )
    runs = sorted((r for r in results if r["what"] == "run"), key=lambda r: r["claims"])
    lines += ["", f"{'claims':>9}  " + "".join(f"{word:>12}" for word in FATES.values()), "-" * 71]
    for r in runs:
        total = sum(r["dispositions"].values()) or 1
        lines.append(
            f"{r['claims']:>9,}  "
            + "".join(f"{r['dispositions'].get(fate, 0) / total:>12.1%}" for fate in FATES)
        )
    if base:
        lines.append("")
        lines += [
            f"run@{r['claims']:,} / pyx12@{base['claims']:,} = "
            f"{r['claims_per_s'] / base['claims_per_s']:,.1f}"
            for r in runs
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    out = chosen.out.resolve()
    work = out.parent / "bench"
    # once untimed: what is written to a cache on first use (Python's bytecode) stands there now
    warm = make_night(work / "warm", 50, chosen.seed)
    assert warm["claims"] == 50
    measure(
        [*adjudicate(), "check", *map(str, sorted((work / "warm" / "inbox").glob("*.837")))],
        allowed=(0, 1),
    )
    results: list[dict[str, Any]] = []
    for size in chosen.sizes:
        print(f"measuring {size:,} claims", file=sys.stderr, flush=True)
        results += bench(work / str(size), size, chosen.seed)
        out.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
