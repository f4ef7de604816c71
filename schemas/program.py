"""Programs and plans as data: what a payer writes in schemas/programs/<program>/*.yaml.

Amounts are cents, rates basis points, limits days. A value whose source gives no figure is marked
``illustrative``, and every report that rests on it says so.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from schemas.base import Citation as Citation  # noqa: PLC0414 (others import it from here)
from schemas.base import Span as Span  # noqa: PLC0414 (others import it from here)
from schemas.base import Strict as Strict  # noqa: PLC0414 (others import it from here)
from schemas.policy import Policies

NetworkCode = Literal["in", "out"]


class FilingLimit(Span):
    """A filing deadline, by the day its clock starts."""

    days: PositiveInt
    contracted: bool = Field(
        default=True, description="whom it binds: payees with a contract, or those without"
    )
    citation: Citation


class DisputeLimit(Span):
    """How long a filing denial may be disputed, by the day of the EOP that tells of it."""

    days: PositiveInt = Field(description="calendar days after the EOP's date")
    citation: Citation


class CareCodes(Strict):
    """Codes any one of which tells that care was of a kind."""

    admission_type_codes: tuple[str, ...] = Field(default=(), description="of institutional claims")
    places_of_service: tuple[str, ...] = Field(default=(), description="of professional claims")
    revenue_codes: tuple[str, ...] = ()
    procedure_codes: tuple[str, ...] = ()


class NotificationTerms(Span):
    """Which facility claims need a notice of the admission, and by when: by day of admission.

    Days are calendar days after the admission, and negative before it. A stay that a shorter
    limit fits has that one: changed, then urgent, then elective. Any notice on file will do for
    a stay that none of them fits.
    """

    citation: Citation
    bill_types: tuple[str, ...] = Field(description="first two digits of the stays' bill types")
    partial_hospital_condition_codes: tuple[str, ...] = Field(
        default=(), description="conditions by which any bill type is partial hospitalization"
    )
    partial_hospital_revenue_codes: tuple[str, ...] = Field(
        default=(), description="revenue codes by which any bill type is partial hospitalization"
    )
    home_health_bill_types: tuple[str, ...] = Field(
        default=(),
        description="first two digits of those that need a notice for all but the first day",
    )
    changed_days: int = Field(description="outpatient or observation turned inpatient")
    changed_revenue_codes: tuple[str, ...] = ()
    changed_span_codes: tuple[str, ...] = Field(default=(), description="occurrence spans")
    changed_source_codes: tuple[str, ...] = Field(default=(), description="points of origin")
    urgent_days: int
    urgent_admission_type_codes: tuple[str, ...]
    elective_days: int
    elective_admission_type_codes: tuple[str, ...]
    not_elective_bill_types: tuple[str, ...] = Field(
        default=(), description="first two digits of those that the elective limit does not bind"
    )
    not_elective_taxonomy_codes: tuple[str, ...] = Field(
        default=(), description="specialties of facilities that the elective limit does not bind"
    )


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
    waived_if_admitted: bool = Field(
        default=False, description="no copay where the member was admitted that day or the next"
    )
    citation: Citation | None = None

    @model_validator(mode="after")
    def _copay_to_waive(self) -> CostShare:
        if self.waived_if_admitted and not self.copay_amount:
            raise ValueError("waived_if_admitted without a copay to waive")
        return self


class PlanTerms(Span):
    """A plan's terms for the dates of service they hold for."""

    illustrative: bool = False
    benefit_year: Literal["calendar"] = "calendar"
    deductible: dict[NetworkCode, Limits]
    out_of_pocket: dict[NetworkCode, Limits]
    deductible_waived: tuple[NetworkCode, ...] = Field(
        default=(),
        description="networks in which only those households owe a deductible that are known not "
        "to comply with their health programme (table household_statuses)",
    )
    deductible_waiver_citation: Citation | None = None
    cost_shares: tuple[CostShare, ...]
    referred_network_code: NetworkCode | None = Field(
        default=None,
        description="care outside the network that falls under the referral rule: the network "
        "whose cost shares and counters hold for it in categories that have no cost share of "
        "their own outside; none: those of any care outside",
    )


class Plan(Strict):
    plan_code: str
    name: str
    out_of_network_covered: bool = True
    referral_required: bool = Field(
        default=False, description="whether a specialist outside the network needs a referral"
    )
    referral_citation: Citation | None = None
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


class ReferralTerms(Strict):
    """Who goes without a referral where a plan requires one outside its network."""

    primary_care_taxonomies: tuple[str, ...] = Field(
        default=(), description="specialties that are primary care: nobody is referred to them"
    )
    exempt_categories: tuple[str, ...] = Field(
        default=(), description="benefit categories that need none anywhere"
    )
    exempt_citation: Citation | None = None
    out_of_area_categories: tuple[str, ...] = Field(
        default=(), description="benefit categories that need none outside the service area"
    )
    out_of_area_citation: Citation | None = None
    hospital_categories: tuple[str, ...] = Field(
        default=(), description="benefit categories of a stay, which an emergency may lead to"
    )
    unreachable_condition_codes: tuple[str, ...] = Field(
        default=(), description="claims that tell by one of these that no network is at hand"
    )
    unreachable_modifiers: tuple[str, ...] = Field(
        default=(), description="lines that tell by one of these that no network is at hand"
    )
    transition_days: PositiveInt | None = Field(
        default=None,
        description="how long, from the first day of coverage, a member's earlier providers may "
        "go on with an active treatment",
    )
    transition_citation: Citation | None = None


class Program(Strict):
    program_code: str
    name: str
    payer: Payer
    receiver_numbers: tuple[str, ...] = Field(
        description="ISA08, GS03, NM1*40 or 2010BB numbers by which files are addressed to us"
    )
    edits: tuple[str, ...] = Field(description="which edits of the written order apply")
    filing_limits: tuple[FilingLimit, ...] = Field(default=(), description="none: no limit")
    filing_dispute_limits: tuple[DisputeLimit, ...] = Field(
        default=(), description="none: the EOP says nothing of disputes"
    )
    discharge_bill_types: tuple[str, ...] = Field(
        default=(),
        description="first two digits of the bill types whose filing clock starts at discharge",
    )
    hospital_stay_bill_types: tuple[str, ...] = Field(
        default=(),
        description="first two digits of the bill types whose stay belongs whole to the payer "
        "of the day it began",
    )
    emergency: CareCodes = Field(default=CareCodes(), description="beside SV109, which says so")
    urgent: CareCodes = CareCodes()
    accident_codes: dict[str, tuple[str, ...]] = Field(
        default={},
        description="related causes (CLM11) and occurrences (BH) that tell of a motor accident",
    )
    separate_modifiers: tuple[str, ...] = Field(
        default=(),
        description="modifiers that tell a service from another one like it on the same day",
    )
    inpatient_notification: tuple[NotificationTerms, ...] = Field(
        default=(), description="none in force on the day of admission: no notice is asked for"
    )
    referrals: ReferralTerms = ReferralTerms()
    out_of_network: OutOfNetworkPricing = OutOfNetworkPricing()
    contract_citation: Citation | None = Field(
        default=None, description="that a contract sets how its payee is priced"
    )
    capitation_citation: Citation | None = None
    policies: Policies = Policies()
    plans: dict[str, Plan] = Field(default={})

    @model_validator(mode="after")
    def _told_once(self) -> Program:
        terms = sorted(self.inpatient_notification, key=lambda t: t.start_date)
        for earlier, later in pairwise(terms):
            if earlier.end_date is None or earlier.end_date >= later.start_date:
                raise ValueError(
                    f"inpatient_notification overlaps from {later.start_date}; "
                    "end one before the next"
                )
        return self


class AdjustmentCode(Span):
    """A CARC or RARC that we put on an 835, with the days it may be used and our own words."""

    code: str
    kind: Literal["CARC", "RARC"]
    words: str
    needs_remark: bool = False
    is_alert: bool = Field(default=False, description="a RARC that stands beside any adjustment")
    only_group: str | None = Field(default=None, description="group codes it goes with")


class MessageCode(Strict):
    """A code that our reports print beside a claim or an amount, in our own words."""

    code: str
    kind: Literal["group", "pay", "pend"] = Field(
        description="who bears an adjustment (CAS01), what became of a claim, what it waits for"
    )
    words: str


class BenefitCategoryRule(Strict):
    """The first rule that matches a line names its benefit category; absent conditions match."""

    category: str
    claim_type_code: Literal["P", "I"] | None = None
    procedure_ranges: tuple[tuple[str, str], ...] = ()
    revenue_ranges: tuple[tuple[str, str], ...] = ()
    bill_types: tuple[str, ...] = ()
    places_of_service: tuple[str, ...] = ()
