"""CMS's own correct coding tables of a quarter (../shared/reference/tables), as reference tables.

    python -m tests.coding_tables FOLDER --from 2025-01-01 --to 2025-12-31

writes them into a folder of reference files, to hold on those days: they have none of their own.
Prints how many rows each has; writes nothing, and prints no table, where they are not here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

FOLDER = Path(__file__).parents[1].parent / "shared" / "reference" / "tables"
ABSENT = "CMS's correct coding tables are not here (../shared/reference/tables)"


def are_here() -> bool:
    return (FOLDER / "ptp_practitioner.parquet").is_file()


def coding_tables(first: date, last: date) -> dict[str, pl.DataFrame]:
    """procedure_pairs, unit_limits and add_on_codes, to hold on those days, both included."""
    span = {"start_date": pl.lit(first), "end_date": pl.lit(last)}

    def table(name: str, **columns: str) -> pl.DataFrame:
        return pl.read_parquet(FOLDER / f"{name}.parquet").select(
            **{to: pl.col(of) for to, of in columns.items()}, **span
        )

    def of(name: str, kind: str, **columns: str) -> pl.DataFrame:
        return table(name, **columns).with_columns(table_code=pl.lit(kind))

    pair = {"column_one_code": "col1", "column_two_code": "col2", "modifier_indicator_code": "mi"}
    unit = {
        "procedure_code": "hcpcs_code", "unit_limit": "mue_units",
        "adjudication_indicator_code": "mue_mai",
    }  # fmt: skip
    return {
        "procedure_pairs": pl.concat(
            [of("ptp_practitioner", "practitioner", **pair), of("ptp_hospital", "hospital", **pair)]
        ),
        "unit_limits": pl.concat(
            [
                of("mue_prac", "practitioner", **unit), of("mue_out", "hospital", **unit),
                of("mue_dme", "supplier", **unit),
            ]
        ).with_columns(pl.col("unit_limit").cast(pl.Int64)),
        "add_on_codes": table(
            "add_on_codes", add_on_code="add_on_code", primary_code="primary_code",
            edit_type_code="aoc_edit_type",
        ),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="tests.coding_tables", description=about)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True)
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True)
    chosen = parser.parse_args(arguments)
    tables = coding_tables(chosen.first, chosen.last) if are_here() else {}
    for name, frame in tables.items():
        frame.write_parquet(chosen.folder / f"{name}.parquet")
    print(json.dumps({name: frame.height for name, frame in tables.items()}))


if __name__ == "__main__":
    main()
