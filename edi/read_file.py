"""A whole file to frames, chunk by chunk: what was read, what was refused, and why.

A mistake costs the smallest piece it can be pinned to: a claim, a set, a group, an interchange.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from edi.elements import Integers
from edi.envelope import (
    Delimiters,
    Envelope,
    Group,
    Interchange,
    Problem,
    TransactionSet,
    read_envelope,
)
from edi.guide import GUIDES, Guide, guide_for
from edi.read_837 import HEADERS, NOT_A_DATE, ReadClaims, read_claims
from edi.syntax import CHILD_FLAG, Segments, read_segments, screen

CHUNK_BYTES = 18_000_000
CHUNKS_AT_A_TIME = 2
FEW_CHUNKS = 3  # so many or fewer are read in turn: threads would wait for each other's Python
# envelope problems after which nothing inside is read; the others are reported and reading goes on
REFUSING = {
    "interchange": {"005", "006", "007", "008", "010", "012", "017", "018", "020", "022", "025",
                    "027"},
    "group": {"19"},
}  # fmt: skip

SETS = {
    "set_index": pl.Int64, "interchange_number": pl.String, "group_number": pl.String,
    "set_number": pl.String, "guide_code": pl.String, "offset": pl.Int64,
    "segment_count": pl.Int64, "verdict": pl.String, "reason": pl.String,
}  # fmt: skip
OBJECTIONS = {
    "level": pl.String, "set_index": pl.Int64, "claim_id": pl.Int64, "segment_position": pl.Int64,
    "offset": pl.Int64, "loop": pl.String, "segment": pl.String, "reference": pl.String,
    "code": pl.String, "text": pl.String, "segment_code": pl.String, "value": pl.String,
}  # fmt: skip
SUBMITTERS = {"set_index": pl.Int64, **HEADERS}


@dataclass
class FileReading:
    """What a file held.

    ``frames``: the frames of schemas/frames.py; ``claim_id`` counts the file's claims from 0.
    ``sets``: one row a transaction set with its verdict. ``objections``: one row a fault, its
    level (file, interchange, group, set or claim) and place, in file order; ``code`` is what its
    acknowledgement carries (TA105, AK905, IK502, IK304 or, where ``segment_code`` is 8, IK403),
    ``value`` the wrong code itself where it can be nobody's name. ``submitters``: one row a set
    that was looked into. ``sources`` is among the frames, without the file's number.
    """

    envelope: Envelope
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    sets: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SETS))
    objections: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OBJECTIONS))
    submitters: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SUBMITTERS))

    @property
    def claim_count(self) -> int:
        return self.frames["claims"].height if self.frames else 0


@dataclass(frozen=True)
class Chunk:
    """Byte ranges of one group read together, and whose they are.

    ``sets`` names the set each range belongs to, by its place in the file; ``starts`` and
    ``numbers`` give those sets' first byte and ST02.
    """

    spans: list[tuple[int, int]]
    sets: list[int]
    starts: dict[int, int]
    numbers: dict[int, str]
    guide_code: str
    delimiters: Delimiters
    interchange: tuple[int, str]
    group: tuple[int, str]


@dataclass
class Part:
    """What a chunk held: claims are numbered from 0 in it. ``refused``: sets, and why."""

    frames: dict[str, pl.DataFrame]
    claim_count: int
    objections: list[dict[str, Any]]
    refused: dict[int, str]
    submitters: pl.DataFrame


def read_file(data: bytes | mmap.mmap, chunk_bytes: int = CHUNK_BYTES) -> FileReading:
    """Read an X12 file. Never raises for what is in it: every fault is an objection."""
    envelope = read_envelope(data)
    reading = FileReading(envelope)
    sets: list[dict[str, object]] = []
    objections: list[dict[str, Any]] = [_objection(p) for p in envelope.problems]
    chunks: list[Chunk] = []
    for interchange in envelope.interchanges:
        objections += [_objection(p) for p in interchange.problems]
        for group in interchange.groups:
            objections += [_objection(p) for p in group.problems]
            reason = group_refusal(interchange, group)
            readable: list[tuple[int, TransactionSet]] = []
            for set_ in group.sets:
                index = len(sets)
                objections += [_objection(p, index) for p in set_.problems]
                why = reason or _set_refusal(group, set_)
                sets.append(
                    {
                        "set_index": index,
                        "interchange_number": interchange.number,
                        "group_number": group.number,
                        "set_number": set_.number,
                        "guide_code": set_.guide_code,
                        "offset": set_.start,
                        "segment_count": set_.segment_count,
                        "verdict": "refused" if why else "read",
                        "reason": why or "",
                    }
                )
                if not why:
                    readable.append((index, set_))
            if readable:
                chunks += _chunks(data, readable, interchange, group, chunk_bytes)
    parts = _read_chunks(data, chunks)
    claim_count = 0
    for part in parts:
        for objection in part.objections:
            if objection["claim_id"] is not None:
                objection["claim_id"] += claim_count
        objections += part.objections
        for index, why in part.refused.items():
            if sets[index]["verdict"] == "read":
                sets[index].update(verdict="refused", reason=why)
        for name, frame in part.frames.items():
            part.frames[name] = frame.with_columns(pl.col("claim_id") + claim_count)
        claim_count += part.claim_count
    reading.sets = pl.DataFrame(sets, schema=SETS)
    # what stands above claims is read with each chunk of them, and its faults found again
    found_ = pl.DataFrame(objections, schema=OBJECTIONS).unique(maintain_order=True)
    reading.objections = found_.sort("offset", "claim_id", maintain_order=True)
    if parts:
        # a set in several chunks has its header in each
        headers = pl.concat([p.submitters for p in parts])
        reading.submitters = headers.unique("set_index", keep="first", maintain_order=True)
        names = parts[0].frames.keys()
        whole = {n: pl.concat([p.frames[n] for p in parts]) for n in names}
        reading.frames = _without_refused_sets(whole, reading.sets)
    return reading


def refuse_interchange(reading: FileReading, position: int, code: str, text: str) -> None:
    """Refuse an interchange that was read, for what only the caller can know: a control number
    used before (TA105 025), another receiver's file (008). Its claims leave."""
    interchange = reading.envelope.interchanges[position]
    problem = Problem("interchange", code, interchange.start, text)
    interchange.problems.append(problem)
    told = pl.DataFrame([_objection(problem)], schema=OBJECTIONS)
    found = pl.concat([reading.objections, told])
    reading.objections = found.sort("offset", "claim_id", maintain_order=True)
    leave_out(reading, position, text)


def leave_out(reading: FileReading, position: int, text: str) -> None:
    """Take the claims of an interchange out of a reading, without anything being wrong with it:
    its sets were read, and answered, before."""
    here = pl.col("set_index").is_in(sets_of(reading, [position])) & (pl.col("verdict") == "read")
    reading.sets = reading.sets.with_columns(
        verdict=pl.when(here).then(pl.lit("refused")).otherwise("verdict"),
        reason=pl.when(here).then(pl.lit(text)).otherwise("reason"),
    )
    if reading.frames:
        reading.frames = _without_refused_sets(reading.frames, reading.sets)


def sets_of(reading: FileReading, positions: Collection[int]) -> list[int]:
    """The set_index of every set of some interchanges, by their places in the file, from 0."""
    out: list[int] = []
    first = 0
    for at, interchange in enumerate(reading.envelope.interchanges):
        count = sum(len(group.sets) for group in interchange.groups)
        if at in positions:
            out += range(first, first + count)
        first += count
    return out


def addenda(reading: FileReading) -> list[str]:
    """Which addenda the groups name whose sets are read by another version of their guide."""
    own = {name: code for code, (name, _, is_own) in GUIDES.items() if is_own}
    groups = [group for i in reading.envelope.interchanges for group in i.groups]
    codes = [group.guide_code for group in groups for _ in group.sets]
    read = (reading.sets["verdict"] == "read").to_list()
    return [
        f"GS08 is {code}, which is read by {own[GUIDES[code][0]]} ({GUIDES[code][0]})"
        for code in dict.fromkeys(
            code for code, is_read in zip(codes, read, strict=True) if is_read
        )
        if not GUIDES[code][2]
    ]


def read_chunk(data: bytes | mmap.mmap, chunk: Chunk) -> Part:
    """The claims of a chunk, and the guide's objections to it."""
    guide = guide_for(chunk.guide_code)
    assert guide is not None
    segments = read_segments(data, chunk.spans, guide, chunk.delimiters)
    read = read_claims(segments)
    objections, refused = _pinned(data, segments, read, chunk)
    owner = {start: index for index, start in chunk.starts.items()}
    at = [owner[start] for start in segments.offset[read.set_rows].tolist()]
    submitters = read.headers.select(pl.Series("set_index", at, dtype=pl.Int64), pl.all())
    placed = _placed(read, chunk, segments)
    return Part(placed, len(read.claim_rows), objections, refused, submitters)


def _read_chunks(data: bytes | mmap.mmap, chunks: Sequence[Chunk]) -> list[Part]:
    """Each chunk's part, in order; several at a time, since most of the work is not Python's."""
    with ThreadPoolExecutor(CHUNKS_AT_A_TIME if len(chunks) > FEW_CHUNKS else 1) as threads:
        parts = list(threads.map(lambda chunk: read_chunk(data, chunk), chunks))
    for code in {chunk.guide_code for chunk in chunks}:
        guide = guide_for(code)
        assert guide is not None
        guide.remember()
    return parts


def _objection(problem: Problem, set_index: int | None = None) -> dict[str, Any]:
    return {
        "level": problem.level, "set_index": set_index, "claim_id": None,
        "segment_position": None, "offset": problem.offset, "loop": "", "segment": "",
        "reference": "", "code": problem.code, "text": problem.text, "segment_code": "",
        "value": "",
    }  # fmt: skip


def group_refusal(interchange: Interchange, group: Group) -> str | None:
    """Why nothing of this group is read, or None."""
    for level, problems in (("interchange", interchange.problems), ("group", group.problems)):
        for p in problems:
            if p.code in REFUSING[level]:
                return p.text
    if any(not set_.is_answerable for set_ in group.sets):
        return "ST01 or ST02 of a set of its group can't be read"
    if group.header[1] != "HC":
        return f"GS01 is {_code(group.header[1])}: not a claims group (HC)"
    if not group.is_answerable:
        return "GS02, GS03 or GS06 is not what the guide asks for"
    if guide_for(group.guide_code) is None:
        return (
            f"GS08 is {_code(group.guide_code)}, a guide that is not read here; "
            "send 837P as 005010X222A1 or 837I as 005010X223A2"
        )
    return None


def _set_refusal(group: Group, set_: TransactionSet) -> str | None:
    if set_.problems:
        return set_.problems[0].text
    if set_.type_code != "837":
        return f"ST01 is {_code(set_.type_code)}, not 837"
    if GUIDES.get(set_.guide_code, ("",))[0] != GUIDES[group.guide_code][0]:
        return f"ST03 is {_code(set_.guide_code)}, which is not the group's guide"
    return None


def _code(text: str) -> str:
    """A code as it may be shown: an element of a torn envelope may be a member's name."""
    known = re.fullmatch(r"[A-Z]{2}|[0-9]{3}|[0-9]{6}(X[0-9]{3}([A-Z][0-9])?)?", text)
    return text if known else "unreadable"


def _chunks(
    data: bytes | mmap.mmap,
    sets: Sequence[tuple[int, TransactionSet]],
    interchange: Interchange,
    group: Group,
    chunk_bytes: int,
) -> Iterator[Chunk]:
    """Whole sets together up to ``chunk_bytes``; a larger set is cut where an HL 20, else 22,
    begins, what stands above it repeated before each piece."""
    starts = {index: set_.start for index, set_ in sets}
    numbers = {index: set_.number for index, set_ in sets}

    def chunk(spans: list[tuple[int, int]], owners: list[int]) -> Chunk:
        return Chunk(
            spans,
            owners,
            {i: starts[i] for i in owners},
            {i: numbers[i] for i in owners},
            group.guide_code,
            interchange.delimiters,
            (interchange.start, interchange.number),
            (group.start, group.number),
        )

    spans: list[tuple[int, int]] = []
    owners: list[int] = []
    size = 0
    for index, set_ in sets:
        length = set_.end - set_.start
        if spans and size + length > chunk_bytes:
            yield chunk(spans, owners)
            spans, owners, size = [], [], 0
        if length > chunk_bytes:
            for piece in _pieces(data, set_, interchange.delimiters, chunk_bytes):
                yield chunk(piece, [index] * len(piece))
            continue
        spans.append((set_.start, set_.end))
        owners.append(index)
        size += length
    if spans:
        yield chunk(spans, owners)


def _pieces(
    data: bytes | mmap.mmap, set_: TransactionSet, delimiters: Delimiters, chunk_bytes: int
) -> Iterator[list[tuple[int, int]]]:
    e, t = (re.escape(c.encode("latin-1")) for c in (delimiters.element, delimiters.terminator))
    level = re.compile(
        t
        + rb"[\r\n]*(?=HL"
        + e
        + rb"[^"
        + e
        + t
        + rb"]*"
        + e
        + rb"[^"
        + e
        + t
        + rb"]*"
        + e
        + rb"(20|22)["
        + e
        + t
        + rb"])"
    )
    begins = [(m.end(), m.group(1) == b"20") for m in level.finditer(data, set_.start, set_.end)]
    if not begins:
        yield [(set_.start, set_.end)]
        return
    header = (set_.start, begins[0][0])
    start = begins[0][0]
    prefix: list[tuple[int, int]] = []
    provider: tuple[int, int] | None = None  # the billing provider's loop before this level
    for at, (position, is_provider) in enumerate(begins):
        if is_provider:
            end = begins[at + 1][0] if at + 1 < len(begins) else set_.end
            provider = (position, end)
        # a provider cut off from its first subscriber would seem to have none
        whole = is_provider or provider is None or provider[1] < position
        if position - start >= chunk_bytes and whole:
            yield [header, *prefix, (start, position)]
            start = position
            prefix = [provider] if provider and not is_provider else []
    yield [header, *prefix, (start, set_.end)]


def _pinned(
    data: bytes | mmap.mmap, segments: Segments, read: ReadClaims, chunk: Chunk
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The objections of a chunk, each at its claims or its set; and the sets refused by them."""
    found = screen(segments)
    rows = [
        (int(r), s, p, ref, ec or sc, text, sc, value)
        for r, s, p, ref, sc, ec, text, value in found.select(
            "row", "segment", "loop", "reference", "segment_code", "element_code", "text", "value"
        ).iter_rows()
    ]
    nodes = segments.guide.nodes
    rows += [
        (
            row,
            nodes[segments.node[row]].segment,
            loop,
            ref,
            "8" if text == NOT_A_DATE else "6",
            text,
            "8",
            "",
        )
        for row, loop, ref, text in read.problems
    ]
    objections: list[dict[str, Any]] = []
    refused: dict[int, str] = {}
    if not rows:
        return objections, refused
    guide = segments.guide
    owners = np.array(chunk.sets, dtype=np.int64)
    starts = np.array([a for a, _ in chunk.spans], dtype=np.int64)
    stops = np.array([b for _, b in chunk.spans], dtype=np.int64)
    counted = _Position(data, segments.delimiters)
    levels = {
        loop: segments.rows_of(
            [n.index for n in guide.nodes if n.loop == loop and n.segment == "HL"]
        )
        for loop in ("2000A", "2000B", "2000C")
    }
    for row, segment, loop, reference, code, text, segment_code, value in sorted(rows):
        offset = int(segments.offset[row])
        owner = int(owners[np.flatnonzero((starts <= offset) & (offset < stops))[0]])
        above = guide.nodes[segments.node[row]].loops
        claims = _claims_under(read.claim_rows, levels, above, row, len(segments))
        position = counted.within(chunk.starts[owner], offset)
        whole_set = (segment == "HL" and text != CHILD_FLAG) or not len(claims)
        base_row = {
            "set_index": owner, "segment_position": position, "offset": offset, "loop": loop,
            "segment": segment, "reference": reference, "code": code, "text": text,
            "segment_code": segment_code, "value": value,
        }  # fmt: skip
        if whole_set:
            place = reference or segment or "a segment"
            refused.setdefault(owner, f"{place} in {loop}: {text}")
            objections.append({"level": "set", "claim_id": None, **base_row})
        else:
            objections += [{"level": "claim", "claim_id": int(c), **base_row} for c in claims]
    return objections, refused


class _Position:
    """Segments counted from a set's ST to a byte, going forward only once over the file."""

    def __init__(self, data: bytes | mmap.mmap, delimiters: Delimiters) -> None:
        self._bytes = np.frombuffer(data, dtype=np.uint8)
        self._terminator = ord(delimiters.terminator)
        self._from, self._to, self._count = -1, -1, 0

    def within(self, set_start: int, offset: int) -> int:
        """The segment's position in its set, ST being 1."""
        if set_start != self._from or offset < self._to:
            self._from, self._to, self._count = set_start, set_start, 1
        self._count += int(np.count_nonzero(self._bytes[self._to : offset] == self._terminator))
        self._to = offset
        return self._count


def _claims_under(
    claim_rows: Integers, levels: dict[str, Integers], above: tuple[str, ...], row: int, end: int
) -> Integers:
    """The claims a row belongs to: its own, or all below its subscriber or billing provider."""
    if "2300" in above:
        return np.array([np.searchsorted(claim_rows, row, side="right") - 1])
    scope = next((x for x in ("2000C", "2000B", "2000A") if x in above), None)
    if scope is None:
        return np.empty(0, dtype=np.int64)
    higher = {
        "2000C": ("2000A", "2000B", "2000C"),
        "2000B": ("2000A", "2000B"),
        "2000A": ("2000A",),
    }
    bounds = np.sort(np.concatenate([levels[x] for x in higher[scope]]))
    after = np.searchsorted(bounds, row, side="right")
    stop = int(bounds[after]) if after < len(bounds) else end
    return np.arange(
        np.searchsorted(claim_rows, row), np.searchsorted(claim_rows, stop), dtype=np.int64
    )


def _placed(read: ReadClaims, chunk: Chunk, segments: Segments) -> dict[str, pl.DataFrame]:
    """A chunk's frames, with each claim's place in the envelope."""
    out = dict(read.frames)
    starts = np.array([a for a, _ in chunk.spans], dtype=np.int64)
    order = np.argsort(starts, kind="stable")
    at = np.searchsorted(starts[order], segments.offset[read.claim_rows], side="right") - 1
    owner = np.array(chunk.sets, dtype=np.int64)[order][at] if len(at) else at
    isa_offset, interchange_number = chunk.interchange
    gs_offset, group_number = chunk.group
    out["sources"] = out["sources"].with_columns(
        isa_offset=pl.lit(isa_offset, dtype=pl.Int64),
        gs_offset=pl.lit(gs_offset, dtype=pl.Int64),
        interchange_number=pl.lit(interchange_number),
        group_number=pl.lit(group_number),
        set_index=pl.Series(owner, dtype=pl.Int64),
        set_number=pl.Series([chunk.numbers[i] for i in owner.tolist()], dtype=pl.String),
    )
    return out


def _without_refused_sets(
    whole: dict[str, pl.DataFrame], sets: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Claims of refused sets leave; the others keep their numbers."""
    refused = sets.filter(pl.col("verdict") == "refused")["set_index"]
    out = whole["sources"].filter(pl.col("set_index").is_in(refused.implode()))["claim_id"]
    if not len(out):
        return whole
    return {n: f.filter(~pl.col("claim_id").is_in(out.implode())) for n, f in whole.items()}


def reread(
    data: bytes, delimiters: Delimiters, guide: Guide, spans: Sequence[tuple[int, int]]
) -> ReadClaims:
    """Claims read again from what is kept of their file: for each claim the ranges of its set's
    header, billing provider, subscriber, patient and itself, in that order, as ``spans``."""
    return read_claims(read_segments(data, [s for s in spans if s[1] > s[0]], guide, delimiters))
