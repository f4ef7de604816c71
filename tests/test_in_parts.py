"""A night that is decided in parts comes to the same as one that is decided whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from adjudicator import in_parts, store
from adjudicator.decide import UndecidableError, refuse_failures
from adjudicator.in_parts import Shelves, part_count
from adjudicator.night import Order, run_night
from adjudicator.pipeline import Batch
from adjudicator.verify import verify
from schemas import frames
from schemas.config import Config
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
