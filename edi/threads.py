"""Which thread does polars' work: the calling one.

polars hands most calls to threads of its own. For the frames of a night waking them takes longer
than the work itself; and two threads or processes that each do their own keep two processors
busier than calls shared out one by one. Lazy queries are collected in memory for the same reason:
making a pipeline of one takes a millisecond or two, the query itself a tenth of one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import polars as pl

T = TypeVar("T")
P = ParamSpec("P")

pl.Config.set_engine_affinity("in-memory")


def on_this_thread(work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> T:
    """``work(*arguments)``, with all that it asks of polars done on the calling thread.

    polars does so for whatever a function asks of it that its pipelines call (``map_batches``):
    else such a function could wait for its own caller's threads.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def called(frame: pl.DataFrame) -> pl.DataFrame:
        try:
            done.append(work(*arguments, **named))
        except BaseException as error:
            # polars would tell of it in words of its own
            failed.append(error)
        return frame

    pl.LazyFrame().map_batches(called).collect(engine="streaming")
    if failed:
        try:
            raise failed[0]
        finally:
            failed.clear()  # it holds this frame
    return done[0]


class Beside(ThreadPoolExecutor):
    """One thread beside this one, which does its own work with polars."""

    def __init__(self) -> None:
        super().__init__(1)

    def submit(self, work: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        return super().submit(partial(on_this_thread, work, *arguments, **named))
