"""A night's files read by two processes: how that is begun, for `run` and for `check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edi.ahead import Ahead
from edi.apart import Apart
from edi.read_file import Bounds, Limits, ReadChunk
from edi.received import files_of

if TYPE_CHECKING:  # reading begins before the configuration's models are made
    from schemas.config import Config

LEAST_CHUNK_BYTES = 2_000_000  # a chunk costs as much as 2,000 claims, however few it holds


def limits_of(config: Config) -> Limits:
    return Limits(config.segment_bytes_limit, config.claim_bytes_limit)


def bounds_of(config: Config) -> Bounds:
    return Bounds(config.file_bytes_limit, config.chunk_bytes, limits_of(config))


@contextmanager
def reading_ahead(
    apart: Apart | None, inputs: Iterable[Path], bounds: Bounds, read: ReadChunk
) -> Iterator[Ahead | None]:
    """The other process set to read the files of ``inputs``, in their order; none without one."""
    if apart is None:
        yield None
        return
    # what is too large to be read at all isn't read ahead either
    sizes = {p: p.stat().st_size for p in files_of(inputs) if p.is_file()}
    paths = [path for path, size in sizes.items() if size <= bounds.file_bytes]
    size = sum(sizes[path] for path in paths)
    # small enough that both have something to do to the end
    chunk_bytes = min(bounds.chunk_bytes, max(LEAST_CHUNK_BYTES, size // 2))
    with Ahead(apart, paths, chunk_bytes, bounds.limits, read) as ahead:
        yield ahead
