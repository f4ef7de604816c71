from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference, of_bill_types
from schemas.program import Citation

CARC = {"before": "26", "after": "27", "gap": "200"}


@edit(
    disposition="deny",
    group_code="PR",
    carc="26",
    other_codes=(("PR", "27"), ("PR", "200"), ("OA", "109")),
    cites=Citation(
        document="001",
        lines=(2036, 2037),
        phrase="members who meet eligibility criteria and who are members on the date of service",
    ),
)
def coverage(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The member is not covered on the line's date; the member owes [j].

    A hospital stay is judged whole by the day of admission (42 CFR 422.318): we pay to discharge
    what began under our coverage; what began before it and reaches into it belongs to the
    earlier payer (OA-109). A line without any date pends REFERENCE.
    """
    claims = batch.claims.select(
        "claim_id",
        "member_id",
        "program_code",
        "admission_date",
        "statement_from_date",
        "statement_through_date",
        stay=of_bill_types(reference.programs, "hospital_stay_bill_types"),
    )
    uncovered = (
        batch.lines.select("claim_id", "line_number", "coverage_code", "decision_date")
        .filter(pl.col("coverage_code").ne_missing("covered"))
        .join(claims.filter(pl.col("member_id").is_not_null()), on="claim_id")
        .with_columns(
            coverage_date=pl.when("stay")
            .then(pl.coalesce("admission_date", "statement_from_date", "decision_date"))
            .otherwise("decision_date")
        )
    )
    reached = (
        uncovered.filter("stay")
        .join(reference.tables["coverage"], on=["member_id", "program_code"])
        .filter(
            (pl.col("start_date") > pl.col("coverage_date"))
            & (pl.col("start_date") <= pl.col("statement_through_date"))
        )["claim_id"]
        .unique()
    )
    earlier = pl.col("claim_id").is_in(reached.implode())
    dated = pl.col("coverage_code").is_not_null()
    return uncovered.lazy().select(
        "claim_id",
        "line_number",
        pl.when(dated).then(pl.lit("deny")).otherwise(pl.lit("pend")).alias("disposition"),
        pl.when(earlier).then(pl.lit("OA")).when(dated).then(pl.lit("PR")).alias("group_code"),
        pl.when(earlier)
        .then(pl.lit("109"))
        .otherwise(pl.col("coverage_code").replace_strict(CARC, default=None))
        .alias("carc"),
        pl.when(~dated).then(pl.lit("REFERENCE")).alias("pend_code"),
        pl.struct("coverage_code", "coverage_date", "program_code").alias("inputs"),
    )
