"""What docs/operate.md and docs/security.md tell an operator to set up works as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from adjudicator import store
from adjudicator.load import load_reference
from tests import sbom
from tests.synthetic import generate

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "operate.md").read_text("utf-8")
SITE = "/srv/claims"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.S)


def unit(name: str) -> str:
    return next(b for b in blocks("ini") if b.startswith(f"# {name}\n"))


def script() -> str:
    return next(b for b in blocks("sh") if "# night.sh DATE" in b)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("adjudicate.service", "adjudicate.timer")]
    for path in paths:
        path.write_text(unit(path.name))
    done = subprocess.run(["systemd-analyze", "verify", *map(str, paths)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    told = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, told) == (0, []), done.stderr
    calendar = re.search(r"^OnCalendar=(.+)$", unit("adjudicate.timer"), re.M)
    assert calendar
    subprocess.run(["systemd-analyze", "calendar", calendar[1]], check=True, capture_output=True)


def test_the_cron_line_does_the_night_that_is_over(tmp_path: Path) -> None:
    """Parsed as cron does it, and run by its shell in a folder set up as the guide says."""
    generate(tmp_path, 20, seed=7)
    engine = store.open_store(f"sqlite:///{tmp_path / 'adjudicator.db'}")
    with engine.begin() as connection:
        load_reference(connection, tmp_path / "reference")
    engine.dispose()
    (tmp_path / "adjudicator.yaml").write_text("out: nights\n")
    night = tmp_path / "night.sh"
    night.write_text(script())
    night.chmod(0o700)
    command = tmp_path / "venv" / "bin" / "adjudicate"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m cli "$@"\n')
    command.chmod(0o700)
    [line] = blocks("cron")
    fields = line.strip().split(maxsplit=5)
    assert all(re.fullmatch(r"[0-9*,/-]+", field) for field in fields[:5])
    # cron ends the command at a bare per cent sign
    assert not re.search(r"(?<!\\)%", fields[5])
    whole = fields[5].replace("\\%", "%").replace(SITE, str(tmp_path))
    done = subprocess.run(["/bin/sh", "-c", whole], cwd="/", capture_output=True, text=True,
                          check=False, env={"PATH": "/usr/bin:/bin"}, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    yesterday = (date.today() - timedelta(days=1)).isoformat()
    folder = tmp_path / "nights" / f"run-000001-{yesterday}"
    assert (folder / "manifest.json").is_file()
    assert list((tmp_path / "inbox").iterdir()) == []
    assert len(list((tmp_path / "done" / yesterday).iterdir())) == 2
    # everything that was made is for its owner alone
    for path in (folder, tmp_path / "night.log", tmp_path / "done", folder / "manifest.json"):
        assert path.stat().st_mode & 0o077 == 0, path
    steps = [json.loads(line) for line in (tmp_path / "night.log").read_text().splitlines()]
    assert [s["step"] for s in steps] == [
        "reference", "intake", "decide", "commit", "publish", "done",
    ]  # fmt: skip
    assert all({"time", "step", "seconds"} <= set(s) for s in steps)
    assert (steps[-1]["exit"], steps[-1]["run"]) == (0, 1)
    assert steps[-1]["received"]["count"] == 20
    # systemd's command is the same one
    systemd = re.search(r"^ExecStart=/bin/sh -c 'exec (.+)'$", unit("adjudicate.service"), re.M)
    assert systemd
    assert systemd[1].replace("%%", "%") in fields[5].replace("\\%", "%")


def test_the_service_stops_where_trying_again_is_of_no_use() -> None:
    assert "RestartPreventExitStatus=2\n" in unit("adjudicate.service")
    assert "UMask=0077\n" in unit("adjudicate.service")


def test_the_bill_of_materials_names_every_pinned_package() -> None:
    made = sbom.document()
    names = {part["name"]: part for part in made["components"]}
    pinned = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", (ROOT / "requirements.txt").read_text(),
                        re.M)  # fmt: skip
    assert set(names) == {name.lower() for name in pinned}
    assert len(names) > 15
    polars = names["polars"]
    assert polars["purl"] == f"pkg:pypi/polars@{polars['version']}"
    assert all(len(part["properties"]) > 0 for part in names.values())
    assert made == sbom.document()


def test_security_tells_every_safeguard_and_the_rules_are_on() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    safeguards = (
        "(a)(1) (a)(2)(i) (a)(2)(ii) (a)(2)(iii) (a)(2)(iv) (b) (c)(1) (c)(2) (d) (e)(1) (e)(2)(i) "
        "(e)(2)(ii)"
    )
    for letter in safeguards.split():
        [row] = re.findall(rf"^\| {re.escape(letter)} \|.*$", page, re.M)
        assert len([cell for cell in row.split("|") if cell.strip()]) == 4
    assert '"S"' in re.findall(r"^select = .*$", (ROOT / "pyproject.toml").read_text(), re.M)[0]
