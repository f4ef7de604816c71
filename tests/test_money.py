"""Rounding against exact fractions: half up, away from zero, in 64 and 128 bits."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjudicator.money import (
    cents,
    divide_half_up,
    divide_half_up_int,
    percent,
    percent_int,
    wide,
)
from schemas.frames import CENTS_LIMIT

SAFE = 2**62
NUMBERS = st.integers(-SAFE, SAFE)
DIVISORS = st.one_of(st.integers(1, 12), st.integers(1, 10**9))


def by_hand(value: Fraction) -> int:
    """Half up, away from zero, the long way round."""
    whole = abs(value.numerator) // value.denominator
    rest = abs(value) - whole
    rounded = whole + (1 if rest >= Fraction(1, 2) else 0)
    return rounded if value >= 0 else -rounded


def evaluate(expression: pl.Expr, **columns: list[int | None]) -> list[int | None]:
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int64))
    return frame.select(answer=expression)["answer"].to_list()


@pytest.mark.parametrize(
    ("numerator", "divisor", "rounded"),
    [
        (5, 10, 1),  # a half goes up
        (4, 10, 0),
        (-5, 10, -1),  # and away from zero
        (-4, 10, 0),
        (15, 10, 2),  # not to the even one
        (25, 10, 3),
        (-25, 10, -3),
        (1, 3, 0),  # 0.33
        (2, 3, 1),  # 0.67
        (7, 5, 1),  # 1.4
        (8, 5, 2),  # 1.6
        (0, 7, 0),
        (9, 1, 9),
        (4_999, 10_000, 0),
        (5_000, 10_000, 1),
    ],
)
def test_half_up(numerator: int, divisor: int, rounded: int) -> None:
    assert divide_half_up_int(numerator, divisor) == rounded
    assert evaluate(divide_half_up(pl.col("n"), divisor), n=[numerator]) == [rounded]
    by_column = divide_half_up(pl.col("n"), pl.col("d"))
    assert evaluate(by_column, n=[numerator], d=[divisor]) == [rounded]


@given(numerator=NUMBERS, divisor=DIVISORS)
@settings(max_examples=300, deadline=None)
def test_ints_equal_fractions_and_decimals(numerator: int, divisor: int) -> None:
    rounded = divide_half_up_int(numerator, divisor)
    assert rounded == by_hand(Fraction(numerator, divisor))
    assert rounded == -divide_half_up_int(-numerator, divisor)


@given(pairs=st.lists(st.tuples(NUMBERS, DIVISORS), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_expressions_equal_fractions(pairs: list[tuple[int, int]]) -> None:
    numerators, divisors = [n for n, _ in pairs], [d for _, d in pairs]
    expected = [by_hand(Fraction(n, d)) for n, d in pairs]
    columns: dict[str, list[int | None]] = {"n": [*numerators], "d": [*divisors]}
    assert evaluate(divide_half_up(pl.col("n"), pl.col("d")), **columns) == expected
    assert evaluate(divide_half_up(wide(pl.col("n")), pl.col("d")), **columns) == expected
    literal = [by_hand(Fraction(n, divisors[0])) for n in numerators]
    assert evaluate(divide_half_up(pl.col("n"), divisors[0]), n=[*numerators]) == literal
    reversals: dict[str, list[int | None]] = {"n": [-n for n in numerators], "d": [*divisors]}
    assert evaluate(divide_half_up(pl.col("n"), pl.col("d")), **reversals) == [-e for e in expected]


@given(amount=st.integers(-CENTS_LIMIT, CENTS_LIMIT), rate=st.integers(0, 100_000))
@settings(max_examples=100, deadline=None)
def test_percent_equals_decimal(amount: int, rate: int) -> None:
    expected = int((Decimal(amount) * rate / 10_000).quantize(Decimal(1), ROUND_HALF_UP))
    assert percent_int(amount, rate) == expected
    assert evaluate(percent(pl.col("a"), rate), a=[amount]) == [expected]
    assert evaluate(percent(pl.col("a"), pl.col("r")), a=[amount], r=[rate]) == [expected]


def test_percent_of_a_cent() -> None:
    # 50 % of 1 cent is a half cent, of 3 cents one and a half; 49.99 % of 1 cent is less
    assert [percent_int(1, 5_000), percent_int(3, 5_000), percent_int(1, 4_999)] == [1, 2, 0]
    assert evaluate(percent(pl.col("a"), 5_000), a=[1, 3, -1, -3]) == [1, 2, -1, -2]


def test_products_past_64_bits() -> None:
    # 9 999 999 999 x 10^9 x 10^6 is 10^25, far past 9.2 x 10^18; over 10^15 it is itself
    product = wide(pl.col("a")) * 10**9 * pl.col("b")
    assert evaluate(
        cents(divide_half_up(product, 10**15)), a=[CENTS_LIMIT, -CENTS_LIMIT], b=[10**6, 10**6]
    ) == [CENTS_LIMIT, -CENTS_LIMIT]


def test_cents_end_at_the_limit_of_a_claim() -> None:
    over = cents(wide(pl.col("a")) + 1)
    assert evaluate(over, a=[CENTS_LIMIT - 1, CENTS_LIMIT, None]) == [CENTS_LIMIT, None, None]
    under = cents(wide(pl.col("a")) - 1)
    assert evaluate(under, a=[1 - CENTS_LIMIT, -CENTS_LIMIT]) == [-CENTS_LIMIT, None]
    frame = pl.DataFrame({"a": [1]}).select(cents(wide(pl.col("a"))))
    assert frame["a"].dtype == pl.Int64


@pytest.mark.parametrize("divisor", [0, -1])
def test_a_divisor_below_one_is_refused(divisor: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        divide_half_up_int(1, divisor)
    with pytest.raises(ValueError, match="must be positive"):
        divide_half_up(pl.col("n"), divisor)
    assert evaluate(divide_half_up(pl.col("n"), pl.col("d")), n=[1], d=[divisor]) == [None]


def test_null_stays_null() -> None:
    assert evaluate(percent(pl.col("a"), pl.col("r")), a=[None, 5], r=[1, None]) == [None, None]
