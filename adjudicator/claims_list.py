"""The night's claims list: one row a claim decided or rejected, no names, safe in a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl
from sqlalchemy import Connection

from adjudicator.clean_claims import FINDING, clean_claims, earlier_findings
from adjudicator.pipeline import Batch
from adjudicator.reports.text import dollars, inert
from adjudicator.store.books import rejected_claims
from adjudicator.store.corrections import claims_of
from schemas.program import Program

COLUMNS = (
    "claim_number", "submission", "patient_control_number", "received_date", "age_days",
    "clean", "program_code", "payee_id", "disposition", "charge", "allowed", "member_share", "paid",
    "reasons",
)  # fmt: skip
REVERSED = {
    "claim_id": pl.Int64, "claim_number": pl.String, "patient_control_number": pl.String,
    "received_date": pl.Date, "allowed_amount": pl.Int64, "member_amount": pl.Int64,
}  # fmt: skip


def claims_list(
    connection: Connection,
    run_id: int,
    batch: Batch,
    day: date,
    programs: Mapping[str, Program],
) -> bytes:
    """CSV, UTF-8, amounts in dollars and cents, in order of receipt; ages in days on ``day``.
    ``clean``: whether it is a clean claim, yes or no; empty where its program does not say. A claim
    that is taken back has a row ``reversed`` with its amounts negated."""
    reasons = (
        batch.findings.filter(pl.col("disposition").is_in(["deny", "pend"]))
        .sort("claim_id", "edit_rank", maintain_order=True)
        .group_by("claim_id", maintain_order=True)
        .agg(reasons=pl.col("edit").unique(maintain_order=True).str.join(" "))
    )
    parts = []
    if batch.decisions.height:
        parts.append(
            batch.decisions.join(
                batch.claims.select("claim_id", "claim_number", "patient_control_number",
                                    "received_date", "program_code", "payee_id"),
                on="claim_id",
            )
            .join(reasons, on="claim_id", how="left")
            .join(_clean(connection, run_id, batch, programs), on="claim_id", how="left")
        )  # fmt: skip
    if batch.reversals.height:
        parts.append(_reversed(connection, batch))
    parts.append(
        rejected_claims(connection, run_id).with_columns(
            disposition=pl.lit("rejected"), reasons=_rejection(), clean=pl.lit("no")
        )
    )
    rows = pl.concat(parts, how="diagonal").sort("claim_id", maintain_order=True)
    for column in ("claim_number", "program_code", "payee_id", "allowed_amount",
                   "member_amount", "paid_amount"):  # fmt: skip
        if column not in rows.columns:
            rows = rows.with_columns(pl.lit(None).alias(column))
    return (
        rows.select(
            claim_number=pl.col("claim_number"),
            submission="claim_id",
            patient_control_number=inert(pl.col("patient_control_number")),
            received_date="received_date",
            age_days=(pl.lit(day) - pl.col("received_date")).dt.total_days(),
            clean="clean",
            program_code="program_code",
            payee_id=inert(pl.col("payee_id").cast(pl.String)),
            disposition="disposition",
            charge=dollars("charge_amount"),
            allowed=dollars("allowed_amount"),
            member_share=dollars("member_amount"),
            paid=dollars("paid_amount"),
            reasons="reasons",
        )
        .select(COLUMNS)
        .write_csv()
        .encode()
    )


def _reversed(connection: Connection, batch: Batch) -> pl.DataFrame:
    """The claims of earlier nights that are taken back tonight, by what."""
    told = batch.reversals.join(
        batch.claims.select("claim_id", by="claim_number"), on="claim_id"
    ).select("program_code", "payee_id", "remark_code", "charge_amount", "paid_amount", "by",
             claim_id="of_claim_id")  # fmt: skip
    return (
        claims_of(connection, batch.reversals["of_claim_id"], REVERSED)
        .join(told, on="claim_id")
        .with_columns(
            disposition=pl.lit("reversed"),
            allowed_amount=-pl.col("allowed_amount"),
            member_amount=-pl.col("member_amount"),
            reasons=pl.concat_str("remark_code", pl.lit("by"), "by", separator=" "),
        )
        .drop("remark_code", "by")
    )


def review_list(review: Sequence[Mapping[str, str]]) -> bytes:
    """CSV of the claims that a night's reversals touch: which one, and because of which."""
    schema = {"claim_number": pl.String, "because_of": pl.String}
    return pl.DataFrame(list(review), schema).write_csv().encode()


def _clean(
    connection: Connection, run_id: int, batch: Batch, programs: Mapping[str, Program]
) -> pl.DataFrame:
    """claim_id and ``clean``, yes or no."""
    waited = batch.open_pends["claim_id"].unique()
    findings = pl.concat(
        [batch.findings.select(list(FINDING)), earlier_findings(connection, waited, run_id)]
    )
    return clean_claims(batch.claims, findings, programs).select(
        "claim_id", clean=pl.when("clean").then(pl.lit("yes")).otherwise(pl.lit("no"))
    )


def _rejection() -> pl.Expr:
    """The edit, the element and the cause, from the finding's inputs; a cause of a box names it."""
    told = pl.col("inputs").str.json_decode(
        pl.Struct(dict.fromkeys(("box", "element", "cause"), pl.String))
    )
    box, element, cause = (told.struct.field(k) for k in ("box", "element", "cause"))
    return pl.concat_str(
        "edit", pl.when(box.is_null()).then(element), cause, separator=" ", ignore_nulls=True
    )
