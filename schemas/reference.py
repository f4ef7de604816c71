"""The contract of reference data: what a payer loads, every row dated.

A row holds from ``start_date`` to ``end_date``, both included; a null end is open.
``adjudicate reference load`` reads each table from a CSV or Parquet file of its own name.
"""

from __future__ import annotations

import dataframely as dy

from schemas.frames import amount, date, number, text


class Dated(dy.Schema):
    start_date = date("first day in force", required=True)
    end_date = date("last day in force; empty: still in force")


class Members(dy.Schema):
    """One row a member."""

    member_id = dy.String(primary_key=True, description="the payer's own key")
    family_id = text("shared by those who share a family deductible", required=True)
    card_number = text("the identification number on the card, without suffix", required=True)
    last_name = text("as enrolled", required=True)
    first_name = text("as enrolled", required=True)
    birth_date = date("as enrolled", required=True)
    sex_code = text("F, M or U")


class Coverage(Dated):
    """One row a span of a member's coverage."""

    member_id = text("the member", required=True)
    program_code = text("the program", required=True)
    plan_code = text("the plan within it", required=True)


class Providers(Dated):
    """One row a provider, in force for a span."""

    provider_id = text("the payer's own key", required=True)
    npi = text("ten digits", required=True)
    last_name = text("last name or organisation", required=True)
    first_name = text("of a person")
    entity_type_code = text("1 person, 2 organisation", required=True)
    taxonomy_code = text("specialty")
    tax_number = text("nine digits")
    payee_id = text("who is paid for this provider", required=True)


class Payees(dy.Schema):
    """One row a payee: the primary office."""

    payee_id = dy.String(primary_key=True, description="the payer's own key")
    name = text("as on the payment", required=True)
    npi = text("ten digits")
    tax_number = text("nine digits", required=True)
    address_line = text("street", required=True)
    city = text("city", required=True)
    state_code = text("state", required=True)
    zip_code = text("five or nine digits", required=True)
    payment_method_code = text("CHK or ACH", required=True)


class Contracts(Dated):
    """One row a contract of a payee with a program."""

    contract_id = text("the payer's own key", required=True)
    payee_id = text("the payee", required=True)
    program_code = text("the program", required=True)
    network_code = text("in: the payee is in the plan's network", required=True)
    pricing_method_code = text(
        "percent_of_medicare, fee_table, per_diem or percent_of_charge", required=True
    )
    rate_basis_points = number("share of Medicare's amount or of the charge; 10000 is all of it")
    fee_table_code = text("which fee table, or which table of daily rates")
    lesser_of_charge = dy.Bool(description="pay the lesser of billed and allowed")
    filing_limit_days = number("the contract's own filing deadline, where it has one; days")


class Fees(Dated):
    """One row a fee."""

    fee_table_code = text("which fee table", required=True)
    procedure_code = text("HCPCS/CPT, or a revenue code", required=True)
    modifier_code = text("the pricing modifier, where the fee depends on it")
    fee_amount = amount("for one unit", required=True)


class PhysicianFeeValues(Dated):
    """One row a code of CMS's physician fee schedule relative value file (PPRRVU)."""

    procedure_code = text("HCPCS/CPT", required=True)
    modifier_code = text("26, TC or 53; empty for the whole service")
    status_code = text("status indicator", required=True)
    work_units = number("work RVU; hundredths", required=True)
    nonfacility_expense_units = number(
        "practice expense RVU, non-facility; hundredths", required=True
    )
    facility_expense_units = number("practice expense RVU, facility; hundredths", required=True)
    malpractice_units = number("malpractice RVU; hundredths", required=True)
    conversion_factor = number("dollars per RVU; ten-thousandths", required=True)
    professional_technical_code = text("PC/TC indicator")
    global_days_code = text("global surgery")
    multiple_procedure_code = text("multiple procedure indicator")
    # imaging: Medicare pays no more than its outpatient hospital amount; 0 or null: no such limit
    nonfacility_cap_expense_units = number("practice expense RVU of the limit; hundredths")
    facility_cap_expense_units = number("practice expense RVU of the limit; hundredths")
    cap_malpractice_units = number("malpractice RVU of the limit; hundredths")


class GeographicCostIndexes(Dated):
    """One row a locality's GPCI."""

    carrier_number = text("Medicare contractor", required=True)
    locality_number = text("two digits", required=True)
    work_index = number("of work; thousandths", required=True)
    expense_index = number("of practice expense; thousandths", required=True)
    malpractice_index = number("of malpractice; thousandths", required=True)


class ZipLocalities(Dated):
    """One row a ZIP code's Medicare locality."""

    zip_code = text("five digits", required=True)
    state_code = text("state", required=True)
    carrier_number = text("Medicare contractor", required=True)
    locality_number = text("two digits", required=True)


# ---- members and their households ------------------------------------------------------------


class Households(Dated):
    """One row a household: where rosters are sent and who heads it."""

    family_id = text("the household", required=True)
    head_member_id = text("the head of the household")
    address_line = text("street")
    city = text("city")
    state_code = text("state")
    zip_code = text("five or nine digits")
    phone_number = text("ten digits")
    language_code = text("ISO 639-3")


class HouseholdStatuses(Dated):
    """One row a span in which a household kept, or did not keep, its health programme's terms."""

    family_id = text("the household", required=True)
    compliance_code = text("compliant or noncompliant", required=True)


class SpecialStatuses(Dated):
    """One row a span of something about a member that changes who pays."""

    member_id = text("the member", required=True)
    status_code = text(
        "hospice, qmb, working_aged, esrd or active_treatment (of a new member, whose earlier "
        "provider may go on for a time)",
        required=True,
    )


class OtherCoverage(Dated):
    """One row a span of another payer's coverage of a member."""

    member_id = text("the member", required=True)
    position_code = text("before: pays before us; after: after us", required=True)
    kind_code = text(
        "group_health, medicare, medicaid, auto, workers_compensation or liability", required=True
    )
    payer_name = text("as known", required=True)
    payer_number = text("as on claims")
    policy_number = text("as known")


class PrimaryCare(Dated):
    """One row a span of a member's primary care provider."""

    member_id = text("the member", required=True)
    provider_id = text("the primary care provider", required=True)
    medical_group_id = text("the group that answers for the member's care")
    funding_source_code = text(
        "who funds the case management fee, letters and digits; empty: as the program says"
    )


# ---- providers -------------------------------------------------------------------------------


class MedicalGroups(Dated):
    """One row a medical group."""

    medical_group_id = text("the payer's own key", required=True)
    name = text("as on reports", required=True)


class Credentialing(Dated):
    """One row a span in which a provider is credentialed."""

    provider_id = text("the provider", required=True)


class Networks(Dated):
    """One row a span in which a payee's place in one plan's network is not its contract's."""

    payee_id = text("the payee", required=True)
    program_code = text("the program", required=True)
    plan_code = text("the plan", required=True)
    network_code = text("in or out", required=True)


class Capitation(Dated):
    """One row what a payee's monthly payment covers, so that claims for it are paid at zero."""

    payee_id = text("the payee", required=True)
    program_code = text("the program", required=True)
    medical_group_id = text("of whose members; empty: of all")
    benefit_category = text("which services; empty: all")


class ProviderFlags(Dated):
    """One row a span in which something stands against paying a provider."""

    npi = text("ten digits", required=True)
    flag_code = text(
        "not_eligible (Medicare pays it nothing), opted_out (by affidavit) or under_review "
        "(a fraud investigation)",
        required=True,
    )


class ApprovedFacilities(Dated):
    """One row a facility approved for a kind of service."""

    npi = text("ten digits", required=True)
    service_code = text(
        "transplant, lung_volume_reduction, carotid_stenting, ventricular_assist or oncologic_pet",
        required=True,
    )


class ServiceArea(Dated):
    """One row a ZIP code of a program's service area."""

    program_code = text("the program", required=True)
    zip_code = text("five digits", required=True)


# ---- what was asked for, allowed and announced beforehand -------------------------------------


class Referrals(Dated):
    """One row a referral: start_date to end_date are the days it covers."""

    referral_number = text("as on claims", required=True)
    member_id = text("for whom", required=True)
    npi = text("to whom; empty: anyone of the specialty")
    taxonomy_code = text("to which specialty; empty: npi says who")
    referring_npi = text("by whom")
    first_procedure_code = text("first code of the services it covers; empty: any")
    last_procedure_code = text("last code of the services it covers; empty: any")
    visit_limit = number("how many visits; empty: as many as fit its days")
    status_code = text("approved, denied or cancelled", required=True)


class Authorizations(Dated):
    """One row an authorization: start_date to end_date are the days it covers."""

    authorization_number = text("as on claims", required=True)
    member_id = text("for whom", required=True)
    npi = text("to whom; empty: any provider")
    first_procedure_code = text("first code it covers", required=True)
    last_procedure_code = text("last code it covers", required=True)
    unit_limit = number("how many units; empty: no limit")
    status_code = text("approved, denied or cancelled", required=True)


class AuthorizationList(Dated):
    """One row services that need an authorization."""

    program_code = text("the program", required=True)
    plan_code = text("the plan; empty: all of the program")
    first_procedure_code = text("first code", required=True)
    last_procedure_code = text("last code", required=True)


class Notifications(dy.Schema):
    """One row a notice of an inpatient admission, or of home health care."""

    notification_number = dy.String(primary_key=True, description="as on claims")
    member_id = text("for whom", required=True)
    npi = text("the facility", required=True)
    admission_date = date(
        "the day of admission, planned or true; of home health care its first", required=True
    )
    notified_date = date("the day we were told", required=True)
    status_code = text("active or cancelled", required=True)


class Attachments(dy.Schema):
    """One row a document that came beside a claim."""

    claim_number = text("twelve digits", required=True)
    kind_code = text(
        "eob (another payer's explanation), auto_notice (the auto insurer's denial or notice that "
        "its benefits are used up), description (of an unlisted service) or notes",
        required=True,
    )
    document_date = date("the day on the document", required=True)
    received_date = date("the day we received it", required=True)
    payer_number = text("whose document")


# ---- correct coding and coverage determinations ------------------------------------------------


class ProcedurePairs(Dated):
    """One row two procedures of which only the first is paid on one day (CMS's NCCI PTP edits)."""

    table_code = text("practitioner or hospital", required=True)
    column_one_code = text("HCPCS/CPT: is paid", required=True)
    column_two_code = text("HCPCS/CPT: is denied beside it", required=True)
    modifier_indicator_code = text(
        "0: no modifier sets the two apart; 1: one may; 9: the pair never held", required=True
    )


class AddOnCodes(Dated):
    """One row a procedure that is paid only beside another, and one it may stand beside."""

    add_on_code = text("HCPCS/CPT", required=True)
    primary_code = text("HCPCS/CPT; CCCCC: whoever administers Medicare says which", required=True)
    edit_type_code = text(
        "1: all that it may stand beside are listed; 2: none are; 3: some are", required=True
    )


class UnitLimits(Dated):
    """One row the most units of a procedure on one day or line (CMS's medically unlikely edits)."""

    table_code = text("practitioner, hospital or supplier", required=True)
    procedure_code = text("HCPCS/CPT", required=True)
    unit_limit = number("units", required=True)
    adjudication_indicator_code = text(
        "1: of one line; 2 (by policy) and 3 (by clinical data): of one day", required=True
    )


class CoverageDeterminations(Dated):
    """One row diagnoses for which a national or local coverage determination speaks on services."""

    determination_number = text("as Medicare numbers it", required=True)
    kind_code = text("ncd (national) or lcd (local)", required=True)
    effect_code = text(
        "covers: of its services only what has a diagnosis so listed is covered; excludes: what "
        "has no other diagnosis than those so listed is not",
        required=True,
    )
    first_procedure_code = text("first code of its services", required=True)
    last_procedure_code = text("last code of its services", required=True)
    first_diagnosis_code = text(
        "first ICD-10-CM code, without a point; what begins with it is meant too", required=True
    )
    last_diagnosis_code = text("last ICD-10-CM code, as long as the first", required=True)


# ---- outside code sets -----------------------------------------------------------------------


class CodeSets(Dated):
    """One row a code of a release of an outside code set.

    A claim's code is looked up by its day of service: absent from the releases in force on that
    day it rejects the claim; where no release of that day is loaded it never does. So give the
    codes of a release its last day, and leave that empty only in a list that is kept up to date.
    A set stands whole or not at all; CPT, HCPCS (Level II) and CDT are three.
    """

    code_set = text("whose code", required=True)
    code = text("without a point", required=True)


TABLES: dict[str, type[dy.Schema]] = {
    "members": Members,
    "coverage": Coverage,
    "providers": Providers,
    "payees": Payees,
    "contracts": Contracts,
    "fees": Fees,
    "physician_fee_values": PhysicianFeeValues,
    "geographic_cost_indexes": GeographicCostIndexes,
    "zip_localities": ZipLocalities,
    "households": Households,
    "household_statuses": HouseholdStatuses,
    "special_statuses": SpecialStatuses,
    "other_coverage": OtherCoverage,
    "primary_care": PrimaryCare,
    "medical_groups": MedicalGroups,
    "credentialing": Credentialing,
    "networks": Networks,
    "capitation": Capitation,
    "provider_flags": ProviderFlags,
    "approved_facilities": ApprovedFacilities,
    "service_area": ServiceArea,
    "referrals": Referrals,
    "authorizations": Authorizations,
    "authorization_list": AuthorizationList,
    "notifications": Notifications,
    "attachments": Attachments,
    "procedure_pairs": ProcedurePairs,
    "add_on_codes": AddOnCodes,
    "unit_limits": UnitLimits,
    "coverage_determinations": CoverageDeterminations,
    "code_sets": CodeSets,
}
