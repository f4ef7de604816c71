"""The contracts at the stages' boundaries: the quick look never passes what dataframely refuses."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import dataframely as dy
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjudicator.contracts import ContractError, _surely_holds, hold


class Counted(dy.Schema):
    claim_id = dy.Int64(primary_key=True)
    line_number = dy.Int64(primary_key=True)
    role = dy.String(regex="^(first|second)$")
    note = dy.String(nullable=True)


def counted(rows: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(
        rows, schema={n: c.dtype for n, c in Counted.columns().items()}, orient="row"
    )


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(1, 3)),
        st.integers(1, 3),
        st.sampled_from(["first", "second", "third", "firsts", None]),
        st.sampled_from([None, "x"]),
    ),
    min_size=1,
    max_size=5,
)


@given(ROWS)
def test_what_surely_holds_holds(rows: list[Any]) -> None:
    frame = counted(rows)
    _, failure = Counted.filter(frame)
    in_order = [(c, n) for c, n, *_ in rows if c is not None]
    rises = len(in_order) == len(rows) and all(a < b for a, b in pairwise(in_order))
    # both ways where the rows stand in order: else nothing quick would ever be gained
    assert _surely_holds(frame, Counted) == (rises and len(failure) == 0)


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([(1, 1, "first", None), (1, 1, "second", None)], "primary_key"),
        ([(1, 1, "third", None)], "role|regex"),
        ([(1, 1, None, None)], "role|nullability"),
        ([(None, 1, "first", None)], "claim_id|nullability"),
    ],
)
def test_a_broken_contract_is_told_with_its_rule(rows: list[Any], broken: str) -> None:
    batch: Any = SimpleNamespace(counted=counted(rows))
    with pytest.raises(ContractError, match=broken.replace("|", r"\|")):
        hold(batch, {"counted": Counted}, "reading", whole=True)


def test_rows_out_of_order_hold_all_the_same() -> None:
    batch: Any = SimpleNamespace(counted=counted([(2, 1, "first", None), (1, 2, "second", "x")]))
    hold(batch, {"counted": Counted}, "reading", whole=True)
