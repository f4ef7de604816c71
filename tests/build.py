"""Small frames for tests: say the columns a test is about, the rest take defaults.

A row is a mapping; a column the contract does not know is an error, so that a typing slip cannot
pass as a default. People and numbers are invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dataframely as dy
import polars as pl

from adjudicator.coded import CODED, Facts, coding_tables, spans_of
from adjudicator.edits import EDITS
from adjudicator.programs import load_programs
from adjudicator.reference import Reference
from schemas import frames
from schemas import reference as tables
from schemas.program import BenefitCategoryRule, Payer, Program

Row = Mapping[str, Any]

IDENTIFIED = (
    "member_id",
    "member_match_code",
    "family_id",
    "program_code",
    "payee_id",
    "provider_id",
)

CLAIM: Row = {
    "claim_type_code": "P",
    "source_format_code": "837P",
    "received_date": date(2025, 2, 3),
    "claim_or_encounter_code": "CH",
    "patient_control_number": "PCN",
    "charge_amount": 10_000,
    "facility_code": "11",
    "facility_qualifier_code": "B",
    "frequency_code": "1",
    "assignment_code": "A",
    "responsibility_code": "P",
    "claim_filing_code": "16",
    "subscriber_number": "S1000000101",
    "patient_last_name": "ORDWAY",
    "patient_first_name": "NELL",
    "patient_birth_date": date(1950, 3, 4),
    "patient_sex_code": "F",
    "payer_number": "TEST1",
    "billing_npi": "2000000010",
    "billing_tax_number": "069990001",
    "member_id": "M1",
    "member_match_code": "found",
    "family_id": "F1",
    "program_code": "test",
    "payee_id": "P1",
    "provider_id": "V1",
}

LINE: Row = {
    "procedure_qualifier_code": "HC",
    "procedure_code": "99213",
    "charge_amount": 10_000,
    "unit_basis_code": "UN",
    "unit_quantity": 1_000,
    "place_of_service_code": "11",
    "diagnosis_pointers": "1",
    "service_from_date": date(2025, 1, 10),
    "coverage_code": "covered",
    "plan_code": "ppo",
    "contract_id": "C1",
    "network_code": "in",
}

START = {"start_date": date(2020, 1, 1)}

TABLES: Mapping[str, Row] = {
    "members": {
        "member_id": "M1",
        "family_id": "F1",
        "card_number": "S10000001",
        "last_name": "Ordway",
        "first_name": "Nell",
        "birth_date": date(1950, 3, 4),
        "sex_code": "F",
    },
    "coverage": {**START, "member_id": "M1", "program_code": "test", "plan_code": "ppo"},
    "providers": {
        **START,
        "provider_id": "V1",
        "npi": "2000000010",
        "last_name": "Harbor Road Medicine",
        "entity_type_code": "2",
        "tax_number": "069990001",
        "payee_id": "P1",
    },
    "payees": {
        "payee_id": "P1",
        "name": "Harbor Road Medicine",
        "npi": "2000000010",
        "tax_number": "069990001",
        "address_line": "1 Harbor Road",
        "city": "Oldport",
        "state_code": "CT",
        "zip_code": "06000",
        "payment_method_code": "CHK",
    },
    "contracts": {
        **START,
        "contract_id": "C1",
        "payee_id": "P1",
        "program_code": "test",
        "network_code": "in",
        "pricing_method_code": "percent_of_medicare",
        "rate_basis_points": 10_000,
    },
}


def frame(
    schema: type[dy.Schema], rows: Iterable[Row], defaults: Row | None = None
) -> pl.DataFrame:
    """A frame of that contract; omitted columns take ``defaults``, else null."""
    types = frames.empty(schema).schema
    known = {c: v for c, v in (defaults or {}).items() if c in types}
    full = []
    for row in rows:
        unknown = sorted(set(row) - set(types))
        if unknown:
            raise KeyError(f"{schema.__name__} has no {unknown}")
        full.append({**known, **row})
    if not full:
        return frames.empty(schema)
    return pl.DataFrame(full, schema=types)


def claims(rows: Sequence[Row], schema: type[dy.Schema] = frames.IdentifiedClaims) -> pl.DataFrame:
    """Claims numbered from 1 in receipt order, identified unless the rows say otherwise."""
    numbered = []
    for place, row in enumerate(rows, start=1):
        claim_id = row.get("claim_id", place)
        numbers = {"claim_number": f"{claim_id:012}", "receipt_number": claim_id}
        numbered.append({"claim_id": claim_id, **numbers, **row})
    return frame(schema, numbered, CLAIM)


def received_claims(rows: Sequence[Row]) -> pl.DataFrame:
    """Claims as *identify* receives them: numbered, nobody looked up."""
    return claims(rows).drop(IDENTIFIED)


def lines(rows: Sequence[Row], schema: type[dy.Schema] = frames.IdentifiedLines) -> pl.DataFrame:
    """Lines of claim 1 unless said otherwise, numbered within their claim; identified."""
    numbered: list[Row] = []
    count: dict[int, int] = {}
    for row in rows:
        claim_id = row.get("claim_id", 1)
        count[claim_id] = row.get("line_number", count.get(claim_id, 0) + 1)
        day = row.get("service_from_date", LINE["service_from_date"])
        numbered.append(
            {
                "claim_id": claim_id,
                "line_number": count[claim_id],
                "decision_date": day,
                "service_through_date": day,
                **row,
            }
        )
    return frame(schema, numbered, LINE)


def received_lines(rows: Sequence[Row]) -> pl.DataFrame:
    """Lines as *identify* receives them."""
    return lines(rows).select(frames.Lines.column_names())


def program(**changes: Any) -> Program:
    """A program under every edit, with a filing limit of 60 days (001:2255-2256) and CarePartners'
    terms of coordination."""
    facts: dict[str, Any] = {
        "program_code": "test",
        "name": "Test program",
        "payer": Payer(
            name="Test program",
            number="TEST1",
            tax_number="069990000",
            address_line="PO Box 1",
            city="Oldport",
            state_code="CT",
            zip_code="06000",
            contact_name="Provider Services",
            contact_phone="8605550100",
        ),
        "receiver_numbers": ("TEST1",),
        "edits": tuple(edit.name for edit in EDITS),
        "filing_limits": (
            {
                "start_date": date(2020, 1, 1),
                "days": 60,
                "citation": {"document": "001", "lines": (2255, 2256), "phrase": "within 60 days"},
            },
        ),
        "coordination": load_programs()["carepartners"].coordination,
        "discharge_bill_types": ("11", "21"),
        "hospital_stay_bill_types": ("11",),
    }
    return Program.model_validate(facts | changes)


def reference(
    *programs: Program,
    benefit_categories: tuple[BenefitCategoryRule, ...] = (),
    business_date: date = date(2025, 2, 3),
    **rows: Sequence[Row] | pl.DataFrame,
) -> Reference:
    """Reference data; a table not named holds its one default row, or none where it has none."""
    loaded = {}
    for name, schema in tables.TABLES.items():
        default = TABLES.get(name)
        given = rows.pop(name, [{}] if default else [])
        loaded[name] = given if isinstance(given, pl.DataFrame) else frame(schema, given, default)
    if rows:
        raise KeyError(f"no reference table {sorted(rows)}")
    chosen = programs or (program(),)
    coded = {name: loaded[name] for name in CODED if loaded[name].height}
    return Reference(
        version="test",
        tables=loaded,
        programs={p.program_code: p for p in chosen},
        benefit_categories=benefit_categories,
        business_date=business_date,
        coding_tables=coding_tables([Facts(spans_of(n, f), "") for n, f in coded.items()]),
    )
