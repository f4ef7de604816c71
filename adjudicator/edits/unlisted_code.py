from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.policies import LINE, NOTHING, holds, procedure_lines, versions
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import UnlistedCode
from schemas.program import Citation

NOT_A_NOTE = "K3"  # a fixed format for the payer's own data
NOT_SENT = "AA"  # PWK02: available on request


@edit(
    disposition="deny",
    group_code="CO",
    carc="16",
    rarc="N350",
    other_codes=(("CO", "252"),),
    pend_code="REVIEW",
    cites=Citation(
        document="001",
        lines=(2411, 2414),
        phrase="Unlisted or miscellaneous codes require notes and/or a description of services "
        "rendered to be submitted",
    ),
)
def unlisted_code(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """An unlisted or miscellaneous procedure code: a person prices it, if it is documented.

    The manual wants notes *and or* a description (001:2411), and on a UB-04 documentation that
    accompanies the claim (001:2504-2506). So a professional line needs either a description
    (SV101-7) or notes, else CO-16 N350; an institutional one notes or a document, a description
    alone isn't enough, else CO-252 N710 [j]. What is documented pends REVIEW. Notes are a NTE of
    the line or its claim, or an attachment: announced by a PWK or in table attachments.
    """
    found = [
        _unlisted(batch, code, policy) for code, policy in versions(reference, "unlisted_code")
    ]
    lines = pl.concat(found) if found else None
    if lines is None or lines.is_empty():
        return NOTHING
    documents = reference.tables["attachments"].filter(
        pl.col("kind_code").is_in(["description", "notes"])
    )
    of_claim, of_line = _noted(batch)
    numbers = {
        kind: documents.filter(kind_code=kind)["claim_number"].unique().implode()
        for kind in ("description", "notes")
    }
    noted = (
        pl.col("claim_id").is_in(of_claim.implode())
        | pl.struct(LINE).is_in(of_line.to_struct().implode())
        | pl.col("claim_number").is_in(numbers["notes"])
    ).fill_null(value=False)
    described = (
        (pl.col("procedure_description").str.strip_chars() != "")
        | pl.col("claim_number").is_in(numbers["description"])
    ).fill_null(value=False)
    documented = noted | (described & pl.col("description_suffices"))
    lacks = pl.when("description_suffices").then(pl.lit("description")).otherwise(pl.lit("notes"))

    def of(description: str | None, notes: str | None) -> pl.Expr:
        lacking = pl.when("description_suffices").then(pl.lit(description)).otherwise(pl.lit(notes))
        return pl.when(~documented).then(lacking)

    return lines.lazy().select(
        *LINE,
        pl.when(documented).then(pl.lit("pend")).otherwise(pl.lit("deny")).alias("disposition"),
        of("CO", "CO").alias("group_code"),
        of("16", "252").alias("carc"),
        of("N350", "N710").alias("rarc"),
        pl.when(documented).then(pl.lit("REVIEW")).alias("pend_code"),
        pl.struct(
            "procedure_code", "decision_date", described=described, noted=noted,
            lacks=pl.when(~documented).then(lacks),
        ).alias("inputs"),
    )  # fmt: skip


def _unlisted(batch: Batch, code: str, policy: UnlistedCode) -> pl.DataFrame:
    columns = [*LINE, "procedure_code", "procedure_description", "decision_date"]
    claims = batch.claims.select("claim_id", "claim_number", "claim_type_code", "program_code")
    return (
        procedure_lines(batch, policy.procedure_ranges, columns)
        .join(claims, on="claim_id", maintain_order="left")
        .filter(holds(code, policy))
        .with_columns(
            description_suffices=pl.col("claim_type_code").is_in(policy.description_claim_types)
        )
    )


def _noted(batch: Batch) -> tuple[pl.Series, pl.DataFrame]:
    """The claims with notes or documents of their own, and the lines with some."""
    told = pl.concat(
        [
            batch.notes.filter(pl.col("qualifier_code") != NOT_A_NOTE).select(LINE),
            batch.attachments.filter(pl.col("transmission_code").ne_missing(NOT_SENT)).select(LINE),
        ]
    ).unique()
    whole = told.filter(pl.col("line_number").is_null())["claim_id"]
    return whole, told.filter(pl.col("line_number").is_not_null())
