"""Whole files: chunks, neighbours, faults pinned to their piece, claims read again from bytes."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from edi.envelope import Delimiters
from edi.guide import Guide, guide_for
from edi.read_file import FileReading, read_file, reread
from tests.samples import (
    INSTITUTIONAL,
    PROFESSIONAL,
    STANDARD,
    body,
    claim,
    group,
    institutional,
    interchange,
    professional,
    segments,
    transaction,
    write,
)
from tests.synthetic import generate

CODES = {"P": PROFESSIONAL, "I": INSTITUTIONAL}


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def file_of(sets: Sequence[Sequence[str]], kind: str = "P", padding: str = "") -> bytes:
    return write(interchange([group(sets, guide=CODES[kind])]), padding=padding)


def same(one: FileReading, other: FileReading) -> None:
    """Both readings say the same of the same bytes."""
    assert one.frames.keys() == other.frames.keys()
    for name, frame in one.frames.items():
        assert frame.equals(other.frames[name]), name
    assert one.sets.equals(other.sets)
    assert one.objections.equals(other.objections)


def put(made: list[str], starts: str, new: str, which: int = 0) -> list[str]:
    """The segments with the ``which``-th that starts so replaced by others (lines)."""
    at = [i for i, s in enumerate(made) if s.startswith(starts)][which]
    return [*made[:at], *segments(new), *made[at + 1 :]]


# ---- chunks ----------------------------------------------------------------------------------

Change = Callable[[list[str]], list[str]]
FAULTS: dict[str, Change] = {
    "none": lambda made: made,
    "a claim's segment": lambda made: put(made, "HI*ABK", "HI*ABK:E119\nXX*1", 3),
    "a claim's amount": lambda made: put(made, "CLM*A2", "CLM*A2*1.234***11:B:1*Y*A*Y*Y"),
    "a line's number": lambda made: put(made, "LX*2", "LX*3", 2),
    "a provider's address": lambda made: put(made, "N3*4", "N3", -1),
    "a provider's name": lambda made: put(made, "NM1*85", "", -1),
    "a subscriber": lambda made: put(made, "SBR*P", "SBR*P*18*GRP*X*99", 4),
    "a payer": lambda made: put(made, "NM1*PR*2*CARE", "", 4),
    "a patient": lambda made: put(made, "PAT*", "", 1),
    "the header": lambda made: put(made, "PER*IC", "PER*IC*Q*TE*1*ZZ"),
    "a level": lambda made: put(made, "HL*5", "HL*5*77*22*0"),
    "a provider without subscribers": lambda made: put(made, "HL*1**20", "HL*0**20*1\nHL*1**20*1"),
    "something after the last claim": lambda made: [*made, "N3*NOWHERE"],
}


CUTS = [
    *((fault, "P", 3) for fault in FAULTS),
    *(
        (fault, "P", every)
        for fault in ("none", "a provider's address", "a level")
        for every in (0, 1)
    ),
    *((fault, "I", 3) for fault in ("none", "a claim's segment", "a subscriber")),
]


@pytest.mark.long
@pytest.mark.parametrize(("fault", "kind", "provider_every"), CUTS)
def test_the_size_of_chunks_does_not_matter(fault: str, kind: str, provider_every: int) -> None:
    """One ST of six claims, cut at billing providers (HL 20) and at subscribers (HL 22)."""
    claims = [claim(f"A{n}", kind=kind, full=n == 1) for n in range(6)]
    turns = [n % 2 == 1 for n in range(6)]
    made = body(claims, kind=kind, dependent=turns, provider_every=provider_every)
    data = file_of([transaction(FAULTS[fault](made), guide=CODES[kind])], kind)
    whole = read_file(data)
    assert whole.objections.is_empty() == (fault == "none")
    for chunk_bytes in (1, 1500):
        same(whole, read_file(data, chunk_bytes=chunk_bytes))


def test_chunks_of_several_sets() -> None:
    """Small sets go together, large ones alone; a fault stays in its own."""
    sets = [
        transaction(body([claim(f"S{n}C{m}") for m in range(n + 1)], reference=f"B{n}"), n + 1)
        for n in range(5)
    ]
    sets[2] = put(sets[2], "BHT", "BHT*0019*99*B2*20250602*0815*CH")
    data = file_of(sets, padding="\r\n")
    whole = read_file(data)
    assert whole.sets["verdict"].to_list() == ["read", "read", "refused", "read", "read"]
    assert whole.claim_count == 1 + 2 + 4 + 5
    # claims of a refused set leave; the others keep the numbers they had in the file
    assert whole.frames["claims"]["claim_id"].to_list() == [0, 1, 2, *range(6, 15)]
    references = whole.frames["sources"]["batch_reference"].unique(maintain_order=True)
    assert references.to_list() == ["B0", "B1", "B3", "B4"]
    for chunk_bytes in (1, 900, 2000, 5000):
        same(whole, read_file(data, chunk_bytes=chunk_bytes))


def test_a_provider_is_not_cut_from_its_first_subscriber() -> None:
    """Wherever a cut falls, no loop seems to lack what stands after the cut."""
    made = body([claim(f"A{n}") for n in range(6)], provider_every=1)
    data = file_of([transaction(made)])
    for chunk_bytes in range(330, 700, 90):
        reading = read_file(data, chunk_bytes=chunk_bytes)
        assert reading.objections.is_empty() and reading.claim_count == 6


# ---- several groups, kinds, interchanges -----------------------------------------------------


def test_professional_and_institutional_together() -> None:
    def one(kind: str, name: str, number: int) -> list[str]:
        return transaction(body([claim(name, kind=kind)], kind=kind), number, CODES[kind])

    groups = [
        group([one("P", "A", 1), one("P", "B", 2)], 1, PROFESSIONAL),
        group([one("I", "C", 1)], 2, INSTITUTIONAL),
        group([one("P", "D", 1)], 3, PROFESSIONAL),
    ]
    data = write(interchange(groups)) + institutional(1, number=2)
    reading = read_file(data)
    assert reading.objections.is_empty()
    claims = reading.frames["claims"]
    assert claims.select("claim_id", "patient_control_number", "claim_type_code").rows() == [
        (0, "A", "P"), (1, "B", "P"), (2, "C", "I"), (3, "D", "P"), (4, "I21", "I"),
    ]  # fmt: skip
    columns = ["interchange_number", "group_number", "set_number", "set_index"]
    assert reading.frames["sources"].select(columns).rows() == [
        ("000000001", "1", "0001", 0), ("000000001", "1", "0002", 1),
        ("000000001", "2", "0001", 2), ("000000001", "3", "0001", 3),
        ("000000002", "2", "0002", 4),
    ]  # fmt: skip
    sets = reading.sets.select("guide_code", "set_number", "segment_count").rows()
    count = len(one("P", "A", 1))
    assert sets[0] == (PROFESSIONAL, "0001", count)
    for name, frame in reading.frames.items():
        ids = frame["claim_id"].to_list()
        assert ids == sorted(ids), name


def test_files_of_no_claims() -> None:
    assert read_file(b"").claim_count == 0
    refused = read_file(professional(1).replace(PROFESSIONAL.encode(), b"005010X224A2"))
    assert refused.claim_count == 0 and refused.frames == {}
    assert refused.sets["verdict"].to_list() == ["refused"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("GS*HC*", "GS*HI*", "GS01 is HI"),
        ("*X*005010X222A1", "*X*005010X224A2", "GS08 is 005010X224A2"),
        ("*X*005010X222A1", "*X*004010X098A1", "GS08 is 004010X098A1"),
        ("ST*837*", "ST*835*", "ST01 is 835"),
        ("ST*837*0001*005010X222A1", "ST*837*0001*005010X223A2", "ST03 is 005010X223A2"),
        ("ST*837*0001*005010X222A1", "ST*837*0001*005010X999A9", "ST03 is 005010X999A9"),
    ],
)
def test_what_is_not_read_is_refused_with_its_reason(old: str, new: str, why: str) -> None:
    data = professional(1).replace(old.encode(), new.encode(), 1)
    reading = read_file(data + professional(1, number=2))
    assert reading.sets["verdict"].to_list() == ["refused", "read"]
    assert reading.sets["reason"][0].startswith(why)
    assert reading.frames["claims"]["patient_control_number"].to_list() == ["P21"]


@pytest.mark.parametrize("code", ["005010X222A2", "005010X222"])
def test_later_addenda_are_read_by_their_base_guide(code: str) -> None:
    data = professional(1).replace(PROFESSIONAL.encode(), code.encode())
    reading = read_file(data)
    assert reading.claim_count == 1 and reading.objections.is_empty()
    assert reading.sets["guide_code"].to_list() == [code]


# ---- one bad claim ---------------------------------------------------------------------------

BAD_CLAIMS: dict[str, Change] = {
    "a code": lambda one: put(one, "CLM*", "CLM*BAD*10***11:B:1*Q*A*Y*Y"),
    "an amount": lambda one: put(one, "CLM*", "CLM*BAD*10.999***11:B:1*Y*A*Y*Y"),
    "no diagnosis": lambda one: put(one, "HI*", ""),
    "no line": lambda one: one[:2],
    "an unknown segment": lambda one: [*one, "ZZZ*1"],
    "a date": lambda one: put(one, "DTP*472", "DTP*472*D8*20250230"),
    "a line out of order": lambda one: put(one, "LX*2", "LX*7"),
    "too many elements": lambda one: put(one, "LX*2", "LX*2*3"),
    "a trailing delimiter": lambda one: put(one, "LX*2", "LX*2*"),
    "a torn segment": lambda one: put(one, "SV1*", "SV1*HC"),
    "a second claim's rendering provider twice": lambda one: [
        *one[:2], "NM1*82*1*OSTERBRIDGE*HAL", "NM1*82*1*OSTERBRIDGE*IDA", *one[2:]
    ],
    "letters beyond ASCII": lambda one: put(one, "CLM*", "CLM*BÄD*10***11:B:1*Y*A*Y*Y"),
}  # fmt: skip


@cache
def good_claims(together: bool) -> FileReading:
    good = [claim(f"G{n}", full=n == 2) for n in range(4)]
    return read_file(file_of([transaction(body(good, together=together))]))


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("what", BAD_CLAIMS)
def test_one_bad_claim_costs_no_other(what: str, together: bool) -> None:
    good = [claim(f"G{n}", full=n == 2) for n in range(4)]
    bad = BAD_CLAIMS[what](claim("BAD"))
    mixed = [good[0], good[1], bad, good[2], good[3]]
    reading = read_file(file_of([transaction(body(mixed, together=together))]))
    assert reading.sets["verdict"].to_list() == ["read"]
    assert set(reading.objections["claim_id"]) == {2}
    assert set(reading.objections["level"]) == {"claim"}

    without = good_claims(together)
    assert without.objections.is_empty()
    # places move, and a card number is made from a claim's place: otherwise all is the same
    moved = ["subscriber_number", "member_number"]
    for name, frame in without.frames.items():
        if name == "sources":
            continue
        others = reading.frames[name].filter(pl.col("claim_id") != 2)
        renumbered = others.with_columns(
            pl.col("claim_id") - (pl.col("claim_id") > 2).cast(pl.Int64)
        )
        assert renumbered.drop(moved, strict=False).equals(frame.drop(moved, strict=False)), name


def test_a_fault_above_claims_is_each_claim_s_below() -> None:
    made = body([claim(f"A{n}") for n in range(6)], provider_every=3)
    # the second provider has no address: claims 3 to 5, one objection each
    data = file_of([transaction(put(made, "N3*4", "", 1))])
    found = read_file(data).objections.filter(pl.col("code") == "3")
    assert found.select("level", "claim_id", "loop", "segment", "reference").rows() == [
        ("claim", n, "2010AA", "N3", "N3") for n in (3, 4, 5)
    ]
    # a subscriber's fault is his claims' alone
    made = put(body([claim(f"A{n}") for n in range(3)]), "DMG*", "DMG*D8*19710417*Q", 1)
    found = read_file(file_of([transaction(made)])).objections
    assert found.select("claim_id", "reference", "code").rows() == [(1, "DMG03", "7")]
    # a patient's his
    made = body([claim(f"A{n}") for n in range(4)], dependent=[True, True, True, True])
    found = read_file(file_of([transaction(put(made, "PAT*", "PAT*19*X", 2))])).objections
    assert found.select("claim_id", "reference", "code").rows() == [(2, "PAT02", "I10")]


def test_what_can_not_be_pinned_to_a_claim_refuses_its_set_alone() -> None:
    good = [transaction(body([claim(f"A{n}")]), n) for n in (1, 2, 3)]
    sets = [good[0], put(good[1], "BHT*", "BHT*0019*00*B1*20250602*0815*XX"), good[2]]
    reading = read_file(file_of(sets))
    assert reading.sets["verdict"].to_list() == ["read", "refused", "read"]
    assert reading.sets["reason"][1].startswith("BHT06 in HEADER:")
    assert reading.objections.select("level", "set_index", "claim_id", "reference").rows() == [
        ("set", 1, None, "BHT06")
    ]
    assert reading.frames["claims"]["patient_control_number"].to_list() == ["A1", "A3"]
    assert reading.frames["sources"]["set_index"].to_list() == [0, 2]


@pytest.mark.parametrize("padding", ["", "\r\n"])
def test_an_objection_names_its_place(padding: str) -> None:
    """Position in the set counted from ST = 1, and the segment's first byte in the file."""
    first = transaction(body([claim("A1")]), 1)
    second = put(transaction(body([claim("A2"), claim("A3")]), 2), "LX*2", "LX*5", 1)
    data = file_of([first, second], padding=padding)
    for chunk_bytes in (8_000_000, 1):
        found = read_file(data, chunk_bytes=chunk_bytes).objections
        assert found.height == 1
        one = found.row(0, named=True)
        assert data[one["offset"] :].startswith(b"LX*5~")
        assert second[one["segment_position"] - 1] == "LX*5"
        assert (one["set_index"], one["claim_id"], one["segment"]) == (1, 2, "LX")
        assert (one["loop"], one["reference"], one["code"]) == ("2400", "LX01", "7")


def test_objections_and_sets_never_show_a_member() -> None:
    made = body([claim("A1")], dependent=[True])
    canaries = ("TALLOWAY", "ORRIN", "PIPPA", "CP000000", "19710417", "20140930")
    telling = [at for at, s in enumerate(made) if any(c in s for c in canaries)]
    assert len(telling) == 4
    for at in telling:
        whole = made[at]
        for torn in (
            whole.replace("*", "", 1), whole + "*", whole[2:] + "\x07", whole.partition("*")[2],
            whole.replace("*D8*", "*D8*X").replace("TALLOWAY", "TALLOWAY:X"),
            whole.replace("*", "*" + "TALLOWAY" * 20, 1),
        ):  # fmt: skip
            reading = read_file(file_of([transaction([*made[:at], torn, *made[at + 1 :]])]))
            said = [*reading.objections.rows(), *reading.sets.rows()]
            shown = " ".join(str(value) for row in said for value in row).upper()
            assert said and not any(c in shown for c in canaries), (torn, shown)


# ---- read again from the kept bytes ----------------------------------------------------------

SPANS = ("header", "provider", "subscriber", "patient", "claim")


@pytest.mark.parametrize("kind", "PI")
@pytest.mark.parametrize("padding", ["", "\r\n"])
@pytest.mark.parametrize("chunk_bytes", [8_000_000, 1500])
def test_each_claim_read_again_equals_its_first_reading(
    kind: str, padding: str, chunk_bytes: int
) -> None:
    claims = [claim(f"A{n}", kind=kind, full=n % 2 == 0) for n in range(5)]
    turns = [False, True, True, False, False]
    made = body(claims, kind=kind, dependent=turns, provider_every=2)
    # after a child's claim, a second of the same child
    at = next(i for i, s in enumerate(made) if s.startswith("CLM*A2"))
    made[at:at] = claim("A1B", kind=kind)
    data = file_of([transaction(made, guide=CODES[kind])], kind, padding)
    first = read_file(data, chunk_bytes=chunk_bytes)
    assert first.objections.is_empty() and first.claim_count == 6
    guide = guide_for(CODES[kind])
    assert guide is not None
    for place in first.frames["sources"].to_dicts():
        spans = [(place[f"{name}_start"], place[f"{name}_end"]) for name in SPANS]
        assert data[spans[0][0] :].startswith(b"ST*837*")
        assert data[spans[-1][0] :].startswith(b"CLM*")
        again = reread(data, STANDARD, guide, spans)
        assert again.problems == [] and len(again.claim_rows) == 1
        for name, frame in again.frames.items():
            if name == "sources":
                continue
            before = first.frames[name].filter(pl.col("claim_id") == place["claim_id"])
            assert frame.drop("claim_id").equals(before.drop("claim_id")), name


def test_several_claims_are_read_again_together() -> None:
    """Claims of two sets in one call: each with its own header, provider and subscriber."""
    sets = [
        transaction(body([claim("A1"), claim("A2")], reference="FIRST"), 1),
        transaction(body([claim("B1")], dependent=[True], reference="SECOND"), 2),
    ]
    data = file_of(sets)
    first = read_file(data)
    spans = [
        (place[f"{name}_start"], place[f"{name}_end"])
        for place in first.frames["sources"].to_dicts()
        for name in SPANS
    ]
    guide = guide_for(PROFESSIONAL)
    assert guide is not None
    again = reread(data, STANDARD, guide, spans)
    for name, frame in again.frames.items():
        if name != "sources":
            assert frame.equals(first.frames[name]), name
    assert again.frames["claims"]["patient_control_number"].to_list() == ["A1", "A2", "B1"]


def test_the_spans_leave_nothing_out() -> None:
    """Together with the trailer, the ranges of all claims cover their set."""
    made = body([claim("A1"), claim("A2"), claim("A3")], dependent=[False, True, True])
    data = file_of([transaction(made)])
    covered: set[int] = set()
    for place in read_file(data).frames["sources"].to_dicts():
        for name in SPANS:
            covered |= set(range(place[f"{name}_start"], place[f"{name}_end"]))
    start, end = data.index(b"ST*"), data.index(b"SE*")
    assert covered == set(range(start, end))


# ---- text and delimiters ---------------------------------------------------------------------


def test_every_byte_at_once() -> None:
    """Control characters of every kind in one segment: an objection, never a failure."""
    every = bytes(b for b in range(1, 256) if b not in b"*:~^\r\n")
    data = file_of([transaction(body([claim("A1"), claim("A2")]))])
    torn = data.replace(b"CLM*A2*", b"CLM*A2" + every + b"*")
    reading = read_file(torn)
    assert set(reading.objections["claim_id"]) == {1}
    assert reading.frames["claims"]["patient_control_number"][0] == "A1"


def test_text_that_polars_would_read_otherwise() -> None:
    """Quotes, commas and hashes are data; a null byte is an objection of its claim."""
    made = put(body([claim("A1"), claim("A2")]), "HI*", 'NTE*ADD*#,"A""B",\'C\'=1\nHI*ABK:E119')
    reading = read_file(file_of([transaction(made)]))
    assert reading.objections.is_empty()
    assert reading.frames["notes"]["note"].to_list() == ['#,"A""B",\'C\'=1']


def test_the_readings_of_two_delimiters_are_one() -> None:
    other = Delimiters("|", ">", "}", "\n")
    one, two = professional(2, full=True), professional(2, full=True, delimiters=other)
    same(read_file(one), read_file(two))


def test_reading_twice_is_the_same() -> None:
    data = professional(3, full=True, dependents=True) + institutional(2, number=2)
    same(read_file(data), read_file(data))


def test_threads_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path, 60, seed=3)
    data = (tmp_path / "inbox" / "professional-001.837").read_bytes()
    readings = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("edi.read_file.CHUNKS_AT_A_TIME", threads)
        readings.append(read_file(data, 8_000))
    first, *others = readings
    assert first.claim_count > 30
    for other in others:
        assert other.objections.equals(first.objections)
        assert other.sets.equals(first.sets)
        assert {n: f.rows() for n, f in other.frames.items()} == {
            n: f.rows() for n, f in first.frames.items()
        }


@pytest.mark.long
def test_no_more_than_a_few_chunks_are_held_at_a_time() -> None:
    """What ``read`` does not keep is let go before the next chunks are read."""
    import gc
    import weakref
    from dataclasses import replace

    from edi import read_file as module

    whole: list[weakref.ref[module.Part]] = []
    alive: list[int] = []

    def slim(data: bytes | mmap.mmap, chunk: module.Chunk, limits: module.Limits) -> module.Part:
        gc.collect()
        alive.append(sum(ref() is not None for ref in whole))
        part = module.read_chunk(data, chunk, limits)
        whole.append(weakref.ref(part))
        return replace(
            part, frames={"sources": part.frames["sources"].select("claim_id", "set_index")}
        )

    sets = [transaction(body([claim(f"A{n}")]), n + 1) for n in range(30)]
    sets[7] = put(sets[7], "BHT", "BHT*0019*99*B2*20250602*0815*CH")
    reading = read_file(file_of(sets), 1, read=slim)
    assert len(whole) == len(alive) == 30 and max(alive) < module.CHUNKS_AT_A_TIME
    assert set(reading.frames) == {"sources"} and reading.claim_count == 29
