"""The bytes of a received file: mapped, so that a file of any size takes no memory of its own."""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

WINDOW = 1 << 25  # bytes looked at together: of a mapped file no more is held in memory

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


def release(data: bytes | mmap.mmap, start: int, stop: int) -> None:
    """Lets go of the pages of a mapped file between two bytes: what is mapped counts as the
    program's memory until then. They are read again where they are wanted again."""
    if isinstance(data, mmap.mmap):
        start -= start % mmap.PAGESIZE
        if stop > start:
            data.madvise(mmap.MADV_DONTNEED, start, stop - start)


def files_of(inputs: Iterable[Path]) -> Iterator[Path]:
    """The files that are meant, in the order they are taken in: of a folder all that are not
    hidden, by the bytes of their names."""
    for path in inputs:
        if path.is_dir():
            files = (p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
            yield from sorted(files, key=lambda p: os.fsencode(p.name))
        else:
            yield path
