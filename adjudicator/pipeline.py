"""What a night carries from stage to stage."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from schemas import frames

if TYPE_CHECKING:
    from adjudicator.reference import Reference


FOUND_MEMBERS = {
    "claim_id": pl.Int64, "member_id": pl.String, "member_match_code": pl.String,
    "family_id": pl.String,
}  # fmt: skip


class Stage(Protocol):
    """A pure function of the batch and the reference data."""

    __name__: str

    def __call__(self, batch: Batch, reference: Reference, /) -> Batch: ...


@dataclass(frozen=True)
class Batch:
    """The claims of a night, a frame a grain (see schemas/frames.py), and what the store knows.

    Stages return a new Batch; ``with_`` replaces frames. ``claims`` and ``lines`` grow a
    contract a stage: Claims → IdentifiedClaims; Lines → IdentifiedLines → PricedLines →
    SharedLines → DecidedLines.
    """

    claims: pl.DataFrame
    lines: pl.DataFrame
    people: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.People))
    claim_providers: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.ClaimProviders)
    )
    diagnoses: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Diagnoses))
    procedures: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Procedures))
    occurrences: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Occurrences))
    dates: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Dates))
    references: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.References))
    amounts: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Amounts))
    notes: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Notes))
    attachments: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Attachments))
    certifications: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.Certifications)
    )
    other_payers: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.OtherPayers))
    other_payer_lines: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.OtherPayerLines)
    )
    other_payer_adjustments: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.OtherPayerAdjustments)
    )
    sources: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.ClaimSources))
    findings: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Findings))
    # who the claims' members are, where that was looked up before the stages; a row a claim
    found_members: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FOUND_MEMBERS))
    # from the store: lines already decided or waiting, and the counters before tonight
    history: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.HistoryLines))
    duplicates: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.DuplicateLines))
    similar: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.SimilarLines))
    accumulators: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Accumulators))
    referral_visits: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.ReferralVisits)
    )
    authorization_units: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.AuthorizationUnits)
    )
    benefit_uses: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.BenefitUses))
    open_pends: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.OpenPends))
    overrides: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Overrides))
    # what tonight's corrections may correct, and what that took from the counters
    versions: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Versions))
    reopened: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Reopened))
    taken_amounts: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.AccumulatorEntries)
    )
    taken_visits: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.ReferralVisitEntries)
    )
    taken_units: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.AuthorizationUnitEntries)
    )
    taken_uses: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.BenefitUseEntries))
    taken_copays: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.TakenCopays))
    # what match finds of them
    corrections: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Corrections))
    corrected: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.CorrectedVersions))
    # corrections of which it is known beforehand that they wait (adjudicator/decide.py)
    known_to_wait: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"claim_id": pl.Int64})
    )
    # what tonight decides
    reversals: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Reversals))
    coordinated: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.CoordinatedLines))
    accumulator_entries: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.AccumulatorEntries)
    )
    referral_visit_entries: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.ReferralVisitEntries)
    )
    authorization_unit_entries: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.AuthorizationUnitEntries)
    )
    benefit_use_entries: pl.DataFrame = field(
        default_factory=lambda: frames.empty(frames.BenefitUseEntries)
    )
    adjustments: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Adjustments))
    decisions: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.DecidedClaims))
    pends: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.Pends))

    def with_(self, **changed: Any) -> Batch:
        return replace(self, **changed)

    def only(self, claim_ids: pl.Series) -> Batch:
        """The same batch with these claims alone; what the store knows stays whole."""
        wanted = claim_ids.implode()
        return self.with_(
            **{
                name: getattr(self, name).filter(pl.col("claim_id").is_in(wanted))
                for name in OF_CLAIMS
            }
        )


# the frames that hold tonight's claims; the others are what the store knows
FROM_STORE = (
    "history", "accumulators", "referral_visits", "authorization_units", "benefit_uses",
    "open_pends", "overrides", "versions", "reopened", "taken_amounts", "taken_visits",
    "taken_units", "taken_uses", "taken_copays",
)  # fmt: skip
OF_CLAIMS = tuple(f.name for f in fields(Batch) if f.name not in FROM_STORE)
# those that reading fills
AS_READ = ("claims", "lines", "people", "claim_providers", "diagnoses", "procedures", "occurrences",
           "dates", "references", "amounts", "notes", "attachments", "certifications",
           "other_payers", "other_payer_lines", "other_payer_adjustments", "sources")  # fmt: skip
