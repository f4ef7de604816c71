"""Which claims are clean (001:2029-2059), as claims.csv and explain tell it."""

from __future__ import annotations

import csv
import io
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from adjudicator import store
from adjudicator.clean_claims import FINDING, clean_claims
from adjudicator.explain import as_text, explain
from adjudicator.programs import DataFileError, load_programs
from tests.case_tools import load_store, nights, run_case

PROGRAMS = load_programs()
RECEIVED = date(2025, 11, 15)
TERMS = PROGRAMS["carepartners"].clean_claims[0]


def judged(*found: dict[str, Any], received: date = RECEIVED) -> list[tuple[bool, str | None]]:
    """Of one claim with these findings: whether it is clean, and what tells that it is none."""
    claims = pl.DataFrame(
        {"claim_id": [1], "program_code": ["carepartners"], "received_date": [received]}
    )
    none = dict.fromkeys(FINDING) | {"claim_id": 1, "edit": "x", "edit_rank": 1}
    findings = pl.DataFrame([none | f for f in found], schema=FINDING)
    return clean_claims(claims, findings, PROGRAMS).select("clean", "unclean_edits").rows()


def test_a_claim_of_which_nothing_is_found_is_clean() -> None:
    assert judged() == [(True, None)]


@pytest.mark.parametrize("pend_code", TERMS.pend_codes)
@pytest.mark.parametrize("disposition", ["pend", "deny", "inform"])
def test_what_waited_for_an_investigation_is_none(pend_code: str, disposition: str) -> None:
    """On whatever night, and whatever became of it: released, denied or lapsed."""
    found = {"disposition": disposition, "pend_code": pend_code, "edit": "referral"}
    assert judged(found) == [(False, "referral")]


@pytest.mark.parametrize("pend_code", ["REFERENCE", "SYSTEM", "CORRECTION"])
def test_what_waited_for_something_of_ours_is_clean(pend_code: str) -> None:
    assert judged({"disposition": "pend", "pend_code": pend_code}) == [(True, None)]


@pytest.mark.parametrize("edit", TERMS.edits)
def test_an_edit_counts_where_it_denies_or_pends(edit: str) -> None:
    assert judged({"disposition": "deny", "edit": edit}) == [(False, edit)]
    assert judged({"disposition": "pend", "edit": edit}) == [(False, edit)]
    assert judged({"disposition": "inform", "edit": edit}) == [(True, None)]


def test_a_denial_on_other_grounds_is_of_a_clean_claim() -> None:
    """What it must meet to be paid is more than what makes it clean (001:2033)."""
    assert judged({"disposition": "deny", "edit": "coverage"}) == [(True, None)]


def test_all_that_tells_so_is_told_once_in_the_written_order() -> None:
    late = {"disposition": "deny", "edit": "timely_filing", "edit_rank": 110}
    waits = {"disposition": "pend", "edit": "referral", "edit_rank": 120, "pend_code": "AUREQ"}
    assert judged(waits, late, late) == [(False, "timely_filing referral")]


@pytest.mark.parametrize(("day", "rows"), [(date(2014, 12, 31), 0), (date(2015, 1, 1), 1)])
def test_terms_are_those_of_the_day_of_receipt(day: date, rows: int) -> None:
    assert len(judged(received=day)) == rows


def test_a_program_without_terms_says_nothing() -> None:
    claims = pl.DataFrame(
        {"claim_id": [1], "program_code": ["husky-primary-care"], "received_date": [RECEIVED]}
    )
    assert clean_claims(claims, pl.DataFrame(schema=FINDING), PROGRAMS).is_empty()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("edits: [provider_under_review,", "edits: [no_such_edit,", "no such edit"),
        ("pend_codes: [AUREQ, COB,", "pend_codes: [NONE,", "no such pend code"),
    ],
)
def test_terms_name_what_there_is(tmp_path: Path, old: str, new: str, words: str) -> None:
    shipped = Path(__file__).parents[1] / "schemas" / "programs"
    shutil.copytree(shipped, tmp_path / "programs")
    file = tmp_path / "programs" / "carepartners" / "program.yaml"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(DataFileError, match=words):
        load_programs(tmp_path / "programs")


def test_nights_tell_it_and_remember_it(tmp_path: Path) -> None:
    """Two nights of a case: what waited on the first for a referral is not clean on the second,
    on which it lapses; what is paid at once is clean; explain says the same."""
    load_store(tmp_path / "a.db")
    told: dict[str, list[str]] = {}
    for night in nights("lapsed-referral"):
        outcome = run_case(night, tmp_path)
        for row in csv.DictReader(io.StringIO(outcome.files["claims.csv"])):
            told.setdefault(row["patient_control_number"], []).append(row["clean"])
    assert told["HL-LAPSE"] == ["no", "no"]
    # the referral came between the nights: the wait is over, and was one
    assert told["HL-IN-TIME"] == ["no", "no"]
    assert told["HL-VISIT-1"] == ["yes"]
    engine = store.open_store(f"sqlite:///{tmp_path / 'a.db'}", create=False)
    with store.reading(engine) as connection:
        rows = connection.exec_driver_sql(
            "SELECT patient_control_number, claim_id FROM claim"
        ).all()
        for number, claim_id in rows:
            explained = explain(connection, f"S{claim_id}")
            assert explained.clean is not None
            assert explained.clean["clean"] == (told[number][-1] == "yes")
            [source] = explained.clean["cites"]
            assert source["lines"] == [2029, 2030]
            text = " ".join(as_text(explained).split())
            said = "a clean claim" if told[number][-1] == "yes" else "no clean claim: referral"
            assert f" {said} (source 001, line 2029), " in text
