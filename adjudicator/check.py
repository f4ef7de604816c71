"""Syntax and mandatory fields of files, with no store and no decision: findings, and the
acknowledgements that their senders would get (without claim numbers, which only a store gives)."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms
from adjudicator.received import bytes_of, too_large
from adjudicator.reference import Reference
from adjudicator.stages.validate import objections_to_findings, validate
from edi.acks import READ, Issue, acknowledge
from edi.envelope import Envelope, Problem
from edi.read_file import FileReading, Frames, Limits, problems_to_objections, read_file
from schemas import frames
from schemas.config import Config


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
            out += [
                f"  {r['level']:<11} {r['place']:<30} {r['code']:<9} {r['text']}"
                for r in self.rows
                if r["file"] == told["file"]
            ]
        return "\n".join(out)


def check_files(
    paths: Sequence[Path],
    out: Path | None = None,
    day: date | None = None,
    config: Config | None = None,
) -> Checked:
    """Every fault of every file, in order of file and place; with ``out`` and ``day`` also the
    acknowledgements of that day, as files there. Raises OSError for a file that can't be read or
    written."""
    checked = Checked()
    config = config or Config()
    files = [p for path in paths for p in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for position, path in enumerate(files, start=1):
        reading, findings = read_checked(path, config, answered=out is not None)
        found = _faults(reading, findings, path.name)
        written: dict[str, str] = {}
        if out is not None and day is not None:
            issue = Issue(checked.acknowledgement_count + 1, day, day)
            rejections = findings.filter(pl.col("disposition") == "reject")
            for one in acknowledge(reading, issue, rejections=rejections):
                checked.acknowledgement_count += 1
                written[f"{position:04d}-{one.name}"] = one.code
                _write(out / f"{position:04d}-{one.name}", one.content)
        checked.rows += found
        checked.files.append({
            "file": path.name, "claims": reading.claim_count, "findings": len(found),
            "acknowledgements": written,
        })  # fmt: skip
    return checked


def _write(path: Path, content: bytes) -> None:
    """A whole file or none, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
    partial.replace(path)


def read_checked(path: Path, config: Config, *, answered: bool) -> tuple[FileReading, pl.DataFrame]:
    """A file, and its findings. Nothing is kept of it but what is told of it, and where it is to
    be ``answered`` what acknowledgements are made of."""
    if above := too_large(path, config.file_bytes_limit):
        told = Envelope(problems=[Problem("file", "", 0, above)])
        reading = FileReading(told, objections=problems_to_objections(told.problems))
        return reading, frames.empty(frames.Findings)
    with bytes_of(path) as data:
        return bytes_checked(data, config, answered=answered)


def bytes_checked(
    data: bytes | mmap.mmap, config: Config, *, answered: bool
) -> tuple[FileReading, pl.DataFrame]:
    """The same of a file's bytes, whatever their number."""
    found: list[pl.DataFrame] = []
    reference = Reference("", {}, {}, forms=load_forms())

    def keep(read: Frames, objections: pl.DataFrame) -> Frames:
        batch = Batch(**{n: read[n] for n in AS_READ}, findings=objections_to_findings(objections))
        findings = validate(batch, reference).findings
        if findings.height:
            found.append(findings)
        if answered:
            return {n: read[n].select(columns) for n, columns in READ.items()}
        return {"sources": read["sources"].select("claim_id", "set_index")}

    limits = Limits(config.segment_bytes_limit, config.claim_bytes_limit)
    reading = read_file(data, config.chunk_bytes, limits, keep)
    findings = pl.concat(found) if found else frames.empty(frames.Findings)
    if findings.height:  # those of refused sets leave
        read = reading.frames["sources"]["claim_id"]
        findings = findings.filter(pl.col("claim_id").is_in(read.implode()))
    return reading, findings


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
        of_set = reading.frames["sources"].filter(
            pl.col("claim_id").is_in(findings["claim_id"].implode())
        )
        sets = dict(of_set.select("claim_id", "set_index").iter_rows())
        # objections are told above, at their place in the file
        for f in findings.filter(pl.col("edit") != "syntax").iter_rows(named=True):
            inputs = json.loads(f["inputs"])
            where = f" line {f['line_number']}" if f["line_number"] else ""
            found.append({
                "file": name, "level": "claim",
                "place": f"set {numbers[sets[f['claim_id']]]} claim {f['claim_id'] + 1}{where}",
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
