"""SNIP 3: what another payer is said to have done with a claim must add up, to the cent.

The guides' balancing of coordination of benefits (837P and 837I, 1.4.4): per payer

- a line: charge = Σ paid (SVD02) + Σ adjustments (CAS of 2430);
- what it paid in all: AMT*D = Σ SVD02 − Σ adjustments of the claim (CAS of 2320);
- the claim: CLM02 = AMT*D + Σ adjustments, of the claim and of its lines.

That CLM02 is the sum of the lines' charges is a box of the forms (total_charge). Paper says only
what was paid, so there nothing can add up.
"""

from __future__ import annotations

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.snip.rule import PAPER, of_claims, rule

SOURCE = "005010X222A1 and 005010X223A2, 1.4.4"
MEND = "send paid amounts and adjustments that add up, as on the other payer's remittance"


def dollars(amount: str) -> pl.Expr:
    """Cents as 1234.50."""
    cents = pl.col(amount)
    return pl.concat_str(
        pl.when(cents < 0).then(pl.lit("-")).otherwise(pl.lit("")),
        (cents.abs() // 100).cast(pl.String),
        pl.lit("."),
        (cents.abs() % 100).cast(pl.String).str.zfill(2),
    )


@rule(
    level=3, element="2430 SVD02 and CAS", status_code="A7:672", rarc="N480", source=SOURCE,
    mend=MEND,
)  # fmt: skip
def other_payer_line_balance(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A line's charge is not what another payer paid of it plus what it adjusted.

    Several 2430 of one payer on a line (a service that it split) count together.
    """
    if batch.other_payer_lines.is_empty():
        return None
    line = ["claim_id", "line_number"]
    lines = batch.lines.select(*line, "charge_amount")
    charges = of_claims(lines, batch.other_payer_lines["claim_id"])
    return (
        _line_sums(batch, [*line, "payer_number"])
        .join(charges.lazy(), on=line)
        .filter(pl.col("charge_amount") != pl.col("paid") + pl.col("adjusted"))
        .sort(*line, "payer_number", nulls_last=True)
        .select(
            *line,
            cause=pl.concat_str(
                pl.lit("the line's charge, "), dollars("charge_amount"),
                pl.lit(", is not what another payer paid, "), dollars("paid"),
                pl.lit(", plus its adjustments, "), dollars("adjusted"),
            ),
        )
        .collect()
    )  # fmt: skip


@rule(
    level=3, element="2320 AMT D", status_code="A7:672", rarc="N480", source=SOURCE, mend=MEND
)  # fmt: skip
def other_payer_paid_balance(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """What another payer paid is not the sum of its lines less what it adjusted of the claim.

    Asked where the payer decided by line; not where two payers of a claim have one number.
    """
    if batch.other_payer_lines.is_empty():
        return None
    return (
        _payers(batch)
        .filter(
            pl.col("lines_paid").is_not_null()
            & (pl.col("paid_amount") != pl.col("lines_paid") - pl.col("claim_adjusted"))
        )
        .select(
            "claim_id", line_number=pl.lit(None, dtype=pl.Int64),
            cause=pl.concat_str(
                pl.lit("what another payer paid, "), dollars("paid_amount"),
                pl.lit(", is not what it paid of the lines, "), dollars("lines_paid"),
                pl.lit(", less its adjustments of the claim, "), dollars("claim_adjusted"),
            ),
        )
        .collect()
    )  # fmt: skip


@rule(
    level=3, element="2320 AMT D and CAS", status_code="A7:672", rarc="N480", source=SOURCE,
    mend=MEND,
)  # fmt: skip
def other_payer_claim_balance(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A claim's charge is not what another payer paid plus all that it adjusted.

    Not asked of a payer that paid nothing, adjusted nothing and names no day: it hasn't decided.
    """
    if batch.other_payers.is_empty():
        return None
    adjusted = pl.col("claim_adjusted") + pl.col("lines_adjusted").fill_null(0)
    undecided = (
        (pl.col("paid_amount") == 0)
        & pl.col("adjudication_date").is_null()
        & ~pl.col("adjusts")
        & pl.col("lines_paid").is_null()
    )
    return (
        _payers(batch)
        .with_columns(adjusted=adjusted)
        .filter((pl.col("charge_amount") != pl.col("paid_amount") + adjusted) & ~undecided)
        .select(
            "claim_id", line_number=pl.lit(None, dtype=pl.Int64),
            cause=pl.concat_str(
                pl.lit("the claim's charge, "), dollars("charge_amount"),
                pl.lit(", is not what another payer paid, "), dollars("paid_amount"),
                pl.lit(", plus its adjustments of claim and lines, "), dollars("adjusted"),
            ),
        )
        .collect()
    )  # fmt: skip


def _line_sums(batch: Batch, by: list[str]) -> pl.LazyFrame:
    """``paid`` and ``adjusted`` of the 2430 loops, summed by their keys."""
    loop = ["claim_id", "line_number", "adjudication_sequence"]
    adjusted = (
        batch.other_payer_adjustments.lazy()
        .filter(pl.col("line_number").is_not_null())
        .group_by(loop)
        .agg(adjusted=pl.col("adjustment_amount").sum())
    )
    return (
        batch.other_payer_lines.lazy()
        .join(adjusted, on=loop, how="left")
        .group_by(by)
        .agg(paid=pl.col("paid_amount").sum(), adjusted=pl.col("adjusted").sum())
    )


def _payers(batch: Batch) -> pl.LazyFrame:
    """The other payers that say what they paid, with their claim's charge and their sums."""
    payer = ["claim_id", "payer_sequence"]
    number = ["claim_id", "payer_number"]
    lines = _line_sums(batch, number).rename({"paid": "lines_paid", "adjusted": "lines_adjusted"})
    adjusted = (
        batch.other_payer_adjustments.lazy()
        .filter(pl.col("payer_sequence").is_not_null())
        .group_by(payer)
        .agg(claim_adjusted=pl.col("adjustment_amount").sum(), adjusts=pl.lit(value=True))
    )
    claims = of_claims(
        batch.claims.select("claim_id", "charge_amount", "source_format_code"),
        batch.other_payers["claim_id"],
    )
    # of two payers with one number nobody knows whose lines those are
    unclear = pl.col("lines_paid").is_not_null() & (pl.len().over(number) > 1)
    return (
        batch.other_payers.lazy()
        .select(*payer, "payer_number", "paid_amount", "adjudication_date")
        .join(lines, on=number, how="left", maintain_order="left")
        .filter(~unclear & pl.col("paid_amount").is_not_null())
        .join(claims.lazy(), on="claim_id", maintain_order="left")
        .filter(~pl.col("source_format_code").is_in(PAPER))
        .join(adjusted, on=payer, how="left", maintain_order="left")
        .with_columns(
            pl.col("claim_adjusted").fill_null(0), pl.col("adjusts").fill_null(value=False)
        )
    )
