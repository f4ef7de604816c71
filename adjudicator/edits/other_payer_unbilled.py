from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import in_force
from adjudicator.other_payers import documented, of_terms, other_payers
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

LINE = ["claim_id", "line_number"]
OTHERS = ("health", "medicare")  # auto insurers and workers' compensation: see accident_primary
INPUTS = ("because", "payer_name", "kind_code", "decision_date")


@edit(
    disposition="deny",
    group_code="CO",
    carc="22",
    rarc="MA04",
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2709, 2712),
        phrase="attach the other insurer’s EOB to the claim",
    ),
)
def other_payer_unbilled(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Another payer comes before us, and nothing tells what it decided.

    By the claim: it names such a payer without its decision, or makes us second and names nobody.
    By the member's file, on the line's date: more coverages that pay before us than decisions on
    the claim (001:2748-2753), or a Working Aged member (001:782) of whose plan the file knows
    nothing. An explanation that is on file as a document counts as one decision.
    """
    claims = batch.claims.select("claim_id", "program_code", "responsibility_code", "member_id")
    explained = documented(batch, reference, "eob")
    others = other_payers(batch, reference)
    found = [
        _on_claim(claims, others, explained),
        _in_file(batch, claims, others, explained, reference),
    ]
    lines = pl.concat(found).sort(*LINE, *INPUTS, nulls_last=False)
    return (
        lines.unique(LINE, keep="first", maintain_order=True)
        .lazy()
        .select(*LINE, pl.struct(INPUTS).alias("inputs"))
    )


def _on_claim(claims: pl.DataFrame, others: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    """Whole claims, by what they themselves tell."""
    before = others.filter("before")
    second = claims.filter(
        pl.col("responsibility_code").is_not_null()
        & ~pl.col("responsibility_code").is_in(["P", "U"])
    )
    silent = before.filter(~pl.col("decided") & pl.col("kind").is_in(OTHERS))
    found = [
        silent.select("claim_id", "payer_name", because=pl.lit("undecided")),
        second.join(before, on="claim_id", how="anti").select(
            "claim_id", pl.lit(None, pl.String).alias("payer_name"), because=pl.lit("nobody_named")
        ),
    ]
    return (
        pl.concat(found)
        .join(explained, on="claim_id", how="anti")
        .sort("claim_id", "payer_name")
        .select(
            "claim_id",
            pl.lit(None, pl.Int64).alias("line_number"),
            "because",
            "payer_name",
            pl.lit(None, pl.String).alias("kind_code"),
            pl.lit(None, pl.Date).alias("decision_date"),
        )
    )


def _in_file(
    batch: Batch,
    claims: pl.DataFrame,
    others: pl.DataFrame,
    explained: pl.DataFrame,
    reference: Reference,
) -> pl.DataFrame:
    """Lines, by what the member's file tells of their day."""
    coverage = reference.tables["other_coverage"]
    programs = reference.programs
    aged = {s for p in programs.values() if p.coordination for s in p.coordination.before_statuses}
    statuses = reference.tables["special_statuses"].filter(pl.col("status_code").is_in(aged))
    if coverage.is_empty() and statuses.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    members = pl.concat([coverage["member_id"], statuses["member_id"]]).unique()
    asked = (
        batch.lines.select(*LINE, "decision_date")
        .join(claims.filter(pl.col("member_id").is_in(members.implode())), on="claim_id")
        .drop_nulls("decision_date")
    )
    if asked.is_empty():
        return pl.DataFrame(schema=SCHEMA)
    known = in_force(asked, coverage, ["member_id"]).filter(
        of_terms(programs, lambda terms: terms.before_kinds, "kind_code")
    )
    first = known.filter(position_code="before").select(*LINE, "kind_code", "payer_name")
    plan_unknown = (
        in_force(asked, statuses, ["member_id"])
        .filter(of_terms(programs, lambda terms: terms.before_statuses, "status_code"))
        .join(known.filter(kind_code="group_health"), on=LINE, how="anti")
        .select(*LINE, kind_code="status_code", payer_name=pl.lit(None, pl.String))
    )
    answers = pl.concat(
        [
            others.filter(pl.col("before") & pl.col("decided") & pl.col("kind").is_in(OTHERS))
            .select("claim_id"),
            explained,
        ]
    )  # fmt: skip
    counted = answers.group_by("claim_id").agg(answers=pl.len())
    return (
        pl.concat([first, plan_unknown])
        .unique()
        .sort(*LINE, "kind_code", "payer_name")
        .group_by(LINE, maintain_order=True)
        .agg(pl.col("kind_code").first(), pl.col("payer_name").first(), coverages=pl.len())
        .join(counted, on="claim_id", how="left", maintain_order="left")
        .filter(pl.col("coverages") > pl.col("answers").fill_null(0))
        .join(asked.select(*LINE, "decision_date"), on=LINE)
        .select(*LINE, pl.lit("member_file").alias("because"), "payer_name", "kind_code",
                "decision_date")
    )  # fmt: skip


SCHEMA = {
    **dict.fromkeys(LINE, pl.Int64),
    **dict.fromkeys(("because", "payer_name", "kind_code"), pl.String),
    "decision_date": pl.Date,
}
