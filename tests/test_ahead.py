"""Chunks read by another process: the same frames, whatever becomes of that process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adjudicator.check import check_files
from edi.ahead import Ahead, part_of
from edi.apart import Apart
from edi.read_file import FileReading, Limits, read_file
from schemas.config import Config
from tests.synthetic import generate

LIMITS = Limits()
CHUNK = 20_000


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ahead")
    generate(made, 200)
    return made / "inbox"


@pytest.fixture
def apart() -> Iterator[Apart]:
    with Apart("edi.ahead") as one:
        yield one


def files(inbox: Path) -> list[Path]:
    return sorted(inbox.iterdir())


def read(path: Path, ahead: Ahead | None = None) -> FileReading:
    elsewhere = ahead.of(path) if ahead else None
    return read_file(path.read_bytes(), CHUNK, LIMITS, elsewhere=elsewhere)


def assert_same(one: FileReading, other: FileReading) -> None:
    assert one.sets.equals(other.sets)
    assert one.objections.equals(other.objections)
    assert one.submitters.equals(other.submitters)
    assert one.frames.keys() == other.frames.keys()
    assert one.claim_count > 0
    for name, frame in one.frames.items():
        assert frame.equals(other.frames[name]), name


def test_the_same_frames(inbox: Path, apart: Apart) -> None:
    ahead = Ahead(apart, files(inbox), CHUNK, LIMITS)
    begun = apart.due_count
    assert begun >= 2
    for path in files(inbox):
        assert_same(read(path, ahead), read(path))


def test_it_reads_chunks_that_it_is_asked_for_too(
    inbox: Path, apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = Ahead(apart, [], CHUNK, LIMITS)
    asked: list[int] = []
    ask = Ahead._ask

    def counted(self: Ahead, path: Path, index: int):  # type: ignore[no-untyped-def]
        asked.append(index)
        return ask(self, path, index)

    monkeypatch.setattr(Ahead, "_ask", counted)
    large = max(files(inbox), key=lambda f: f.stat().st_size)
    assert_same(read(large, ahead), read(large))
    chunks = large.stat().st_size // CHUNK
    assert 0 < len(asked) < chunks  # shared between both
    assert asked == sorted(set(asked))


def test_where_it_has_ended_all_is_read_here(inbox: Path, apart: Apart) -> None:
    ahead = Ahead(apart, files(inbox), CHUNK, LIMITS)
    apart._process.kill()
    for path in files(inbox):
        assert_same(read(path, ahead), read(path))


def test_what_was_read_of_a_file_that_has_changed_is_not_taken(
    inbox: Path, apart: Apart, tmp_path: Path
) -> None:
    changing = tmp_path / "changing.837"
    whole = max(files(inbox), key=lambda f: f.stat().st_size).read_bytes()
    changing.write_bytes(whole.replace(b"*11:B:1*", b"*12:B:1*"))
    ahead = Ahead(apart, [changing], CHUNK, LIMITS)
    while apart.due_count:
        pass
    changing.unlink()
    changing.write_bytes(whole)
    reading = read(changing, ahead)
    assert_same(reading, read(changing))
    assert "11" in set(reading.frames["claims"]["facility_code"])


def test_a_file_that_is_no_interchange_has_no_chunks(tmp_path: Path) -> None:
    paper = tmp_path / "claims.jsonl"
    paper.write_text('{"form": "UB-04"}\n')
    assert part_of(paper, 0, CHUNK, LIMITS) is None


def test_checking_finds_the_same(inbox: Path, apart: Apart) -> None:
    config = Config(chunk_bytes=CHUNK)
    ahead = Ahead(apart, files(inbox), CHUNK, LIMITS)
    assert check_files([inbox], config=config, ahead=ahead) == check_files([inbox], config=config)
