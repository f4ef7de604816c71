"""Interchanges, groups and sets: what is read of a file whatever its delimiters and damage.

FUZZ_BYTES=1 reads every prefix and every deletion of a byte; unset, a part of them.
"""

from __future__ import annotations

import mmap
import os
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from edi import envelope
from edi.envelope import Delimiters, Envelope, Problem, read_envelope
from edi.guide import Guide
from edi.read_file import FileReading, read_file
from tests.samples import (
    INSTITUTIONAL,
    STANDARD,
    body,
    claim,
    group,
    institutional,
    interchange,
    professional,
    transaction,
    write,
)

EVERY_BYTE = os.environ.get("FUZZ_BYTES") == "1"
SET = transaction(body([claim("A1")]))


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def problems(found: Envelope) -> list[tuple[str, str]]:
    """(level, code) of every problem: file, then each interchange's, group's and set's."""
    told = list(found.problems)
    for one in found.interchanges:
        told += one.problems
        for group_ in one.groups:
            told += group_.problems
            for set_ in group_.sets:
                told += set_.problems
    return [(p.level, p.code) for p in told]


def shape(found: Envelope) -> list[object]:
    """All that is known of a file's envelopes, to compare two readings."""
    out: list[object] = [found.problems]
    for i in found.interchanges:
        out += [i.start, i.header, i.delimiters, i.problems]
        for g in i.groups:
            out += [g.start, g.header, g.problems, g.stated_count, *g.sets]
    return out


def numbers(found: Envelope) -> list[list[list[str]]]:
    """ST02 by group by interchange."""
    return [[[s.number for s in g.sets] for g in i.groups] for i in found.interchanges]


def file_of(*sets: list[str]) -> bytes:
    return write(interchange([group(sets)]))


# ---- what a good file gives ------------------------------------------------------------------


def test_a_file_s_envelopes() -> None:
    data = professional(1)
    found = read_envelope(data)
    assert problems(found) == []
    (one,) = found.interchanges
    assert (one.start, one.number, one.is_test, one.delimiters) == (0, "000000001", False, STANDARD)
    assert one.header[6].strip() == "WILLOWEDI" and one.header[8].strip() == "CPCT1"
    (group_,) = one.groups
    assert data[group_.start :].startswith(b"GS*HC*")
    assert (group_.number, group_.guide_code, group_.stated_count) == ("1", "005010X222A1", "1")
    (set_,) = group_.sets
    assert data[set_.start : set_.end].startswith(b"ST*837*0001*")
    assert data[set_.start : set_.end].endswith(b"*0001~") and data[set_.end :].startswith(b"GE*")
    assert (set_.number, set_.type_code, set_.guide_code) == ("0001", "837", "005010X222A1")
    assert set_.segment_count == data[set_.start : set_.end].count(b"~")
    assert set_.first_segment == 2  # ISA 0, GS 1


def test_st03_may_be_left_out() -> None:
    short = ["ST*837*0001", *SET[1:]]
    (one,) = read_envelope(file_of(short)).interchanges
    assert one.groups[0].sets[0].guide_code == "005010X222A1"


def test_isa15_tells_a_test() -> None:
    (one,) = read_envelope(write(interchange([group([SET])], usage="T"))).interchanges
    assert one.is_test


DELIMITERS = (
    STANDARD,
    Delimiters("|", ">", "^", "~"),
    Delimiters("*", ":", "^", "\n"),
    Delimiters("*", ":", "^", "\r"),
    Delimiters("\x1d", "\x1f", "\x1e", "\x1c"),
    Delimiters("+", "\\", "!", "'"),
    Delimiters("^", "&", "]", "{"),
    Delimiters(",", "<", ">", '"'),
)


@cache
def usual_frames() -> dict[str, pl.DataFrame]:
    return read_file(professional(2, full=True)).frames


@pytest.mark.parametrize(
    ("d", "padding"),
    [*((d, "") for d in DELIMITERS), (STANDARD, "\r\n"), (DELIMITERS[1], "\n" * 7)],
)
def test_delimiters_are_read_from_the_isa(d: Delimiters, padding: str) -> None:
    data = professional(2, full=True, delimiters=d, padding=padding)
    found = read_envelope(data)
    assert problems(found) == []
    assert found.interchanges[0].delimiters == d
    reading = read_file(data)
    assert reading.objections.is_empty() and reading.claim_count == 2
    # whatever the delimiters, the frames are the same but for the place of each claim
    for name, frame in usual_frames().items():
        if name == "sources":
            continue
        assert frame.equals(reading.frames[name]), name


def test_each_interchange_has_its_own_delimiters() -> None:
    parts = [professional(1, number=n + 1, delimiters=d) for n, d in enumerate(DELIMITERS)]
    parts.insert(3, institutional(1, number=99, padding="\r\n"))
    data = b"\r\n".join(parts)
    found = read_envelope(data)
    assert problems(found) == []
    assert [i.delimiters for i in found.interchanges] == [
        *DELIMITERS[:3],
        STANDARD,
        *DELIMITERS[3:],
    ]
    reading = read_file(data)
    assert reading.objections.is_empty()
    assert reading.frames["claims"]["patient_control_number"].to_list() == [
        "P11", "P21", "P31", "I991", "P41", "P51", "P61", "P71", "P81",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "around",
    [(b"\xef\xbb\xbf", b""), (b"\r\n \t", b"\r\n\r\n"), (b"", b"\x1a"), (b"", b"\x00\x00")],
)
def test_what_may_stand_around_a_file(around: tuple[bytes, bytes]) -> None:
    before, after = around
    data = before + professional(1) + after
    assert problems(read_envelope(data)) == []
    assert read_file(data).claim_count == 1


def test_several_groups_and_sets() -> None:
    second = transaction(body([claim("A2")]), 2)
    inpatient = transaction(body([claim("A3", kind="I")], kind="I"), 1, INSTITUTIONAL)
    data = write(interchange([group([SET, second]), group([inpatient], 2, INSTITUTIONAL)]))
    assert problems(read_envelope(data)) == []
    assert numbers(read_envelope(data)) == [[["0001", "0002"], ["0001"]]]


# ---- what is wrong, and what it costs --------------------------------------------------------


def replaced(old: bytes, new: bytes, data: bytes | None = None) -> bytes:
    data = professional(2) if data is None else data
    assert old in data
    return data.replace(old, new, 1)


COUNT = len(transaction(body([claim("P11"), claim("P12")])))
DAMAGE: tuple[tuple[str, bytes, bytes, list[tuple[str, str]], int], ...] = (
    # what, what is replaced by what, (level, code) of what is said, claims still read
    ("SE01", b"SE*%d*" % COUNT, b"SE*%d*" % (COUNT + 1), [("set", "4")], 0),
    ("SE01 of 5,000 digits", b"SE*%d*" % COUNT, b"SE*" + b"9" * 5000 + b"*", [("set", "4")], 0),
    ("SE01 in superscript", b"SE*%d*" % COUNT, b"SE*\xb2*", [("set", "4")], 0),
    ("SE01 with leading zeros", b"SE*%d*" % COUNT, b"SE*00%d*" % COUNT, [], 2),
    ("SE02", b"*0001~GE", b"*0002~GE", [("set", "3")], 0),
    ("ST02", b"ST*837*0001*", b"ST*837**", [("group", "5"), ("set", "3")], 0),
    ("no SE", b"SE*%d*0001~" % COUNT, b"", [("set", "2")], 0),
    ("no ST", b"ST*837*0001*005010X222A1~", b"", [("group", "5"), ("group", "5")], 0),
    ("no GS", b"GS*HC*", b"GX*HC*",
     [("interchange", "024")] * 3 + [("interchange", "021")], 0),
    ("GE01", b"GE*1*", b"GE*2*", [("group", "5")], 2),
    ("GE02", b"GE*1*1~", b"GE*1*2~", [("group", "4")], 2),
    ("no GE", b"GE*1*1~", b"", [("group", "3")], 2),
    ("GE twice", b"GE*1*1~", b"GE*1*1~GE*1*1~", [("interchange", "024")], 2),
    ("IEA01", b"IEA*1*", b"IEA*2*", [("interchange", "021")], 2),
    ("IEA02", b"IEA*1*000000001~", b"IEA*1*000000002~", [("interchange", "001")], 2),
    ("no IEA", b"IEA*1*000000001~", b"", [("interchange", "023")], 2),
    ("unterminated IEA", b"IEA*1*000000001~", b"IEA*1*000000001", [("interchange", "023")], 2),
    ("text after IEA", b"IEA*1*000000001~", b"IEA*1*000000001~MORE", [("file", "022")], 2),
    ("an empty segment", b"~LX*1~", b"~~LX*1~", [("set", "4")], 0),
    ("ISA12", b"*00501*", b"*00401*", [("interchange", "017")], 0),
    ("short ISA", b"*ZZ*WILLOWEDI      *", b"*ZZ*WILLOWEDI*", [("interchange", "022")], 0),
    ("equal delimiters", b"*P*:~", b"*P*~~", [("interchange", "027")], 0),
    ("a delimiter beyond ASCII", b"*P*:~", b"*P*\xe9~", [("interchange", "027")], 0),
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=[d[0] for d in DAMAGE])
def test_what_is_wrong_is_said_and_costs_only_its_piece(
    damage: tuple[str, bytes, bytes, list[tuple[str, str]], int],
) -> None:
    _, old, new, told, claims = damage
    data = replaced(old, new)
    assert sorted(problems(read_envelope(data))) == sorted(told)
    reading = read_file(data)
    assert reading.claim_count == claims
    said = sorted(reading.objections.select("level", "code").rows())
    assert said == sorted(told)
    # neighbours in the file go on, on both sides
    again = read_file(professional(1, number=7) + data + b"\n" + professional(1, number=8))
    numbers_ = again.frames["claims"]["patient_control_number"].to_list()
    assert (numbers_[0], numbers_[-1], len(numbers_)) == ("P71", "P81", claims + 2)


def test_the_same_numbers_twice() -> None:
    twice = file_of(SET, transaction(body([claim("A2")])))
    assert problems(read_envelope(twice)) == [("set", "23")]
    reading = read_file(twice)
    assert reading.frames["claims"]["patient_control_number"].to_list() == ["A1"]
    assert reading.sets["verdict"].to_list() == ["read", "refused"]
    groups = write(interchange([group([SET]), group([transaction(body([claim("A2")]))])]))
    assert problems(read_envelope(groups)) == [("group", "19")]
    assert read_file(groups).claim_count == 1
    # in two groups of different numbers the same ST02 is right
    apart = write(interchange([group([SET]), group([SET], 2)]))
    assert problems(read_envelope(apart)) == [] and read_file(apart).claim_count == 2


def test_a_new_set_ends_one_without_se() -> None:
    second = transaction(body([claim("A2")]), 2)
    data = write(interchange([group([SET[:-1], second])]))
    assert problems(read_envelope(data)) == [("set", "2")]
    assert read_file(data).frames["claims"]["patient_control_number"].to_list() == ["A2"]


def test_an_interchange_without_iea_ends_at_the_next() -> None:
    first = professional(1).replace(b"IEA*1*000000001~", b"")
    found = read_envelope(first + professional(1, number=2))
    assert problems(found) == [("interchange", "023")]
    assert numbers(found) == [[["0001"]], [["0002"]]]


def test_a_torn_interchange_ends_at_the_next_isa() -> None:
    """Two files run together, the first cut off anywhere: the second is read as it is."""
    first, second = professional(1), professional(1, number=2)
    for length in range(108, len(first) - 1, 1 if EVERY_BYTE else 23):
        found = read_envelope(first[:length] + second)
        assert ("interchange", "023") in problems(found)
        one, two = found.interchanges
        assert two.start == length and problems(Envelope([two])) == []
        assert [s.number for g in one.groups for s in g.sets] in ([], ["0001"])
        assert [s.number for s in two.groups[0].sets] == ["0002"]
    # a first name is no ISA
    named = replaced(b"*ORRIN*J*", b"*LISA*00*")
    assert len(read_envelope(named).interchanges) == 1 and read_file(named).claim_count == 2


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ""),
        (b"\r\n  \n", ""),
        (b"\xef\xbb\xbf", ""),
        (b"PK\x03\x04\x14\x00", ""),
        (b"\x1f\x8b\x08\x00", ""),
        (b"%PDF-1.7\n", ""),
        (b"hello", ""),
        (b"I", ""),
        (b"ISA", "023"),
        (b"ISA*", "023"),
        (b"ISA*00*", "023"),
        (b"\x00\x01\x02\xff" * 50, ""),
        (bytes(range(256)), ""),
        ("ISA*00*".encode("utf-16"), ""),
    ],
)
def test_a_file_that_is_no_x12(data: bytes, code: str) -> None:
    found = read_envelope(data)
    assert found.interchanges == []
    assert problems(found) == [("file", code)]
    reading = read_file(data)
    assert reading.claim_count == 0 and reading.sets.is_empty()
    assert reading.objections["text"].str.len_chars().min() > 5  # type: ignore[operator]


def test_an_archive_is_named() -> None:
    assert "zip" in read_envelope(b"PK\x03\x04\x14\x00").problems[0].text
    assert "PDF" in read_envelope(b"%PDF-1.7\n").problems[0].text
    assert "empty" in read_envelope(b"").problems[0].text


def test_garbage_between_interchanges() -> None:
    data = b"HELLO" + professional(1) + b"<<<ISA-like" + b"\x00\xff" + professional(1, number=2)
    found = read_envelope(data)
    assert problems(found) == [("file", ""), ("file", "022")]
    assert numbers(found) == [[["0001"]], [["0002"]]]
    assert read_file(data).claim_count == 2


def test_nothing_of_a_torn_envelope_is_repeated() -> None:
    """Elements of a broken control segment may be anybody's name: no text shows them."""
    canary = b"TALLOWAY"
    torn = (
        b"ISA*" + canary + b"*" * 11 + canary + b"*1*2*3*:~",
        replaced(b"*00501*", b"*TALLO*"),
        replaced(b"GS*HC*", b"GS*TALLOWAY*"),
        replaced(b"*X*005010X222A1~", b"*X*TALLOWAY~"),
        replaced(b"ST*837*", b"ST*TALLOWAY*"),
        replaced(b"ST*837*0001*005010X222A1", b"ST*837*0001*TALLOWAY"),
        replaced(b"SE*", b"SE*TALLOWAY"),
        replaced(b"IEA*1", b"IEA*TALLOWAY"),
        canary + professional(1),
        replaced(b"CLM*", b"TALLOWAY*"),
        replaced(b"CLM*P11*180.5", b"CLM*P11*TALLOWAY"),
        replaced(b"*U*", b"*TALLOWAY*", replaced(b"*M~", b"*U*~")),
    )
    for data in torn:
        reading = read_file(data)
        assert not reading.objections.is_empty() or "refused" in reading.sets["verdict"]
        assert not any("TALLO" in t for t in reading.objections["text"].to_list())
        assert not any("TALLO" in t for t in reading.sets["reason"].to_list())
        shown = reading.objections.select("loop", "segment", "reference", "code")
        assert not any("TALLO" in str(value) for row in shown.rows() for value in row)


# ---- windows, and any damage at all ----------------------------------------------------------


def _mixed() -> bytes:
    return b"".join(
        (
            professional(2, padding="\r\n"),
            b"junk",
            institutional(1, number=2, delimiters=DELIMITERS[1]),
            professional(1, number=3).replace(b"IEA*1*000000003~", b""),
            professional(1, number=4)[:-30],
        )
    )


@pytest.mark.parametrize("window", [1, 7, 64, 1000])
def test_the_window_does_not_matter(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = _mixed()
    whole = read_envelope(data)
    assert len(whole.interchanges) == 4
    monkeypatch.setattr(envelope, "WINDOW", window)
    assert shape(read_envelope(data)) == shape(whole)


@pytest.mark.parametrize("block", [1, 3, 64, envelope.BLOCK])
def test_bytes_that_follow_each_other_are_found_wherever_they_stand(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever bytes are looked at together, as a pattern finds them, within the range alone."""
    monkeypatch.setattr(envelope, "BLOCK", block)
    rng = random.Random(7)
    for size in (0, 1, 2, 3, 5, 400):
        data = bytes(rng.choice(b"~\r\nISAGTE") for _ in range(size))
        numbers = np.frombuffer(data, dtype=np.uint8)
        for start, stop in ((0, size), (1, size - 1), (size // 3, size // 2)):
            for allowed in ((b"I", b"S", b"A"), (b"~\r\n", b"ISG", b"STE")):
                pattern = b"(?=" + b"".join(b"[" + re.escape(a) + b"]" for a in allowed) + b")"
                every = (match.start() for match in re.finditer(pattern, data))
                within = [at for at in every if start <= at <= stop - len(allowed)]
                assert [*envelope._where(numbers, start, stop, *allowed)] == within


def test_a_mapped_file_is_read_as_its_bytes(tmp_path: Path) -> None:
    data = _mixed()
    path = tmp_path / "mixed.837"
    path.write_bytes(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert shape(read_envelope(mapped)) == shape(read_envelope(data))
        one, two = read_file(mapped), read_file(data)
    assert one.objections.equals(two.objections) and one.sets.equals(two.sets)
    assert all(frame.equals(two.frames[name]) for name, frame in one.frames.items())


def test_a_segment_of_ten_megabytes() -> None:
    long = replaced(b"NM1*41*2*WILLOW BILLING*", b"NM1*41*2*" + b"W" * 10_000_000 + b"*")
    reading = read_file(long)
    assert reading.sets["verdict"].to_list() == ["refused"]
    assert reading.objections.select("segment", "code").rows() == [("NM1", "5")]


SMALL = write(interchange([group([transaction(body([claim("A1"), claim("A2")]))])]))


def read_or_fail(data: bytes) -> FileReading:
    """A reading that is whole in itself: every claim of a set that was read, every fault placed."""
    reading = read_file(data)
    read = set(reading.sets.filter(verdict="read")["set_index"])
    if reading.frames:
        assert set(reading.frames["sources"]["set_index"]) <= read
        ids = reading.frames["claims"]["claim_id"]
        assert ids.n_unique() == len(ids) == reading.frames["sources"].height
        assert set(reading.frames["lines"]["claim_id"]) <= set(ids)
    assert reading.objections.filter(level="claim")["claim_id"].null_count() == 0
    return reading


def cuts(count: int, step: int, *always: int) -> list[int]:
    """Every position, or each ``step``-th and those named."""
    return list(range(count)) if EVERY_BYTE else sorted({*range(0, count, step), *always})


def test_every_prefix_gives_a_verdict() -> None:
    for length in cuts(len(SMALL), 9, *range(110), *range(len(SMALL) - 60, len(SMALL))):
        reading = read_or_fail(SMALL[:length])
        # until the SE is whole there is no claim; nothing is ever read without a word
        assert reading.claim_count == (2 if length >= SMALL.index(b"GE*") else 0)
        assert reading.objections.height > 0


DAMAGES: tuple[tuple[str, Callable[[int], bytes]], ...] = (
    ("a byte left out", lambda at: SMALL[:at] + SMALL[at + 1 :]),
    ("a byte twice", lambda at: SMALL[: at + 1] + SMALL[at:]),
    ("a byte changed", lambda at: SMALL[:at] + b"\xe9" + SMALL[at + 1 :]),
    ("a terminator", lambda at: SMALL[:at] + b"~" + SMALL[at:]),
)


@pytest.mark.parametrize("what", DAMAGES, ids=[d[0] for d in DAMAGES])
def test_any_byte_may_be_wrong(what: tuple[str, Callable[[int], bytes]]) -> None:
    for at in cuts(len(SMALL), 31 if what[0] == "a byte left out" else 83, 0, 3, 82, 104, 105):
        reading = read_or_fail(what[1](at))
        assert reading.claim_count in (0, 1, 2, 3)


def test_problems_are_values() -> None:
    assert Problem("set", "4", 7, "x") == Problem("set", "4", 7, "x")
