from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import LINE, NOTHING, carrying, holds, versions, within
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import AcquiredCondition, SeriousEvent
from schemas.program import Citation


@edit(
    disposition="deny",
    group_code="CO",
    carc="233",
    pend_code="REVIEW",
    cites=Citation(
        document="001",
        lines=(3683, 3686),
        phrase="will not compensate providers or permit providers to bill members for services "
        "related to the occurrence",
    ),
)
def serious_event(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """A serious reportable event, or a condition that a hospital's care brought about.

    A line with the modifier of surgery on a wrong part, a wrong patient, or of the wrong kind is
    denied. A hospital stay with a hospital-acquired condition that was not present on admission
    pends REVIEW [j]: under a DRG it would be grouped without that diagnosis, but no contract here
    pays by DRG yet, and what its care cost beyond the rest a person must find out (001:3698-3700).
    """
    found = [
        each
        for code, policy in versions(reference, "serious_event")
        for each in (_lines(batch, code, policy), _stays(batch, code, policy))
        if each.height
    ]
    return pl.concat(found).lazy() if found else NOTHING


def _lines(batch: Batch, code: str, policy: SeriousEvent) -> pl.DataFrame:
    lines = (
        batch.lines.select(*LINE, "modifier_codes", "decision_date")
        .filter(carrying(batch.lines["modifier_codes"], policy.modifiers))
        .join(batch.claims.select("claim_id", "program_code"), on="claim_id")
        .filter(holds(code, policy))
    )
    none = pl.lit(None, pl.String)
    return lines.select(
        *LINE,
        disposition=pl.lit("deny"),
        group_code=pl.lit("CO"),
        carc=pl.lit("233"),
        pend_code=none,
        inputs=pl.struct(
            "modifier_codes", "decision_date", conditions=pl.lit(None, pl.List(CONDITION))
        ),
    )


CONDITION = pl.Struct({"condition": pl.String, "diagnosis_code": pl.String})


def _stays(batch: Batch, code: str, policy: SeriousEvent) -> pl.DataFrame:
    acquired = batch.diagnoses.filter(
        pl.col("present_on_admission_code").is_in(policy.present_on_admission_codes)
    ).select("claim_id", "sequence_number", "diagnosis_code")
    if acquired.is_empty():
        return acquired
    stays = (
        batch.claims.filter(
            (pl.col("claim_type_code") == "I") & pl.col("facility_code").is_in(policy.bill_types)
        )
        .select(
            "claim_id", "program_code",
            decision_date=pl.coalesce("admission_date", "statement_from_date"),
        )
        .filter(holds(code, policy))
    )  # fmt: skip
    acquired = acquired.join(stays, on="claim_id", maintain_order="left")
    told = pl.coalesce(_condition(batch, each) for each in policy.conditions)
    none = pl.lit(None, pl.String)
    return (
        acquired.with_columns(condition=told)
        .filter(pl.col("condition").is_not_null())
        .sort("claim_id", "sequence_number")
        .group_by("claim_id", "decision_date", maintain_order=True)
        .agg(conditions=pl.struct("condition", "diagnosis_code"))
        .select(
            "claim_id",
            line_number=pl.lit(None, pl.Int64),
            disposition=pl.lit("pend"),
            group_code=none,
            carc=none,
            pend_code=pl.lit("REVIEW"),
            inputs=pl.struct(none.alias("modifier_codes"), "decision_date", "conditions"),
        )
    )


def _condition(batch: Batch, each: AcquiredCondition) -> pl.Expr:
    """The condition's words where a diagnosis is one of it."""
    is_one = within(pl.col("diagnosis_code"), each.diagnosis_ranges)
    if each.inpatient_procedure_ranges:
        after = batch.procedures.filter(
            within(pl.col("procedure_code"), each.inpatient_procedure_ranges)
        )["claim_id"]
        is_one &= pl.col("claim_id").is_in(after.unique().implode())
    return pl.when(is_one).then(pl.lit(each.words))
