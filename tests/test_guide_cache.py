"""What a guide keeps between processes says the same as pyx12 would, and is only ever a help."""

from __future__ import annotations

from pathlib import Path

import pytest

import edi.guide as guides
from edi.guide import GUIDES, Guide, _cache_file, _compiled, _kept, _Map
from edi.read_file import FileReading, read_file
from tests.samples import institutional, professional

FILES = {"837P": professional, "837I": institutional}


@pytest.fixture
def kept_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    guides.guide_for.cache_clear()
    _compiled.cache_clear()
    return tmp_path / "adjudicator"


@pytest.fixture(autouse=True)
def _forget() -> None:
    guides.guide_for.cache_clear()
    _compiled.cache_clear()


def again(data: bytes) -> FileReading:
    """Read as a new process would."""
    guides.guide_for.cache_clear()
    _compiled.cache_clear()
    return read_file(data)


def alike(one: FileReading, other: FileReading) -> bool:
    return one.objections.equals(other.objections) and all(
        one.frames[n].equals(other.frames[n]) for n in one.frames
    )


@pytest.mark.parametrize("kind", FILES)
def test_a_kept_guide_reads_as_the_map_does_and_asks_pyx12_nothing(
    kept_in: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FILES[kind]()
    first = read_file(data)
    assert [p.name.split("-")[0] for p in kept_in.iterdir()] == [kind]

    def asked(*_: object) -> None:
        raise AssertionError("pyx12 was asked")

    monkeypatch.setattr("pyx12.map_if.load_map_file", asked)
    assert alike(again(data), first)


@pytest.mark.parametrize("kind", FILES)
def test_what_is_kept_is_what_was_learnt(kept_in: Path, kind: str) -> None:
    read_file(FILES[kind]())
    code = next(c for c, (name, _, own) in GUIDES.items() if name == kind and own)
    learnt = guides.guide_for(code)
    assert learnt is not None
    map_ = _Map(GUIDES[code][1], learnt.map.codes)
    kept = Guide(kind, map_, _kept(_cache_file(kind, map_)))
    fresh = Guide(kind, map_)
    assert kept.nodes == learnt.nodes == fresh.nodes
    assert kept.rules == learnt.rules == fresh.rules
    assert kept.tokens == fresh.tokens
    steps = 0
    for state, row in enumerate([*kept._rows, *kept._lost]):
        for token, reached in row.items():
            steps += 1
            assert [*fresh._rows, *fresh._lost][state][token].state == reached.state
    assert steps >= 20


@pytest.mark.parametrize("damage", ["", "x", "{}", "0\n{}"])
def test_a_damaged_file_is_made_again(kept_in: Path, damage: str) -> None:
    first = read_file(professional())
    [file] = kept_in.iterdir()
    whole = file.read_bytes()
    file.write_text(damage)
    assert alike(again(professional()), first)
    assert file.read_bytes() == whole


def test_a_byte_changed_in_it_is_noticed(kept_in: Path) -> None:
    read_file(professional())
    [file] = kept_in.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert _kept(file) is None


def test_a_folder_that_cannot_be_written_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert again(professional()).claim_count == 2
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    assert again(professional()).claim_count == 2
