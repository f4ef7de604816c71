"""Who owes what an edit denies: the member only where a source, or a judgement, says so."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.edits import EDITS, Edit, edits
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.programs import load_adjustment_codes, load_benefit_categories, load_programs
from adjudicator.stages.match import match
from schemas import frames
from tests import build

# The whole list: (edit, CARC) by which a member may owe. All else is the provider's or nobody's.
MEMBER_OWES = {
    ("member_unknown", "31"),  # 001:1496, 001:2036: nobody of ours
    ("coverage", "26"),  # 001:2036, the member owes what lies outside coverage [j]
    ("coverage", "27"),
    ("coverage", "200"),
    ("provider_ineligible", "96"),  # 001:3333: a private contract after an opt-out [j]
    ("referral", "288"),  # 001:864: a referral lapsed and unresolved
    ("referral", "287"),  # visits used up
    ("urgent_out_of_network", "242"),  # 001:4183 [j]
    ("prior_authorization", "197"),  # 000:221-222: CT Partnership, out of network
}
OTHERS = {  # OA
    ("exact_duplicate", "18"), ("coverage", "109"), ("carve_out", "109"), ("hospice", "109"),
}  # fmt: skip

PROGRAMS = load_programs()
CODES = load_adjustment_codes()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_edit_declares_no_other_liability(edit: Edit) -> None:
    for group, carc in {(edit.group_code, edit.carc), *edit.other_codes}:
        if group == "PR":
            assert (edit.name, carc) in MEMBER_OWES
        elif group == "OA":
            assert (edit.name, carc) in OTHERS
        else:
            assert group in ("CO", None)


# What makes an edit find something, a choice a column; the rest is tests/build.py's.
CLAIM: dict[str, list[Any]] = {
    "claim_type_code": ["P", "I"],
    "facility_code": ["11", "13", "21", "32"],
    "frequency_code": ["1", "1", "1", "7", "8"],
    "received_date": [date(2025, 2, 3), date(2025, 3, 12), date(2026, 6, 1)],
    "responsibility_code": ["P", "P", "S", None],
    "member_match_code": ["found", "found", "found", "none", "name", "several"],
    "payee_id": ["P1", "P1", "P1", None],
    "billing_npi": ["2000000010", "2000000028", None],
    "rendering_npi": [None, "2000000028", "2000000036"],
    "admission_date": [None, date(2025, 1, 8), date(2025, 1, 10)],
    "statement_from_date": [None, date(2025, 1, 8)],
    "statement_through_date": [None, date(2025, 1, 12)],
    "admission_type_code": [None, "1", "2", "3", "4"],
    "admission_source_code": [None, "1", "E"],
    "patient_status_code": ["01", "30"],
    "prior_authorization_number": [None, None, "N1", "N2", "A1"],
    "referral_number": [None, "R1", "R2"],
    "facility_zip_code": [None, "06000", "90001"],
}
LINE: dict[str, list[Any]] = {
    "coverage_code": ["covered", "covered", "covered", "before", "after", "gap", None],
    "network_code": ["in", "out"],
    "contract_id": ["C1", None],
    "procedure_code": ["99213", "99284", "90935", "90834", "D0120", None],
    "revenue_code": [None, "0762", "0912", "0450", "0124"],
    "modifier_codes": [None, "25", "59", "GW", "GV"],
    "place_of_service_code": ["11", "20", "23"],
    "emergency_code": [None, None, "Y"],
    "service_from_date": [date(2025, 1, 10), date(2025, 1, 11), None],
    "charge_amount": [10_000, 10_001],
    "rendering_npi": [None, None, "2000000036"],
}
START = {"start_date": date(2024, 1, 1)}
TABLES: dict[str, list[dict[str, Any]]] = {
    "provider_flags": [
        {**START, "npi": npi, "flag_code": flag}
        for npi in ("2000000010", "2000000028", "2000000036")
        for flag in ("not_eligible", "opted_out", "under_review")
    ],
    "credentialing": [{"provider_id": "V1", "start_date": date(2025, 1, 11)}],
    "notifications": [
        {
            "notification_number": "N1", "member_id": "M1", "npi": npi,
            "admission_date": date(2025, 1, 10), "notified_date": told, "status_code": status,
        }
        for npi in ("2000000010", "2000000028")
        for told in (date(2025, 1, 5), date(2025, 1, 12), date(2025, 1, 13))
        for status in ("active", "cancelled")
    ],
    "authorizations": [
        {
            **START, "authorization_number": "A1", "member_id": "M1", "status_code": status,
            "first_procedure_code": code, "last_procedure_code": code, "npi": npi, "end_date": end,
        }
        for status in ("approved", "denied")
        for code in ("99213", "90834")
        for npi in (None, "2000000028")
        for end in (None, date(2025, 1, 9))
    ],
    "authorization_list": [
        {
            **START, "program_code": code, "first_procedure_code": "90000",
            "last_procedure_code": "99999",
        }
        for code in ("carepartners", "ct-partnership")
    ],
    "referrals": [
        {
            **START, "referral_number": "R1", "member_id": "M1", "npi": "2000000010",
            "status_code": status,
        }
        for status in ("approved", "denied")
    ],
    "service_area": [{**START, "program_code": "carepartners", "zip_code": "06000"}],
    "attachments": [
        {
            "claim_number": f"{1:012}", "kind_code": kind, "document_date": date(2025, 1, 20),
            "received_date": date(2025, 2, 3),
        }
        for kind in ("eob", "auto_notice")
    ],
    "special_statuses": [
        {**START, "member_id": "M1", "status_code": status}
        for status in ("active_treatment", "working_aged", "qmb", "hospice")
    ],
    "other_coverage": [
        {
            **START, "member_id": "M1", "position_code": "before", "kind_code": kind,
            "payer_name": "Elm", "end_date": end,
        }
        for kind in ("group_health", "auto", "workers_compensation")
        for end in (None, date(2025, 1, 10))
    ],
}  # fmt: skip
OCCURRENCES = [
    ("CLM11", "AA"),
    ("CLM11", "EM"),
    ("BH", "02"),
    ("BE", "14"),
    ("BG", "41"),
    ("BI", "72"),
    ("BH", "01"),
    ("BG", "DR"),
    ("BG", "07"),
]


def row_of(choices: dict[str, list[Any]]) -> Any:
    return st.fixed_dictionaries({}, optional={c: st.sampled_from(v) for c, v in choices.items()})


@pytest.mark.long
@settings(max_examples=120, deadline=None)
@given(data=st.data(), program_code=st.sampled_from(sorted(PROGRAMS)))
def test_whatever_the_night_the_member_owes_by_the_list_alone(
    data: st.DataObject, program_code: str
) -> None:
    program = PROGRAMS[program_code]
    plan = data.draw(st.sampled_from(sorted(program.plans)))
    claims = [
        {**row, "program_code": program_code, **unknown(row)}
        for row in data.draw(st.lists(row_of(CLAIM), min_size=1, max_size=3))
    ]
    lines = [
        {**data.draw(row_of(LINE)), "claim_id": claim_id, "plan_code": plan}
        for claim_id in range(1, len(claims) + 1)
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    tables = {
        name: [data.draw(st.sampled_from(rows))]
        for name, rows in TABLES.items()
        if data.draw(st.booleans())
    }
    told = data.draw(st.lists(st.sampled_from(OCCURRENCES), unique=True))
    batch = Batch(
        claims=build.claims(claims),
        lines=build.lines(lines),
        occurrences=build.frame(
            frames.Occurrences,
            [
                {"claim_id": 1, "sequence_number": n, "qualifier_code": qualifier, "code": code}
                for n, (qualifier, code) in enumerate(told, start=1)
            ],
        ),
    )
    business_date = data.draw(st.sampled_from([date(2021, 1, 1), date(2025, 2, 3)]))
    reference = build.reference(
        *PROGRAMS.values(),
        benefit_categories=load_benefit_categories(),
        business_date=business_date,
        **tables,
    )
    decided = edits(match(batch, reference), reference)
    frames.Findings.validate(decided.findings)
    for finding in decided.findings.filter(disposition="deny").to_dicts():
        group, carc, rarc = finding["group_code"], finding["carc"], finding["rarc"]
        if group == "PR":
            assert (finding["edit"], carc) in MEMBER_OWES
        elif group == "OA":
            assert (finding["edit"], carc) in OTHERS
        else:
            assert group == "CO"
        for code in filter(None, (carc, rarc)):
            assert CODES[code].start_date <= business_date
            assert CODES[code].end_date is None
        assert rarc or not CODES[carc].needs_remark
        assert group in (CODES[carc].only_group or group).split(" or ")
    # and so for the one that takes the money
    taken = fates(decided).lines.filter(line_disposition="denied", group_code="PR")
    assert set(taken.select("edit", "carc").rows()) <= MEMBER_OWES


def unknown(row: dict[str, Any]) -> dict[str, Any]:
    """No member where nobody, or more than one, was found."""
    return {"member_id": None} if row.get("member_match_code") in ("none", "several") else {}
