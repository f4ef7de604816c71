"""Days of a member in a facility: inpatient stays, and observation or other outpatient ones.

Of tonight from the claims themselves; of history, which knows a line by its procedure or, where
it has none, its revenue code, from room and board, and from the codes of observation.
"""

from __future__ import annotations

import polars as pl

from adjudicator.corrections import CORRECTIONS, REOPENED, history_beside
from adjudicator.fate import fates
from adjudicator.pipeline import Batch

# revenue codes (NUBC)
ROOM_AND_BOARD = ("0100", "0219")
# facility_number: the NPI that billed; standing: paid, pended, or null of tonight
STAY = ["claim_id", "claim_number", "member_id", "facility_number", "first_date", "last_date",
        "standing"]  # fmt: skip


def inpatient_stays(batch: Batch, bill_types: tuple[str, ...]) -> pl.DataFrame:
    """STAY of each admission, of tonight and of history; not of claims that correct another."""
    tonight = _claims(batch, bill_types).select(
        "claim_id", "claim_number", "member_id", facility_number="billing_npi",
        first_date=pl.coalesce("admission_date", "statement_from_date"),
        last_date=pl.coalesce("statement_through_date", "admission_date"),
        standing=pl.lit(None, pl.String),
    )  # fmt: skip
    code = pl.col("procedure_code")
    room = (code.str.len_bytes() == len(ROOM_AND_BOARD[0])) & code.is_between(
        pl.lit(ROOM_AND_BOARD[0]), pl.lit(ROOM_AND_BOARD[1])
    )
    return pl.concat([tonight, _of_history(_earlier(batch).filter(room))])


def outpatient_stays(
    batch: Batch,
    bill_types: tuple[str, ...],
    revenue_codes: tuple[str, ...],
    procedures: tuple[str, ...],
) -> pl.DataFrame:
    """STAY of each claim with one of those codes, from its first such line to its last day."""
    of_kind = pl.col("revenue_code").is_in(revenue_codes) | pl.col("procedure_code").is_in(
        procedures
    )
    lines = batch.lines.filter(of_kind.fill_null(value=False)).select(
        "claim_id", "decision_date", "service_through_date"
    )
    tonight = (
        lines.group_by("claim_id")
        .agg(
            pl.col("decision_date").min().alias("first_date"),
            pl.max_horizontal("decision_date", "service_through_date").max().alias("_last"),
        )
        .join(_claims(batch, bill_types), on="claim_id")
        .select(
            "claim_id", "claim_number", "member_id", "first_date",
            facility_number="billing_npi",
            last_date=pl.max_horizontal("_last", "statement_through_date"),
            standing=pl.lit(None, pl.String),
        )
    )  # fmt: skip
    codes = [*revenue_codes, *procedures]
    earlier = _earlier(batch).filter(pl.col("procedure_code").is_in(codes))
    return pl.concat([tonight.select(STAY), _of_history(earlier)])


def _claims(batch: Batch, bill_types: tuple[str, ...]) -> pl.DataFrame:
    return batch.claims.filter(
        (pl.col("claim_type_code") == "I")
        & pl.col("facility_code").is_in(bill_types)
        & pl.col("member_id").is_not_null()
        & ~pl.col("frequency_code").is_in(CORRECTIONS, nulls_equal=True)
    )


def _earlier(batch: Batch) -> pl.DataFrame:
    return history_beside(batch, (REOPENED,))


def _of_history(lines: pl.DataFrame) -> pl.DataFrame:
    return (
        lines.filter(pl.col("claim_type_code") == "I")
        .group_by("claim_id", "claim_number", "member_id", "claim_provider_number")
        .agg(
            pl.col("service_from_date").min().alias("first_date"),
            pl.max_horizontal("service_from_date", "service_through_date").max().alias("last_date"),
            # a claim pends or is paid as a whole
            pl.col("line_disposition").first().alias("standing"),
        )
        .select(
            *(pl.col("claim_provider_number" if c == "facility_number" else c).alias(c)
              for c in STAY)
        )
        .sort("claim_id")
    )  # fmt: skip


def with_standing(stays: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """The stays of which something is, or will be, paid or waits, with ``standing`` of tonight
    told by the findings so far: a claim that is denied on every line is no stay."""
    tonight = stays.filter(pl.col("standing").is_null())["claim_id"].implode()
    few = pl.col("claim_id").is_in(tonight)
    found = fates(
        batch.with_(
            claims=batch.claims.filter(few),
            lines=batch.lines.filter(few),
            findings=batch.findings.filter(few),
        )
    ).claims.select("claim_id", _tonight="disposition")
    return (
        stays.join(found, on="claim_id", how="left", maintain_order="left")
        .with_columns(pl.coalesce("standing", "_tonight").alias("standing"))
        .filter(pl.col("standing").is_in(["paid", "pended"]))
        .drop("_tonight")
    )
