from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation


@edit(
    disposition="pend",
    pend_code="PAYEE",
    must_be_mended=True,
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2106, 2107),
        phrase="Payment will be sent to the address listed as the primary provider",
    ),
)
def payee_unknown(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The provider file names no payee, or not one alone, for the billing provider [j].

    Without a payee not even a denial can be sent, and the contract that sets the filing limit is
    unknown, so the pend stands whatever else is found, until the provider is on file.
    """
    return (
        batch.claims.lazy()
        .filter(pl.col("payee_id").is_null())
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            pl.struct("billing_npi", "billing_tax_number").alias("inputs"),
        )
    )
