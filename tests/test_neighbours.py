"""One bad claim, or set, costs its neighbours nothing: their decisions and their 835s are the same
bytes as without it.

NEIGHBOURS sets how many good claims there are (50 if unset; ``make neighbours`` takes 9,999).
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adjudicator import store
from adjudicator.load import load_reference
from adjudicator.night import Order, Summary, run_night
from edi.guide import Guide
from edi.read_file import read_file
from schemas.config import Config
from tests.synthetic import generate

pytestmark = pytest.mark.long

GOOD = int(os.environ.get("NEIGHBOURS", "50"))
DAY = date(2025, 11, 15)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night of professional claims, none of them bad, and a store that has its reference data."""
    folder = tmp_path_factory.mktemp("neighbours")
    generate(folder, GOOD + GOOD // 5 + 20, seed=11)
    engine = store.open_store(f"sqlite:///{folder / 'loaded.db'}")
    with engine.begin() as connection:
        load_reference(connection, folder / "reference")
    engine.dispose()
    return folder


def places(data: bytes) -> pl.DataFrame:
    """Where each claim stands, and whether it is its subscriber's only one."""
    found = read_file(data).frames["sources"]
    return found.with_columns(
        alone=pl.len().over("subscriber_start") == 1,
        follows=pl.col("provider_start") == pl.col("provider_start").shift(1),
    )


def recounted(data: bytes) -> bytes:
    """Each SE01 as many as there are segments (the last claim's set has grown or shrunk)."""
    out, at = [], 0
    for st in re.finditer(rb"ST\*837\*(\d+)\*.*?SE\*(\d+)\*", data, re.DOTALL):
        count = st.group().count(b"~") + 1
        out += [data[at : st.start(2)], b"%d" % count]
        at = st.end(2)
    return b"".join([*out, data[at:]])


@cache
def inbox(folder: Path) -> tuple[bytes, bytes, bytes]:
    """The good file before and after the bad claim's place, and that claim while it was good."""
    data = (folder / "inbox" / "professional-001.837").read_bytes()
    whole = places(data)
    alone = whole.filter("alone", "follows")
    victim = alone.row(alone.height // 2, named=True)
    start, end = victim["subscriber_start"], victim["claim_end"]
    while data[end : end + 1] in (b"\r", b"\n"):
        end += 1
    return data[:start], data[end:], data[start:end]


# what is done to one claim of a set: it alone is lost
CLAIMS: dict[str, Callable[[bytes], bytes]] = {
    "a code in CLM": lambda c: re.sub(rb"(CLM\*[^~]*\*)Y\*A\*Y\*Y", rb"\1Q*A*Y*Y", c, count=1),
    "an amount": lambda c: re.sub(rb"(CLM\*[^*]*\*)[^*]*", rb"\g<1>1.999", c, count=1),
    "a line's date": lambda c: re.sub(rb"DTP\*472\*D8\*\d+", b"DTP*472*D8*20251399", c, count=1),
    "a torn line": lambda c: re.sub(rb"SV1\*HC[^~]*", b"SV1*HC", c, count=1),
    "bytes beyond ASCII": lambda c: c.replace(b"CLM*", b"CLM*\xff\xfe\x00\xc3", 1),
    "a control character": lambda c: c.replace(b"CLM*", b"CLM*\x07", 1),
    "an unknown segment": lambda c: c.replace(b"LX*1~", b"ZZZ*1~LX*1~", 1),
    "a subscriber's code": lambda c: re.sub(rb"SBR\*[PST]", b"SBR*!", c, count=1),
    "a segment of 20,000 bytes": lambda c: c.replace(b"CLM*", b"CLM*" + b"9" * 20_000, 1),
    "no line": lambda c: re.sub(rb"LX\*.*", b"", c, flags=re.DOTALL),
}
# what is done to a second set: it alone is refused
SETS: dict[str, Callable[[bytes], bytes]] = {
    "a level": lambda s: re.sub(rb"HL\*3\*\d+\*2[23]", b"HL*3*77*22", s, count=1),
    "SE01": lambda s: re.sub(rb"SE\*(\d+)", rb"SE*1\1", s),
    "no SE": lambda s: re.sub(rb"SE\*[^~]*~\s*", b"", s),
    "a torn terminator": lambda s: re.sub(rb"(HL\*2\*[^~]*)~", rb"\1", s, count=1),
    "the header": lambda s: s.replace(b"BHT*0019", b"BHT*9999", 1),
    "bytes beyond ASCII": lambda s: s.replace(b"BHT*0019*", b"BHT*0019\xff\xfe*", 1),
}


def night(made: Path, folder: Path, data: bytes) -> tuple[Summary, Any]:
    """A night of one file: its summary, and what it decided of every claim that was accepted."""
    folder.mkdir()
    (folder / "in.837").write_bytes(data)
    shutil.copy(made / "loaded.db", folder / "a.db")
    config = Config(db=f"sqlite:///{folder / 'a.db'}", out=folder / "out")
    summary = run_night(Order((folder / "in.837",), config, DAY, DAY))
    out = folder / "out" / summary.folder
    rows = list(csv.DictReader(io.StringIO((out / "claims.csv").read_text("utf-8"))))
    decided = [
        {k: v for k, v in row.items() if k != "submission"}  # our running number of all received
        for row in rows
        if row["disposition"] != "rejected"
    ]
    remittances = {p.name: p.read_bytes() for p in (out / "835").iterdir()}
    return summary, (decided, remittances)


@pytest.fixture(scope="module")
def without(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, Any]:
    before, after, _ = inbox(made)
    return night(made, tmp_path_factory.mktemp("without") / "n", recounted(before + after))


def test_without_it_the_good_claims_are_decided_and_paid(without: tuple[Summary, Any]) -> None:
    summary, (decided, remittances) = without
    assert len(decided) >= GOOD * 0.9 and remittances
    assert summary.paid_amount > 0


@pytest.mark.parametrize("what", CLAIMS)
def test_a_bad_claim_costs_only_itself(
    what: str, made: Path, without: tuple[Summary, Any], tmp_path: Path
) -> None:
    before, after, victim = inbox(made)
    bad = CLAIMS[what](victim)
    assert bad != victim
    summary, decided = night(made, tmp_path / "n", recounted(before + bad + after))
    assert decided == without[1]
    rejected, other = (s.counts["rejected"]["count"] for s in (summary, without[0]))
    assert rejected == other + 1
    assert summary.counts["received"]["count"] == without[0].counts["received"]["count"] + 1


@pytest.mark.parametrize("what", SETS)
def test_a_bad_set_costs_only_itself(
    what: str, made: Path, without: tuple[Summary, Any], tmp_path: Path
) -> None:
    """A second set between the good ones' and the end of their group: copied claims, so that they
    would be duplicates were they read."""
    before, after, _ = inbox(made)
    good = recounted(before + after)
    last = re.search(rb"ST\*837\*(?:(?!ST\*837).)*\Z", good, re.DOTALL)
    assert last is not None
    at = good.rindex(b"GE*")
    set_ = good[last.start() : at]
    again = set_.replace(b"ST*837*" + set_[7:11], b"ST*837*9999")
    again = re.sub(rb"(SE\*\d+\*)\d+", rb"\g<1>9999", again)
    bad = SETS[what](again)
    assert bad != again
    both = good[:at] + bad + re.sub(rb"GE\*(\d+)", lambda m: b"GE*%d" % (int(m[1]) + 1), good[at:])
    summary, decided = night(made, tmp_path / "n", both)
    assert decided == without[1]
    assert summary.counts == without[0].counts
    assert summary.files[0].reasons and "9999" in summary.files[0].reasons[-1]


def test_the_comparison_can_fail(made: Path, without: tuple[Summary, Any], tmp_path: Path) -> None:
    """The claim as it was, still good, is one decision more."""
    before, after, victim = inbox(made)
    _, decided = night(made, tmp_path / "n", before + victim + after)
    assert decided != without[1]
    assert len(decided[0]) == len(without[1][0]) + 1
