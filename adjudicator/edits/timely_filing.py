from __future__ import annotations

from collections.abc import Mapping
from datetime import date

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

    The clock: the latest adjudication by a payer before us, on the claim or as the date of an
    attached explanation, or of an accident the latest notice of the auto insurer (001:2355-2370),
    whichever is later; else, for the program's discharge bill types, discharge, which an 837I
    tells as the statement's last day; else the line's date.
    The limit: the contract's own ("contracted filing deadline", 001:2019), else the program's
    for payees with or without a contract. A program without limits has none; one whose limits
    do not reach back to the clock's day pends REFERENCE. A replacement came when its first
    version came, as the program's terms have it [j].
    """
    payer, discharge = pl.col("payer_clock").is_not_null(), pl.col("discharges")
    claims = (
        batch.claims.select(
            "claim_id",
            "program_code",
            "payee_id",
            "received_date",
            pl.when(pl.col("patient_status_code").ne_missing(STILL_A_PATIENT))
            .then("statement_through_date")
            .alias("discharge_date"),
            discharges=of_bill_types(reference.programs, "discharge_bill_types"),
        )
        .with_columns(_filed(batch))
        .join(_earlier_payer(batch, reference), on="claim_id", how="left", maintain_order="left")
        .select(
            "claim_id",
            "program_code",
            "payee_id",
            "received_date",
            clock=pl.when(payer)
            .then("payer_clock")
            .when(discharge)
            .then(pl.lit("discharge"))
            .otherwise(pl.lit("service")),
            claim_date=pl.when(payer).then("payer_date").when(discharge).then("discharge_date"),
            by_line=~payer & ~discharge,
        )
    )
    clock_date = pl.when("by_line").then("decision_date").otherwise("claim_date")
    limits = _limits(reference.programs)
    contracts = reference.tables["contracts"].filter(pl.col("filing_limit_days").is_not_null())
    least = min([*limits["limit_days"], *contracts["filing_limit_days"]], default=0)
    lines = (
        batch.lines.select("claim_id", "line_number", "contract_id", "decision_date")
        .join(claims, on="claim_id", maintain_order="left")
        .with_columns(clock_date=clock_date, contracted=pl.col("contract_id").is_not_null())
        .with_columns(days=(pl.col("received_date") - pl.col("clock_date")).dt.total_days())
        # nearly all are in time by any limit, and need no look at their own
        .filter((pl.col("days") > least) | _without_limit(reference.programs))
    )
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


def _filed(batch: Batch) -> list[pl.Expr]:
    """The day by which a correction is told to be in time, where that is not its own."""
    kept = batch.corrections.drop_nulls("filing_date")
    if kept.is_empty():
        return []
    days = dict(kept.select("claim_id", "filing_date").iter_rows())
    told = pl.col("claim_id").replace_strict(days, default=None, return_dtype=pl.Date)
    return [pl.coalesce(told, "received_date").alias("received_date")]


def _earlier_payer(batch: Batch, reference: Reference) -> pl.DataFrame:
    """``payer_date``, the latest day on which a payer before us spoke of the claim, and
    ``payer_clock``: ``primary_payer`` where we are not the first, or ``auto_insurer``."""
    decided = {"claim_id": "claim_id", "payer_date": "adjudication_date"}
    second = batch.claims.filter(pl.col("responsibility_code").ne_missing("P"))
    spoken = [
        frame.select(**decided, payer_clock=pl.lit("primary_payer")).join(
            second, on="claim_id", how="semi"
        )
        for frame in (batch.other_payers, batch.other_payer_lines)
    ]
    attachments = reference.tables["attachments"]
    # what came with a paper claim; an electronic one only announces its documents
    own = batch.attachments.filter(pl.col("document_date").is_not_null())
    if not attachments.is_empty() or not own.is_empty():
        for kind, clock, claims in (
            ("eob", "primary_payer", second),
            ("auto_notice", "auto_insurer", _accidents(batch, reference.programs)),
        ):
            numbered = claims.select("claim_id", "claim_number")
            spoken += [
                numbered.join(documents.filter(kind_code=kind), on=key).select(
                    "claim_id", payer_date="document_date", payer_clock=pl.lit(clock)
                )
                for documents, key in ((attachments, "claim_number"), (own, "claim_id"))
            ]
    return (
        pl.concat(spoken)
        .drop_nulls("payer_date")
        .sort("claim_id", "payer_date", "payer_clock")
        .unique("claim_id", keep="last", maintain_order=True)
    )


def _accidents(batch: Batch, programs: Mapping[str, Program]) -> pl.DataFrame:
    """The claims that tell of a motor accident, by the codes of their program."""
    told = batch.occurrences.join(batch.claims.select("claim_id", "program_code"), on="claim_id")
    accident = pl.any_horizontal(
        pl.lit(value=False),
        *(
            (pl.col("program_code") == program_code)
            & (pl.col("qualifier_code") == qualifier)
            & pl.col("code").is_in(codes)
            for program_code, program in sorted(programs.items())
            for qualifier, codes in program.accident_codes.items()
        ),
    )
    return batch.claims.join(told.filter(accident), on="claim_id", how="semi")


def _without_limit(programs: Mapping[str, Program]) -> pl.Expr:
    """Whether the line's program has limits for such a line, but none on the clock's day."""
    without: list[pl.Expr] = [pl.lit(value=False)]
    for code, program in sorted(programs.items()):
        for contracted in (True, False):
            limits = [limit for limit in program.filing_limits if limit.contracted == contracted]
            in_force = [
                (pl.col("clock_date") >= limit.start_date)
                & (pl.col("clock_date") <= (limit.end_date or date.max))
                for limit in limits
            ]
            if limits:
                of_limits = (pl.col("program_code") == code) & (pl.col("contracted") == contracted)
                without.append(of_limits & ~pl.any_horizontal(in_force))
    return pl.any_horizontal(without)


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
