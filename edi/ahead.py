"""Files read by two processes: another one goes ahead, and this one joins in.

Both take the next chunk that nobody has, of one file after the other, so that neither waits for a
share of the other's. What the other fails at is read here: it is quick, never needed.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from threading import Condition, Lock, Thread

from edi.apart import Apart
from edi.envelope import Envelope, read_envelope
from edi.read_file import (
    Begun,
    Chunk,
    Limits,
    Part,
    ReadChunk,
    chunks_of,
    let_go,
    remember,
)
from edi.received import bytes_of
from edi.threads import on_this_thread

AHEAD = 3  # parts that one process has read, at most, before they are wanted
Identity = tuple[int, int, int, int]
Ask = Callable[[Path, Identity, Chunk, Limits, ReadChunk], Part]


@dataclass
class _File:
    """``next`` is the first of its ``chunks`` that nobody has."""

    path: Path
    identity: Identity
    envelope: Envelope = field(default_factory=Envelope)
    chunks: Sequence[Chunk] | None = None
    next: int = 0
    closed: bool = False
    parts: dict[int, tuple[Ask, Future[Part | None]]] = field(default_factory=dict)
    looking: Lock = field(default_factory=Lock)


class Ahead:
    """``paths`` in the order in which they will be wanted; used as a context, which ends it.

    ``apart`` is the other process, left to this alone; ``read``, what is made of a chunk, is the
    same for all and a function of a module (``read_file``).
    """

    def __init__(
        self, apart: Apart, paths: Sequence[Path], chunk_bytes: int, limits: Limits, read: ReadChunk
    ) -> None:
        self._apart = apart
        self._chunk_bytes, self._limits, self._read = chunk_bytes, limits, read
        self._files = {p: _File(p, _identity(p)) for p in paths if p.is_file()}
        self._changed = Condition()
        # one goes ahead now, the other once this process has nothing else to do
        self._readers = [
            Thread(target=self._read_on, args=(ask,), daemon=True) for ask in (self._there, _part)
        ]
        self._readers[0].start()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Nothing more is wanted: the other process ends, and its memory is free."""
        with self._changed:
            for file in self._files.values():
                self._close(file)
        self._apart.__exit__()
        for reader in self._readers:
            if reader.ident is not None:
                reader.join()

    def begun(self, path: Path) -> Begun | None:
        """A file that is wanted now: those before it no longer are. None where it isn't read."""
        if self._readers[1].ident is None:
            self._readers[1].start()
        for file in self._files.values():
            if file.path == path:
                if file.closed or not self._chunks(file) or file.identity != _identity(path):
                    return None
                return Begun(file.envelope, partial(self._parts, file))
            with self._changed:
                self._close(file)
        return None

    def _parts(
        self, file: _File, data: bytes | mmap.mmap, _: Iterator[Chunk], limits: Limits,
        read: ReadChunk,
    ) -> Iterator[Part]:  # fmt: skip
        """Each chunk's part, in order."""
        chunks = self._chunks(file)
        try:
            for index, chunk in enumerate(chunks):
                with self._changed:
                    taken = file.parts.get(index)
                    if taken is None:
                        file.next = index + 1
                part = taken[1].result() if taken else None
                if part is None:
                    part = read(data, chunk, limits)
                    let_go(data, chunk)
                with self._changed:
                    file.parts.pop(index, None)
                    self._changed.notify_all()
                del taken
                yield part
        finally:
            with self._changed:
                self._close(file)
        for code in {chunk.guide_code for chunk in chunks}:
            remember(code)

    def _close(self, file: _File) -> None:
        """Nobody reads more of this file."""
        file.closed = True
        file.parts.clear()
        self._changed.notify_all()

    def _chunks(self, file: _File) -> Sequence[Chunk]:
        """Those of the file; none where it is no longer what it was."""
        with file.looking:
            if file.chunks is None:
                with suppress(OSError):
                    data = _mapped(file.path, file.identity)
                    file.envelope = read_envelope(data)
                    chunks = chunks_of(data, file.envelope, self._chunk_bytes, self._limits)
                    file.chunks = list(chunks)
            file.chunks = file.chunks or ()
            return file.chunks

    def _read_on(self, ask: Ask) -> None:
        for file in self._files.values():
            chunks = self._chunks(file)
            while (index := self._take(file, chunks, ask)) is not None:
                _, future = file.parts[index]
                try:
                    part = ask(file.path, file.identity, chunks[index], self._limits, self._read)
                except Exception:
                    # whoever wants it reads it, and tells what is wrong
                    future.set_result(None)
                    return
                future.set_result(part)

    def _take(self, file: _File, chunks: Sequence[Chunk], ask: Ask) -> int | None:
        """The next chunk of the file, once ``ask`` may read one more; None where there is none."""
        with self._changed:
            while not file.closed and file.next < len(chunks):
                every = (part for other in self._files.values() for part in other.parts.values())
                if sum(by is ask for by, _ in every) < AHEAD:
                    index = file.next
                    file.next += 1
                    file.parts[index] = ask, Future()
                    return index
                self._changed.wait()
            return None

    def _there(
        self, path: Path, identity: Identity, chunk: Chunk, limits: Limits, read: ReadChunk
    ) -> Part:
        return self._apart.submit(_part, path, identity, chunk, limits, read).result()


def _part(path: Path, identity: Identity, chunk: Chunk, limits: Limits, read: ReadChunk) -> Part:
    """In either process."""
    data = _mapped(path, identity)
    part = on_this_thread(read, data, chunk, limits)
    let_go(data, chunk)
    remember(chunk.guide_code)
    return part


_OPEN = ExitStack()  # for as long as the process lives


@lru_cache(2)
def _mapped(path: Path, identity: Identity) -> bytes | mmap.mmap:
    """The file's bytes. Raises OSError where it is no longer what it was."""
    data = _OPEN.enter_context(bytes_of(path))
    if _identity(path) != identity:
        raise OSError("another file")
    return data


def _identity(path: Path) -> Identity:
    """What tells a file from another that took its name, or from itself once it was changed."""
    told = path.stat()
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns
