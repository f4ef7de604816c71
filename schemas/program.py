"""Programs and plans as data: what a payer writes in schemas/programs/<program>/*.yaml.

Amounts are cents, rates basis points, limits days. A value whose source gives no figure is marked
``illustrative``, and every report that rests on it says so.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

NetworkCode = Literal["in", "out"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(Strict):
    """A sentence of a source document: its number, its lines (from 1), words found there."""

    document: str = Field(pattern=r"^\d{3}$")
    lines: tuple[PositiveInt, PositiveInt]
    phrase: str


class Span(Strict):
    """Something in force from start_date to end_date, both included."""

    start_date: date
    end_date: date | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Span:
        if self.end_date is not None and self.end_date < self.start_date:
            raise ValueError("end_date lies before start_date")
        return self


class FilingLimit(Span):
    """A filing deadline, by the day its clock starts."""

    days: PositiveInt
    contracted: bool = Field(
        default=True, description="whom it binds: payees with a contract, or those without"
    )
    citation: Citation


class Payer(Strict):
    """The payer as it names itself on an 835."""

    name: str
    number: str
    tax_number: str = Field(pattern=r"^\d{9}$")
    address_line: str
    city: str
    state_code: str
    zip_code: str
    contact_name: str
    contact_phone: str = Field(pattern=r"^\d{10}$")
    claim_filing_code: str = Field(default="16", description="CLP06; 16 is a Medicare risk HMO")


class Limits(Strict):
    """Deductible or out-of-pocket maximum of a benefit year; None: there is none. Cents."""

    individual_amount: NonNegativeInt | None = None
    family_amount: NonNegativeInt | None = None


class CostShare(Strict):
    """What the member pays for one benefit category in or out of network.

    The copay first; where there is none, the deductible and then the coinsurance.
    """

    category: str
    network_code: NetworkCode
    copay_amount: NonNegativeInt = 0
    coinsurance_basis_points: int = Field(default=0, ge=0, le=10_000)
    deductible_applies: bool = False
    covered: bool = True
    citation: Citation | None = None


class PlanTerms(Span):
    """A plan's terms for the dates of service they hold for."""

    illustrative: bool = False
    benefit_year: Literal["calendar"] = "calendar"
    deductible: dict[NetworkCode, Limits]
    out_of_pocket: dict[NetworkCode, Limits]
    cost_shares: tuple[CostShare, ...]


class Plan(Strict):
    plan_code: str
    name: str
    out_of_network_covered: bool = True
    terms: tuple[PlanTerms, ...]


class OutOfNetworkPricing(Strict):
    """How a provider without a contract is priced (001:3306-3309 for CarePartners)."""

    pricing_method_code: Literal["percent_of_medicare"] = "percent_of_medicare"
    rate_basis_points: PositiveInt = 10_000
    citation: Citation | None = None
    balance_group_code: Literal["CO", "PR"] = Field(
        default="CO",
        description="who owes what is charged above the price: PR the member, beside every limit",
    )
    balance_citation: Citation | None = None


class Program(Strict):
    program_code: str
    name: str
    payer: Payer
    receiver_numbers: tuple[str, ...] = Field(
        description="ISA08, GS03, NM1*40 or 2010BB numbers by which files are addressed to us"
    )
    edits: tuple[str, ...] = Field(description="which edits of the written order apply")
    filing_limits: tuple[FilingLimit, ...] = Field(default=(), description="none: no limit")
    discharge_bill_types: tuple[str, ...] = Field(
        default=(),
        description="first two digits of the bill types whose filing clock starts at discharge",
    )
    hospital_stay_bill_types: tuple[str, ...] = Field(
        default=(),
        description="first two digits of the bill types whose stay belongs whole to the payer "
        "of the day it began",
    )
    out_of_network: OutOfNetworkPricing = OutOfNetworkPricing()
    plans: dict[str, Plan] = {}


class AdjustmentCode(Span):
    """A CARC or RARC that we put on an 835, with the days it may be used and our own words."""

    code: str
    kind: Literal["CARC", "RARC"]
    words: str
    needs_remark: bool = False
    only_group: str | None = Field(default=None, description="group codes it goes with")


class BenefitCategoryRule(Strict):
    """The first rule that matches a line names its benefit category; absent conditions match."""

    category: str
    claim_type_code: Literal["P", "I"] | None = None
    procedure_ranges: tuple[tuple[str, str], ...] = ()
    revenue_ranges: tuple[tuple[str, str], ...] = ()
    bill_types: tuple[str, ...] = ()
    places_of_service: tuple[str, ...] = ()
