"""A program with a plan, added by files in a folder: a night pays by it, nothing else changes."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.explain import as_text, explain
from adjudicator.programs import load_programs
from edi.balance import check_835
from tests.case_tools import FIXTURES
from tests.pyx12_check import pyx12_errors

ADDED = FIXTURES / "added-program"
SHIPPED = Path(__file__).parents[1] / "schemas" / "programs"

# claim: fate, charge, allowed, member, paid, adjustments; fixtures/added-program/README.md
BY_HAND = {
    "HH-1": ("paid", 17_000, 11_625, 5_625, 6_000,
             ["1 CO-45 4000", "1 PR-3 2000", "2 CO-45 1375", "2 PR-1 3625"]),
    "HH-2": ("paid", 10_000, 3_625, 6_825, 1_800,
             ["1 CO-45 1375", "1 PR-1 1375", "1 PR-2 450", "2 PR-119 5000"]),
    "HH-3": ("denied", 7_000, 0, 7_000, 0, ["1 PR-96 N130 7000"]),
    "HH-4": ("paid", 12_000, 8_000, 2_000, 6_000, ["1 CO-45 4000", "1 PR-3 2000"]),
    "HH-5": ("denied", 12_000, 0, 0, 0, ["1 CO-29 12000"]),
}  # fmt: skip


def adjudicate(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as a payer has it, after its night."""
    folder = tmp_path_factory.mktemp("payer") / "harbor"
    shutil.copytree(ADDED, folder)
    config = ("--config", str(folder / "adjudicator.yaml"))
    adjudicate("reference", "load", str(folder / "reference"), *config)
    adjudicate("run", str(folder / "claim.837"), *config, "--business-date", "2025-11-15")
    return folder


def test_the_claims_are_paid_by_the_added_plan(place: Path) -> None:
    programs = load_programs(place / "programs")
    assert list(programs) == ["harbor"]
    found = {}
    with store.reading(store.open_store(f"sqlite:///{place / 'adjudicator.db'}")) as connection:
        for claim_id in range(1, 6):
            told = explain(connection, f"S{claim_id}", programs=programs)
            assert max(map(len, as_text(told).splitlines())) <= 80
            claim = told.claim
            amounts = (claim[f"{n}_amount"] for n in ("charge", "allowed", "member", "paid"))
            found[claim["patient_control_number"]] = (claim["disposition"], *amounts, [
                f"{a['line_number']} {a['group_code']}-{a['carc']}"
                f"{' ' + a['rarc'] if a['rarc'] else ''} {a['adjustment_amount']}"
                for a in told.adjustments
            ])  # fmt: skip
    assert found == BY_HAND


def test_its_835_is_the_payers_own(place: Path) -> None:
    [path] = (place / "out").rglob("*.835")
    written = path.read_bytes()
    assert path.name == "harbor-000000001.835"
    assert check_835(written) == []
    assert pyx12_errors(written) == []
    # 60.00 + 18.00 + 60.00
    assert b"BPR*I*138*C*CHK*" in written
    assert b"N1*PR*HARBOR HEALTH PLAN" in written.upper()
    assert b"CAREPARTNERS" not in written.upper()


def test_beside_the_shipped_programs_it_changes_none(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "programs")
    shutil.copytree(ADDED / "programs" / "harbor", tmp_path / "programs" / "harbor")
    programs = load_programs(tmp_path / "programs")
    harbor = programs.pop("harbor")
    assert programs == load_programs()
    assert harbor.plans["harbor-basic"].terms[0].start_date == date(2024, 1, 1)


def test_no_python_came_with_it() -> None:
    assert {path.suffix for path in ADDED.rglob("*") if path.is_file()} == {
        ".yaml", ".csv", ".837", ".md",
    }  # fmt: skip
