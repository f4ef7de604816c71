"""Segments held against the guide: where each one stands, and what is wrong with it (SNIP 1-2).

The quick patterns of edi/guide.py clear what is surely valid; whatever they can't clear is judged
by pyx12's own validator, segment by segment, so that the verdict is always pyx12's.
"""

from __future__ import annotations

import mmap
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import polars as pl

from edi.elements import Elements, Integers, Truths, packed
from edi.envelope import Delimiters
from edi.guide import Guide, Node, Row

# what an element or segment error code of the 999 means, in our own words
ELEMENT_ERRORS = {
    "1": "a required element is missing",
    "2": "an element is missing that others make necessary",
    "3": "there are too many elements",
    "4": "the value is too short",
    "5": "the value is too long",
    "6": "a character is not allowed here",
    "7": "the code is not one the guide allows",
    "8": "not a valid date",
    "9": "not a valid time",
    "10": "two elements stand together that exclude each other",
    "13": "the composite has too many components",
    "I10": "an element is used that the guide does not use here",
    "I13": "an element is used that the guide does not use beside another",
}
SEGMENT_ERRORS = {
    "1": "the segment fits nowhere at this point",
    "3": "a required segment or loop is missing",
    "4": "the loop stands too often",
    "5": "the segment stands too often",
    "8": "the segment has element errors",
    "E": "an empty segment",
}
# what X12 asks of segments together (SNIP 4), of which pyx12 judges none
CHILD_FLAG = "HL04 does not say rightly whether patients stand below"
SELF_WITH_DEPENDENT = "SBR02 says that the insured is the patient, yet every claim is a dependent's"
SITUATIONS = (CHILD_FLAG, SELF_WITH_DEPENDENT)
FINDINGS = {
    "row": pl.Int64,
    "segment": pl.String,
    "loop": pl.String,
    "reference": pl.String,
    "segment_code": pl.String,
    "element_code": pl.String,
    "text": pl.String,
    "value": pl.String,
}
# no value of these is ever repeated: loops of persons, and segments of names, numbers and text
PERSONS = ("2000B", "2000C", "2010BA", "2010CA", "2330A")
TELLING = ("NM1", "N2", "N3", "N4", "DMG", "REF", "PER", "PAT", "NTE", "K3", "PWK")
Found = tuple[int, str, str, str, str, str, str, str]


# errors of X12's syntax itself (IK502 5, SNIP 1); all others are errors against the guide (I5)
SYNTAX_ELEMENT_CODES = ("2", "3", "4", "5", "6", "8", "9", "10", "13")


def snip_level(segment_code: str, code: str, text: str) -> int:
    """The SNIP level of an objection: 1 X12's own syntax, envelopes included, 2 the guide, 4 a
    situation that segments tell."""
    if text in SITUATIONS:
        return 4
    if segment_code == "8":
        return 1 if code in SYNTAX_ELEMENT_CODES else 2
    return 1 if segment_code in ("", "E") else 2


@dataclass(frozen=True)
class Segments:
    """The segments of some spans of a file, in order: text, place, node.

    ``offset`` is each segment's first byte in the file, ``stop`` the byte after its terminator;
    ``node`` its node in the guide (or, where ``fits`` is false, the node before it). ``order``
    lists rows by node, ``bounds`` where each node's rows begin in it.
    """

    elements: Elements
    offset: Integers
    stop: Integers
    node: Integers
    fits: Truths
    order: Integers
    bounds: Integers
    guide: Guide
    delimiters: Delimiters

    def __len__(self) -> int:
        return len(self.offset)

    def rows_of(self, nodes: Sequence[int]) -> Integers:
        """Rows at any of the nodes, in order."""
        parts = [self.order[self.bounds[n] : self.bounds[n + 1]] for n in nodes]
        if not parts:
            return np.empty(0, dtype=np.int64)
        return parts[0] if len(parts) == 1 else np.sort(np.concatenate(parts))


def read_segments(
    data: bytes | mmap.mmap, spans: Sequence[tuple[int, int]], guide: Guide, delimiters: Delimiters
) -> Segments:
    """The segments of ``spans`` (byte ranges that end with a terminator), walked through the guide.

    Bytes are read as latin-1. A zero byte is read as another control character, so that zeros can
    stand for what is absent.
    """
    text = b"".join(bytes(data[a:b]) for a, b in spans)
    if b"\0" in text:
        text = text.replace(b"\0", b"\x01")
    text = text[: text.rindex(delimiters.terminator.encode()) + 1]
    placed = Elements(text, delimiters)
    elements = placed
    if not text.isascii():
        elements = Elements(text.decode("latin-1").encode(), delimiters)
    lengths = np.array([b - a for a, b in spans], dtype=np.int64)
    piece_starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    piece = np.searchsorted(piece_starts, placed.start, side="right") - 1
    moved = np.array([a for a, _ in spans], dtype=np.int64) - piece_starts
    shift = after = moved[piece]
    if any(data[b - 1] != text[-1] for _, b in spans[:-1]):  # a segment goes on in the next span
        after = moved[np.searchsorted(piece_starts, placed.stop, side="right") - 1]
    state = _states(_tokens(elements, guide), guide)
    count = len(guide.nodes)
    fits = state < count
    node = np.where(fits, state, state - count)
    known = np.where(fits, node, count)
    order = np.argsort(known.astype(np.int16), kind="stable")  # few nodes: sorted by counting
    bounds = np.concatenate(([0], np.cumsum(np.bincount(known, minlength=count + 1))))
    return Segments(
        elements, placed.start + shift, placed.stop + 1 + after, node, fits, order, bounds, guide,
        delimiters,
    )  # fmt: skip


# where runs of segments begin that stand again and again in a file
RUNS = ("HL", "CLM", "LX")


def _states(tokens: Integers, guide: Guide) -> Integers:
    """The state that each token leads to. A run is walked once from each state it begins in."""
    opening = [number for name, number in guide.tokens.items() if name.split("*")[0] in RUNS]
    begins = np.flatnonzero(np.isin(tokens, opening)).tolist()
    numbers = tokens.astype(np.int16)
    width = numbers.itemsize
    text = numbers.tobytes()
    walked: dict[tuple[int, bytes], tuple[Row, bytes]] = {}
    states: list[bytes] = []
    row = guide.start
    for first, stop in pairwise([0, *begins, len(tokens)]):
        run = row.state, text[first * width : stop * width]
        if run not in walked:
            rows = list(accumulate(numbers[first:stop].tolist(), operator.getitem, initial=row))
            here = np.array([each.state for each in rows[1:]], dtype=np.int16)
            walked[run] = rows[-1], here.tobytes()
        row, reached = walked[run]
        states.append(reached)
    return np.frombuffer(b"".join(states), dtype=np.int16).astype(np.int64)


QUALIFIER_BYTES = 5  # of the qualifiers that tell nodes apart; a longer one tells none


def _tokens(elements: Elements, guide: Guide) -> Integers:
    """The number of each segment's id and qualifier."""
    ids, first = elements.opening()
    key = elements.packed(ids) & np.uint64(0xFFFFFF)
    key[ids.stop - ids.start > 3] = 0

    def named(kind: str) -> Truths:
        names = [packed(s) for s, k in guide.qualified.items() if k == kind]
        return np.isin(key, np.array(names, dtype=np.uint64))

    composite = np.flatnonzero(named("component"))
    if len(composite):  # its first component, as far as it can tell anything
        start = first.start[composite]
        near = elements.windows(start, QUALIFIER_BYTES + 1) == ord(elements.delimiters.component)
        stop = np.where(near.any(axis=1), start + near.argmax(axis=1), first.stop[composite])
        first.stop[composite] = np.minimum(stop, first.stop[composite])
    levels = np.flatnonzero(named("hl"))
    if len(levels):
        cells = elements.of(levels, 3)
        code = cells[3]
    qualifier = elements.packed(first)
    length = first.stop - first.start
    if len(levels):
        qualifier[levels], length[levels] = cells.packed(code), code.stop - code.start
    telling = (length <= QUALIFIER_BYTES) & np.isin(
        key, np.array([packed(s) for s in guide.qualified], dtype=np.uint64)
    )
    key |= np.where(telling, qualifier, np.uint64(0)) << np.uint64(24)
    keys = pl.Series(key)
    distinct = keys.unique()
    numbers = [_number(k.to_bytes(8, "little"), elements.delimiters, guide) for k in distinct]
    return keys.replace_strict(distinct, numbers, return_dtype=pl.Int64).to_numpy()


def _number(key: bytes, delimiters: Delimiters, guide: Guide) -> int:
    """A token's number, its segment's where no node knows the qualifier."""
    name, qualifier = (part.rstrip(b"\0").decode("latin-1") for part in (key[:3], key[3:]))
    qualifier = qualifier.rstrip(delimiters.component)  # as pyx12 reads one
    alone = guide.tokens.get(name, guide.unknown_token)
    return guide.tokens.get(f"{name}*{qualifier}", alone)


def screen(segments: Segments) -> pl.DataFrame:
    """Everything the guide objects to: one row an objection (``FINDINGS``), in file order."""
    found: list[Found] = []
    guide = segments.guide
    for row in np.flatnonzero(~segments.fits).tolist():
        value = segments.elements.segment(row)
        name = _segment_id(value, segments.delimiters)
        code = "1" if name else "E"
        node = guide.nodes[segments.node[row]]
        found.append((row, name, node.loop, "", code, "", SEGMENT_ERRORS[code], ""))
    for row in sorted(_suspicious(segments)):
        value = segments.elements.segment(row)
        node = guide.nodes[segments.node[row]]
        verdict = guide.verdict(node, value, segments.delimiters)
        for code, reference, bad in verdict:
            place = reference if reference.startswith(node.segment) else node.segment + reference
            text = ELEMENT_ERRORS.get(code, "")
            shown = bad if len(verdict) == 1 and _is_mere_code(node, code, bad) else ""
            found.append((row, node.segment, node.loop, place, "8", code, text, shown))
        if value.endswith(segments.delimiters.element):
            found.append(
                (
                    row,
                    node.segment,
                    node.loop,
                    node.segment,
                    "8",
                    "3",
                    "an element delimiter at the end of the segment",
                    "",
                )
            )
    found.extend(_counts(segments))
    found.extend(_numbering(segments))
    found.extend(_families(segments))
    return pl.DataFrame(sorted(found), schema=FINDINGS, orient="row")


def _is_mere_code(node: Node, code: str, value: str) -> bool:
    """Whether a wrong value may be repeated to its sender: a short code where nobody is described,
    in a segment that is wrong in nothing else. A torn segment is wrong in several places."""
    return (
        code == "7"
        and node.segment not in TELLING
        and node.loop not in PERSONS
        and re.fullmatch("[0-9A-Z]{1,3}", value) is not None
    )


def _suspicious(segments: Segments) -> set[int]:
    """The rows that their nodes' patterns do not clear."""
    guide, delimiters = segments.guide, segments.delimiters
    by_node = segments.elements.segments(segments.order)
    present = np.flatnonzero(np.diff(segments.bounds[: len(guide.nodes) + 1]))
    nodes = [guide.nodes[index] for index in present.tolist()]
    patterns = [guide.pattern(node, delimiters) for node in nodes]
    broken: dict[tuple[str, str], list[Node]] = {}
    for node, pattern in zip(nodes, patterns, strict=True):
        for note in pattern.broken:
            broken.setdefault((note, pattern.padding), []).append(node)

    def texts(node: Node) -> pl.Series:
        first, stop = segments.bounds[node.index : node.index + 2].tolist()
        return by_node.slice(first, stop - first)

    raw = pl.col("raw")
    found: set[int] = set()

    def look(of_nodes: list[Node], wrong: pl.Expr) -> None:
        # each text once: of three segments two have stood before
        each = pl.concat([texts(node) for node in of_nodes]).unique().to_frame("raw")
        few = each.filter(wrong).to_series()
        for node in of_nodes if len(few) else ():
            rows = segments.rows_of((node.index,))
            found.update(rows[texts(node).is_in(few.implode()).arg_true().to_numpy()].tolist())

    for clear, of_nodes in _together(nodes, [pattern.clear for pattern in patterns]):
        look(of_nodes, ~raw.str.contains(clear) | raw.str.ends_with(delimiters.element))
    for (note, padding), of_nodes in broken.items():
        look(of_nodes, (raw + padding).str.contains(note))
    return found


def _together(nodes: Sequence[Node], patterns: Sequence[str]) -> list[tuple[str, list[Node]]]:
    """The nodes' patterns in a few, each of segments of different ids, with the nodes it is of:
    polars keeps some thirty that it has compiled, and compiling one takes as long as a thousand
    segments."""
    groups: list[tuple[dict[str, str], list[Node]]] = []
    for node, pattern in zip(nodes, patterns, strict=True):
        # beside others only what no segment of another id can match
        name = node.segment if pattern.startswith(f"^{node.segment}") else ""
        members, of_nodes = next(
            (
                group
                for group in groups
                if group[0].get(name) == pattern
                or (name and "" not in group[0] and name not in group[0])
            ),
            ({}, []),
        )
        if not of_nodes:
            groups.append((members, of_nodes))
        members[name] = pattern
        of_nodes.append(node)
    return [("|".join(members.values()), of_nodes) for members, of_nodes in groups]


def _segment_id(text: str, delimiters: Delimiters) -> str:
    """A segment's id where it can be one: never data from a torn segment."""
    name = text.split(delimiters.element, 1)[0]
    return (
        name if 2 <= len(name) <= 3 and name.isascii() and name.isalnum() and name.isupper() else ""
    )


def _counts(segments: Segments) -> list[Found]:
    """Required and repeated segments and loops, counted within each instance of their parent."""
    found: list[Found] = []
    nodes = segments.guide.nodes
    for rule in segments.guide.rules:
        parents = segments.rows_of((rule.parent,))
        if not len(parents):
            continue
        children = segments.rows_of(rule.children)
        if not len(children) and not rule.required:
            continue
        instance = np.searchsorted(parents, children, side="right") - 1
        counts = np.bincount(instance[instance >= 0], minlength=len(parents))
        child = nodes[rule.children[0]]
        if rule.required:
            for at in np.flatnonzero(counts == 0).tolist():
                found.append(
                    (
                        int(parents[at]),
                        child.segment,
                        child.loop,
                        rule.name,
                        "3",
                        "",
                        SEGMENT_ERRORS["3"],
                        "",
                    )
                )
        if rule.most is not None and len(children):
            for at in np.flatnonzero(counts > rule.most).tolist():
                extra = children[np.searchsorted(instance, at) + rule.most]
                found.append(
                    (
                        int(extra),
                        child.segment,
                        child.loop,
                        rule.name,
                        rule.code,
                        "",
                        SEGMENT_ERRORS[rule.code],
                        "",
                    )
                )
    return found


def _numbering(segments: Segments) -> list[Found]:
    """HL01 must rise within its set, HL02 name the HL it stands under, LX01 count the claim's
    lines from 1.

    HL01 needn't begin with 1, nor leave no gap: some files count on from set to set, and of a
    large set only a piece may be at hand.
    """
    nodes = segments.guide.nodes

    def rows(loop: str, segment: str) -> Integers:
        return segments.rows_of([n.index for n in nodes if (n.loop, n.segment) == (loop, segment)])

    elements = segments.elements

    def number(at: Integers) -> Integers:
        cells = elements.of(at, 1)
        value, _ = cells.number(cells[1], 0, 10**12)
        return value.fill_null(-1).to_numpy()

    found: list[Found] = []
    for child, parent in (("2000B", "2000A"), ("2000C", "2000B")):
        below, above = rows(child, "HL"), rows(parent, "HL")
        if not len(below) or not len(above):
            continue
        under = np.searchsorted(above, below, side="right") - 1
        parents, children = elements.of(above[np.maximum(under, 0)], 1), elements.of(below, 2)
        wrong = children.text(children[2]).ne_missing(parents.text(parents[1]))
        found.extend(
            (
                int(below[at]),
                "HL",
                child,
                "HL02",
                "8",
                "7",
                "HL02 does not name the HL above it",
                "",
            )
            for at in wrong.arg_true().to_list()
        )
    levels = np.sort(np.concatenate([rows(loop, "HL") for loop in ("2000A", "2000B", "2000C")]))
    if len(levels):
        numbers = number(levels)
        set_ = np.searchsorted(rows("ST_LOOP", "ST"), levels, side="right")
        falls = (numbers[1:] <= numbers[:-1]) & (set_[1:] == set_[:-1])
        found.extend(
            (int(levels[at]), "HL", nodes[segments.node[levels[at]]].loop, "HL01", "8", "7",
             "HL01 does not rise", "")
            for at in np.flatnonzero(np.concatenate(([numbers[0] < 0], falls))).tolist()
        )  # fmt: skip
    lines, claims = rows("2400", "LX"), rows("2300", "CLM")
    if len(lines) and len(claims):
        claim = np.searchsorted(claims, lines, side="right") - 1
        first = np.searchsorted(claim, claim, side="left")
        due = np.arange(len(lines)) - first + 1
        sent = number(lines)
        found.extend(
            (
                int(lines[at]),
                "LX",
                "2400",
                "LX01",
                "8",
                "7",
                "LX01 does not count the lines from 1",
                "",
            )
            for at in np.flatnonzero(sent != due).tolist()
        )
    return found


def _families(segments: Segments) -> list[Found]:
    """HL04 of a subscriber is 1 where patients (2000C) stand below it, else 0; and SBR02, which
    calls the subscriber the patient, wants a claim of the subscriber's own where there are any.
    """
    nodes = segments.guide.nodes

    def rows(loop: str, segment: str) -> Integers:
        return segments.rows_of([n.index for n in nodes if (n.loop, n.segment) == (loop, segment)])

    subscribers, patients = rows("2000B", "HL"), rows("2000C", "HL")
    if not len(subscribers):
        return []
    after = np.append(subscribers[1:], len(segments))
    child = np.searchsorted(patients, subscribers)  # the first that can be its own
    own_end = np.append(patients, len(segments))[child]  # where its first patient begins
    has_child = own_end < after
    # HL04 is one character, the last: its byte is enough, and quick
    elements = segments.elements
    last = elements.stop[subscribers] - 1
    flag = elements.bytes[last]
    alone = elements.bytes[last - 1] == ord(segments.delimiters.element)
    wrong = alone & (elements.count[subscribers] == 4) & ((flag == 48) | (flag == 49))
    wrong &= (flag == 49) != has_child
    found: list[Found] = [
        (row, "HL", "2000B", "HL04", "8", "7", CHILD_FLAG, "")
        for row in subscribers[wrong].tolist()
    ]
    parents = np.flatnonzero(has_child)
    insured = rows("2000B", "SBR")
    if not len(parents) or not len(insured):
        return found
    claims = rows("2300", "CLM")
    own = np.searchsorted(claims, own_end[parents]) - np.searchsorted(claims, subscribers[parents])
    any_below = np.searchsorted(claims, after[parents]) > np.searchsorted(
        claims, subscribers[parents]
    )
    parents = parents[(own == 0) & any_below]
    at = np.searchsorted(np.append(insured, len(segments)), subscribers[parents])
    at = at[np.append(insured, len(segments))[at] < own_end[parents]]  # its own, where it has one
    # SBR01 is one character: SBR02 begins six bytes on
    begins = elements.start[insured[at]]
    at = at[(elements.bytes[begins + 6] == 49) & (elements.bytes[begins + 7] == 56)]
    cells = elements.of(insured[at], 2)
    found.extend(
        (row, "SBR", "2000B", "SBR02", "8", "I13", SELF_WITH_DEPENDENT, "")
        for row in insured[at][cells.is_one_of(cells[2], ["18"])].tolist()
    )
    return found
