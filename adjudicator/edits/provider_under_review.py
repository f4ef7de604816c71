from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

LINE = ["claim_id", "line_number"]


@edit(
    disposition="pend",
    pend_code="REVIEW",
    cites=Citation(
        document="001",
        lines=(2059, 2059),
        phrase="do not include a claim from a provider who is under investigation for fraud",
    ),
)
def provider_under_review(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The billing provider, or a rendering one, is under investigation on the business date.

    Not on the date of service [j]: what an investigation holds back waits until it ends, and what
    was served before it began is no cleaner for that.
    """
    flags = reference.tables["provider_flags"]
    today = reference.business_date
    npis = flags.filter(
        (pl.col("flag_code") == "under_review")
        & (pl.col("start_date") <= today)
        & (pl.col("end_date").is_null() | (pl.col("end_date") >= today))
    )["npi"]
    if npis.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    named = [
        batch.claims.lazy().select("claim_id", npi="billing_npi"),
        batch.claims.lazy().select("claim_id", npi="rendering_npi"),
        batch.lines.lazy().select("claim_id", npi="rendering_npi"),
    ]
    return (
        pl.concat([each.filter(pl.col("npi").is_in(npis.implode())) for each in named])
        .unique("claim_id", keep="first", maintain_order=True)
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            pl.struct("npi").alias("inputs"),
        )
    )
