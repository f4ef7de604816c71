"""The report of disputes that want somebody's work: CSV and JSON, of one day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl

from adjudicator.reports.dispute_letters import FOLDER
from adjudicator.reports.publish import write_files
from adjudicator.reports.text import csv_text


def publish_disputes(
    found: pl.DataFrame, day: date, out: Path, formats: Sequence[str]
) -> list[Path]:  # fmt: skip
    """Writes ``dispute_list``'s rows into ``out``/disputes; the files' paths."""
    rows = found.with_columns(pl.col(pl.Date).cast(pl.String))
    document = {
        "report": "Open Disputes",
        "report_date": day.isoformat(),
        "disputes": rows.to_dicts(),
        "totals": {
            "dispute_count": found.height,
            "charge_amount": int(found.unique("claim_number")["charge_amount"].sum()),
        },
    }
    contents = {
        "csv": csv_text(rows),
        "json": (json.dumps(document, ensure_ascii=False) + "\n").encode(),
    }
    return write_files(out / FOLDER, [(f"open-{day}.{kind}", contents[kind]) for kind in formats])
