"""Syntax and mandatory fields of files, with no store and no decision: findings, and the
acknowledgements that their senders would get (without claim numbers, which only a store gives)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms, load_programs, own_names
from adjudicator.reference import Reference
from adjudicator.stages.validate import objections_to_findings, validate
from edi.acks import Issue, acknowledge
from edi.read_claims import is_paper, read_claims_file
from edi.read_file import CHUNK_BYTES, FileReading, addenda
from schemas import frames


@dataclass
class Checked:
    """What checking found: a row a finding, a row a file, and what its sender is answered."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    acknowledgement_count: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"files": self.files, "findings": self.rows}

    def as_text(self) -> str:
        out = []
        for told in self.files:
            out.append(f"{told['file']}: {told['claims']:,} claims, {told['findings']:,} findings")
            out += [f"  {code:<11} {name}" for name, code in told["acknowledgements"].items()]
            out += [f"  note        {text}" for text in told["notes"]]
            out += [
                f"  {r['level']:<11} {r['place']:<30} {r['code']:<9} {r['text']}"
                for r in self.rows
                if r["file"] == told["file"]
            ]
        return "\n".join(out)


def check_files(paths: Sequence[Path], out: Path | None = None, day: date | None = None) -> Checked:
    """Every fault of every file, in order of file and place; with ``out`` and ``day`` also the
    acknowledgements of that day, as files there. Raises OSError for a file that can't be read or
    written."""
    checked = Checked()
    files = [p for path in paths for p in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for position, path in enumerate(files, start=1):
        data = path.read_bytes()
        paper = is_paper(data)
        reading = read_claims_file(data, CHUNK_BYTES, _own_names() if paper else ())
        findings = _findings(reading)
        found = (_paper_faults if paper else _faults)(reading, findings, path.name)
        written: dict[str, str] = {}
        if out is not None and day is not None and not paper:  # paper is answered by letters
            issue = Issue(checked.acknowledgement_count + 1, day, day)
            rejections = findings.filter(pl.col("disposition") == "reject")
            for one in acknowledge(reading, issue, rejections=rejections):
                checked.acknowledgement_count += 1
                written[f"{position:04d}-{one.name}"] = one.code
                _write(out / f"{position:04d}-{one.name}", one.content)
        checked.rows += found
        checked.files.append({
            "file": path.name, "claims": reading.claim_count, "findings": len(found),
            "acknowledgements": written, "notes": addenda(reading),
        })  # fmt: skip
    return checked


@cache
def _own_names() -> frozenset[str]:
    return own_names(load_programs())


def _write(path: Path, content: bytes) -> None:
    """A whole file or none, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    partial.replace(path)


def _findings(reading: FileReading) -> pl.DataFrame:
    """Why claims are rejected: the reader's objections to them, then what else is missing."""
    if not reading.claim_count:
        return frames.empty(frames.Findings)
    batch = Batch(**{n: reading.frames[n] for n in AS_READ})
    batch = batch.with_(findings=objections_to_findings(reading.objections))
    return validate(batch, Reference("", {}, {}, forms=load_forms())).findings


def _faults(reading: FileReading, findings: pl.DataFrame, name: str) -> list[dict[str, Any]]:
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
        sets = dict(reading.frames["sources"].select("claim_id", "set_number").iter_rows())
        # objections are told above, at their place in the file
        for f in findings.filter(pl.col("edit") != "syntax").iter_rows(named=True):
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


def _paper_faults(reading: FileReading, findings: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    """Lines that are no record, then the findings of each claim, by line of the file and box."""
    refused = reading.objections.filter(pl.col("level") == "record")
    found = [
        {"file": name, "level": "record", "place": f"line {line}", "code": "", "text": text}
        for line, text in refused.select("segment_position", "text").iter_rows()
    ]
    if reading.claim_count:
        lines = dict(reading.frames["sources"].select("claim_id", "set_index").iter_rows())
        for f in findings.iter_rows(named=True):
            inputs = json.loads(f["inputs"])
            where = f" row {f['line_number']}" if f["line_number"] else ""
            found.append({
                "file": name, "level": "claim",
                "place": f"line {lines[f['claim_id']]} box {inputs['box']}{where}",
                "code": f["status_code"], "text": inputs["cause"],
            })  # fmt: skip
    return found


def _place(objection: dict[str, Any], numbers: dict[int, str]) -> str:
    if objection["set_index"] is None or objection["segment_position"] is None:
        return f"byte {objection['offset']}"
    where = objection["reference"] or objection["segment"]
    return f"set {numbers[objection['set_index']]} segment {objection['segment_position']} {where}"
