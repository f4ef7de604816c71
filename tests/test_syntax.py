"""What pyx12 rejects we report: segment by segment, and for the structure of whole sets.

FUZZ_SEGMENTS sets how many made-up segments of each guide are compared (20,000 if unset).
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from edi.elements import Elements, Span
from edi.envelope import Delimiters
from edi.guide import Guide, NodePattern, guide_for
from edi.syntax import FINDINGS, SITUATIONS, Segments, _together, read_segments, screen
from tests.mutate import (
    CORPUS,
    Step,
    Walked,
    corpus_sets,
    mutated_segment,
    read,
    segment_at,
    walk,
    walked,
)
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    STANDARD,
    body,
    claim,
    segments,
    transaction,
    write,
)

KINDS = {"P": PROFESSIONAL, "I": INSTITUTIONAL}
FUZZ_SEGMENTS = int(os.environ.get("FUZZ_SEGMENTS", "20000"))
UNUSUAL = (
    Delimiters("|", ">", "}", "\n"),
    Delimiters("\x1d", "\x1f", "\x1e", "\x1c"),
    Delimiters("^", "\\", "]", "&"),
    Delimiters("A", "8", "D", "Z"),  # letters may be delimiters; then codes can hold one
)


def the_guide(kind: str) -> Guide:
    guide = guide_for(KINDS[kind])
    assert guide is not None
    return guide


# ---- segments, one by one --------------------------------------------------------------------


def made(guide: Guide, count: int, seed: int, d: Delimiters = STANDARD) -> list[tuple[int, str]]:
    """Segments at random nodes of the guide, most of them damaged."""
    rng = random.Random(f"{guide.name}{seed}")
    into = str.maketrans({"*": d.element, ":": d.component, "^": d.repetition})
    out = []
    for node in rng.choices(guide.nodes, k=count):
        text = mutated_segment(rng, segment_at(rng, node), node)
        out.append((node.index, text.replace(d.terminator, "").translate(into)))
    return out


def rejected(guide: Guide, pairs: Sequence[tuple[int, str]], d: Delimiters = STANDARD) -> set[int]:
    """Those pyx12's validator rejects or fails on, and those that end with a delimiter (SEG1)."""
    from pyx12.segment import Segment

    out = set()
    for at, (node, text) in enumerate(pairs):
        segment = Segment(text, d.terminator, d.element, d.component, d.repetition)
        try:
            _, errors = guide.nodes[node].map_node.is_valid_errors(segment)
        except (IndexError, ValueError, AttributeError, TypeError):
            errors = ["pyx12 failed"]
        if errors or text.endswith(d.element):
            out.add(at)
    return out


def reported(guide: Guide, pairs: Sequence[tuple[int, str]], d: Delimiters = STANDARD) -> set[int]:
    """Those our screen has an element objection to."""
    elements = Elements("".join(t + d.terminator for _, t in pairs).encode(), d)
    assert elements.text(Span(elements.start, elements.stop)).to_list() == [t for _, t in pairs]
    node = np.array([n for n, _ in pairs], dtype=np.int64)
    order = np.argsort(node, kind="stable").astype(np.int64)
    bounds = np.searchsorted(node[order], np.arange(len(guide.nodes) + 2)).astype(np.int64)
    nowhere = np.arange(len(pairs), dtype=np.int64)
    fits = np.ones(len(pairs), dtype=np.bool_)
    found = screen(Segments(elements, nowhere, nowhere, node, fits, order, bounds, guide, d))
    numbering = pl.col("text").str.contains("^HL0[12] does|^LX01 does")
    ours_alone = numbering | pl.col("text").is_in(SITUATIONS)
    return set(found.filter((pl.col("segment_code") == "8") & ~ours_alone)["row"])


@pytest.mark.long
@pytest.mark.parametrize("kind", "PI")
def test_no_segment_passes_that_pyx12_rejects(kind: str) -> None:
    guide = the_guide(kind)
    for seed in range(-(-FUZZ_SEGMENTS // 50_000)):
        pairs = made(guide, min(FUZZ_SEGMENTS, 50_000), seed)
        theirs, ours = rejected(guide, pairs), reported(guide, pairs)
        assert not theirs - ours, [pairs[at][1] for at in sorted(theirs - ours)[:5]]
        assert not ours - theirs, [pairs[at][1] for at in sorted(ours - theirs)[:5]]
        assert 0.2 < len(theirs) / len(pairs) < 0.9  # both verdicts are frequent


@pytest.mark.parametrize("d", UNUSUAL)
@pytest.mark.parametrize("kind", "PI")
def test_no_segment_passes_whatever_the_delimiters(kind: str, d: Delimiters) -> None:
    guide = the_guide(kind)
    pairs = made(guide, max(400, FUZZ_SEGMENTS // 10), 7, d)
    assert reported(guide, pairs, d) == rejected(guide, pairs, d)


@pytest.mark.parametrize("segment", ["NM1", "CLM", "DTP", "SV1", "REF"])
def test_a_planted_hole_would_be_seen(segment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: one node whose pattern clears everything is enough."""
    guide = the_guide("P")
    node = next(n for n in guide.nodes if n.segment == segment)
    rng = random.Random(3)
    pairs = [
        (node.index, mutated_segment(rng, segment_at(rng, node), node).replace("~", ""))
        for _ in range(60)
    ]
    assert not rejected(guide, pairs) - reported(guide, pairs)
    everything = NodePattern(".*", (), "")
    monkeypatch.setattr(Guide, "pattern", lambda *_: everything)
    assert rejected(guide, pairs) - reported(guide, pairs)


@pytest.mark.parametrize("kind", "PI")
def test_patterns_that_stand_together_clear_what_each_clears_alone(kind: str) -> None:
    guide = the_guide(kind)
    patterns = [guide.pattern(n, STANDARD).clear for n in guide.nodes]
    groups = _together(guide.nodes, patterns)
    together = {n.index: pattern for pattern, nodes in groups for n in nodes}
    assert len(groups) == len(set(together.values())) < len(set(patterns)) / 3
    rng = random.Random(5)
    for node in guide.nodes:
        texts = [segment_at(rng, node) for _ in range(3)]
        texts += [mutated_segment(rng, text, node) for text in texts]
        found = pl.Series(texts).str.contains(together[node.index])
        assert found.to_list() == pl.Series(texts).str.contains(patterns[node.index]).to_list()


def test_a_pattern_of_any_segment_stands_alone() -> None:
    """Else it would clear what stands beside it."""
    first, other, third = the_guide("P").nodes[3:6]
    of_third = f"^{third.segment}[*]x$"
    assert _together([first, third, other], [".*", of_third, ".*"]) == [
        (".*", [first, other]),
        (of_third, [third]),
    ]


def test_a_planted_hole_in_a_syntax_note_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    guide = the_guide("P")
    node = next(n for n in guide.nodes if n.path.endswith("2010AA/NM1"))
    pairs = [(node.index, "NM1*85*2*SABLEWORTH*****XX")]  # NM108 without NM109
    assert rejected(guide, pairs) == reported(guide, pairs) == {0}
    without = NodePattern(guide.pattern(node, STANDARD).clear, (), "")
    monkeypatch.setattr(Guide, "pattern", lambda *_: without)
    assert reported(guide, pairs) == set()


# (path's end, segment, element code and place of each objection)
ELEMENTS: tuple[tuple[str, str, list[tuple[str, str]]], ...] = (
    ("2300/CLM", "CLM*A1*10***11:B:1*Y*A*Y*Y", []),
    ("2300/CLM", "CLM*A1*10***11:B:1*Y*A*Y", [("1", "CLM09")]),
    ("2300/CLM", "CLM**10***11:B:1*Y*A*Y*Y", [("1", "CLM01")]),
    ("2300/CLM", "CLM*A1*10***11:B*Y*A*Y*Y", [("1", "CLM05-03")]),
    ("2300/CLM", "CLM*A1*ten***11:B:1*Y*A*Y*Y", [("6", "CLM02")]),
    ("2300/CLM", "CLM*A1*10***11:B:1*Y*Q*Y*Y", [("7", "CLM07")]),
    ("2300/CLM", "CLM*A1*10*X**11:B:1*Y*A*Y*Y", [("I10", "CLM03")]),
    ("2300/CLM", f"CLM*{'A' * 38}*10***11:B:1*Y*A*Y*Y", []),
    ("2300/CLM", f"CLM*{'A' * 39}*10***11:B:1*Y*A*Y*Y", [("5", "CLM01")]),
    ("2300/CLM", "CLM*A1 *10***11:B:1*Y*A*Y*Y", [("6", "CLM01")]),
    ("2300/CLM", "CLM*A1*10***11:B:1*Y*A*Y*Y*", [("3", "CLM")]),
    ("2300/CLM", "CLM*A\x071*10***11:B:1*Y*A*Y*Y", [("6", "CLM01")]),
    ("2300/CLM", "CLM*\xc9TOILE*10***11:B:1*Y*A*Y*Y", [("6", "CLM01")]),
    ("2010BA/N4", "N4*HAMDEN*CT*06514", []),
    ("2010BA/N4", "N4*HAMDEN*QQ*06514", [("7", "N402")]),
    ("2010BA/N4", "N4*HAMDEN*CT*06", [("4", "N403")]),
    ("2010BA/DMG", "DMG*D8*20240229*M", []),
    ("2010BA/DMG", "DMG*D8*20230229*M", [("8", "DMG02")]),
    ("2010BA/DMG", "DMG*D8*20200101-20210101*M", [("8", "DMG02")]),
    ("2400/DTP[472]", "DTP*472*RD8*20250101-20250102", []),
    ("2400/DTP[472]", "DTP*472*RD8*20250101", [("8", "DTP03")]),
    ("2400/DTP[472]", "DTP*472*D8*20250101-20250102", [("8", "DTP03")]),
    ("2400/DTP[472]", "DTP*472*RD8*20250101-20250102-20250103", [("8", "DTP03")]),
    ("2400/DTP[472]", "DTP*472*D8*20250101*X", [("3", "DTP04")]),
    ("2010AA/NM1", "NM1*85*2*SABLEWORTH*****XX", [("2", "NM108")]),
    ("2400/SV1", "SV1*HC:99213:::::::*10*UN*1***1", [("13", "SV101")]),
    ("2010BA/NM1", "NM1*IL*1*TALLOWAY:X*****MI*CP1", [("6", "NM103")]),
)  # fmt: skip


@pytest.mark.parametrize(("path", "segment", "told"), ELEMENTS)
def test_what_is_wrong_with_an_element(
    path: str, segment: str, told: list[tuple[str, str]]
) -> None:
    guide = the_guide("P")
    base = transaction(body([claim("A1")]))
    node = next(n for n in guide.nodes if n.path.endswith(path))
    at = next(i for i, s in enumerate(read(guide, [base]).node.tolist()) if s == node.index)
    set_ = [*base[:at], segment, *base[at + 1 :]]
    found = screen(read(guide, [set_])).filter(pl.col("segment_code") == "8")
    assert [(f["element_code"], f["reference"]) for f in found.to_dicts()] == told
    assert set(found["row"]) <= {at}
    assert set(found["segment"]) <= {node.segment} and set(found["loop"]) <= {node.loop}


# ---- structure -------------------------------------------------------------------------------


def structural(seen: Walked) -> dict[int, list[dict[str, object]]]:
    """Our objections to the structure of each set."""
    out: dict[int, list[dict[str, object]]] = {}
    found = screen(seen.read).filter(pl.col("segment_code") != "8").to_dicts()
    for owner, one in zip(seen.owners([f["row"] for f in found]), found, strict=True):
        out.setdefault(owner, []).append(one)
    return out


def out_of_order_only(guide: Guide, steps: Sequence[Step]) -> bool:
    """pyx12 misses a required loop only because another of the same position came first.

    Where loops share a position the guide lets them come in any order; pyx12 says of the first
    that it is missing, though it follows.
    """
    for at, step in enumerate(steps):
        for code, text in step.errors:
            name = re.search(r'^Mandatory loop ".*" \((\w+)\) missing$', text)
            if code != "3" or name is None:
                return False
            if all(guide.nodes[s.node].loop != name[1] for s in steps[at + 1 :]):
                return False
    return True


def repeated_at_once(seen: Walked, owner: int, found: dict[str, object]) -> bool:
    """A required child is missing where the loop's first segment is followed by itself.

    pyx12's walker looks for what is missing only between the present place and the next one; a
    loop that begins anew at once is no step for it, so what the guide requires goes unasked.
    """
    row = found["row"]
    assert isinstance(row, int)
    start = sum(len(s) for s in seen.sets[:owner])
    steps = seen.steps[owner]
    here = row - start
    after = next((s for s in steps[here + 1 :] if s.fits), None)
    return found["segment_code"] == "3" and after is not None and after.node == steps[here].node


@pytest.mark.long
@pytest.mark.parametrize("kind", "PI")
def test_no_set_passes_whose_structure_pyx12_rejects(kind: str) -> None:
    seen = walked(kind, 1000)
    ours = structural(seen)
    theirs = {i for i, steps in enumerate(seen.steps) if any(s.errors for s in steps)}
    missed = sorted(theirs - ours.keys())
    assert len(theirs) > 800
    unexplained = [i for i in missed if not out_of_order_only(seen.guide, seen.steps[i])]
    assert not unexplained, [s.errors for s in seen.steps[unexplained[0]] if s.errors]
    assert len(missed) <= 3


@pytest.mark.parametrize("kind", "PI")
def test_no_set_is_rejected_needlessly_for_its_structure(kind: str) -> None:
    seen = walked(kind, 1000)
    ours = structural(seen)
    theirs = {i for i, steps in enumerate(seen.steps) if any(s.errors for s in steps)}
    for i in sorted(ours.keys() - theirs):
        assert any(repeated_at_once(seen, i, f) for f in ours[i]), ours[i]
    assert len(ours.keys() - theirs) < 15


@pytest.mark.parametrize("kind", "PI")
def test_numbering_of_levels_and_lines_is_pyx12s_but_for_gaps(kind: str) -> None:
    """pyx12's HL1 wants 1, 2, 3 …; we take any rising numbers, as of sets that count on."""
    seen = walked(kind, 1000)
    judged = screen(seen.read).filter(~pl.col("text").is_in(SITUATIONS))  # pyx12 judges none
    objected = set(seen.owners(judged["row"].to_list()))
    theirs = {i for i, steps in enumerate(seen.steps) if any(s.numbering for s in steps)}
    assert len(theirs) > 100
    for i in theirs - objected:
        assert {code for step in seen.steps[i] for code in step.numbering} == {"HL1"}
        numbers = [int(s.split("*")[1]) for s in seen.sets[i] if s.startswith("HL*")]
        assert numbers == sorted(set(numbers)) != list(range(1, len(numbers) + 1))


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"{CORPUS} is absent")
def test_the_corpus_is_judged_as_pyx12_judges_it() -> None:
    from pyx12.segment import Segment

    agreed = {False: 0, True: 0}
    for name, set_, d in corpus_sets():
        guide = the_guide(name[-1])
        steps = walk(guide, set_, d)
        wrong = any(s.errors for s in steps)
        for step, text in zip(steps, set_, strict=True):
            if step.fits:
                segment = Segment(text, d.terminator, d.element, d.component, d.repetition)
                try:
                    wrong |= bool(guide.nodes[step.node].map_node.is_valid_errors(segment)[1])
                except IndexError:
                    wrong = True
                wrong |= text.endswith(d.element)
        wrong |= any(code != "HL1" for s in steps for code in s.numbering)
        data = "".join(s + d.terminator for s in set_).encode("latin-1")
        found = screen(read_segments(data, [(0, len(data))], guide, d))
        found = found.filter(~pl.col("text").is_in(SITUATIONS))  # pyx12 judges none
        assert bool(found.height) == wrong, (set_[:3], found)
        agreed[wrong] += 1
    assert agreed[False] > 10 and agreed[True] > 10


def objections(set_: Sequence[str], kind: str = "P") -> list[tuple[str, str, str, str]]:
    """(segment, loop, reference, code) of whatever is said of a set."""
    found = screen(read(the_guide(kind), [set_])).to_dicts()
    return [
        (f["segment"], f["loop"], f["reference"], f["element_code"] or f["segment_code"])
        for f in found
    ]


def changed(*changes: tuple[str, str], kind: str = "P", claims: int = 1) -> list[str]:
    """A good set with segments that begin with the first put as the second (lines) instead."""
    made = [claim(f"A{n}", kind=kind) for n in range(claims)]
    out = transaction(body(made, kind=kind), guide=KINDS[kind])
    for old, new in changes:
        at = next(i for i, s in enumerate(out) if s.startswith(old))
        out[at : at + 1] = segments(new)
    return out


def test_nothing_is_said_of_good_sets() -> None:
    assert FINDINGS.keys() == set(screen(read(the_guide("P"), [changed()])).columns)
    for kind in "PI":
        for full in (False, True):
            claims = [claim("A1", kind=kind, full=full), claim("A2", kind=kind, full=full)]
            for turns in ((), (True, False), (False, True)):
                made = body(claims, kind=kind, dependent=turns, provider_every=1)
                assert objections(transaction(made, guide=KINDS[kind]), kind) == []


DTP = "DTP*472*D8*20250513"
# (a segment, what is put in its place, what is said of it)
REPEATS: tuple[tuple[str, str, list[tuple[str, str, str, str]]], ...] = (
    ("NM1*IL", "", [("NM1", "2010BA", "2010BA", "3"), ("N3", "2000B", "", "1"),
                    ("N4", "2000B", "", "1"), ("DMG", "2000B", "", "1")]),
    ("BHT", "", [("BHT", "HEADER", "HEADER", "3"), ("NM1", "ST_LOOP", "", "1"),
                 ("PER", "ST_LOOP", "", "1"), ("NM1", "ST_LOOP", "", "1")]),
    ("HI*", "", [("HI", "2300", "HI", "3")]),
    ("SV1*", "", [("SV1", "2400", "SV1", "3")]),
    ("HI*", "HI*ABK:E119\nHI*ABK:I10", [("HI", "2300", "HI", "5")]),
    ("HI*", "HI*ABK:E119\nHI*BG:AJ\nHI*BG:17", []),  # at most two
    ("HI*", "HI*ABK:E119\nHI*BG:AJ\nHI*BG:17\nHI*BG:18", [("HI", "2300", "HI", "5")]),
    ("HI*", "HI*ABK:E119\nNM1*82*1*OSTERBRIDGE*HAL\nNM1*82*1*OSTERBRIDGE*IDA",
     [("NM1", "2310B", "2310B", "4")]),
    ("HI*", "HI*ABK:E119\nQQQ*1", [("QQQ", "2300", "", "1")]),
    ("HI*", "HI*ABK:E119\nSMITHSON*1", [("", "2300", "", "E")]),  # an id never shows a name
    ("HI*", "HI*ABK:E119\nhi*ABK:E119", [("", "2300", "", "E")]),
    ("LX*2", "LX*3", [("LX", "2400", "LX01", "7")]),
    ("LX*2", "LX*02", []),  # the same number; pyx12 compares the text
    ("HL*2*1", "HL*2*9*22*0", [("HL", "2000B", "HL02", "7")]),
    ("HL*2*1", "HL*7*1*22*0", []),
    ("HL*2*1", "HL*1*1*22*0", [("HL", "2000B", "HL01", "7")]),
    ("HL*1**", "HL*A**20*1", [("HL", "2000A", "HL01", "7"), ("HL", "2000B", "HL02", "7")]),
)  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), REPEATS)
def test_what_is_wrong_with_the_structure(
    old: str, new: str, told: list[tuple[str, str, str, str]]
) -> None:
    assert objections(changed((old, new))) == told


def test_an_empty_segment_is_an_objection() -> None:
    data = write(changed()).replace(b"~LX*1~", b"~~LX*1~")
    found = screen(read_segments(data, [(0, len(data))], the_guide("P"), STANDARD))
    assert [(f["segment_code"], f["segment"]) for f in found.to_dicts()] == [("E", "")]


@pytest.mark.parametrize(("lines", "said"), [(50, 0), (51, 1)])
def test_a_claim_has_at_most_fifty_lines(lines: int, said: int) -> None:
    more = [s for n in range(3, lines + 1) for s in (f"LX*{n}", "SV1*HC:99213*1*UN*1***1", DTP)]
    made = transaction(body([claim("A1") + more, claim("A2")]))
    told = objections(made)
    assert told == [("LX", "2400", "2400", "4")] * said
    if said:  # the fifty-first LX is named
        row = screen(read(the_guide("P"), [made]))["row"][0]
        assert made[row] == "LX*51"


def test_hl_numbers_may_go_on_from_set_to_set() -> None:
    second = [
        s.replace("HL*1**", "HL*3**").replace("HL*2*1*", "HL*4*3*")
        for s in transaction(body([claim("A1")]), 2)
    ]
    assert objections(second) == []


@pytest.mark.parametrize("kind", "PI")
def test_a_set_beside_a_broken_one_is_judged_alone(kind: str) -> None:
    good, bad = changed(kind=kind), changed(("HI*", ""), kind=kind)
    alone = screen(read(the_guide(kind), [bad]))
    between = screen(read(the_guide(kind), [good, bad, good]))
    moved = between.with_columns(pl.col("row") - len(good))
    assert alone.height == 1 and moved.equals(alone)


# ---- situations: what segments say of each other (SNIP 4) --------------------------------------


def family(flag: str, relationship: str, own: int, patients: int, kind: str = "P") -> list[str]:
    """One subscriber with claims of its own and a claim for each of some dependents."""
    claims = [claim(f"A{n}", kind=kind) for n in range(max(own + patients, 1))]
    made = body(claims[:1], kind=kind)
    start = next(i for i, s in enumerate(made) if s.startswith("CLM"))
    made[start:] = [s for one in claims[:own] for s in one]
    for n in range(patients):
        person = segments("""
            PAT*19
            NM1*QC*1*TALLOWAY*PIPPA
            N3*18 HERON LN
            N4*HAMDEN*CT*06514
            DMG*D8*20140930*F
        """)
        made += [f"HL*{n + 3}*2*23*0", *person, *claims[own + n]]
    made = [s.replace("HL*2*1*22*0", f"HL*2*1*22*{flag}") for s in made]
    made = [s.replace("SBR*P*18*", f"SBR*P*{relationship}*") for s in made]
    return transaction(made, guide=KINDS[kind])


@pytest.mark.parametrize("kind", "PI")
@pytest.mark.parametrize(
    ("flag", "relationship", "own", "patients", "told"),
    [
        ("0", "18", 1, 0, []),
        ("1", "", 0, 1, []),
        ("1", "", 0, 2, []),
        ("1", "18", 1, 1, []),  # the insured's own claim, and a dependent's
        ("1", "18", 1, 0, ["HL04"]),
        ("0", "18", 1, 1, ["HL04"]),
        ("0", "", 0, 1, ["HL04"]),
        ("1", "18", 0, 1, ["SBR02"]),
        ("1", "18", 0, 2, ["SBR02"]),
        ("0", "18", 0, 1, ["HL04", "SBR02"]),
    ],
)
def test_a_family_is_as_its_subscriber_says(
    kind: str, flag: str, relationship: str, own: int, patients: int, told: list[str]
) -> None:
    codes = {"HL04": ("HL", "2000B", "HL04", "7"), "SBR02": ("SBR", "2000B", "SBR02", "I13")}
    if kind == "I" and own and patients:
        return  # pyx12's 837I map has 2000C before 2300: a dependent after own claims fits nowhere
    made = family(flag, relationship, own, patients, kind)
    assert objections(made, kind) == [codes[t] for t in told]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_family_beside_others_is_judged_alone(place: int) -> None:
    sets = [family("1", "18", 1, 1), family("0", "18", 1, 0), family("1", "", 0, 1)]
    sets.insert(place, family("0", "18", 0, 1))
    found = screen(read(the_guide("P"), sets))
    before = sum(len(s) for s in sets[:place])
    wrong = [i for i, s in enumerate(sets[place]) if s.startswith(("HL*2*", "SBR*P"))]
    assert found["row"].to_list() == [before + i for i in wrong]
