from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import LINE, NOTHING, line_diagnoses
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

WHICH = ["determination_number", "kind_code"]
RARC = {"ncd": "N386", "lcd": "N115"}


@edit(
    disposition="deny",
    group_code="CO",
    carc="50",
    rarc="N115",
    cites=Citation(
        document="001",
        lines=(4229, 4231),
        phrase="Medicare interpretive manuals (e.g., the Medicare Benefit Policy Manual) to make "
        "coverage determinations",
    ),
)
def necessity(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """A national or local coverage determination does not cover the service for its diagnoses.

    By the payer's table coverage_determinations. A line's service is covered where one of its
    diagnoses is: listed as covered, if the determination lists such, and not listed as excluded.
    What a national determination expressly covers no local one denies, and where both do not cover
    it the national one speaks (001:4245). A line without any diagnosis isn't judged.
    """
    table = reference.tables["coverage_determinations"]
    if table.is_empty():
        return NOTHING
    services = table.select("first_procedure_code", "last_procedure_code").unique()
    code = pl.col("procedure_code")
    codes = (
        batch.lines.select("procedure_code").unique().drop_nulls()
        .join_where(
            services,
            code >= pl.col("first_procedure_code"),
            code <= pl.col("last_procedure_code"),
        )
        .filter(code.str.len_bytes() == pl.col("first_procedure_code").str.len_bytes())
    )  # fmt: skip
    if codes.is_empty():
        return NOTHING
    lists = [c for c, program in reference.programs.items() if "necessity" in program.edits]
    lines = (
        batch.lines.filter(code.is_in(codes["procedure_code"].unique().implode()))
        .select(*LINE, "procedure_code", "decision_date", "diagnosis_pointers")
        .join(
            batch.claims.filter(pl.col("program_code").is_in(lists)).select(
                "claim_id", "claim_type_code"
            ),
            on="claim_id",
        )
    )
    diagnosed = lines.join(line_diagnoses(lines, batch), on=LINE).select(
        *LINE, "procedure_code", "decision_date", "diagnosis_code"
    )
    asked = diagnosed.select("procedure_code", "decision_date", "diagnosis_code").unique()
    judged = diagnosed.join(
        _by_diagnosis(asked, codes, table),
        on=["procedure_code", "decision_date", "diagnosis_code"],
    )
    by_line = judged.group_by(*LINE, "procedure_code", "decision_date", *WHICH).agg(
        pl.col("covered").any(),
        (pl.col("covered") & pl.col("listed")).any().alias("expressly"),
        pl.col("diagnosis_code").unique().sort().str.join(", ").alias("diagnosis_codes"),
    )
    national = by_line.filter(kind_code="ncd")
    settled = national.filter("expressly").select(*LINE, kind_code=pl.lit("lcd"))
    return (
        by_line.filter(~pl.col("covered"))
        .join(settled, on=[*LINE, "kind_code"], how="anti")
        .sort(*LINE, pl.col("kind_code") != "ncd", "determination_number")
        .unique(LINE, keep="first", maintain_order=True)
        .lazy()
        .select(
            *LINE,
            pl.col("kind_code").replace_strict(RARC, return_dtype=pl.String).alias("rarc"),
            pl.struct(
                *WHICH, "procedure_code", "diagnosis_codes", "decision_date"
            ).alias("inputs"),
        )
    )  # fmt: skip


def _by_diagnosis(asked: pl.DataFrame, codes: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """What each determination in force says of each procedure, day and diagnosis asked: whether it
    is ``covered``, and ``listed`` as such."""
    rows = (
        asked.select("procedure_code", "decision_date").unique()
        .join(codes, on="procedure_code")
        .join(table, on=["first_procedure_code", "last_procedure_code"])
        .filter(
            (pl.col("start_date") <= pl.col("decision_date"))
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("decision_date")))
        )
    )  # fmt: skip
    by = ["procedure_code", "decision_date"]
    first = pl.col("first_diagnosis_code")
    begins = pl.col("diagnosis_code").str.slice(0, first.str.len_bytes())
    found = (
        asked.join(rows, on=by)
        .with_columns(hit=begins.is_between(first, pl.col("last_diagnosis_code")))
        .with_columns(
            begins_within=pl.col("hit")
            & (pl.col("diagnosis_code").str.len_bytes() >= first.str.len_bytes())
        )
    )
    covers, excludes = (pl.col("effect_code") == kind for kind in ("covers", "excludes"))
    hit = pl.col("begins_within")
    return (
        found.group_by(*by, "diagnosis_code", *WHICH)
        .agg(
            listed=(covers & hit).any(),
            lists_any=covers.any(),
            excluded=(excludes & hit).any(),
        )
        .with_columns(
            covered=(pl.col("listed") | ~pl.col("lists_any")) & ~pl.col("excluded")
        )
    )  # fmt: skip
