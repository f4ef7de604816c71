"""Code ranges as edits ask them, beside a plain reading."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from adjudicator.edits.policies import within

CODES = st.text("09AZ", min_size=0, max_size=5)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[tuple[str, str], ...]:
    """Ends of one length each, in any order of the ranges; some of one code alone."""
    lengths = draw(st.lists(st.integers(1, 5), max_size=6))
    found = []
    for length in lengths:
        ends = st.text("09AZ", min_size=length, max_size=length)
        first, last = sorted([draw(ends), draw(ends)])
        found.append((first, first if draw(st.booleans()) else last))
    return tuple(found)


@given(ranges(), st.lists(st.none() | CODES, max_size=12))
def test_a_code_lies_within_ranges_as_its_beginning_does(
    some: tuple[tuple[str, str], ...], codes: list[str | None]
) -> None:
    expected = [
        code is not None and any(a <= code[: len(a)] <= b for a, b in some) for code in codes
    ]
    frame = pl.DataFrame({"code": codes}, schema={"code": pl.String})
    found = frame.with_columns(lies=within(pl.col("code"), some))["lies"]
    assert found.to_list() == expected
