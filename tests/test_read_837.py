"""Each column of each frame, from segments whose text stands in tests/samples.py or here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from typing import Any

import polars as pl
import pytest

from edi.guide import Guide
from edi.read_file import FileReading, read_file
from schemas import frames
from tests.samples import (
    INSTITUTIONAL,
    NPIS,
    PROFESSIONAL,
    body,
    claim,
    group,
    institutional,
    interchange,
    npi,
    professional,
    segments,
    transaction,
    write,
)

Rows = list[dict[str, Any]]
FRAMES = {
    "claims": frames.Claims, "lines": frames.Lines, "people": frames.People,
    "claim_providers": frames.ClaimProviders, "diagnoses": frames.Diagnoses,
    "procedures": frames.Procedures, "occurrences": frames.Occurrences, "dates": frames.Dates,
    "references": frames.References, "amounts": frames.Amounts, "notes": frames.Notes,
    "attachments": frames.Attachments, "certifications": frames.Certifications,
    "other_payers": frames.OtherPayers, "other_payer_lines": frames.OtherPayerLines,
    "other_payer_adjustments": frames.OtherPayerAdjustments,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What damaged files teach of a guide isn't kept in the user's cache folder."""
    monkeypatch.setattr(Guide, "remember", lambda _: None)


def row(**columns: Any) -> dict[str, Any]:
    return columns


def day(text: str) -> date:
    return date.fromisoformat(text)


def reading(set_: Sequence[str], kind: str = "P") -> FileReading:
    guide = PROFESSIONAL if kind == "P" else INSTITUTIONAL
    return read_file(write(interchange([group([set_], guide=guide)])))


def put(old: str, new: str, claims: Sequence[Sequence[str]], **how: Any) -> FileReading:
    """What is read where the first segment that begins with ``old`` is ``new`` (lines) instead."""
    kind = how.get("kind", "P")
    made = body(claims, **how)
    at = next(i for i, s in enumerate(made) if s.startswith(old))
    made[at : at + 1] = segments(new)
    return reading(transaction(made, guide=PROFESSIONAL if kind == "P" else INSTITUTIONAL), kind)


def told(frame: pl.DataFrame) -> Rows:
    """The rows without their nulls and without ``claim_id``."""
    return [
        {k: v for k, v in row.items() if v is not None and k != "claim_id"}
        for row in frame.to_dicts()
    ]


# ---- an 837P with everything -----------------------------------------------------------------

SUBSCRIBER = row(
    entity_type_code="1", last_name="TALLOWAY", first_name="ORRIN", middle_name="J", suffix="SR",
    member_number="CP0000001", address_line="18 HERON LN", city="HAMDEN", state_code="CT",
    zip_code="06514", birth_date=day("1971-04-17"), sex_code="M",
)  # fmt: skip
BILLING = row(
    role_code="85", entity_type_code="1", last_name="SABLEWORTH", first_name="NEVE", npi=npi(0),
    taxonomy_code="207Q00000X",
    tax_number="061234567", address_line="4 SYCAMORE RD", city="MERIDEN", state_code="CT",
    zip_code="064500001",
)  # fmt: skip
PROFESSIONAL_ROWS: dict[str, Rows] = {
    "claims": [row(
        claim_type_code="P", source_format_code="837P", submission_date=day("2025-06-02"),
        transaction_purpose_code="00", claim_or_encounter_code="CH",
        patient_control_number="P11", charge_amount=101075, facility_code="11",
        facility_qualifier_code="B", frequency_code="7", provider_signature_code="Y",
        assignment_code="A", benefits_assignment_code="Y", release_code="Y",
        patient_signature_code="P", special_program_code="02", delay_reason_code="11",
        admission_date=day("2025-04-21"), discharge_date=day("2025-04-24"),
        accident_date=day("2025-04-18"), onset_date=day("2025-04-20"),
        contract_type_code="02", contract_amount=80000, contract_basis_points=1250,
        contract_code="KX9", patient_paid_amount=2500, original_claim_number="000000000123",
        prior_authorization_number="AUTHP11", referral_number="REFER88",
        medical_record_number="MRN0042", clearinghouse_number="CLEAR55",
        ambulance_transport_reason_code="A", ambulance_distance_quantity=12400,
        responsibility_code="P", relationship_code="18", group_number="GRP77",
        claim_filing_code="HM", subscriber_number="CP0000001", patient_last_name="TALLOWAY",
        patient_first_name="ORRIN", patient_birth_date=day("1971-04-17"), patient_sex_code="M",
        payer_number="CPCT1", billing_npi=npi(0), billing_tax_number="061234567",
        billing_taxonomy_code="207Q00000X", rendering_npi=NPIS["rendering"],
        referring_npi=NPIS["referring"], facility_npi=NPIS["facility"],
        facility_zip_code="068500009",
    )],
    "lines": [
        row(
            line_number=1, assigned_number="1", procedure_qualifier_code="HC",
            procedure_code="25600", modifier_codes="RT:22:59:GC",
            procedure_description="CLOSED CARE", charge_amount=90025, unit_basis_code="UN",
            unit_quantity=1500, place_of_service_code="22", diagnosis_pointers="1:2:3:4",
            emergency_code="Y", epsdt_code="Y", family_planning_code="Y", copay_status_code="0",
            service_from_date=day("2025-04-21"), service_through_date=day("2025-04-24"),
            line_control_number="LINE-1", prior_authorization_number="LINEAUTH",
            referral_number="LINEREF", drug_code="00555012345", drug_quantity=2125,
            drug_unit_code="ML", prescription_number="RX7788",
            rendering_npi=NPIS["line_rendering"],
        ),
        row(
            line_number=2, assigned_number="2", procedure_qualifier_code="HC",
            procedure_code="J1885", charge_amount=11050, unit_basis_code="UN", unit_quantity=2000,
            place_of_service_code="11",  # the claim's
            diagnosis_pointers="2", service_from_date=day("2025-04-21"),
            service_through_date=day("2025-04-21"),
        ),
    ],
    "people": [dict(SUBSCRIBER, role="patient"), dict(SUBSCRIBER, role="subscriber")],
    "claim_providers": [
        BILLING,
        row(role_code="DN", entity_type_code="1", last_name="MARLOWELL", first_name="INES",
             middle_name="Q", suffix="III", npi=NPIS["referring"]),
        row(role_code="82", entity_type_code="1", last_name="OSTERBRIDGE", first_name="HAL",
             middle_name="B", npi=NPIS["rendering"], taxonomy_code="207X00000X"),
        row(role_code="77", entity_type_code="2", last_name="HARBORLIGHT CLINIC",
             npi=NPIS["facility"], address_line="200 LANTERN WAY", address_line_more="SUITE 9",
             city="NORWALK", state_code="CT", zip_code="068500009"),
        row(role_code="DQ", entity_type_code="1", last_name="PELLAMORE", first_name="VIV",
             npi=NPIS["supervising"]),
        row(role_code="PW", entity_type_code="2", address_line="6 QUAY ST", city="BRISTOL",
             state_code="CT", zip_code="06010"),
        row(role_code="45", entity_type_code="2", last_name="NORTH GATE WARD",
             address_line="8 QUAY ST", city="BRISTOL", state_code="CT", zip_code="06010"),
        row(line_number=1, role_code="82", entity_type_code="1", last_name="OSTERBRIDGE",
             first_name="IDA", npi=NPIS["line_rendering"], taxonomy_code="208100000X"),
        row(line_number=1, role_code="DK", entity_type_code="1", last_name="QUENNELL",
             first_name="ART", npi=NPIS["ordering"], address_line="1 FELL RD", city="DERBY",
             state_code="CT", zip_code="06418"),
    ],
    "diagnoses": [
        row(sequence_number=1, qualifier_code="ABK", diagnosis_code="S52501A"),
        row(sequence_number=2, qualifier_code="ABF", diagnosis_code="W19XXXA"),
        row(sequence_number=3, qualifier_code="ABF", diagnosis_code="E119"),  # sent as E11.9
    ],
    "procedures": [],
    "occurrences": [
        row(sequence_number=1, qualifier_code="BP", code="25600"),
        row(sequence_number=2, qualifier_code="BO", code="01830"),
        row(sequence_number=3, qualifier_code="BG", code="AJ"),
        row(sequence_number=4, qualifier_code="BG", code="17"),
        row(sequence_number=5, qualifier_code="CLM11", code="AA", state_code="CT"),
        row(sequence_number=6, qualifier_code="CLM11", code="OA", state_code="CT"),
    ],
    "dates": [
        row(loop=loop, qualifier_code=code, format_code="D8", from_date=day(d), through_date=day(d))
        for loop, code, d in (
            ("2300", "431", "2025-04-20"), ("2300", "439", "2025-04-18"),
            ("2300", "435", "2025-04-21"), ("2300", "096", "2025-04-24"),
            ("2330B", "573", "2025-05-01"),
        )
    ] + [
        row(line_number=1, loop="2400", qualifier_code="472", format_code="RD8",
             from_date=day("2025-04-21"), through_date=day("2025-04-24")),
    ] + [
        row(line_number=n, loop=loop, qualifier_code=code, format_code="D8", from_date=day(d),
             through_date=day(d))
        for n, loop, code, d in (
            (1, "2400", "471", "2025-04-20"), (1, "2430", "573", "2025-05-02"),
            (1, "2430", "573", "2025-05-09"), (2, "2400", "472", "2025-04-21"),
        )
    ],
    "references": [
        row(loop=loop, qualifier_code=code, reference_number=number)
        for loop, code, number in (
            ("2010AA", "EI", "061234567"), ("2300", "9F", "REFER88"), ("2300", "G1", "AUTHP11"),
            ("2300", "F8", "000000000123"), ("2300", "D9", "CLEAR55"), ("2300", "EA", "MRN0042"),
            ("2310A", "G2", "MARL900"), ("2310C", "LU", "SITE3"), ("2330B", "F8", "SHH000777"),
        )
    ] + [
        row(line_number=1, loop=loop, qualifier_code=code, reference_number=number)
        for loop, code, number in (
            ("2400", "G1", "LINEAUTH"), ("2400", "6R", "LINE-1"), ("2400", "9F", "LINEREF"),
            ("2410", "XZ", "RX7788"), ("2420E", "G2", "QUEN1"),
        )
    ],
    "amounts": [
        row(loop="2300", qualifier_code="F5", value_amount=2500),
        row(loop="2320", qualifier_code="D", value_amount=60025),
        row(loop="2320", qualifier_code="A8", value_amount=1200),
        row(loop="2320", qualifier_code="EAF", value_amount=39850),
        row(line_number=1, loop="2400", qualifier_code="T", value_amount=440),
        row(line_number=1, loop="2430", qualifier_code="EAF", value_amount=30000),
    ],
    "notes": [
        row(qualifier_code="K3", note="STATE DATA HERE"),
        row(qualifier_code="ADD", note="SEEN WITH AN INTERPRETER"),
        row(line_number=1, qualifier_code="K3", note="LINE FIXED DATA"),
        row(line_number=1, qualifier_code="ADD", note="A LINE NOTE"),
    ],
    "attachments": [
        row(report_type_code="OZ", transmission_code="EL", control_number="ATT4471"),
        row(line_number=1, report_type_code="OZ", transmission_code="BM",
             control_number="LINEATT1"),
    ],
    "certifications": [
        row(category_code="07", response_code="Y", condition_codes="01:04:05"),
        row(category_code="75", response_code="Y", condition_codes="IH"),
        row(line_number=1, category_code="07", response_code="N", condition_codes="06:09"),
    ],
    "other_payers": [
        row(payer_sequence=1, responsibility_code="S", relationship_code="01",
             group_number="GRP12", insurance_type_code="12", claim_filing_code="CI",
             insured_last_name="TALLOWAY",
             subscriber_number="OT123", payer_name="SECOND HARVEST HEALTH", payer_number="SHH01",
             payer_claim_number="SHH000777", paid_amount=60025, noncovered_amount=1200,
             remaining_liability_amount=39850, adjudication_date=day("2025-05-01"),
             assignment_code="Y", release_code="I"),
        row(payer_sequence=2, responsibility_code="T", relationship_code="18",
             claim_filing_code="MB", insured_last_name="TALLOWAY", subscriber_number="MB444",
             payer_name="THIRD ROCK MUTUAL", payer_number="TRM09", assignment_code="N",
             release_code="Y"),
    ],
    "other_payer_lines": [
        row(line_number=1, adjudication_sequence=1, payer_number="SHH01", paid_amount=50025,
             procedure_code="25600", modifier_codes="RT:22", unit_quantity=1500,
             adjudication_date=day("2025-05-02"), remaining_liability_amount=30000),
        row(line_number=1, adjudication_sequence=2, payer_number="TRM09", paid_amount=0,
             procedure_code="25600", unit_quantity=1000, adjudication_date=day("2025-05-09")),
    ],
    "other_payer_adjustments": [
        # one CAS of six triples: 100.5×1, 20, 30.25×2, .5, 0×0, 1.01×3
        row(payer_sequence=1, group_code="PR", reason_code="1", adjustment_amount=10050,
             adjustment_quantity=1000),
        row(payer_sequence=1, group_code="PR", reason_code="2", adjustment_amount=2000),
        row(payer_sequence=1, group_code="PR", reason_code="3", adjustment_amount=3025,
             adjustment_quantity=2000),
        row(payer_sequence=1, group_code="PR", reason_code="45", adjustment_amount=50),
        row(payer_sequence=1, group_code="PR", reason_code="96", adjustment_amount=0,
             adjustment_quantity=0),
        row(payer_sequence=1, group_code="PR", reason_code="97", adjustment_amount=101,
             adjustment_quantity=3000),
        row(payer_sequence=1, group_code="CO", reason_code="45", adjustment_amount=1000),
        row(line_number=1, adjudication_sequence=1, group_code="PR", reason_code="1",
             adjustment_amount=30000, adjustment_quantity=1000),
        row(line_number=1, adjudication_sequence=1, group_code="CO", reason_code="45",
             adjustment_amount=10000),
    ],
}  # fmt: skip

# ---- an 837I with everything -----------------------------------------------------------------

INSTITUTIONAL_ROWS: dict[str, Rows] = {
    "claims": [row(
        claim_type_code="I", source_format_code="837I", submission_date=day("2025-06-02"),
        transaction_purpose_code="00", claim_or_encounter_code="CH",
        patient_control_number="I11", charge_amount=840040, facility_code="11",
        facility_qualifier_code="A", frequency_code="8", assignment_code="C",
        benefits_assignment_code="W", release_code="I", delay_reason_code="5",
        statement_from_date=day("2025-05-04"), statement_through_date=day("2025-05-09"),
        admission_date=day("2025-05-04"), admission_hour_code="0915", discharge_hour_code="1430",
        admission_type_code="2", admission_source_code="7", patient_status_code="01",
        diagnosis_related_group_code="291", contract_type_code="01", contract_amount=700000,
        patient_paid_amount=12035, original_claim_number="000000000456",
        prior_authorization_number="IAUTH", referral_number="IREFER",
        medical_record_number="IMRN", clearinghouse_number="ICLEAR", responsibility_code="P",
        relationship_code="18", group_number="GRP77", claim_filing_code="HM",
        subscriber_number="CP0000001", patient_last_name="TALLOWAY", patient_first_name="ORRIN",
        patient_birth_date=day("1971-04-17"), patient_sex_code="M", payer_number="CPCT1",
        billing_npi=npi(0), billing_tax_number="061234567", billing_taxonomy_code="207Q00000X",
        rendering_npi=NPIS["rendering"], referring_npi=NPIS["referring"],
        attending_npi=NPIS["attending"], facility_npi=NPIS["facility"],
        facility_zip_code="068100003",
    )],
    "lines": [
        row(line_number=1, assigned_number="1", revenue_code="0120", charge_amount=700040,
             noncovered_amount=10040, unit_basis_code="DA", unit_quantity=5000,
             service_from_date=day("2025-05-04"), service_through_date=day("2025-05-09")),
        row(line_number=2, assigned_number="2", revenue_code="0250",
             procedure_qualifier_code="HC", procedure_code="J0131", modifier_codes="JW:KX",
             charge_amount=140000, unit_basis_code="UN", unit_quantity=10250,
             service_from_date=day("2025-05-05"), service_through_date=day("2025-05-05"),
             line_control_number="ILINE-2", drug_code="00555067890", drug_quantity=10000,
             drug_unit_code="UN", prescription_number="LNK1",
             rendering_npi=NPIS["line_rendering"]),
    ],
    "people": [dict(SUBSCRIBER, role="patient"), dict(SUBSCRIBER, role="subscriber")],
    "claim_providers": [
        dict({k: v for k, v in BILLING.items() if k != "first_name"}, entity_type_code="2",
             last_name="FERNHOLLOW HOSPITAL"),
        row(role_code="71", entity_type_code="1", last_name="BRACKENWELL", first_name="TESS",
             middle_name="M", suffix="JR", npi=NPIS["attending"], taxonomy_code="207R00000X"),
        row(role_code="72", entity_type_code="1", last_name="CALDECOT", first_name="REX",
             npi=NPIS["operating"]),
        row(role_code="ZZ", entity_type_code="1", last_name="DUNMORREL", first_name="SUE"),
        row(role_code="82", entity_type_code="1", last_name="EASTLEIGH", first_name="PAM",
             npi=NPIS["rendering"]),
        row(role_code="77", entity_type_code="2", last_name="FERNHOLLOW HOSPITAL",
             npi=NPIS["facility"], address_line="77 WARD PLAZA", city="DANBURY", state_code="CT",
             zip_code="068100003"),
        row(role_code="DN", entity_type_code="1", last_name="GOSSAMERE", first_name="LEO",
             npi=NPIS["referring"]),
        row(line_number=2, role_code="82", entity_type_code="1", last_name="EASTLEIGH",
             first_name="ROY", npi=NPIS["line_rendering"]),
    ],
    "diagnoses": [
        row(sequence_number=n, qualifier_code=q, diagnosis_code=c)
        | ({"present_on_admission_code": p} if p else {})
        for n, (q, c, p) in enumerate((
            ("ABK", "I5022", "Y"), ("ABJ", "R0602", ""), ("APR", "R0789", ""), ("APR", "R55", ""),
            ("ABN", "W19XXXA", "N"), ("ABN", "Y92009", ""), ("ABF", "E1165", "Y"),
            ("ABF", "N179", "U"),
        ), start=1)
    ],
    "procedures": [
        row(sequence_number=n, qualifier_code=q, procedure_code=c, procedure_date=day(d))
        for n, (q, c, d) in enumerate((
            ("BBR", "02HV33Z", "2025-05-05"), ("BBQ", "5A1D70Z", "2025-05-06"),
            ("BBQ", "30233N1", "2025-05-07"),
        ), start=1)
    ],
    "occurrences": [
        row(sequence_number=1, qualifier_code="BI", code="70", from_date=day("2025-04-01"),
             through_date=day("2025-04-03")),
        row(sequence_number=2, qualifier_code="BI", code="M0", from_date=day("2025-05-04"),
             through_date=day("2025-05-09")),
        row(sequence_number=3, qualifier_code="BH", code="11", from_date=day("2025-05-01")),
        row(sequence_number=4, qualifier_code="BH", code="A3", from_date=day("2025-05-09")),
        row(sequence_number=5, qualifier_code="BE", code="01", value_amount=120050),
        row(sequence_number=6, qualifier_code="BE", code="80", value_amount=500),
        row(sequence_number=7, qualifier_code="BG", code="C5"),
        row(sequence_number=8, qualifier_code="BG", code="67"),
        row(sequence_number=9, qualifier_code="TC", code="A01"),
    ],
    "dates": [
        row(loop="2300", qualifier_code="096", format_code="TM", time_code="1430"),
        row(loop="2300", qualifier_code="434", format_code="RD8", from_date=day("2025-05-04"),
             through_date=day("2025-05-09")),
        row(loop="2300", qualifier_code="435", format_code="DT", from_date=day("2025-05-04"),
             through_date=day("2025-05-04"), time_code="0915"),
        row(loop="2330B", qualifier_code="573", format_code="D8", from_date=day("2025-05-20"),
             through_date=day("2025-05-20")),
        row(line_number=1, loop="2400", qualifier_code="472", format_code="RD8",
             from_date=day("2025-05-04"), through_date=day("2025-05-09")),
        row(line_number=2, loop="2400", qualifier_code="472", format_code="D8",
             from_date=day("2025-05-05"), through_date=day("2025-05-05")),
        row(line_number=2, loop="2430", qualifier_code="573", format_code="D8",
             from_date=day("2025-05-21"), through_date=day("2025-05-21")),
    ],
    "references": [
        row(loop=loop, qualifier_code=code, reference_number=number)
        for loop, code, number in (
            ("2010AA", "EI", "061234567"), ("2300", "9F", "IREFER"), ("2300", "G1", "IAUTH"),
            ("2300", "F8", "000000000456"), ("2300", "D9", "ICLEAR"), ("2300", "EA", "IMRN"),
            ("2310A", "0B", "LIC555"), ("2310C", "G2", "DUN77"), ("2330B", "F8", "FWA000111"),
        )
    ] + [
        row(line_number=2, loop=loop, qualifier_code=code, reference_number=number)
        for loop, code, number in (
            ("2400", "6R", "ILINE-2"), ("2410", "VY", "LNK1"), ("2420C", "G2", "EAST2"),
        )
    ],
    "amounts": [
        row(loop="2300", qualifier_code="F3", value_amount=12035),
        row(loop="2320", qualifier_code="D", value_amount=500000),
        row(line_number=2, loop="2400", qualifier_code="N8", value_amount=330),
        row(line_number=2, loop="2430", qualifier_code="EAF", value_amount=0),
    ],
    "notes": [
        row(qualifier_code="K3", note="INPATIENT FIXED"),
        row(qualifier_code="DGN", note="HISTORY TAKEN"),
        row(qualifier_code="ADD", note="BILLED AGAIN"),
        row(line_number=2, qualifier_code="TPO", note="REPRICED"),
    ],
    "attachments": [
        row(report_type_code="B4", transmission_code="FX", control_number="IATT1"),
        row(line_number=2, report_type_code="B4", transmission_code="FX",
             control_number="ILINE1"),
    ],
    "certifications": [row(category_code="ZZ", response_code="Y", condition_codes="NU")],
    "other_payers": [
        row(payer_sequence=1, responsibility_code="P", relationship_code="18",
             group_number="GRP9", claim_filing_code="16", insured_last_name="TALLOWAY",
             subscriber_number="OI321", payer_name="FOURTH WALL ASSURANCE", payer_number="FWA88",
             payer_claim_number="FWA000111", paid_amount=500000,
             adjudication_date=day("2025-05-20"), assignment_code="Y", release_code="Y"),
    ],
    "other_payer_lines": [
        row(line_number=2, adjudication_sequence=1, payer_number="FWA88", paid_amount=90000,
             procedure_code="J0131", modifier_codes="JW", unit_quantity=10000,
             adjudication_date=day("2025-05-21"), remaining_liability_amount=0),
    ],
    "other_payer_adjustments": [
        row(payer_sequence=1, group_code="PR", reason_code="2", adjustment_amount=7525),
        row(line_number=2, adjudication_sequence=1, group_code="CO", reason_code="45",
             adjustment_amount=49999),
        row(line_number=2, adjudication_sequence=1, group_code="CO", reason_code="253",
             adjustment_amount=1),
    ],
}  # fmt: skip


@cache
def full(kind: str) -> FileReading:
    return read_file((professional if kind == "P" else institutional)(1, full=True))


@pytest.mark.parametrize("name", FRAMES)
def test_every_column_of_an_837p(name: str) -> None:
    read = full("P")
    assert read.objections.is_empty()
    assert told(read.frames[name]) == PROFESSIONAL_ROWS[name]


@pytest.mark.parametrize("name", FRAMES)
def test_every_column_of_an_837i(name: str) -> None:
    read = full("I")
    assert read.objections.is_empty()
    assert told(read.frames[name]) == INSTITUTIONAL_ROWS[name]


ELSEWHERE = {  # columns whose filling another test here asserts
    "claims": {"insurance_type_code", "received_date"},  # received_date is the caller's
    "people": {"address_line_more", "country_code", "death_date"},
    "claim_providers": {"other_number", "country_code"},
    "attachments": {"kind_code", "document_date", "payer_name"},  # paper's
    "other_payers": {"remark_codes"},
}


def test_no_column_is_left_out() -> None:
    for name, schema in FRAMES.items():
        rows = PROFESSIONAL_ROWS[name] + INSTITUTIONAL_ROWS[name]
        asserted = {column for row in rows for column in row}
        missing = schema.columns().keys() - asserted - {"claim_id"}
        assert missing == ELSEWHERE.get(name, set()), name


@pytest.mark.parametrize("make", [professional, institutional])
def test_the_frames_have_their_contract_s_types(make: Any) -> None:
    read = read_file(make(2, full=True, dependents=True))
    for name, schema in FRAMES.items():
        columns = {n: c.dtype for n, c in schema.columns().items()}
        assert dict(read.frames[name].schema) == columns, name
    sources = frames.ClaimSources.columns().keys() - {"file_id"}  # the store's
    assert sources <= set(read.frames["sources"].columns)


# ---- who is who ------------------------------------------------------------------------------


def test_a_child_s_claim() -> None:
    read = put(
        "PAT*19",
        "PAT*19****D8*20250530",
        [claim("C1"), claim("C2")],
        dependent=[True, False],
    )
    assert read.objections.is_empty()
    child = row(
        role="patient", entity_type_code="1", last_name="TALLOWAY", first_name="PIPPA",
        address_line="18 HERON LN", city="HAMDEN", state_code="CT", zip_code="06514",
        birth_date=day("2014-09-30"), sex_code="F", death_date=day("2025-05-30"),
    )  # fmt: skip
    second = dict(SUBSCRIBER, member_number="CP0000002")
    assert told(read.frames["people"]) == [
        child,
        dict(SUBSCRIBER, role="subscriber"),
        dict(second, role="patient"),  # the next subscriber's own claim isn't the child's
        dict(second, role="subscriber"),
    ]
    columns = ["subscriber_number", "relationship_code", "patient_first_name", "patient_sex_code"]
    assert read.frames["claims"].select(columns).rows() == [
        ("CP0000001", "19", "PIPPA", "F"),
        ("CP0000002", "18", "ORRIN", "M"),
    ]


def test_a_subscriber_s_death_abroad() -> None:
    made = body([claim("C1"), claim("C2")])
    at = made.index("N3*18 HERON LN")
    made[at : at + 2] = ["N3*2 RUE DU PORT*ESCALIER B", "N4*LYON***FR"]
    made.insert(made.index("SBR*P*18*GRP77******HM") + 1, "PAT*****D8*20250531")
    read = reading(transaction(made))
    assert read.objections.is_empty()
    abroad = read.frames["people"].filter(role="patient").to_dicts()[0]
    assert (abroad["address_line_more"], abroad["country_code"]) == ("ESCALIER B", "FR")
    assert abroad["state_code"] is None and abroad["zip_code"] is None
    assert read.frames["people"]["death_date"].to_list() == [day("2025-05-31"), None, None, None]


def test_the_insurance_type() -> None:
    read = put("SBR*", "SBR*S*18*GRP77**47****MB", [claim("C1")])
    assert read.objections.is_empty()
    row = read.frames["claims"].row(0, named=True)
    assert (row["responsibility_code"], row["insurance_type_code"]) == ("S", "47")


def test_a_pay_to_address_and_plan() -> None:
    more = """
        REF*EI*061234567
        NM1*87*2
        N3*PO BOX 9
        N4*VANCOUVER*BC*V5K0A1*CA
        NM1*PE*2*PLAINFIELD PLAN*****PI*PFP22
        N3*1 PLAN PLAZA
        N4*DERBY*CT*06418
        REF*2U*PFPX
        REF*EI*069876543
    """
    read = put("REF*EI", more, [claim("C1"), claim("C2")])
    assert read.objections.is_empty()
    parties = [
        BILLING,
        row(role_code="87", entity_type_code="2", address_line="PO BOX 9", city="VANCOUVER",
             state_code="BC", zip_code="V5K0A1", country_code="CA"),
        row(role_code="PE", entity_type_code="2", last_name="PLAINFIELD PLAN",
             other_number="PFP22", tax_number="069876543", address_line="1 PLAN PLAZA",
             city="DERBY", state_code="CT", zip_code="06418"),
    ]  # fmt: skip
    assert told(read.frames["claim_providers"]) == parties * 2  # of both claims
    references = [
        row(loop=loop, qualifier_code=code, reference_number=number)
        for loop, code, number in (
            ("2010AA", "EI", "061234567"), ("2010AC", "2U", "PFPX"), ("2010AC", "EI", "069876543"),
        )
    ]  # fmt: skip
    assert told(read.frames["references"]) == references * 2
    assert read.frames["claims"]["billing_tax_number"].to_list() == ["061234567"] * 2


def test_references_of_those_above_are_each_claim_s_below() -> None:
    made = body([claim("C1"), claim("C2"), claim("C3")], dependent=[True])
    made.insert(made.index("DMG*D8*20140930*F") + 1, "REF*Y4*CASE1")
    first = made.index("DMG*D8*19710417*M")
    made.insert(first + 1, "REF*SY*123456789")
    read = reading(transaction(made))
    assert read.objections.is_empty()
    assert read.frames["references"].select("claim_id", "loop", "qualifier_code").rows() == [
        (0, "2010AA", "EI"), (0, "2010BA", "SY"), (0, "2010CA", "Y4"),
        (1, "2010AA", "EI"), (2, "2010AA", "EI"),
    ]  # fmt: skip


def test_several_claims_of_one_subscriber() -> None:
    read = reading(transaction(body([claim("C1"), claim("C2"), claim("C3")], together=True)))
    assert read.objections.is_empty()
    assert read.frames["claims"]["subscriber_number"].to_list() == ["CP0000001"] * 3
    assert read.frames["people"].height == 6
    assert read.frames["lines"].select("claim_id", "line_number").rows() == [
        (c, n) for c in range(3) for n in (1, 2)
    ]


def test_each_claim_has_the_provider_above_it() -> None:
    made = body([claim(f"C{n}") for n in range(5)], provider_every=2)
    read = reading(transaction(made))
    assert read.frames["claims"]["billing_npi"].to_list() == [
        npi(0), npi(0), npi(1), npi(1), npi(2),
    ]  # fmt: skip
    assert read.frames["claim_providers"].filter(role_code="85").height == 5


def test_without_a_facility_the_billing_provider_s_zip_counts() -> None:
    read = read_file(professional(1))
    assert read.frames["claims"]["facility_zip_code"].to_list() == ["064500001"]


def test_the_first_of_two_counts() -> None:
    """Where a value has one column and the segment stands twice, the first is taken."""
    read = put("HI*", "REF*G1*ONE\nREF*G1*TWO\nHI*ABK:E119", [claim("C1")])
    assert read.frames["claims"]["prior_authorization_number"].to_list() == ["ONE"]
    assert read.objections["code"].to_list() == ["5"]  # and the second is an objection


# ---- exactness -------------------------------------------------------------------------------

AMOUNTS: tuple[tuple[str, int | None], ...] = (
    ("12", 1200), ("12.3", 1230), ("12.34", 1234), (".5", 50), ("-3", -300), ("0", 0),
    ("-0.01", -1), ("12.340", 1234), ("0012", 1200), ("12.345", None), ("0.001", None),
    ("99999999.99", 9_999_999_999), ("-99999999.99", -9_999_999_999), ("100000000", None),
    ("-100000000", None), ("999999999999999999", None), ("1e3", None), ("-", None),
    ("1,000", None), ("+5", None), ("--5", None), ("1.2.3", None), (".", None), ("12-", None),
)  # fmt: skip


def test_an_amount_is_exact_or_an_objection() -> None:
    claims = [
        [s.replace("*180.5*", f"*{text}*") if s.startswith("CLM*") else s for s in claim(f"C{n}")]
        for n, (text, _) in enumerate(AMOUNTS)
    ]
    read = reading(transaction(body(claims)))
    assert read.frames["claims"]["charge_amount"].to_list() == [cents for _, cents in AMOUNTS]
    said = read.objections.select("level", "claim_id", "reference").unique(maintain_order=True)
    assert said.rows() == [
        ("claim", n, "CLM02") for n, (_, cents) in enumerate(AMOUNTS) if cents is None
    ]


AMOUNT_PLACES = (  # (a segment of the full claim, what it becomes, frame, column, place)
    ("SV1*HC:25600", "SV1*HC:25600*{}*UN*1***1", "lines", "charge_amount", "SV102"),
    ("CN1*", "CN1*02*{}", "claims", "contract_amount", "CN102"),
    ("AMT*F5", "AMT*F5*{}", "claims", "patient_paid_amount", "AMT02"),
    ("AMT*D*", "AMT*D*{}", "other_payers", "paid_amount", "AMT02"),
    ("AMT*T*", "AMT*T*{}", "amounts", "value_amount", "AMT02"),
    ("SVD*SHH01", "SVD*SHH01*{}*HC:25600**1", "other_payer_lines", "paid_amount", "SVD02"),
    ("CAS*CO*45*10", "CAS*CO*45*10**96*{}", "other_payer_adjustments", "adjustment_amount",
     "CAS06"),
)  # fmt: skip


def test_every_amount_is_exact_or_an_objection() -> None:
    """A claim for each place: first with an amount that is one, then with a tenth of a cent."""
    claims: list[list[str]] = []
    for old, new, *_ in AMOUNT_PLACES:
        for amount in ("77.07", "77.077"):
            made = claim(f"C{len(claims)}", full=True)
            at = next(i for i, s in enumerate(made) if s.startswith(old))
            claims.append([*made[:at], new.format(amount), *made[at + 1 :]])
    read = reading(transaction(body(claims)))
    for n, (old, _, frame, column, reference) in enumerate(AMOUNT_PLACES):
        good, bad = (read.frames[frame].filter(claim_id=c)[column] for c in (2 * n, 2 * n + 1))
        assert 7707 in good.to_list() and 7707 not in bad.to_list(), reference
        assert read.objections.filter(claim_id=2 * n).is_empty()
        said = read.objections.filter(claim_id=2 * n + 1)
        assert set(said.select("level", "segment", "reference", "code").rows()) == {
            ("claim", old.split("*")[0], reference, "6")
        }


def test_quantities_are_thousandths_and_percentages_basis_points() -> None:
    quantities = (("2", 2000), ("2.125", 2125), (".001", 1), ("2.1250", 2125), ("2.1255", None))
    percentages = (("12.5", 1250), ("100", 10_000), (".01", 1), ("12.345", None))
    claims: list[list[str]] = []
    for text, _ in quantities:
        claims.append(
            [s.replace("*UN*1.5*", f"*UN*{text}*") for s in claim(f"Q{len(claims)}", full=True)]
        )
    for text, _ in percentages:
        claims.append(
            [s.replace("*800*12.5*", f"*800*{text}*") for s in claim(f"Q{len(claims)}", full=True)]
        )
    read = reading(transaction(body(claims)))
    first = read.frames["lines"].filter(line_number=1)["unit_quantity"].to_list()
    assert first == [thousandths for _, thousandths in quantities] + [1500] * 4
    points = read.frames["claims"]["contract_basis_points"].to_list()
    assert points == [1250] * 5 + [points for _, points in percentages]
    assert read.objections.select("claim_id", "reference", "code").rows() == [
        (4, "SV104", "6"), (8, "CN103", "6"),
    ]  # fmt: skip


COMPOSITES = (  # (what an HI becomes, the place that can't be read)
    ("HI*BH:11:D8:20250230", "HI01-04"),
    ("HI*BH:11:D8:20250501*BH:A3:D8:2025", "HI02-04"),
    ("HI*BH:11:D8:20250501-20250502", "HI01-04"),
    ("HI*BI:70:RD8:20250401", "HI01-04"),
    ("HI*BI:70:RD8:20250401-20250431", "HI01-04"),
    ("HI*BI:70:RD8:20250431-20250501", "HI01-04"),
    ("HI*BBR:02HV33Z:D8:NEVER", "HI01-04"),
    ("HI*BE:01:::1200.505", "HI01-05"),
    ("HI*BE:01:::1200*BE:80:::100000000", "HI02-05"),
)


def test_a_date_or_amount_of_a_composite_is_never_lost() -> None:
    """pyx12 takes any text there; we don't."""
    claims: list[list[str]] = []
    for new, _ in COMPOSITES:
        made = claim(f"C{len(claims)}", kind="I", full=True)
        at = next(i for i, s in enumerate(made) if s.startswith(new.split(":")[0]))
        claims.append([*made[:at], new, *made[at + 1 :]])
    made = body(claims, kind="I")
    read = reading(transaction(made, guide=INSTITUTIONAL), "I")
    assert read.objections.select("level", "claim_id", "segment", "reference").rows() == [
        ("claim", n, "HI", reference) for n, (_, reference) in enumerate(COMPOSITES)
    ]
    # the other value of the same segment is still read
    found = read.frames["occurrences"]
    assert found.filter(claim_id=1, code="11")["from_date"].to_list() == [day("2025-05-01")]
    assert found.filter(claim_id=8, code="01")["value_amount"].to_list() == [120000]


# ---- diagnoses and text ----------------------------------------------------------------------


def test_every_diagnosis_qualifier_of_icd_9_and_10() -> None:
    ninth = """
        HI*BK:4280:::::::Y
        HI*BJ:78605
        HI*PR:78650
        HI*BN:E8889
        HI*BF:25000*BF:5849
        HI*BR:3893:D8:20250505
        HI*BQ:3995:D8:20250506
    """
    read = put("HI*ABK", ninth, [claim("C1", kind="I")], kind="I")
    assert read.objections.is_empty()
    assert read.frames["diagnoses"].select("qualifier_code", "diagnosis_code").rows() == [
        ("BK", "4280"), ("BJ", "78605"), ("PR", "78650"), ("BN", "E8889"), ("BF", "25000"),
        ("BF", "5849"),
    ]  # fmt: skip
    assert read.frames["procedures"].select("qualifier_code", "procedure_code").rows() == [
        ("BR", "3893"), ("BQ", "3995"),
    ]  # fmt: skip


def test_twelve_diagnoses_keep_their_order() -> None:
    codes = [f"M{n:02d}9" for n in range(12)]
    segment = "HI*ABK:" + "*ABF:".join(codes)
    read = put("HI*", segment, [claim("C1"), claim("C2")])
    assert read.objections.is_empty()
    first = read.frames["diagnoses"].filter(claim_id=0)
    assert first["diagnosis_code"].to_list() == codes
    assert first["sequence_number"].to_list() == list(range(1, 13))
    assert read.frames["diagnoses"].filter(claim_id=1)["sequence_number"].to_list() == [1, 2]


def test_a_name_beyond_ascii_is_kept_and_an_objection() -> None:
    """The guide's character set has no such letter; the name is still read as it was meant."""
    read = put("NM1*IL", "NM1*IL*1*TALLÖWÅY*ØRRIN****MI*CP1", [claim("C1"), claim("C2")])
    assert read.frames["claims"]["patient_last_name"].to_list() == ["TALLÖWÅY", "TALLOWAY"]
    assert read.objections.select("claim_id", "reference", "code").rows() == [
        (0, "NM103", "6"), (0, "NM104", "6"),
    ]  # fmt: skip
    assert read.frames["claims"]["charge_amount"].to_list() == [18050, 18050]
    # places count bytes of the file, whatever the letters
    sources = read.frames["sources"].row(1, named=True)
    data = write(interchange([group([transaction(body([claim("C1"), claim("C2")]))])]))
    assert data[sources["claim_start"] + 1 :][:3] != b"CLM"  # the names are of other lengths
    assert sources["claim_end"] - sources["claim_start"] == len(write(claim("C2")))


def test_empty_elements_are_nulls_not_empty_text() -> None:
    for name, frame in full("P").frames.items():
        for column in frame.columns:
            if frame[column].dtype == pl.String:
                assert "" not in frame[column].to_list(), (name, column)


def test_no_claims_no_rows() -> None:
    made = body([claim("C1")])
    before = made[: next(i for i, s in enumerate(made) if s.startswith("CLM*"))]
    read = reading(transaction(before))
    assert read.claim_count == 0
    # the guide requires no claim of a subscriber (pyx12's map says so too)
    assert read.sets["verdict"].to_list() == ["read"] and read.objections.is_empty()
    assert all(frame.is_empty() for frame in read.frames.values())


def test_remarks_of_other_payers_are_read_with_their_payer() -> None:
    """MIA05, MIA20 to 23, MOA03 to 07 in this order and nothing of the elements between them; a
    payer or a claim without such a segment has none."""
    payer = """
        SBR*{place}*18*******MB
        OI***N***Y{remarks}
        NM1*IL*1*TALLOWAY*ORRIN****MI*MB444
        NM1*PR*2*THIRD ROCK MUTUAL*****PI*TRM0{place}
    """
    mia = f"MIA*0**2*3*MA01{'*4' * 14}*N1*N895*M2*N7*5"
    remarks = ("", f"\n{mia}\nMOA*.5*6*N8****M15*7", "\nMOA*****N9")
    more = "".join(
        payer.format(place=place, remarks=said) for place, said in zip("ABC", remarks, strict=True)
    )
    made = [*claim("A1", kind="I"), *claim("A2", kind="I")]
    [at] = [i for i, s in enumerate(made) if s.startswith("LX*1")][:1]
    made[at:at] = segments(more)
    frame = reading(transaction(body([made], kind="I"), guide=INSTITUTIONAL), "I")
    assert frame.objections.is_empty()
    assert frame.frames["other_payers"].select("claim_id", "remark_codes").rows() == [
        (0, None), (0, "MA01:N1:N895:M2:N7:N8:M15"), (0, "N9"),
    ]  # fmt: skip
