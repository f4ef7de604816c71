from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import (
    LINE,
    NOTHING,
    holds,
    procedure_lines,
    ruled,
    versions,
)
from adjudicator.edits.services import with_specialties
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import UrgentCare
from schemas.program import Citation

COLUMNS = [
    *LINE, "procedure_code", "decision_date", "diagnosis_pointers", "place_of_service_code",
    "network_code",
]  # fmt: skip
CONTRACTED = "urgent care by a provider that is not contracted for it"


@edit(
    disposition="deny",
    group_code="CO",
    carc="256",
    judgement=True,
    cites=Citation(
        document="002",
        lines=(11, 15),
        phrase="clarifies services for which reimbursement is not considered appropriate",
    ),
)
def urgent_care(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """What an urgent care provider isn't paid for; urgent care that only such a one is paid for.

    Handling, routine blood draws, special reports, high-end radiology, preventive and routine
    services, as the program's policy lists them (002:13-15), of a billing provider whose specialty
    is urgent care, or where the place of service is. Who is uniquely contracted for urgent care
    (002:10) no contract tells: a provider of the network of another known specialty is not paid the
    rates that urgent care centers are contracted for [j].
    """
    found = [_found(batch, reference, c, p) for c, p in versions(reference, "urgent_care")]
    found = [each for each in found if each.height]
    return pl.concat(found).lazy() if found else NOTHING


def _found(batch: Batch, reference: Reference, code: str, policy: UrgentCare) -> pl.DataFrame:
    unpaid = tuple(r for rule in policy.services for r in rule.procedure_ranges)
    urgent = tuple((c, c) for c in policy.urgent_procedures)
    providers = reference.tables["providers"]
    centers = providers.filter(pl.col("taxonomy_code").is_in(policy.taxonomy_codes))["npi"]
    claims = batch.claims.filter(
        pl.col("billing_npi").is_in(centers.unique().implode())
        | pl.col("billing_taxonomy_code").is_in(policy.taxonomy_codes)
    )["claim_id"]
    there = pl.col("place_of_service_code").is_in(policy.places_of_service)
    lines = procedure_lines(batch, (*unpaid, *urgent), COLUMNS).filter(
        there
        | pl.col("claim_id").is_in(claims.implode())
        | pl.col("procedure_code").is_in(policy.urgent_procedures)
    )
    lines = lines.join(
        batch.claims.select(
            "claim_id", "program_code", "claim_type_code", provider_number="billing_npi"
        ),
        on="claim_id", maintain_order="left",
    ).filter(holds(code, policy))  # fmt: skip
    if lines.is_empty():
        return lines
    of_specialty = pl.col("specialties").list.eval(pl.element().is_in(policy.taxonomy_codes))
    known = with_specialties(lines, batch, reference).select(
        *lines.columns, center=of_specialty.list.any()
    )
    professional = pl.col("claim_type_code") == "P"
    not_paid = ruled(
        known.filter(pl.col("center").fill_null(value=False) | (professional & there)),
        policy.services, batch, reference,
    )  # fmt: skip
    elsewhere = known.filter(
        pl.col("procedure_code").is_in(policy.urgent_procedures)
        & (pl.col("network_code") == "in")
        & ~pl.col("center")
    ).with_columns(service=pl.lit(CONTRACTED))
    columns = [*LINE, "service", "procedure_code", "decision_date", "provider_number"]
    return (
        pl.concat([not_paid.select(columns), elsewhere.select(columns)])
        .unique(LINE, keep="first", maintain_order=True)
        .select(*LINE, inputs=pl.struct(columns[2:]))
    )
