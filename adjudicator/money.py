"""The only place that rounds: half up, away from zero, in integers.

A reversal is the exact negation of what it reverses, so rounding is symmetric about zero.
``wide`` lets a product run past 64 bits, where Int64 would wrap without a word; ``cents`` brings
the rounded result back. Each function on expressions has a twin on plain ints for Python loops.
"""

from __future__ import annotations

import polars as pl

from schemas.frames import CENTS_LIMIT

BASIS_POINTS = 10_000


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


def wide(expression: pl.Expr) -> pl.Expr:
    """The integer in 128 bits: three factors below 10^12 multiply without wrapping."""
    return expression.cast(pl.Int128)


def cents(expression: pl.Expr) -> pl.Expr:
    """A wide result as Int64 cents; null beyond what a claim may carry (``CENTS_LIMIT``)."""
    return pl.when(expression.abs() <= CENTS_LIMIT).then(expression).cast(pl.Int64)
