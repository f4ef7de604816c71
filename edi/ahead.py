"""Chunks of files read by another process, the first of them before anybody wants them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edi.apart import Apart
from edi.envelope import read_envelope
from edi.guide import guide_for
from edi.read_file import Chunk, Elsewhere, Limits, Part, chunks_of, read_chunk
from edi.received import bytes_of

WINDOW_CHUNKS = 2  # so many may wait, read, until they are wanted

Plan = tuple[Path, "Stamp", int, Limits]
_plans: dict[Plan, list[Chunk]] = {}


class Stamp(NamedTuple):
    """By which a file is known to be still the one that was read."""

    size: int
    changed: int
    inode: int


class Ahead:
    """What another process reads: unasked, chunks of some files, those of the largest first, which
    would else be waited for longest; and any that it is asked for."""

    def __init__(
        self, apart: Apart, paths: Iterable[Path], chunk_bytes: int, limits: Limits
    ) -> None:
        self.apart, self._chunk_bytes, self._limits = apart, chunk_bytes, limits
        self._coming: deque[tuple[Path, int, int]] = deque()
        sizes = [(path.stat().st_size, path) for path in paths]
        for size, path in sorted(sizes, key=lambda one: -one[0]):
            for index, start in enumerate(range(0, size, chunk_bytes)):
                self._coming.append((path, index, min(size - start, chunk_bytes)))
        self._asked: dict[tuple[Path, int], tuple[int, Future[tuple[Stamp, Part] | None]]] = {}
        self._go_on()

    def of(self, path: Path) -> Elsewhere:
        """What of a file is, or can be, read there, for ``read_file``."""
        stamp = _stamp(path)
        return Elsewhere(
            partial(self._take, path),
            partial(self._ask_for, path),
            lambda told: told[1] if told is not None and told[0] == stamp else None,
        )

    def _take(self, path: Path, index: int) -> Future[tuple[Stamp, Part] | None] | None:
        # who comes to a file shares out himself what of it was not asked for yet
        if any(one[0] == path for one in self._coming):
            self._coming = deque(one for one in self._coming if one[0] != path)
        _, future = self._asked.pop((path, index), (0, None))
        self._go_on()
        return future

    def _ask_for(self, path: Path, index: int) -> Future[tuple[Stamp, Part] | None] | None:
        return None if self.apart.due_count else self._ask(path, index)

    def _ask(self, path: Path, index: int) -> Future[tuple[Stamp, Part] | None]:
        return self.apart.ask(part_of, path.absolute(), index, self._chunk_bytes, self._limits)

    def _go_on(self) -> None:
        waiting = sum(size for size, _ in self._asked.values())
        while self._coming and waiting < WINDOW_CHUNKS * self._chunk_bytes:
            path, index, size = self._coming.popleft()
            self._asked[path, index] = size, self._ask(path, index)
            waiting += size


def part_of(path: Path, index: int, chunk_bytes: int, limits: Limits) -> tuple[Stamp, Part] | None:
    """A chunk of a file, by its place among the file's chunks; None where it has no such chunk."""
    stamp = _stamp(path)
    with bytes_of(path) as data:
        plan = path, stamp, chunk_bytes, limits
        if plan not in _plans:
            _plans.clear()
            _plans[plan] = list(chunks_of(data, read_envelope(data), chunk_bytes, limits))
        if index >= len(_plans[plan]):
            return None
        chunk = _plans[plan][index]
        part = read_chunk(data, chunk, limits)
    guide = guide_for(chunk.guide_code)
    assert guide is not None
    guide.remember()
    return stamp, part


def _stamp(path: Path) -> Stamp:
    told = path.stat()
    return Stamp(told.st_size, told.st_mtime_ns, told.st_ino)
