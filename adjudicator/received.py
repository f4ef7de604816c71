"""The bytes of a received file: mapped, so that a file of any size takes no memory of its own."""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edi.envelope import WINDOW, release

_STDIN: list[IO[bytes]] = []


@contextmanager
def bytes_of(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes; standard input's where it is ``-``, which may be asked for again.

    Raises OSError where it can't be read.
    """
    with _opened(path) as handle:
        if _size(handle) == 0:
            yield b""
            return
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


def too_large(path: Path, limit: int) -> str:
    """Why a file is not read at all: it has more bytes than ``limit``. Else nothing."""
    with _opened(path) as handle:
        size = _size(handle)
    if size <= limit:
        return ""
    return (
        f"the file has {size} bytes, above file_bytes_limit {limit}; split it, or raise the limit "
        "in the configuration and run again"
    )


def _size(handle: IO[bytes]) -> int:
    return os.fstat(handle.fileno()).st_size


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if str(path) != "-":
        with path.open("rb") as handle:
            yield handle
        return
    if not _STDIN:  # kept on disk, in a file without a name that goes with the process
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        while piece := sys.stdin.buffer.read(WINDOW):
            spool.write(piece)
        spool.flush()
        _STDIN.append(spool)
    yield _STDIN[0]


def sha256(data: bytes | mmap.mmap, first: int = 0, stop: int | None = None) -> str:
    """The digest of a file's bytes, or of some of them."""
    digest = hashlib.sha256()
    with memoryview(data) as view:  # a mapped file can't be closed while it is looked at
        end = len(view) if stop is None else stop
        for start in range(first, end, WINDOW):
            with view[start : min(start + WINDOW, end)] as part:
                digest.update(part)
            release(data, start, min(start + WINDOW, end))
    return digest.hexdigest()
