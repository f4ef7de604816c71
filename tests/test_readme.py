"""The README shows what the commands print today."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.readme import ROOT, demo_output, explain_output, fenced, shown


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "inbox").mkdir()
    for claim in sorted((ROOT / "fixtures" / "claims").glob("*/claim.837")):
        shutil.copy(claim, folder / "inbox" / f"{claim.parent.name}.837")
    return folder


def test_the_readme_shows_what_the_commands_print(place: Path) -> None:
    printed = demo_output("fixtures/reference", str(place / "inbox"), place)
    assert fenced(shown("demo")) == fenced(printed)
    assert fenced(shown("explain")) == fenced(explain_output(place))


def test_what_is_shown_fits_a_terminal() -> None:
    assert max(len(line) for name in ("demo", "explain") for line in shown(name).splitlines()) <= 80
