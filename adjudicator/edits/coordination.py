from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.other_payers import documented, other_payers, prior_decisions
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

# which edit hears of a payer that has not decided
ANSWERS = {
    "health": "other_payer_unbilled",
    "medicare": "other_payer_unbilled",
    "auto": "accident_primary",
    "work": "accident_primary",
}


@edit(
    disposition="pend",
    pend_code="COB",
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2344, 2345),
        phrase="Regardless of whether CarePartners of Connecticut is the primary or secondary",
    ),
)
def coordination(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """What another payer did with the claim can't be told from it to the cent.

    Who pays first isn't told, or one after us has paid already; the figures of a payer before us
    don't add up, aren't there, or another payer's are missing (adjudicator/other_payers.py); its
    explanation came as a document alone. Waits for a person [j]: who paid what is not ours to
    guess.
    """
    claims = batch.claims.select("claim_id", "responsibility_code", "program_code")
    others = other_payers(batch, reference)
    before = others.filter("before")
    untold = claims.filter(
        pl.col("responsibility_code").is_null() | (pl.col("responsibility_code") == "U")
    )
    prior = prior_decisions(batch, reference)
    second = claims.filter(pl.col("responsibility_code") != "P")
    found = [
        untold.select("claim_id", because=pl.lit("position")),
        others.filter(pl.col("place").is_null() | (pl.col("place") == pl.col("own_place"))).select(
            "claim_id", because=pl.lit("position")
        ),
        others.filter((pl.col("place") > pl.col("own_place")) & (pl.col("paid_amount") > 0)).select(
            "claim_id", because=pl.lit("later_payer_paid")
        ),
        documented(batch, reference, "eob")
        .join(before.filter("decided"), on="claim_id", how="anti")
        .select("claim_id", because=pl.lit("document_alone")),
        # of a payer that hasn't decided, where the program does not list the edit that says so
        before.filter(~pl.col("decided"))
        .join(_unlisted(reference), on=["program_code", "kind"], how="semi")
        .select("claim_id", because=pl.lit("unbilled")),
        second.join(before, on="claim_id", how="anti")
        .join(_unlisted(reference).filter(kind="health"), on="program_code", how="semi")
        .select("claim_id", because=pl.lit("unbilled")),
    ]
    if prior is not None:
        found.append(prior.problems)
    counts = batch.other_payers.group_by("claim_id").agg(other_payer_count=pl.len())
    return (
        pl.concat(found)
        .unique("claim_id", keep="first", maintain_order=True)
        .join(claims, on="claim_id", maintain_order="left")
        .join(counts, on="claim_id", how="left", maintain_order="left")
        .sort("claim_id")
        .lazy()
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            pl.struct(
                "because",
                "responsibility_code",
                pl.col("other_payer_count").fill_null(0),
            ).alias("inputs"),
        )
    )


def _unlisted(reference: Reference) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (code, kind)
            for code, program in sorted(reference.programs.items())
            for kind, name in ANSWERS.items()
            if name not in program.edits
        ],
        schema={"program_code": pl.String, "kind": pl.String},
        orient="row",
    )
