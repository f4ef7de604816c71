"""Match: which of tonight's lines repeat an earlier one."""

from __future__ import annotations

import polars as pl

from adjudicator.corrections import VOID, history_beside, match_corrections, set_aside
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas import frames

# What makes two lines one service of one provider, and those the same line. A line that lacks one
# of REQUIRED is not known to equal any other; units and modifiers may be absent on both.
SERVICE = [
    "member_id",
    "provider_number",
    "procedure_code",
    "service_from_date",
    "service_through_date",
]
REQUIRED = [*SERVICE, "charge_amount"]
SAME = [*REQUIRED, "modifier_codes", "unit_quantity"]


def match(batch: Batch, reference: Reference) -> Batch:
    """Fills ``duplicates`` and ``similar``, the lines of claims that may be billed twice.

    ``duplicates``: for each line the first line before it that is the same in all of SAME. Before
    it: a line of history that was paid, or that waits and was received earlier; else the first of
    tonight's equal lines in receipt order, within one claim in line order. Modifiers are compared
    as a set. A replacement is no duplicate of what it replaces; voids, what they void, and what
    waits for its correction are not compared. Where a claim's place is taken tonight, a line that
    repeats one of history and one of tonight has a row for each: which of them stands is not known
    before the edits.

    ``similar``: the lines of two or more claims that agree in all of SERVICE, but not all of them
    in charge, units and modifiers.

    Whether an original still stands is not asked here: the edits on duplicates do.

    Before that fills ``corrections`` and ``corrected`` (``match_corrections``).
    """
    batch = match_corrections(batch, reference)
    tonight = comparable_lines(batch.claims, batch.lines)
    # what a void takes away counts for nothing all night; what a replacement takes, by receipt
    history = history_beside(batch, (VOID,)).with_columns(
        pl.coalesce("service_through_date", "service_from_date")
    )
    if batch.corrections.height:
        aside = set_aside(batch).implode()
        voiding = batch.claims.filter(frequency_code=VOID)["claim_id"].implode()
        tonight = tonight.filter(
            ~pl.col("claim_id").is_in(aside) & ~pl.col("claim_id").is_in(voiding)
        )
    tonight = tonight.drop_nulls(SERVICE)
    history = history.join(tonight, on=SERVICE, how="semi", maintain_order="left")
    # some too many: which of them agree is looked at below
    shared = pl.struct(SERVICE).hash().is_duplicated()
    if not history.is_empty():
        known = history.select(*SERVICE, known=pl.lit(value=True)).unique()
        tonight = tonight.join(known, on=SERVICE, how="left", maintain_order="left")
        shared |= pl.col("known")
    tonight = tonight.filter(shared)
    if tonight.is_empty():
        empty = frames.empty
        return batch.with_(
            duplicates=empty(frames.DuplicateLines), similar=empty(frames.SimilarLines)
        )
    tonight, history = _sorted_modifiers(tonight), _sorted_modifiers(history)
    repeats = pl.concat([_of_history(tonight, history), _of_tonight(tonight)])
    if batch.corrected.height:
        own = batch.corrected.select("claim_id", "of_claim_id")
        repeats = repeats.join(own, on=own.columns, how="anti", maintain_order="left")
    else:
        repeats = repeats.unique(["claim_id", "line_number"], keep="first", maintain_order=True)
    schema = frames.empty(frames.DuplicateLines).schema
    duplicates = repeats.select(schema.names()).sort(frames.DuplicateLines.primary_key())
    return batch.with_(duplicates=duplicates, similar=_similar(tonight, history))


def claim_provider() -> pl.Expr:
    """Whose claim it is: of an institutional one the facility's [j], never who treated in it."""
    return (
        pl.when(pl.col("claim_type_code") == "I")
        .then("billing_npi")
        .otherwise(pl.coalesce("rendering_npi", "billing_npi"))
    )


def comparable_lines(claims: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Identified lines with the columns by which HistoryLines are compared, in their order.

    A line without a date of its own has its claim's: a stay is told from the next by them. This
    is what the store keeps of a line, so that history compares with tonight.
    """
    return (
        lines.select(
            "claim_id",
            "line_number",
            line_rendering="rendering_npi",
            procedure_code=pl.coalesce("procedure_code", "revenue_code"),
            modifier_codes="modifier_codes",
            unit_quantity="unit_quantity",
            charge_amount="charge_amount",
            service_from_date="decision_date",
            own_through_date=pl.coalesce("service_through_date", "service_from_date"),
        )
        .join(
            claims.select(
                "claim_id",
                "claim_number",
                "receipt_number",
                "member_id",
                "statement_through_date",
                provider=pl.coalesce("rendering_npi", "billing_npi"),
            ),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
        .select(
            "claim_id",
            "line_number",
            "claim_number",
            "receipt_number",
            "member_id",
            pl.coalesce("line_rendering", "provider").alias("provider_number"),
            "procedure_code",
            "modifier_codes",
            "unit_quantity",
            "charge_amount",
            "service_from_date",
            pl.coalesce("own_through_date", "statement_through_date", "service_from_date").alias(
                "service_through_date"
            ),
        )
    )


def _of_history(tonight: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Tonight's lines that equal one of history: a paid one, else the earliest that waits."""
    originals = (
        history.drop_nulls(REQUIRED)
        .sort("line_disposition", "receipt_number", "claim_id", "line_number")
        .unique(SAME, keep="first", maintain_order=True)
        .select(
            *SAME,
            "line_disposition",
            of_claim_id="claim_id",
            of_claim_number="claim_number",
            of_line_number="line_number",
            of_receipt_number="receipt_number",
        )
    )
    return (
        tonight.join(originals, on=SAME, nulls_equal=True)
        .filter(
            (pl.col("line_disposition") == "paid")
            | (pl.col("of_receipt_number") < pl.col("receipt_number"))
        )
        .select(_REPEAT)
    )


def _of_tonight(tonight: pl.DataFrame) -> pl.DataFrame:
    """Tonight's lines that equal an earlier line of tonight, each with the first of its equals."""
    return (
        tonight.drop_nulls(REQUIRED)
        .sort("receipt_number", "claim_id", "line_number")
        .with_columns(
            pl.col("claim_id").first().over(SAME).alias("of_claim_id"),
            pl.col("claim_number").first().over(SAME).alias("of_claim_number"),
            pl.col("line_number").first().over(SAME).alias("of_line_number"),
            pl.int_range(pl.len()).over(SAME).alias("place"),
        )
        .filter(pl.col("place") > 0)
        .select(_REPEAT)
    )


def _similar(tonight: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """SimilarLines of the lines whose service stands on several claims and not the same."""
    schema = frames.empty(frames.SimilarLines).schema
    return (
        pl.concat([tonight, history], how="diagonal")
        .filter(
            (pl.col("claim_id").n_unique().over(SERVICE) > 1)
            & (
                pl.struct("charge_amount", "modifier_codes", "unit_quantity")
                .n_unique()
                .over(SERVICE)
                > 1
            )
        )
        .sort("claim_id", "line_number")
        .with_columns(service_number=pl.struct(SERVICE).rank("dense").cast(pl.Int64))
        .select(schema.names())
    )


_REPEAT = [
    "claim_id",
    "line_number",
    "of_claim_id",
    "of_claim_number",
    "of_line_number",
]


def _sorted_modifiers(lines: pl.DataFrame) -> pl.DataFrame:
    modifiers = pl.col("modifier_codes").fill_null("")
    return lines.with_columns(modifiers.str.split(":").list.sort().list.join(":"))
