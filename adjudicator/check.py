"""Syntax and mandatory fields of files, with no store and no decision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms
from adjudicator.reference import Reference
from adjudicator.stages.validate import validate
from edi.read_file import read_file


@dataclass
class Checked:
    """What checking found: a row a finding, and a row a file."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"files": self.files, "findings": self.rows}

    def as_text(self) -> str:
        out = []
        for told in self.files:
            out.append(f"{told['file']}: {told['claims']:,} claims, {told['findings']:,} findings")
            out += [
                f"  {r['level']:<11} {r['place']:<30} {r['code']:<9} {r['text']}"
                for r in self.rows
                if r["file"] == told["file"]
            ]
        return "\n".join(out)


def check_files(paths: Sequence[Path]) -> Checked:
    """Every fault of every file, in order of file and place. Raises OSError for an unreadable
    one."""
    checked = Checked()
    files = [p for path in paths for p in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for path in files:
        found = list(_faults(path.read_bytes(), path.name, checked))
        checked.rows += found
        checked.files[-1]["findings"] = len(found)
    return checked


def _faults(data: bytes, name: str, checked: Checked) -> list[dict[str, Any]]:
    reading = read_file(data)
    checked.files.append({"file": name, "claims": reading.claim_count, "findings": 0})
    numbers = {r["set_index"]: r["set_number"] for r in reading.sets.iter_rows(named=True)}
    found = [
        {
            "file": name,
            "level": o["level"],
            "place": _place(o, numbers),
            "code": o["code"],
            "text": o["text"],
        }
        for o in reading.objections.iter_rows(named=True)
    ]
    told = {
        o["set_index"]
        for o in reading.objections.filter(pl.col("level") == "set").iter_rows(named=True)
    }
    found += [
        {
            "file": name, "level": "set", "place": f"set {s['set_number']}", "code": "",
            "text": s["reason"],
        }
        for s in reading.sets.filter(pl.col("verdict") == "refused").iter_rows(named=True)
        if s["set_index"] not in told
    ]  # fmt: skip
    if reading.claim_count:
        batch = Batch(**{n: reading.frames[n] for n in AS_READ})
        sets = dict(reading.frames["sources"].select("claim_id", "set_number").iter_rows())
        nothing = Reference("", {}, {}, forms=load_forms())
        for f in validate(batch, nothing).findings.iter_rows(named=True):
            inputs = json.loads(f["inputs"])
            where = f" line {f['line_number']}" if f["line_number"] else ""
            found.append({
                "file": name, "level": "claim",
                "place": f"set {sets[f['claim_id']]} claim {f['claim_id'] + 1}{where}",
                "code": f["status_code"],
                "text": inputs.get("cause")
                or f"box {inputs['box']} ({inputs['field']}) is missing: {inputs['element']}",
            })  # fmt: skip
    return found


def _place(objection: dict[str, Any], numbers: dict[int, str]) -> str:
    if objection["set_index"] is None or objection["segment_position"] is None:
        return f"byte {objection['offset']}"
    where = objection["reference"] or objection["segment"]
    return f"set {numbers[objection['set_index']]} segment {objection['segment_position']} {where}"
