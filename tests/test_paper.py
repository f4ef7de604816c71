"""Paper claims: what is read from which box, a hit and a miss of every row, and no line that could
cost another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from adjudicator.contracts import READ, hold
from adjudicator.pipeline import AS_READ, Batch
from adjudicator.programs import load_forms, load_programs, own_names
from adjudicator.reference import Reference
from adjudicator.reports.letters import letter
from adjudicator.stages.identify import identify
from adjudicator.stages.validate import CHECKS, objections_to_findings, validate
from edi.acks import Issue, acknowledge
from edi.read_claims import is_paper, read_claims_file
from edi.read_file import FileReading
from edi.read_paper import RECORD_BYTES, RECORDS_TOGETHER, read_paper
from schemas import paper
from schemas.form import FormField
from schemas.paper import Kind, places
from tests import build, samples
from tests.case_tools import CLAIMS
from tests.docs import DOCS
from tests.forms_on_paper import OURS, RECORDS, Record, as_lines, changed

FORMS = Reference("", {}, {}, forms=load_forms())
NAMES = {"P": paper.CMS1500, "I": paper.UB04}
Path = tuple[str | int, ...]


def batch_of(reading: FileReading) -> Batch:
    batch = Batch(**{name: reading.frames[name] for name in AS_READ})
    return batch.with_(findings=objections_to_findings(reading.objections))


def found(*records: Record) -> list[dict[str, Any]]:
    """The findings of all, as validate leaves them."""
    rows = validate(batch_of(read_paper(as_lines(*records), OURS)), FORMS).findings
    return [
        {**json.loads(row["inputs"]), **{k: row[k] for k in ("claim_id", "edit", "line_number")}}
        for row in rows.iter_rows(named=True)
    ]


def first(record: Record, frame: str, **of: Any) -> dict[str, Any]:
    """The first row of a frame with these values."""
    rows = read_paper(as_lines(record), OURS).frames[frame].filter(**of)
    return rows.row(0, named=True)


# ---- a hit and a miss of every row -------------------------------------------------------------


@pytest.mark.parametrize("base", RECORDS)
def test_a_whole_form_misses_every_row(base: str) -> None:
    assert found(RECORDS[base]) == []


@pytest.mark.parametrize("base", RECORDS)
def test_a_whole_form_keeps_the_contract(base: str) -> None:
    batch = batch_of(read_paper(as_lines(RECORDS[base]), OURS))
    stamped = batch.claims.with_columns(received_date=pl.lit(date(2025, 6, 1)))
    hold(batch.with_(claims=stamped), READ, "reading", whole=True)


class Hit(NamedTuple):
    """What is otherwise on a form that is a hit of the row, and on which line."""

    base: str
    changes: tuple[tuple[Path, Any], ...]
    line: int | None = None


# where the box alone, blanked on the first base, isn't all there is to say
HITS: dict[tuple[str, str, str], Hit] = {
    # CMS-1500
    ("11a", "insured's birth date", "filled"): Hit("P child", ((("11a", "birth_date"), None),)),
    ("11a", "insured's sex", "filled"): Hit("P child", ((("11a", "sex"), None),)),
    ("12", "patient's signature (release of information)", "filled"):
        Hit("P", ((("12", "signature"), None),)),
    # the lines point to what is left
    ("21", "first diagnosis", "filled"):
        Hit("P", ((("21", "A"), None), (("24", 0, "24e"), "B"), (("24", 1, "24e"), "B"))),
    ("22", "frequency of the claim", "whole_bill"): Hit("P", ((("22", "code"), "2"),)),
    ("22", "frequency of the claim", "known_frequency"): Hit("P", ((("22", "code"), "6"),)),
    ("22", "number of the claim corrected", "original_number"):
        Hit("P", ((("22", "original_number"), None),)),
    ("24a", "line of service", "any_line"): Hit("P", ((("24",), []),)),
    ("24a", "day of a line", "one_day"): Hit("P", ((("24", 0, "24a", "to"), "051425"),), 1),
    ("24e", "pointers of a line", "at_most_four"): Hit("P", ((("24", 0, "24e"), "ABABA"),), 1),
    ("24e", "diagnoses pointed to", "to_a_diagnosis"): Hit("P", ((("24", 0, "24e"), "AC"),), 1),
    # the total is that of the other line
    ("24f", "charge", "filled"): Hit("P", ((("24", 0, "24f"), None), (("28",), "100.00")), 1),
    ("24f", "charge of a line", "not_negative"):
        Hit("P", ((("24", 0, "24f"), "-50.00"), (("28",), "50.00")), 1),
    ("24g", "number of units", "not_negative"): Hit("P", ((("24", 0, "24g"), "-1"),), 1),
    ("24j", "rendering provider's NPI", "filled"): Hit("P", ((("24", 1, "24j", "npi"), None),), 2),
    ("28", "total of all charges", "sum_of_lines"): Hit("P", ((("28",), "300.01"),)),
    ("29", "amount of a payment", "not_negative"): Hit("P", ((("29",), "-100.00"),)),
    ("32", "facility", "filled"): Hit("P", ((("32",), None), (("32a-b",), None))),
    # UB-04
    # an inpatient's boxes can't be asked for where nothing says that there is one
    ("4", "type of bill", "filled"): Hit("outpatient", ((("4",), None),)),
    ("4", "frequency of the bill", "whole_bill"): Hit("I", ((("4",), "0113"),)),
    ("4", "frequency of the bill", "known_frequency"): Hit("I", ((("4",), "011X"),)),
    ("17", "patient's status on the last day", "closed_stay"): Hit("I", ((("17",), "30"),)),
    ("31-34", "the accident's occurrence code", "filled"):
        Hit("I", ((("31-34",), [{"code": "11", "date": "050425"}]),)),
    ("31-34", "the accident's date", "filled"): Hit("I", ((("31-34", 0, "date"), None),)),
    ("31-34", "the occurrence's date", "filled"): Hit("I", ((("31-34", 1, "date"), None),)),
    ("42", "line of service", "any_line"):
        Hit("I", ((("42-49",), [{"42": "0001", "47": "0.00"}]),)),
    ("44", "procedure", "filled"): Hit("outpatient", ((("42-49", 0, "44"), None),), 1),
    ("46", "number of units", "not_negative"): Hit("I", ((("42-49", 0, "46"), "-2"),), 1),
    ("47", "charge", "filled"):
        Hit("I", ((("42-49", 0, "47"), None), (("42-49", 2, "47"), "250.00")), 1),
    ("47", "charge of a line", "not_negative"):
        Hit("I", ((("42-49", 0, "47"), "-50.00"), (("42-49", 2, "47"), "200.00")), 1),
    ("47", "total of the charges", "filled"): Hit("I", ((("42-49", 2, "47"), None),)),
    ("47", "total of all charges", "sum_of_lines"): Hit("I", ((("42-49", 2, "47"), "1249.99"),)),
    ("50a-c", "other payer", "filled"): Hit("I", ((("50a-c", 0), None),)),
    ("54", "prior payment", "filled"): Hit("I", ((("54", 0), None),)),
    ("54", "amount of a prior payment", "not_negative"): Hit("I", ((("54", 0), "-500.00"),)),
    ("64a-c", "number of the claim corrected", "original_number"):
        Hit("I", ((("64a-c", 1), None),)),
    ("74a-e", "principal procedure", "filled"): Hit("I", ((("74",), None),)),
}  # fmt: skip
# rows that no record can be a hit of, and why
NEVER_ON_PAPER = {
    ("21", "diagnoses", "at_most_twelve"): "box 21 has the letters A to L: M is unknown, below",
}
# our row of those printed three times is b, the other payer's a; lines are blanked on the first
ROWS = {"24": 0, "42-49": 0, "74a-e": 0} | dict.fromkeys(
    ("58a-c", "59", "60a-c", "61a-c", "62a-c"), 1
)
CHECKED = [(form, f) for form in load_forms() for f in form.fields if f.checked]


def hit_of(kind: str, field: FormField) -> Hit:
    """The row's own hit; else its box blank on the first base."""
    own = HITS.get((field.box, field.name, field.wants))
    if own is not None:
        return own
    (path,) = {p.path for p in places(NAMES[kind]) if p.name == field.name and p.kind}
    full: list[str | int] = []
    for key in path:
        full += [key, ROWS[key]] if key in ROWS else [key]
    on_line = path[0] in ("24", "42-49")
    return Hit(kind, ((tuple(full), None),), 1 if on_line else None)


@pytest.mark.parametrize(
    ("kind", "field"),
    [(form.claim_type_code, f) for form, f in CHECKED],
    ids=[f"{form.form}-{f.box}-{f.name}-{f.wants}" for form, f in CHECKED],
)
def test_a_row_is_hit_and_nothing_else(kind: str, field: FormField) -> None:
    if (field.box, field.name, field.wants) in NEVER_ON_PAPER:
        return
    hit = hit_of(kind, field)
    told = found(changed(RECORDS[hit.base], *hit.changes))
    assert [(f["box"], f["field"], f["edit"], f["line_number"]) for f in told] == [
        (field.box, field.name, CHECKS[field.wants].edit, hit.line)
    ]


def test_no_hit_is_of_a_row_that_is_gone() -> None:
    known = {(f.box, f.name, f.wants) for _, f in CHECKED}
    assert {*HITS, *NEVER_ON_PAPER} <= known


@pytest.mark.parametrize("value", ["", "   ", None, "\t"])
def test_blank_is_blank_however_it_is_written(value: str | None) -> None:
    record = changed(RECORDS["P"], (("1a",), "X"))
    record["boxes"]["1a"] = value
    assert [(f["box"], f["edit"]) for f in found(record)] == [("1a", "mandatory_field")]


def test_all_that_is_wrong_with_a_claim_is_told_at_once() -> None:
    record = changed(
        RECORDS["P"], (("1a",), None), (("3", "birth_date"), "041771"), (("33a",), "12"),
        (("24", 1, "24g"), None), (("99",), "X"),
    )  # fmt: skip
    told = [(f["edit"], f["box"], f["field"], f["line_number"]) for f in found(record)]
    assert told == [
        ("unreadable_box", "3", "patient's birth date", None),
        ("unreadable_box", "33a", "billing provider's NPI", None),
        ("unreadable_box", "99", "", None),
        ("mandatory_field", "1a", "member number", None),
        ("mandatory_field", "3", "patient's birth date", None),
        ("mandatory_field", "33a", "billing provider's NPI", None),
        ("mandatory_field", "24g", "units", 2),
    ]


# ---- the models against the tables -------------------------------------------------------------


@pytest.mark.parametrize("form", load_forms(), ids=lambda form: form.form)
def test_every_box_of_the_tables_has_a_place_on_paper(form: Any) -> None:
    boxes = {p.box for p in places(NAMES[form.claim_type_code])}
    gone = {f.box for f in form.fields} - boxes
    # the record has 43 to 48 as parts of a row, 10a-c and the like under the manual's own label
    assert gone == set()
    # what stands on the forms and the manual doesn't list: the number in 33b, the letters of 67
    # (the manual's 68), 74 and 74a-e apart, the shaded row above a line
    more = boxes - {f.box for f in form.fields}
    assert more == ({"33b", "24"} if form.form == "cms1500" else {"67a-q", "74", "42-49"})


# ---- values ------------------------------------------------------------------------------------


def kind_of(form: str, *path: str) -> Kind:
    place = paper.place_of(form, path)
    assert place is not None
    assert place.kind is not None
    return place.kind


DAY = kind_of(paper.CMS1500, "24", "24a", "from")
BIRTH = kind_of(paper.UB04, "10")
AMOUNT = kind_of(paper.CMS1500, "28")
UNITS = kind_of(paper.CMS1500, "24", "24g")
BILL_TYPE = kind_of(paper.UB04, "4")
ON_ADMISSION = kind_of(paper.UB04, "67")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (DAY, "110325", date(2025, 11, 3)),
        (DAY, "11 03 25", date(2025, 11, 3)),
        (DAY, "11/03/2025", date(2025, 11, 3)),
        (DAY, "11032025", date(2025, 11, 3)),
        (DAY, "2025-11-03", date(2025, 11, 3)),
        (DAY, "022924", date(2024, 2, 29)),
        (DAY, "022925", None),
        (DAY, "130125", None),
        (DAY, "1103", None),
        (DAY, "11032", None),
        (DAY, "01010000", None),
        (BIRTH, "04171971", date(1971, 4, 17)),
        (BIRTH, "04 17 1971", date(1971, 4, 17)),
        (BIRTH, "041771", None),  # 1871, 1971 or 2071: nobody guesses
        (AMOUNT, "120.00", 12_000),
        (AMOUNT, "120 00", 12_000),
        (AMOUNT, "$1,234.56", 123_456),
        (AMOUNT, "0.00", 0),
        (AMOUNT, "-5.00", -500),
        (AMOUNT, "99,999,999.99", 9_999_999_999),
        (AMOUNT, "100000000.00", None),
        (AMOUNT, "120", None),  # dollars or cents
        (AMOUNT, "12000", None),
        (AMOUNT, "120.5", None),
        (AMOUNT, "12O.00", None),
        (AMOUNT, "1,23.00", None),
        (UNITS, "1", 1_000),
        (UNITS, "2.5", 2_500),
        (UNITS, "0.125", 125),
        (UNITS, "-1", -1_000),
        (UNITS, "1.0625", None),
        (UNITS, "one", None),
        (BILL_TYPE, "0111", "111"),
        (BILL_TYPE, "111", "111"),
        (BILL_TYPE, "11", None),
        (BILL_TYPE, "1110", None),
        (ON_ADMISSION, "I10", ("I10", None)),
        (ON_ADMISSION, "I10 Y", ("I10", "Y")),
        (ON_ADMISSION, "s52.501a n", ("S52501A", "N")),
        (ON_ADMISSION, "S52501AY", ("S52501A", "Y")),
        (ON_ADMISSION, "S52501AX", None),
        (ON_ADMISSION, "I10Y", ("I10Y", None)),  # a code of four: nothing says otherwise
        (ON_ADMISSION, "HEAD", None),
    ],
)
def test_a_value_is_read_as_printed_or_not_at_all(kind: Kind, text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(PydanticCustomError, match=r"^is not "):
            kind.parse(text)
    else:
        assert kind.parse(text) == value


WRONG = [
    ("P", ("1a",), 12, "1a", "member number", "is not text", None),
    ("P", ("2",), "\u202eX", "2", "patient's last name", "can't be printed", None),
    ("P", ("2",), "\ud800", "2", "patient's last name", "can't be printed", None),
    ("P", ("3",), "04171971 M", "3", "patient", "is not written as", None),
    ("P", ("3", "age"), "54", "3", "unknown key", "is none of the form's", None),
    ("P", ("6",), "SON", "6", "patient's relationship to the insured", "SPOUSE", None),
    ("P", ("21", "M"), "I10", "21", "unknown key", "is none of the form's", None),
    ("P", ("24",), {"24a": {}}, "24", "line of service", "is not written as", None),
    ("P", ("24", 1), "X", "24", "line of service", "is not written as", 2),
    ("P", ("24", 1, "24b"), "2", "24b", "place of service", "two digits", 2),
    ("P", ("24", 1, "24d", "code"), "9300", "24d", "procedure", "five characters", 2),
    ("P", ("25", "number"), "06-123", "25", "federal tax number", "nine digits", None),
    ("P", ("10d",), ["A1", "A2", "A3", "A4", "A5"], "10d", "condition codes", "more often", None),
    ("P", ("24J",), "X", "24J", "", "is none of the form's", None),
    ("P", ("Talloway",), "X", "unknown key", "", "is none of the form's", None),
    ("I", ("4",), "11", "4", "type of bill", "three characters", None),
    ("I", ("42-49", 0, "44"), "500.00", "44", "procedure", "is not a procedure code", 1),
    ("I", ("42-49", 0, "45"), "139925", "45", "service date", "is not a date", 1),
    ("I", ("54", 0), "500", "54", "prior payment", "dollars and cents", None),
    ("I", ("67",), "HEADACHE", "67", "principal diagnosis", "ICD-CM", None),
    ("I", ("74", "date"), "0507", "74", "date of the principal procedure", "bill's period", None),
    ("I", ("74", "date"), "1331", "74", "date of the principal procedure", "is not a day", None),
    ("I", ("31-34", 0, "code"), None, "31-34", "code", "is missing", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "path", "value", "box", "field", "says", "line"),
    WRONG,
    ids=[f"{w[0]}-{w[1]}-{w[2]!r}" for w in WRONG],
)
def test_what_cant_be_read_is_told_by_line_box_and_field(
    base: str, path: Path, value: Any, box: str, field: str, says: str, line: int | None
) -> None:
    record = changed(RECORDS[base], (path, value))
    reading = read_paper(as_lines(RECORDS["P"], record), OURS)
    assert reading.claim_count == 2
    told = reading.objections.row(0, named=True)
    assert (told["level"], told["claim_id"], told["segment_position"]) == ("claim", 1, 2)
    assert (told["segment"], told["reference"]) == (box, field)
    assert says in told["text"]
    findings = [f for f in found(RECORDS["P"], record) if f["edit"] == "unreadable_box"]
    assert [(f["claim_id"], f["box"], f["line_number"], f["position"]) for f in findings] == [
        (1, box, line, 2)
    ]


def test_nothing_of_a_value_or_an_unknown_key_is_told() -> None:
    """A canary in every box of both forms, and in a key."""
    canary = "ZQXJKANARY"

    def planted(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: planted(v) for k, v in value.items()} | {canary: canary}
        return [planted(v) for v in value] if isinstance(value, list) else canary

    records = [
        {"form": r["form"], "boxes": planted(r["boxes"]), canary: canary,
         "attachments": [{"kind": canary, "date": canary}], "received_date": canary}
        for r in (RECORDS["P"], RECORDS["I"])
    ]  # fmt: skip
    reading = read_paper(as_lines(*records) + f"{canary}\n".encode(), OURS)
    assert reading.objections.height > 60
    assert canary not in json.dumps(reading.objections.to_dicts())
    assert canary not in "".join(batch_of(reading).findings["inputs"])


# ---- what is read into which column ------------------------------------------------------------


def test_cms1500_is_read_into_the_frames_of_837p() -> None:
    claim = first(RECORDS["P"], "claims")
    told = {
        "claim_type_code": "P", "source_format_code": "CMS1500", "patient_control_number": "F1",
        "charge_amount": 30_000, "facility_code": "21", "facility_qualifier_code": "B",
        "frequency_code": "7", "original_claim_number": "000000000123",
        "provider_signature_code": "Y", "assignment_code": "A", "benefits_assignment_code": "Y",
        "release_code": "Y", "admission_date": date(2025, 5, 10), "responsibility_code": "S",
        "relationship_code": "18", "group_number": "GRP77", "claim_filing_code": "MB",
        "subscriber_number": "CP0000001", "patient_last_name": "TALLOWAY",
        "patient_first_name": "ORRIN", "patient_birth_date": date(1971, 4, 17),
        "patient_sex_code": "M", "billing_npi": samples.npi(0),
        "billing_tax_number": "061234567", "rendering_npi": samples.NPIS["rendering"],
        "referring_npi": samples.NPIS["referring"], "facility_npi": samples.NPIS["facility"],
        "facility_zip_code": "06850", "received_date": None,
    }  # fmt: skip
    assert {name: claim[name] for name in told} == told
    line = first(RECORDS["P"], "lines")
    told = {
        "line_number": 1, "procedure_qualifier_code": "HC", "procedure_code": "99213",
        "modifier_codes": "25", "charge_amount": 20_000, "unit_basis_code": "UN",
        "unit_quantity": 1_000, "place_of_service_code": "21", "diagnosis_pointers": "1:2",
        "service_from_date": date(2025, 5, 13), "service_through_date": date(2025, 5, 13),
        "rendering_npi": None,
    }  # fmt: skip
    assert {name: line[name] for name in told} == told
    patient = first(RECORDS["P"], "people", role="patient")
    insured = first(RECORDS["P"], "people", role="subscriber")
    for name in ("last_name", "first_name", "middle_name", "suffix", "address_line", "birth_date"):
        assert patient[name] == insured[name] is not None
    assert (patient["suffix"], patient["middle_name"]) == ("SR", "J")
    payer = first(RECORDS["P"], "other_payers")
    assert (payer["payer_name"], payer["insured_last_name"], payer["group_number"]) == (
        "SECOND HARVEST HEALTH", "TALLOWAY", "OT123",
    )  # fmt: skip
    assert (payer["paid_amount"], payer["adjudication_date"]) == (10_000, date(2025, 5, 1))
    frames = read_paper(as_lines(RECORDS["P"]), OURS).frames
    assert frames["diagnoses"].select("qualifier_code", "diagnosis_code").rows() == [
        ("ABK", "S52501A"), ("ABF", "I10"),
    ]  # fmt: skip
    assert frames["occurrences"].select("qualifier_code", "code", "state_code").rows() == [
        ("CLM11", "AA", "CT")
    ]
    answers = dict(frames["references"].select("qualifier_code", "reference_number").iter_rows())
    assert answers == {
        "11c": "CAREADVANTAGE PREFERRED", "11d": "YES", "10a": "NO", "10b": "YES", "10c": "NO",
    }  # fmt: skip
    assert frames["claim_providers"]["role_code"].to_list() == ["85", "82", "DN", "77"]


def test_ub04_is_read_into_the_frames_of_837i() -> None:
    claim = first(RECORDS["I"], "claims")
    told = {
        "claim_type_code": "I", "source_format_code": "UB04", "charge_amount": 125_000,
        "facility_code": "11", "facility_qualifier_code": "A", "frequency_code": "7",
        "statement_from_date": date(2025, 5, 4), "statement_through_date": date(2025, 5, 6),
        "admission_date": date(2025, 5, 4), "admission_hour_code": "0900",
        "discharge_hour_code": "1400", "admission_type_code": "1", "admission_source_code": "7",
        "patient_status_code": "01", "original_claim_number": "000000000123",
        "responsibility_code": "S", "relationship_code": "18", "group_number": "GRP77",
        "subscriber_number": "CP0000001", "payer_number": "CPCT1",
        "attending_npi": samples.NPIS["attending"], "facility_zip_code": "064500001",
    }  # fmt: skip
    assert {name: claim[name] for name in told} == told
    frames = read_paper(as_lines(RECORDS["I"]), OURS).frames
    assert frames["lines"].select(
        "line_number", "revenue_code", "unit_basis_code", "unit_quantity", "charge_amount"
    ).rows() == [(1, "0120", "DA", 2_000, 100_000), (2, "0360", "UN", 1_000, 25_000)]
    assert frames["diagnoses"].select(
        "qualifier_code", "diagnosis_code", "present_on_admission_code"
    ).rows() == [("ABK", "S52501A", "Y"), ("ABJ", "S52501A", None), ("ABN", "V4352XA", None)]
    assert frames["procedures"].select("qualifier_code", "procedure_code", "procedure_date").rows(
    ) == [("BBR", "0PSH04Z", date(2025, 5, 5)), ("BBQ", "30233N1", date(2025, 5, 6))]  # fmt: skip
    assert frames["occurrences"].select("qualifier_code", "code", "from_date").rows() == [
        ("BG", "41", None), ("BH", "02", date(2025, 5, 3)), ("BH", "11", date(2025, 5, 4)),
    ]  # fmt: skip
    assert frames["other_payers"].select(
        "payer_name", "payer_number", "paid_amount", "adjudication_date", "insured_last_name"
    ).rows() == [
        ("FOURTH WALL ASSURANCE", "FWA88", 50_000, date(2025, 5, 20), "TALLOWAY")
    ]  # fmt: skip
    assert first(RECORDS["I"], "people", role="patient")["member_number"] == "CP0000001"
    line = first(RECORDS["outpatient"], "lines")
    assert (line["procedure_code"], line["modifier_codes"]) == ("99284", "25")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("TALLOWAY, ORRIN, J", ("TALLOWAY", "ORRIN", "J", None)),
        ("TALLOWAY JR, ORRIN", ("TALLOWAY", "ORRIN", None, "JR")),
        ("TALLOWAY, JR, ORRIN, J", ("TALLOWAY", "ORRIN", "J", "JR")),
        ("VAN DER HOLM, ANNA", ("VAN DER HOLM", "ANNA", None, None)),
        ("TALLOWAY ORRIN J", ("TALLOWAY", "ORRIN", "J", None)),
        ("TALLOWAY", ("TALLOWAY", None, None, None)),
        (",", (None, None, None, None)),
    ],
)
def test_names(name: str, parts: tuple[str | None, ...]) -> None:
    row = first(changed(RECORDS["P"], (("2",), name)), "people", role="patient")
    assert tuple(row[n] for n in ("last_name", "first_name", "middle_name", "suffix")) == parts


def test_a_blank_box_22_means_a_whole_bill() -> None:
    assert first(changed(RECORDS["P"], (("22",), None)), "claims")["frequency_code"] == "1"


@pytest.mark.parametrize(
    ("first_day", "last_day", "told", "day"),
    [
        ("122825", "010426", "1231", date(2025, 12, 31)),
        ("122825", "010426", "0102", date(2026, 1, 2)),
        ("050425", "050625", "0503", date(2025, 5, 3)),  # the day before the bill's first
        ("050425", "050625", "050325", date(2025, 5, 3)),
        ("050425", "050625", "0404", date(2025, 4, 4)),
        ("022724", "030224", "0229", date(2024, 2, 29)),
    ],
)
def test_the_year_of_a_procedure_is_the_bills(
    first_day: str, last_day: str, told: str, day: date
) -> None:
    record = changed(
        RECORDS["I"], (("6",), {"from": first_day, "through": last_day}), (("74", "date"), told)
    )
    assert first(record, "procedures")["procedure_date"] == day


def test_letters_point_to_the_diagnoses_that_are_there() -> None:
    record = changed(
        RECORDS["P"], (("21", "B"), None), (("21", "D"), "E11.9"), (("24", 0, "24e"), "DA")
    )
    assert first(record, "lines")["diagnosis_pointers"] == "2:1"
    told = found(changed(record, (("24", 0, "24e"), "AB")))
    assert [f["field"] for f in told] == ["diagnoses pointed to"]


def test_rendering_providers_that_differ_stand_on_their_lines() -> None:
    other = samples.npi(777)
    record = changed(RECORDS["P"], (("24", 1, "24j"), {"npi": other}))
    frames = read_paper(as_lines(record), OURS).frames
    assert frames["claims"]["rendering_npi"].to_list() == [None]
    assert frames["lines"]["rendering_npi"].to_list() == [samples.NPIS["rendering"], other]
    rendering = frames["claim_providers"].filter(role_code="82")
    assert rendering["line_number"].to_list() == [1, 2]


# ---- whose row is ours, and what came with the claim -------------------------------------------

WITHOUT_OTHERS: tuple[tuple[Path, Any], ...] = (
    (("50a-c",), ["CarePartners of Connecticut"]), (("51",), ["CPCT1"]), (("54",), None),
    (("58a-c",), ["TALLOWAY, ORRIN, J"]), (("59",), ["18"]), (("60a-c",), ["CP0000001"]),
    (("61a-c",), ["STAFF"]), (("62a-c",), ["GRP77"]), (("64a-c",), ["000000000123"]),
)  # fmt: skip


def without_attachments(record: Record) -> Record:
    return {**record, "attachments": []}


def test_the_row_that_names_us_is_ours() -> None:
    record = without_attachments(changed(RECORDS["I"], *WITHOUT_OTHERS))
    for changes in ((), ((("50a-c",), ["CPCT"]),), ((("51",), None),)):
        frames = read_paper(as_lines(changed(record, *changes)), OURS).frames
        assert frames["other_payers"].height == 0
        assert frames["claims"]["responsibility_code"].to_list() == ["P"]
        assert frames["claims"]["subscriber_number"].to_list() == ["CP0000001"]


def test_a_name_that_isnt_ours_is_another_payers() -> None:
    """Never paid as first payer by mistake: the claim waits for a person."""
    record = without_attachments(changed(RECORDS["I"], *WITHOUT_OTHERS, (("51",), None)))
    frames = read_paper(as_lines(changed(record, (("50a-c",), ["CARE PARTNERS INC"]))), OURS).frames
    assert frames["other_payers"]["payer_name"].to_list() == ["CARE PARTNERS INC"]
    # the row has our member's number, so it is the insured's
    assert frames["claims"]["subscriber_number"].to_list() == ["CP0000001"]
    assert frames["other_payers"]["insured_last_name"].to_list() == [None]


def test_we_are_first_where_our_row_is_above_the_others() -> None:
    swapped = changed(
        RECORDS["I"], (("50a-c",), ["CAREPARTNERS OF CONNECTICUT", "FOURTH WALL ASSURANCE"]),
        (("51",), ["CPCT1", "FWA88"]), (("54",), ["", "500.00"]),
    )  # fmt: skip
    assert first(swapped, "claims")["responsibility_code"] == "P"
    assert first(swapped, "other_payers")["responsibility_code"] == "S"


def test_own_names_are_those_of_the_programs() -> None:
    names = own_names(load_programs())
    assert {"CarePartners of Connecticut", "CPCT1"} <= names


def test_an_explanation_dates_the_other_payer() -> None:
    two = {**RECORDS["P"], "attachments": [
        {"kind": "eob", "date": "050125", "payer": "Second Harvest Health"},
        {"kind": "eob", "date": "051525"},
        {"kind": "notes"},
    ]}  # fmt: skip
    frames = read_paper(as_lines(two), OURS).frames
    assert frames["other_payers"]["adjudication_date"].to_list() == [date(2025, 5, 15)]
    assert frames["attachments"].select("kind_code", "document_date", "payer_name").rows() == [
        ("eob", date(2025, 5, 1), "Second Harvest Health"), ("eob", date(2025, 5, 15), None),
        ("notes", None, None),
    ]  # fmt: skip
    undated = without_attachments(RECORDS["P"])
    assert first(undated, "other_payers")["adjudication_date"] is None


def test_an_explanation_of_a_payer_that_is_not_on_the_form_is_another_payer() -> None:
    record = changed(RECORDS["I"], *WITHOUT_OTHERS)
    payer = first(record, "other_payers")
    assert (payer["payer_name"], payer["adjudication_date"]) == (
        "Fourth Wall Assurance", date(2025, 5, 20),
    )  # fmt: skip
    assert first(record, "claims")["responsibility_code"] == "S"
    assert [(f["box"], f["field"]) for f in found(record)] == [("54", "prior payment")]


@pytest.mark.parametrize("kind", ["eob", "auto_notice"])
def test_a_document_that_starts_a_clock_has_a_day(kind: str) -> None:
    record = {**RECORDS["P"], "attachments": [*RECORDS["P"]["attachments"], {"kind": kind}]}
    (told,) = found(record)
    assert told["cause"] == f"attachment {kind} says no day: its clock needs one"


def test_a_wrong_attachment_costs_its_claim_and_not_the_others() -> None:
    wrong = [{"kind": "letter"}, {"date": "050125"}, "x", {"kind": "eob", "date": "050125"}]
    record = {**RECORDS["P"], "attachments": wrong}
    told = found(record, RECORDS["I"])
    assert [(f["claim_id"], f["box"]) for f in told] == [
        (0, "attachments kind"), (0, "attachments kind"), (0, "attachments"),
    ]  # fmt: skip
    assert first(record, "attachments")["document_date"] == date(2025, 5, 1)


# ---- files -------------------------------------------------------------------------------------

GOOD = as_lines(RECORDS["P"]).strip()
BAD_LINES = {
    "prose": b"not a record",
    "half": GOOD[: len(GOOD) // 2],
    "list": b"[1, 2]",
    "number": b"12",
    "no form": b'{"boxes": {}}',
    "unknown form": b'{"form": "ADA", "boxes": {}}',
    "form is a list": b'{"form": ["CMS-1500"], "boxes": {}}',
    "no boxes": b'{"form": "UB-04"}',
    "boxes are a list": b'{"form": "UB-04", "boxes": []}',
    "two forms": b'{"form": "UB-04", "form": "UB-04", "boxes": {}}',
    "latin-1": '{"form": "UB-04", "boxes": {"8b": "MÜLLER"}}'.encode("latin-1"),
    "deep": b'{"a":' * 5_000,
    "deep list": b"[" * 100_000,
    "huge number": b'{"form": "UB-04", "boxes": {"3a": ' + b"9" * 5_000 + b"}}",
    "long": b'{"form": "UB-04", "boxes": {"3a": "' + b"9" * RECORD_BYTES + b'"}}',
    "nul": b"\0\0\0",
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_is_no_record_is_refused_alone(name: str) -> None:
    data = b"\n".join([GOOD, BAD_LINES[name], GOOD, b""])
    reading = read_paper(data, OURS)
    assert reading.claim_count == 2
    (told,) = reading.objections.iter_rows(named=True)
    assert (told["level"], told["segment_position"]) == ("record", 2)
    assert told["text"].startswith("line 2 ")
    assert ";" in told["text"]  # cause; mend
    assert validate(batch_of(reading), FORMS).findings.is_empty()


def test_a_key_that_stands_twice_is_told_and_neither_value_counts() -> None:
    line = GOOD.replace(b'"1a": "CP0000001"', b'"1a": "CP0000001", "1a": "CP0000002"')
    assert line != GOOD
    reading = read_paper(line, OURS)
    (told,) = reading.objections.iter_rows(named=True)
    assert (told["segment"], told["text"]) == (
        "1a",
        "box 1a, member number, stands twice; keep one",
    )
    assert reading.frames["claims"]["subscriber_number"].to_list() == [None]


@pytest.mark.parametrize(
    "data",
    [
        GOOD + b"\n" + GOOD,
        GOOD + b"\r\n" + GOOD + b"\r\n",
        b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD + b"\n",
        b"\n\n  \n" + GOOD + b"\n\n" + GOOD + b"\n\n",
    ],
    ids=["no last newline", "crlf", "bom", "blank lines"],
)
def test_how_lines_end_does_not_matter(data: bytes) -> None:
    assert is_paper(data)
    reading = read_claims_file(data, 8_000_000, OURS)
    assert (reading.claim_count, reading.objections.height) == (2, 0)
    for start, stop in reading.frames["sources"].select("claim_start", "claim_end").iter_rows():
        assert json.loads(data[start:stop]) == RECORDS["P"]


def test_paper_is_told_from_x12_by_its_content() -> None:
    interchange = samples.write(samples.interchange([samples.group([samples.transaction(
        samples.body([samples.claim()]))])]), padding="\n")  # fmt: skip
    assert not is_paper(interchange)
    assert read_claims_file(interchange, 8_000_000).claim_count == 1
    for data in (b"", b"PK\x03\x04", b"hello\n", b"\xef\xbb\xbfISA{\n{"):
        assert not is_paper(data)
    for data in (b"{}", b"garbage\n" + GOOD, b"[\n", b"  {"):
        assert is_paper(data)


def test_a_bad_claim_leaves_the_others_as_they_were() -> None:
    """Whether it is refused, unreadable or incomplete, and across the frames' joints."""
    good = [
        changed(RECORDS[("P", "I")[n % 2]], (("3a" if n % 2 else "26",), f"N{n}"))
        for n in range(60)
    ]
    bad = [changed(RECORDS["P"], (("24", 0, "24f"), "x")), {"form": "X"}, {"form": "UB-04",
           "boxes": {}}]  # fmt: skip
    alone = read_paper(as_lines(*good), OURS)
    beside = read_paper(as_lines(*good[:30], *bad, *good[30:]), OURS)
    assert beside.claim_count == 62
    # the first thirty keep their numbers; 30 and 31 are the bad ones
    numbers = pl.when(pl.col("claim_id") > 31).then(pl.col("claim_id") - 2).otherwise("claim_id")
    for name, frame in alone.frames.items():
        if name == "sources":
            continue
        others = beside.frames[name].filter(~pl.col("claim_id").is_in([30, 31]))
        assert others.with_columns(numbers.alias("claim_id")).equals(frame), name


def test_more_records_than_are_held_together() -> None:
    count = RECORDS_TOGETHER + 1
    reading = read_paper(b"\n".join([GOOD] * count), OURS)
    assert reading.frames["claims"]["claim_id"].to_list() == list(range(count))
    assert reading.frames["lines"].height == 2 * count


def test_paper_is_not_acknowledged() -> None:
    reading = read_paper(GOOD + b"\nnot JSON\n" + as_lines({"form": "UB-04", "boxes": {"1": 1}}))
    issue = Issue(1, date(2025, 11, 15), date(2025, 11, 15))
    assert acknowledge(reading, issue) == []


@pytest.mark.parametrize("base", ["P", "I"])
def test_every_prefix_and_every_deletion_has_a_verdict(base: str) -> None:
    """Of a file of two claims: one of them, or a line of it, is told wrong or both are read."""
    data = as_lines(RECORDS[base], RECORDS[base])
    step = max(1, len(data) // 80)
    cut = [data[:at] for at in range(0, len(data), step)]
    cut += [data[:at] + data[at + 1 :] for at in range(0, len(data), step)]
    for at, each in enumerate(cut):
        reading = read_paper(each, OURS)
        refused = reading.objections.filter(pl.col("level") == "record").height
        lines = sum(1 for line in each.split(b"\n") if line.strip())
        assert reading.claim_count + refused == lines
        if reading.claim_count and at % 10 == 0:
            validate(batch_of(reading), FORMS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["from", "to", "date", "code", "24a", "street", "x"]), inner,
                      max_size=3),
    max_leaves=6,
)  # fmt: skip
KNOWN = build.reference(*load_programs().values())
KEYS = {kind: sorted({p.path[0] for p in places(form)}) for kind, form in NAMES.items()}


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_box_is_read_or_told(data: Any) -> None:
    base = data.draw(st.sampled_from(["P", "I"]))
    key = data.draw(st.sampled_from(KEYS[base]))
    record = changed(RECORDS[base], ((key,), data.draw(JSON) or "x"))
    reading = read_paper(as_lines(record, RECORDS["I"]), OURS)
    assert reading.claim_count == 2
    batch = batch_of(reading)
    stamped = batch.claims.with_columns(received_date=pl.lit(date(2025, 6, 1)))
    hold(batch.with_(claims=stamped), READ, "reading", whole=True)
    findings = validate(batch, FORMS).findings
    assert set(findings["claim_id"]) <= {0}
    # and whatever it is, a letter can be written of it
    batch = identify(batch.with_(claims=stamped), KNOWN)
    rows = findings.select("edit", "edit_rank", "line_number", "inputs").to_dicts()
    told = letter(batch, batch.claims.row(0, named=True), rows, KNOWN)
    assert len(json.dumps(told)) > 100
    assert bool(told["gaps"]) == bool(rows)


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether a value is of a JSON Schema, as far as ours go."""
    if "$ref" in schema:
        return fits(value, whole["$defs"][schema["$ref"].split("/")[-1]], whole)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return any(fits(value, each, whole) for each in schema[key])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return (
            schema.get("type") == "object" and schema["additionalProperties"] is False
            and set(value) <= set(known) and set(schema.get("required", ())) <= set(value)
            and all(fits(v, known[k], whole) for k, v in value.items())
        )  # fmt: skip
    if isinstance(value, list):
        return (
            schema.get("type") == "array" and len(value) <= schema.get("maxItems", 99)
            and all(fits(v, schema["items"], whole) for v in value)
        )  # fmt: skip
    if value is None:
        return "null" in schema["type"]
    if not isinstance(value, str) or "string" not in schema["type"]:
        return False
    pattern = schema["pattern"]
    return any(re.search(pattern, v) for v in (value, value.upper()))


WHOLE = json.loads((DOCS / "paper.schema.json").read_text("utf-8"))


@pytest.mark.parametrize("base", RECORDS)
def test_the_schema_takes_what_is_read(base: str) -> None:
    assert fits(RECORDS[base], WHOLE, WHOLE)


@pytest.mark.parametrize("case", ["paper-professional", "paper-returned"])
def test_the_schema_takes_the_cases(case: str) -> None:
    for line in (CLAIMS / case / "claim.jsonl").read_text("utf-8").splitlines():
        assert fits(json.loads(line), WHOLE, WHOLE)


# no pattern tells a character that can't be printed, or a day that no month has
BEYOND_A_PATTERN = ("\u202eX", "\ud800", "139925", "0507", "1331")


@pytest.mark.parametrize(
    ("base", "path", "value"),
    [w[:3] for w in WRONG if w[2] is not None],
    ids=[f"{w[0]}-{w[1]}-{w[2]!r}" for w in WRONG if w[2] is not None],
)
def test_the_schema_refuses_what_is_told(base: str, path: Path, value: Any) -> None:
    taken = fits(changed(RECORDS[base], (path, value)), WHOLE, WHOLE)
    assert taken == (value in BEYOND_A_PATTERN)


def test_order_is_the_files() -> None:
    frames = read_paper(as_lines(*[RECORDS["I"], RECORDS["P"]] * 5), OURS).frames
    for name, frame in frames.items():
        ids = frame["claim_id"].to_list()
        assert all(a <= b for a, b in pairwise(ids)), name


def test_a_night_without_paper_loads_nothing_of_it() -> None:
    """The forms' models cost every start a tenth of a second."""
    asked = (
        "import sys, adjudicator.night, adjudicator.check; "
        "print([m for m in ('schemas.paper', 'edi.read_paper', 'adjudicator.reports.letters') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
