"""Nothing that tells of a person leaves by a way that isn't meant to: screen, log, error, name.

What may carry it is listed in docs/security.md, and here.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import cli
from tests import synthetic
from tests.test_night import load

CANARY = "ZQXKANARY"
DAY = "2025-11-15"
Say = Callable[..., tuple[int, str]]

# by what a file is called: the kinds of health information that it is meant to hold
MEANT = {
    r"835/.*\.835": {"name", "number", "account"},
    r"acks/.*\.277ca": {"name", "number", "account"},
    r"acks/.*\.999": {"account"},
    r"claims\.csv": {"account"},
    r"(eop|in-process)/.*\.(pdf|csv|json)": {"name", "number", "account", "birth"},
    r"letters/.*\.pdf": {"name", "number", "account", "birth"},
}


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """The command line as a process has it; its exit code and all that it said."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["adjudicate", *map(str, arguments)])
        try:
            code = cli._code()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out + err

    return run


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def kind_of(name: str) -> set[str]:
    inside = re.sub(r"^run-[0-9]+-[0-9-]+/", "", name)
    return next((meant for text, meant in MEANT.items() if re.fullmatch(text, inside)), set())


# ---- people who are known --------------------------------------------------------------------


def test_people_are_told_of_in_no_other_place(
    tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night whose every first name is a canary (last names are practices' too); member numbers,
    birth dates and account numbers are looked for as they are."""
    words = [f"{CANARY}{chr(65 + n // 26)}{chr(65 + n % 26)}" for n in range(60)]
    monkeypatch.setattr(synthetic, "FIRST_NAMES", tuple(words))
    synthetic.generate(tmp_path, 40, seed=7)
    load(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "reference")
    members = pl.read_csv(tmp_path / "reference" / "members.csv", infer_schema=False)
    claims = "".join(p.read_text() for p in sorted((tmp_path / "inbox").iterdir()))
    secrets = {
        "name": {CANARY},
        "number": {*members["member_id"], *members["card_number"].drop_nulls()},
        "birth": {d for day in members["birth_date"] for d in (day, day.replace("-", ""))},
        "account": set(re.findall(r"~\s*CLM\*([^*]+)\*", claims)),
    }
    assert min(map(len, secrets.values())) >= 1
    assert len(secrets["account"]) > 30

    def found(text: bytes | str) -> set[str]:
        whole = text if isinstance(text, str) else text.decode("latin-1")
        words = set(re.findall(r"[A-Za-z0-9-]+", whole))
        return {k for k, told in secrets.items() if told & words} | (
            {"name"} if CANARY in whole else set()
        )

    store = ("--db", f"sqlite:///{tmp_path / 'a.db'}")
    out = tmp_path / "out"
    log = tmp_path / "night.log"
    told = {
        "check": say("check", tmp_path / "inbox", "--out", tmp_path / "checked"),
        "run": say("run", tmp_path / "inbox", *store, "--out", out, "--business-date", DAY,
                   "--log", log),
        "again": say("run", tmp_path / "inbox", *store, "--out", out, "--business-date", DAY,
                     "--json"),
        "verify": say("verify", *store, "--out", out),
        "reference": say("reference", "check", tmp_path / "reference"),
        "register": say("report", "register", *store, "--out", out),
        "eop": say("report", "eop", *store, "--out", out, "--format", "csv,json"),
        "in-process": say("report", "in-process", *store, "--out", out, "--format", "csv,json"),
        "pends": say("pends", "list", *store),
    }  # fmt: skip
    assert [name for name, (code, _) in told.items() if code and name != "check"] == []
    assert {name: found(text) for name, (_, text) in told.items() if found(text)} == {}
    assert found(log.read_bytes()) == set()
    written = dict(files(out))
    assert {name for name in written if found(name)} == set()
    beyond = {
        name: found(content) - kind_of(name)
        for name, content in written.items()
        if found(content) - kind_of(name)
    }
    assert beyond == {}
    # the search can find: an 835 does tell of a person
    assert any(found(c) >= {"name", "number"} for n, c in written.items() if n.endswith(".835"))


# ---- every element ---------------------------------------------------------------------------


def planted_sets(data: str) -> str:
    """The interchange with a set for each element of its first set's body: there a canary."""
    element, end = data[3], data[105]
    segments = [s.strip() for s in data.split(end) if s.strip()]
    first = next(i for i, s in enumerate(segments) if s.startswith("ST"))
    last = next(i for i, s in enumerate(segments) if s.startswith("SE"))
    body = segments[first + 1 : last]
    head = segments[first].split(element)
    sets: list[str] = []
    for at, segment in enumerate(body):
        parts = segment.split(element)
        for place, value in enumerate(parts[1:], 1):
            if not value:
                continue
            number = f"{len(sets) + 1:04d}"
            changed = element.join([*parts[:place], CANARY, *parts[place + 1 :]])
            whole = [
                element.join([head[0], head[1], number, *head[3:]]),
                *body[:at], changed, *body[at + 1 :],
                element.join(["SE", str(len(body) + 2), number]),
            ]  # fmt: skip
            sets.append(end.join(whole))
    control = segments[first - 1].split(element)[6]
    tail = [element.join(["GE", str(len(sets)), control]), segments[-1]]
    return end.join([*segments[:first], *sets, *tail]) + end


@pytest.mark.parametrize("letter", ["professional", "institutional"])
def test_a_canary_in_any_element_is_told_nowhere(tmp_path: Path, say: Say, letter: str) -> None:
    synthetic.generate(tmp_path, 40, seed=3, mix={**synthetic.MIX, "other_payer": 1000 - 123})
    load(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "reference")
    source = tmp_path / "inbox" / f"{letter}-001.837"
    small = first_claims(source.read_text())
    inbox = tmp_path / "planted"
    inbox.mkdir()
    (inbox / "planted.837").write_text(planted_sets(small))
    count = (inbox / "planted.837").read_text().count(CANARY)
    assert count > 100
    log, out = tmp_path / "night.log", tmp_path / "out"
    checked = say("check", inbox)
    as_json = say("check", inbox, "--json")
    run = say("run", inbox, "--db", f"sqlite:///{tmp_path / 'a.db'}", "--out", out,
              "--business-date", DAY, "--log", log)  # fmt: skip
    assert checked[0] == as_json[0] == 1  # much of it is refused
    assert run[0] == 0, run[1]
    for _, text in (checked, as_json, run):
        assert CANARY not in text
    assert CANARY.encode() not in log.read_bytes()
    for name, content in files(out):
        assert CANARY not in name
        if not kind_of(name):
            assert CANARY.encode() not in content, name


def first_claims(data: str) -> str:
    """The interchange with the claims of its first subscriber alone."""
    segments = [s.strip() for s in data.split("~") if s.strip()]
    levels = [i for i, s in enumerate(segments) if s.startswith("HL*")]
    subscribers = [i for i in levels if segments[i].split("*")[3] == "22"]
    last = next(i for i, s in enumerate(segments) if s.startswith("SE*"))
    others = (i for i in levels if i > subscribers[0] and segments[i].split("*")[3] != "23")
    cut = min(last, *others) if len(subscribers) > 1 else last
    count = cut - next(i for i, s in enumerate(segments) if s.startswith("ST*")) + 1
    trailer = f"SE*{count}*{segments[last].split('*')[2]}"
    rest = [s for s in segments if s.startswith(("GE*", "IEA*"))]
    rest[0] = "GE*1*" + rest[0].split("*")[2]
    return "~\n".join([*segments[:cut], trailer, *rest]) + "~\n"


# ---- reference data --------------------------------------------------------------------------


def test_a_canary_in_any_cell_of_a_persons_row_is_told_nowhere(tmp_path: Path, say: Say) -> None:
    synthetic.generate(tmp_path, 20, seed=3)
    load(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "reference")
    store = f"sqlite:///{tmp_path / 'a.db'}"
    for table in ("members", "coverage"):
        whole = pl.read_csv(tmp_path / "reference" / f"{table}.csv", infer_schema=False)
        # a program or plan that isn't there is named: it is of no person
        for column in set(whole.columns) - {"program_code", "plan_code"}:
            folder = tmp_path / f"{table}-{column}"
            folder.mkdir()
            first = pl.int_range(pl.len()) == 1
            whole.with_columns(
                pl.when(first).then(pl.lit(CANARY)).otherwise(column).alias(column)
            ).write_csv(folder / f"{table}.csv")
            shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
            loads = f"sqlite:///{tmp_path / 'b.db'}"
            for command, database in (("check", store), ("load", loads)):
                _, text = say("reference", command, folder, "--db", database)
                assert CANARY not in text, (table, column)


# ---- faults of the program -------------------------------------------------------------------


def test_a_fault_of_the_program_is_told_without_its_words(
    tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adjudicator import night

    def broken(*_: Any) -> None:
        raise ValueError(f"could not convert {CANARY}")

    monkeypatch.delenv(cli.TRACE, raising=False)
    monkeypatch.setattr(night, "run_night", broken)
    code, text = say("run", tmp_path, "--db", f"sqlite:///{tmp_path / 'a.db'}")
    assert code == 1
    assert "a fault of the program (ValueError" in text
    assert CANARY not in text
