"""The only place that rounds: half up, away from zero, in integers; and that apportions.

A reversal is the exact negation of what it reverses, so rounding is symmetric about zero.
``wide`` lets a product run past 64 bits, where Int64 would wrap without a word; ``cents`` brings
the rounded result back. Functions on expressions have twins on plain ints, for Python loops, or on
arrays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.frames import CENTS_LIMIT

BASIS_POINTS = 10_000
Integers = npt.NDArray[np.int64]


def divide_half_up(numerator: pl.Expr, divisor: int | pl.Expr) -> pl.Expr:
    """``numerator / divisor`` rounded to the nearest integer, a half away from zero.

    Integers in, the numerator's integer type out. Exact while ``|numerator| + divisor`` fits that
    type. Raises ValueError for an int divisor below 1; a divisor expression below 1 gives null.
    """
    if isinstance(divisor, int):
        if divisor < 1:
            raise ValueError(f"the divisor must be positive, not {divisor}")
        return numerator.sign() * ((numerator.abs() + divisor // 2) // divisor)
    positive = pl.when(divisor > 0).then(divisor)
    return numerator.sign() * ((numerator.abs() + positive // 2) // positive)


def divide_half_up_int(numerator: int, divisor: int) -> int:
    """``divide_half_up`` of two ints. Raises ValueError for a divisor below 1."""
    if divisor < 1:
        raise ValueError(f"the divisor must be positive, not {divisor}")
    rounded = (abs(numerator) + divisor // 2) // divisor
    return rounded if numerator >= 0 else -rounded


def percent(amount: pl.Expr, basis_points: int | pl.Expr) -> pl.Expr:
    """That share of an amount of cents, rounded once; exact in Int64 for any amount a claim may
    carry (below 10^10 cents) and rates below 9 * 10^8 basis points."""
    return divide_half_up(amount * basis_points, BASIS_POINTS)


def percent_int(amount: int, basis_points: int) -> int:
    """``percent`` of two ints."""
    return divide_half_up_int(amount * basis_points, BASIS_POINTS)


def percent_ints(amounts: Integers, basis_points: Integers) -> Integers:
    """``percent`` of whole arrays, of amounts not below zero."""
    return (amounts * basis_points + BASIS_POINTS // 2) // BASIS_POINTS


def wide(expression: pl.Expr) -> pl.Expr:
    """The integer in 128 bits: three factors below 10^12 multiply without wrapping."""
    return expression.cast(pl.Int128)


def cents(expression: pl.Expr) -> pl.Expr:
    """A wide result as Int64 cents; null beyond what a claim may carry (``CENTS_LIMIT``)."""
    return pl.when(expression.abs() <= CENTS_LIMIT).then(expression).cast(pl.Int64)


def apportion(
    frame: pl.DataFrame, total: str, weight: str, over: Sequence[str], name: str
) -> pl.DataFrame:
    """``frame`` with each row's part of its group's ``total`` as the column ``name``.

    By the largest remainder: a row gets its weight's share rounded down; the cents that are left
    go one each to the rows with the largest remainders, of equal ones to the first in the frame's
    order. The parts of a group sum to its total, and none is above its weight where the total is
    not above the weights' sum. Total and weights are nothing or more; where all weights are
    nothing, so are the parts. Exact for any amounts a claim may carry.
    """
    group = list(over)
    product = wide(pl.col(total)) * pl.col("_weight")
    parts = (
        frame.with_columns(_weight=wide(pl.col(weight)))
        .with_columns(_whole=pl.col("_weight").sum().over(group))
        .with_columns(_whole=pl.when(pl.col("_whole") > 0).then("_whole"))
        .with_columns(
            _part=(product // pl.col("_whole")).cast(pl.Int64).fill_null(0),
            _rest=(product % pl.col("_whole")).cast(pl.Int64).fill_null(0),
        )
        .with_columns(
            _left=pl.col(total) - pl.col("_part").sum().over(group),
            _rank=(-pl.col("_rest")).rank("ordinal").over(group),
        )
    )
    one_more = (pl.col("_rank") <= pl.col("_left")) & (pl.col("_rest") > 0)
    return frame.with_columns(parts.select((pl.col("_part") + one_more).alias(name)))


def apportion_int(total: int, weights: Sequence[int]) -> list[int]:
    """``apportion`` of one group of ints."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    rests = [total * weight % whole for weight in weights]
    first = sorted(range(len(weights)), key=lambda place: -rests[place])
    for place in first[: total - sum(parts)]:
        parts[place] += 1
    return parts
