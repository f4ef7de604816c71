"""Reversals between store and files: what a night's corrections may correct, the 835's CLP of
what is reversed, and the later claims that a reversal touches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import polars as pl
from sqlalchemy import Connection

from adjudicator import store
from adjudicator.again import read_whole
from adjudicator.corrections import FINAL, LATE_CHARGES, VOID, correcting, named_number
from adjudicator.disputes import carried_over, to_carry_out
from adjudicator.edits.observation import PAID_BEFORE
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from adjudicator.remittance import Remittance, remit
from adjudicator.store.snapshot import OPEN_CLAIMS
from schemas import frames

REVERSED = "22"  # CLP02
REVIEWED = "N688"  # RARC of what our own review takes back [j]
REVIEW = {"claim_number": pl.String, "because_of": pl.String, "claim_id": pl.Int64}


def with_versions(connection: Connection, batch: Batch, waiting: pl.DataFrame) -> Batch:
    """The batch of a night with what its corrections may correct, and what that took from the
    counters; the same batch where there are none.

    ``waiting``: claims of earlier nights (OPEN_CLAIMS). The batch has its ``found_members``.
    """
    reopened = waiting.filter(pl.col("reopened_code").is_not_null())
    if reopened.height:
        batch = batch.with_(
            reopened=reopened.select(
                "claim_id", "predecessor_claim_id", remark_code="reopened_code"
            ),
            overrides=_with_earlier_waivers(connection, batch.overrides, reopened["claim_id"]),
        )
    found = correcting(batch)
    if found.is_empty():
        return batch
    numbers = [n for n in map(named_number, found["original_claim_number"]) if n]
    unnamed = batch.claims.hstack(batch.found_members.select("member_id")).filter(
        (pl.col("frequency_code") == LATE_CHARGES) & pl.col("original_claim_number").is_null()
    )
    versions = store.versions(
        connection,
        store.numbers_meant(connection, numbers),
        batch.reopened["predecessor_claim_id"],
        unnamed["member_id"].drop_nulls().unique(),
    )
    final = versions.filter(pl.col("disposition").is_in(FINAL))["claim_id"]
    batch = batch.with_(versions=versions, **store.taken(connection, final))
    if (found["frequency_code"] == LATE_CHARGES).any():
        paid = versions.filter(disposition="paid")["claim_id"]
        batch = batch.with_(taken_copays=store.taken_copays(connection, paid))
    return batch


def _with_earlier_waivers(
    connection: Connection, overrides: pl.DataFrame, reopened: pl.Series
) -> pl.DataFrame:
    """The overrides with the edits waived on earlier versions of these claims; whatever else was
    decided of those is asked again."""
    earlier = store.earlier_versions(connection, reopened)
    before = store.overrides(connection, earlier["predecessor_claim_id"]).filter(act="waived")
    if before.is_empty():
        return overrides
    return pl.concat([overrides, carried_over(before, earlier)]).sort("override_number")


def observations_to_reverse(connection: Connection) -> pl.Series:
    """The observations paid before whose admission of the same day waits for their reversal, in
    claim order; none where a person has decided the edit, or the pend, of either."""
    waiting = store.pended_by(connection, "observation", "REVIEW").select(
        "claim_id",
        because=pl.col("inputs").str.json_path_match("$.because"),
        claim_number=pl.col("inputs").str.json_path_match("$.other_claim"),
    )
    waiting = waiting.filter(because=PAID_BEFORE).unique()
    if waiting.is_empty():
        return waiting["claim_id"]
    numbers = waiting["claim_number"].unique().sort()
    # the very version that was paid: of what took its place the edit tells anew
    paid = store.versions(connection, numbers, (), ()).filter(
        pl.col("claim_number").is_in(numbers.implode()) & (pl.col("disposition") == "paid")
    )
    pairs = waiting.join(paid.select("claim_number", of_claim_id="claim_id"), on="claim_number")
    both = pl.concat([pairs["claim_id"], pairs["of_claim_id"]]).unique().sort()
    decided = _with_earlier_waivers(connection, store.overrides(connection, both), both).filter(
        (pl.col("edit") == "observation") | (pl.col("pend_code") == "REVIEW")
    )["claim_id"]
    return (
        pairs.filter(
            ~pl.any_horizontal(pl.col("claim_id", "of_claim_id").is_in(decided.implode()))
        )["of_claim_id"]
        .unique()
        .sort()
    )


def carry_out_disputes(
    connection: Connection, run_id: int, batch: Batch, reference: Reference
) -> None:
    """Tells of the overturned disputes whose claims the night decided anew, or that a provider's
    void took away, that they are carried out."""
    by = batch.reversals["claim_id"]
    if not len(by):
        return
    ours = pl.concat(
        [
            batch.reopened["claim_id"],
            batch.corrections.filter(frequency_code=VOID)["claim_id"],
        ]
    )
    by = by.filter(by.is_in(ours.implode()))
    due = to_carry_out(
        store.disputes(connection), store.dispute_events(connection),
        store.waived_edits(connection),
    )  # fmt: skip
    if by.is_empty() or due.is_empty():
        return
    decided = pl.concat(
        [
            store.earlier_versions(connection, by)["predecessor_claim_id"],
            batch.reversals["of_claim_id"],
        ]
    )
    done = due.filter(pl.col("claim_id").is_in(decided.implode()))["dispute_number"]
    store.carry_out_disputes(connection, run_id, list(done), reference.business_date)


def reversed_claims(
    connection: Connection, batch: Batch, own_names: Collection[str] = ()
) -> Batch | None:
    """The claims that the night reverses, as they were sent and as they were decided; None where
    there is none. Claims are read again for their names alone."""
    return None if batch.reversals.is_empty() else _originals(connection, batch, own_names)


def with_reversals(
    remittance: Remittance, batch: Batch, originals: Batch | None, reference: Reference,
    payments: pl.DataFrame,
) -> Remittance:  # fmt: skip
    """The remittance with the reversals of these payments, each just before what takes its place.

    Charge, payment and every adjustment are what the original's decision stored and its 835
    told, negated, at the same level; its numbers are the original's. Units stay as they were [j].
    """
    if originals is None:
        return remittance
    told = batch.reversals.select("remark_code", claim_id="of_claim_id", by_claim_id="claim_id")
    back = remit(originals, reference, payments)
    reverse = {"reversal_code": pl.lit("Y")}
    claims = back.claims.join(told, on="claim_id", maintain_order="left").with_columns(
        **reverse,
        status_code=pl.lit(REVERSED),
        remark_codes="remark_code",
        **_negated("charge_amount", "paid_amount", "member_amount"),
    )
    lines = back.lines.with_columns(
        **reverse, **_negated("charge_amount", "paid_amount", "allowed_amount")
    )
    adjustments = back.adjustments.with_columns(**reverse, **_negated("adjustment_amount"))
    columns = remittance.claims.columns
    whole = pl.concat(
        [
            remittance.claims.with_columns(by_claim_id="claim_id"),
            claims.select(*columns, "by_claim_id"),
        ]
    ).sort("payment_id", "by_claim_id", pl.col("reversal_code") == "N", "claim_id")
    return replace(
        remittance,
        claims=whole.drop("by_claim_id"),
        lines=pl.concat([remittance.lines, lines.select(remittance.lines.columns)]),
        adjustments=pl.concat(
            [remittance.adjustments, adjustments.select(remittance.adjustments.columns)]
        ),
    )


def _negated(*names: str) -> dict[str, pl.Expr]:
    return {name: -pl.col(name) for name in names}


def _originals(connection: Connection, batch: Batch, own_names: Collection[str]) -> Batch:
    """The reversed claims as a batch: as they were sent, and as they were decided."""
    ids = batch.reversals["of_claim_id"]
    stored = store.claims_of(
        connection, ids,
        {**OPEN_CLAIMS, "payee_id": pl.String, "program_code": pl.String,
         "member_id": pl.String, "allowed_amount": pl.Int64, "member_amount": pl.Int64,
         "paid_amount": pl.Int64},
    )  # fmt: skip
    whole = read_whole(connection, stored, own_names)
    del whole["lines"]
    claims = whole.pop("claims").join(
        stored.select("claim_id", "payee_id", "program_code"), on="claim_id", maintain_order="left"
    )
    lines = store.decided(connection, "lines", ids)
    adjustments = store.adjustments_of(connection, ids)
    owed = (
        adjustments.filter(group_code="PR")
        .group_by("claim_id")
        .agg(member_amount=pl.col("adjustment_amount").sum())
    )
    return Batch(
        claims=claims.with_columns(member_match_code=pl.lit("found")),
        lines=lines,
        adjustments=adjustments,
        decisions=stored.select(
            "claim_id", "charge_amount", "allowed_amount", "paid_amount",
            disposition=pl.lit("paid"), pend_codes=pl.lit(None, pl.String),
        )
        .join(owed, on="claim_id", how="left", maintain_order="left")
        .with_columns(pl.col("member_amount").fill_null(0))
        .select(frames.DecidedClaims.column_names())
        .sort("claim_id"),
        **whole,
    )  # fmt: skip


def review(connection: Connection, batch: Batch) -> pl.DataFrame:
    """Claims paid before that tonight's reversals touch and leave as they are (REVIEW): counted
    after the reversed one on the same counter of the same benefit year, referral or authorization,
    before the counters were given back. By claim and number."""
    if batch.reversals.is_empty():
        return pl.DataFrame(schema=REVIEW)
    own = pl.concat([batch.versions["claim_id"], batch.claims["claim_id"]]).unique()
    return (
        store.counted_after(connection, batch.reversals["of_claim_id"])
        .filter(~pl.col("claim_id").is_in(own.implode()))
        .unique(["claim_id", "because_of"])
        .sort("claim_id", "because_of")
        .select(list(REVIEW))
    )
