"""Work done in another process: the same result, and never a lost one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import edi.read_file as reading
from edi.apart import Apart, ApartError
from tests.synthetic import generate


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apart")
    generate(folder, 60, seed=3)
    return folder / "inbox" / "professional-001.837"


def alike(one: reading.FileReading, other: reading.FileReading) -> bool:
    return (
        one.objections.equals(other.objections)
        and one.sets.equals(other.sets)
        and one.frames.keys() == other.frames.keys()
        and all(one.frames[n].equals(other.frames[n]) for n in one.frames)
    )


def test_two_processes_read_what_one_reads(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = file.read_bytes()
    alone = reading.read_file(data, 8_000)
    monkeypatch.setattr(reading, "APART_BYTES", 0)
    asked = []
    result = Apart.result

    def spied(self: Apart[object]) -> object:
        asked.append(result(self))
        return asked[-1]

    monkeypatch.setattr(Apart, "result", spied)
    assert alike(reading.read_file(data, 8_000, file), alone)
    assert len(asked) == 1


def test_a_process_that_comes_to_nothing_costs_only_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file.read_bytes()
    alone = reading.read_file(data, 8_000)
    monkeypatch.setattr(reading, "APART_BYTES", 0)
    # the other process can't find the file that this one has in memory
    assert alike(reading.read_file(data, 8_000, file.with_name("gone.837")), alone)


def test_a_result_comes_back_and_a_failure_is_told() -> None:
    with Apart(os.path.basename, "a/b") as apart:
        assert apart.result() == "b"
    with Apart(os.stat, "/no/such/file") as apart, pytest.raises(ApartError):
        apart.result()


def test_it_is_ended_with_its_context() -> None:
    with Apart(os.getpid) as apart:
        pass
    assert apart._process.poll() is not None
