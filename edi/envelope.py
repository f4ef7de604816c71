"""Bytes to interchanges, functional groups and transaction sets.

Delimiters are read from each ISA, counts and control numbers are checked here, and what is broken
is confined to the smallest piece it can be pinned to. Nothing is decoded but control segments.
"""

from __future__ import annotations

import bisect
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edi.received import WINDOW, release

CONTROL_BYTES = 10_000  # of a control segment that are looked at; a right one is far shorter
ISA_ELEMENTS, GS_ELEMENTS = 16, 8
ISA_LENGTH = 106
BLOCK = 1 << 18  # bytes that are looked at together: no more than a cache holds
PADDING = (0x0A, 0x0D)
# an ISA with elements of the lengths that it must have
_WHOLE_ISA = re.compile(
    rb"ISA([^A-Za-z0-9\s])..\1.{10}\1..\1.{10}\1..\1.{15}\1..\1.{15}\1.{6}\1.{4}\1.\1", re.DOTALL
)
# what an element of an ISA must look like, and the TA105 of one that doesn't
_QUALIFIER = "01|14|20|27|28|29|30|33|ZZ"
ISA_CHECKS = (
    (1, "00|03", "010", "neither 00 nor 03"),
    (3, "00|01", "012", "neither 00 nor 01"),
    (5, _QUALIFIER, "005", "the sender's qualifier is none that is allowed"),
    (6, r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", "006", "the sender's number is no text"),
    (7, _QUALIFIER, "007", "the receiver's qualifier is none that is allowed"),
    (8, r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", "008", "the receiver's number is no text"),
    (9, "[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])", "014", "not a date"),
    (10, "([01][0-9]|2[0-3])[0-5][0-9]", "015", "not a time"),
    (13, "[0-9]{9}", "018", "not a control number of nine digits"),
    (14, "[01]", "019", "neither 0 nor 1"),
    (15, "[PT]", "020", "neither P nor T"),
)
# the same of a GS, which is told but refuses nothing; its other elements say who is to be answered
GS_CHECKS = (
    (4, "(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])", "not a date"),
    (5, "([01][0-9]|2[0-3])[0-5][0-9]([0-5][0-9]([0-9]{1,2})?)?", "not a time"),
    (7, "X", "not X"),
)
# sets that an acknowledgement can name
SET_TYPES = ("270", "271", "276", "277", "278", "820", "834", "835", "837")
# groups that a 999 can name; FA are acknowledgements, and those are never acknowledged
GROUP_TYPES = ("BE", "HB", "HC", "HI", "HN", "HP", "HR", "HS", "RA")
_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"%PDF": "a PDF"}


@dataclass(frozen=True)
class Delimiters:
    element: str
    component: str
    repetition: str
    terminator: str


@dataclass(frozen=True)
class Problem:
    """Something wrong with an envelope: the code its acknowledgement carries, where and why.

    ``level`` says what is refused because of it: file, interchange (TA105), group (AK905) or
    set (IK502).
    """

    level: str
    code: str
    offset: int
    text: str


@dataclass(slots=True)
class TransactionSet:
    """One ST to SE. ``start`` and ``end`` are byte offsets in the file."""

    start: int
    end: int
    number: str
    type_code: str
    guide_code: str
    segment_count: int
    first_segment: int
    problems: list[Problem] = field(default_factory=list)
    sent_guide_code: str = ""  # ST03 as it stands

    @property
    def is_answerable(self) -> bool:
        """Whether a 999 can name it: without a type and a number there is nothing to name."""
        return (
            self.type_code in SET_TYPES
            and re.fullmatch("[0-9A-Za-z]{4,9}", self.number) is not None
        )


@dataclass
class Group:
    """One GS to GE."""

    start: int
    header: list[str]
    sets: list[TransactionSet] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stated_count: str = ""

    @property
    def number(self) -> str:
        return self.header[6]

    @property
    def identity(self) -> tuple[str, ...]:
        """What must be unique within an interchange: GS01, GS02, GS03 and GS06 (RFI 362)."""
        return (*self.header[1:4], self.number)

    @property
    def guide_code(self) -> str:
        return self.header[8]

    @property
    def is_answerable(self) -> bool:
        """Whether a 999 can be written for it: GS01, GS02, GS03 and GS06 are what they must be."""
        codes = all(
            re.fullmatch(r"[\x21-\x7e][\x20-\x7e]{0,13}[\x21-\x7e]", c) for c in self.header[2:4]
        )
        return (
            self.header[1] in GROUP_TYPES
            and codes
            and re.fullmatch("[0-9]{1,9}", self.number) is not None
        )


@dataclass
class Interchange:
    """One ISA to IEA; ``header`` holds ISA01 to ISA16 at their own positions, ``start`` and
    ``end`` are byte offsets in the file."""

    start: int
    header: list[str]
    delimiters: Delimiters
    groups: list[Group] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    end: int = 0  # byte after its last segment

    @property
    def number(self) -> str:
        return self.header[13]

    @property
    def is_test(self) -> bool:
        return self.header[15] == "T"


@dataclass
class Envelope:
    interchanges: list[Interchange] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_envelope(data: bytes | mmap.mmap) -> Envelope:
    """Every interchange of ``data``, with what is wrong at each level. Never raises for bad bytes.

    A file that is no X12 at all has no interchange and one problem of level ``file``.
    """
    envelope = Envelope()
    bytes_ = np.frombuffer(data, dtype=np.uint8)
    position = _skip_padding(bytes_, 3 if bytes(data[:3]) == b"\xef\xbb\xbf" else 0)
    if position >= len(bytes_):
        envelope.problems.append(Problem("file", "", 0, "the file is empty"))
        return envelope
    heads = list(_whole_isas(data, bytes_))
    first = position
    while position < len(bytes_):
        head = bytes(data[position : position + 400])
        if head[:3] != b"ISA":
            envelope.problems.append(_not_an_interchange(head, position, position == first))
            position = _next_isa(data, position)
            continue
        interchange = _read_isa(head, position)
        if isinstance(interchange, Problem):
            envelope.problems.append(interchange)
            position = _next_isa(data, position + 3)
            continue
        envelope.interchanges.append(interchange)
        # another ISA ends an interchange, even in the midst of a segment that was torn off
        following = bisect.bisect_right(heads, position)
        limit = heads[following] if following < len(heads) else len(bytes_)
        interchange.end = _read_segments(data, bytes_[:limit], interchange)
        position = _skip_padding(bytes_, interchange.end)
    return envelope


def _whole_isas(data: bytes | mmap.mmap, bytes_: npt.NDArray[np.uint8]) -> Iterator[int]:
    end = 0
    for start in range(0, len(data), WINDOW):
        stop = min(start + WINDOW, len(data))
        for place in _where(bytes_, start, min(stop + 2, len(data)), b"I", b"S", b"A"):
            match = _WHOLE_ISA.match(data, place) if place >= end else None
            if match:
                end = match.end()
                yield place
        release(data, start, stop)


def _where(bytes_: npt.NDArray[np.uint8], start: int, stop: int, *allowed: bytes) -> Iterator[int]:
    """Where bytes follow each other that are, each, one of those allowed: told without Python's
    lock, and in a third of the time of a pattern that begins with what stands everywhere."""
    last = stop - len(allowed) + 1
    for first in range(start, last, BLOCK):
        block = bytes_[first : min(first + BLOCK, last) + 1]
        at = np.flatnonzero(_is_one_of(block[:-1], allowed[0]) & _is_one_of(block[1:], allowed[1]))
        at += first
        for place, these in enumerate(allowed[2:], start=2):
            at = at[_is_one_of(bytes_[at + place], these)]
        yield from at.tolist()


def _is_one_of(bytes_: npt.NDArray[np.uint8], allowed: bytes) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = bytes_ == allowed[0]
    for other in allowed[1:]:
        found |= bytes_ == other
    return found


def _skip_padding(bytes_: npt.NDArray[np.uint8], position: int) -> int:
    while position < len(bytes_) and bytes_[position] in (*PADDING, 0x20, 0x09, 0x00, 0x1A):
        position += 1
    return position


def _next_isa(data: bytes | mmap.mmap, position: int) -> int:
    """Where the next thing that can be an ISA begins, or the end of the file."""
    match = re.compile(rb"ISA([^A-Za-z0-9\s])[^\x00]{2}\1").search(data, position)
    return match.start() if match else len(data)


def _not_an_interchange(head: bytes, position: int, is_first: bool) -> Problem:
    kind = next((k for magic, k in _ARCHIVES.items() if head.startswith(magic)), None)
    if is_first or kind:
        cause = f"this is {kind}" if kind else "the file does not begin with ISA"
        return Problem("file", "", position, f"not an X12 interchange: {cause}")
    return Problem("file", "022", position, "text outside of any interchange is left unread")


def _read_isa(head: bytes, position: int) -> Interchange | Problem:
    head = head.replace(b"\0", b"\x01")  # as segments are read: no store's text holds a zero
    separator = head[3:4]
    pieces = head.split(separator, ISA_ELEMENTS) if separator else []
    if len(pieces) <= ISA_ELEMENTS or len(pieces[ISA_ELEMENTS]) < 2:
        return Problem("file", "023", position, "the ISA segment has fewer than 16 elements")
    component, terminator = pieces[ISA_ELEMENTS][:1], pieces[ISA_ELEMENTS][1:2]
    header = [p.decode("latin-1") for p in pieces[:ISA_ELEMENTS]] + [component.decode("latin-1")]
    repetition = header[11] if len(header[11]) == 1 and not header[11].isalnum() else "^"
    delimiters = Delimiters(
        separator.decode("latin-1"), header[16], repetition, terminator.decode("latin-1")
    )
    interchange = Interchange(position, [h.strip() for h in header[:16]] + [header[16]], delimiters)
    if len({*delimiters.__dict__.values()}) < 4:
        interchange.problems.append(
            Problem("interchange", "027", position, "two delimiters are the same character")
        )
    if not "".join(delimiters.__dict__.values()).isascii():
        interchange.problems.append(
            Problem("interchange", "027", position, "a delimiter is not an ASCII character")
        )
    length = sum(len(p) for p in pieces[:ISA_ELEMENTS]) + ISA_ELEMENTS + 2
    if length != ISA_LENGTH:
        interchange.problems.append(
            Problem("interchange", "022", position, f"ISA has {length} bytes, not {ISA_LENGTH}")
        )
    if header[12] != "00501":
        version = header[12] if re.fullmatch("[0-9]{5}", header[12]) else "unreadable"
        interchange.problems.append(
            Problem("interchange", "017", position, f"ISA12 is {version}; only 00501 is read")
        )
    else:
        interchange.problems += [
            Problem("interchange", code, position, f"ISA{at:02d}: {what}")
            for at, pattern, code, what in ISA_CHECKS
            if not re.fullmatch(pattern, interchange.header[at])
        ]
    return interchange


@dataclass(frozen=True)
class _Control:
    """A control segment: its id, place, ordinal within its interchange, elements."""

    id: str
    start: int
    end: int
    ordinal: int
    elements: list[str]


def _control_segments(
    data: bytes | mmap.mmap, bytes_: npt.NDArray[np.uint8], interchange: Interchange
) -> Iterator[_Control]:
    """The control segments after the ISA; last one named "" where reading ended.

    Stops after IEA or before another ISA. The closing marker's elements tell whether an
    unterminated tail was left.
    """
    element, terminator = (
        c.encode("latin-1")
        for c in (interchange.delimiters.element, interchange.delimiters.terminator)
    )
    pattern = re.compile(
        re.escape(terminator) + rb"[\r\n]*(ISA|IEA|GS|GE|ST|SE)" + re.escape(element)
    )
    size = len(bytes_)
    counted_to, ordinal, read_to = interchange.start, 0, 0
    for first, stop in _windows(data, terminator, interchange.start, size):
        for before in _where(bytes_, first, stop, terminator + b"\r\n", b"ISG", b"STE"):
            opening = before
            while opening > first and data[opening] in PADDING and data[opening] != terminator[0]:
                opening -= 1
            match = pattern.match(data, opening, stop)
            if match is None or opening < read_to:
                continue
            read_to = match.end()  # what parts elements may be what ends segments, in a bad ISA
            start = match.start(1)
            ordinal += _count(bytes_, terminator[0], counted_to, start)
            counted_to = start
            name = match.group(1).decode("ascii")
            if name == "ISA":
                yield _Control("", start, start, ordinal, [])
                return
            end = data.find(terminator, start, size)
            if end < 0:
                break
            control = data[start : min(end, start + CONTROL_BYTES)].replace(b"\0", b"\x01")
            elements = control.decode("latin-1").split(interchange.delimiters.element)
            yield _Control(name, start, end + 1, ordinal, elements)
            if name == "IEA":
                return
        ordinal += _count(bytes_, terminator[0], counted_to, stop)
        counted_to = max(counted_to, stop)
        release(data, first, stop)
    last = data.rfind(terminator, interchange.start, size) + 1
    tail = _skip_padding(bytes_, last)
    yield _Control("", size, size, ordinal, ["tail"] if tail < size else [])


def _windows(
    data: bytes | mmap.mmap, terminator: bytes, start: int, size: int
) -> Iterator[tuple[int, int]]:
    """Ranges of about WINDOW bytes that follow each other, each but the first beginning with a
    terminator."""
    while start < size:
        stop = start + WINDOW
        if stop < size:
            cut = data.rfind(terminator, start + 1, stop)
            stop = cut if cut > 0 else data.find(terminator, stop, size)
        stop = stop if 0 < stop < size else size
        yield start, stop
        start = stop


def _count(bytes_: npt.NDArray[np.uint8], value: int, start: int, stop: int) -> int:
    """How often a byte stands in a range, without a copy of all of it."""
    return sum(
        int(np.count_nonzero(bytes_[a : min(a + WINDOW, stop)] == value))
        for a in range(start, stop, WINDOW)
    )


def _read_segments(
    data: bytes | mmap.mmap, bytes_: npt.NDArray[np.uint8], interchange: Interchange
) -> int:
    """Fill the interchange's groups and sets; returns where it ends in the file."""
    group: Group | None = None
    set_: TransactionSet | None = None
    set_numbers: set[str] = set()
    identities: set[tuple[str, ...]] = set()
    end = interchange.start

    def close_set(at: int) -> None:
        nonlocal set_
        if set_ is not None:
            set_.end = at
            set_.problems.append(Problem("set", "2", at, "the set has no SE segment"))
            set_ = None

    def close_group(at: int) -> None:
        nonlocal group
        close_set(at)
        if group is not None:
            group.problems.append(Problem("group", "3", at, "the group has no GE segment"))
            group = None

    for control in _control_segments(data, bytes_, interchange):
        element = control.elements + [""] * 9
        end = control.end
        if control.id == "GS":
            close_group(control.start)
            group = Group(control.start, element[:9])
            if group.identity in identities:
                group.problems.append(
                    Problem("group", "19", control.start, "GS06 is used twice in the interchange")
                )
            if not group.is_answerable and group.header[1] != "FA":
                text = "GS01, GS02, GS03 or GS06 is not what the guide asks for"
                interchange.problems.append(
                    Problem("interchange", "024", control.start, f"an invalid GS segment: {text}")
                )
            elif group.header[1] != "FA":
                interchange.problems += [
                    Problem("interchange", "024", control.start, f"GS{at:02d}: {what}")
                    for at, pattern, what in GS_CHECKS
                    if not re.fullmatch(pattern, group.header[at])
                ]
                if len(control.elements) > GS_ELEMENTS + 1:
                    interchange.problems.append(
                        Problem("interchange", "024", control.start, "GS has too many elements")
                    )
            interchange.groups.append(group)
            identities.add(group.identity)
            set_numbers = set()
        elif control.id == "ST":
            close_set(control.start)
            if group is None:
                interchange.problems.append(
                    Problem(
                        "interchange", "024", control.start, "a transaction set outside of a group"
                    )
                )
                continue
            set_ = TransactionSet(
                control.start,
                control.end,
                element[2],
                element[1],
                element[3] or group.guide_code,
                0,
                control.ordinal,
                sent_guide_code=element[3],
            )
            if not set_.is_answerable and group.header[1] != "FA":
                # RFI 1339: no set can be named in the answer, so the group is refused
                text = "ST01 or ST02 of a set can't be read, so no answer could name the set"
                group.problems.append(Problem("group", "5", control.start, text))
            elif element[2] in set_numbers:
                set_.problems.append(Problem("set", "23", control.start, "ST02 is used twice"))
            set_numbers.add(element[2])
            group.sets.append(set_)
        elif control.id == "SE":
            if set_ is None:
                where: list[Problem] = group.problems if group else interchange.problems
                level, code = ("group", "5") if group else ("interchange", "024")
                where.append(Problem(level, code, control.start, "an SE segment without its ST"))
                continue
            set_.end = control.end
            set_.segment_count = control.ordinal - set_.first_segment + 1
            if not _says(element[1], set_.segment_count):
                set_.problems.append(
                    Problem(
                        "set",
                        "4",
                        control.start,
                        f"SE01 does not say {set_.segment_count}, the number of segments counted",
                    )
                )
            if element[2] != set_.number:
                set_.problems.append(Problem("set", "3", control.start, "SE02 differs from ST02"))
            set_ = None
        elif control.id == "GE":
            if group is None:
                interchange.problems.append(
                    Problem("interchange", "024", control.start, "a GE segment without its GS")
                )
                continue
            close_set(control.start)
            group.stated_count = element[1]
            if not _says(element[1], len(group.sets)):
                group.problems.append(
                    Problem(
                        "group",
                        "5",
                        control.start,
                        f"GE01 does not say {len(group.sets)}, the number of sets counted",
                    )
                )
            if element[2] != group.number:
                group.problems.append(
                    Problem("group", "4", control.start, "GE02 differs from GS06")
                )
            group = None
        elif control.id == "IEA":
            close_group(control.start)
            if not _says(element[1], len(interchange.groups)):
                interchange.problems.append(
                    Problem(
                        "interchange",
                        "021",
                        control.start,
                        f"IEA01 does not say {len(interchange.groups)}, the groups counted",
                    )
                )
            if element[2].strip() != interchange.number:
                interchange.problems.append(
                    Problem("interchange", "001", control.start, "IEA02 differs from ISA13")
                )
            return end
        elif control.id == "":
            close_group(control.start)
            cause = "the last segment is not terminated" if control.elements else "there is no IEA"
            interchange.problems.append(
                Problem("interchange", "023", control.start, f"the interchange ends early: {cause}")
            )
            return control.start
    return end


def _says(element: str, count: int) -> bool:
    """Whether a trailer's count is this number, leading zeros allowed."""
    return re.fullmatch(rf" *0*{count} *", element) is not None
