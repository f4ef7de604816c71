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
    npi = text("10 digits", required=True)
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
    npi = text("10 digits")
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
    pricing_method_code = text("percent_of_medicare or fee_table", required=True)
    rate_basis_points = number("share of Medicare's amount; 10000 is all of it")
    fee_table_code = text("which fee table")
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
    work_index = number("thousandths", required=True)
    expense_index = number("thousandths", required=True)
    malpractice_index = number("thousandths", required=True)


class ZipLocalities(Dated):
    """One row a ZIP code's Medicare locality."""

    zip_code = text("five digits", required=True)
    state_code = text("state", required=True)
    carrier_number = text("Medicare contractor", required=True)
    locality_number = text("two digits", required=True)


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
}
