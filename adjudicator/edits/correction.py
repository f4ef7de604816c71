from __future__ import annotations

import polars as pl

from adjudicator.corrections import LATE_CHARGES, VOID, set_aside
from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

NONE: dict[str, pl.DataType | type[pl.DataType]] = {
    "claim_id": pl.Int64,
    "line_number": pl.Int64,
    "inputs": pl.Struct({}),
}
# what a find says, by what was found: disposition, group, CARC, RARC, pend code
OUTCOMES = {
    "found": ("inform", None, None, None, None),
    "none": ("deny", "CO", "16", "M47", None),
    "voided": ("deny", "CO", "16", "N547", None),
    "several": ("pend", None, None, None, "ORIGINAL"),
    "aside": ("pend", None, None, None, "CORRECTION"),
    "gains_nothing": ("deny", "CO", "97", None, None),
}
FACTS = ("disposition", "group_code", "carc", "rarc", "pend_code")


@edit(
    disposition="pend",
    pend_code="ORIGINAL",
    must_be_mended=True,
    other_codes=(("CO", "16"), ("CO", "97")),
    cites=Citation(document="001", lines=(2225, 2229), phrase="void or cancel a prior claim"),
)
def correction(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The claim corrects an earlier one, or is itself corrected tonight.

    A correction of a claim that is not there is denied 16 M47, of one that was voided 16 N547; of
    several that could be meant a person chooses (ORIGINAL). What dates, member and lines mean
    depends on the original, so that pend stands whatever else is found. A void of a claim that
    was found, and a claim that waits for its own correction, are judged by nothing else. Late
    charges that gain nothing under their contract's method are denied 97 [j].
    """
    if batch.corrections.is_empty():
        return pl.LazyFrame(schema=NONE)
    aside = set_aside(batch).implode()
    told = batch.corrections.with_columns(
        because=pl.when(pl.col("claim_id").is_in(aside))
        .then(pl.lit("aside"))
        .when(outcome="waits")
        .then(pl.lit("several"))
        .otherwise("outcome")
    ).join(
        # whom we pay isn't known: payee_unknown says so
        batch.claims.filter(pl.col("payee_id").is_not_null()).select(
            "claim_id", "original_claim_number"
        ),
        on="claim_id",
    )
    late = (
        told.filter(because="found")
        .join(_gain_nothing(batch, reference), on="claim_id")
        .with_columns(because=pl.lit("gains_nothing"))
    )
    schema = {"because": pl.String, **dict.fromkeys(FACTS, pl.String)}
    outcomes = pl.LazyFrame(
        [(name, *facts) for name, facts in OUTCOMES.items()], schema, orient="row"
    )
    return (
        pl.concat([told.with_columns(line_number=pl.lit(None, pl.Int64)), late], how="diagonal")
        .lazy()
        .join(outcomes, on="because")
        .select(
            "claim_id",
            "line_number",
            *FACTS,
            pl.struct(
                pl.when(pl.col("because") == "aside")
                .then(
                    pl.when((pl.col("frequency_code") == VOID) & (pl.col("outcome") == "found"))
                    .then(pl.lit("void"))
                    .otherwise(pl.lit("corrected"))
                )
                .otherwise("because")
                .alias("because"),
                "frequency_code",
                "original_claim_number",
                "predecessor_claim_number",
                "corrected_by_claim_number",
            ).alias("inputs"),
        )
    )


def _gain_nothing(batch: Batch, reference: Reference) -> pl.DataFrame:
    """``claim_id`` and ``line_number`` of late charges under a contract whose method pays the
    stay, whatever is charged for it."""
    methods = pl.DataFrame(
        [
            (code, method)
            for code, program in sorted(reference.programs.items())
            for method in program.corrections.late_charges_gain_nothing
        ],
        {"program_code": pl.String, "pricing_method_code": pl.String},
        orient="row",
    )
    contracts = reference.tables["contracts"].join(
        methods, on=["program_code", "pricing_method_code"]
    )
    late = batch.claims.filter(frequency_code=LATE_CHARGES)
    return (
        batch.lines.join(late.select("claim_id", "payee_id", "program_code"), on="claim_id")
        .join(contracts, on=["contract_id", "payee_id", "program_code"])
        .filter(
            (pl.col("start_date") <= pl.col("decision_date"))
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("decision_date")))
        )
        .select("claim_id", "line_number")
        .unique()
    )
