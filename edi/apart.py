"""A function called in another process, while this one goes on.

The process is a new interpreter that imports what it needs and nothing of the caller's main
module: polars' threads don't survive a fork.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class ApartError(RuntimeError):
    """The other process came to nothing; its work is still to be done."""


class Apart(Generic[T]):
    """``function(*arguments)`` in a process of its own; used as a context, which ends it."""

    def __init__(self, function: Callable[..., T], *arguments: object) -> None:
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH")) if p)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edi.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # one thread: whoever asks has the other processor
            env={**os.environ, "PYTHONPATH": path, "POLARS_MAX_THREADS": "1"},
        )
        self._asked = pickle.dumps((function, arguments), 5)
        self._told = b""
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        self._told = self._process.communicate(self._asked)[0]

    def result(self) -> T:
        """What the function returned, once it has. Raises ApartError where it came to nothing."""
        self._waiter.join()
        if self._process.returncode != 0:
            raise ApartError(f"the other process ended with {self._process.returncode}")
        told: T = pickle.loads(self._told)  # noqa: S301  our own process wrote it
        return told

    def __enter__(self) -> Apart[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._waiter.join()


if __name__ == "__main__":
    FUNCTION, ARGUMENTS = pickle.loads(sys.stdin.buffer.read())  # noqa: S301  our own wrote it
    sys.stdout.buffer.write(pickle.dumps(FUNCTION(*ARGUMENTS), 5))
