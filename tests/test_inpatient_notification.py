"""Notices of admissions by the shipped terms, and terms that change."""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from adjudicator.edits import edits
from adjudicator.pipeline import Batch
from adjudicator.programs import load_programs
from schemas.program import Program
from tests import build

ADMITTED = date(2025, 1, 10)
TERMS: dict[str, Any] = {
    "start_date": date(2020, 1, 1),
    "citation": {"document": "001", "lines": (1827, 1833), "phrase": "x"},
    "bill_types": ("11",),
    "changed_days": 1,
    "urgent_days": 2,
    "urgent_admission_type_codes": ("1",),
    "elective_days": -5,
    "elective_admission_type_codes": ("3",),
}


@cache
def shipped() -> Program:
    terms = load_programs()["carepartners"].inpatient_notification
    return build.program(edits=("inpatient_notification",), inpatient_notification=terms)


def findings(
    program: Program, claim: build.Row, told: date | None, line: build.Row | None = None
) -> list[tuple[str, str | None]]:
    """(CARC, RARC) of what is found on a stay of which we were told that day, or never."""
    stay = {
        "claim_type_code": "I", "facility_code": "11", "admission_date": ADMITTED,
        "admission_type_code": "1", **claim,
    }  # fmt: skip
    notice = {
        "notification_number": "N1", "member_id": "M1", "npi": "2000000010",
        "admission_date": stay["admission_date"], "notified_date": told, "status_code": "active",
    }  # fmt: skip
    reference = build.reference(program, notifications=[notice] if told else [])
    batch = Batch(claims=build.claims([stay]), lines=build.lines([line or {}]))
    return edits(batch, reference).findings.select("carc", "rarc").rows()


def after(days: int) -> date:
    return ADMITTED + timedelta(days=days)


LATE = [("197", "N385")]
NONE = [("197", None)]

# what a claim of a bill type and admission type is told by: the last day, counted from admission
LAST_DAYS = [
    *(
        ({"facility_code": t, "admission_type_code": "1"}, 2)
        for t in ("11", "12", "18", "21", "41")
    ),
    *(({"admission_type_code": t}, 2) for t in ("1", "2", "5")),
    *(({"facility_code": t, "admission_type_code": "3"}, -5) for t in ("11", "12", "65", "66")),
    ({"admission_source_code": "E"}, 1),
]
ANY_DAY = [
    *({"facility_code": t, "admission_type_code": "3"} for t in ("18", "21", "22", "28")),
    {"admission_type_code": "3", "billing_taxonomy_code": "282E00000X"},
    {"admission_type_code": "4"},
    {"admission_type_code": "9"},
    {"admission_type_code": None},
]


@pytest.mark.parametrize(("claim", "last"), LAST_DAYS)
def test_the_last_day_and_the_day_after(claim: build.Row, last: int) -> None:
    program = shipped()
    assert findings(program, claim, after(last)) == []
    assert findings(program, claim, after(last + 1)) == LATE
    assert findings(program, claim, None) == NONE


@pytest.mark.parametrize("claim", ANY_DAY)
def test_any_notice_on_file_will_do(claim: build.Row) -> None:
    program = shipped()
    assert findings(program, claim, after(400)) == []
    assert findings(program, claim, None) == NONE


@pytest.mark.parametrize("revenue_code", ["0762", "0490", "0499"])
def test_outpatient_turned_inpatient_is_told_by_the_next_day(revenue_code: str) -> None:
    line = {"revenue_code": revenue_code}
    assert findings(shipped(), {}, after(1), line) == []
    assert findings(shipped(), {}, after(2), line) == LATE


@pytest.mark.parametrize("revenue_code", ["0912", "0913"])
def test_partial_hospitalization(revenue_code: str) -> None:
    claim = {"facility_code": "76", "admission_date": None, "statement_from_date": ADMITTED}
    assert findings(shipped(), claim, None, {"revenue_code": revenue_code}) == NONE


@pytest.mark.parametrize("facility_code", ["13", "14", "71", "72", "76", "83", "85", "81", "82"])
def test_other_bill_types_need_none(facility_code: str) -> None:
    assert findings(shipped(), {"facility_code": facility_code}, None) == []


def test_terms_hold_from_and_to_their_days() -> None:
    """To 2025-01-09 two days, from 2025-01-10 on four."""
    program = build.program(
        edits=("inpatient_notification",),
        inpatient_notification=(
            {**TERMS, "end_date": date(2025, 1, 9)},
            {**TERMS, "start_date": date(2025, 1, 10), "urgent_days": 4},
        ),
    )
    before = date(2025, 1, 9)
    assert findings(program, {"admission_date": before}, date(2025, 1, 11)) == []
    assert findings(program, {"admission_date": before}, date(2025, 1, 12)) == LATE
    assert findings(program, {}, date(2025, 1, 14)) == []
    assert findings(program, {}, date(2025, 1, 15)) == LATE


def test_terms_that_overlap_are_refused() -> None:
    open_ended: dict[str, Any] = {**TERMS, "start_date": date(2025, 1, 1)}
    closed = {**TERMS, "end_date": date(2025, 1, 1)}
    with pytest.raises(ValidationError, match="overlaps from 2025-01-01; end one before the next"):
        build.program(inpatient_notification=(open_ended, closed))
    closed["end_date"] = date(2024, 12, 31)
    assert build.program(inpatient_notification=(open_ended, closed)).inpatient_notification


def test_a_number_is_read_without_the_blanks_around_it() -> None:
    assert findings(shipped(), {"prior_authorization_number": " N1 "}, after(0)) == []


def test_a_finding_tells_what_it_looked_at_and_nothing_of_other_members() -> None:
    stay = {
        "claim_type_code": "I", "facility_code": "11", "admission_date": ADMITTED,
        "admission_type_code": "1", "prior_authorization_number": "N1",
    }  # fmt: skip
    notice = {
        "notification_number": "N1", "member_id": "M-OTHER", "npi": "2000000010",
        "admission_date": date(2025, 1, 8), "notified_date": date(2025, 1, 8),
        "status_code": "active",
    }  # fmt: skip
    reference = build.reference(shipped(), notifications=[notice])
    batch = Batch(claims=build.claims([stay]), lines=build.lines([{}]))
    [finding] = edits(batch, reference).findings.to_dicts()
    assert finding["carc"] == "284"
    assert json.loads(finding["inputs"]) == {
        "reason": "unknown_number",
        "notification_number": "N1",
        "admission_date": "2025-01-10",
        "admission_type_code": "1",
        "notified_date": None,
        "due_date": "2025-01-12",
    }
