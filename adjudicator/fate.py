"""How findings become a fate: the one reading of the findings that every stage shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from adjudicator.pipeline import Batch


LINE = ["claim_id", "line_number"]
# one number a line: polars joins by one column in half the time that it takes for two
LINE_KEY = (pl.col("claim_id") * 2**32 + pl.col("line_number")).alias("line_key")
DENIAL = ["edit", "edit_rank", "group_code", "carc", "rarc"]
# Pends for want of something without which the first denier, hence the liability, is unknown, or
# a denial could reach nobody; or without which nothing may be decided, since the claim corrects
# another (ORIGINAL) or is corrected (CORRECTION). A later denial doesn't take their claim
# [judgement: the last three].
STANDING_PENDS = ["SYSTEM", "REFERENCE", "PAYEE", "ORIGINAL", "CORRECTION"]


class Fates(NamedTuple):
    """What the findings so far make of a night.

    ``lines``: one row a line, in the batch's order: ``claim_id``, ``line_number``,
    ``line_disposition`` (rejected, pended, denied or paid: nothing stops it), and of the first
    finding that denies it ``edit``, ``edit_rank``, ``group_code``, ``carc``, ``rarc`` (null where
    none does; a line of a pended claim carries it too).
    ``claims``: one row a claim, in the batch's order: ``claim_id``, ``disposition``,
    ``pend_codes`` (of the pends that stand, joined by a comma; null unless pended).
    """

    lines: pl.DataFrame
    claims: pl.DataFrame


def fates(batch: Batch) -> Fates:
    """The fate of every line and claim; pure, and right at any stage for the findings so far.

    Per line the first denier in the written order takes the money. A deny beats a pend, but for
    a standing pend of an earlier edit. A finding without a line is one of each line.
    A claim pends if any line keeps a pend; denied on every line it is denied, else paid.
    """
    keys = batch.lines.select(*LINE, LINE_KEY)
    findings = batch.findings
    denials = (
        _by_line(findings.filter(disposition="deny"), keys)
        # ties within one edit: the line's own finding speaks before the claim's
        .sort(*LINE, "edit_rank", "whole_claim", "edit", "carc", "group_code", "rarc")
        .unique("line_key", keep="first", maintain_order=True)
        .select("line_key", *DENIAL)
    )
    pends = (
        _by_line(findings.filter(disposition="pend"), keys)
        .join(denials.select("line_key", denied_at="edit_rank"), on="line_key", how="left")
        .filter(
            pl.col("denied_at").is_null()
            | (
                pl.col("pend_code").is_in(STANDING_PENDS)
                & (pl.col("edit_rank") < pl.col("denied_at"))
            )
        )
        .select("claim_id", "pend_code", "edit_rank")
    )
    # a claim that has no line at all can only wait or be refused as a whole
    lineless = findings.filter(pl.col("line_number").is_null()).join(
        keys, on="claim_id", how="anti"
    )
    pends = pl.concat(
        [
            pends,
            lineless.filter(disposition="pend").select("claim_id", "pend_code", "edit_rank"),
        ]
    )
    rejected = findings.filter(disposition="reject")["claim_id"].unique()
    pended = pends["claim_id"].unique()
    lines = keys.join(denials, on="line_key", how="left", maintain_order="left").select(
        *LINE,
        pl.when(pl.col("claim_id").is_in(rejected.implode()))
        .then(pl.lit("rejected"))
        .when(pl.col("claim_id").is_in(pended.implode()))
        .then(pl.lit("pended"))
        .when(pl.col("edit").is_not_null())
        .then(pl.lit("denied"))
        .otherwise(pl.lit("paid"))
        .alias("line_disposition"),
        *DENIAL,
    )
    paid = lines.filter(line_disposition="paid")["claim_id"].unique()
    denied = pl.concat(
        [lines["claim_id"], lineless.filter(disposition="deny")["claim_id"]]
    ).unique()
    codes = (
        pends.sort("claim_id", "edit_rank", "pend_code")
        .unique(["claim_id", "pend_code"], keep="first", maintain_order=True)
        .group_by("claim_id", maintain_order=True)
        .agg(pl.col("pend_code").str.join(",").alias("pend_codes"))
    )
    claims = (
        batch.claims.select("claim_id")
        .join(codes, on="claim_id", how="left", maintain_order="left")
        .select(
            "claim_id",
            pl.when(pl.col("claim_id").is_in(rejected.implode()))
            .then(pl.lit("rejected"))
            .when(pl.col("claim_id").is_in(pended.implode()))
            .then(pl.lit("pended"))
            .when(
                pl.col("claim_id").is_in(denied.implode())
                & ~pl.col("claim_id").is_in(paid.implode())
            )
            .then(pl.lit("denied"))
            .otherwise(pl.lit("paid"))
            .alias("disposition"),
            "pend_codes",
        )
        .with_columns(pl.when(disposition="pended").then("pend_codes").alias("pend_codes"))
    )
    return Fates(lines, claims)


def _by_line(findings: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Findings at the grain of lines: one of a whole claim repeated for each of its lines.
    ``keys``: LINE and ``line_key``."""
    own = (
        findings.filter(pl.col("line_number").is_not_null())
        .with_columns(LINE_KEY)
        .join(keys, on="line_key", how="semi")
    )
    whole = (
        findings.filter(pl.col("line_number").is_null())
        .drop("line_number")
        .join(keys, on="claim_id")
    )
    return pl.concat(
        [
            own.with_columns(whole_claim=pl.lit(False)),
            whole.with_columns(whole_claim=pl.lit(True)).select(*own.columns, "whole_claim"),
        ]
    )
