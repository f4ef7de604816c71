"""Files that are there whole or not at all, and on disk once that is said."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Writes a file under its name only once all of it is written, and on disk where it is
    ``synced``; mode 0600."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        if synced:
            handle.flush()
            os.fsync(handle.fileno())
    partial.replace(path)


def sync(path: Path) -> None:
    """Has a file's content on disk, or the names of a folder's files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
