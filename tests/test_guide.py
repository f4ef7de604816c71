"""The compiled guide stands where pyx12's own walker stands, segment for segment."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from edi.envelope import Delimiters
from edi.guide import GUIDES, Guide, _Map, guide_for
from edi.syntax import read_segments
from tests.mutate import CORPUS, Step, corpus_sets, mutated_set, segment_at, walk, walked
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    STANDARD,
    body,
    claim,
    transaction,
    write,
)

KINDS = {"P": PROFESSIONAL, "I": INSTITUTIONAL}
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"{CORPUS} is absent")


def the_guide(code: str) -> Guide:
    guide = guide_for(code)
    assert guide is not None
    return guide


def places(guide: Guide, set_: Sequence[str], d: Delimiters = STANDARD) -> list[tuple[int, bool]]:
    """Each segment's node as we read the set, and whether it fits there."""
    data = "".join(s + d.terminator for s in set_).encode("latin-1")
    read = read_segments(data, [(0, len(data))], guide, d)
    return list(zip(read.node.tolist(), read.fits.tolist(), strict=True))


def expected(steps: Sequence[Step]) -> list[tuple[int, bool]]:
    return [(step.node, step.fits) for step in steps]


@pytest.mark.parametrize("kind", "PI")
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("dependent", [False, True])
def test_a_valid_set_stands_where_pyx12_puts_it(kind: str, full: bool, dependent: bool) -> None:
    guide = the_guide(KINDS[kind])
    claims = [claim("A1", kind=kind, full=full), claim("A2", kind=kind, full=full)]
    set_ = transaction(body(claims, kind=kind, dependent=[dependent]), guide=KINDS[kind])
    steps = walk(guide, set_)
    assert places(guide, set_) == expected(steps)
    assert all(step.fits and not step.errors for step in steps)


@needs_corpus
def test_every_set_of_the_corpus_stands_where_pyx12_puts_it() -> None:
    sets = corpus_sets()
    assert len(sets) >= 40  # 33 of 837P, 7 of 837I when this was written
    assert {name for name, _, _ in sets} == {"837P", "837I"}
    for name, set_, delimiters in sets:
        guide = the_guide(KINDS[name[-1]])
        assert places(guide, set_, delimiters) == expected(walk(guide, set_, delimiters))


@pytest.mark.long
@pytest.mark.parametrize("kind", "PI")
def test_a_thousand_damaged_sets_stand_where_pyx12_puts_them(kind: str) -> None:
    seen = walked(kind, 1000)
    theirs = [place for steps in seen.steps for place in expected(steps)]
    ours = list(zip(seen.read.node.tolist(), seen.read.fits.tolist(), strict=True))
    assert len(ours) == len(theirs) > 30_000
    differing = [row for row, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    assert not differing, [seen.read.elements.segment(row) for row in differing[:5]]
    assert sum(not fits for _, fits in theirs) > 1000  # the damage is worth comparing


@pytest.mark.parametrize("kind", "PI")
def test_every_node_stands_where_pyx12_puts_it(kind: str) -> None:
    """Sets with a segment of every node, of subscribers' claims and of patients', and damage."""
    guide = the_guide(KINDS[kind])
    rng = random.Random(11)
    reached = set()
    for of_patient in (False, True):
        whole = [
            segment_at(rng, n)
            for n in guide.nodes
            if ("2000C" in n.loops and of_patient)
            or not ("2000C" in n.loops or (of_patient and "2300" in n.loops))
        ]
        for set_ in [whole, *(mutated_set(rng, whole, whole) for _ in range(12))]:
            there = expected(walk(guide, set_))
            assert places(guide, set_) == there
            reached |= {node for node, _ in there}
    unreached = {n.path.rpartition("/")[2] for n in guide.nodes if n.index not in reached}
    assert unreached <= {"PWK[CT]"}  # pyx12 takes it for the PWK[03] before it


def test_a_wrong_transition_would_be_seen() -> None:
    """The comparison can fail: one planted transition is enough."""
    guide = Guide("837P", the_guide(PROFESSIONAL).map)
    set_ = transaction(body([claim("A1")]))
    assert places(guide, set_) == expected(walk(guide, set_))
    lines = [n.index for n in guide.nodes if n.path.endswith("2300/2400/LX")]
    elsewhere = guide._rows[0]
    for line in lines:
        guide._rows[line][guide.tokens["SV1*HC"]] = elsewhere
    assert places(guide, set_) != expected(walk(guide, set_))


@pytest.mark.parametrize("code", sorted(GUIDES))
def test_each_gs08_that_is_read_has_its_guide(code: str) -> None:
    guide = the_guide(code)
    assert guide.name == ("837P" if "X222" in code else "837I")
    # its own code is a valid ST03 and GS08 there, another guide's is not
    other = INSTITUTIONAL if guide.name == "837P" else PROFESSIONAL
    assert guide.verdict(guide.nodes[0], f"ST*837*0001*{code}", STANDARD) == []
    assert guide.verdict(guide.nodes[0], f"ST*837*0001*{other}", STANDARD) != []


def test_a_gs08_that_is_not_read_has_no_guide() -> None:
    for code in ("005010X224A2", "004010X098A1", "005010X221A1", "005010X222A9", ""):
        assert guide_for(code) is None


def test_a_guide_is_compiled_once() -> None:
    assert guide_for(PROFESSIONAL) is guide_for("005010X222A2") is not guide_for(INSTITUTIONAL)


@pytest.mark.parametrize("kind", "PI")
def test_every_state_is_a_node_or_lost_after_one(kind: str) -> None:
    guide = the_guide(KINDS[kind])
    for state, row in enumerate([*guide._rows, *guide._lost]):
        assert row.state == state
        node, fits = guide.node_of(state)
        assert (node.index, fits) == (state % len(guide.nodes), state < len(guide.nodes))


def test_trailing_empty_components_do_not_hide_a_qualifier() -> None:
    """pyx12 reads the qualifier of ``NM1*85:`` as 85, and then objects to the composite."""
    guide = the_guide(PROFESSIONAL)
    set_ = [
        s.replace("NM1*85*", "NM1*85:*").replace("HL*2*1*22*", "HL*2*1*22:*")
        for s in transaction(body([claim("A1")]))
    ]
    assert all(fits for _, fits in places(guide, set_))
    assert places(guide, set_) == expected(walk(guide, set_))


def test_a_star_is_data_where_it_is_not_the_delimiter() -> None:
    """``NM1*85`` written with other delimiters is a segment id that no guide knows."""
    guide = the_guide(PROFESSIONAL)
    d = Delimiters("|", ":", "^", "~")
    set_ = [s.replace("*", "|") for s in transaction(body([claim("A1")]))]
    at = next(i for i, s in enumerate(set_) if s.startswith("NM1|85"))
    set_[at] = set_[at].replace("NM1|85", "NM1*85")
    assert next(i for i, (_, fits) in enumerate(places(guide, set_, d)) if not fits) == at
    assert places(guide, set_, d) == expected(walk(guide, set_, d))


@pytest.mark.parametrize("kind", "PI")
def test_a_rule_counts_what_its_map_says(kind: str) -> None:
    """One rule a required or bounded child of a loop; SE alone is the envelope's."""
    guide = the_guide(KINDS[kind])
    named = {(guide.nodes[r.parent].path.rpartition("/")[0][24:], r.name): r for r in guide.rules}
    at = "P/DETAIL/2000A/2000B/2300"
    diagnoses = [r for (path, name), r in named.items() if path == at and name == "HI"]
    assert diagnoses
    line = next(r for (path, name), r in named.items() if path == at and name == "2400")
    # the guide's own figures: 50 lines of 837P, 999 of 837I
    assert (line.required, line.most) == (True, {"P": 50, "I": 999}[kind])
    assert not any(r.name == "SE" for r in guide.rules)


@pytest.mark.parametrize("kind", "PI")
def test_the_delimiters_do_not_matter(kind: str) -> None:
    guide = the_guide(KINDS[kind])
    set_ = transaction(body([claim("A1", kind=kind, full=True)], kind=kind), guide=KINDS[kind])
    usual = places(guide, set_)
    for d in (Delimiters("|", ">", "}", "\n"), Delimiters("\x1d", "\x1f", "\x1e", "\x1c")):
        data = write(set_, d)
        read = read_segments(data, [(0, len(data))], guide, d)
        assert list(zip(read.node.tolist(), read.fits.tolist(), strict=True)) == usual


@pytest.mark.parametrize("kind", "PI")
def test_a_segment_built_alone_is_the_one_of_the_whole_map(kind: str) -> None:
    whole = the_guide(KINDS[kind]).map
    alone = _Map(whole.map_file, whole.codes)
    for index, segment in enumerate(whole.segments[1:], start=1):
        built = alone.segment_alone(index)
        assert "top" not in vars(alone)  # else the whole map was built for it
        assert (repr(built), built.get_path().split("[")[0]) == (
            repr(segment), segment.get_path().split("[")[0],
        )  # fmt: skip
        assert [repr(c) for c in built.children] == [repr(c) for c in segment.children]
