"""Clean claims: those that needed no investigation and no papers, and came in time (001:2029)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl
from sqlalchemy import Connection

from adjudicator.store.audit import runs_from
from adjudicator.store.dialect import wanted_keys
from adjudicator.store.rows import read_frame
from schemas import frames
from schemas.program import Program

# what of a finding tells whether its claim is clean
FINDING = {
    name: frames.empty(frames.Findings).schema[name]
    for name in ("claim_id", "edit", "edit_rank", "disposition", "pend_code")
}


def clean_claims(
    claims: pl.DataFrame, findings: pl.DataFrame, programs: Mapping[str, Program]
) -> pl.DataFrame:
    """``claim_id``, ``clean`` and ``unclean_edits`` of the claims whose program says, by the terms
    in force on the day of receipt, what a clean claim is; the others have no row.

    ``claims``: claim_id, program_code, received_date. ``findings``: of all nights (FINDING); of
    those that only inform, what a person or the last day has ended (its pend code is kept) counts
    as it was.
    """
    told = [*_told(claims, findings, programs)]
    if not told:
        return pl.DataFrame(
            schema={"claim_id": pl.Int64, "clean": pl.Boolean, "unclean_edits": pl.String}
        )
    return pl.concat(told).sort("claim_id")


def _told(
    claims: pl.DataFrame, findings: pl.DataFrame, programs: Mapping[str, Program]
) -> Iterator[pl.DataFrame]:
    for code, program in programs.items():
        for terms in program.clean_claims:
            asked = (pl.col("program_code") == code) & (pl.col("received_date") >= terms.start_date)
            if terms.end_date is not None:
                asked &= pl.col("received_date") <= terms.end_date
            of_terms = claims.filter(asked).select("claim_id")
            against = (
                findings.filter(
                    pl.col("pend_code").is_in(terms.pend_codes)
                    | (pl.col("edit").is_in(terms.edits) & (pl.col("disposition") != "inform"))
                )
                .join(of_terms, on="claim_id", how="semi")
                .sort("claim_id", "edit_rank", "edit", maintain_order=True)
                .group_by("claim_id", maintain_order=True)
                .agg(unclean_edits=pl.col("edit").unique(maintain_order=True).str.join(" "))
            )
            yield of_terms.join(against, on="claim_id", how="left").select(
                "claim_id", clean=pl.col("unclean_edits").is_null(), unclean_edits="unclean_edits"
            )


def earlier_findings(connection: Connection, claim_ids: pl.Series, run_id: int) -> pl.DataFrame:
    """FINDING of the nights decided before that run, of these claims."""
    if claim_ids.is_empty():
        return pl.DataFrame(schema=FINDING)
    since = ", ".join(map(str, runs_from(connection, run_id)))
    wanted = wanted_keys(connection, "int", claim_ids)
    names = ", ".join(f"f.{name}" for name in FINDING)
    return read_frame(
        connection,
        f"SELECT {names} FROM {wanted} AS w CROSS JOIN finding AS f WHERE f.claim_id = w.key "
        f"AND f.run_id NOT IN ({since})",
        FINDING,
    )
