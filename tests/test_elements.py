"""Columns made from bytes, against plain Python that takes one value at a time."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edi.elements import Cells, Elements
from edi.envelope import Delimiters

USUAL = Delimiters(element="*", component=":", repetition="^", terminator="~")
SIGNS = "*:^~\r\n"
TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=0xFF, exclude_characters=SIGNS))
COMPOSITE = st.lists(TEXT, min_size=1, max_size=4).map(":".join)
SEGMENT = st.lists(COMPOSITE, max_size=6)


def cells(values: list[str], last: int = 1) -> Cells:
    """One segment a value, which is its elements' text."""
    elements = Elements("".join(f"X*{v}~" for v in values).encode(), USUAL)
    return elements.of(np.arange(len(values)), last)


@given(st.lists(SEGMENT, min_size=1, max_size=12), st.integers(0, 7))
def test_every_element_and_component_is_what_splitting_gives(
    segments: list[list[str]], long: int
) -> None:
    segments = [*segments, ["L" * 600 * (long % 2)]]  # above WIDEST_COPY there is no copy
    texts = ["*".join(["X", *s]) for s in segments]
    elements = Elements("".join(t + "~\r\n" for t in texts).encode().rstrip(), USUAL)
    at = elements.of(np.arange(len(texts)), 7)
    for place in range(8):
        split = [t.split("*") for t in texts]
        expected = [s[place] if place < len(s) else "" for s in split]
        assert at.text(at[place]).to_list() == [e or None for e in expected]
        for part in (1, 2, 4):
            parts = [e.split(":") for e in expected]
            wanted = [p[part - 1] if part <= len(p) else "" for p in parts]
            assert at.text(at.composite(place)[part]).to_list() == [w or None for w in wanted]
    joined = at.text(at.composite(1).through(2, 3)).to_list()
    assert joined == [":".join(s[0].split(":")[1:3]) or None if s else None for s in segments]
    through = at.text(at.through(2, 4)).to_list()
    assert through == ["*".join(s[1:4]) or None for s in segments]


def test_rows_are_taken_in_the_order_asked() -> None:
    elements = Elements(b"A*1~B*22*x~C~D*4444444444444444444~", USUAL)
    at = elements.of(np.array([3, 1, 1, 2]), 2)
    assert at.text(at[0]).to_list() == ["D", "B", "B", "C"]
    assert at.text(at[1]).to_list() == ["4444444444444444444", "22", "22", None]
    assert at.text(at[2]).to_list() == [None, "x", "x", None]


def test_every_day_of_three_centuries_and_none_beside_them() -> None:
    first = date(1850, 1, 1)
    days = [first + timedelta(n) for n in range(110_000)]
    at = cells([f"{d:%Y%m%d}" for d in days])
    read, ok = at.day(at[1])
    assert read.to_list() == days
    assert ok.all()
    wrong = [
        "20250229", "19000229", "20250431", "20251301", "20250001", "20250100", "00000101",
        "2025010", "2025 101", "2025-1-1", "20250132", "2025٠١٠١", "",
    ]  # fmt: skip
    at = cells(wrong)
    read, ok = at.day(at[1])
    assert read.null_count() == len(wrong)
    assert not ok.any()


def test_a_day_is_the_first_eight_bytes() -> None:
    at = cells(["20000229-20000301", "202502281030", "99991231"])
    assert at.day(at[1])[0].to_list() == [date(2000, 2, 29), date(2025, 2, 28), date(9999, 12, 31)]


@given(
    st.lists(
        st.one_of(
            st.from_regex(r"\A-?[0-9]{0,10}(\.[0-9]{0,4})?\Z"),
            st.from_regex(r"\A[-+.0-9 eE]{0,26}\Z"),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from([(2, 9_999_999_999), (3, 10**13), (0, 10**12)]),
)
def test_a_number_is_decimal_arithmetic_or_nothing(
    texts: list[str], scale: tuple[int, int]
) -> None:
    digits, limit = scale
    at = cells(texts)
    read, ok = at.number(at[1], digits, limit)
    for text, got, readable in zip(texts, read.to_list(), ok.tolist(), strict=True):
        plain = text.removeprefix("-")
        whole, _, part = plain.partition(".")
        figures = (whole + part).isdigit() and plain.count(".") <= 1
        value = Decimal(text) * 10**digits if figures and len(text) <= 24 else Decimal("NaN")
        exact = value == value.to_integral_value() and abs(value) <= limit and len(whole) <= 12
        assert got == (int(value) if exact else None), text
        assert readable == exact, text


@given(st.lists(TEXT, min_size=1, max_size=20))
def test_a_code_is_found_whole_or_not_at_all(texts: list[str]) -> None:
    codes = ["472", "D8", "RD8", texts[0][:8] or "Q"]
    at = cells(texts)
    found = at.is_one_of(at[1], [c for c in codes if c.isascii()])
    assert found.tolist() == [t in codes and t.isascii() for t in texts]
