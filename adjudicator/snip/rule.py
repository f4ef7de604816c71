"""What a SNIP rule is: a function that finds, and the facts of what a find means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.form import FORMATS

PAPER = tuple(FORMATS.values())
Find = Callable[[Batch, Reference], pl.DataFrame | None]


@dataclass(frozen=True)
class Rule:
    """A function that finds what X12 forbids between elements, with what its find does to a claim.

    ``find`` returns None, or a row a find: ``claim_id``, ``line_number`` (null: the whole claim)
    and ``cause``, a sentence that repeats nothing of the claim but amounts; beside them, where
    they differ from the facts here, ``element``, ``status_code``, ``rarc`` and ``disposition``
    (inform instead of reject).
    ``level`` is the SNIP type, ``element`` loop, segment and element, ``status_code`` the claim
    status on a 277CA, ``other_codes`` those of single finds, ``mend`` what its sender does.
    ``informs``: it may find what is only noted, never on an acknowledgement.
    """

    name: str
    find: Find
    level: int
    element: str
    status_code: str
    rarc: str
    source: str
    mend: str
    other_codes: tuple[str, ...] = ()
    informs: bool = False

    def __call__(self, batch: Batch, reference: Reference) -> pl.DataFrame | None:
        return self.find(batch, reference)


def rule(
    *,
    level: int,
    element: str,
    status_code: str,
    rarc: str,
    source: str,
    mend: str,
    other_codes: tuple[str, ...] = (),
    informs: bool = False,
) -> Callable[[Find], Rule]:
    """Attaches the facts to the function; the tuple RULES is what puts a rule to work."""

    def attach(find: Find) -> Rule:
        return Rule(
            find.__name__, find, level, element, status_code, rarc, source, mend, other_codes,
            informs,
        )  # fmt: skip

    return attach


def of_claims(rows: pl.DataFrame, claims: pl.Series) -> pl.DataFrame:
    """The rows of some claims. Frames stand in the order of claims, so of a few claims they are
    found without a look at all."""
    ids = claims.unique().sort()
    column = rows["claim_id"]
    if not column.is_sorted():
        return rows.filter(pl.col("claim_id").is_in(ids.implode()))
    first = column.search_sorted(ids, side="left").to_numpy().astype(np.int64)
    count = column.search_sorted(ids, side="right").to_numpy().astype(np.int64) - first
    before = np.cumsum(count) - count
    return rows[pl.Series(np.repeat(first - before, count) + np.arange(count.sum()))]
