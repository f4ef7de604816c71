from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference, as_of, of_bill_types
from schemas.program import Citation, Program

STILL_A_PATIENT = "30"


@edit(
    disposition="deny",
    group_code="CO",
    carc="29",
    cites=Citation(
        document="001",
        lines=(2255, 2258),
        phrase="within 60 days of the date of service, or within 60 days of the date of hospital "
        "discharge for inpatient or institutional services",
    ),
)
def timely_filing(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Received more days after the clock started than the limit in force on that day.

    The clock: the latest adjudication by a payer before us; else, for the program's discharge
    bill types, discharge, which an 837I tells as the statement's last day; else the line's date.
    The limit: the contract's own ("contracted filing deadline", 001:2019), else the program's
    for payees with or without a contract. A program without limits has none; one whose limits
    do not reach back to the clock's day pends REFERENCE.
    """
    claims = batch.claims.select(
        "claim_id",
        "program_code",
        "payee_id",
        "received_date",
        pl.when(pl.col("patient_status_code").ne_missing(STILL_A_PATIENT))
        .then("statement_through_date")
        .alias("discharge_date"),
        discharges=of_bill_types(reference.programs, "discharge_bill_types"),
    ).join(_earlier_payer(batch), on="claim_id", how="left", maintain_order="left")
    clock = (
        pl.when(pl.col("adjudication_date").is_not_null())
        .then(pl.lit("primary_payer"))
        .when("discharges")
        .then(pl.lit("discharge"))
        .otherwise(pl.lit("service"))
    )
    lines = (
        batch.lines.select("claim_id", "line_number", "contract_id", "decision_date")
        .join(claims, on="claim_id", maintain_order="left")
        .with_columns(clock=clock, contracted=pl.col("contract_id").is_not_null())
        .with_columns(
            clock_date=pl.when(clock="primary_payer")
            .then("adjudication_date")
            .when(clock="discharge")
            .then("discharge_date")
            .otherwise("decision_date")
        )
        .with_columns(days=(pl.col("received_date") - pl.col("clock_date")).dt.total_days())
    )
    limits = _limits(reference.programs)
    # a limit is looked up once for each combination that occurs, not for each line
    by_program = as_of(
        lines.select("program_code", "contracted", "clock_date").unique(),
        limits,
        on="clock_date",
        by=["program_code", "contracted"],
    ).join(
        limits.select("program_code", "contracted", limited=pl.lit(True)).unique(),
        on=["program_code", "contracted"],
        how="left",
    )
    agreed = ["contract_id", "payee_id", "program_code"]
    contracts = reference.tables["contracts"].filter(pl.col("filing_limit_days").is_not_null())
    by_contract = as_of(
        lines.join(contracts, on=agreed, how="semi").select(*agreed, "decision_date").unique(),
        contracts.select(*agreed, "start_date", "end_date", "filing_limit_days"),
        on="decision_date",
        by=agreed,
    )
    return (
        lines.lazy()
        .join(by_program.lazy(), on=["program_code", "contracted", "clock_date"], how="left")
        .join(by_contract.lazy(), on=[*agreed, "decision_date"], how="left")
        .with_columns(
            limit_days=pl.coalesce("filing_limit_days", "limit_days"),
        )
        .with_columns(late=pl.col("days") > pl.col("limit_days"))
        .filter(
            pl.col("clock_date").is_not_null()
            & (pl.col("late") | (pl.col("limited") & pl.col("limit_days").is_null()))
        )
        .select(
            "claim_id",
            "line_number",
            pl.when("late").then(pl.lit("deny")).otherwise(pl.lit("pend")).alias("disposition"),
            pl.when("late").then(pl.lit("CO")).alias("group_code"),
            pl.when("late").then(pl.lit("29")).alias("carc"),
            pl.when(pl.col("late").is_null()).then(pl.lit("REFERENCE")).alias("pend_code"),
            pl.struct("clock", "clock_date", "received_date", "days", "limit_days").alias("inputs"),
        )
    )


def _earlier_payer(batch: Batch) -> pl.DataFrame:
    """The latest day on which a payer before us decided the claim, where we are not the first."""
    decided = ["claim_id", "adjudication_date"]
    return (
        pl.concat([batch.other_payers.select(decided), batch.other_payer_lines.select(decided)])
        .join(
            batch.claims.filter(pl.col("responsibility_code").ne_missing("P")),
            on="claim_id",
            how="semi",
        )
        .group_by("claim_id")
        .agg(pl.col("adjudication_date").max())
    )


def _limits(programs: Mapping[str, Program]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (code, limit.contracted, limit.start_date, limit.end_date, limit.days)
            for code, program in sorted(programs.items())
            for limit in program.filing_limits
        ],
        schema={
            "program_code": pl.String,
            "contracted": pl.Boolean,
            "start_date": pl.Date,
            "end_date": pl.Date,
            "limit_days": pl.Int64,
        },
        orient="row",
    )
