"""Work with polars that stays on the thread that asks for it."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from edi.threads import Beside, on_this_thread

FRAME = pl.DataFrame({"claim_id": [1, 2, 3], "edit": ["a", "b", "a"]})


def filtered() -> int:
    for _ in range(300):
        FRAME.filter(pl.col("edit") == "a")
    return threading.get_ident()


def joined() -> int:
    """By lazy queries that name no engine, as they are written everywhere."""
    of_edit = FRAME.lazy().group_by("edit").agg(pl.len())
    for _ in range(300):
        FRAME.lazy().join(of_edit, on="edit").collect()
    return threading.get_ident()


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's own figures are Linux's")
@pytest.mark.parametrize("work", [filtered, joined])
@pytest.mark.parametrize("asks", [lambda work: work(), on_this_thread])
def test_no_other_thread_is_waited_for(
    asks: Callable[[Callable[[], int]], int], work: Callable[[], int]
) -> None:
    """Each call that is handed to another thread makes this one wait: asked as polars is by
    itself, nearly every call does."""

    def waits() -> tuple[int, bool]:
        work()  # begins polars' threads
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        there = asks(work)
        found = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
        return found, there == threading.get_ident()

    # a thread of its own: tests run on_this_thread themselves
    with ThreadPoolExecutor(1) as thread:
        count, is_here = thread.submit(waits).result()
    assert is_here
    assert count < 30 if asks is on_this_thread else count > 100


def test_arguments_go_in_and_the_result_comes_out() -> None:
    assert on_this_thread(divmod, 17, 5) == (3, 2)
    assert on_this_thread(sorted, [1, 2], reverse=True) == [2, 1]
    assert on_this_thread(lambda: on_this_thread(lambda: FRAME.height)) == 3
    assert on_this_thread(lambda: None) is None


@pytest.mark.parametrize("error", [ValueError("told"), KeyboardInterrupt(), SystemExit(75)])
def test_an_error_comes_out_as_it_is(error: BaseException) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as told:
        on_this_thread(fails)
    assert told.value is error
    assert fails.__name__ in [entry.name for entry in told.traceback]


def test_beside_it_is_another_thread_that_does_its_own() -> None:
    with Beside() as beside:
        there = beside.submit(filtered).result()
        assert there == beside.submit(threading.get_ident).result() != threading.get_ident()
        failed = beside.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result()
