"""What an edit is: a function that finds lines, and the facts of what a find means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

Disposition = Literal["deny", "pend", "inform"]
Find = Callable[[Batch, Reference], pl.LazyFrame]


@dataclass(frozen=True)
class Edit:
    """A function that finds, with what its find does to a claim.

    ``find`` returns ``claim_id``, ``line_number`` (null: the whole claim) and ``inputs`` (a
    struct); beside them, where one edit has several outcomes, any of ``disposition``,
    ``group_code``, ``carc``, ``rarc``, ``pend_code``, which then stand instead of the facts here.
    ``other_codes`` are the (group, CARC) pairs such outcomes may put.
    ``judgement``: no source decides; the citation is the nearest rule.
    ``must_be_mended``: what it lacks nothing can be decided without, so that no person may pass it.
    ``across_night``: compares claims of the night, so it runs when the line edits have spoken.
    """

    name: str
    find: Find
    disposition: Disposition
    cites: Citation
    group_code: str | None = None
    carc: str | None = None
    rarc: str | None = None
    pend_code: str | None = None
    other_codes: tuple[tuple[str, str], ...] = ()
    judgement: bool = False
    across_night: bool = False
    must_be_mended: bool = False

    def __call__(self, batch: Batch, reference: Reference) -> pl.LazyFrame:
        return self.find(batch, reference)


def edit(
    *,
    disposition: Disposition,
    cites: Citation,
    group_code: str | None = None,
    carc: str | None = None,
    rarc: str | None = None,
    pend_code: str | None = None,
    other_codes: tuple[tuple[str, str], ...] = (),
    judgement: bool = False,
    across_night: bool = False,
    must_be_mended: bool = False,
) -> Callable[[Find], Edit]:
    """Attaches the facts to the function; the tuple EDITS is what puts an edit to work."""

    def attach(find: Find) -> Edit:
        return Edit(
            find.__name__, find, disposition, cites, group_code, carc, rarc, pend_code,
            other_codes, judgement, across_night, must_be_mended,
        )  # fmt: skip

    return attach
