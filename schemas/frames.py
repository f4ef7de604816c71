"""The contract of every frame that crosses a stage.

Money is Int64 cents, a percentage Int64 basis points, a quantity Int64 thousandths of its unit,
a date a Date. Keys: ``claim_id`` (the submission's number in the store) and ``line_number``
(position of the LX loop within its claim, from 1). Every column's description states its meaning,
unit and source; docs/data-dictionary.md is generated from them.
"""

from __future__ import annotations

from functools import cache

import dataframely as dy
import polars as pl

CENTS_LIMIT = 9_999_999_999  # 99,999,999.99: beyond it a claim is refused at reading


def key(description: str) -> dy.Int64:
    return dy.Int64(primary_key=True, description=description)


def text(description: str, *, required: bool = False) -> dy.String:
    return dy.String(nullable=not required, description=description)


def amount(description: str, *, required: bool = False) -> dy.Int64:
    return dy.Int64(nullable=not required, description=f"{description}; cents")


def number(description: str, *, required: bool = False) -> dy.Int64:
    return dy.Int64(nullable=not required, description=description)


def quantity(description: str, *, required: bool = False) -> dy.Int64:
    return dy.Int64(nullable=not required, description=f"{description}; thousandths")


def date(description: str, *, required: bool = False) -> dy.Date:
    return dy.Date(nullable=not required, description=description)


CLAIM = "the claim's submission number"
LINE = "position of the line within its claim, from 1"
LINE_OR_CLAIM = "the line, or null for the whole claim"


# ---- as read: one frame a grain --------------------------------------------------------------


class Claims(dy.Schema):
    """One row a claim (2300), with what is decided by and no names but the patient's."""

    claim_id = key(CLAIM)
    claim_type_code = dy.String(regex="^[PI]$", description="P professional, I institutional")
    source_format_code = text("837P, 837I, CMS1500 or UB04", required=True)
    received_date = date("day the file was received", required=True)
    submission_date = date("BHT04")
    transaction_purpose_code = text("BHT02")
    claim_or_encounter_code = text("BHT06: CH claim, RP encounter")
    patient_control_number = text("CLM01")
    charge_amount = amount("CLM02")
    facility_code = text("CLM05-1: place of service, or the bill type's first two digits")
    facility_qualifier_code = text("CLM05-2: B place of service, A bill type")
    frequency_code = text("CLM05-3")
    provider_signature_code = text("CLM06")
    assignment_code = text("CLM07")
    benefits_assignment_code = text("CLM08")
    release_code = text("CLM09")
    patient_signature_code = text("CLM10")
    special_program_code = text("CLM12")
    delay_reason_code = text("CLM20")
    statement_from_date = date("DTP 434, first day")
    statement_through_date = date("DTP 434, last day")
    admission_date = date("DTP 435")
    admission_hour_code = text("DTP 435 with a time: HHMM")
    discharge_date = date("DTP 096 with a date (837P)")
    discharge_hour_code = text("DTP 096 (837I): HHMM")
    accident_date = date("DTP 439")
    onset_date = date("DTP 431")
    admission_type_code = text("CL101")
    admission_source_code = text("CL102")
    patient_status_code = text("CL103")
    diagnosis_related_group_code = text("HI DR")
    contract_type_code = text("CN101")
    contract_amount = amount("CN102")
    contract_basis_points = number("CN103; basis points")
    contract_code = text("CN104")
    patient_paid_amount = amount("AMT F5 (837P), AMT F3 (837I: estimated responsibility)")
    original_claim_number = text("REF F8: the payer's number of the claim corrected")
    prior_authorization_number = text("REF G1")
    referral_number = text("REF 9F")
    medical_record_number = text("REF EA")
    clearinghouse_number = text("REF D9")
    ambulance_transport_reason_code = text("CR104")
    ambulance_distance_quantity = quantity("CR106, miles")
    responsibility_code = text("SBR01: P primary, S secondary, T tertiary …")
    relationship_code = text("SBR02, or PAT01 of the patient: 18 self, 01 spouse, 19 child …")
    group_number = text("SBR03")
    insurance_type_code = text("SBR05")
    claim_filing_code = text("SBR09")
    subscriber_number = text("2010BA NM109: the member's card number as sent")
    patient_last_name = text("2010CA or 2010BA NM103; upper case as sent")
    patient_first_name = text("2010CA or 2010BA NM104")
    patient_birth_date = date("2010CA or 2010BA DMG02")
    patient_sex_code = text("2010CA or 2010BA DMG03")
    payer_number = text("2010BB NM109")
    billing_npi = text("2010AA NM109")
    billing_tax_number = text("2010AA REF EI or SY")
    billing_taxonomy_code = text("2000A PRV03")
    rendering_npi = text("2310B (837P), 2310D (837I) NM109 of role 82")
    referring_npi = text("2310A (837P), 2310F (837I) NM109 of role DN")
    attending_npi = text("2310A (837I) NM109 of role 71")
    facility_npi = text("2310C (837P), 2310E (837I) NM109 of role 77")
    facility_zip_code = text("N403 of role 77, or of the billing provider")


class Lines(dy.Schema):
    """One row a service line (2400)."""

    claim_id = key(CLAIM)
    line_number = key(LINE)
    assigned_number = text("LX01 as sent")
    revenue_code = text("SV201")
    procedure_qualifier_code = text("SV101-1, SV202-1")
    procedure_code = text("SV101-2, SV202-2")
    modifier_codes = text("SV101-3 to -6, SV202-3 to -6, joined by a colon")
    procedure_description = text("SV101-7, SV202-7")
    charge_amount = amount("SV102, SV203")
    noncovered_amount = amount("SV207")
    unit_basis_code = text("SV103, SV204: UN units, MJ minutes, DA days")
    unit_quantity = quantity("SV104, SV205")
    place_of_service_code = text("SV105, else the claim's")
    diagnosis_pointers = text("SV107, joined by a colon")
    emergency_code = text("SV109")
    epsdt_code = text("SV111")
    family_planning_code = text("SV112")
    copay_status_code = text("SV115")
    service_from_date = date("DTP 472, first day")
    service_through_date = date("DTP 472, last day")
    line_control_number = text("REF 6R")
    prior_authorization_number = text("REF G1")
    referral_number = text("REF 9F")
    drug_code = text("LIN03 (NDC)")
    drug_quantity = quantity("CTP04")
    drug_unit_code = text("CTP05-1")
    prescription_number = text("2410 REF XZ or VY")
    rendering_npi = text("2420A (837P), 2420C (837I) NM109 of role 82")


class People(dy.Schema):
    """One row a person named on a claim: subscriber and patient. Joined only for output."""

    claim_id = key(CLAIM)
    role = dy.String(primary_key=True, regex="^(subscriber|patient)$", description="which person")
    entity_type_code = text("NM102")
    last_name = text("NM103")
    first_name = text("NM104")
    middle_name = text("NM105")
    suffix = text("NM107")
    member_number = text("NM109")
    address_line = text("N301")
    address_line_more = text("N302")
    city = text("N401")
    state_code = text("N402")
    zip_code = text("N403")
    country_code = text("N404")
    birth_date = date("DMG02")
    sex_code = text("DMG03")
    death_date = date("PAT06")


class ClaimProviders(dy.Schema):
    """One row a provider named on a claim or line, in every role."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    role_code = text(
        "NM101: 85 billing, 87 pay-to, PE pay-to plan, 82 rendering, DN/P3 referring, 77 facility, "
        "DQ supervising, 71 attending, 72 operating, ZZ other operating, DK ordering, "
        "QB purchased service, PW/45 pick-up and drop-off",
        required=True,
    )
    entity_type_code = text("NM102")
    last_name = text("NM103: last name or organisation")
    first_name = text("NM104")
    middle_name = text("NM105")
    suffix = text("NM107")
    npi = text("NM109 where NM108 is XX")
    other_number = text("NM109 where NM108 is not XX")
    taxonomy_code = text("PRV03")
    tax_number = text("REF EI or SY")
    address_line = text("N301")
    address_line_more = text("N302")
    city = text("N401")
    state_code = text("N402")
    zip_code = text("N403")
    country_code = text("N404")


class Diagnoses(dy.Schema):
    """One row a diagnosis (HI composite)."""

    claim_id = key(CLAIM)
    sequence_number = key("position among the claim's diagnoses, from 1, in the order sent")
    qualifier_code = text(
        "HI xx-1: ABK/BK principal, ABF/BF other, ABJ/BJ admitting, "
        "APR/PR reason for visit, ABN/BN external cause",
        required=True,
    )
    diagnosis_code = text("HI xx-2, without a point", required=True)
    present_on_admission_code = text("HI xx-9")


class Procedures(dy.Schema):
    """One row an ICD procedure of an institutional claim (HI BBR/BR/BBQ/BQ)."""

    claim_id = key(CLAIM)
    sequence_number = key("position, from 1")
    qualifier_code = text("HI xx-1", required=True)
    procedure_code = text("HI xx-2", required=True)
    procedure_date = date("HI xx-4")


class Occurrences(dy.Schema):
    """One row an occurrence, span, value, condition, treatment or related cause."""

    claim_id = key(CLAIM)
    sequence_number = key("position, from 1")
    qualifier_code = text(
        "BH occurrence, BI span, BE value, BG condition, TC treatment, "
        "BP anesthesia procedure, CLM11 related cause",
        required=True,
    )
    code = text("HI xx-2, or CLM11-1 to -3", required=True)
    from_date = date("HI xx-4")
    through_date = date("HI xx-4, last day of a span")
    value_amount = amount("HI xx-5")
    state_code = text("CLM11-4")


class Dates(dy.Schema):
    """One row a DTP of a claim, line or other payer, whatever its qualifier."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    loop = text("2300, 2330B, 2400 or 2430", required=True)
    qualifier_code = text("DTP01", required=True)
    format_code = text("DTP02")
    from_date = date("DTP03")
    through_date = date("DTP03, last day of a range")
    time_code = text("DTP03 of a time, HHMM")


class References(dy.Schema):
    """One row a REF of a claim, line or party, whatever its qualifier."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    loop = text("the loop it stood in", required=True)
    qualifier_code = text("REF01", required=True)
    reference_number = text("REF02")


class Amounts(dy.Schema):
    """One row an AMT of a claim or line."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    loop = text("the loop it stood in", required=True)
    qualifier_code = text("AMT01", required=True)
    value_amount = amount("AMT02")


class Notes(dy.Schema):
    """One row a NTE or K3."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    qualifier_code = text("NTE01, or K3", required=True)
    note = text("NTE02, K301")


class Attachments(dy.Schema):
    """One row a PWK, which announces a document, or a document that came with a paper claim."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    report_type_code = text("PWK01; null on paper")
    transmission_code = text("PWK02")
    control_number = text("PWK06")
    kind_code = text("paper: eob, auto_notice, description or notes; null of a PWK")
    document_date = date("paper: the day on the document")
    payer_name = text("paper: whose document")


class Certifications(dy.Schema):
    """One row a CRC condition of a claim or line."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    category_code = text("CRC01", required=True)
    response_code = text("CRC02")
    condition_codes = text("CRC03 to CRC07, joined by a colon")


class OtherPayers(dy.Schema):
    """One row another payer of the claim (2320)."""

    claim_id = key(CLAIM)
    payer_sequence = key("position of the 2320 loop within its claim, from 1")
    responsibility_code = text("SBR01")
    relationship_code = text("SBR02")
    group_number = text("SBR03")
    insurance_type_code = text("SBR05")
    claim_filing_code = text("SBR09")
    insured_last_name = text("2330A NM103")
    subscriber_number = text("2330A NM109")
    payer_name = text("2330B NM103")
    payer_number = text("2330B NM109")
    payer_claim_number = text("2330B REF F8")
    paid_amount = amount("AMT D")
    noncovered_amount = amount("AMT A8")
    remaining_liability_amount = amount("AMT EAF")
    adjudication_date = date("2330B DTP 573")
    assignment_code = text("OI03")
    release_code = text("OI06")
    remark_codes = text("MIA05, MIA20 to MIA23 and MOA03 to MOA07, joined by a colon")


class OtherPayerLines(dy.Schema):
    """One row a line as another payer decided it (2430)."""

    claim_id = key(CLAIM)
    line_number = key(LINE)
    adjudication_sequence = key("position of the 2430 loop within its line, from 1")
    payer_number = text("SVD01")
    paid_amount = amount("SVD02")
    procedure_code = text("SVD03-2")
    modifier_codes = text("SVD03-3 to -6, joined by a colon")
    unit_quantity = quantity("SVD05")
    adjudication_date = date("DTP 573")
    remaining_liability_amount = amount("AMT EAF")


class OtherPayerAdjustments(dy.Schema):
    """One row an adjustment triple of another payer's CAS."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    payer_sequence = number("which 2320 loop (claim level), else null")
    adjudication_sequence = number("which 2430 loop of the line (line level), else null")
    group_code = text("CAS01", required=True)
    reason_code = text("CAS02, 05, 08, 11, 14, 17", required=True)
    adjustment_amount = amount("CAS03, 06, 09, 12, 15, 18", required=True)
    adjustment_quantity = quantity("CAS04, 07, 10, 13, 16, 19")


class ClaimSources(dy.Schema):
    """Where a claim's bytes stand in its file: what a later night needs to read it again. Of paper
    the claim is its line; there is no envelope, and all else is empty."""

    claim_id = key(CLAIM)
    file_id = number("the stored file", required=True)
    isa_offset = number("first byte of its ISA", required=True)
    gs_offset = number("first byte of its GS", required=True)
    header_start = number("first byte of its ST", required=True)
    header_end = number("byte after the last header segment", required=True)
    provider_start = number("first byte of its 2000A", required=True)
    provider_end = number("byte after it, where 2000B begins", required=True)
    subscriber_start = number("first byte of its 2000B", required=True)
    subscriber_end = number("byte after it, where 2000C or the claim begins", required=True)
    patient_start = number(
        "first byte of its 2000C; equal to patient_end where there is none", required=True
    )
    patient_end = number("byte after it, where the claim begins", required=True)
    claim_start = number("first byte of its CLM", required=True)
    claim_end = number("byte after its last segment", required=True)
    interchange_number = text("ISA13")
    group_number = text("GS06")
    set_number = text("ST02")
    batch_reference = text("BHT03")


# ---- what stages add -------------------------------------------------------------------------


class IdentifiedClaims(Claims):
    """Claims after *identify*: who the member is, whom we pay."""

    claim_number = text("12 digits, given at intake to accepted claims")
    receipt_number = number("order of receipt over all nights", required=True)
    member_id = text("the member found by card number and birth date")
    member_match_code = text("found, none, name (name alone differs) or several", required=True)
    family_id = text("the member's family: whose deductible is shared")
    program_code = text("the program whose rules decide", required=True)
    payee_id = text("who is paid: the billing provider's payee")
    provider_id = text("the billing provider in the provider file")


class IdentifiedLines(Lines):
    """Lines after *identify*: coverage and contract on the line's date."""

    coverage_code = text("covered, before, after or gap; null where the member is unknown")
    plan_code = text("the plan in force on the line's date")
    contract_id = text("the contract in force on the line's date, null where there is none")
    network_code = text("in or out of the plan's network", required=True)
    decision_date = date("the line's date: service from, else statement from, else admission")


class HistoryLines(dy.Schema):
    """One row a line of an earlier night that still counts: paid (capitated too) or pended.

    Denied, voided and replaced lines are not here; nor are the claims tonight decides again.
    """

    claim_id = key(CLAIM)
    line_number = key(LINE)
    claim_number = text("12 digits", required=True)
    receipt_number = number("order of receipt over all nights", required=True)
    line_disposition = text("paid or pended", required=True)
    member_id = text("the member", required=True)
    claim_type_code = text("P professional, I institutional")
    payee_id = text("who was, or will be, paid")
    claim_provider_number = text(
        "of an institutional claim the facility: its billing NPI; else rendering NPI of the claim, "
        "else billing NPI"
    )
    provider_number = text("rendering NPI of the line, else of the claim, else billing NPI")
    procedure_code = text("procedure, or revenue code where there is none")
    modifier_codes = text("joined by a colon, in the order sent")
    unit_quantity = quantity("units")
    charge_amount = amount("charge")
    service_from_date = date("first day")
    service_through_date = date("last day")


class DuplicateLines(dy.Schema):
    """One row a line tonight that repeats an earlier one: *match*'s answer for the edits. A line
    that repeats one of history and one of tonight has two on nights with corrections."""

    claim_id = key(CLAIM)
    line_number = key(LINE)
    of_claim_id = key("the earlier claim")
    of_claim_number = text("its 12 digits", required=True)
    of_line_number = number("its line", required=True)


class SimilarLines(dy.Schema):
    """One row a line, of tonight or of history, that shares member, provider, code and dates with
    a line of another claim, one of them of tonight: *match*'s answer for the edits."""

    claim_id = key(CLAIM)
    line_number = key(LINE)
    service_number = number("one for the lines that share all of these", required=True)
    claim_number = text("12 digits", required=True)
    receipt_number = number("order of receipt over all nights", required=True)
    line_disposition = text("paid or pended in history; null: a line of tonight")
    modifier_codes = text("in alphabetical order, joined by a colon; empty where there is none")
    unit_quantity = quantity("units")
    charge_amount = amount("charge")


class Accumulators(dy.Schema):
    """One row a member's counters of a benefit year before tonight; cents."""

    member_id = dy.String(primary_key=True, description="whose counter")
    family_id = text("whose family counter", required=True)
    plan_code = dy.String(primary_key=True, description="the plan")
    network_code = dy.String(primary_key=True, description="in or out of network")
    benefit_year_start_date = dy.Date(primary_key=True, description="first day of the year")
    deductible_amount = amount("counted to the deductible", required=True)
    out_of_pocket_amount = amount("counted to the out-of-pocket maximum", required=True)


class ReferralVisits(dy.Schema):
    """One row how many visits a referral has had before tonight."""

    referral_number = dy.String(primary_key=True, description="the referral")
    visit_count = number("visits counted", required=True)


class AuthorizationUnits(dy.Schema):
    """One row how many units of an authorization were used before tonight."""

    authorization_number = dy.String(primary_key=True, description="the authorization")
    unit_quantity = quantity("units counted", required=True)


class BenefitUses(dy.Schema):
    """One row a visit or day that counted to a limit of a member's plan before tonight."""

    member_id = dy.String(primary_key=True, description="whose counter")
    plan_code = dy.String(primary_key=True, description="the plan")
    limit_code = dy.String(primary_key=True, description="the limit")
    condition_code = dy.String(
        primary_key=True, description="the condition treated, where it is counted apart; else empty"
    )
    benefit_year_start_date = dy.Date(primary_key=True, description="first day of the year")
    use_date = dy.Date(primary_key=True, description="the day")
    provider_number = dy.String(
        primary_key=True, description="rendering NPI of the line, else of the claim, else billing"
    )
    use_count = number("by how many claims, those taken back left out", required=True)


class OpenPends(dy.Schema):
    """One row what a claim brought forward waited for on the night before."""

    claim_id = key(CLAIM)
    pend_code = dy.String(primary_key=True, description="what it waited for")
    began_date = date("the first of the unbroken nights it waited for that", required=True)


class Overrides(dy.Schema):
    """One row a person's act on a claim: what it waits for released or denied; after a dispute, an
    edit waived."""

    override_number = key("order of the acts, from 1")
    claim_id = number(CLAIM, required=True)
    act = dy.String(regex="^(released|denied|waived)$", description="what the person did")
    edit = text("released: whose pends of this claim are passed; waived: whose denials too")
    pend_code = text("denied: what the claim waited for")
    group_code = text("CAS01 of the denial")
    carc = text("CARC of the denial")
    rarc = text("its remark")
    made_date = date("the day of the act", required=True)
    made_by = text("who did it", required=True)
    note = text("why", required=True)


class Reopened(dy.Schema):
    """One row a new version of a claim that we opened ourselves, to decide the claim anew."""

    claim_id = key(CLAIM)
    predecessor_claim_id = number("the version it takes the place of", required=True)
    remark_code = text("RARC by which the reversal tells why", required=True)


class Versions(dy.Schema):
    """One row a claim of an earlier night that one of tonight's may correct: those that a
    correction names, and every version before and after them."""

    claim_id = key(CLAIM)
    claim_number = text("12 digits", required=True)
    claim_type_code = text("P or I", required=True)
    payee_id = text("who was paid")
    program_code = text("whose money")
    member_id = text("the member")
    received_date = date("day of receipt", required=True)
    disposition = text("pended, denied, paid or voided; null: not decided yet")
    predecessor_claim_id = number("the version before it; of late charges, what they add to")
    version_number = number("from 1; late charges and originals have 1", required=True)
    charge_amount = amount("charge")
    paid_amount = amount("what was paid")
    service_from_date = date("first day of its lines")
    service_through_date = date("last day of its lines")


class TakenCopays(dy.Schema):
    """One row what a paid claim of an earlier night, to which late charges of tonight may add,
    took of a visit's copay."""

    claim_id = key(CLAIM)
    benefit_category = dy.String(primary_key=True, description="what the copay is for")
    network_code = dy.String(primary_key=True, description="in or out of network")
    decision_date = dy.Date(primary_key=True, description="day of the visit")
    copay_amount = amount("PR-3", required=True)


class Corrections(dy.Schema):
    """One row a claim of tonight that corrects another, or waits for what corrects it: *match*'s
    answer for all stages after it."""

    claim_id = key(CLAIM)
    frequency_code = text("5, 7, 8; R: reopened by us; null: it corrects nothing itself")
    outcome = text("found, none, several, voided or waits (its original can't be read tonight)")
    predecessor_claim_id = number("the version it takes the place of or adds to")
    predecessor_claim_number = text("12 digits of it")
    version_number = number("from 1", required=True)
    filing_date = date("by which it is told whether it came in time; null: its own receipt")
    remark_code = text("RARC by which a reversal tells why")
    corrected_by_claim_id = number("which claim of tonight corrects this one, which waits for it")
    corrected_by_claim_number = text("12 digits of it")


class CorrectedVersions(dy.Schema):
    """One row a version that a correction of tonight takes the place of when it is finalised."""

    claim_id = key("the correction's submission number")
    of_claim_id = key("the version's")
    finalised = dy.Bool(nullable=False, description="paid or denied, so that it is reversed")


class Reversals(dy.Schema):
    """One row a paid or denied claim of an earlier night that is reversed tonight."""

    claim_id = number("the submission number of what takes its place, or voids it", required=True)
    of_claim_id = key("the reversed claim's")
    remark_code = text("RARC that tells why", required=True)
    payee_id = text("whose 835", required=True)
    program_code = text("whose money", required=True)
    charge_amount = amount("the original's charge, negated", required=True)
    paid_amount = amount("what was paid, negated", required=True)


class Findings(dy.Schema):
    """One row what a validation or an edit reported."""

    claim_id = number(CLAIM, required=True)
    line_number = number(LINE_OR_CLAIM)
    edit = text("the edit or check that fired", required=True)
    edit_rank = number("its place in the written order", required=True)
    disposition = dy.String(regex="^(reject|deny|pend|inform)$", description="what it asks for")
    group_code = text("CAS01 it would put on the 835")
    carc = text("claim adjustment reason code")
    rarc = text("remittance advice remark code")
    pend_code = text("what a pend waits for")
    status_code = text("277CA claim status of a rejection")
    inputs = text("what it looked at, as JSON")


class CodingTables(dy.Schema):
    """One row a correct coding table that is loaded, and a run of days on which it holds.

    On a day in none of its runs the table says nothing, and nothing is borrowed from it.
    """

    table = text("procedure_pairs, add_on_codes or unit_limits", required=True)
    table_code = text("practitioner, hospital or supplier; null of a table that is one for all")
    row_count = number("how many rows the table has", required=True)
    start_date = date("first day", required=True)
    end_date = date("last day; null: open")


class PricedLines(IdentifiedLines):
    """Lines after *price*."""

    allowed_amount = amount("what the contract or Medicare's rate allows, null where denied")
    pricing_method_code = text(
        "how the line was priced: by its contract's method, packaged (other lines of its claim pay "
        "for it) or capitated (prepaid)"
    )
    pricing_inputs = text("the figures it was priced from, as JSON")
    benefit_category = text("the plan's benefit the line falls under")


class SharedLines(PricedLines):
    """Lines after *benefits*: the member's share as if we paid alone."""

    deductible_amount = amount("PR-1", required=True)
    coinsurance_amount = amount("PR-2", required=True)
    copay_amount = amount("PR-3", required=True)
    share_network_code = text(
        "the network whose cost shares and counters hold, where it isn't the line's own"
    )
    maximum_met = dy.Bool(
        nullable=True,
        description="whether nothing is left of the member's out-of-pocket maximum after the line; "
        "null where it shares nothing",
    )
    benefit_inputs = text("the cost-share terms and counters used, as JSON")


class CoordinatedLines(dy.Schema):
    """One row a line that payers before us decided: *coordinate*'s answer for *settle*."""

    claim_id = key(CLAIM)
    line_number = key(LINE)
    other_payer_amount = amount("OA-23: what they paid or wrote off of the charge", required=True)
    deductible_amount = amount("PR-1 beside them", required=True)
    coinsurance_amount = amount("PR-2 beside them", required=True)
    copay_amount = amount("PR-3 beside them", required=True)
    paid_amount = amount("what we pay beside them", required=True)
    counts_owed = dy.Bool(
        description="whether accumulators count the shares here, not those of a line paid alone"
    )
    share_stands = dy.Bool(description="whether the member owes all that we would share alone")
    coordination_inputs = text("the figures it was coordinated from, as JSON")


class AccumulatorEntries(dy.Schema):
    """One row what one claim version added to a member's counters of one benefit year."""

    claim_id = key(CLAIM)
    member_id = dy.String(primary_key=True, description="whose counter")
    family_id = text("whose family counter", required=True)
    plan_code = dy.String(primary_key=True, description="the plan")
    network_code = dy.String(primary_key=True, description="in or out of network")
    benefit_year_start_date = dy.Date(primary_key=True, description="first day of the year")
    deductible_amount = amount("counted to the deductible", required=True)
    out_of_pocket_amount = amount("counted to the out-of-pocket maximum", required=True)


class ReferralVisitEntries(dy.Schema):
    """One row the visits of one claim version on one day under one referral."""

    claim_id = key(CLAIM)
    referral_number = dy.String(primary_key=True, description="the referral")
    visit_date = dy.Date(primary_key=True, description="the day")
    visit_count = number("a visit for each provider of the claim", required=True)


class AuthorizationUnitEntries(dy.Schema):
    """One row the units of one claim version under one authorization."""

    claim_id = key(CLAIM)
    authorization_number = dy.String(primary_key=True, description="the authorization")
    unit_quantity = quantity("units of the lines under it", required=True)


class BenefitUseEntries(dy.Schema):
    """One row a visit or day of one claim version that counts to a limit of the member's plan."""

    claim_id = key(CLAIM)
    member_id = dy.String(primary_key=True, description="whose counter")
    plan_code = dy.String(primary_key=True, description="the plan")
    limit_code = dy.String(primary_key=True, description="the limit")
    condition_code = dy.String(
        primary_key=True, description="the condition treated, where it is counted apart; else empty"
    )
    benefit_year_start_date = dy.Date(primary_key=True, description="first day of the year")
    use_date = dy.Date(primary_key=True, description="the day")
    provider_number = dy.String(
        primary_key=True, description="rendering NPI of the line, else of the claim, else billing"
    )
    use_count = number("1; -1 gives it back", required=True)


class Pends(dy.Schema):
    """One row a pend code of a claim on one night, and what became of it."""

    claim_id = key(CLAIM)
    pend_code = dy.String(primary_key=True, description="what it waits for")
    state = dy.String(
        regex="^(waits|released|denied|waived|lapsed|ended)$",
        description="released, denied and waived by a person's act, lapsed on its last day, "
        "ended: no longer found",
    )
    began_date = date("the first of the unbroken nights it waited for that", required=True)
    owner = text("the work queue that looks after it")
    lapse_date = date("its last day, on which it lapses or becomes overdue")
    overdue = dy.Bool(nullable=False, description="whether it waits on or after that day")


class Adjustments(dy.Schema):
    """One row CAS money of a line: charge − Σ adjustments = paid."""

    claim_id = key(CLAIM)
    line_number = key(LINE)
    sequence_number = key("order within the line, from 1")
    group_code = dy.String(regex="^(CO|PR|OA|PI)$", description="CAS01")
    carc = text("CAS02", required=True)
    rarc = text("remark that explains it, on the line's LQ")
    adjustment_amount = amount("CAS03", required=True)
    reason = text("the edit or step that made it", required=True)


class DecidedClaims(dy.Schema):
    """One row the fate of a claim."""

    claim_id = key(CLAIM)
    disposition = dy.String(
        regex="^(rejected|pended|denied|paid|voided)$", description="the claim's fate tonight"
    )
    charge_amount = amount("the claim's charge", required=True)
    allowed_amount = amount("sum over lines", required=True)
    member_amount = amount("sum of PR adjustments", required=True)
    paid_amount = amount("sum of lines paid", required=True)
    pend_codes = text("why it waits, joined by a comma")


class DecidedLines(SharedLines):
    """Lines after *settle*."""

    paid_amount = amount("charge − Σ adjustments", required=True)
    line_disposition = dy.String(
        regex="^(paid|denied|pended|voided)$", description="the line's fate"
    )
    coordination_inputs = text(
        "what payers before us left of the line and what we pay beside them, as JSON"
    )


# ---- remittance: what the 835 writer reads ---------------------------------------------------


class RemittancePayments(dy.Schema):
    """One row a payment: one ST of an 835."""

    payment_id = key("the payment")
    payee_id = text("who is paid", required=True)
    program_code = text("whose money", required=True)
    trace_number = text("TRN02, never used twice", required=True)
    payment_method_code = text("BPR04: CHK, ACH or NON", required=True)
    payment_date = date("BPR16", required=True)
    payment_amount = amount("BPR02", required=True)
    control_number = number("ISA13, GS06 and ST02", required=True)
    payer_name = text("N1*PR", required=True)
    payer_number = text("N1*PR identification and ISA06", required=True)
    payer_tax_number = text("TRN03 without its leading 1", required=True)
    payer_address_line = text("N301", required=True)
    payer_city = text("N401", required=True)
    payer_state_code = text("N402", required=True)
    payer_zip_code = text("N403", required=True)
    payer_contact_name = text("PER*BL name", required=True)
    payer_contact_phone = text("PER*BL telephone", required=True)
    payee_name = text("N1*PE", required=True)
    payee_npi = text("N1*PE XX, else the tax number with FI")
    payee_tax_number = text("REF*TJ")
    payee_address_line = text("N301")
    payee_city = text("N401")
    payee_state_code = text("N402")
    payee_zip_code = text("N403")
    receiver_number = text("ISA08 and GS03", required=True)


class RemittanceClaims(dy.Schema):
    """One row a CLP."""

    payment_id = key("the payment it is in")
    claim_id = key(CLAIM)
    reversal_code = dy.String(primary_key=True, regex="^[NY]$", description="Y: CLP02 is 22")
    status_code = text("CLP02: 1, 2, 3, 4 or 22", required=True)
    patient_control_number = text("CLP01", required=True)
    claim_number = text("CLP07", required=True)
    claim_type_code = text("P or I", required=True)
    claim_filing_code = text("CLP06", required=True)
    charge_amount = amount("CLP03", required=True)
    paid_amount = amount("CLP04", required=True)
    member_amount = amount("CLP05: Σ PR", required=True)
    facility_code = text("CLP08")
    frequency_code = text("CLP09")
    diagnosis_related_group_code = text("CLP11")
    patient_last_name = text("NM1*QC")
    patient_first_name = text("NM1*QC")
    patient_middle_name = text("NM1*QC")
    member_number = text("NM1*QC MI: as the member's card carries it")
    insured_last_name = text("NM1*IL, only where the patient is not the subscriber")
    insured_first_name = text("NM1*IL")
    insured_entity_type_code = text("NM1*IL: 1 person, 2 organisation")
    rendering_last_name = text("NM1*82")
    rendering_first_name = text("NM1*82")
    rendering_entity_type_code = text("NM1*82: 1 person, 2 organisation")
    rendering_npi = text("NM1*82 XX, only where it differs from the payee")
    statement_from_date = date("DTM*232")
    statement_through_date = date("DTM*233")
    received_date = date("DTM*050", required=True)
    medical_record_number = text("REF*EA")
    remark_codes = text("MOA/MIA remark codes of the whole claim, joined by a colon")
    interest_amount = amount("AMT*I: paid beside the claim, by a PLB L6")


class RemittanceLines(dy.Schema):
    """One row a SVC."""

    payment_id = key("the payment it is in")
    claim_id = key(CLAIM)
    reversal_code = dy.String(primary_key=True, regex="^[NY]$", description="Y: a reversal")
    line_number = key(LINE)
    procedure_qualifier_code = text("SVC01-1: HC, NU (revenue code alone) …")
    procedure_code = text("SVC01-2")
    modifier_codes = text("SVC01-3 to -6, joined by a colon")
    revenue_code = text("SVC04")
    charge_amount = amount("SVC02", required=True)
    paid_amount = amount("SVC03", required=True)
    allowed_amount = amount("AMT*B6; null where denied")
    unit_quantity = quantity("SVC05")
    service_from_date = date("DTM*472, or DTM*150")
    service_through_date = date("DTM*151")
    line_control_number = text("REF*6R")
    remark_codes = text("LQ*HE codes, joined by a colon")


class RemittanceAdjustments(dy.Schema):
    """One row a CAS triple."""

    payment_id = number("the payment it is in", required=True)
    claim_id = number(CLAIM, required=True)
    reversal_code = dy.String(regex="^[NY]$", description="Y: of a reversal")
    line_number = number("the line, or null for a claim-level CAS")
    sequence_number = number("order within its line, from 1", required=True)
    group_code = text("CAS01", required=True)
    carc = text("CAS02", required=True)
    adjustment_amount = amount("CAS03", required=True)
    adjustment_quantity = quantity("CAS04")


class RemittanceProviderAdjustments(dy.Schema):
    """One row a PLB adjustment; a positive amount takes money from the payment."""

    payment_id = key("the payment it is in")
    sequence_number = key("order, from 1")
    fiscal_date = date("PLB02: last day of the payee's fiscal year", required=True)
    reason_code = text("PLB03-1", required=True)
    reference_number = text("PLB03-2")
    adjustment_amount = amount("PLB04", required=True)


def empty(schema: type[dy.Schema]) -> pl.DataFrame:
    """A frame of that contract with no rows."""
    return _empty(schema).clone()


@cache  # a batch has dozens
def _empty(schema: type[dy.Schema]) -> pl.DataFrame:
    return pl.DataFrame(schema={n: c.dtype for n, c in schema.columns().items()})
