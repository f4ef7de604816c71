"""Of what kind a line's service is, by the codes a program lists; and whose specialty it is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_

import polars as pl

from adjudicator.edits.exempt import in_force
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import ServiceCodes

# what it reads of a line, of its claim, and beside them bill_type and benefit_category
OF_LINE = ["procedure_code", "revenue_code", "modifier_codes", "place_of_service_code"]
OF_CLAIM = ["claim_type_code", "facility_code"]


def told_by(codes: ServiceCodes, batch: Batch) -> pl.Expr:
    """In words, what tells that a line is of that kind; null where nothing does.

    Reads OF_LINE, ``claim_type_code``, ``bill_type``, and ``benefit_category`` or ``specialties``
    (a list) where the codes name any.
    """
    return pl.coalesce(pl.lit(None, dtype=pl.String), *_tests(codes, batch))


def _tests(codes: ServiceCodes, batch: Batch) -> Iterator[pl.Expr]:
    modifiers = pl.col("modifier_codes").str.split(":").list
    for modifier in codes.modifiers:
        yield pl.when(modifiers.contains(modifier)).then(pl.lit(f"modifier {modifier}"))
    for code in codes.condition_codes:
        claims = batch.occurrences.filter(
            (pl.col("qualifier_code") == "BG") & (pl.col("code") == code)
        )
        on_claim = pl.col("claim_id").is_in(claims["claim_id"].unique().implode())
        yield pl.when(on_claim).then(pl.lit(f"condition {code}"))
    for column, word, ranges in (
        ("procedure_code", "code ", codes.procedure_ranges),
        ("revenue_code", "revenue code ", codes.revenue_ranges),
    ):
        if ranges:
            yield pl.when(within(column, ranges)).then(pl.concat_str(pl.lit(word), column))
    if codes.bill_types:
        bill_type = pl.col("bill_type")
        of_type = (pl.col("claim_type_code") == "I") & bill_type.is_in(codes.bill_types)
        yield pl.when(of_type).then(pl.concat_str(pl.lit("bill type "), bill_type))
    if codes.benefit_categories:
        category = pl.col("benefit_category")
        of_category = category.is_in(codes.benefit_categories)
        words = pl.concat_str(pl.lit("benefit "), category.str.replace_all("_", " "))
        yield pl.when(of_category).then(words)
    if codes.specialties:
        # of a provider of several specialties each must be of the kind
        begins = reduce(or_, (pl.element().str.starts_with(s) for s in codes.specialties))
        specialties = pl.col("specialties")
        words = pl.concat_str(pl.lit("specialty "), specialties.list.join(", "))
        yield pl.when(specialties.list.eval(begins).list.all()).then(words)


def within(column: str, ranges: Sequence[tuple[str, str]]) -> pl.Expr:
    """Whether a code lies in one of the ranges; codes of one length are compared as text."""
    code = pl.col(column)
    return reduce(
        or_,
        (
            (code >= first) & (code <= last) & (code.str.len_bytes() == len(first))
            for first, last in ranges
        ),
        pl.lit(value=False),
    )


def with_specialties(lines: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """``specialties`` of the line's ``provider_number``, a list, and ``specialty_codes``, joined by
    a colon: the provider file's on the ``decision_date``, else the claim's."""
    providers = reference.tables["providers"].select(
        "start_date", "end_date", "taxonomy_code", provider_number="npi"
    )
    on_day, on_claim = ["provider_number", "decision_date"], ["provider_number", "claim_id"]
    on_file = in_force(lines.select(on_day).unique(), providers, ["provider_number"])
    named = batch.claim_providers.select("claim_id", "taxonomy_code", provider_number="npi").join(
        lines.select(on_claim).unique(), on=on_claim
    )
    for rows, by, name in ((on_file, on_day, "on_file"), (named, on_claim, "on_claim")):
        codes = (
            rows.filter(pl.col("taxonomy_code").is_not_null())
            .group_by(by)
            .agg(pl.col("taxonomy_code").unique().sort().alias(name))
        )
        lines = lines.join(codes, on=by, how="left", maintain_order="left")
    return lines.with_columns(specialties=pl.coalesce("on_file", "on_claim")).with_columns(
        specialty_codes=pl.col("specialties").list.join(":")
    )


# who serves: on an institutional claim the facility [j]; reads claim_type_code, billing_npi, the
# claim's rendering_npi and of_line, the line's
PROVIDER = (
    pl.when(pl.col("claim_type_code") == "I")
    .then("billing_npi")
    .otherwise(pl.coalesce("of_line", "rendering_npi", "billing_npi"))
    .alias("provider_number")
)
