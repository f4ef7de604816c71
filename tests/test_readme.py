"""The README shows what the commands print today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.case_tools import fill_inbox
from tests.readme import demo_output, explain_output, fenced, shown


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    fill_inbox(folder)
    return folder


def test_the_readme_shows_what_the_commands_print(place: Path) -> None:
    printed = demo_output("fixtures/reference", str(place / "inbox"), place)
    assert fenced(shown("demo")) == fenced(printed)
    assert fenced(shown("explain")) == fenced(explain_output(place))


def test_what_is_shown_fits_a_terminal() -> None:
    assert max(len(line) for name in ("demo", "explain") for line in shown(name).splitlines()) <= 80
