"""Files read by two processes: the same as read by one, whatever becomes of the other."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from adjudicator.check import check_files, checking
from adjudicator.reading import bounds_of, reading_ahead
from edi.ahead import AHEAD, Ahead
from edi.apart import Apart
from edi.read_file import LIMITS, Bounds, Chunk, FileReading, Limits, Part, read_chunk, read_file
from edi.received import bytes_of
from schemas.config import Config
from tests.samples import body, claim, institutional, interchange, professional, transaction, write
from tests.samples import group as in_group

CHUNK_BYTES = 6_000


def many(first: str, count: int) -> bytes:
    """A file of several sets, one with a wrong segment, one refused."""
    sets = [transaction(body([claim(f"{first}{n}")]), n + 1) for n in range(count)]
    sets[1] = [s.replace("DMG*D8*", "DMG*D9*") for s in sets[1]]
    sets[2] = [s.replace("BHT*0019", "BHT*0099") for s in sets[2]]
    return write(interchange([in_group(sets)]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    contents = {
        "a.837": many("A", 30), "b.837": institutional(3), "c.837": b"no claims",
        "d.837": b"", "e.jsonl": b'{"form": "CMS-1500"}\n', "f.837": many("F", 12),
        "g.837": professional(1),
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


@pytest.fixture(scope="module")
def alone(files: list[Path]) -> list[FileReading]:
    return [read_file(path.read_bytes(), CHUNK_BYTES) for path in files]


@pytest.fixture
def ahead(files: list[Path]) -> Iterator[Ahead]:
    with Ahead(Apart("edi.ahead"), files, CHUNK_BYTES, LIMITS, read_chunk) as ahead:
        yield ahead


def read(ahead: Ahead, path: Path) -> FileReading:
    with bytes_of(path) as data:
        return read_file(data, CHUNK_BYTES, begun=ahead.begun(path))


def same(one: FileReading, two: FileReading) -> None:
    assert one.claim_count == two.claim_count
    assert_frame_equal(one.objections, two.objections)
    assert_frame_equal(one.sets, two.sets)
    assert_frame_equal(one.submitters, two.submitters)
    assert one.frames.keys() == two.frames.keys()
    for name, frame in one.frames.items():
        assert_frame_equal(frame, two.frames[name])


def test_two_read_what_one_reads(files: list[Path], alone: list[FileReading], ahead: Ahead) -> None:
    assert alone[0].claim_count == 29 and alone[0].objections.height >= 2
    for path, expected in zip(files, alone, strict=True):
        same(read(ahead, path), expected)
    assert all(not file.parts for file in ahead._files.values())


def test_the_other_goes_ahead_by_itself_and_not_too_far(files: list[Path], ahead: Ahead) -> None:
    taken = ahead._files[files[0]].parts
    for n in range(AHEAD):
        while n not in taken:
            time.sleep(0.01)
        part = taken[n][1].result(60)
        assert part is not None and part.claim_count
    assert len(taken) == AHEAD


def test_files_that_are_not_wanted_are_passed_over(
    files: list[Path], alone: list[FileReading], ahead: Ahead
) -> None:
    same(read(ahead, files[5]), alone[5])
    same(read(ahead, files[0]), alone[0])  # given up, so it is read here
    same(read(ahead, files[6]), alone[6])
    same(read(ahead, files[6]), alone[6])


def test_a_file_that_changes_is_read_as_it_is_now(tmp_path: Path, alone: list[FileReading]) -> None:
    path = tmp_path / "a.837"
    path.write_bytes(professional(1))
    with Ahead(Apart("edi.ahead"), [path], CHUNK_BYTES, LIMITS, read_chunk) as ahead:
        replaced = tmp_path / "new"
        replaced.write_bytes(many("A", 30))
        replaced.rename(path)
        same(read(ahead, path), alone[0])


def test_where_the_other_dies_all_is_read_here(
    files: list[Path], alone: list[FileReading], ahead: Ahead
) -> None:
    ahead._apart._process.kill()
    same(read(ahead, files[0]), alone[0])
    same(read(ahead, files[1]), alone[1])


def read_here_only(data: bytes | mmap.mmap, chunk: Chunk, limits: Limits) -> Part:
    """Fails in any other process."""
    if os.environ["HERE"] != str(os.getpid()):
        raise ValueError("not here")
    return read_chunk(data, chunk, limits)


def test_what_the_other_fails_at_is_read_here(
    files: list[Path], alone: list[FileReading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERE", str(os.getpid()))
    with (
        Ahead(Apart(), files[:1], CHUNK_BYTES, LIMITS, read_here_only) as ahead,
        bytes_of(files[0]) as data,
    ):
        same(read_file(data, CHUNK_BYTES, read=read_here_only, begun=ahead.begun(files[0])),
             alone[0])  # fmt: skip


def read_nowhere(data: bytes | mmap.mmap, chunk: Chunk, limits: Limits) -> Part:
    raise ValueError("nowhere")


def test_what_nobody_can_read_is_told(files: list[Path]) -> None:
    with Ahead(Apart(), files, CHUNK_BYTES, LIMITS, read_nowhere) as ahead:
        begun = ahead.begun(files[0])
        with bytes_of(files[0]) as data, pytest.raises(ValueError, match="nowhere"):
            read_file(data, CHUNK_BYTES, read=read_nowhere, begun=begun)


def test_it_ends_with_nothing_wanted(files: list[Path]) -> None:
    with Ahead(Apart(), files, CHUNK_BYTES, LIMITS, read_chunk) as ahead:
        pass
    assert ahead._apart._process.wait(60) != 0
    assert not any(reader.is_alive() for reader in ahead._readers)
    ahead.end()


def test_check_by_two_finds_the_same(files: list[Path], tmp_path: Path) -> None:
    config = Config(chunk_bytes=CHUNK_BYTES)
    expected = check_files(files, None, None, config)
    assert len(expected.rows) > 5
    read = checking(answered=False)
    with reading_ahead(Apart("adjudicator.check"), files, bounds_of(config), read) as ahead:
        found = check_files(files, None, None, config, ahead)
    assert found.as_json() == expected.as_json()
    assert pl.DataFrame(found.files).height == len(files)


def test_without_a_configuration_the_bounds_are_its_own() -> None:
    assert bounds_of(Config()) == Bounds()
    other = Config(file_bytes_limit=4, chunk_bytes=3, segment_bytes_limit=1, claim_bytes_limit=2)
    assert bounds_of(other) == Bounds(4, 3, Limits(1, 2))
