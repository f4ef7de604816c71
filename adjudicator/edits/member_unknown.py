from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation


@edit(
    disposition="deny",
    group_code="PR",
    carc="31",
    pend_code="MEMBER",
    cites=Citation(
        document="001",
        lines=(1496, 1496),
        phrase="Member name, ID number, and date of birth are required for claim adjudication",
    ),
)
def member_unknown(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """No member has the card number and birth date: the patient is not ours to decide for.

    One has them under another name, or several do: pends MEMBER until a person says who it is.
    """
    none = pl.col("member_match_code") == "none"
    return (
        batch.claims.lazy()
        .filter(pl.col("member_match_code") != "found")
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            pl.when(none).then(pl.lit("deny")).otherwise(pl.lit("pend")).alias("disposition"),
            pl.when(none).then(pl.lit("PR")).alias("group_code"),
            pl.when(none).then(pl.lit("31")).alias("carc"),
            pl.when(~none).then(pl.lit("MEMBER")).alias("pend_code"),
            pl.struct("member_match_code").alias("inputs"),
        )
    )
