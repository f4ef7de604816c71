"""Coordinate: the other payers' money on top of what we would have paid alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from adjudicator.edits.coordination import coordination
from adjudicator.fate import LINE, Fates, fates
from adjudicator.money import apportion
from adjudicator.other_payers import (
    GROUP,
    PriorDecisions,
    ceiling,
    least_of,
    of_line,
    other_payers,
    prior_decisions,
)
from adjudicator.stages.price import CAPITATED
from schemas import frames

if TYPE_CHECKING:
    from adjudicator.pipeline import Batch
    from adjudicator.reference import Reference

SHARES = ["deductible_amount", "coinsurance_amount", "copay_amount"]
DUPLICATE_CARC = "18"  # the claim that it repeats tells of the other payers (RFI 2535)
# what a line's story tells of its group, as JSON
TOLD = [
    "group_charge_amount", "group_paid_amount", "group_prior_allowed_amount",
    "group_prior_share_amount", "group_left_amount", "group_allowed_amount", "group_share_amount",
    "group_payment_amount", "group_owed_amount",
]  # fmt: skip


class UncoordinatedError(AssertionError):
    """A claim with another payer came through to be paid as if we were alone."""


def coordinate(batch: Batch, reference: Reference) -> Batch:
    """Fills ``coordinated``: what we pay, and the member owes, of lines that payers before us
    decided; cents.

    Price and benefits stand as if we paid alone. We pay the least of what the provider may still
    collect, our payment alone, and the higher allowed amount less what was paid (``least_of``), or
    ours less that where the program's terms say so: by line where the other payers told by line;
    else by claim, over the lines that stand. Under a status in which Original Medicare pays first
    (001:3366-3370): the cost share it left. What then remains is the member's as far as our cost
    share goes, the rest written off. OA-23 is all of the charge that the provider may no longer
    collect (42 CFR 411.33(a); all [j]).

    A claim's sums come to its lines by largest remainders (``apportion``): our payment by what
    each would be paid alone, the member's share by its cost shares, OA-23 by what is then left
    of each charge, and before the rest a cent to a line that nothing else takes anything of.
    A denied line, unless a duplicate, has its OA-23, too; the denial takes the rest.
    Raises UncoordinatedError, naming the claims, where one would be paid although a payer before
    us was not heard, or not to the cent.
    """
    second = batch.claims.filter(pl.col("responsibility_code").ne_missing("P"))
    if batch.other_payers.is_empty() and second.is_empty():
        return batch
    prior = prior_decisions(batch, reference)
    fate = fates(batch)
    _refuse_unheard(batch, second, other_payers(batch, reference), prior, fate)
    if prior is None or prior.lines.is_empty():
        return batch
    lines = (
        batch.lines.select(
            *LINE,
            *SHARES,
            "charge_amount",
            "allowed_amount",
            prepaid=pl.col("pricing_method_code").eq_missing(CAPITATED),
        )
        .hstack(fate.lines.select("line_disposition", "carc"))
        .filter(pl.col("line_disposition").is_in(["paid", "denied"]))
        .join(prior.lines, on=LINE)
        .with_columns(of_line(), share_amount=pl.sum_horizontal(SHARES))
        .sort(LINE)
    )
    paid = _paid(lines.filter(line_disposition="paid"))
    denied = lines.filter(
        (pl.col("line_disposition") == "denied") & (pl.col("carc") != DUPLICATE_CARC)
    ).select(
        *LINE,
        other_payer_amount=pl.col("charge_amount") - pl.col("left_amount"),
        **dict.fromkeys(SHARES, pl.lit(0, dtype=pl.Int64)),
        paid_amount=pl.lit(0, dtype=pl.Int64),
        counts_owed=pl.lit(value=True),
        share_stands=pl.lit(value=False),
        coordination_inputs=pl.struct("by_line").struct.json_encode(),
    )
    schema = frames.empty(frames.CoordinatedLines).schema
    return batch.with_(
        coordinated=pl.concat([paid, denied]).sort(LINE).select(schema.names()).cast(schema)
    )


def _refuse_unheard(
    batch: Batch,
    second: pl.DataFrame,
    others: pl.DataFrame,
    prior: PriorDecisions | None,
    fate: Fates,
) -> None:
    """No claim is paid whose payers before us have not been heard, or not to the cent.

    Auto insurers and workers' compensation may be silent where their benefits are used up; and a
    person who has ended the pend of ``coordination`` has said that we pay as if alone.
    """
    released = batch.findings.filter(
        (pl.col("edit") == coordination.name) & (pl.col("disposition") == "inform")
    )
    heard = prior.lines["claim_id"].unique() if prior else pl.Series([], dtype=pl.Int64)
    before = others.filter(pl.col("before").fill_null(value=True))
    health = before.filter(pl.col("decided") | pl.col("kind").is_in(["health", "medicare"]))
    unheard = pl.concat(
        [
            health.filter(~(pl.col("decided") & pl.col("claim_id").is_in(heard.implode()))).select(
                "claim_id"
            ),
            second.join(before, on="claim_id", how="anti").select("claim_id"),
        ]
    )
    loose = (
        fate.claims.filter(disposition="paid")
        .join(unheard, on="claim_id", how="semi")
        .join(released, on="claim_id", how="anti")
    )
    if loose.height:
        raise UncoordinatedError(
            "claims with a payer before us that was not heard must be denied or pend COB: "
            f"{loose['claim_id'].sort().head(10).to_list()}"
        )


def _paid(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines that stand, group by group."""
    alone = pl.when("prepaid").then(0).otherwise(pl.col("allowed_amount") - pl.col("share_amount"))
    sums = {
        "group_charge_amount": "charge_amount",
        "group_paid_amount": "prior_paid_amount",
        "group_prior_allowed_amount": "prior_allowed_amount",
        "group_prior_share_amount": "prior_share_amount",
        "group_left_amount": "left_amount",
        "group_allowed_amount": "allowed_amount",
        "group_alone_amount": "alone_amount",
        "group_share_amount": "share_amount",
        "group_ceiling_amount": "ceiling_amount",
    }
    left, payment = pl.col("group_left_amount"), pl.col("group_payment_amount")
    lines = (
        lines.with_columns(alone_amount=alone, ceiling_amount=ceiling())
        .with_columns(pl.col(column).sum().over(GROUP).alias(name) for name, column in sums.items())
        .with_columns(
            group_payment_amount=pl.when(pl.col("cost_share_only") & ~pl.col("prepaid"))
            .then(pl.min_horizontal(left, "group_prior_share_amount"))
            .otherwise(
                least_of(
                    left,
                    pl.col("group_charge_amount"),
                    pl.col("group_paid_amount"),
                    pl.col("group_alone_amount"),
                    pl.col("group_allowed_amount"),
                    pl.col("group_ceiling_amount"),
                )
            )
        )
        .with_columns(
            group_owed_amount=pl.when("cost_share_only")
            .then(0)
            .otherwise(pl.min_horizontal(left - payment, "group_share_amount")),
            # what Medicare left has nothing to do with our own prices
            payment_weight=pl.when("cost_share_only").then("left_amount").otherwise("alone_amount"),
        )
    )
    lines = apportion(lines, "group_payment_amount", "payment_weight", GROUP, "paid_amount")
    lines = apportion(lines, "group_owed_amount", "share_amount", GROUP, "owed_amount")
    # CARC 45 may not take a whole charge: a line that else nothing takes of gets a cent first
    rest = pl.max_horizontal(
        pl.col("charge_amount") - pl.col("paid_amount") - pl.col("owed_amount"),
        pl.lit(0, dtype=pl.Int64),
    )
    untouched = (pl.col("paid_amount") == 0) & (pl.col("owed_amount") == 0)
    lines = (
        lines.with_columns(rest_amount=rest)
        .with_columns(first_amount=(untouched & (pl.col("rest_amount") > 0)).cast(pl.Int64))
        .with_columns(
            pl.when(
                pl.col("first_amount").sum().over(GROUP)
                <= pl.col("group_charge_amount") - pl.col("group_left_amount")
            )
            .then("first_amount")
            .otherwise(0)
            .alias("first_amount")
        )
        .with_columns(
            group_effect_amount=pl.col("group_charge_amount")
            - pl.col("group_left_amount")
            - pl.col("first_amount").sum().over(GROUP),
            effect_weight=pl.col("rest_amount") - pl.col("first_amount"),
        )
    )
    lines = apportion(lines, "group_effect_amount", "effect_weight", GROUP, "effect_amount")
    owed, deductible = pl.col("owed_amount"), pl.col("deductible_amount")
    coinsurance = pl.col("coinsurance_amount")
    return lines.select(
        *LINE,
        other_payer_amount=pl.col("effect_amount") + pl.col("first_amount"),
        # of what is still owed the deductible is the first part [j]
        deductible_amount=pl.min_horizontal(deductible, owed),
        coinsurance_amount=pl.min_horizontal(
            coinsurance, owed - pl.min_horizontal(deductible, owed)
        ),
        copay_amount=pl.max_horizontal(owed - deductible - coinsurance, pl.lit(0, dtype=pl.Int64)),
        paid_amount="paid_amount",
        counts_owed="counts_owed",
        share_stands=pl.col("group_owed_amount") == pl.col("group_share_amount"),
        coordination_inputs=pl.struct(
            "by_line", "cost_share_only", "own_ceiling", "prepaid", "counts_owed", *TOLD
        ).struct.json_encode(),
    )
