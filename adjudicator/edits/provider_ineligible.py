from __future__ import annotations

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import in_force
from adjudicator.edits.urgency import URGENCY_COLUMNS, urgency
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

LINE = ["claim_id", "line_number"]
WHO = ["billing_npi", "rendering_npi", "decision_date", "network_code"]
# of several reasons the first speaks: where we may not pay at all, the member doesn't owe
REASONS = {"not_eligible": 1, "not_credentialed": 2, "opted_out": 3}


@edit(
    disposition="deny",
    group_code="CO",
    carc="B7",
    other_codes=(("PR", "96"),),
    cites=Citation(
        document="001",
        lines=(2039, 2039),
        phrase="Furnished by a provider eligible for payment under Medicare",
    ),
)
def provider_ineligible(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The billing or rendering provider may not be paid for the line's date.

    Medicare pays it nothing: CO-B7. It is in the network, but not credentialed on that day: CO-B7
    (001:1152, no backdating); a provider of whom no credentialing is loaded at all passes [j]. It
    has opted out of Medicare by affidavit (001:3333): the member, who agreed to pay, owes (PR-96
    MA47 [j]), but not for emergency and urgent care.
    """
    flags = reference.tables["provider_flags"].filter(pl.col("flag_code").is_in([*REASONS]))
    credentialing = reference.tables["credentialing"]
    if flags.is_empty() and credentialing.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    npis = credentialing.join(
        reference.tables["providers"].select("provider_id", "npi").unique(), on="provider_id"
    )
    lines = _lines_of(batch, pl.concat([flags["npi"], _partly(npis, batch)]).unique())
    who = lines.select(WHO).unique()
    parties = pl.concat(
        [who.select(*WHO, npi=role) for role in ("billing_npi", "rendering_npi")]
    ).drop_nulls(["npi", "decision_date"])
    found = pl.concat(
        [
            in_force(parties, flags, ["npi"]).select(*WHO, "npi", reason="flag_code"),
            _uncovered(parties.filter(network_code="in"), npis).select(
                *WHO, "npi", reason=pl.lit("not_credentialed")
            ),
        ]
    )
    opted_out = pl.col("reason") == "opted_out"
    return (
        lines.join(
            found.sort(pl.col("reason").replace_strict(REASONS, return_dtype=pl.Int8), "npi")
            .unique(WHO, keep="first", maintain_order=True),
            on=WHO,
            nulls_equal=True,
        )
        .join(batch.lines.select(*LINE, *URGENCY_COLUMNS), on=LINE)
        .join(
            batch.claims.select(
                "claim_id", "program_code", "claim_type_code", "admission_type_code"
            ),
            on="claim_id",
        )
        .filter(~opted_out | urgency(reference.programs).is_null())
        .lazy()
        .select(
            *LINE,
            pl.when(opted_out).then(pl.lit("PR")).otherwise(pl.lit("CO")).alias("group_code"),
            pl.when(opted_out).then(pl.lit("96")).otherwise(pl.lit("B7")).alias("carc"),
            pl.when(opted_out).then(pl.lit("MA47")).alias("rarc"),
            pl.struct("reason", "npi", "decision_date").alias("inputs"),
        )
    )  # fmt: skip


def _partly(spans: pl.DataFrame, batch: Batch) -> pl.Series:
    """The NPIs with spans of which none holds on every day of the night's lines: nearly nobody,
    so that few lines need a closer look."""
    days = batch.lines["decision_date"]
    throughout = spans.filter(
        (pl.col("start_date") <= pl.lit(days.min(), pl.Date))
        & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.lit(days.max(), pl.Date)))
    )
    return spans.join(throughout, on="npi", how="anti")["npi"]


def _lines_of(batch: Batch, npis: pl.Series) -> pl.DataFrame:
    """The lines of those billing or rendering providers."""
    wanted = npis.implode()
    claims = batch.claims.select("claim_id", "billing_npi", of_claim="rendering_npi")
    named = claims.filter(pl.col("billing_npi").is_in(wanted) | pl.col("of_claim").is_in(wanted))
    of_named = pl.col("claim_id").is_in(named["claim_id"].implode())
    return (
        batch.lines.select(*LINE, "rendering_npi", "decision_date", "network_code")
        .filter(of_named | pl.col("rendering_npi").is_in(wanted))
        .join(claims, on="claim_id", maintain_order="left")
        .with_columns(pl.coalesce("rendering_npi", "of_claim").alias("rendering_npi"))
    )


def _uncovered(parties: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The parties that have spans, of which none holds on the day."""
    return parties.join(spans, on="npi", how="semi").join(
        in_force(parties, spans, ["npi"]), on=[*WHO, "npi"], how="anti", nulls_equal=True
    )
