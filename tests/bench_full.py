"""One night of a million made-up claims: how long, in how much memory, how much is kept.

    python -m tests.bench_full [--claims 1000000] [--files 10] [--out build/bench-full.json]

Ends with 1 where the night took LIMIT_MB or more: what its processes held of memory together, at
the most. Needs about 5 GB of disk for a million claims.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import FATES, adjudicate, make_night, measure

LIMIT_MB = 4_000_000_000 / 1_048_576  # as ru_maxrss is told, in 1,024 kibibytes


def size_mb(path: Path) -> float:
    """Of a file with what SQLite keeps beside it, or of a folder."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    return sum(p.stat().st_size for p in files if p.is_file()) / 1e6


def bench(folder: Path, claims: int, files: int, seed: int) -> dict[str, Any]:
    command, database = adjudicate(), ["--db", f"sqlite:///{folder / 'night.db'}"]
    make_night(folder, claims, seed, files)
    loading = measure([*command, "reference", "load", str(folder / "reference"), *database])
    loaded_mb = size_mb(folder / "night.db")
    night = measure(
        [*command, "run", str(folder / "inbox"), *database, "--out", str(folder / "out"),
         "--business-date", "2025-11-15", "--json"]
    )  # fmt: skip
    summary = json.loads(night.output)
    (published,) = (folder / "out").iterdir()
    return {
        "claims": claims,
        "files": len(summary["files"]),
        "received_mb": round(size_mb(folder / "inbox"), 1),
        "load_seconds": round(loading.seconds, 1),
        "seconds": round(night.seconds, 1),
        "claims_per_s": round(claims / night.seconds),
        "cpu_seconds": round(night.cpu_seconds, 1),
        "peak_mb": round(night.peak_mb),
        "reference_mb": round(loaded_mb, 1),
        "store_mb": round(size_mb(folder / "night.db"), 1),
        "published_files": sum(p.is_file() for p in published.rglob("*")),
        "published_mb": round(size_mb(published), 1),
        "paid_amount": summary["paid_amount"],
        "dispositions": {fate: summary[fate]["count"] for fate in FATES},
    }


def told(result: dict[str, Any]) -> str:
    count = result["claims"]
    fates = ", ".join(f"{FATES[f]} {n:,}" for f, n in result["dispositions"].items())
    rows = [
        ("claims", f"{count:,} in {result['files']} files of {result['received_mb']:,.1f} MB"),
        ("reference data", f"{result['load_seconds']:,.1f} s to load"),
        ("night", f"{result['seconds']:,.1f} s, {result['claims_per_s']:,} claims/s; "
         f"{result['cpu_seconds']:,.1f} s of processor"),
        ("peak memory", f"{result['peak_mb']:,} MB of {LIMIT_MB:,.0f}"),
        ("store", f"{result['store_mb']:,.1f} MB, {result['reference_mb']:,.1f} before the night; "
         f"{(result['store_mb'] - result['reference_mb']) * 1e6 / count:,.0f} bytes a claim"),
        ("published", f"{result['published_files']:,} files of {result['published_mb']:,.1f} MB"),
        ("fates", fates),
    ]  # fmt: skip
    return "\n".join(f"{name:<16}{text}" for name, text in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench_full", description=__doc__.splitlines()[0])
    parser.add_argument("--claims", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=10, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/bench-full.json"))
    chosen = parser.parse_args(arguments)
    out = chosen.out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.parent / "bench-full"
    if shutil.disk_usage(out.parent).free < chosen.claims * 5_000:
        print(f"{out.parent}: not enough room on the disk", file=sys.stderr)
        return 1
    result = bench(folder, chosen.claims, chosen.files, chosen.seed)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(told(result))
    return int(result["peak_mb"] >= LIMIT_MB)


if __name__ == "__main__":
    raise SystemExit(main())
