"""Work done in another process: its result, or a failure that is told."""

from __future__ import annotations

import os

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from edi.apart import Apart, ApartError


def test_results_come_back_in_turn_and_a_failure_is_told() -> None:
    with Apart() as apart:
        failed = apart.submit(os.stat, "/no/such/file")
        there = apart.submit(os.path.basename, "a/b")
        with pytest.raises(ApartError, match="FileNotFoundError in stat") as told:
            failed.result()
        assert "/no/such/file" not in str(told.value)
        assert there.result() == "b"
        assert apart.submit(os.getpid).result() != os.getpid()


def test_it_is_ended_with_its_context() -> None:
    with Apart() as apart:
        pass
    assert apart._process.wait(60) != 0


def test_where_it_dies_every_call_fails() -> None:
    with Apart() as apart:
        calls = [apart.submit(os._exit, 3), apart.submit(os.getpid)]
        for call in calls:
            with pytest.raises(ApartError, match="the other process ended"):
                call.result()


FRAME = pl.DataFrame(
    {"a": [1, None, 3], "b": ["x", None, "a longer text than fits into a view"], "c": [None] * 3},
    schema_overrides={"c": pl.Date},
)


@pytest.mark.parametrize(
    "frame",
    [
        FRAME, FRAME.clear(), FRAME.head(1), FRAME.select("c"), pl.DataFrame(),
        pl.concat([FRAME, FRAME], rechunk=False), FRAME.filter(pl.col("a") == 3),
    ],
)  # fmt: skip
def test_frames_come_back_as_they_went(frame: pl.DataFrame) -> None:
    with Apart("polars") as apart:
        assert_frame_equal(apart.submit(pl.DataFrame.lazy, frame).result().collect(), frame)
        assert_frame_equal(apart.submit(pl.DataFrame.clone, frame).result(), frame)
