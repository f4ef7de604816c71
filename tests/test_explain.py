"""A claim's story: whole texts of some, and of all that its arithmetic comes to what was stored."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import cli
from adjudicator import store
from adjudicator.arithmetic import price, share
from adjudicator.edits import EDITS, Edit
from adjudicator.explain import (
    EXCLUDED,
    RESUBMIT,
    Explanation,
    UnknownClaimError,
    as_text,
    effects,
    explain,
)
from adjudicator.fate import fates
from adjudicator.load import load_reference
from adjudicator.pipeline import Batch
from adjudicator.sentences import TELLS, _filled, ended_by, figures, says
from schemas import frames
from schemas.program import Citation
from tests import build
from tests.case_tools import CLAIMS, FIRST_NIGHT, REFERENCE, cases, load_store, nights, run
from tests.test_edits import BY_NAME, fixture, found

SECOND_NIGHT = date(2025, 11, 16)
SEEDS = Path(__file__).parents[1].parent / "shared" / "seeds"


# ---- the nights ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Explanation]:
    """Every claim of the fixture cases as it stands after its last night."""
    folder = tmp_path_factory.mktemp("all")
    load_store(folder / "a.db")
    of_night: dict[date, list[Path]] = {}
    for case in cases():
        for night in nights(case):
            copy = folder / str(night.business_date) / f"{case}.837"
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(night.claims_file, copy)
            of_night.setdefault(night.business_date, []).append(copy)
    for day, files in sorted(of_night.items()):
        run(files, folder, day)
    with store.reading(store.open_store(f"sqlite:///{folder / 'a.db'}")) as connection:
        told = [explain(connection, f"S{number}") for number in submissions(connection)]
    assert len(told) > 40
    return told


@pytest.fixture(scope="module")
def two_nights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store after two nights: some cases; then the claims of one of them again, a
    day later, when a fee that was missing has been loaded."""
    folder = tmp_path_factory.mktemp("two")
    load_store(folder / "a.db")
    first = ("deductible-in-mid-claim", "missing-fee", "out-of-network", "professional-fee-table",
             "rejected", "timely-filing")  # fmt: skip
    files = [shutil.copy(CLAIMS / case / "claim.837", folder / f"{case}.837") for case in first]
    run(files, folder, FIRST_NIGHT)
    with_fee = shutil.copytree(REFERENCE, folder / "reference")
    with (with_fee / "fees.csv").open("a", encoding="utf-8") as fees:
        header = (REFERENCE / "fees.csv").read_text("utf-8").splitlines()[0].split(",")
        row = {"fee_table_code": "OFFICE", "procedure_code": "95115", "fee_amount": "12.25",
               "start_date": "2025-01-01"}  # fmt: skip
        fees.write(",".join(row.get(name, "") for name in header) + "\n")
    url = f"sqlite:///{folder / 'a.db'}"
    engine = store.open_store(url)
    with engine.begin() as connection:
        load_reference(connection, with_fee)
    engine.dispose()
    again = (CLAIMS / "timely-filing" / "claim.837").read_text("ascii")
    control = again.split("~", 1)[0].split("*")[13]
    assert again.count(control) == 2
    (folder / "again.837").write_text(again.replace(control, "000000777"), "ascii")
    run([folder / "again.837"], folder, SECOND_NIGHT)
    return url


def submissions(connection: Any) -> list[int]:
    rows = connection.exec_driver_sql("SELECT claim_id FROM claim ORDER BY claim_id").all()
    return [row[0] for row in rows]


def told(url: str, patient_control_number: str, place: int = 0, **of: Any) -> Explanation:
    """A claim's explanation by its patient control number; ``place``: of several, which."""
    with store.reading(store.open_store(url)) as connection:
        rows = connection.exec_driver_sql(
            "SELECT claim_id FROM claim WHERE patient_control_number = ? ORDER BY claim_id",
            (patient_control_number,),
        ).all()
        return explain(connection, f"S{rows[place][0]}", **of)


def story(explanation: Explanation) -> str:
    """The text, without what changes with every edit and every row of reference data."""
    text = re.sub(r"version [0-9a-f]{12}$", "version X", as_text(explanation), flags=re.M)
    return re.sub(r"(?m)^\d+ (other )?edits? found nothing: (.|\n)*?\n\n", "", text)


# ---- whole texts -----------------------------------------------------------------------------

STORIES = {}


@pytest.mark.parametrize("name", STORIES)
def test_the_whole_story(two_nights: str, name: str) -> None:
    number, *more = name.split(", ")
    of = {what.split()[0]: int(what.split()[1]) for what in more}
    place, line = of.get("claim", 1) - 1, of.get("line")
    explanation = told(two_nights, number, place, line_number=line)
    assert story(explanation) == STORIES[name].strip("\n")
