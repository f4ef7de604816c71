"""SNIP 4: what one element makes necessary, or impossible, in another.

Here what the frames tell and no box of the forms asks; HL04 and SBR02 are asked where segments
are (edi/syntax.py), pointers, corrections and the dates of outpatient lines box by box.
"""

from __future__ import annotations

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.snip.rule import PAPER, of_claims, rule

REVERSED = "the last day lies before the first"
ACCIDENT_CAUSES = ("AA", "OA")
UNKNOWN_RESPONSIBILITY = "U"


def _whole_claims(claims: pl.Series, cause: str) -> pl.DataFrame:
    return pl.DataFrame({"claim_id": claims}).select(
        "claim_id", line_number=pl.lit(None, dtype=pl.Int64), cause=pl.lit(cause)
    )


@rule(
    level=4, element="2400 DTP 472", status_code="A7:187", rarc="M52",
    other_codes=("A7:188", "A7:722", "A7:21"), source="005010X222A1 and 005010X223A2, DTP and HI",
    mend="send the first day first",
)  # fmt: skip
def reversed_dates(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A range of days ends before it begins: of a line, of a bill, of an occurrence span, or any
    other DTP with RD8."""
    lines = batch.lines.filter(pl.col("service_through_date") < pl.col("service_from_date"))
    claims = batch.claims.filter(pl.col("statement_through_date") < pl.col("statement_from_date"))
    spans = batch.occurrences.filter(pl.col("through_date") < pl.col("from_date"))
    dates = batch.dates.filter(pl.col("through_date") < pl.col("from_date"))
    if not lines.height + claims.height + spans.height + dates.height:
        return None
    told = {"472": "2400", "434": "2300"}  # above, from paper too
    others = dates.filter(
        pl.col("loop") != pl.col("qualifier_code").replace_strict(told, default="")
    )
    no_line = pl.lit(None, dtype=pl.Int64)
    return pl.concat(
        rows.select(
            "claim_id", line_number=line, cause=pl.lit(REVERSED), element=element,
            status_code=pl.lit(code), rarc=pl.lit(rarc),
        )
        for rows, line, element, code, rarc in (
            (claims, no_line, pl.lit("2300 DTP 434"), "A7:188", "MA31"),
            (spans, no_line, pl.lit("2300 HI BI"), "A7:722", "N300"),
            (
                others, pl.col("line_number"),
                pl.concat_str("loop", pl.lit(" DTP "), "qualifier_code"), "A7:21", "N301",
            ),
            (lines, pl.col("line_number"), pl.lit("2400 DTP 472"), "A7:187", "M52"),
        )
    )  # fmt: skip


@rule(
    level=4, element="2300 DTP 439", status_code="A6:727", rarc="N305",
    source="005010X222A1, 2300 DTP 439", mend="send the day of the accident",
)  # fmt: skip
def accident_undated(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A professional claim tells of an accident (CLM11 AA or OA) and not of its day."""
    told = batch.occurrences.filter(
        (pl.col("qualifier_code") == "CLM11") & pl.col("code").is_in(ACCIDENT_CAUSES)
    )["claim_id"].unique()
    if told.is_empty():
        return None
    claims = batch.claims.select("claim_id", "source_format_code", "accident_date")
    undated = of_claims(claims, told).filter(
        (pl.col("source_format_code") == "837P") & pl.col("accident_date").is_null()
    )
    return _whole_claims(undated["claim_id"], "an accident has no date")


@rule(
    level=4, element="2430 SVD01", status_code="A8:286", rarc="N480",
    source="005010X222A1 and 005010X223A2, 2430 SVD01",
    mend="name in SVD01 the number of a payer of the claim (2330B NM109)",
)  # fmt: skip
def other_payer_unnamed(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """A line was decided by a payer that the claim doesn't name."""
    if batch.other_payer_lines.is_empty():
        return None
    named = ["claim_id", "payer_number"]
    return (
        batch.other_payer_lines.join(
            batch.other_payers, on=named, how="anti", maintain_order="left"
        )
        .select(
            "claim_id", "line_number", cause=pl.lit("the line's payer is no other payer's number")
        )
        .unique(maintain_order=True)
    )


@rule(
    level=4, element="2000B and 2320 SBR01", status_code="A8:171", rarc="MA92",
    source="005010X222A1 and 005010X223A2, 2320 SBR01",
    mend="give each payer its own place: primary, secondary, tertiary …",
)  # fmt: skip
def responsibility_twice(batch: Batch, reference: Reference) -> pl.DataFrame | None:
    """Two payers of a claim have the same place (SBR01), other than unknown (U). On paper the
    boxes say it, and are asked by themselves."""
    if batch.other_payers.is_empty():
        return None
    place = ["claim_id", "responsibility_code"]
    sent = batch.claims.filter(~pl.col("source_format_code").is_in(PAPER)).select(place)
    others = batch.other_payers.join(sent, on="claim_id", how="semi").select(place)
    ours = of_claims(sent, others["claim_id"])
    both = pl.concat([ours, others]).filter(pl.col("responsibility_code") != UNKNOWN_RESPONSIBILITY)
    twice = both.filter(both.is_duplicated())["claim_id"].unique().sort()
    return _whole_claims(twice, "two payers are of the same responsibility")
