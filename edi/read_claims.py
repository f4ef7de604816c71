"""A file of claims, X12 or paper, by its content."""

from __future__ import annotations

import mmap
import re
from collections.abc import Collection

from edi.read_file import LIMITS, Begun, FileReading, Limits, ReadChunk, read_file

HEAD_BYTES = 65_536
BOM = b"\xef\xbb\xbf"
FIRST_LINE = re.compile(rb"^[ \t]*[{\[]", re.MULTILINE)


def is_paper(data: bytes | mmap.mmap) -> bool:
    """Whether a file holds records of paper claims: some early line begins as JSON does, and the
    file is no interchange."""
    head = bytes(data[:HEAD_BYTES]).removeprefix(BOM)
    return not head.lstrip().startswith(b"ISA") and FIRST_LINE.search(head) is not None


def read_claims_file(
    data: bytes | mmap.mmap,
    chunk_bytes: int,
    own_names: Collection[str] = (),
    limits: Limits = LIMITS,
    read: ReadChunk | None = None,
    begun: Begun | None = None,
) -> FileReading:
    """What the file held; ``own_names``: see ``read_paper``; ``read`` and ``begun``: see
    ``read_file``; of paper all is kept. Raises nothing for what is in it."""
    if not is_paper(data):
        return read_file(data, chunk_bytes, limits, read, begun)
    from edi.read_paper import read_paper  # only paper needs the forms' models

    return read_paper(data, own_names)
