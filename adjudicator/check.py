"""Syntax, SNIP levels and mandatory fields of files, with no store and no decision: findings, and
the acknowledgements that their senders would get (without claim numbers, which only a store gives).
"""

from __future__ import annotations

import json
import mmap
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from adjudicator.disk import write_whole
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms, load_programs, own_names
from adjudicator.reading import limits_of
from adjudicator.reference import Reference
from adjudicator.reports.text import counted
from adjudicator.stages.validate import objections_to_findings, validate
from edi.acks import READ, Issue, acknowledge, codes_told
from edi.ahead import Ahead
from edi.envelope import Envelope, Problem
from edi.read_claims import is_paper, read_claims_file
from edi.read_file import (
    Begun,
    Chunk,
    FileReading,
    Frames,
    Limits,
    Part,
    ReadChunk,
    addenda,
    problems_to_objections,
    read_chunk,
)
from edi.received import bytes_of, files_of, too_large
from edi.syntax import snip_level
from schemas import frames
from schemas.config import Config

WIDTH = 80
LEVELS = {
    1: "X12's syntax", 2: "the guide", 3: "balancing", 4: "situations", 5: "code sets",
    7: "the payer's own",
}  # fmt: skip
HEADING = f"  {'SNIP':<4}  {'code':<13}  place: finding"
INDENT = " " * HEADING.index("place")


@dataclass
class Checked:
    """What checking found: a row a finding, a row a file, and what its sender is answered."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    acknowledgement_count: int = 0

    @property
    def levels(self) -> dict[int, int]:
        """How many findings each level has."""
        found = Counter(row["level"] for row in self.rows)
        return {level: found[level] for level in LEVELS if found[level]}

    def as_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "findings": self.rows,
            "levels": {str(level): count for level, count in self.levels.items()},
        }

    def as_text(self) -> str:
        out = []
        for told in self.files:
            counts = f"{counted(told['claims'], 'claim')}, {counted(told['findings'], 'finding')}"
            out.append(f"{told['file']}: {counts}")
            out += [f"  {code:<11} {name}" for name, code in told["acknowledgements"].items()]
            out += [f"  note        {text}" for text in told["notes"]]
            rows = [row for row in self.rows if row["file"] == told["file"]]
            if rows:
                out += [HEADING, *(_line(row) for row in rows)]
        if self.rows:
            out += ["", *_totals(self.levels)]
        return "\n".join(out)


def _line(row: Mapping[str, Any]) -> str:
    """A row of the table; what is too long goes on below."""
    code = f"{row['element']} {row['code']}".strip()
    opening = f"  {row['level']:<4}  {code:<13}  "
    noted = "noted: " if row["disposition"] == "inform" else ""
    return textwrap.fill(
        f"{row['place']}: {noted}{row['text']}", WIDTH, initial_indent=opening,
        subsequent_indent=INDENT, break_on_hyphens=False,
    )  # fmt: skip


def _totals(levels: Mapping[int, int]) -> Iterator[str]:
    for level, count in levels.items():
        yield f"SNIP {level}, {LEVELS[level]}: {counted(count, 'finding')}"


def check_files(
    paths: Sequence[Path],
    out: Path | None = None,
    day: date | None = None,
    config: Config | None = None,
    ahead: Ahead | None = None,
) -> Checked:
    """Every fault of every file, in order of file and place; with ``out`` and ``day`` also the
    acknowledgements of that day, as files there. ``ahead`` reads the files already (``checking``
    of their chunks). Raises OSError for a file that can't be read or
    written."""
    checked = Checked()
    config = config or Config()
    for position, path in enumerate(files_of(paths), start=1):
        begun = ahead.begun(path) if ahead is not None else None
        reading, findings, paper = read_checked(path, config, begun, answered=out is not None)
        found = (_paper_faults if paper else _faults)(reading, findings, path.name)
        written: dict[str, str] = {}
        if out is not None and day is not None and not paper:  # paper is answered by letters
            issue = Issue(checked.acknowledgement_count + 1, day, day)
            rejections = findings.filter(pl.col("disposition") == "reject")
            for one in acknowledge(reading, issue, rejections=rejections):
                checked.acknowledgement_count += 1
                written[f"{position:04d}-{one.name}"] = one.code
                out.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_whole(out / f"{position:04d}-{one.name}", one.content, synced=False)
        checked.rows += found
        checked.files.append({
            "file": path.name, "claims": reading.claim_count, "findings": len(found),
            "acknowledgements": written, "notes": addenda(reading),
        })  # fmt: skip
    return checked


@cache
def _own_names() -> frozenset[str]:
    return own_names(load_programs())


def read_checked(
    path: Path, config: Config, begun: Begun | None = None, *, answered: bool
) -> tuple[FileReading, pl.DataFrame, bool]:
    """A file, its findings, and whether it is paper. Nothing is kept of it but what is told of it,
    and where it is to be ``answered`` what acknowledgements are made of."""
    if above := too_large(path, config.file_bytes_limit):
        told = Envelope(problems=[Problem("file", "", 0, above)])
        reading = FileReading(told, objections=problems_to_objections(told.problems))
        return reading, frames.empty(frames.Findings), False
    with bytes_of(path) as data:
        paper = is_paper(data)
        return *bytes_checked(data, config, begun, answered=answered or paper), paper


def bytes_checked(
    data: bytes | mmap.mmap, config: Config, begun: Begun | None = None, *, answered: bool
) -> tuple[FileReading, pl.DataFrame]:
    """The same of a file's bytes, whatever their number. Paper is kept whole."""
    paper = is_paper(data)
    own = _own_names() if paper else ()
    read = checking(answered=answered)
    reading = read_claims_file(data, config.chunk_bytes, own, limits_of(config), read, begun)
    if not reading.claim_count:
        return reading, frames.empty(frames.Findings)
    if paper:
        return reading, _findings(reading.frames, reading.objections)
    return reading, reading.frames.pop("findings")


def checking(*, answered: bool) -> ReadChunk:
    """What is made of a chunk, here or in another process."""
    return partial(chunk_checked, answered=answered)


def chunk_checked(data: bytes | mmap.mmap, chunk: Chunk, limits: Limits, *, answered: bool) -> Part:
    """A chunk with why its claims are rejected; of its other frames no more than is told of it,
    and where it is to be ``answered`` what acknowledgements are made of."""
    part = read_chunk(data, chunk, limits)
    kept = READ if answered else {"sources": ("claim_id", "set_index")}
    return replace(
        part,
        frames={
            **{name: part.frames[name].select(columns) for name, columns in kept.items()},
            "findings": _findings(part.frames, part.objections),
        },
    )


def _findings(read: Frames, objections: pl.DataFrame) -> pl.DataFrame:
    """Why claims are rejected: the reader's objections to them, then what else is missing."""
    batch = Batch(**{n: read[n] for n in AS_READ}, findings=objections_to_findings(objections))
    return validate(batch, Reference("", {}, {}, forms=load_forms())).findings


def _faults(reading: FileReading, findings: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    """A row a finding: its SNIP ``level``, ``scope`` (file, interchange, group, set or claim),
    ``place``, the ``claim``'s and ``line``'s position, and the ``code`` that stands in ``element``
    of its acknowledgement (STC of a 277CA; empty: of none)."""
    numbers = {r["set_index"]: r["set_number"] for r in reading.sets.iter_rows(named=True)}
    empty = {"file": name, "claim": None, "line": None, "disposition": "reject"}
    found: list[dict[str, Any]] = [
        {
            **empty, "level": snip_level(o["segment_code"], o["code"], o["text"]),
            "scope": o["level"], "place": _place(o, numbers),
            "claim": None if o["claim_id"] is None else o["claim_id"] + 1,
            "element": element, "code": code, "text": o["text"],
        }
        for o, (element, code) in zip(
            reading.objections.iter_rows(named=True), codes_told(reading), strict=True
        )
    ]  # fmt: skip
    # the guide and the reader may object to the same
    once: dict[tuple[Any, ...], dict[str, Any]] = {}
    for f in found:
        once.setdefault((f["place"], f["claim"], f["element"], f["code"]), f)
    found = list(once.values())
    told = set(reading.objections.filter(pl.col("level") == "set")["set_index"])
    found += [
        {
            **empty, "level": 1, "scope": "set", "place": f"set {s['set_number']}",
            "element": "", "code": "", "text": s["reason"],
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
                **empty, "level": inputs["level"], "scope": "claim",
                "place": f"set {numbers[sets[f['claim_id']]]} claim {f['claim_id'] + 1}{where} "
                f"{inputs['element']}",
                "claim": f["claim_id"] + 1, "line": f["line_number"],
                "disposition": f["disposition"],
                "element": "STC" if f["status_code"] else "", "code": f["status_code"] or "",
                "text": inputs["cause"],
            })  # fmt: skip
    return found


def _paper_faults(reading: FileReading, findings: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    """As ``_faults``, of paper: lines that are no record (scope ``record``), then the findings of
    each claim, by line of the file and box. Paper is answered by letters: no code is sent."""
    empty = {"file": name, "claim": None, "line": None, "disposition": "reject", "element": ""}
    refused = reading.objections.filter(pl.col("level") == "record")
    found: list[dict[str, Any]] = [
        {**empty, "level": 1, "scope": "record", "place": f"line {line}", "code": "", "text": text}
        for line, text in refused.select("segment_position", "text").iter_rows()
    ]
    if reading.claim_count:
        lines = dict(reading.frames["sources"].select("claim_id", "set_index").iter_rows())
        for f in findings.iter_rows(named=True):
            inputs = json.loads(f["inputs"])
            what = f"box {inputs['box']}" if "box" in inputs else inputs["element"]
            where = f" row {f['line_number']}" if f["line_number"] else ""
            found.append({
                **empty, "level": inputs["level"], "scope": "claim",
                "place": f"line {lines[f['claim_id']]} {what}{where}",
                "claim": f["claim_id"] + 1, "line": f["line_number"],
                "disposition": f["disposition"], "code": f["status_code"] or "",
                "text": inputs["cause"],
            })  # fmt: skip
    return found


def _place(objection: dict[str, Any], numbers: dict[int, str]) -> str:
    if objection["set_index"] is None or objection["segment_position"] is None:
        return f"byte {objection['offset']}"
    where = objection["reference"] or objection["segment"]
    return f"set {numbers[objection['set_index']]} segment {objection['segment_position']} {where}"
