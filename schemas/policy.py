"""Payment policies as data: schemas/programs/<program>/policies/<edit>.yaml.

A file is named as the edit that carries it out, and lists the policy's versions, each by the dates
of service for which it holds, told in our own words with the sentence it rests on. Codes stand
here, never in an edit; what no source decides is marked [judgement] where it stands.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt

from schemas.base import Citation, Span, Strict

Codes = tuple[str, ...]
Ranges = tuple[tuple[str, str], ...]  # both ends included, of codes of one length


class Policy(Span):
    """A version of a payment policy."""

    words: str = Field(description="the policy in our own words")
    citation: Citation


class ServiceRule(Strict):
    """Services that are not paid: of a line every condition given holds."""

    words: str = Field(description="what they are")
    procedure_ranges: Ranges
    taxonomy_codes: Codes = Field(default=(), description="of the provider; empty: whoever it is")
    diagnosis_ranges: Ranges = Field(
        default=(), description="in which all of the line's diagnoses lie; empty: whatever they are"
    )


class FacilityService(Strict):
    """A kind of service that only facilities on a list may render."""

    service_code: str = Field(description="as in table approved_facilities")
    words: str
    procedure_ranges: Ranges = ()
    revenue_codes: Codes = ()
    inpatient_procedure_ranges: Ranges = Field(
        default=(), description="ICD-10-PCS codes, or how they begin"
    )
    in_study: bool | None = Field(
        default=None, description="only in a study (true), only outside one; empty: either way"
    )


class ApprovedFacility(Policy):
    services: tuple[FacilityService, ...]
    study_modifiers: Codes = Field(default=(), description="by which a line tells of a study")
    study_condition_codes: Codes = Field(default=(), description="by which a claim does")
    study_reference_codes: Codes = Field(
        default=(), description="qualifiers (REF01) of the study's number, by which a claim does"
    )


class AcquiredCondition(Strict):
    """A condition that a hospital's care should not bring about."""

    words: str
    diagnosis_ranges: Ranges
    inpatient_procedure_ranges: Ranges = Field(
        default=(), description="only after one of these ICD-10-PCS codes; empty: after anything"
    )


class SeriousEvent(Policy):
    modifiers: Codes = Field(description="of a line that tells of such an event")
    bill_types: Codes = Field(description="first two digits of the stays that are looked at")
    present_on_admission_codes: Codes = Field(description="that say: not present on admission")
    conditions: tuple[AcquiredCondition, ...]


class UnlistedCode(Policy):
    procedure_ranges: Ranges = Field(description="unlisted and miscellaneous codes")
    description_claim_types: tuple[Literal["P", "I"], ...] = Field(
        description="claims of which a description is documentation enough"
    )


class AmbulanceInStay(Policy):
    procedure_ranges: Ranges = Field(description="ambulance services and what is billed with them")
    emergency_procedures: Codes = Field(description="of a trip that was an emergency")
    base_procedures: Codes = Field(description="of a trip that was none")
    stay_bill_types: Codes = Field(description="of inpatient admissions")
    outpatient_bill_types: Codes = Field(description="of outpatient admissions")
    outpatient_revenue_codes: Codes = Field(description="that make a claim one")
    outpatient_procedures: Codes = Field(description="that make a claim one")
    between_modifiers: Codes = Field(
        description="origin and destination of a trip from the facility and back, by which a trip "
        "on the first or last day lies within the stay"
    )


class UrgentCare(Policy):
    taxonomy_codes: Codes = Field(description="specialties of urgent care centers")
    places_of_service: Codes = Field(description="where urgent care is given")
    services: tuple[ServiceRule, ...]
    urgent_procedures: Codes = Field(
        default=(), description="that only urgent care centers are contracted for"
    )


class Nutrition(Policy):
    services: tuple[ServiceRule, ...]


class Observation(Policy):
    revenue_codes: Codes
    procedures: Codes
    stay_bill_types: Codes = Field(description="first two digits of the admissions' bill types")
    outpatient_bill_types: Codes = Field(description="first two digits of observation's")
    days_after: NonNegativeInt = Field(
        description="how many days after the last of observation an admission may still come of it"
    )


class ClaimEditing(Policy):
    hospital_bill_types: Codes = Field(
        description="first two digits of the bill types that the hospital tables are for"
    )
    supplier_taxonomy_codes: Codes = Field(
        default=(), description="of those whose units the supplier table limits, and no pairs"
    )
    separating_modifiers: Codes = Field(
        description="that set two procedures apart where the pair allows it"
    )
    closed_add_on_types: Codes = Field(
        description="of add-on codes for which all primary codes are listed; of others any "
        "procedure that is no add-on code may be the primary one"
    )


class Policies(Strict):
    """A program's payment policies, each a tuple of versions that do not overlap."""

    approved_facility: tuple[ApprovedFacility, ...] = ()
    serious_event: tuple[SeriousEvent, ...] = ()
    unlisted_code: tuple[UnlistedCode, ...] = ()
    ambulance_in_stay: tuple[AmbulanceInStay, ...] = ()
    urgent_care: tuple[UrgentCare, ...] = ()
    nutrition: tuple[Nutrition, ...] = ()
    observation: tuple[Observation, ...] = ()
    ncci: tuple[ClaimEditing, ...] = ()
