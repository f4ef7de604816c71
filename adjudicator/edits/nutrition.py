from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import LINE, NOTHING, holds, procedure_lines, ruled, versions
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import Nutrition
from schemas.program import Citation


@edit(
    disposition="deny",
    group_code="CO",
    carc="96",
    rarc="N130",
    judgement=True,
    cites=Citation(
        document="002",
        lines=(18, 25),
        phrase="does not routinely compensate for the following",
    ),
)
def nutrition(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Weight and nutrition services that are not paid for.

    Commercial diet plans and weight programmes, gym membership, holistic therapy, counselling at
    resorts and camps, supplemental foods, physical therapy for weight loss (002:20-25): by the
    codes, the provider's specialty and the diagnoses of the program's policy [j].
    """
    found = [_found(batch, reference, c, p) for c, p in versions(reference, "nutrition")]
    found = [each for each in found if each.height]
    return pl.concat(found).lazy() if found else NOTHING


def _found(batch: Batch, reference: Reference, code: str, policy: Nutrition) -> pl.DataFrame:
    ranges = tuple(r for rule in policy.services for r in rule.procedure_ranges)
    columns = [*LINE, "procedure_code", "decision_date", "diagnosis_pointers", "rendering_npi"]
    claims = batch.claims.select(
        "claim_id", "program_code", "claim_type_code", "billing_npi", of_claim="rendering_npi"
    )
    lines = (
        procedure_lines(batch, ranges, columns)
        .join(claims, on="claim_id", maintain_order="left")
        .filter(holds(code, policy))
        .with_columns(
            provider_number=pl.when(pl.col("claim_type_code") == "I")
            .then("billing_npi")
            .otherwise(pl.coalesce("rendering_npi", "of_claim", "billing_npi"))
        )
    )
    return ruled(lines, policy.services, batch, reference).select(
        *LINE, inputs=pl.struct("service", "procedure_code", "decision_date", "provider_number")
    )
