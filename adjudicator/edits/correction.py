from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

CORRECTIONS = ("5", "7", "8")  # late charges, replacement, void


@edit(
    disposition="pend",
    pend_code="CORRECTION",
    must_be_mended=True,
    cites=Citation(document="001", lines=(2225, 2229), phrase="void or cancel a prior claim"),
)
def correction(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The claim corrects an earlier one.

    What its dates, member and lines mean depends on the original, so the pend stands whatever
    else is found, until corrected claims are carried out.
    """
    return (
        batch.claims.lazy()
        .filter(pl.col("frequency_code").is_in(CORRECTIONS))
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            pl.struct("frequency_code", "original_claim_number").alias("inputs"),
        )
    )
