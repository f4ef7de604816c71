"""The house's own rules: which way imports point, what stages may touch, what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("cli", "adjudicator", "edi", "schemas")  # each may import those to its right
PROGRAM = [
    path
    for room in ROOMS
    for path in ([ROOT / "cli.py"] if room == "cli" else sorted((ROOT / room).rglob("*.py")))
]
PURE = [*sorted((ROOT / "adjudicator" / "stages").glob("*.py"))]
PURE += sorted((ROOT / "adjudicator" / "edits").glob("*.py"))
PURE += [
    ROOT / "adjudicator" / name for name in ("fate.py", "money.py", "contracts.py", "decide.py")
]
# what a pure function of frames has no use for
RIM = {"os", "io", "sys", "time", "random", "secrets", "uuid", "socket", "subprocess", "pathlib",
       "sqlalchemy", "sqlite3", "tempfile", "shutil", "mmap"}  # fmt: skip


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PROGRAM, ids=names)
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    allowed = ROOMS[ROOMS.index(room) :]
    for module in imports(path):
        top = module.split(".")[0]
        assert top not in ROOMS or top in allowed, f"{room} imports {module}"
        assert top != "tests"


def test_the_check_of_the_835_shares_nothing_with_its_writer() -> None:
    assert not [m for m in imports(ROOT / "edi" / "balance.py") if m.split(".")[0] in ROOMS]


@pytest.mark.parametrize("path", PURE, ids=names)
def test_stages_and_edits_touch_no_file_database_or_clock(path: Path) -> None:
    assert not RIM & {m.split(".")[0] for m in imports(path)}
    text = path.read_text("utf-8")
    assert not re.search(r"\b(open\(|today\(|now\(|read_csv|scan_|write_)", text)


@pytest.mark.parametrize("path", PROGRAM, ids=names)
def test_no_float_touches_money_and_no_python_runs_a_row(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"\bfloat\(|pl\.Float(32|64)|map_elements|\.apply\(", text)


def test_the_wheel_holds_what_the_program_needs() -> None:
    told = (ROOT / "pyproject.toml").read_text("utf-8")
    assert 'only-include = ["adjudicator", "edi", "schemas", "cli.py"]' in told


def test_no_file_names_a_download_address_or_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: no list of the project's files")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if not path.is_file() or path.suffix in (".png", ".pdf"):
            continue
        text = path.read_text("utf-8", errors="replace")
        if "requirements" in name:
            assert "://" not in text
        assert not re.search(r"(?<![\w.])/(?:work|root|home)/\w", text), name
