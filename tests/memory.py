"""How much memory ``check`` and ``run`` take, and how it grows with the night.

    python -m tests.memory [--sizes 30000 100000 300000] [--out build/memory.json]

Every figure is the largest resident set of a process of its own. ``check`` reads the professional
file, ``run`` the whole night. Bytes a claim: what a size takes more than the one before it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import adjudicate, make_night, measure


def measured(folder: Path, claims: int, seed: int) -> dict[str, Any]:
    """One night's row."""
    command = adjudicate()
    night = make_night(folder, claims, seed)
    file = folder / "inbox" / "professional-001.837"
    check = measure([*command, "check", str(file), "--json"], allowed=(0, 1))
    database = ["--db", f"sqlite:///{folder / 'night.db'}"]
    measure([*command, "reference", "load", str(folder / "reference"), *database])
    run = measure(
        [*command, "run", str(folder / "inbox"), *database, "--out", str(folder / "out"),
         "--business-date", "2025-11-15", "--json"]
    )  # fmt: skip
    return {
        "claims": claims, "file_mb": round(file.stat().st_size / 1e6, 1),
        "check_claims": night["professional"], "check_mb": round(check.peak_mb),
        "run_mb": round(run.peak_mb),
    }  # fmt: skip


def table(results: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"{'claims':>9}  {'file MB':>8}  {'check MB':>9}  {'run MB':>8}"
        f"  {'check B/claim':>14}  {'run B/claim':>12}",
        "-" * 70,
    ]
    before: dict[str, Any] | None = None
    for r in results:
        slopes = ["", ""]
        if before:
            slopes = [
                f"{(r[what] - before[what]) * 1048576 / (r[of] - before[of]):,.0f}"
                for what, of in (("check_mb", "check_claims"), ("run_mb", "claims"))
            ]
        lines.append(
            f"{r['claims']:>9,}  {r['file_mb']:>8,.1f}  {r['check_mb']:>9,}  {r['run_mb']:>8,}"
            f"  {slopes[0]:>14}  {slopes[1]:>12}"
        )
        before = r
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[30_000, 100_000, 300_000])
    parser.add_argument("--out", type=Path, default=Path("build/memory.json"))
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    out = chosen.out.resolve()
    results: list[dict[str, Any]] = []
    for size in chosen.sizes:
        print(f"measuring {size:,} claims", file=sys.stderr, flush=True)
        results.append(measured(out.parent / "memory" / str(size), size, chosen.seed))
        out.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
