"""Received bytes, kept whole: what a later night reads a claim again from."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Sequence

from sqlalchemy import Connection, select

from adjudicator.store.dialect import StoreError
from adjudicator.store.tables import file_part
from edi.received import release

PART_BYTES = 4 * 1024 * 1024
COMPRESSION = 1  # zlib: 180 MB/s to a quarter; its best takes three times as long to a fifth


def compressed(data: bytes | mmap.mmap) -> list[tuple[int, int, bytes]]:
    """The file in parts: first byte, byte count, compressed content."""
    view = memoryview(data)
    parts = []
    for start in range(0, len(view), PART_BYTES):
        raw = view[start : start + PART_BYTES]
        parts.append((start, len(raw), zlib.compress(raw, COMPRESSION)))
        release(data, start, start + len(raw))
        raw.release()
    view.release()  # a mapped file can't be closed while it is looked at
    return parts


def store_parts(
    connection: Connection, file_id: int, parts: Sequence[tuple[int, int, bytes]]
) -> None:
    """Keeps a file's compressed parts; the ``file`` row stands."""
    for part_number, (start, size, content) in enumerate(parts, 1):
        connection.execute(
            file_part.insert().values(
                file_id=file_id,
                part_number=part_number,
                raw_offset=start,
                raw_byte_count=size,
                content=content,
            )
        )


def _part_index(connection: Connection, file_id: int) -> list[tuple[int, int, int]]:
    """(first byte, byte after the last, part number) of each part, in order."""
    rows = connection.execute(
        select(file_part.c.raw_offset, file_part.c.raw_byte_count, file_part.c.part_number).where(
            file_part.c.file_id == file_id
        )
    )
    return sorted((start, start + count, number) for start, count, number in rows)


def _part(connection: Connection, file_id: int, part_number: int) -> bytes:
    content = connection.execute(
        select(file_part.c.content).where(
            file_part.c.file_id == file_id, file_part.c.part_number == part_number
        )
    ).scalar_one()
    return zlib.decompress(content)


def read_file(connection: Connection, file_id: int) -> bytes:
    """The file's bytes as they were received."""
    parts = _part_index(connection, file_id)
    return b"".join(_part(connection, file_id, number) for _, _, number in parts)


def read_file_ranges(
    connection: Connection, file_id: int, ranges: Sequence[tuple[int, int]]
) -> list[bytes]:
    """The bytes of each range (first byte, byte after the last), in the order asked for.

    Only parts that a range touches are decompressed, each once, and no more are held than one
    range spans. Raises StoreError where a range reaches outside the stored file.
    """
    parts = _part_index(connection, file_id)
    answers = [b""] * len(ranges)
    held: dict[int, bytes] = {}
    first = 0  # parts before it end before every range still to come
    for position in sorted(range(len(ranges)), key=lambda at: ranges[at]):
        start, end = ranges[position]
        if not 0 <= start <= end <= (parts[-1][1] if parts else 0):
            raise StoreError(f"file {file_id}: bytes {start} to {end} are not in the store")
        while first < len(parts) and parts[first][1] <= start:
            held.pop(first, None)
            first += 1
        pieces = []
        index = first
        while index < len(parts) and parts[index][0] < end:
            if index not in held:
                held[index] = _part(connection, file_id, parts[index][2])
            offset = parts[index][0]
            pieces.append(held[index][max(start - offset, 0) : end - offset])
            index += 1
        answers[position] = b"".join(pieces)
    return answers
