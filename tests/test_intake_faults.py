"""Faults of input: limits, and any damage at all to two claims. Each costs the smallest piece it
can be pinned to, with a reason, and never a traceback."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from adjudicator.check import bytes_checked, check_files
from adjudicator.night import run_night
from adjudicator.pipeline import AS_READ
from edi.acks import Issue, acknowledge
from edi.guide import Guide
from edi.read_file import FileReading, Limits, read_file
from schemas.config import Config
from tests.pyx12_check import pyx12_errors
from tests.samples import (
    INSTITUTIONAL,
    body,
    claim,
    group,
    institutional,
    interchange,
    professional,
    transaction,
    write,
)
from tests.test_night import made as _made
from tests.test_night import order, place  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
made = _made  # the fixture that `place` asks for
TWO_CLAIMS = ROOT / "fixtures" / "intake" / "two-claims.837"


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def numbers(reading: FileReading) -> list[str]:
    return reading.frames["claims"]["patient_control_number"].to_list() if reading.frames else []


def one_set(claims: Sequence[Sequence[str]], number: int = 1, **more: bool) -> list[str]:
    return transaction(body(claims, **more), number)  # type: ignore[arg-type]


def file_of(*sets: Sequence[str]) -> bytes:
    return write(interchange([group(sets)]))


def said(reading: FileReading) -> list[tuple[str, int | None, str, str]]:
    return reading.objections.select("level", "claim_id", "segment", "code").rows()


# ---- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["", "\r\n"])
@pytest.mark.parametrize("segment", ["CLM*A2*", "HI*ABK:E119", "SV1*HC:99213"])
def test_a_segment_at_its_limit_is_read_and_above_it_costs_its_claim(
    segment: str, padding: str
) -> None:
    made = [claim(f"A{n}") for n in range(4)]
    data = write(interchange([group([one_set(made)])]), padding=padding)
    at = data.index(segment.encode(), data.index(b"CLM*A2*"))
    length = data.index(b"~", at) - at
    # every other segment is shorter, or the limit would meet it too
    longest = max(len(s.strip()) for s in data[106:].split(b"~"))
    if length < longest:
        grown = data[: at + length] + b"*" * (longest - length) + data[at + length :]
        data, length = grown, longest
    others = Limits(segment_bytes=length)
    reading = read_file(data, limits=others)
    assert not reading.objections["text"].str.contains("above").any()
    reading = read_file(data, limits=Limits(segment_bytes=length - 1))
    above = reading.objections.filter(pl.col("text").str.contains("above segment_bytes_limit"))
    assert (at in above["offset"].to_list()) and f"{length} bytes" in above["text"][0]
    assert f"limit {length - 1};" in above["text"][0]


@pytest.mark.parametrize("segment", ["CLM*A2*", "HI*ABK", "SV1*HC", "DTP*472"])
@pytest.mark.parametrize("chunk_bytes", [8_000_000, 1])
def test_a_long_segment_costs_its_claim_alone(segment: str, chunk_bytes: int) -> None:
    good = [claim(f"A{n}") for n in range(4)]
    data = file_of(one_set(good))
    at = data.index(segment.encode(), data.index(b"CLM*A2*"))
    at_end = data.index(b"~", at)
    long = data[:at_end] + b"9" * 10_001 + data[at_end:]
    reading = read_file(long, chunk_bytes)
    assert set(reading.objections.select("level", "claim_id").rows()) == {("claim", 2)}
    assert said(reading) == [("claim", 2, segment[: segment.index("*")], "5")]
    assert long[reading.objections["offset"][0] :].startswith(segment[:4].encode())
    # what stands after it is read as it is without it
    clean = read_file(data)
    for name in AS_READ:
        if name not in ("sources", "findings"):
            mine, theirs = (f.frames[name] for f in (reading, clean))
            others = pl.col("claim_id") != 2
            assert mine.filter(others).equals(theirs.filter(others)), name
    ends = reading.frames["sources"]["claim_end"].to_list()
    assert [long[end - 1 : end] for end in ends] == [b"~"] * 4


def test_a_segment_of_any_length_after_any_other_is_read() -> None:
    """What the segment before lacks is not looked for in a long one (it once was, and failed)."""
    set_ = one_set([claim("A1", full=True)])
    files = [
        write(interchange([group([[*set_[:n], set_[n] + "9" * 700, *set_[n + 1 :]]])], n + 1))
        for n in range(len(set_))
    ]
    reading = read_file(b"".join(files))
    objected = set(reading.objections["set_index"].drop_nulls())
    refused = set(reading.sets.filter(verdict="refused")["set_index"])
    assert objected | refused == set(range(len(set_)))


def test_a_long_segment_above_claims_costs_those_below_it() -> None:
    set_ = body([claim(f"A{n}") for n in range(6)], provider_every=3)
    at = [n for n, s in enumerate(set_) if s.startswith("N3*4")][1]
    set_[at] = "N3*" + "4" * 10_000
    reading = read_file(file_of(transaction(set_)))
    assert said(reading) == [("claim", n, "N3", "5") for n in (3, 4, 5)]
    header = [*one_set([claim("B1")], 2)]
    header[1] = header[1] + "*" + "9" * 10_000
    reading = read_file(file_of(one_set([claim("A1")]), header))
    assert reading.sets["verdict"].to_list() == ["read", "refused"] and numbers(reading) == ["A1"]


@pytest.mark.parametrize("chunk_bytes", [8_000_000, 1])
@pytest.mark.parametrize("more", [0, 1])
def test_a_claim_at_its_limit_is_read_and_above_it_costs_itself(
    more: int, chunk_bytes: int
) -> None:
    """The third of five is the largest, by a note."""
    claims = [claim(f"A{n}") for n in range(5)]
    claims[2].insert(1, "NTE*ADD*" + "X" * 70)
    for name in ("together", ""):
        data = file_of(one_set(claims, **({name: True} if name else {})))
        start = data.index(b"CLM*A2*")
        end = re.compile(rb"CLM\*A3|HL\*").search(data, start)
        assert end is not None
        size = end.start() - start
        reading = read_file(data, chunk_bytes, Limits(claim_bytes=size - more))
        assert numbers(reading) == ["A0", "A1", "A2", "A3", "A4"]
        assert said(reading) == [("claim", 2, "CLM", "4")] * more
        if more:
            assert f"claim_bytes_limit {size - 1};" in reading.objections["text"][0]


def test_a_claim_without_end_takes_no_memory_and_costs_itself() -> None:
    """40,000 lines where a thousand bytes are the limit: what is beyond is never parsed."""
    lines = [s for n in range(3, 40_000) for s in (f"LX*{n}", "SV1*HC:99213*1*UN*1***1")]
    large = [*claim("A1"), *lines]
    data = file_of(one_set([claim("A0"), large, claim("A2")]))
    reading = read_file(data, 10_000, Limits(claim_bytes=1_000))
    assert numbers(reading) == ["A0", "A1", "A2"]
    assert set(reading.objections["claim_id"]) == {1}
    assert ("claim", 1, "CLM", "4") in said(reading)
    assert reading.frames["lines"].height < 60
    clean = read_file(file_of(one_set([claim("A0"), claim("A1"), claim("A2")])))
    for which in (0, 2):
        mine, theirs = (f.frames["lines"].filter(claim_id=which) for f in (reading, clean))
        assert mine.equals(theirs)


def test_a_header_without_end_costs_its_set() -> None:
    set_ = one_set([claim("B1")], 2)
    set_[2:2] = ["REF*87*X"] * 5_000
    data = file_of(one_set([claim("A1")]), set_)
    reading = read_file(data, 10_000, Limits(claim_bytes=2_000))
    assert reading.sets["verdict"].to_list() == ["read", "refused"] and numbers(reading) == ["A1"]


def test_many_claims_of_one_patient_are_cut_between_them() -> None:
    """No HL to cut at: pieces begin at a CLM, with provider, subscriber and patient repeated."""
    for dependent in (False, True):
        set_ = body([claim("A0")], dependent=[dependent])
        set_ += [s for n in range(1, 16) for s in claim(f"A{n}", full=n == 7)]
        set_ = [s.replace("*11:B", "*99999:B") if s.startswith("CLM*A9*") else s for s in set_]
        data = file_of(transaction(set_))
        whole = read_file(data)
        assert set(whole.objections["claim_id"]) == {9}
        for chunk_bytes in (1, 700, 5_000):
            again = read_file(data, chunk_bytes)
            assert again.objections.equals(whole.objections) and again.sets.equals(whole.sets)
            assert all(again.frames[n].equals(f) for n, f in whole.frames.items())


def test_limits_are_configured(tmp_path: Path) -> None:
    data = professional(2)
    (tmp_path / "in.837").write_bytes(data)
    paths = [tmp_path / "in.837"]
    assert check_files(paths, config=Config(file_bytes_limit=len(data))).rows == []
    above = check_files(paths, config=Config(file_bytes_limit=len(data) - 1))
    assert [(r["scope"], r["text"][:30]) for r in above.rows] == [
        ("file", f"the file has {len(data)} bytes, above"[:30])
    ]
    assert "raise the limit" in above.rows[0]["text"]
    largest = max(len(s) for s in data[data.index(b"ST*") :].split(b"~"))
    assert check_files(paths, config=Config(segment_bytes_limit=largest)).rows == []
    assert check_files(paths, config=Config(segment_bytes_limit=largest - 1)).rows != []
    assert check_files(paths, config=Config(claim_bytes_limit=400)).rows == []
    assert check_files(paths, config=Config(claim_bytes_limit=50)).rows


def test_a_file_above_its_limit_costs_only_itself_and_can_come_again(place: Path) -> None:  # noqa: F811
    large = place / "inbox" / "a-large.837"
    other = (place / "inbox" / "professional-001.837").read_bytes()
    large.write_bytes(other.replace(b"*000000001", b"*000000077") + b"\n" * 2_000_000)
    asked = order(place)
    limited = asked.config.model_copy(update={"file_bytes_limit": 1_000_000})
    summary = run_night(type(asked)((place / "inbox",), limited, *[asked.business_date] * 2))
    verdicts = {f.name: f.verdict for f in summary.files}
    assert verdicts == {
        "a-large.837": "refused", "institutional-001.837": "read", "professional-001.837": "read",
    }  # fmt: skip
    assert "above file_bytes_limit 1000000" in summary.files[0].reasons[0]
    assert summary.counts["received"]["count"] == 200
    # with the limit raised the same bytes are taken in; their claims are the others' duplicates
    again = run_night(order(place))
    assert [f.verdict for f in again.files] == ["read", "repeated", "repeated"]


def test_what_is_above_a_limit_is_answered_with_valid_acknowledgements() -> None:
    claims = [claim(f"A{n}") for n in range(4)]
    claims[1] = [*claims[1][:1], "NTE*ADD*" + "X" * 20_000, *claims[1][1:]]
    claims[2] = [*claims[2], *(s for n in range(3, 40) for s in (f"LX*{n}", *claims[2][-2:]))]
    reading = read_file(file_of(one_set(claims)), limits=Limits(claim_bytes=900))
    assert said(reading) == [("claim", 1, "NTE", "5"), ("claim", 2, "CLM", "4")]
    bad = pl.DataFrame(
        {"claim_id": [1, 2], "line_number": [None, None], "status_code": ["A7:21", "A7:21"]},
        schema={"claim_id": pl.Int64, "line_number": pl.Int64, "status_code": pl.String},
    )
    day = date(2025, 11, 15)
    documents = acknowledge(reading, Issue(1, day, day), rejections=bad)
    assert [(d.kind, d.code) for d in documents] == [("999", "E"), ("277CA", "WQ")]
    assert b"~IK3*CLM*" in documents[0].content and b"~IK3*NTE*" in documents[0].content
    assert [pyx12_errors(d.content) for d in documents] == [[], []]


def test_a_wrapped_file_is_refused_with_its_reason_and_costs_no_neighbour() -> None:
    """Lines of eighty characters, cut in the midst of segments: no X12, and never guessed at."""
    data = professional(1, number=1)
    wrapped = b"\r\n".join(data[at : at + 80] for at in range(0, len(data), 80))
    reading = read_file(professional(1, number=8) + wrapped + professional(1, number=9))
    assert numbers(reading) == ["P81", "P91"]
    assert reading.objections["text"].to_list()[0].startswith("ISA has 108 bytes, not 106")


# ---- groups and interchanges together --------------------------------------------------------


def test_groups_and_interchanges_read_together_are_read_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One chunk a group, as many as there are, or all in one: the same frames and faults."""
    sets = [one_set([claim(f"A{n}"), claim(f"B{n}", full=n == 3)]) for n in range(8)]
    sets[2][-3] = "SV1*HC"
    sets[5] = [s.replace("BHT*0019", "BHT*0099") for s in sets[5]]
    groups = [group([s], n + 1) for n, s in enumerate(sets)]
    inpatient = transaction(body([claim("I1", kind="I")], kind="I"), 1, INSTITUTIONAL)
    data = (
        write(interchange(groups[:4]))
        + write(interchange(groups[4:6], 2))
        + write(interchange([group([inpatient], 9, INSTITUTIONAL)], 3))
        + write(interchange(groups[6:], 4))
    )
    together = read_file(data)
    assert together.claim_count == 15 and set(together.sets["verdict"]) == {"read", "refused"}
    sources = together.frames["sources"]
    for place_ in sources.to_dicts():
        assert data[place_["gs_offset"] :].startswith(b"GS*HC*")
        assert data[place_["isa_offset"] :].startswith(b"ISA*")
        assert data[place_["gs_offset"] :].split(b"*")[6].decode() == place_["group_number"]
        assert data[place_["isa_offset"] :].split(b"*")[13].decode() == place_["interchange_number"]
    apart = read_file(data, chunk_bytes=1)
    assert apart.sets.equals(together.sets) and apart.objections.equals(together.objections)
    assert all(apart.frames[n].equals(f) for n, f in together.frames.items())
    seen = []
    one = "edi.read_file.read_chunk"
    from edi import read_file as module

    original = module.read_chunk
    monkeypatch.setattr(one, lambda d, c, *more: seen.append(c) or original(d, c, *more))
    read_file(data)
    assert [len(c.places) for c in seen] == [6, 1, 2]


# ---- any damage at all, to two claims --------------------------------------------------------


def verdicts(damaged: Sequence[bytes]) -> list[bool]:
    """Whether something is said of each of these files, read one after the other with a good one
    after each; none of which may be lost, nor one of its claims changed."""
    good = [professional(1, number=900 + n) for n in range(len(damaged))]
    data = b"".join(x for pair in zip(damaged, good, strict=True) for x in pair)
    reading, findings = bytes_checked(data, Config(chunk_bytes=100_000), answered=True)
    spoiled = set(findings["claim_id"])
    kept = reading.frames["claims"].filter(
        pl.col("patient_control_number").str.contains("^P9[0-9]{2}1$|^P1[0-9]{3}1$")
        & ~pl.col("claim_id").is_in(list(spoiled))
    )
    assert kept.height == len(damaged)
    at, out = 0, []
    offsets = sorted([*reading.objections["offset"]])
    for one, after in zip(damaged, good, strict=True):
        # what is missing at its end is told at the first byte after it
        end = at + len(one)
        out.append(any(at <= offset <= end for offset in offsets))
        at = end + len(after)
    return out


def test_every_prefix_of_two_claims_has_a_verdict_and_costs_no_neighbour() -> None:
    data = TWO_CLAIMS.read_bytes()
    for start in range(1, len(data), 100):
        prefixes = [data[:length] for length in range(start, min(start + 100, len(data)))]
        assert all(verdicts(prefixes))
    assert verdicts([data]) == [False]


def test_every_deletion_of_a_byte_has_a_verdict_and_costs_no_neighbour() -> None:
    """A byte left out is told of, or what is left is right: another name, number or code."""
    data = TWO_CLAIMS.read_bytes()
    silent = []
    for start in range(0, len(data), 100):
        places = range(start, min(start + 100, len(data)))
        told = verdicts([data[:at] + data[at + 1 :] for at in places])
        silent += [at for at, was in zip(places, told, strict=True) if not was]
    # nothing of the envelope, nor a delimiter, can be left out in silence
    assert not [at for at in silent if data[at : at + 1] in b"~"]
    assert not [at for at in silent if at < 106 and data[at : at + 1] == b"*"]
    assert 0 < len(silent) < len(data) * 0.5


def test_a_mapped_file_can_be_closed_after_reading(tmp_path: Path) -> None:
    path = tmp_path / "in.837"
    path.write_bytes(professional(2) + institutional(1, number=2) + b"ISA*torn")
    with path.open("rb") as handle:
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        bytes_checked(mapped, Config(), answered=True)
        mapped.close()
