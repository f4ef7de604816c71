"""Damage from a seed: to whole transaction sets, and to single segments of a guide's node.

Also what pyx12's own walker makes of a set, which is what the guide's table is held against.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edi.envelope import Delimiters, read_envelope
from edi.guide import Guide, Node, guide_for
from edi.syntax import Segments, read_segments
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    STANDARD,
    body,
    claim,
    transaction,
    words,
    write,
)

CORPUS = Path(__file__).resolve().parents[1].parent / "shared" / "corpus"

# ---- whole sets ------------------------------------------------------------------------------

_QUALIFIERS = words("""
    85 87 PE IL PR QC 82 DN P3 77 DQ 71 72 ZZ 45 PW DK QB 41 40 431 434 435 096 439 472 573 050
    EI SY G1 9F F8 6R D9 EA G2 0B 2U XZ ABK ABF ABJ APR ABN DR BBR BBQ BI BH BE BG TC BP BO HC
    07 75 E1 ADD TPO F3 F5 D A8 EAF T GT N4 20 22 23 XX Q 1 0
""")
_NAMES = words("NM1 REF DTP HI AMT N3 N4 PRV HL CLM LX SV1 SV2 CAS SBR ZZZ XQ1 nm1 LS GS")


def mutated_set(rng: random.Random, set_: Sequence[str], others: Sequence[str]) -> list[str]:
    """A set (ST to SE) with one to three things wrong between them; ``others`` to insert from."""
    body = list(set_[1:-1])
    for _ in range(rng.randint(1, 3)):
        if not body:
            break
        rng.choice(_SET_DAMAGE)(rng, body, others)
    return [set_[0], *body, set_[-1]]


def _delete(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    at = rng.randrange(len(body))
    del body[at : at + rng.choice((1, 1, 1, 2, 5))]


def _duplicate(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    at = rng.randrange(len(body))
    body[at:at] = body[at : at + rng.choice((1, 1, 2, 6))] * rng.choice((1, 1, 2, 10))


def _swap(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    a, b = rng.randrange(len(body)), rng.randrange(len(body))
    body[a], body[b] = body[b], body[a]


def _reorder(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    at = rng.randrange(len(body))
    part = body[at : at + rng.randint(2, 5)]
    rng.shuffle(part)
    body[at : at + len(part)] = part


def _move(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    at, length = rng.randrange(len(body)), rng.choice((1, 2, 4))
    part = body[at : at + length]
    del body[at : at + length]
    to = rng.randint(0, len(body))
    body[to:to] = part


def _insert(rng: random.Random, body: list[str], others: Sequence[str]) -> None:
    at = rng.randint(0, len(body))
    body[at:at] = [rng.choice(others) for _ in range(rng.choice((1, 1, 2)))]


def _requalify(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    at = rng.randrange(len(body))
    elements = body[at].split("*")
    if len(elements) > 1:
        place = 3 if elements[0] == "HL" and len(elements) > 3 else 1
        first, colon, rest = elements[place].partition(":")
        qualifier = rng.choice((first, "", *_QUALIFIERS))
        elements[place] = qualifier + rng.choice(("", "", ":", "::")) + colon + rest
    body[at] = "*".join(elements)


def _rename(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    at = rng.randrange(len(body))
    _, star, rest = body[at].partition("*")
    body[at] = rng.choice(_NAMES) + star + rest


def _level(rng: random.Random, body: list[str], _: Sequence[str]) -> None:
    levels = [i for i, s in enumerate(body) if s.startswith("HL*")]
    if levels:
        at = rng.choice(levels)
        elements = [*body[at].split("*"), "", "", ""][:5]
        place = rng.choice((1, 2, 3, 3, 3, 4))
        elements[place] = rng.choice(("", "20", "22", "23", "1", "2", "9", "X"))
        body[at] = "*".join(elements).rstrip("*")


_SET_DAMAGE: tuple[Callable[[random.Random, list[str], Sequence[str]], None], ...] = (
    _delete, _duplicate, _swap, _reorder, _move, _insert, _requalify, _rename, _level,
)  # fmt: skip


# ---- single segments -------------------------------------------------------------------------


def segment_at(rng: random.Random, node: Node) -> str:
    """A segment that the guide mostly allows at a node, its optional elements by chance."""
    out = [node.segment]
    for child in node.map_node.children:
        wanted = child.usage == "R" or (child.usage == "S" and rng.random() < 0.5)
        if not wanted:
            out.append("")
        elif child.is_composite():
            parts = [
                _value(rng, c) if c.usage == "R" or (c.usage == "S" and rng.random() < 0.4) else ""
                for c in child.children
            ]
            out.append(":".join(parts).rstrip(":"))
        else:
            out.append(_value(rng, child))
    if node.segment == "DTP" and len(out) > 3:
        out[3] = _DATED.get(out[2], _day)(rng)
    return "*".join(out).rstrip("*")


def _value(rng: random.Random, element: Any) -> str:
    codes = [c for c in element.valid_codes if c]
    if element.external_codes and (not codes or rng.random() < 0.5):
        codes = rng.sample(_external(element), 3)
    if codes:
        return str(rng.choice(codes))
    if element.data_ele == "1251":
        return rng.choice(tuple(_DATED.values()))(rng)
    kind, least, most = element.data_type or "AN", element.min_len, min(element.max_len, 30)
    length = rng.randint(max(least, 1), max(least, min(most, least + 8)))
    if kind == "R":
        whole = "".join(rng.choices("0123456789", k=rng.randint(1, min(most, 6))))
        return rng.choice(("", "", "-")) + whole + rng.choice(("", "", ".5", ".25", ".125"))
    if kind.startswith("N"):
        return "".join(rng.choices("0123456789", k=length))
    if kind == "DT":
        return _day(rng)
    if kind == "TM":
        return _time(rng)
    return "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=length))


def _external(element: Any) -> list[str]:
    return sorted(element.root.ext_codes.codes[element.external_codes]["codes"])


def _day(rng: random.Random) -> str:
    return f"20{rng.randint(0, 29):02d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def _time(rng: random.Random) -> str:
    return f"{rng.randint(0, 23):02d}{rng.randint(0, 59):02d}"


_DATED: dict[str, Callable[[random.Random], str]] = {
    "D8": _day,
    "RD8": lambda rng: "-".join(sorted((_day(rng), _day(rng)))),
    "TM": _time,
    "DT": lambda rng: _day(rng) + _time(rng),
}
# values that are on some edge of what an element may hold
_EDGES = (
    "", " ", "  ", "A", "a", "ab cd", "AB ", " AB", "0", "00", "-", ".", "-.", "1.", ".5", "-3",
    "+3", "1e3", "1,000", "12.345", "0012", "99999999.99", "9" * 11, "9" * 18, "9" * 19, "1.1.1",
    "1-2", "20230229", "20240229", "21000229", "20001301", "20000132", "18991231", "17991231",
    "2023022", "202302281", "230228", "20250101-20241231", "20250101-20250132", "20250101-",
    "-20250101", "20250101-20250102-20250103", "2400", "2359", "0960", "235960", "12", "1",
    "123456789012", "202505041260", "20250504121", "\x07", "A\tB", "A\nB", "\x1c", "A\x01B", "\x7f",
    "\x00", "é", "ÿ", "A^B", "`", "A|B", "[x]", "\\", "<>", "'\"", "#$%&", "Z" * 81, "HC", "hc",
    "ZZ", "Y", "N", "D8", "RD8", "TM", "DT", "D6", "E11.9", "250000000", "ABK", "12:", ":12",
    "A:B:C:D:E:F:G:H:I", ":" * 11, ":", "A" * 300,
)  # fmt: skip


def mutated_segment(rng: random.Random, segment: str, node: Node) -> str:
    """A segment with one or two things done to it; now and then none is wrong."""
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        elements = segment.split("*")
        at = rng.randrange(1, len(elements)) if len(elements) > 1 else 0
        what = rng.randrange(12)
        if what == 0 and at:
            elements[at] = ""
        elif what == 1 and at:
            elements[at] += "".join(rng.choices("AZ09 az.-", k=rng.choice((1, 2, 40))))
        elif what == 2 and at:
            elements[at] = elements[at][: rng.randrange(max(1, len(elements[at])))]
        elif what == 3:
            elements.extend([rng.choice(_EDGES)] * rng.choice((1, 2, 8)))
        elif what == 4:
            segment = "*".join(elements) + rng.choice(("*", "**", ":", ":*", "*:", " ", "^"))
            continue
        elif what == 5:
            most = len(node.map_node.children)
            elements += [""] * (most - len(elements) + 1)
            at = rng.randrange(1, most + 1)
            elements[at] = rng.choice(_EDGES)
        elif what == 6 and at:
            parts = elements[at].split(":")
            part = rng.randrange(len(parts))
            parts[part : part + 1] = rng.choice(
                (
                    [""],
                    [rng.choice(_EDGES)],
                    [parts[part], rng.choice(_EDGES)],
                    [parts[part], "", "X"],
                )
            )
            elements[at] = ":".join(parts)
        elif what == 7 and at:
            elements[at] += ":" * rng.choice((1, 2, 9))
        elif what == 8 and at:
            elements[at] = elements[at].lower()
        elif what == 9 and len(elements) > 2:
            del elements[rng.randrange(1, len(elements))]
        elif what == 10 and len(elements) > 2:
            elements = elements[: rng.randrange(1, len(elements))]
        elif at:
            elements[at] = rng.choice(_EDGES)
        segment = "*".join(elements)
    return segment.replace("~", "")


# ---- pyx12's walker --------------------------------------------------------------------------


class Step(NamedTuple):
    """Where a segment stands for pyx12, whether it fits there, and what the walker (code, text)
    and the reader's own counting of HL and LX object to."""

    node: int
    fits: bool
    errors: tuple[tuple[str, str], ...]
    numbering: tuple[str, ...]


def walk(guide: Guide, set_: Sequence[str], delimiters: Delimiters = STANDARD) -> list[Step]:
    """A set (ST to SE) as pyx12's x12n_document walks it: no node found → the one before stays."""
    from pyx12.map_walker import walk_tree
    from pyx12.segment import Segment
    from pyx12.x12file import X12Base

    d = delimiters
    index = {id(n.map_node): n.index for n in guide.nodes}
    walker, counter = walk_tree(), X12Base()
    counter.check_837_lx = guide.name == "837P"
    for path in ("/ISA_LOOP/ISA", "/ISA_LOOP/GS_LOOP/GS"):
        walker.forceWalkCounterToLoopStart(path.rpartition("/")[0], path)
    node = guide.nodes[0].map_node.root.getnodebypath("/ISA_LOOP/GS_LOOP/GS")
    steps: list[Step] = []
    for text in set_:
        segment = Segment(text, d.terminator, d.element, d.component, d.repetition)
        counter._parse_segment(segment)
        found, _, _, errors = walker.walk_errors(node, segment, len(steps), len(steps), None)
        node = node if found is None else found
        steps.append(
            Step(
                index.get(id(node), -1),
                found is not None and id(node) in index,
                tuple((e.err_cde, e.err_str) for e in errors),
                tuple(e[1] for e in counter.pop_errors()),
            )
        )
    return steps


class Walked(NamedTuple):
    """Damaged sets, what pyx12 makes of each, and the same sets read by us in one go."""

    guide: Guide
    sets: list[list[str]]
    steps: list[list[Step]]
    read: Segments

    def owners(self, rows: Sequence[int]) -> list[int]:
        """Which set each row of ``read`` is in."""
        starts = np.cumsum([0, *map(len, self.sets)])
        return [int(x) for x in np.searchsorted(starts, rows, side="right") - 1]


@cache
def walked(kind: str, count: int, seed: int = 1) -> Walked:
    """``count`` damaged sets of a kind, made from our samples and the corpus where it is."""
    code = PROFESSIONAL if kind == "P" else INSTITUTIONAL
    guide = guide_for(code)
    assert guide is not None
    rng = random.Random(f"{kind}{seed}")
    plain, full = claim("C1", kind=kind), claim("C2", kind=kind, full=True)
    bodies = [
        body([plain], kind=kind),
        body([plain], kind=kind, dependent=[True]),
        body([plain, plain, plain], kind=kind, dependent=[False, True], provider_every=2),
        body([plain, plain], kind=kind, together=True),
        body([full], kind=kind),
        body([full], kind=kind, dependent=[True]),
    ]
    ours = [transaction(b, guide=code) for b in bodies]
    theirs = [s for name, s, d in corpus_sets() if name == guide.name and d == STANDARD]
    others = [segment_at(rng, node) for node in guide.nodes]
    sets = []
    for n in range(count):
        base = rng.choice(theirs if theirs and n % 3 == 0 else ours)
        sets.append(mutated_set(rng, base, rng.choice((others, others, base))))
    return Walked(guide, sets, [walk(guide, s) for s in sets], read(guide, sets))


def read(guide: Guide, sets: Sequence[Sequence[str]]) -> Segments:
    """The sets read by us, one after the other."""
    parts = [write(s) for s in sets]
    ends = [int(x) for x in np.cumsum([len(p) for p in parts])]
    return read_segments(
        b"".join(parts), list(zip([0, *ends], ends, strict=False)), guide, STANDARD
    )


# ---- the corpus, where it is -----------------------------------------------------------------


@cache
def corpus_sets() -> tuple[tuple[str, tuple[str, ...], Delimiters], ...]:
    """Guide, segments and delimiters of every set of the shared corpus that a guide describes."""
    found = []
    for path in sorted(CORPUS.rglob("*")) if CORPUS.is_dir() else []:
        data = path.read_bytes() if path.is_file() else b""
        for interchange in read_envelope(data).interchanges if data[:3] == b"ISA" else ():
            for group in interchange.groups:
                guide = guide_for(group.guide_code)
                for set_ in group.sets if guide else ():
                    assert guide is not None
                    d = interchange.delimiters
                    text = data[set_.start : set_.end].decode("latin-1")
                    lines = [s.lstrip("\r\n") for s in text.split(d.terminator)]
                    found.append((guide.name, tuple(s for s in lines if s), d))
    return tuple(found)
