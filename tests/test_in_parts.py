"""A night that is decided in parts comes to the same as one that is decided whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adjudicator import in_parts, night, store
from adjudicator.decide import UndecidableError, refuse_failures
from adjudicator.in_parts import Shelves, part_count
from adjudicator.night import Order, run_night
from adjudicator.pipeline import Batch
from adjudicator.verify import verify
from schemas import frames
from schemas.config import Config
from tests.correcting import Nights, Sent
from tests.crash import Ended, ended
from tests.synthetic import generate
from tests.test_night import DAY, NEXT, load

CLAIMS = 200


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    generate(folder, CLAIMS, seed=11, files=2)
    load(f"sqlite:///{folder / 'loaded.db'}", folder / "reference")
    (folder / "first").mkdir()
    (folder / "second").mkdir()
    for path in sorted((folder / "inbox").iterdir()):
        path.rename(folder / ("first" if "001" in path.name else "second") / path.name)
    return folder


def two_nights(made: Path, place: Path, part_bytes: int) -> tuple[Ended, dict[str, pl.DataFrame]]:
    """The second has what the first left waiting, and the history it made."""
    shutil.copy(made / "loaded.db", place / "a.db")
    config = Config(db=f"sqlite:///{place / 'a.db'}", out=place / "out", part_bytes=part_bytes)
    for inbox, day in (("first", DAY), ("second", NEXT)):
        run_night(Order((made / inbox,), config, day, day))
    engine = store.open_store(config.db, create=False)
    with store.reading(engine) as connection:
        assert verify(connection, place / "out").faults == []
        ids = [i for (i,) in connection.exec_driver_sql("SELECT claim_id FROM claim")]
        kinds = ("lines", "adjustments")
        decided = {kind: store.decided(connection, kind, ids) for kind in kinds}  # type: ignore[arg-type]
    engine.dispose()
    return ended(place), decided


@pytest.fixture(scope="module")
def whole(
    made: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ended, dict[str, pl.DataFrame]]:
    return two_nights(made, tmp_path_factory.mktemp("whole"), 80_000_000)


@pytest.mark.parametrize(("part_bytes", "piece"), [(10_000, 30), (40_000, 7)])
def test_decided_in_parts_it_is_the_same_night(
    made: Path,
    whole: tuple[Ended, dict[str, pl.DataFrame]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part_bytes: int,
    piece: int,
) -> None:
    monkeypatch.setattr(in_parts, "PIECE_CLAIMS", piece)
    taken: list[int] = []
    take = Shelves.take
    monkeypatch.setattr(Shelves, "take", lambda self, at: taken.append(at) or take(self, at))
    found, decided = two_nights(made, tmp_path, part_bytes)
    assert len(set(taken)) > 3
    expected, as_whole = whole
    assert found.files == expected.files
    assert found.claims == expected.claims
    # the rows of decided_part are cut at other places
    differs = {n for n in expected.tables if found.tables[n] != expected.tables[n]}
    assert differs <= {"decided_part"}
    for kind, rows in as_whole.items():
        assert decided[kind].equals(rows)
        assert rows.height > CLAIMS


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["decide", "commit", "publish"])
def test_a_night_in_parts_that_is_stopped_ends_as_if_it_had_not_been(
    made: Path, whole: tuple[Ended, dict[str, pl.DataFrame]], tmp_path: Path, step: str
) -> None:
    """What was taken in before is read again, and goes into the same parts."""

    def stop(at: str) -> None:
        if at == step:
            raise Killed

    shutil.copy(made / "loaded.db", tmp_path / "a.db")
    config = Config(db=f"sqlite:///{tmp_path / 'a.db'}", out=tmp_path / "out", part_bytes=10_000)
    order = Order((made / "first",), config, DAY, DAY)
    with pytest.raises(Killed):
        run_night(order, stop)
    run_night(order)
    found, name = ended(tmp_path), f"run-000001-{DAY}/"
    assert found.files == {n: b for n, b in whole[0].files.items() if n.startswith(name)}


@pytest.mark.parametrize(
    ("received", "parts"), [(0, 1), (199, 1), (200, 2), (201, 3), (1000, 10), (1001, 11)]
)
def test_a_night_of_two_parts_bytes_is_decided_in_parts(received: int, parts: int) -> None:
    assert part_count(received, 100) == parts


def test_shelves_keep_rows_and_their_order() -> None:
    shelves = Shelves(3)
    where = pl.DataFrame({"claim_id": [1, 2, 3], "shelf": [2, 0, 2]})
    for text in ("a", "b"):
        rows = pl.DataFrame({"claim_id": [3, 3, 1, 2], "text": [f"{text}{n}" for n in range(4)]})
        shelves.add({"rows": rows, "none": rows.clear()}, where)
    assert [f["text"].to_list() for f in shelves.see(2)["rows"]] == [
        ["a0", "a1", "a2"], ["b0", "b1", "b2"],
    ]  # fmt: skip
    assert shelves.see(1) == {}
    assert [f.rows() for f in shelves.take(0)["rows"]] == [[(2, "a3")], [(2, "b3")]]
    assert shelves.take(0) == {}
    assert set(shelves.see(2)) == {"rows"}


@pytest.mark.parametrize(("failed", "stops"), [(2, False), (3, True)])
def test_failures_of_all_parts_count_together(failed: int, stops: bool) -> None:
    """One in a hundred of 200, wherever they stand."""
    claims = pl.DataFrame({"claim_id": range(200)}, schema={"claim_id": pl.Int64})
    findings = frames.empty(frames.Findings)
    failures = claims.head(failed).select("claim_id", edit=pl.lit("system"))
    batch = Batch(claims, claims, findings=pl.concat([findings, failures], how="diagonal"))
    if not stops:
        refuse_failures(batch, 100)
        return
    with pytest.raises(UndecidableError, match="more than 2 of 200 claims"):
        refuse_failures(batch, 100)


# ---- corrections -----------------------------------------------------------------------------

MEMBERS = [f"M60{n:02d}" for n in range(1, 22)]
SMALLER, LATE, WHOLLY = (("99212", 95, 4),), (("71046", 90, 4),), (("99213", 150, 4),)
Story = Callable[[Nights], None]
EVERY_DAY = "payment_calendar:\n  - start_date: 2009-02-01\n"


@dataclass
class Received(Nights):
    """Nights on a small ``part_bytes``; programs that pay on one day a week wait in between."""

    part_bytes: int = 80_000_000
    programs: Path | None = None

    def config(self) -> Config:
        changed = {"part_bytes": self.part_bytes, "programs": self.programs}
        return super().config().model_copy(update=changed)


def originals(nights: Nights, *more: Sent) -> None:
    nights.night([Sent(f"A-{member}", member=member) for member in MEMBERS], list(more))


def named(nights: Nights, name: str, digits: int = 8) -> str:
    return nights.number(name)[-digits:]


def within_families(nights: Nights) -> None:
    """Every kind of correction, each of its own family's claim.

    Reversed are 7 originals by replacements and 7 by voids. Of the 20 corrections of corrections 9
    reverse one: the others name a claim that a void left nothing of, or are late charges.
    """
    originals(nights)
    kinds = [("7", SMALLER), ("8", WHOLLY), ("5", LATE)] * 7
    corrections = [
        Sent(f"B-{member}", lines, kind, named(nights, f"A-{member}", 12 if at % 2 else 8), member)
        for at, (member, (kind, lines)) in enumerate(zip(MEMBERS, kinds, strict=True))
    ]
    # late charges that name nothing, a number of nobody, and a replacement of tonight's
    more = [
        Sent("L-M6001", (("73030", 80, 4),), "5", None, "M6001"),
        Sent("N-M6002", SMALLER, "7", "99999999", "M6002"),
        Sent("A-nobody", member="nobody"),
        Sent("C-M6004", SMALLER, "7", named(nights, "A-M6004"), "M6004"),
    ]
    nights.night(corrections, more)
    # corrections of corrections, and of what was late
    again = [
        Sent(f"C-{member}", WHOLLY, kind, named(nights, f"B-{member}"), member)
        for member, kind in zip(MEMBERS, ["7", "8", "7", "8", "5", "8", "5"] * 3, strict=True)
        if member != "M6004"
    ]
    nights.night(again, [Sent(f"D-{member}", member=member) for member in MEMBERS])


def across_families(nights: Nights) -> None:
    """Replacements and voids name claims of other families, and these send more: of four originals
    each is reversed once."""
    originals(nights)
    nights.night(
        [
            Sent("B-M6001", SMALLER, "7", named(nights, "A-M6002"), "M6001"),
            Sent("B-M6003", WHOLLY, "8", named(nights, "A-M6004"), "M6003"),
            Sent("B-M6005", SMALLER, "7", named(nights, "A-M6006"), "M6005"),
            Sent("B-M6007", SMALLER, "7", named(nights, "A-M6008"), "M6007"),
        ],
        # as good as what is replaced, which is gone now
        [Sent(f"D-{member}", member=member) for member in MEMBERS],
        # a second correction of the same claim, of a third family
        [Sent("C-M6009", WHOLLY, "8", named(nights, "A-M6008"), "M6009")],
    )
    nights.night([Sent(f"E-{member}", SMALLER, member=member) for member in MEMBERS])


def with_reopened(nights: Nights) -> None:
    """Versions that we opened wait beside what comes in; one of a claim that another family's
    replacement took the place of. One is reversed by that, three by what we opened."""
    originals(nights)
    nights.night(Sent("B-M6001", SMALLER, "7", named(nights, "A-M6002"), "M6001"))
    with nights.reading() as connection:
        names = "('B-M6001', 'A-M6003', 'A-M6010')"
        found = connection.exec_driver_sql(
            f"SELECT claim_id FROM claim WHERE patient_control_number IN {names} ORDER BY 1"
        )
        ids = pl.Series([n for (n,) in found], dtype=pl.Int64)
    assert nights.engine is not None
    with nights.engine.begin() as connection:
        assert store.reopen(connection, ids, "N689") == 3
    nights.night([Sent(f"D-{member}", member=member) for member in MEMBERS])


def told_of(nights: Nights) -> tuple[Ended, dict[str, pl.DataFrame]]:
    with nights.reading() as connection:
        ids = [i for (i,) in connection.exec_driver_sql("SELECT claim_id FROM claim")]
        kinds = ("lines", "adjustments")
        decided = {kind: store.decided(connection, kind, ids) for kind in kinds}  # type: ignore[arg-type]
        assert verify(connection, nights.folder / "out").faults == []
    nights.close()
    return ended(nights.folder), decided


@pytest.fixture(scope="module")
def weekly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every program pays on Tuesdays, the stories' last night: what was decided before waits,
    reversals too."""
    folder = tmp_path_factory.mktemp("weekly") / "programs"
    shutil.copytree(Path(__file__).parents[1] / "schemas" / "programs", folder)
    for file in folder.glob("*/program.yaml"):
        text = file.read_text("utf-8")
        assert text.count(EVERY_DAY) == 1
        file.write_text(text.replace(EVERY_DAY, EVERY_DAY + "    weekdays: [tuesday]\n"), "utf-8")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("pays", ["nightly", "weekly"])
@pytest.mark.parametrize(
    ("story", "reversals", "together"),
    [(within_families, 23, False), (across_families, 4, True), (with_reopened, 4, True)],
)
def test_corrections_come_to_the_same_in_parts(
    loaded: Path,
    weekly: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    story: Story,
    reversals: int,
    together: bool,
    pays: str,
) -> None:
    """The same 835s, claims lists, ledger and counters; parts are decided together only where a
    claim of one is corrected by one of another."""
    monkeypatch.setattr(in_parts, "PIECE_CLAIMS", 5)
    groups: list[list[list[int]]] = []

    def noted(*given: Any) -> list[list[int]]:
        groups.append(in_parts.parts_together(*given))
        return groups[-1]

    monkeypatch.setattr(night, "parts_together", noted)
    found = []
    for part_bytes in (80_000_000, 1500):
        folder = tmp_path / str(part_bytes)
        folder.mkdir()
        shutil.copy(loaded, folder / "a.db")
        nights = Received(
            folder, part_bytes=part_bytes, programs=weekly if pays == "weekly" else None
        )
        story(nights)
        taken_back = nights.rows("SELECT count(*) FROM ledger_entry WHERE kind = 'reversal'")
        assert taken_back == [(reversals,)]
        found.append(told_of(nights))
    (expected, as_whole), (parted, decided) = found
    assert len(groups) >= 2
    for each in groups:
        every = sorted(part for of in each for part in of)
        assert every == list(range(len(every)))
    assert any(len(of) > 1 for each in groups for of in each) is together
    assert all(len(each) > 3 for each in groups)
    assert parted.files == expected.files
    assert parted.claims == expected.claims
    assert {n for n in expected.tables if parted.tables[n] != expected.tables[n]} <= {
        "decided_part"
    }
    for kind, rows in as_whole.items():
        assert decided[kind].equals(rows)
