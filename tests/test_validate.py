"""Mandatory fields, frequencies, totals: what is returned and never adjudicated."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import polars as pl
import pytest

from adjudicator.pipeline import Batch
from adjudicator.programs import load_forms
from adjudicator.reference import Reference
from adjudicator.stages.validate import PREDICATES, validate
from schemas import frames
from schemas.form import FormField
from tests import build

FORMS = Reference("", {}, {}, forms=load_forms())
PROFESSIONAL: dict[str, Any] = {
    "claim_id": 1, "claim_type_code": "P", "source_format_code": "837P", "frequency_code": "1",
    "charge_amount": 10_000, "facility_code": "11", "subscriber_number": "CP1",
    "patient_last_name": "TALLOWAY", "patient_birth_date": date(1971, 4, 17),
    "patient_sex_code": "M", "billing_npi": "2000000010", "billing_tax_number": "061234567",
    "received_date": date(2025, 11, 15),
}  # fmt: skip
INSTITUTIONAL: dict[str, Any] = PROFESSIONAL | {
    "claim_type_code": "I", "source_format_code": "837I", "facility_code": "11",
    "statement_from_date": date(2025, 11, 1), "statement_through_date": date(2025, 11, 3),
    "admission_date": date(2025, 11, 1), "patient_status_code": "01",
}  # fmt: skip
OUTPATIENT = INSTITUTIONAL | {"facility_code": "13", "admission_date": None}
LINE: dict[str, Any] = {
    "claim_id": 1, "line_number": 1, "procedure_code": "99213", "charge_amount": 10_000,
    "unit_quantity": 1_000, "place_of_service_code": "11", "revenue_code": "0450",
    "service_from_date": date(2025, 11, 1),
}  # fmt: skip
PRINCIPAL = {"claim_id": 1, "sequence_number": 1, "qualifier_code": "ABK", "diagnosis_code": "I10"}


def findings(
    claim: dict[str, Any],
    *lines: dict[str, Any],
    diagnoses: tuple[dict[str, Any], ...] = (PRINCIPAL,),
) -> list[tuple[str, int | None, str]]:
    """(edit, line, box or cause) of every finding on one claim."""
    batch = Batch(
        build.frame(frames.Claims, [claim]),
        build.frame(frames.Lines, list(lines)),
        diagnoses=build.frame(frames.Diagnoses, list(diagnoses)),
    )
    found = validate(batch, FORMS).findings
    assert found["disposition"].to_list() == ["reject"] * found.height
    assert found["status_code"].null_count() == 0
    told = [json.loads(x) for x in found["inputs"]]
    return [
        (edit, line, inputs.get("box") or inputs["cause"])
        for edit, line, inputs in zip(found["edit"], found["line_number"], told, strict=True)
    ]


@pytest.mark.parametrize("claim", [PROFESSIONAL, INSTITUTIONAL, OUTPATIENT])
def test_a_whole_claim_is_taken_in(claim: dict[str, Any]) -> None:
    assert findings(claim, LINE) == []


FIELDS = [(form.claim_type_code, field) for form in load_forms() for field in form.fields]


@pytest.mark.parametrize(
    ("kind", "field"), FIELDS, ids=[f"{k}-{f.box}-{f.name}" for k, f in FIELDS]
)
def test_each_field_missing_is_told_by_its_box_and_no_other(kind: str, field: FormField) -> None:
    whole = {"always": PROFESSIONAL if kind == "P" else INSTITUTIONAL, "inpatient": INSTITUTIONAL,
             "outpatient": OUTPATIENT}[field.when]  # fmt: skip
    table, _, column = field.column.partition(".")
    claim = whole | ({column: None} if table == "claims" else {})
    line = LINE | ({column: None} if table == "lines" else {})
    diagnoses = () if table == "diagnoses" else (PRINCIPAL,)
    boxes = [box for edit, _, box in findings(claim, line, diagnoses=diagnoses)
             if edit == "mandatory_field"]  # fmt: skip
    assert boxes == [field.box]


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_is_a_gap(blank: str) -> None:
    assert ("mandatory_field", None, "1a") in findings(
        PROFESSIONAL | {"subscriber_number": blank}, LINE
    )


def test_conditions_spare_those_they_do_not_mean() -> None:
    # box 12 on an outpatient bill, box 45 on an inpatient one
    assert findings(OUTPATIENT | {"admission_date": None}, LINE) == []
    assert findings(INSTITUTIONAL, LINE | {"service_from_date": None}) == []


def test_every_condition_of_the_tables_is_known() -> None:
    assert {field.when for _, field in FIELDS} <= PREDICATES.keys()


def test_a_diagnosis_that_is_not_principal_does_not_do() -> None:
    other = PRINCIPAL | {"qualifier_code": "ABF"}
    assert findings(PROFESSIONAL, LINE, diagnoses=(other,)) == [("mandatory_field", None, "21")]


@pytest.mark.parametrize(
    ("changed", "edit"),
    [
        ({"frequency_code": "0"}, None),
        ({"frequency_code": "1"}, None),
        ({"frequency_code": "9"}, None),
        ({"frequency_code": "2"}, "interim_bill"),
        ({"frequency_code": "3"}, "interim_bill"),
        ({"frequency_code": "4"}, "interim_bill"),
        ({"frequency_code": "6"}, "frequency"),
        ({"frequency_code": None}, "frequency"),
        ({"frequency_code": "7"}, "original_number"),
        ({"frequency_code": "8"}, "original_number"),
        ({"frequency_code": "5"}, None),  # may be found by member, payee and stay
        ({"frequency_code": "7", "original_claim_number": "23456789"}, None),
    ],
)
def test_frequencies(changed: dict[str, Any], edit: str | None) -> None:
    assert [e for e, _, _ in findings(PROFESSIONAL | changed, LINE)] == ([edit] if edit else [])


@pytest.mark.parametrize(("status", "edits"), [("30", ["interim_bill"]), ("01", []), ("20", [])])
def test_still_a_patient_is_an_interim_bill_of_institutions_only(
    status: str, edits: list[str]
) -> None:
    told = findings(INSTITUTIONAL | {"patient_status_code": status}, LINE)
    assert [e for e, _, _ in told] == edits
    assert findings(PROFESSIONAL | {"patient_status_code": "30"}, LINE) == []


@pytest.mark.parametrize(("total", "hit"), [(15_000, False), (14_999, True), (15_001, True)])
def test_the_total_is_the_sum_of_the_lines(total: int, hit: bool) -> None:
    lines = (LINE, LINE | {"line_number": 2, "charge_amount": 5_000})
    told = findings(PROFESSIONAL | {"charge_amount": total}, *lines)
    assert [e for e, _, _ in told] == (["total_charge"] if hit else [])


def test_a_claim_without_lines_is_returned() -> None:
    assert [e for e, _, _ in findings(PROFESSIONAL)] == ["no_lines"]


@pytest.mark.parametrize("column", ["charge_amount", "unit_quantity"])
def test_nothing_negative_is_accepted(column: str) -> None:
    value = -1 if column == "unit_quantity" else -100
    claim = PROFESSIONAL | {"charge_amount": LINE["charge_amount"]}
    if column == "charge_amount":
        claim["charge_amount"] = value
    assert [(e, n) for e, n, _ in findings(claim, LINE | {column: value})] == [
        ("negative_amount", 1)
    ]


def test_a_charge_of_nothing_is_no_fault() -> None:
    assert findings(PROFESSIONAL | {"charge_amount": 0}, LINE | {"charge_amount": 0}) == []


def test_one_bad_claim_costs_only_itself() -> None:
    claims = [PROFESSIONAL | {"claim_id": n} for n in (1, 2, 3)]
    claims[1]["billing_npi"] = None
    batch = Batch(
        build.frame(frames.Claims, claims),
        build.frame(frames.Lines, [LINE | {"claim_id": n} for n in (1, 2, 3)]),
        diagnoses=build.frame(frames.Diagnoses, [PRINCIPAL | {"claim_id": n} for n in (1, 2, 3)]),
    )
    assert validate(batch, FORMS).findings["claim_id"].to_list() == [2]


def test_findings_before_are_kept() -> None:
    earlier = build.frame(
        frames.Findings,
        [{"claim_id": 1, "edit": "syntax", "edit_rank": 0, "disposition": "reject"}],
    )
    batch = Batch(
        build.frame(frames.Claims, [PROFESSIONAL]), build.frame(frames.Lines, [LINE]),
        diagnoses=build.frame(frames.Diagnoses, [PRINCIPAL]), findings=earlier,
    )  # fmt: skip
    assert validate(batch, FORMS).findings.select(pl.col("edit")).to_series().to_list() == [
        "syntax"
    ]
