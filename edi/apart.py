"""Another process, which does what it is asked while this one goes on.

It is a new interpreter that imports what it needs and nothing of the caller's main module: polars'
threads don't survive a fork. Two processors then do twice the work, where Python's own lock would
make two threads wait for each other.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")

LENGTH = struct.Struct("<Q")
PR_SET_PDEATHSIG = 1
ROOT = str(Path(__file__).parents[1])


class ApartError(RuntimeError):
    """The other process came to nothing; its work is still to be done."""


class Apart:
    """Does one thing after the other, in the order asked; used as a context, which ends it.

    It imports ``modules`` at once, while nothing is asked of it yet.
    """

    def __init__(self, *modules: str) -> None:
        path = os.pathsep.join(p for p in (ROOT, os.environ.get("PYTHONPATH")) if p)
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "edi.apart", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # one thread: whoever asks has the other processor
            env={**os.environ, "PYTHONPATH": path, "POLARS_MAX_THREADS": "1"},
        )
        self._asked: SimpleQueue[bytes | None] = SimpleQueue()
        self._due: deque[Future[Any]] = deque()
        self._has_ended = False
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._send, self._receive)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def due_count(self) -> int:
        """How much of what was asked has not come back yet."""
        return len(self._due)

    def ask(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """``function(*args, **kwargs)``, a function of a module, there. The future raises
        ApartError where that came to nothing, whatever the reason."""
        future: Future[T] = Future()
        self._due.append(future)
        self._asked.put(pickle.dumps((function, args, kwargs), 5))
        if self._has_ended:
            self._give_up()
        return future

    def _send(self) -> None:
        to = self._process.stdin
        assert to is not None
        try:
            while (message := self._asked.get()) is not None:
                _write(to, message)
        except OSError:
            pass  # it has ended: the other thread tells those who wait

    def _receive(self) -> None:
        of = self._process.stdout
        assert of is not None
        while (told := _read(of)) is not None:
            future = self._due[0]
            try:
                came, result = pickle.loads(told)  # noqa: S301  our own process wrote it
            except Exception:  # what can't be read here is made here
                came, result = False, "its answer can't be read"
            self._due.popleft()
            if came:
                future.set_result(result)
            else:
                future.set_exception(ApartError(f"the other process failed: {result}"))
        self._has_ended = True
        self._give_up()

    def _give_up(self) -> None:
        while self._due:
            try:
                future = self._due.popleft()
            except IndexError:
                return
            future.set_exception(ApartError("the other process has ended"))

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._asked.put(None)
        for thread in self._threads:
            thread.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # something was still to be sent to it
                    pipe.close()


def _write(to: IO[bytes], message: bytes) -> None:
    to.write(LENGTH.pack(len(message)))
    to.write(message)
    to.flush()


def _read(of: IO[bytes]) -> bytes | None:
    """The next message, or None at the end."""
    head = of.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    message = of.read(length)
    return message if len(message) == length else None


def _serve(modules: Sequence[str]) -> None:
    asked, told = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # nothing else may stand among the answers
    os.umask(0o077)
    _end_with_parent()
    for module in modules:
        import_module(module)
    while (message := _read(asked)) is not None:
        try:
            function, args, kwargs = pickle.loads(message)  # noqa: S301  our own process wrote it
            answer = pickle.dumps((True, function(*args, **kwargs)), 5)
        except BaseException as fault:  # polars' panics are no Exceptions
            answer = pickle.dumps((False, type(fault).__name__), 5)
        _write(told, answer)


def _end_with_parent() -> None:
    """Whoever does the night again finds nobody still at work on it. Elsewhere than on Linux the
    end of what is asked tells it, once what was asked is done."""
    if sys.platform == "linux":
        import ctypes  # not for whoever asks

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    import gc

    gc.disable()
    _serve(sys.argv[1:])
    os._exit(0)
