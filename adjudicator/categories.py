"""The benefit category of a line, by the rules of schemas/codes/benefit_categories.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

import polars as pl

from schemas.program import BenefitCategoryRule


def benefit_category(rules: Sequence[BenefitCategoryRule]) -> pl.Expr:
    """The category of the first rule whose every condition holds; null where none does.

    Reads ``claim_type_code``, ``procedure_code``, ``revenue_code``, ``bill_type`` (two digits)
    and ``place_of_service_code``.
    """
    return pl.coalesce(
        pl.lit(None, dtype=pl.String),
        *(pl.when(holds(rule)).then(pl.lit(rule.category)) for rule in rules),
    )


def holds(rule: BenefitCategoryRule) -> pl.Expr:
    """Whether every condition of the rule holds of a line; reads what ``benefit_category`` does."""
    claim_type = pl.col("claim_type_code")
    conditions = [pl.lit(True)]
    if rule.claim_type_code is not None:
        conditions.append(claim_type == rule.claim_type_code)
    for column, ranges in (
        ("procedure_code", rule.procedure_ranges),
        ("revenue_code", rule.revenue_ranges),
    ):
        code = pl.col(column)
        if ranges:
            conditions.append(reduce(or_, [(code >= a) & (code <= b) for a, b in ranges]))
    # 11 is an office on a professional claim and an inpatient hospital as a bill type
    if rule.bill_types:
        conditions.append((claim_type == "I") & pl.col("bill_type").is_in(rule.bill_types))
    if rule.places_of_service:
        place = pl.col("place_of_service_code")
        conditions.append((claim_type == "P") & place.is_in(rule.places_of_service))
    return reduce(and_, conditions).fill_null(False)
