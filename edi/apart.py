"""Functions called in another process, while this one goes on.

The process is a new interpreter that imports what it needs and nothing of the caller's main
module: polars' threads don't survive a fork.
"""

from __future__ import annotations

import gc
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, TypeVar

from edi.memory import keep

if TYPE_CHECKING:
    import polars as pl

T = TypeVar("T")
LENGTH_BYTES = 8


class ApartError(RuntimeError):
    """The other process came to nothing; its work is still to be done."""


class Apart:
    """Another process that is handed one call after the other; used as a context, which ends it.

    ``module`` is imported at once, so that the process is ready when the first call comes.
    """

    def __init__(self, module: str = "") -> None:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        self._process = subprocess.Popen(  # noqa: S603  this interpreter
            [sys.executable, "-P", "-c", "from edi.apart import serve; serve()", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._asking = ThreadPoolExecutor(1)
        self._ending: Thread | None = None

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """``function(*arguments)`` there, after what was handed over before. Its result raises
        ApartError where the call, or the process, came to nothing."""
        return self._asking.submit(self._ask, function, arguments)

    def _ask(self, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
        to, back = self._process.stdin, self._process.stdout
        assert to is not None and back is not None
        try:
            _send(to, (function, arguments))
            told: tuple[bool, T] = _receive(back)
        except (OSError, EOFError) as error:
            raise ApartError("the other process ended") from error
        done, result = told
        if not done:
            raise ApartError(str(result))
        return result

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ending is None:
            self._process.kill()
            # nobody waits while the system takes its memory back
            self._ending = Thread(target=self._end)
            self._ending.start()

    def _end(self) -> None:
        self._asking.shutdown(cancel_futures=True)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()


def _send(to: IO[bytes], what: object) -> None:
    message = io.BytesIO()
    _Pickler(message, 5).dump(what)
    to.write(message.tell().to_bytes(LENGTH_BYTES, "little"))
    to.write(message.getbuffer())
    to.flush()


def _receive(back: IO[bytes]) -> Any:
    length = back.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        raise EOFError
    message = back.read(int.from_bytes(length, "little"))
    return pickle.loads(message)  # noqa: S301  our own process wrote it


class _Pickler(pickle.Pickler):
    """Frames travel compressed and without their empty columns: a tenth of the bytes."""

    def reducer_override(self, what: object) -> Any:
        polars = sys.modules.get("polars")
        if polars is None or not isinstance(what, polars.DataFrame):
            return NotImplemented
        nulls = what.null_count().row(0) if what.width else ()
        filled = [n for n, count in zip(what.columns, nulls, strict=True) if count < what.height]
        content = io.BytesIO()
        newest = polars.CompatLevel.newest()  # its own layout of text
        what.select(filled).write_ipc_stream(content, compression="lz4", compat_level=newest)
        return _frame, (dict(what.schema), what.height, content.getvalue())


def _frame(schema: Mapping[str, pl.DataType], height: int, content: bytes) -> pl.DataFrame:
    import polars as pl

    filled = pl.read_ipc_stream(io.BytesIO(content))
    return pl.DataFrame([
        filled[name] if name in filled.columns
        else pl.Series(name, [None], dtype=dtype).new_from_index(0, height)
        for name, dtype in schema.items()
    ])  # fmt: skip


def serve() -> None:
    """What the other process does until it is ended."""
    gc.disable()  # as the caller has it
    keep()
    if sys.argv[1:] and sys.argv[1]:
        import_module(sys.argv[1])
    while True:
        try:
            function, arguments = _receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            told = (True, function(*arguments))
        except Exception as error:
            # no message: it may repeat what a claim says
            told = (False, f"{type(error).__name__} in {function.__qualname__}")
        _send(sys.stdout.buffer, told)
