"""835 files on disk, every total of them recomputed from the written bytes by independent code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from edi.balance import check_files
from edi.write_835 import write_835


def publish_835(
    files: Mapping[int, Path],
    payments: pl.DataFrame,
    claims: pl.DataFrame,
    lines: pl.DataFrame,
    adjustments: pl.DataFrame,
    provider_adjustments: pl.DataFrame,
) -> Mapping[str, Sequence[str]]:
    """Writes the 835 of each payment to its file, in place of what is there; see ``write_835``.
    Returns what ``check_files`` finds wrong in them."""
    documents = write_835(payments, claims, lines, adjustments, provider_adjustments)
    for payment, file in files.items():
        with file.open("wb") as handle:
            handle.write(documents[payment])
            handle.flush()
            os.fsync(handle.fileno())
    return check_files(list(files.values()))
