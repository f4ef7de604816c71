"""What a person does while another process writes the store: exit 75, and nothing is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.store import dialect

ACTS = (
    "pends release 000000000001 --finding suspected_duplicate",
    "dispute uphold D1",
    "payments adjust PT1 10.00",
)


def codes(url: str) -> set[int]:
    """The exit codes of the acts; nothing is shown of any."""
    ends = set()
    for act in ACTS:
        words = [*act.split(), "--note", "seen", "--who", "R. Ledger", "--db", url]
        done = CliRunner().invoke(cli.app, words)
        assert done.stdout == ""
        assert ("the store is busy" in done.stderr) == (done.exit_code == 75), done.stderr
        ends.add(done.exit_code)
    return ends


def test_an_act_is_told_to_try_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dialect.PRAGMAS, "busy_timeout", ("20", "20"))
    url = f"sqlite:///{tmp_path / 'a.db'}"
    writer = store.open_store(url)
    with writer.begin():
        assert codes(url) == {75}
    assert codes(url) == {1}  # then what is wrong with each: the store is empty

    def refused(connection: Connection) -> None:
        if not connection.get_execution_options().get("only_reads", False):
            raise store.BusyError("another process writes to the store")

    # as PostgreSQL says it: an error of the store's own
    monkeypatch.setattr(dialect, "_begin", refused)
    assert codes(url) == {75}
