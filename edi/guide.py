"""An implementation guide as pyx12's map describes it, compiled once for reading at speed.

pyx12's walker chooses the next node from the current node, the segment id and its qualifier
alone. So a guide is a transition table: rows of rows, filled by asking pyx12's own walker the
first time a pair occurs, and walking segments is ``itertools.accumulate(tokens, getitem)``.
Each segment node carries one pattern that clears what is surely valid; the rest goes to pyx12.
What pyx12 answered is kept in the user's cache folder, so that a later process needs pyx12 only
for what it hasn't met before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from threading import RLock
from typing import Any

from edi.envelope import Delimiters

# GS08 and ST03 as they occur, the pyx12 map that describes them, and whether it is their own
# guide: later addenda of the same guide are read by it, and the reader says so.
GUIDES: dict[str, tuple[str, str, bool]] = {
    "005010X222A1": ("837P", "837.5010.X222.A1.xml", True),
    "005010X222A2": ("837P", "837.5010.X222.A1.xml", False),
    "005010X222": ("837P", "837.5010.X222.A1.xml", False),
    "005010X223A2": ("837I", "837Q3.I.5010.X223.A1.xml", True),
    "005010X223A1": ("837I", "837Q3.I.5010.X223.A1.xml", False),
    "005010X223A3": ("837I", "837Q3.I.5010.X223.A1.xml", False),
    "005010X223": ("837I", "837Q3.I.5010.X223.A1.xml", False),
}
USUAL = "*:^~"  # element, component, repetition, terminator as most files have them
# Remark codes as X12 numbers them: pyx12's list lacks those after 2014 and some before, so at SNIP
# 2 every number passes; which of them is in force on a day is SNIP 5's to say
REMARKS = frozenset(
    f"{letters}{number:0{width}}"
    for letters, width, last in (("M", 1, 199), ("MA", 2, 199), ("N", 1, 999))
    for number in range(1, last + 1)
)
NO_QUALIFIER = ""


class _Map:
    """pyx12's map of a guide, loaded only when something must be asked of it.

    ``segments``: its segment nodes below ST, depth first: a node's ``index`` counts them.
    """

    def __init__(self, map_file: str, codes: tuple[str, ...]) -> None:
        self.map_file, self.codes = map_file, codes
        self._built_alone: dict[int, Any] = {}
        self.alone = RLock()  # chunks are read by several threads; pyx12 knows of none

    @cached_property
    def top(self) -> Any:
        from pyx12.map_if import load_map_file
        from pyx12.params import params

        root = _numbered_remarks(load_map_file(self.map_file, params()))
        top = root.getnodebypath("/ISA_LOOP/GS_LOOP/ST_LOOP")
        _allow(root.getnodebypath("/ISA_LOOP/GS_LOOP/GS").children[7], self.codes)
        _allow(top.get_first_node().children[2], self.codes)
        return top

    @cached_property
    def segments(self) -> list[Any]:
        return [segment for segment, _ in _walk(self.top, ())]

    def segment_alone(self, index: int) -> Any:
        """One segment node, for a verdict on a segment: the rest of the map is not built for it,
        which would take five times as long as a small night's reading."""
        from pyx12.map_if._segment import segment_if

        # ST03 is patched in the whole map
        if "top" in self.__dict__ or index == 0:
            return self.segments[index]
        if index not in self._built_alone:
            loop, element = self._outline[index]
            self._built_alone[index] = segment_if(loop.root, loop, element)
        return self._built_alone[index]

    @cached_property
    def _outline(self) -> list[tuple[Any, Any]]:
        """Of every segment below ST pyx12's node of its loop and its own piece of the map file."""
        from xml.etree import ElementTree  # the file is pyx12's own

        from pyx12.map_if._root import map_if
        from pyx12.params import params

        with files("pyx12").joinpath("map", self.map_file).open("rb") as file:
            tree = ElementTree.parse(file).getroot()  # noqa: S314
        segments: dict[Any, list[Any]] = {}
        for loop in tree.iter("loop"):
            if loop.get("xid") != "ISA_LOOP":  # where the version stands
                segments[loop] = loop.findall("segment")
                for segment in segments[loop]:
                    loop.remove(segment)

        def below(node: Any, loop: Any) -> Iterator[tuple[Any, Any]]:
            """In pyx12's order: by position, loops before segments, as they stand in the file."""
            loops, nodes = loop.findall("loop"), node.childIterator()
            for part in sorted(loops + segments[loop], key=_position):
                if part.tag == "loop":
                    yield from below(next(nodes), part)
                else:
                    yield node, part

        root = _numbered_remarks(map_if(tree, params()))
        top = next(loop for loop in tree.iter("loop") if loop.get("xid") == "ST_LOOP")
        return list(below(root.getnodebypath("/ISA_LOOP/GS_LOOP/ST_LOOP"), top))

    @cached_property
    def index(self) -> dict[int, int]:
        """Which segment a pyx12 node is, by its identity: pyx12's own equality is by name."""
        return {id(segment): i for i, segment in enumerate(self.segments)}


def _position(piece: Any) -> int:
    return int(piece.get("pos") or piece.findtext("pos"))


def _walk(loop: Any, above: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Every segment node below a loop with the loops it stands in, outermost first."""
    here = (*above, loop.id)
    for child in loop.childIterator():
        if child.is_loop():
            yield from _walk(child, here)
        else:
            yield child, here


@dataclass(frozen=True)
class Node:
    """A segment of the guide, at one place. ``index`` is its state in the transition table."""

    index: int
    path: str
    segment: str
    loops: tuple[str, ...]
    map: _Map = field(repr=False, compare=False)

    @property
    def loop(self) -> str:
        return self.loops[-1]

    @property
    def map_node(self) -> Any:
        """pyx12's node of it, in its whole map."""
        return self.map.segments[self.index]

    @property
    def judge(self) -> Any:
        """pyx12's node of it, to judge segments by and nothing else."""
        return self.map.segment_alone(self.index)


@dataclass(frozen=True)
class Rule:
    """How often a segment or loop may stand in its parent loop; ``most`` None: any number."""

    parent: int
    children: tuple[int, ...]
    required: bool
    most: int | None
    name: str
    code: str


class Row(dict[int, "Row"]):
    """A state's transitions, learnt from pyx12 as they occur."""

    __slots__ = ("guide", "node", "state")

    def __init__(self, guide: Guide, node: Node, state: int) -> None:
        super().__init__()
        self.guide, self.node, self.state = guide, node, state

    def __missing__(self, token: int) -> Row:
        row = self[token] = self.guide._step(self.node, token)
        return row


class Guide:
    """A compiled guide: ``nodes``, ``tokens`` (segment id and qualifier → number), ``start``.

    States 0 … n−1 are nodes; state n + i means: the segment fits nowhere after node i, and
    reading goes on from node i, as pyx12 does.
    """

    def __init__(self, name: str, map_: _Map, learnt: dict[str, Any] | None = None) -> None:
        self.name = name
        self.map = map_
        facts = learnt or _facts(name, map_)
        self.nodes = [
            Node(i, path, segment, tuple(loops), map_)
            for i, (path, segment, loops) in enumerate(facts["nodes"])
        ]
        self.qualified: dict[str, str] = facts["qualified"]
        self._codes: dict[str, list[str]] = facts["codes"]
        self.rules = tuple(
            Rule(parent, tuple(children), required, most, rule, code)
            for parent, children, required, most, rule, code in facts["rules"]
        )
        self.tokens: dict[str, int] = {}
        self._token_samples: list[str] = []
        for segment in sorted({n.segment for n in self.nodes} | {"GE", "IEA", "GS", "ISA"}):
            for qualifier in [NO_QUALIFIER, *self._codes.get(segment, ())]:
                self.tokens[_token(segment, qualifier)] = len(self.tokens)
                self._token_samples.append(_sample(segment, qualifier, self.qualified.get(segment)))
        self.unknown_token = len(self.tokens)
        self._token_samples.append("ZZZ")
        count = len(self.nodes)
        self._rows = [Row(self, n, n.index) for n in self.nodes]
        self._lost = [Row(self, n, count + n.index) for n in self.nodes]
        self.start = self._rows[0]
        self._patterns: dict[str, dict[str, NodePattern]] = {}
        states = [*self._rows, *self._lost]
        for state, steps in facts.get("steps", {}).items():
            row = states[int(state)]
            row.update((int(token), states[reached]) for token, reached in steps.items())
        for delimiters, patterns in facts.get("patterns", {}).items():
            self._patterns[delimiters] = {
                index: NodePattern(clear, tuple(broken), padding)
                for index, (clear, broken, padding) in patterns.items()
            }
        self._has_learnt = False

    def _step(self, node: Node, token: int) -> Row:
        from pyx12.map_walker import walk_tree
        from pyx12.segment import Segment

        self._has_learnt = True
        segment = Segment(self._token_samples[token], "~", "*", ":")
        with self.map.alone:
            found = walk_tree().walk_errors(node.map_node, segment, 1, 1, None)[0]
            reached = self.map.index.get(id(found))
        return self._lost[node.index] if reached is None else self._rows[reached]

    def node_of(self, state: int) -> tuple[Node, bool]:
        """The node of a state, and whether the segment fitted there."""
        count = len(self.nodes)
        return self.nodes[state % count], state < count

    def pattern(self, node: Node, delimiters: Delimiters) -> NodePattern:
        """The node's pattern for these delimiters."""
        known = self._patterns.setdefault("".join(delimiters.__dict__.values()), {})
        found = known.get(str(node.index))
        if found is None:
            self._has_learnt = True
            with self.map.alone:
                found = known[str(node.index)] = _node_pattern(node, delimiters)
        return found

    def remember(self) -> None:
        """Keep what was asked of pyx12 for the next process; where that fails, nothing is lost."""
        if not self._has_learnt:
            return
        self._has_learnt = False
        count = len(self.nodes)
        facts = {
            "nodes": [(n.path, n.segment, n.loops) for n in self.nodes],
            "qualified": self.qualified,
            "codes": self._codes,
            "rules": [
                (r.parent, r.children, r.required, r.most, r.name, r.code) for r in self.rules
            ],
            # what damaged files and unusual delimiters taught is not worth keeping
            "steps": {
                state: steps
                for state, row in enumerate(self._rows)
                if (steps := _fitting(row, count))
            },
            "patterns": {
                USUAL: {
                    i: (p.clear, p.broken, p.padding)
                    for i, p in self._patterns.get(USUAL, {}).items()
                }
            },
        }
        _keep(_cache_file(self.name, self.map), facts)

    def verdict(
        self, node: Node, segment: str, delimiters: Delimiters
    ) -> list[tuple[str, str, str]]:
        """pyx12's own verdict on a segment at a node: (code, reference designator, value)."""
        from pyx12.segment import Segment

        data = Segment(
            segment,
            delimiters.terminator,
            delimiters.element,
            delimiters.component,
            delimiters.repetition,
        )
        try:
            with self.map.alone:
                _, errors = node.judge.is_valid_errors(data)
        except ValueError:  # pyx12 fails on a range of dates that isn't two dates
            return [("8", f"{node.segment}03", "")]
        except (IndexError, AttributeError, TypeError):
            # pyx12 fails on a composite with too many components
            return _overfull(node, segment, delimiters)
        return [(_code(e), _place(e) or node.segment, e.err_val or "") for e in errors]

    def element_number(self, segment: str, position: int, component: int = 0) -> str:
        """The number of a data element in X12's dictionary; empty where it has none of its own."""
        with self.map.alone:
            for node in self.nodes:
                if node.segment != segment or position > len(node.judge.children):
                    continue
                element = node.judge.children[position - 1]
                if component and element.is_composite() and component <= len(element.children):
                    element = element.children[component - 1]
                number = "" if element.is_composite() else str(element.data_ele)
                return number if number.isdigit() else ""
        return ""


def _code(error: Any) -> str:
    """IK403 of one of pyx12's errors. Of an element the guide does not use it says 10, which means
    that two exclude each other, and of such a composite 5."""
    not_used = error.err_cde == "10" and not isinstance(error.refdes, int)
    whole = error.err_cde == "5" and error.map_node is None
    return "I10" if not_used or whole else str(error.err_cde)


def _place(error: Any) -> str:
    """Where it is; a broken syntax note names its first element by number alone."""
    return f"{error.refdes:02d}" if isinstance(error.refdes, int) else error.refdes or ""


def _overfull(node: Node, segment: str, delimiters: Delimiters) -> list[tuple[str, str, str]]:
    """The composites of a segment with more components than the guide gives them."""
    elements = segment.split(delimiters.element)[1:]
    return [
        ("13", f"{node.segment}{at:02d}", "")
        for at, (element, child) in enumerate(
            zip(elements, node.judge.children, strict=False), start=1
        )
        if child.is_composite() and element.count(delimiters.component) >= len(child.children)
    ] or [("3", node.segment, "")]


@cache
def guide_for(code: str) -> Guide | None:
    """The compiled guide of a GS08 or ST03, or None where it is not one that is read."""
    known = GUIDES.get(code)
    if known is None:
        return None
    name, map_file, _ = known
    return _compiled(name, map_file)


@cache
def _compiled(name: str, map_file: str) -> Guide:
    map_ = _Map(map_file, tuple(c for c, g in GUIDES.items() if g[1] == map_file))
    return Guide(name, map_, _kept(_cache_file(name, map_)))


def _fitting(row: Row, count: int) -> dict[int, int]:
    """The tokens that fit after a state, and the states they lead to."""
    return {token: reached.state for token, reached in row.items() if reached.state < count}


def _facts(name: str, map_: _Map) -> dict[str, Any]:
    """What pyx12's map says once and for all of a guide."""
    qualified: dict[str, str] = {}
    codes: dict[str, set[str]] = {}
    nodes = []
    for segment, loops in _walk(map_.top, ()):
        nodes.append((segment.get_path(), segment.id, loops))
        key = segment._resolve_unique_key_field(segment.id, with_qual=False)
        if key is not None:
            element, position, component = key
            kind = "hl" if position == 3 else "component" if component else "element"
            if qualified.setdefault(segment.id, kind) != kind:
                raise ValueError(f"{segment.id} is qualified in two ways in {name}")
            codes.setdefault(segment.id, set()).update(element._valid_codes_set)
    return {
        "nodes": nodes,
        "qualified": qualified,
        "codes": {segment: sorted(found) for segment, found in codes.items()},
        "rules": _counting_rules(map_),
    }


def _counting_rules(map_: _Map) -> list[tuple[int, tuple[int, ...], bool, int | None, str, str]]:
    """Rule's fields for every segment and loop that must stand, or may not stand too often."""
    rules: list[tuple[int, tuple[int, ...], bool, int | None, str, str]] = []

    def first_nodes(item: Any) -> tuple[int, ...]:
        """The nodes that begin an instance: of a loop without a segment of its own, any of its
        children's."""
        if item.is_segment():
            return (map_.index[id(item)],)
        first = item.get_first_node()
        if first.is_segment():
            return (map_.index[id(first)],)
        loops = (c for c in item.childIterator() if c.is_loop() and len(c))
        return tuple(i for c in loops for i in first_nodes(c))

    def visit(loop: Any, parent: int) -> None:
        own = loop.get_first_node()
        begins = map_.index[id(own)] if own.is_segment() else parent
        for child in loop.childIterator():
            if child.id == "SE" or (child.is_loop() and len(child) == 0):
                continue  # SE is the envelope's to count
            most = child.get_max_repeat()
            bound = None if most >= 2**31 - 1 else most
            required = child.usage == "R"
            wrapper = child.is_loop() and not child.get_first_node().is_segment()
            if child is not own and not wrapper and (required or bound is not None):
                code = "4" if child.is_loop() else "5"
                rules.append((begins, first_nodes(child), required, bound, child.id, code))
            if child.is_loop():
                visit(child, begins)

    visit(map_.top, 0)
    return rules


# ---- what is kept between processes ----------------------------------------------------------


def _cache_file(name: str, map_: _Map) -> Path | None:
    """Where a compiled guide is kept: under a name that changes with pyx12, its map and codes,
    and this file. None where there is no folder for it."""
    folder = os.environ.get("XDG_CACHE_HOME") or (
        Path(os.environ["HOME"]) / ".cache" if os.environ.get("HOME") else None
    )
    if folder is None:
        return None
    maps = files("pyx12") / "map"
    sources = [maps / map_.map_file, maps / "codes.xml", maps / "dataele.xml"]
    told = hashlib.sha256(repr((version("pyx12"), map_.codes)).encode())
    for source in [*sources, Path(__file__)]:
        told.update(source.read_bytes())
    return Path(folder) / "adjudicator" / f"{name}-{told.hexdigest()[:24]}.json"


def _kept(file: Path | None) -> dict[str, Any] | None:
    """The facts of a kept guide, or None where there is none that is whole."""
    if file is None:
        return None
    try:
        digest, _, text = file.read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest().encode() != digest:
        return None
    facts: dict[str, Any] = json.loads(text)
    return facts


def _keep(file: Path | None, facts: dict[str, Any]) -> None:
    if file is None:
        return
    text = json.dumps(facts, separators=(",", ":")).encode()
    content = hashlib.sha256(text).hexdigest().encode() + b"\n" + text
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(file)
    except OSError:  # a cache is only ever a help
        with suppress(OSError):
            partial.unlink()


def _numbered_remarks(root: Any) -> Any:
    root.ext_codes.codes["remark_code"]["codes"] |= REMARKS
    return root


def _allow(element: Any, codes: tuple[str, ...]) -> None:
    element._valid_codes_set = frozenset(element._valid_codes_set) | set(codes)
    element.valid_codes = sorted(set(element.valid_codes) | set(codes))


def _token(segment: str, qualifier: str) -> str:
    return f"{segment}*{qualifier}" if qualifier else segment


def _sample(segment: str, qualifier: str, kind: str | None) -> str:
    if kind == "hl":
        return f"HL*1*1*{qualifier}"
    return f"{segment}*{qualifier}" if qualifier else segment


# ---- patterns --------------------------------------------------------------------------------


@dataclass(frozen=True)
class NodePattern:
    """``clear`` matches only valid segments (syntax notes aside); each of ``broken`` matches a
    segment padded with ``padding`` that breaks a syntax note."""

    clear: str
    broken: tuple[str, ...]
    padding: str


_DAY = (  # 29 February is left to pyx12
    r"(?:(?:19|20)[0-9]{2}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31))"
)
_TIME = r"(?:(?:[01][0-9]|2[0-3])[0-5][0-9])"
_CHARACTERS = (  # X12's extended set as pyx12 has it
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!\"&'()*+,-./:;?= "
    "abcdefghijklmnopqrstuvwxyz%~@[]_{}\\|<>^`#$"
)


def _node_pattern(node: Node, delimiters: Delimiters) -> NodePattern:
    segment = node.map_node
    if any(d.isalnum() or d in "-. " for d in delimiters.__dict__.values()):
        return NodePattern("$x", (), "")  # codes and dates could hold one: pyx12 judges everything
    separator = re.escape(delimiters.element)
    pieces: list[str] = []
    required_to = 0
    for position, child in enumerate(segment.children, start=1):
        value = _date_after_format(node, position)
        if value is None:
            value = (
                _composite(child, delimiters)
                if child.is_composite()
                else _element(child, delimiters)
            )
        if child.usage == "R":
            required_to = position
            pieces.append(separator + value)
        elif child.usage == "N" or value == "":
            pieces.append(separator)
        else:
            pieces.append(f"{separator}(?:{value})?")
    pattern = ""
    for piece in reversed(pieces[required_to:]):
        pattern = f"(?:{piece}{pattern})?"
    pattern = "".join(pieces[:required_to]) + pattern
    if node.segment == "DTP":
        pattern = _dated(segment, delimiters)
    count = len(segment.children)
    broken = [p for note in segment.syntax for p in _broken_note(note, count, delimiters)]
    # one alternation: the automaton reads each segment once, however many notes there are
    joined = ("|".join(f"(?:{p})" for p in broken),) if broken else ()
    return NodePattern(f"^{node.segment}{pattern}$", joined, delimiters.element * count)


def _date_after_format(node: Node, position: int) -> str | None:
    """An element whose format another element names is cleared only as a date in such a format."""
    children = node.map_node.children
    child = children[position - 1]
    if child.is_composite() or child.data_ele != "1251" or node.segment == "DTP":
        return None
    return _days({c for x in children if x.data_ele == "1250" for c in x.valid_codes})


def _days(format_codes: set[str]) -> str:
    forms = (("D8", _DAY), ("RD8", f"{_DAY}-{_DAY}"))
    return f"(?:{'|'.join(p for f, p in forms if f in format_codes) or '$x'})"


def _dated(segment: Any, delimiters: Delimiters) -> str:
    e = re.escape(delimiters.element)
    qualifier, format_, _ = segment.children
    forms = {"D8": _DAY, "RD8": f"{_DAY}-{_DAY}", "TM": _TIME, "DT": _DAY + _TIME}
    known = [f"{f}{e}{forms[f]}" for f in format_.valid_codes if f in forms]
    return f"{e}{_element(qualifier, delimiters)}{e}(?:{'|'.join(known) or '$x'})"


def _element(element: Any, delimiters: Delimiters) -> str:
    """A pattern for the element's value; what it doesn't clear is judged by pyx12."""
    if element.usage == "N":
        return ""
    codes = _allowed_codes(element)
    if codes is not None:
        return "(?:" + "|".join(re.escape(c) for c in codes) + ")" if codes else "(?:$x)"
    if element.rec is not None:
        return f"(?:{element.res})" if re.fullmatch(r"\[0-9\]\{\d+\}", element.res) else "(?:$x)"
    kind, least, most = element.data_type, element.min_len, element.max_len
    if kind == "R":
        whole = max(1, most - 3)
        least, part = max(1, least), min(3, most)
        return f"(?:-?[0-9]{{{least},{most}}}|-?[0-9]{{{least},{whole}}}\\.[0-9]{{1,{part}}})"
    if kind and kind[0] == "N":
        return f"-?[0-9]{{{least},{most}}}"
    if kind == "DT":
        return _DAY if least <= 8 <= most else "(?:$x)"
    if kind == "TM":
        return _TIME if least <= 4 <= most else "(?:$x)"
    if kind in ("AN", "ID"):
        character = _class(delimiters)
        ends = _class(delimiters, without=" ")
        return (
            f"(?:{ends}{{{least},{least}}})"
            if most == 1
            else (f"(?:{character}{{{max(0, least - 1)},{most - 1}}}{ends})")
        )
    return "(?:$x)"


def _allowed_codes(element: Any) -> list[str] | None:
    """Every code pyx12 lets pass, or None where the element has no code list."""
    external = element.external_codes
    if not element._valid_codes_set and external is None:
        return None
    key = (element.data_ele, element.res, frozenset(element._valid_codes_set), external)
    if key not in _JUDGED_CODES:
        codes = set(element._valid_codes_set)
        if external is not None:
            codes |= set(element.root.ext_codes.codes[external]["codes"])
        from pyx12.segment import Element

        _JUDGED_CODES[key] = sorted(
            (c for c in codes if c and not element.is_valid_errors(Element(c))[1]),
            key=lambda c: (-len(c), c),
        )
    return _JUDGED_CODES[key]


# a few code lists serve hundreds of elements; judging each again is a third of a second
_JUDGED_CODES: dict[tuple[object, ...], list[str]] = {}


@cache
def _class(delimiters: Delimiters, without: str = "") -> str:
    out = {*delimiters.__dict__.values(), *without}
    return "[" + "".join(re.escape(c) for c in _CHARACTERS if c not in out) + "]"


def _composite(composite: Any, delimiters: Delimiters) -> str:
    c = re.escape(delimiters.component)
    format_codes = next(
        (set(x.valid_codes) for x in composite.children if x.data_ele == "1250"), None
    )
    pieces: list[str] = []
    required_to = 0
    for position, child in enumerate(composite.children, start=1):
        if child.data_ele == "1251" and format_codes is not None:
            value = _days(format_codes)
        else:
            value = _element(child, delimiters)
        lead = c if position > 1 else ""
        if child.usage == "R":
            required_to = position
            pieces.append(f"{lead}(?:{value})")
        elif child.usage == "N" or value == "":
            pieces.append(lead)
        else:
            pieces.append(f"{lead}(?:{value})?")
    required_to = max(required_to, 1)
    pattern = ""
    for piece in reversed(pieces[required_to:]):
        pattern = f"(?:{piece}{pattern})?"
    return "(?:" + "".join(pieces[:required_to]) + pattern + ")"


def _broken_note(note: list[Any], count: int, delimiters: Delimiters) -> Iterator[str]:
    """Patterns of segments that break a syntax note (X12.6: P, R, E, C, L)."""
    kind, positions = note[0], [int(p) for p in note[1:]]
    e = re.escape(delimiters.element)

    def pattern(present: set[int], absent: set[int]) -> str:
        last = max(present | absent)
        body = "".join(
            e + (f"[^{e}]+" if p in present else "" if p in absent else f"[^{e}]*")
            for p in range(1, last + 1)
        )
        return f"^[^{e}]*{body}(?:{e}|$)"

    if kind == "P":
        for p in positions:
            for q in positions:
                if p != q:
                    yield pattern({p}, {q})
    elif kind == "R":
        yield pattern(set(), set(positions))
    elif kind == "E":
        for i, p in enumerate(positions):
            for q in positions[i + 1 :]:
                yield pattern({p, q}, set())
    elif kind == "C":
        for q in positions[1:]:
            yield pattern({positions[0]}, {q})
    elif kind == "L":
        yield pattern({positions[0]}, set(positions[1:]))
