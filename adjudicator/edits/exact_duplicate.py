from __future__ import annotations

import polars as pl

from adjudicator.corrections import acting
from adjudicator.edits.edit import edit
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

LINE = ["claim_id", "line_number"]


@edit(
    disposition="deny",
    group_code="OA",
    carc="18",
    across_night=True,
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2061, 2063),
        phrase="Claim forms are submitted by noncapitated providers for both payment",
    ),
)
def exact_duplicate(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The line repeats one that was paid or waits, or one of this night that still stands.

    Of the night's equal lines the first in receipt order that no edit denies is the original;
    those after it are duplicates of it, denied on other grounds or not. Within one claim a line
    is a duplicate only where it carries a date of its own [j]: a stay's undated lines may
    be one for each day.
    """
    if batch.duplicates.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    group = ["of_claim_id", "of_line_number"]
    duplicates = _without_replaced(batch)
    first = duplicates.select(
        *group,
        "of_claim_number",
        claim_id="of_claim_id",
        line_number="of_line_number",
    ).unique(group)
    equal = (
        pl.concat([first, duplicates.select(first.columns)])
        .join(batch.claims.select("claim_id", "receipt_number"), on="claim_id", how="left")
        # an original of an earlier night comes before all of tonight
        .sort(*group, "receipt_number", *LINE, nulls_last=False)
        .with_columns(place=pl.int_range(pl.len()).over(group))
    )
    denied = fates(batch).lines.filter(line_disposition="denied")
    originals = (
        equal.join(denied, on=LINE, how="anti")
        .sort(*group, "place")
        .unique(group, keep="first", maintain_order=True)
        .join(batch.claims.select("claim_id", "claim_number"), on="claim_id", how="left")
        .select(
            *group,
            original_place="place",
            original_claim_id="claim_id",
            duplicate_of_claim=pl.coalesce("claim_number", "of_claim_number"),
            duplicate_of_line="line_number",
        )
    )
    return (
        equal.join(originals, on=group)
        .filter(pl.col("place") > pl.col("original_place"))
        .join(batch.lines.select(*LINE, "service_from_date"), on=LINE)
        .filter(
            (pl.col("claim_id") != pl.col("original_claim_id"))
            | pl.col("service_from_date").is_not_null()
        )
        .lazy()
        .select(*LINE, pl.struct("duplicate_of_claim", "duplicate_of_line").alias("inputs"))
    )


def _without_replaced(batch: Batch) -> pl.DataFrame:
    """The duplicates but those of what a correction, received before them, replaces tonight."""
    if batch.corrected.is_empty():
        return batch.duplicates
    pended = fates(batch).claims.filter(disposition="pended")["claim_id"]
    replaced = batch.corrected.join(
        acting(batch.corrections, pended), on="claim_id", how="semi"
    ).select("of_claim_id", by_claim_id="claim_id")
    gone = batch.duplicates.join(replaced, on="of_claim_id").filter(
        pl.col("by_claim_id") < pl.col("claim_id")
    )
    return batch.duplicates.join(gone, on=LINE, how="anti", maintain_order="left")
