"""Referrals and authorizations: which of them cover a line, and in what the others fail."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

LINE = ["claim_id", "line_number"]
CANDIDATES_TOLD = 5
OTHER_MEMBER = "other member"


def with_permits(
    lines: pl.DataFrame,
    asked: pl.DataFrame,
    permits: pl.DataFrame,
    fails: Sequence[pl.Expr],
    *,
    number: str,
    limit: str,
    into: str,
) -> pl.DataFrame:
    """``lines`` with the permits that cover them, the first to end first, in a list named
    ``into``; where there is none, ``candidates``: the nearest, and in what each fails.

    ``asked``: the lines to look for, with LINE, ``member_id``, ``number`` (as the claim names it;
    null: any permit of the member's) and what ``fails`` read. ``permits``: with ``number``,
    ``member_id``, ``start_date``, ``end_date`` and ``limit``. ``fails``: a word each, null where
    a permit of the member's doesn't fail; of another member's nothing but that is told.
    """
    on_file = permits.rename({number: "of_number", "member_id": "of_member"}).with_columns(
        first_code=pl.coalesce("first_procedure_code", "last_procedure_code"),
        last_code=pl.coalesce("last_procedure_code", "first_procedure_code"),
    )
    own = pl.col("of_member") == pl.col("member_id")
    words = [
        pl.when(~own).then(pl.lit(OTHER_MEMBER)),
        *(pl.when(own).then(word) for word in fails),
    ]
    numbered = pl.col(number).is_not_null()
    found = pl.concat(
        asked.filter(which)
        .join(on_file.with_columns(key=of), left_on=by, right_on="key")
        .select(
            *LINE, "of_number", "start_date", "end_date", limit,
            fails=pl.concat_list(words).list.drop_nulls(),
        )
        for which, by, of in (
            (numbered, number, "of_number"),
            (~numbered, "member_id", "of_member"),
        )
    )  # fmt: skip
    others = pl.col("fails").list.first() == OTHER_MEMBER
    told = [pl.col("of_number").alias(number), pl.col("start_date", "end_date")]
    covering = (
        found.filter(pl.col("fails").list.len() == 0)
        .sort(*LINE, "end_date", "start_date", "of_number", nulls_last=True)
        .group_by(LINE)
        .agg(pl.struct(*told, limit).alias(into))
    )
    failing = (
        found.join(covering, on=LINE, how="anti")
        # of another member's permit nothing is told
        .with_columns(pl.when(~others).then(c).alias(c) for c in ("start_date", "end_date"))
        .with_columns(near=pl.col("fails").list.len(), fails=pl.col("fails").list.join(", "))
        .sort(*LINE, "near", "start_date", "of_number", descending=[*[False] * 3, True, False])
        .group_by(LINE, maintain_order=True)
        .agg(candidates=pl.struct(*told, "fails").head(CANDIDATES_TOLD))
    )
    return lines.join(covering, on=LINE, how="left", maintain_order="left").join(
        failing, on=LINE, how="left", maintain_order="left"
    )


def covers_service() -> pl.Expr:
    """Whether a permit's codes, where it names any, hold the line's ``code``."""
    code = pl.col("code")
    return pl.col("first_code").is_null() | (
        (code >= pl.col("first_code"))
        & (code <= pl.col("last_code"))
        & (code.str.len_bytes() == pl.col("first_code").str.len_bytes())
    )


def fails(word: str, holds: pl.Expr) -> pl.Expr:
    """The word where it isn't known to hold."""
    return pl.when(~holds.fill_null(value=False)).then(pl.lit(word))
