"""What waives a member's share: an admission after an emergency, a household that complies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from adjudicator.corrections import history_beside
from adjudicator.edits.stays import ROOM_AND_BOARD
from adjudicator.fate import LINE, Fates
from adjudicator.reference import Reference, as_of
from adjudicator.stages.price import DAY_OF_STAY

if TYPE_CHECKING:
    from adjudicator.pipeline import Batch


def admitted(batch: Batch, lines: pl.DataFrame, fate: Fates) -> pl.Series:
    """Whether each line's copay ends with an admission (000:121) and the member was admitted.

    That is: a room and board line of the member, begun on the line's day or the next, that is
    paid or waits, tonight or in history [j]. What is admitted in a later night's claims is not
    known yet.
    """
    asked = pl.col("ends_if_admitted").fill_null(value=False)
    if not lines.select(asked.any()).item():
        return pl.repeat(value=False, n=lines.height, eager=True).alias("admitted")
    day = ["member_id", "decision_date"]
    stays = pl.concat(
        [
            lines.select(*LINE, *day)
            .join(batch.lines.filter(DAY_OF_STAY).select(LINE), on=LINE, how="semi")
            .join(
                fate.lines.filter(pl.col("line_disposition").is_in(["paid", "pended"])),
                on=LINE,
                how="semi",
            )
            .select(day),
            # of a line without a procedure it is the revenue code
            history_beside(batch)
            .filter(
                (pl.col("procedure_code") >= ROOM_AND_BOARD[0])
                & (pl.col("procedure_code") <= ROOM_AND_BOARD[1])
                & (pl.col("procedure_code").str.len_bytes() == len(ROOM_AND_BOARD[0]))
            )
            .select("member_id", decision_date="service_from_date"),
        ]
    )
    eve = stays.with_columns(pl.col("decision_date").dt.offset_by("-1d"))
    found = (
        lines.filter(asked).select(*LINE, *day).join(pl.concat([stays, eve]), on=day, how="semi")
    )
    return (
        lines.select(LINE)
        .join(
            found.select(*LINE, admitted=pl.lit(value=True)),
            on=LINE,
            how="left",
            maintain_order="left",
        )["admitted"]
        .fill_null(value=False)
    )


def noncompliant(lines: pl.DataFrame, reference: Reference) -> pl.Series:
    """Whether each line's household is known, on its day, not to comply with its health programme.

    A household of which nothing is said complies (000:20-21): the programme comes with the plan
    [j].
    """
    table = reference.tables["household_statuses"]
    if table.is_empty():
        return pl.repeat(value=False, n=lines.height, eager=True).alias("noncompliant")
    statuses = as_of(
        lines.select("family_id", "decision_date"), table, on="decision_date", by=["family_id"]
    )
    return (
        (statuses["compliance_code"] == "noncompliant").fill_null(value=False).alias("noncompliant")
    )
