from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation


@edit(
    disposition="pend",
    pend_code="COB",
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2751, 2752),
        phrase="indicate if there is another primary health benefit plan",
    ),
)
def coordination(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Another payer is on the claim, or the claim does not say that we pay first.

    Pends until payments are coordinated [j]: who pays how much is not ours to guess.
    """
    others = batch.other_payers.lazy().group_by("claim_id").agg(pl.len().alias("other_payer_count"))
    return (
        batch.claims.lazy()
        .join(others, on="claim_id", how="left")
        .filter(
            pl.col("responsibility_code").ne_missing("P")
            | pl.col("other_payer_count").is_not_null()
        )
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            pl.struct("responsibility_code", pl.col("other_payer_count").fill_null(0)).alias(
                "inputs"
            ),
        )
    )
