"""Claims of earlier nights as they were sent: the same reader over the bytes that were kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.pipeline import AS_READ
from edi.envelope import Delimiters, read_envelope
from edi.guide import guide_for
from edi.read_file import reread
from schemas import frames
from schemas.form import FORMATS


def renumbered(frame: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """The frame with ``_new`` of ``numbers`` for each ``claim_id``."""
    columns = frame.columns
    shift = numbers["_new"][0] - numbers["claim_id"][0]
    if (numbers["_new"] - numbers["claim_id"] == shift).all():  # no set was refused between
        return frame.with_columns(pl.col("claim_id") + shift)
    return (
        frame.join(numbers, on="claim_id", maintain_order="left")
        .with_columns(claim_id="_new")
        .select(columns)
    )


PIECES = ("header", "provider", "subscriber", "patient", "claim")


def read_again(
    connection: Connection, waiting: pl.DataFrame, own_names: Collection[str] = ()
) -> Iterator[dict[str, pl.DataFrame]]:
    """The frames of claims read again, a group of each interchange, or a file of paper, at a time.

    ``waiting``: one row a claim with its ClaimSources, ``claim_number``, ``receipt_number``,
    ``source_format_code`` and ``received_date``. ``own_names``: see ``read_paper``.
    """
    for (file_id, isa_offset, gs_offset), group in waiting.sort("claim_id").group_by(
        "file_id", "isa_offset", "gs_offset", maintain_order=True
    ):
        assert isinstance(file_id, int)
        if group["source_format_code"][0] in FORMATS.values():
            from edi.read_paper import reread_paper  # only paper needs the forms' models

            records = store.read_file_ranges(connection, file_id, _ranges(group, ("claim",)))
            read = reread_paper(records, own_names)
        else:
            read = _reread(connection, file_id, int(str(isa_offset)), int(str(gs_offset)), group)
        numbers = group.select(
            pl.int_range(pl.len(), dtype=pl.Int64).alias("claim_id"),
            pl.col("claim_id").alias("_new"),
        )
        out = {n: renumbered(f, numbers) for n, f in read.items() if n != "sources"}
        stored = group.select(
            "claim_id", "claim_number", "receipt_number", _received="received_date"
        )
        out["claims"] = (
            out["claims"]
            .join(stored, on="claim_id", maintain_order="left")
            .with_columns(received_date="_received")
            .drop("_received")
        )
        out["findings"] = frames.empty(frames.Findings)
        yield out


def read_whole(
    connection: Connection, waiting: pl.DataFrame, own_names: Collection[str] = ()
) -> dict[str, pl.DataFrame]:
    """As ``read_again``, all at once, by claim; ``waiting`` holds one claim at least."""
    read = list(read_again(connection, waiting, own_names))
    return {
        name: pl.concat([f[name] for f in read], how="vertical_relaxed").sort(
            "claim_id", maintain_order=True
        )
        for name in AS_READ
        if name != "sources"
    }


def _ranges(group: pl.DataFrame, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """The bytes of each claim, in the order of the pieces."""
    return [
        (row[f"{p}_start"], row[f"{p}_end"]) for row in group.iter_rows(named=True) for p in pieces
    ]


def _reread(
    connection: Connection, file_id: int, isa_offset: int, gs_offset: int, group: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Claims of one group of an interchange."""
    delimiters, code = _envelope_of(connection, file_id, isa_offset, gs_offset)
    guide = guide_for(code)
    assert guide is not None  # it was read before
    texts = store.read_file_ranges(connection, file_id, _ranges(group, PIECES))
    spans, at = [], 0
    for text in texts:
        spans.append((at, at + len(text)))
        at += len(text)
    read = reread(b"".join(texts), delimiters, guide, spans)
    guide.remember()  # a set's header after a claim is met here alone
    return read.frames


def _envelope_of(
    connection: Connection, file_id: int, isa_offset: int, gs_offset: int
) -> tuple[Delimiters, str]:
    isa, gs = store.read_file_ranges(
        connection, file_id, [(isa_offset, isa_offset + 400), (gs_offset, gs_offset + 400)]
    )
    delimiters = read_envelope(isa).interchanges[0].delimiters
    elements = gs.decode("latin-1").split(delimiters.terminator, 1)[0].split(delimiters.element)
    return delimiters, elements[8]
