"""Programs and plans as data: what a payer writes in schemas/programs/<program>/*.yaml.

Amounts are cents, rates basis points, limits days. A value whose source gives no figure is marked
``illustrative``, and every report that rests on it says so.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, TypeVar

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from schemas.base import Citation as Citation  # noqa: PLC0414 (others import it from here)
from schemas.base import Span as Span  # noqa: PLC0414 (others import it from here)
from schemas.base import Strict as Strict  # noqa: PLC0414 (others import it from here)
from schemas.policy import Policies

NetworkCode = Literal["in", "out"]
Weekday = Literal[
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
]  # fmt: skip


Terms = TypeVar("Terms", "PaymentCalendar", "InterestTerms")


def _founded(terms: Terms) -> Terms:
    if not terms.judgement and terms.citation is None:
        raise ValueError("needs a citation, or judgement: true")
    return terms


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


DisputeKind = Literal["filing", "authorization", "notification", "payment"]
Channel = Literal["mail", "email", "online", "edi"]


class DisputeProof(Strict):
    """Documents that prove together what a dispute must prove."""

    documents: tuple[str, ...] = Field(min_length=1)
    claims_sent: tuple[Literal["paper", "edi"], ...] = Field(
        default=("paper", "edi"), description="how the claims were sent of which it is a proof"
    )
    citation: Citation


class NoProof(Strict):
    """A document that proves nothing by itself."""

    document: str
    citation: Citation


class DisputeTerms(Span):
    """What a provider's dispute of a kind must be and bring, by the day it is received."""

    kind: DisputeKind
    citation: Citation
    edits: tuple[str, ...] = Field(
        description="those whose denial is disputed so; overturned, they are passed"
    )
    any_claim: bool = Field(
        default=False,
        description="whether every paid or denied claim may be disputed so, and the edits are "
        "only those that may be passed",
    )
    documents: dict[str, str] = Field(description="kinds of documents that may come, in words")
    needs: tuple[str, ...] = Field(default=(), description="documents that must come, all of them")
    needs_citation: Citation | None = None
    proofs: tuple[DisputeProof, ...] = Field(
        default=(), description="of which one must come; none: nothing is to be proven"
    )
    no_proofs: tuple[NoProof, ...] = ()
    form_citation: Citation = Field(description="that the review form must come")
    letter_citation: Citation | None = Field(
        default=None,
        description="that a letter on what was beyond the provider's control stands in place of "
        "form and proof; none: it doesn't",
    )
    one_claim_citation: Citation = Field(description="that a form is for one claim")
    never_by: tuple[Channel, ...] = Field(default=(), description="how it can't be sent")
    never_by_citation: Citation | None = None
    send_to: str = Field(description="where it goes")
    send_to_citation: Citation

    @model_validator(mode="after")
    def _known_documents(self) -> DisputeTerms:
        named = {*self.needs, *(n.document for n in self.no_proofs)}
        named.update(document for proof in self.proofs for document in proof.documents)
        if unknown := sorted(named - set(self.documents)):
            raise ValueError(f"documents lacks {', '.join(unknown)}")
        if not self.any_claim and not self.edits:
            raise ValueError("edits is empty, and any_claim isn't set")
        return self


class CareCodes(Strict):
    """Codes any one of which tells that care was of a kind."""

    admission_type_codes: tuple[str, ...] = Field(default=(), description="of institutional claims")
    places_of_service: tuple[str, ...] = Field(default=(), description="of professional claims")
    revenue_codes: tuple[str, ...] = ()
    procedure_codes: tuple[str, ...] = ()


class ServiceCodes(Strict):
    """Codes any one of which tells that a line is of a kind; a range includes both ends."""

    benefit_categories: tuple[str, ...] = ()
    procedure_ranges: tuple[tuple[str, str], ...] = ()
    revenue_ranges: tuple[tuple[str, str], ...] = ()
    bill_types: tuple[str, ...] = Field(default=(), description="first two digits")
    modifiers: tuple[str, ...] = ()
    condition_codes: tuple[str, ...] = Field(default=(), description="of the line's claim")
    specialties: tuple[str, ...] = Field(
        default=(), description="first characters of the provider's taxonomy code"
    )


class CarveOut(Span):
    """Services that another administrator decides and pays for the program's members."""

    services: str = Field(description="what they are, in a word or two")
    administrator: str = Field(description="whom to bill for them")
    told_by: ServiceCodes
    room_ranges: tuple[tuple[str, str], ...] = Field(
        default=(), description="revenue codes of rooms by which a whole claim is theirs"
    )
    citation: Citation


class HospiceTerms(Strict):
    """Members who elected hospice: what is ours, the hospice's and Original Medicare's."""

    unrelated: ServiceCodes = Field(description="told to be unrelated to the terminal illness")
    related: ServiceCodes = Field(description="told to be the hospice's")
    supplemental: ServiceCodes = Field(
        description="benefits of ours that Medicare doesn't cover; unrelated unless told otherwise"
    )
    medicare_filing_codes: tuple[str, ...] = Field(
        description="SBR09 by which another payer on the claim is Original Medicare"
    )
    medicare_payer_numbers: tuple[str, ...] = Field(
        default=(), description="whose explanations beside a claim are Original Medicare's"
    )


class AuthorizationTerms(Strict):
    """Who goes without a prior authorization, and who bears that there was none. That care was an
    emergency or urgent, dialysis outside the area, or an active treatment of a new member, is told
    as it is for referrals."""

    exempt: ServiceCodes = Field(default=ServiceCodes(), description="services that need none")
    exempt_citation: Citation | None = None
    outside_group_code: Literal["CO", "PR"] = Field(
        default="CO", description="who bears it outside the network that there is none"
    )
    citation: Citation | None = None


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


class PaymentCalendar(Span):
    """The days on which a program pays what it owes. No day named: every night that runs.

    A night after a payment day without one pays in its stead; the same day never pays twice.
    """

    weekdays: tuple[Weekday, ...] = ()
    month_days: tuple[Annotated[int, Field(ge=1, le=31)], ...] = Field(
        default=(), description="days of the month; beyond a month's end: its last day"
    )
    judgement: bool = Field(default=False, description="no source sets the days")
    citation: Citation | None = None

    @model_validator(mode="after")
    def _founded(self) -> PaymentCalendar:
        return _founded(self)


class InterestTerms(Span):
    """Simple interest on claims that are paid late: by the day of the payment.

    For each day after ``after_days`` from receipt, to the day of the payment, on what the claim
    is paid, rounded once. A corrected claim (frequency 5, 7 or 8) earns none.
    """

    after_days: NonNegativeInt = Field(description="days after receipt within which it is in time")
    annual_rate_basis_points: PositiveInt
    days_a_year: Literal[360, 365] = 365
    judgement: bool = Field(default=False, description="no source sets it")
    citation: Citation | None = None

    @model_validator(mode="after")
    def _founded(self) -> InterestTerms:
        return _founded(self)


class CaseManagementTerms(Span):
    """A fee for each client who had a primary care provider of the practice in a month, by that
    month's first day; paid in the first remittances of the month after it, beside all claims."""

    monthly_amount: PositiveInt = Field(description="for a client; cents")
    reason_number: str = Field(
        pattern=r"^[0-9A-Za-z]+$", description="the program's own reason for the payout"
    )
    funding_source_code: str = Field(
        pattern=r"^[0-9A-Za-z]+$",
        description="of clients whose row of primary_care names none; each source is a payout",
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


class BenefitCategoryRule(Strict):
    """The first rule that matches a line names its benefit category; absent conditions match."""

    category: str
    claim_type_code: Literal["P", "I"] | None = None
    procedure_ranges: tuple[tuple[str, str], ...] = ()
    revenue_ranges: tuple[tuple[str, str], ...] = ()
    bill_types: tuple[str, ...] = ()
    places_of_service: tuple[str, ...] = ()


class PendDenial(Strict):
    """A denial in which a pend may end: by itself on its last day, or by a person's act."""

    group_code: Literal["CO", "PR", "OA"]
    carc: str
    rarc: str | None = None
    at_lapse: bool = Field(
        default=False, description="whether the pend lapses into it; else a person chooses it"
    )
    because: str | None = Field(
        default=None, description="only of findings whose inputs say so; none: of any"
    )
    citation: Citation | None = None


class CleanClaimTerms(Span):
    """What makes a claim no clean one: by the day of receipt. A rejected claim never is one."""

    pend_codes: tuple[str, ...] = Field(
        default=(), description="what it waited for on any night: an investigation, or papers"
    )
    edits: tuple[str, ...] = Field(
        default=(), description="that found something which denies or pends, whoever denies first"
    )
    citation: Citation


class PendTerms(Span):
    """Who looks after a pend, and how long it may last: by the day on which it began.

    On the day ``days`` after the one it began it lapses into the first denial ``at_lapse`` that
    fits what was found; where none does, it stays and is overdue.
    """

    pend_code: str
    owner: str = Field(description="the work queue that looks after it")
    next_action: str = Field(description="what that queue does next")
    days: PositiveInt | None = Field(default=None, description="calendar days; none: no last day")
    judgement: bool = Field(default=False, description="no source sets the days")
    citation: Citation | None = None
    denials: tuple[PendDenial, ...] = ()

    @model_validator(mode="after")
    def _founded(self) -> PendTerms:
        if self.days is not None and not self.judgement and self.citation is None:
            raise ValueError("days need a citation, or judgement: true")
        if self.days is None and any(denial.at_lapse for denial in self.denials):
            raise ValueError("at_lapse without days after which it lapses")
        return self


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
    exclusion_group_code: Literal["CO", "PR"] = Field(
        default="CO", description="who bears what is not covered: PR the member"
    )
    waived_if_admitted: bool = Field(
        default=False, description="no copay where the member was admitted that day or the next"
    )
    citation: Citation | None = None

    @model_validator(mode="after")
    def _copay_to_waive(self) -> CostShare:
        if self.waived_if_admitted and not self.copay_amount:
            raise ValueError("waived_if_admitted without a copay to waive")
        if self.covered and self.exclusion_group_code != "CO":
            raise ValueError("exclusion_group_code of what is covered")
        return self


class BenefitLimit(Strict):
    """How many visits or days of a service a plan pays for a member in a benefit year.

    A visit is a day with one provider, a day a day with whatever provider; however many lines and
    claims tell of it. A line counts under the first limit of its plan that takes it.
    """

    limit_code: str = Field(description="the counter's name; limits of one name share a counter")
    services: tuple[BenefitCategoryRule, ...] = Field(
        min_length=1, description="benefit categories, and of which lines of them"
    )
    network_codes: tuple[NetworkCode, ...] = ("in", "out")
    unit: Literal["visit", "day"] = "visit"
    maximum: PositiveInt
    per_condition: bool = Field(
        default=False, description="counted apart for each condition the line treats"
    )
    condition_characters: PositiveInt = Field(
        default=3, description="how much of a diagnosis tells a condition"
    )
    exempt_diagnoses: tuple[str, ...] = Field(
        default=(), description="how the diagnoses begin to whose treatment it does not apply"
    )
    group_code: Literal["CO", "PR"] = "PR"
    citation: Citation | None = None


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
    limits: tuple[BenefitLimit, ...] = Field(
        default=(), description="in order: a line counts under the first that takes it"
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


class CoordinationTerms(Strict):
    """How we pay beside another payer. No source says: all of it is judgement, but what is cited.

    ``before_…``: what of a member's file pays before us. Other codes are those of claims.
    """

    before_kinds: tuple[str, ...] = Field(
        default=(), description="kinds of other coverage (table other_coverage) that pay before us"
    )
    before_statuses: tuple[str, ...] = Field(
        default=(),
        description="special statuses that tell of a group health plan that pays before us, where "
        "the file names none",
    )
    auto_kinds: tuple[str, ...] = Field(
        default=(), description="kinds of other coverage that pay before us for a motor accident"
    )
    work_kinds: tuple[str, ...] = Field(
        default=(), description="kinds of other coverage that pay before us for what is of work"
    )
    auto_filing_codes: tuple[str, ...] = Field(
        default=(), description="SBR09 of auto insurers: personal injury protection, MedPay"
    )
    work_filing_codes: tuple[str, ...] = Field(
        default=(), description="SBR09 of workers' compensation"
    )
    medicare_filing_codes: tuple[str, ...] = Field(
        default=(), description="SBR09 of Original Medicare"
    )
    auto_codes: dict[str, tuple[str, ...]] = Field(
        default={},
        description="related causes (CLM11), occurrences (BH) and conditions (BG) by which an auto "
        "insurer pays first",
    )
    work_codes: dict[str, tuple[str, ...]] = Field(
        default={}, description="likewise, those that are of work"
    )
    work_related_disposition: Literal["deny", "pend"] = Field(
        default="pend",
        description="what is of work, where no coverage of workers' compensation is known",
    )
    conditional_value_codes: tuple[str, ...] = Field(
        default=(),
        description="value codes (BE) that with an amount of nothing ask for payment on condition",
    )
    cost_share_carcs: tuple[str, ...] = Field(
        default=(), description="with PR: the patient's share of what the other payer allows"
    )
    not_covered_carcs: tuple[str, ...] = Field(
        default=(),
        description="the other payer covers neither service nor patient, or no more: what it "
        "adjusts so is left to us whatever its group",
    )
    undecided_carcs: tuple[str, ...] = Field(
        default=(),
        description="the other payer wants something first, or says that another pays first: it "
        "has not decided",
    )
    ceiling: Literal["higher_allowed", "own_allowed"] = Field(
        default="higher_allowed",
        description="up to what all payers together pay: the higher of our and their allowed "
        "amount, or our own",
    )
    cost_share_statuses: tuple[str, ...] = Field(
        default=(),
        description="special statuses in which Original Medicare pays first and we pay the cost "
        "share it left, whatever our own terms (to the end of the month in which one ends)",
    )
    cost_share_citation: Citation | None = None
    accumulators_count: Literal["owed", "alone"] = Field(
        default="owed",
        description="what the member's counters count of a coordinated line: owed, what the "
        "member owes after all payers; alone, what would be owed were we the only one",
    )


class CorrectionTerms(Strict):
    """Corrected claims. The manual says how they are sent (001:2223-2252) and no more: all of it
    is judgement."""

    replacement_keeps_received_date: bool = Field(
        default=True,
        description="whether a replacement came in time by the day its first version came, which "
        "a denial for late filing then stands; else by its own",
    )
    late_charges_keep_received_date: bool = Field(
        default=False, description="likewise, late charges by the day of what they add to"
    )
    late_charges_gain_nothing: tuple[str, ...] = Field(
        default=("ms_drg", "case_rate"),
        description="pricing methods that pay a stay whatever is charged for it",
    )


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
    disputes: tuple[DisputeTerms, ...] = Field(
        default=(), description="of a kind without terms none are taken"
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
    carve_outs: tuple[CarveOut, ...] = Field(
        default=(), description="a line of several is the first one's"
    )
    hospice: HospiceTerms | None = None
    referrals: ReferralTerms = ReferralTerms()
    coordination: CoordinationTerms | None = Field(
        default=None, description="none: a claim that another payer decided waits"
    )
    uncollectable_statuses: tuple[str, ...] = Field(
        default=(),
        description="special statuses whose members owe no cost share: it is another programme's",
    )
    uncollectable_citation: Citation | None = None
    prior_authorization: AuthorizationTerms = AuthorizationTerms()
    pends: tuple[PendTerms, ...] = Field(
        default=(), description="of a pend code without any: nobody's, and without a last day"
    )
    corrections: CorrectionTerms = CorrectionTerms()
    clean_claims: tuple[CleanClaimTerms, ...] = Field(
        default=(), description="none in force: nothing is said of a claim's being clean"
    )
    payment_calendar: tuple[PaymentCalendar, ...] = Field(
        default=(), description="none in force: every night that runs pays"
    )
    interest: tuple[InterestTerms, ...] = Field(
        default=(), description="none in force on the day of the payment: no interest"
    )
    case_management: tuple[CaseManagementTerms, ...] = ()
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
