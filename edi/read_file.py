"""A whole file to frames, chunk by chunk: what was read, what was refused, and why.

A mistake costs the smallest piece it can be pinned to: a claim, a set, a group, an interchange.
"""

from __future__ import annotations

import mmap
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Any, NamedTuple

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
from edi.received import release
from edi.syntax import CHILD_FLAG, Segments, read_segments, screen
from edi.threads import on_this_thread

CHUNK_BYTES = 12_000_000
CHUNKS_AT_A_TIME = 2
KEPT_OF_LONG = 1000  # bytes of a segment above its limit: enough to see whose it is
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
Frames = dict[str, pl.DataFrame]


class Limits(NamedTuple):
    """The most bytes of a segment (without its terminator), and of a claim with its lines. What
    stands above claims, each loop for itself, is held to the claim's limit too."""

    segment_bytes: int = 10_000
    claim_bytes: int = 5_000_000


class Bounds(NamedTuple):
    """The most bytes of a file that is read, how many of it at a time, and what of those."""

    file_bytes: int = 4_000_000_000
    chunk_bytes: int = CHUNK_BYTES
    limits: Limits = Limits()


LIMITS = Limits()


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
        return self.frames["sources"].height if self.frames else 0


class Place(NamedTuple):
    """A set's place in its file: first byte, ST02, and the interchange and group around it."""

    start: int
    number: str
    isa_offset: int
    interchange_number: str
    gs_offset: int
    group_number: str


PLACES = {
    "start": pl.Int64, "set_number": pl.String, "isa_offset": pl.Int64,
    "interchange_number": pl.String, "gs_offset": pl.Int64, "group_number": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Chunk:
    """Byte ranges read together: of one guide, written with the same delimiters.

    ``sets`` names the set each range belongs to, by its place in the file; ``places`` tells where
    those sets stand. ``long``: first byte and length of segments above their limit, of which the
    ranges hold only the beginning.
    """

    spans: list[tuple[int, int]]
    sets: list[int]
    places: dict[int, Place]
    guide_code: str
    delimiters: Delimiters
    long: dict[int, int]


@dataclass
class Part:
    """What a chunk held: claims are numbered from 0 in it. ``refused``: sets, and why;
    ``objections``: in file order."""

    frames: Frames
    claim_count: int
    objections: pl.DataFrame
    refused: dict[int, str]
    submitters: pl.DataFrame


ReadChunk = Callable[[bytes | mmap.mmap, Chunk, Limits], Part]
Parts = Callable[[bytes | mmap.mmap, Iterator[Chunk], Limits, ReadChunk], Iterator[Part]]


class Begun(NamedTuple):
    """A file that is read already: its envelope, and who reads its chunks (edi/ahead.py)."""

    envelope: Envelope
    parts: Parts


def read_file(
    data: bytes | mmap.mmap,
    chunk_bytes: int = CHUNK_BYTES,
    limits: Limits = LIMITS,
    read: ReadChunk | None = None,
    begun: Begun | None = None,
) -> FileReading:
    """Read an X12 file. Never raises for what is in it: every fault is an objection.

    ``read`` makes a part of a chunk: ``read_chunk``, or what keeps less of it, so that the memory
    a file takes does not grow with it. Each of its frames has ``claim_id``; ``sources`` with
    ``set_index`` must be among them.
    """
    read = read or read_chunk
    envelope, parts = begun or Begun(read_envelope(data), parts_here)
    reading = FileReading(envelope)
    sets, objections, readable = _looked_into(envelope)
    kept: list[Frames] = []
    submitters: list[pl.DataFrame] = []
    told: list[pl.DataFrame] = [pl.DataFrame(objections, schema=OBJECTIONS)]
    verdict, reason_at = list(SETS).index("verdict"), list(SETS).index("reason")
    claim_count = 0
    for part in parts(data, _chunks(data, readable, chunk_bytes, limits), limits, read):
        for index, why in part.refused.items():
            if sets[index][verdict] == "read":
                sets[index][verdict], sets[index][reason_at] = "refused", why
        found = part.objections
        if found.height:
            told.append(found.with_columns(pl.col("claim_id") + claim_count))
        kept.append(
            {
                name: frame.with_columns(pl.col("claim_id") + claim_count)
                for name, frame in part.frames.items()
            }
        )
        submitters.append(part.submitters)
        claim_count += part.claim_count
    reading.sets = pl.DataFrame(sets, schema=SETS, orient="row")
    reading.objections = _in_file_order(pl.concat(told))
    if kept:
        # a set in several chunks has its header in each
        headers = pl.concat(submitters)
        reading.submitters = headers.unique("set_index", keep="first", maintain_order=True)
        whole = {n: pl.concat([frames.pop(n) for frames in kept]) for n in list(kept[0])}
        reading.frames = _without_refused_sets(whole, reading.sets)
    return reading


def chunks_of(
    data: bytes | mmap.mmap, envelope: Envelope, chunk_bytes: int, limits: Limits
) -> Iterator[Chunk]:
    """The chunks in which ``read_file`` reads the file."""
    _, _, readable = _looked_into(envelope)
    return _chunks(data, readable, chunk_bytes, limits)


def _looked_into(
    envelope: Envelope,
) -> tuple[list[list[Any]], list[dict[str, Any]], list[_Readable]]:
    """A row of SETS a set, what the envelopes are objected to for, and the sets to be read."""
    sets: list[list[Any]] = []
    objections: list[dict[str, Any]] = [_objection(p) for p in envelope.problems]
    readable: list[_Readable] = []
    for interchange in envelope.interchanges:
        objections += [_objection(p) for p in interchange.problems]
        for group in interchange.groups:
            objections += [_objection(p) for p in group.problems]
            reason = group_refusal(interchange, group)
            for set_ in group.sets:
                index = len(sets)
                objections += [_objection(p, index) for p in set_.problems]
                why = reason or _set_refusal(group, set_)
                sets.append([
                    index, interchange.number, group.number, set_.number, set_.guide_code,
                    set_.start, set_.segment_count, "refused" if why else "read", why or "",
                ])  # fmt: skip
                if not why:
                    readable.append((index, set_, interchange, group))
    return sets, objections, readable


def _in_file_order(objections: pl.DataFrame) -> pl.DataFrame:
    """Each once: what stands above claims is read, and objected to, with each chunk of them."""
    return objections.unique(maintain_order=True).sort("offset", "claim_id", maintain_order=True)


def refuse_interchange(reading: FileReading, position: int, code: str, text: str) -> None:
    """Refuse an interchange that was read, for what only the caller can know: a control number
    used before (TA105 025), another receiver's file (008). Its claims leave."""
    interchange = reading.envelope.interchanges[position]
    problem = Problem("interchange", code, interchange.start, text)
    interchange.problems.append(problem)
    told = problems_to_objections([problem])
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


def read_chunk(data: bytes | mmap.mmap, chunk: Chunk, limits: Limits = LIMITS) -> Part:
    """The claims of a chunk, and the guide's objections to it."""
    guide = guide_for(chunk.guide_code)
    assert guide is not None
    segments = read_segments(data, chunk.spans, guide, chunk.delimiters)
    read = read_claims(segments)
    objections, refused = _pinned(data, segments, read, chunk, limits)
    owner = {place.start: index for index, place in chunk.places.items()}
    at = [owner[start] for start in segments.offset[read.set_rows].tolist()]
    submitters = read.headers.select(pl.Series("set_index", at, dtype=pl.Int64), pl.all())
    placed = _placed(read, chunk, segments)
    told = pl.DataFrame(objections, schema=OBJECTIONS)
    return Part(
        placed, len(read.claim_rows), _in_file_order(told) if objections else told, refused,
        submitters,
    )  # fmt: skip


def parts_here(
    data: bytes | mmap.mmap, chunks: Iterator[Chunk], limits: Limits, read: ReadChunk
) -> Iterator[Part]:
    """Each chunk's part, in order; several at a time, since most of the work is not Python's, and
    never more than that ahead of whoever takes them."""
    first = list(islice(chunks, FEW_CHUNKS + 1))
    at_a_time = CHUNKS_AT_A_TIME if len(first) > FEW_CHUNKS else 1
    codes: set[str] = set()
    waiting: deque[tuple[Chunk, Future[Part]]] = deque()

    def taken() -> Part:
        chunk, future = waiting.popleft()
        part = future.result()
        let_go(data, chunk)
        return part

    with ThreadPoolExecutor(at_a_time) as threads:
        for chunk in chain(first, chunks):
            codes.add(chunk.guide_code)
            waiting.append((chunk, threads.submit(on_this_thread, read, data, chunk, limits)))
            if len(waiting) > at_a_time:
                yield taken()
        while waiting:
            yield taken()
    for code in codes:
        remember(code)


def let_go(data: bytes | mmap.mmap, chunk: Chunk) -> None:
    """Lets go of the pages of a chunk that was read."""
    release(data, min(a for a, _ in chunk.spans), max(b for _, b in chunk.spans))


def remember(guide_code: str) -> None:
    """Keeps what was learnt of a guide, for the next process."""
    guide = guide_for(guide_code)
    assert guide is not None
    guide.remember()


def problems_to_objections(problems: Sequence[Problem]) -> pl.DataFrame:
    return pl.DataFrame([_objection(p) for p in problems], schema=OBJECTIONS)


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
    if group.header[1] != "HC":
        return f"GS01 is {_code(group.header[1])}: not a claims group (HC)"
    if any(not set_.is_answerable for set_ in group.sets):
        return "ST01 or ST02 of a set of its group can't be read"
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


_Readable = tuple[int, TransactionSet, Interchange, Group]


def _chunks(
    data: bytes | mmap.mmap, sets: Iterable[_Readable], chunk_bytes: int, limits: Limits
) -> Iterator[Chunk]:
    """Whole sets together up to ``chunk_bytes``, as long as guide and delimiters are the same; a
    larger set is cut between claims, what stands above the cut repeated after it."""
    spans: list[tuple[int, int]] = []
    owners: list[int] = []
    places: dict[int, Place] = {}
    size = 0
    last: tuple[str, Delimiters] | None = None

    def chunk(spans: list[tuple[int, int]], owners: list[int], places: dict[int, Place]) -> Chunk:
        assert last is not None
        return Chunk(spans, owners, places, *last, {})

    for index, set_, interchange, group in sets:
        length = set_.end - set_.start
        here = (_usual_code(group.guide_code), interchange.delimiters)
        if spans and (size + length > chunk_bytes or here != last):
            yield _within_limits(data, chunk(spans, owners, places), chunk_bytes, limits)
            spans, owners, places, size = [], [], {}, 0
        last = here
        place = Place(
            set_.start, set_.number, interchange.start, interchange.number, group.start,
            group.number,
        )  # fmt: skip
        if length > chunk_bytes:
            for piece in _pieces(data, set_, interchange.delimiters, chunk_bytes):
                one = chunk(piece, [index] * len(piece), {index: place})
                yield _within_limits(data, one, chunk_bytes, limits)
            continue
        spans.append((set_.start, set_.end))
        owners.append(index)
        places[index] = place
        size += length
    if spans:
        yield _within_limits(data, chunk(spans, owners, places), chunk_bytes, limits)


def _usual_code(code: str) -> str:
    """The code of the guide that this one is read by."""
    return next(c for c, known in GUIDES.items() if known[:2] == GUIDES[code][:2])


def _opening(delimiters: Delimiters, *kinds: bytes) -> re.Pattern[bytes]:
    """Where one of these begins: a segment id, or an HL of a level (``HL20``), which is then the
    match's group."""
    e, t = (re.escape(c.encode("latin-1")) for c in (delimiters.element, delimiters.terminator))
    element = rb"[^" + e + t + rb"]*"
    levels = b"|".join(k[2:] for k in kinds if k[:2] == b"HL" and len(k) > 2)
    level = rb"HL" + e + element + e + element + e + rb"(" + levels + rb")[" + e + t + rb"]"
    names = b"|".join(k for k in kinds if k[:2] != b"HL" or len(k) == 2)
    either = rb"|".join([level] * bool(levels) + [rb"(?:" + names + rb")" + e] * bool(names))
    return re.compile(t + rb"[\r\n]*(?=" + either + rb")")


def _pieces(
    data: bytes | mmap.mmap, set_: TransactionSet, delimiters: Delimiters, chunk_bytes: int
) -> Iterator[list[tuple[int, int]]]:
    """A set in pieces of about ``chunk_bytes``: cut where an HL 20, else 22, begins; where those
    are far apart, between two claims of one patient."""

    def found(*kinds: bytes) -> list[tuple[int, bytes]]:
        pattern = _opening(delimiters, *kinds)
        matches = pattern.finditer(data, set_.start, set_.end)
        return [(m.end(), (m.group(1) if m.re.groups else None) or b"") for m in matches]

    marks = found(b"HL20", b"HL22")
    ends = [position for position, _ in marks[1:]] + [set_.end]
    if any(b - a > 2 * chunk_bytes for (a, _), b in zip(marks, ends, strict=False)):
        marks = found(b"HL20", b"HL22", b"HL23", b"CLM")
        ends = [position for position, _ in marks[1:]] + [set_.end]
    if not marks:
        yield [(set_.start, set_.end)]
        return
    header = (set_.start, marks[0][0])
    start = marks[0][0]
    above: dict[bytes, tuple[int, int]] = {}  # the loops over this place, without their claims
    repeated: list[tuple[int, int]] = []
    before = b"20"
    for (position, kind), end in zip(marks, ends, strict=True):
        provider = above.get(b"20")
        # a level cut off from the first that stands below it would seem to have nothing
        whole = (
            kind == b"20"
            or (kind == b"22" and (provider is None or provider[1] < position))
            or (kind == b"" and before == b"")
        )
        if position - start >= chunk_bytes and whole:
            yield [header, *repeated, (start, position)]
            start = position
            repeated = [span for level, span in above.items() if level < (kind or b"99")]
        if kind:
            above = {level: span for level, span in above.items() if level < kind}
            above[kind] = (position, end)
        before = kind
    yield [header, *repeated, (start, set_.end)]


def _within_limits(
    data: bytes | mmap.mmap, chunk: Chunk, chunk_bytes: int, limits: Limits
) -> Chunk:
    """The chunk without what is above its limit, but for the beginning that shows it is."""
    terminator = chunk.delimiters.terminator.encode("latin-1")
    spans: list[tuple[int, int]] = []
    owners: list[int] = []
    for (first, stop), owner in zip(chunk.spans, chunk.sets, strict=True):
        start = first
        for begin, end in _long_segments(data, first, stop, terminator, limits.segment_bytes):
            chunk.long[begin] = end - begin
            spans.append((start, begin + min(limits.segment_bytes, KEPT_OF_LONG)))
            owners.append(owner)
            start = end
        spans.append((start, stop))
        owners.append(owner)
    chunk.spans[:], chunk.sets[:] = spans, owners
    if sum(b - a for a, b in spans) > 2 * chunk_bytes + limits.claim_bytes:
        _cut_claims(data, chunk, terminator, limits.claim_bytes)
    return chunk


def _long_segments(
    data: bytes | mmap.mmap, start: int, stop: int, terminator: bytes, limit: int
) -> Iterator[tuple[int, int]]:
    """First byte and terminator of the segments with more bytes than ``limit``: steps of that
    length, so that hardly a byte is looked at."""
    while start < stop:
        last = data.rfind(terminator, start, min(start + limit + 1, stop))
        if last < 0:
            while start < stop and data[start : start + 1] in (b"\r", b"\n"):
                start += 1
            last = data.find(terminator, start, stop)
            if last < 0:
                return
            if last - start > limit:
                yield start, last
        start = last + 1


def _cut_claims(data: bytes | mmap.mmap, chunk: Chunk, terminator: bytes, limit: int) -> None:
    """Claims, and loops above claims, cut after the segment in which they pass their limit."""
    opening = _opening(chunk.delimiters, b"HL", b"CLM", b"SE")
    spans: list[tuple[int, int]] = []
    owners: list[int] = []
    for (first, stop), owner in zip(chunk.spans, chunk.sets, strict=True):
        start = first
        marks = [first, *(m.end() for m in opening.finditer(data, first, stop)), stop]
        for a, b in pairwise(marks):
            cut = data.find(terminator, a + limit, b) + 1 if b - a > limit else 0
            if 0 < cut < b:
                spans.append((start, cut))
                owners.append(owner)
                start = b
        if start < stop:
            spans.append((start, stop))
            owners.append(owner)
    chunk.spans[:], chunk.sets[:] = spans, owners


def _pinned(
    data: bytes | mmap.mmap, segments: Segments, read: ReadClaims, chunk: Chunk, limits: Limits
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
    large = _above_limits(segments, read, chunk, limits)
    cut = {row for row, *_, code in large if code == "5"}  # what is left of them says nothing
    rows = [found for found in rows if found[0] not in cut] if cut else rows
    rows += [
        (
            row,
            nodes[segments.node[row]].segment,
            nodes[segments.node[row]].loop,
            nodes[segments.node[row]].segment,
            code,
            text,
            "8" if code == "5" else code,
            "",
        )
        for row, text, code in large
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
        position = counted.within(chunk.places[owner].start, offset)
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


def _above_limits(
    segments: Segments, read: ReadClaims, chunk: Chunk, limits: Limits
) -> list[tuple[int, str, str]]:
    """Row, text and code of segments, claims and loops above claims that are too large: a segment
    as one with too long an element (IK403 5), a claim as one with too many loops (IK304 4)."""
    if not len(segments):
        return []
    found: list[tuple[int, str, str]] = []
    nodes = segments.guide.nodes
    opening = [n.index for n in nodes if n.segment in ("ST", "HL", "SE")]
    begins = np.sort(np.concatenate([read.claim_rows, segments.rows_of(opening)]))
    last = np.append(begins[1:], len(segments)) - 1
    sizes = segments.stop[last] - segments.offset[begins]
    cut = np.flatnonzero(np.isin(segments.offset, list(chunk.long))) if chunk.long else ()
    for row in map(int, cut):
        size = chunk.long[int(segments.offset[row])]
        text = (
            f"the segment has {size} bytes, above segment_bytes_limit {limits.segment_bytes}; "
            "send one that the guide allows"
        )
        found.append((row, text, "5"))
        # it counts once, not as a part of its claim too
        sizes[np.searchsorted(begins, row, side="right") - 1] -= size
    for at in np.flatnonzero(sizes > limits.claim_bytes).tolist():
        is_claim = nodes[segments.node[begins[at]]].segment == "CLM"
        text = (
            f"{'the claim' if is_claim else 'what stands above claims'} has more bytes than "
            f"claim_bytes_limit {limits.claim_bytes}; send it in several parts"
        )
        found.append((int(begins[at]), text, "4"))
    return found


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
    sets = sorted(chunk.places)
    of_set = np.searchsorted(sets, owner)
    places = [chunk.places[index] for index in sets]
    claims = pl.DataFrame(places, schema=PLACES, orient="row").select(
        pl.all().gather(pl.Series(of_set, dtype=pl.Int64))
    )
    out["sources"] = out["sources"].with_columns(
        claims.select("isa_offset", "gs_offset", "interchange_number", "group_number"),
        set_index=pl.Series(owner, dtype=pl.Int64),
        set_number=claims["set_number"],
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
