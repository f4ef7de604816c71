"""Whole files, damaged from a seed, read by pyx12 and by us: nothing passes that pyx12 rejects.

FUZZ_FILES sets how many of each guide are compared (400 if unset). Segment by segment the same is
done, far more often, in tests/test_syntax.py. Where pyx12 is wrong docs/pyx12.md says why.
"""

from __future__ import annotations

import os
import random
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest

from edi.guide import Guide, NodePattern, guide_for
from edi.read_file import read_file
from tests.mutate import mutated_segment, mutated_set, segment_at
from tests.pyx12_check import pyx12_errors
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    body,
    claim,
    group,
    interchange,
    transaction,
    write,
)

pytestmark = pytest.mark.long

KINDS = {"P": PROFESSIONAL, "I": INSTITUTIONAL}
FUZZ_FILES = int(os.environ.get("FUZZ_FILES", "400"))
PAGE = Path(__file__).resolve().parents[1] / "docs" / "pyx12.md"
COORDINATED = write(
    interchange([group([[*transaction(body([claim("A1", full=True)]))[:-1], "SE*104*0001"]])])
)
GOOD = write(interchange([group([transaction(body([claim("A1")]))])]))


def swapped(data: bytes, first: bytes, second: bytes, end: bytes) -> bytes:
    """The part from ``first`` to ``second`` behind that from ``second`` to ``end``."""
    a, b = data.index(first), data.index(second)
    c = data.index(end, b)
    return data[:a] + data[b:c] + data[a:b] + data[c:]


# docs/pyx12.md has a row for each: a good file, and what pyx12 has against it
WRONG: dict[str, tuple[bytes, str]] = {
    "hl-gap": (
        GOOD.replace(b"HL*2*", b"HL*7*"),
        r"SEG:HL1 - My HL count \d+ does not match your HL count \d+$",
    ),
    "lx-zero": (
        GOOD.replace(b"LX*2~", b"LX*02~"),
        r"SEG:LX - Your 2400/LX01 Service Line Number 0\d+ does not match my count",
    ),
    "submitter-order": (
        swapped(GOOD, b"NM1*41", b"NM1*40", b"HL*1"),
        r'SEG:3 - Mandatory loop "Submitter Name" \(1000A\) missing$',
    ),
    "payer-order": (
        swapped(GOOD, b"NM1*IL", b"NM1*PR", b"CLM*"),
        r'SEG:3 - Mandatory loop "Subscriber Name" \(2010BA\) missing$',
    ),
    "addenda": (GOOD.replace(b"005010X222A1", b"005010X222A2"), "Map not found"),
    "bom": (b"\xef\xbb\xbf" + GOOD, "does not look like an X12 data file|pyx12 read 0 of"),
    "remark-codes": (
        COORDINATED.replace(b"OI***Y*P**I~", b"OI***Y*P**I~MOA***N895*MA15~"),
        r" - \((?:M[1-9]\d{0,2}|MA\d\d|MA1\d\d|N[1-9]\d{0,2})\) is not a valid code for "
        r"Claim Payment Remark Code",
    ),
}
WRONGLY = re.compile("|".join(said for _, said in WRONG.values()))


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def damaged_files(kind: str, count: int, seed: int = 1) -> list[bytes]:
    """Files of one set: its structure, its segments, or its envelope damaged."""
    rng = random.Random(f"{kind}{seed}")
    guide = guide_for(KINDS[kind])
    assert guide is not None
    others = [segment_at(rng, node) for node in guide.nodes]
    by_id = {node.segment: node for node in guide.nodes}
    out = []
    for n in range(count):
        claims = [claim(f"C{m}", kind=kind, full=rng.random() < 0.3) for m in range(2)]
        made = body(claims, kind=kind, dependent=[n % 4 == 0, n % 4 == 1])
        set_ = transaction(made, guide=KINDS[kind])
        match n % 3:
            case 0:
                set_ = mutated_set(rng, set_, rng.choice((others, set_)))
            case 1:
                for _ in range(rng.randint(1, 2)):
                    at = rng.randrange(1, len(set_) - 1)
                    node = by_id[set_[at].split("*")[0]]
                    set_[at] = mutated_segment(rng, set_[at], node)
        set_[-1] = f"SE*{len(set_)}*0001"
        file = interchange([group([set_], guide=KINDS[kind])])
        if n % 3 == 2:
            at = rng.choice((0, 1, 2, len(file) - 3, len(file) - 2, len(file) - 1))
            file[at] = damaged_control(rng, file[at])
        out.append(write(file))
    return out


def damaged_control(rng: random.Random, segment: str) -> str:
    elements = segment.split("*")
    at = rng.randrange(1, len(elements))
    width = len(elements[at]) if elements[0] == "ISA" else 0
    value = rng.choice(("", "0", "9", "XX", "000000009", "20251332", "2561", "A" * 16))
    if width:
        value = value[:width].ljust(width, rng.choice(" 0"))
    if elements[0] == "ISA" and at in (11, 16):
        return segment
    elements[at] = value
    return "*".join(elements)


def passed(files: Sequence[bytes]) -> list[bytes]:
    """The files of which nothing is said; read one after the other as one file."""
    reading = read_file(b"".join(files))
    ends = list(accumulate(map(len, files)))
    said = [*reading.objections["offset"], *reading.sets.filter(verdict="refused")["offset"]]
    # what is missing at a file's end is told at the first byte of the next
    faulty = {bisect_right(ends, offset) for offset in said}
    faulty |= {bisect_right(ends, max(0, offset - 1)) for offset in said}
    return [data for n, data in enumerate(files) if n not in faulty]


def missed(files: Sequence[bytes]) -> list[tuple[bytes, list[str]]]:
    """The files that pass here though pyx12 rejects them rightly, and what it says."""
    found = ((data, pyx12_errors(data)) for data in passed(files))
    told = ((data, [e for e in errors if not WRONGLY.search(e)]) for data, errors in found)
    return [(data, errors) for data, errors in told if errors]


@pytest.mark.parametrize("case", WRONG)
def test_where_pyx12_is_wrong_we_read_and_the_page_says_why(case: str) -> None:
    data, said = WRONG[case]
    errors = pyx12_errors(data)
    assert errors and all(re.search(said, e) for e in errors)
    assert passed([data]) == [data]
    assert read_file(data).claim_count == 1
    assert PAGE.read_text("utf-8").count(f"\n| {case} |") == 1


def test_the_page_has_no_other_case() -> None:
    assert re.findall(r"^\| ([a-z][a-z-]*) \|", PAGE.read_text("utf-8"), re.MULTILINE) == [
        "case", *WRONG
    ]  # fmt: skip


@pytest.mark.parametrize("kind", "PI")
def test_no_file_passes_that_pyx12_rejects(kind: str) -> None:
    for seed in range(-(-FUZZ_FILES // 1000)):
        files = damaged_files(kind, min(FUZZ_FILES, 1000), seed)
        wrong = missed(files)
        assert not wrong, wrong[0]
        assert 0.02 * len(files) < len(passed(files)) < 0.6 * len(files)


def test_a_planted_error_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Element patterns of one node, the counting of one loop, or the check of an envelope's date
    made too loose: each makes the comparison fail."""
    files = damaged_files("P", 400)
    assert missed(files) == []
    loose = NodePattern(".*", (), "")
    tight = Guide.pattern
    with monkeypatch.context() as planted:
        planted.setattr(
            Guide,
            "pattern",
            lambda guide, node, d: loose if node.segment == "DTP" else tight(guide, node, d),
        )
        assert any("DTP" in e for _, errors in missed(files) for e in errors)
    with monkeypatch.context() as planted:
        planted.setattr("edi.syntax._counts", lambda _: [])
        assert any("missing" in e for _, errors in missed(files) for e in errors)
    with monkeypatch.context() as planted:
        planted.setattr("edi.envelope.GS_CHECKS", ())
        assert any("GS0" in e for _, errors in missed(files) for e in errors)
    assert missed(files) == []
