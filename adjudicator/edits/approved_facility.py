from __future__ import annotations

from functools import reduce
from operator import or_

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import in_force
from adjudicator.edits.policies import (
    LINE,
    NOTHING,
    carrying,
    holds,
    procedure_lines,
    versions,
    within,
)
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import ApprovedFacility, FacilityService
from schemas.program import Citation

COLUMNS = [*LINE, "decision_date", "procedure_code", "modifier_codes"]


@edit(
    disposition="deny",
    group_code="CO",
    carc="B7",
    rarc="N760",
    cites=Citation(
        document="001",
        lines=(1946, 1948),
        phrase="not pay for services rendered at a non-Medicare-approved facility",
    ),
)
def approved_facility(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """A service that only Medicare-approved facilities may render, at one not on the dated list.

    Transplants (001:1938-1941, 001:3654-3656), lung volume reduction, carotid stenting outside a
    study, ventricular assist devices and PET scans in a study (001:1923-1936), by the codes of
    the program's policy. The facility is the one the claim names, else the billing provider; on an
    institutional claim either [j]. A claim with such an ICD-10-PCS code is found whole. The work-up
    for a transplant has no codes of its own: it is found as far as the policy lists some.

    A service of which no list is in force on the day isn't judged, and is told so.
    """
    table = reference.tables["approved_facilities"]
    policies = versions(reference, "approved_facility")
    if table.is_empty() or not policies:
        return NOTHING
    rendered = pl.concat([_rendered(batch, code, policy) for code, policy in policies])
    if rendered.is_empty():
        return NOTHING
    claims = batch.claims.select(
        "claim_id", "claim_type_code", "billing_npi", facility_number="facility_npi"
    )
    asked = rendered.join(claims, on="claim_id", maintain_order="left").with_row_index("_row")
    at = pl.concat(
        [
            asked.select("_row", "decision_date", "service_code", npi=pl.coalesce(
                "facility_number", "billing_npi")),
            asked.filter(claim_type_code="I").select(
                "_row", "decision_date", "service_code", npi="billing_npi"),
        ]
    )  # fmt: skip
    approved = in_force(at, table, ["npi", "service_code"])["_row"]
    listed = in_force(
        asked.select("_row", "decision_date", "service_code"), table, ["service_code"]
    )["_row"]
    is_listed = pl.col("_row").is_in(listed.unique().implode())
    return (
        asked.filter(~pl.col("_row").is_in(approved.unique().implode()))
        .lazy()
        .select(
            *LINE,
            pl.when(is_listed)
            .then(pl.lit("deny"))
            .otherwise(pl.lit("inform"))
            .alias("disposition"),
            *(
                pl.when(is_listed).then(pl.lit(value)).alias(name)
                for name, value in (("group_code", "CO"), ("carc", "B7"), ("rarc", "N760"))
            ),
            pl.struct(
                pl.when(is_listed)
                .then(pl.lit("not on the list"))
                .otherwise(pl.lit("no list in force"))
                .alias("because"),
                "service_code",
                "service",
                pl.coalesce("facility_number", "billing_npi").alias("facility_number"),
                "decision_date",
            ).alias("inputs"),
        )
    )


def _rendered(batch: Batch, code: str, policy: ApprovedFacility) -> pl.DataFrame:
    """The lines, and the whole claims, with a service of the policy, each of them once."""
    programs = batch.claims.select(
        "claim_id", "program_code",
        stay_date=pl.coalesce("admission_date", "statement_from_date"),
    )  # fmt: skip
    lines = _lines(batch, policy).join(programs, on="claim_id", maintain_order="left")
    stays = _stays(batch, policy).join(programs, on="claim_id", maintain_order="left")
    whole = stays.with_columns(decision_date="stay_date")
    # a line of a claim that is found whole needs no finding of its own
    found = pl.concat([whole, lines.select(whole.columns).join(whole, on="claim_id", how="anti")])
    study = _in_study(batch, found, policy)
    kinds = {each.service_code: each for each in policy.services}
    told = found.with_columns(
        service=pl.col("service_code").replace_strict({n: each.words for n, each in kinds.items()}),
        in_study=pl.col("service_code").replace_strict(
            {n: each.in_study for n, each in kinds.items()}, return_dtype=pl.Boolean
        ),
    )
    fits = pl.col("in_study").is_null() | (pl.col("in_study") == study)
    return (
        told.filter(holds(code, policy) & fits)
        .sort(*LINE, "service_code")
        .unique(LINE, keep="first", maintain_order=True)
        .select(*LINE, "decision_date", "service_code", "service")
    )


def _lines(batch: Batch, policy: ApprovedFacility) -> pl.DataFrame:
    found = [_of_line(batch, each) for each in policy.services]
    return pl.concat([_none(batch), *found])


def _none(batch: Batch) -> pl.DataFrame:
    return batch.lines.clear().select(COLUMNS).with_columns(service_code=pl.lit(""))


def _of_line(batch: Batch, service: FacilityService) -> pl.DataFrame:
    lines = procedure_lines(batch, service.procedure_ranges, COLUMNS)
    if service.revenue_codes:
        of_revenue = batch.lines.filter(pl.col("revenue_code").is_in(service.revenue_codes))
        lines = pl.concat([lines, of_revenue.select(COLUMNS)]).unique(LINE, maintain_order=True)
    return lines.with_columns(service_code=pl.lit(service.service_code))


def _stays(batch: Batch, policy: ApprovedFacility) -> pl.DataFrame:
    """Claims with an ICD-10-PCS code of a service: LINE, of which no line, and ``service_code``."""
    coded = [each for each in policy.services if each.inpatient_procedure_ranges]
    any_coded = reduce(
        or_,
        (within(pl.col("procedure_code"), s.inpatient_procedure_ranges) for s in coded),
        pl.lit(value=False),
    )
    procedures = batch.procedures.filter(any_coded)
    found = [
        procedures.filter(within(pl.col("procedure_code"), each.inpatient_procedure_ranges))
        .select("claim_id", service_code=pl.lit(each.service_code))
        .unique()
        for each in coded
    ]
    return pl.concat([_none(batch), *found], how="diagonal")


def _in_study(batch: Batch, found: pl.DataFrame, policy: ApprovedFacility) -> pl.Expr:
    """Whether line or claim tells of a study."""
    conditions = batch.occurrences.filter(
        (pl.col("qualifier_code") == "BG") & pl.col("code").is_in(policy.study_condition_codes)
    )["claim_id"]
    numbered = batch.references.filter(
        pl.col("qualifier_code").is_in(policy.study_reference_codes)
    )["claim_id"]
    claims = pl.concat([conditions, numbered]).unique()
    return pl.col("claim_id").is_in(claims.implode()) | carrying(
        found["modifier_codes"], policy.study_modifiers
    )
