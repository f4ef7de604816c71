"""Settle: adjustments, what is paid, and the fate of every line and claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from adjudicator.corrections import carried_out, unjudged
from adjudicator.fate import DENIAL, LINE, LINE_KEY, fates
from adjudicator.stages.price import CAPITATED, PACKAGED
from schemas import frames

if TYPE_CHECKING:
    from adjudicator.pipeline import Batch
    from adjudicator.reference import Reference

SHARES = ["deductible_amount", "coinsurance_amount", "copay_amount"]

# The CAS of a line in the order it is written: what it is, its group, CARC and reason. What other
# payers did stands first; the denial takes a denied line's rest, the others are a paid line's.
CAS = [
    ("other_payer_amount", "OA", "23", "other_payer"),
    ("denied_amount", None, None, None),
    ("contractual_amount", "CO", "45", "price"),
    ("balance_amount", "PR", "45", "above_usual_charge"),
    ("above_charge_amount", "OA", "94", "price"),
    ("deductible_amount", "PR", "1", "deductible"),
    ("coinsurance_amount", "PR", "2", "coinsurance"),
    ("copay_amount", "PR", "3", "copay"),
    ("uncollectable_amount", "OA", "209", "uncollectable"),
    ("packaged_amount", "CO", "97", "packaged"),
    ("prepaid_amount", "CO", "24", "prepaid"),
]
MAXIMUM_MET = "N549"  # an alert, so that it stands beside any adjustment
PACKAGED_LINE = (pl.col("pricing_method_code") == PACKAGED).fill_null(value=False)
PREPAID_LINE = (pl.col("pricing_method_code") == CAPITATED).fill_null(value=False)


class OutOfBalanceError(AssertionError):
    """A promise of the settlement is broken; the message names the claims and nothing else."""


def settle(batch: Batch, reference: Reference) -> Batch:
    """SharedLines → DecidedLines, with Adjustments and one DecidedClaims row a claim; cents.

    A denied line's whole charge goes to its first denier's group, CARC and RARC. A paid line:
    CO-45 from charge down to allowed (PR-45 where nothing is contracted and the program leaves
    the balance to the member, 000:219; it counts to no limit), or OA-94 negative up to it; then
    PR-1, PR-2, PR-3. A packaged line is CO-97 whole, the other lines of its claim pay for it; a
    capitated one PR-3 and CO-24 for all the rest [j], paid nothing (001:2163-2164). A line with
    which the member's out-of-pocket maximum is met says so on its last adjustment (N549).
    Of a line that payers before us decided (*coordinate*): OA-23 first; then what we pay and the
    member owes beside them, CO-45 or PR-45 the rest; a denial takes what OA-23 leaves of it.
    The share of a member who owes none by status (QMB, 001:3409-3413) is OA-209, of the same
    amount. A pended claim has no adjustments and its lines, whatever denies them, wait with it at 0
    paid. Lines of rejected claims leave here: they were never adjudicated. Then corrections are
    carried out: voids, what they and replacements take the place of, and ``reversals``.
    A claim's allowed amount counts its paid lines, its member amount every PR adjustment.
    Raises OutOfBalanceError, naming the claims, where a sum, sign or counter is not as promised.
    """
    batch = unjudged(batch)
    fate = fates(batch)
    adjudicated = fate.lines["line_disposition"] != "rejected"
    lines = batch.lines.select(
        *LINE,
        "plan_code",
        pl.coalesce("share_network_code", "network_code").alias("network_code"),
        "decision_date",
        "charge_amount",
        "pricing_method_code",
        "maximum_met",
        *SHARES,
        pl.when(fate.lines["line_disposition"] != "denied")
        .then("allowed_amount")
        .alias("allowed_amount"),
        (pl.col("contract_id").is_null() & _of_balancing_program(batch, reference)).alias(
            "member_owes_balance"
        ),
        uncollectable=_uncollectable(batch, reference),
    ).hstack(
        fate.lines.select("line_disposition", *(pl.col(c).name.prefix("denial_") for c in DENIAL))
    )
    lines = _beside_others(lines.filter(adjudicated), batch.coordinated)
    adjustments = _adjustments(lines)
    adjusted = adjustments.group_by(LINE_KEY).agg(pl.col("adjustment_amount").sum())
    lines = (
        lines.with_columns(LINE_KEY)
        .join(adjusted, on="line_key", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("line_disposition") == "pended")
            .then(0)
            .otherwise(pl.col("charge_amount") - pl.col("adjustment_amount").fill_null(0))
            .alias("paid_amount")
        )
    )
    decisions = decided_claims(
        fate.claims.hstack(batch.claims.select("charge_amount")), lines, adjustments
    )
    _assert_balance(batch, lines, adjustments, decisions)
    kept = batch.lines if adjudicated.all() else batch.lines.filter(adjudicated)
    return carried_out(
        batch.with_(
            lines=kept.with_columns(
                lines.select(
                    "allowed_amount", "paid_amount", "line_disposition", "coordination_inputs"
                )
            ),
            adjustments=adjustments,
            decisions=decisions,
        )
    )


def _beside_others(lines: pl.DataFrame, coordinated: pl.DataFrame) -> pl.DataFrame:
    """The lines with what they come to beside other payers: ``other_payer_amount``, the shares
    that the member owes in place of those alone, ``due_amount`` to be paid; and what of the
    shares the counters count, ``counted_deductible_amount`` and ``counted_amount``."""
    share = pl.sum_horizontal(SHARES)
    due = pl.when(PREPAID_LINE).then(0).otherwise(pl.col("allowed_amount") - share)
    alone = lines.with_columns(
        due_amount=due, counted_deductible_amount="deductible_amount", counted_amount=share
    )
    if coordinated.is_empty():
        return alone.with_columns(
            other_payer_amount=pl.lit(0, dtype=pl.Int64),
            coordination_inputs=pl.lit(None, dtype=pl.String),
        )
    beside = alone.join(
        coordinated.rename({"paid_amount": "beside_due_amount"}).rename(
            {name: f"beside_{name}" for name in SHARES}
        ),
        on=LINE,
        how="left",
        maintain_order="left",
    ).with_columns(
        pl.col("other_payer_amount").fill_null(0),
        *(pl.coalesce(f"beside_{name}", name).alias(name) for name in (*SHARES, "due_amount")),
        maximum_met=pl.col("maximum_met") & pl.col("share_stands").fill_null(value=True),
    )
    owed = pl.col("counts_owed").fill_null(value=False)
    return beside.with_columns(
        counted_deductible_amount=pl.when(owed)
        .then("deductible_amount")
        .otherwise("counted_deductible_amount"),
        counted_amount=pl.when(owed).then(share).otherwise("counted_amount"),
    )


def _uncollectable(batch: Batch, reference: Reference) -> pl.Series:
    """Whether the line's member has, on its day, a status in which no cost share is owed."""
    rows = [
        (code, status)
        for code, program in sorted(reference.programs.items())
        for status in program.uncollectable_statuses
    ]
    statuses = reference.tables["special_statuses"].filter(
        pl.col("status_code").is_in([status for _, status in rows])
    )
    if statuses.is_empty():
        return pl.repeat(False, batch.lines.height, eager=True)
    of_program = pl.DataFrame(
        rows, schema={"program_code": pl.String, "status_code": pl.String}, orient="row"
    )
    members = (
        batch.claims.select("claim_id", "member_id", "program_code")
        .join(of_program, on="program_code")
        .join(statuses, on=["member_id", "status_code"])
    )
    held = (
        batch.lines.select(*LINE, "decision_date")
        .join(members, on="claim_id")
        .filter(
            (pl.col("start_date") <= pl.col("decision_date"))
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("decision_date")))
        )
        .select(*LINE, uncollectable=True)
        .unique()
    )
    return (
        batch.lines.select(LINE)
        .join(held, on=LINE, how="left", maintain_order="left")["uncollectable"]
        .fill_null(value=False)
    )


def _of_balancing_program(batch: Batch, reference: Reference) -> pl.Series:
    """Whether a line's program leaves the member what is charged above an uncontracted price."""
    leaves = [
        c for c, p in reference.programs.items() if p.out_of_network.balance_group_code == "PR"
    ]
    programs = batch.lines.select("claim_id").join(
        batch.claims.select("claim_id", "program_code").unique("claim_id"),
        on="claim_id",
        how="left",
        maintain_order="left",
    )
    return programs["program_code"].is_in(leaves).fill_null(value=False)


def _adjustments(lines: pl.DataFrame) -> pl.DataFrame:
    """Every CAS of the lines that are not pended; nothing where it would be 0."""
    paid = pl.col("line_disposition") == "paid"
    packaged, prepaid = paid & PACKAGED_LINE, paid & PREPAID_LINE
    priced = paid & ~packaged & ~prepaid
    charge = pl.col("charge_amount") - pl.col("other_payer_amount")
    share = pl.sum_horizontal(SHARES)
    over = charge - share - pl.col("due_amount")
    member = paid & ~pl.col("uncollectable")
    balance = pl.col("member_owes_balance")
    amounts = lines.filter(pl.col("line_disposition") != "pended").select(
        *LINE,
        "^denial_.*$",
        "other_payer_amount",
        pl.when(~paid).then(charge).alias("denied_amount"),
        pl.when(priced & (over > 0) & ~balance).then(over).alias("contractual_amount"),
        pl.when(priced & (over > 0) & balance).then(over).alias("balance_amount"),
        pl.when(priced & (over < 0)).then(over).alias("above_charge_amount"),
        *(pl.when(member).then(name).alias(name) for name in SHARES),
        pl.when(paid & pl.col("uncollectable")).then(share).alias("uncollectable_amount"),
        pl.when(packaged).then(charge).alias("packaged_amount"),
        pl.when(prepaid).then(charge - share).alias("prepaid_amount"),
        (paid & pl.col("maximum_met").fill_null(value=False)).alias("maximum_met"),
    )
    if not amounts.select(LINE_KEY).to_series().is_sorted():  # mostly they stand in order
        amounts = amounts.sort(LINE)
    rows = [
        amounts.lazy()
        .with_row_index("row")
        .filter(pl.col(amount) != 0)
        .select(
            *LINE,
            (pl.col("row").cast(pl.Int64) * len(CAS) + place).alias("place"),
            (pl.lit(group) if group else pl.col("denial_group_code")).alias("group_code"),
            (pl.lit(carc) if carc else pl.col("denial_carc")).alias("carc"),
            (pl.lit(None, pl.String) if carc else pl.col("denial_rarc")).alias("rarc"),
            pl.col(amount).alias("adjustment_amount"),
            (pl.lit(reason) if reason else pl.col("denial_edit")).alias("reason"),
            "maximum_met",
        )
        for place, (amount, group, carc, reason) in enumerate(CAS)
    ]
    schema = frames.empty(frames.Adjustments).schema
    return (
        pl.concat(rows)
        .sort("place")
        .with_columns(at=pl.int_range(pl.len()), line=pl.col("place") // len(CAS))
        .with_columns(
            # a line's rows stand together: count from where its first one stands
            sequence_number=pl.col("at")
            - pl.when(pl.col("line") != pl.col("line").shift(fill_value=-1))
            .then("at")
            .forward_fill()
            + 1,
            rarc=pl.when(
                pl.col("maximum_met") & (pl.col("line") != pl.col("line").shift(-1, fill_value=-1))
            )
            .then(pl.lit(MAXIMUM_MET))
            .otherwise("rarc"),
        )
        .select(schema.names())
        .cast(schema)
        .collect()
    )


def decided_claims(
    claims: pl.DataFrame, lines: pl.DataFrame, adjustments: pl.DataFrame
) -> pl.DataFrame:
    """One DecidedClaims row a claim, by claim_id: its sums, in cents. ``claims``: claim_id,
    disposition, pend_codes, charge_amount."""
    schema = frames.empty(frames.DecidedClaims).schema
    of_lines = lines.group_by("claim_id").agg(
        pl.col("allowed_amount").filter(line_disposition="paid").sum(),
        pl.col("paid_amount").sum(),
    )
    of_member = (
        adjustments.filter(group_code="PR")
        .group_by("claim_id")
        .agg(pl.col("adjustment_amount").sum().alias("member_amount"))
    )
    return (
        claims.join(of_lines, on="claim_id", how="left")
        .join(of_member, on="claim_id", how="left")
        .with_columns(
            pl.col("charge_amount", "allowed_amount", "member_amount", "paid_amount").fill_null(0)
        )
        .select(schema.names())
        .sort("claim_id")
        .cast(schema)
    )


def _assert_balance(
    batch: Batch, lines: pl.DataFrame, adjustments: pl.DataFrame, decisions: pl.DataFrame
) -> None:
    """The promises of SAFETY's first invariants that this stage can see, before anyone pays."""
    claims = batch.claims.select("claim_id")
    keys = batch.lines.select(LINE)
    named = batch.findings.filter(pl.col("line_number").is_not_null()).select(LINE)
    _none(claims.filter(claims["claim_id"].is_duplicated()), "claim is here twice")
    _none(keys.filter(keys.is_duplicated()), "line is here twice")
    _none(keys.join(claims, on="claim_id", how="anti"), "line has no claim")
    _none(named.join(keys, on=LINE, how="anti"), "finding names no line of its claim")

    share, charge = pl.sum_horizontal(SHARES), pl.col("charge_amount")
    fate = pl.col("line_disposition")
    paid = fate == "paid"
    broken = {
        "allowed less the member's share is not what is paid": paid
        & ~PREPAID_LINE
        & pl.col("due_amount").ne_missing(pl.col("paid_amount")),
        "prepaid line is paid": PREPAID_LINE & pl.col("paid_amount").ne_missing(0),
        "less than nothing is adjusted as prepaid": PREPAID_LINE
        & (share > charge - pl.col("other_payer_amount")),
        "other payers' effect is none": ~pl.col("other_payer_amount").is_between(0, charge),
        "CARC 45 would take the whole charge": paid
        & ~PACKAGED_LINE
        & ~PREPAID_LINE
        & (pl.col("other_payer_amount") + share + pl.col("due_amount") == 0)
        & (charge > 0),
        "denied line is paid": (fate == "denied") & pl.col("paid_amount").ne_missing(0),
        "less than nothing is paid": pl.col("paid_amount").is_null() | (pl.col("paid_amount") < 0),
        "share is below nothing": pl.any_horizontal(pl.col(SHARES) < 0),
        "line that is not paid has a member's share": ~paid & (share != 0),
    }
    found = lines.select(test.any().alias(what) for what, test in broken.items()).row(0, named=True)
    for what, test in broken.items():
        if found[what]:
            _none(lines.filter(test), what)
    _none(
        adjustments.filter(pl.col("group_code").is_null() | pl.col("carc").is_null()),
        "denial without group code or CARC",
    )

    decided = decisions.filter(pl.col("disposition").is_in(["paid", "denied"]))
    of_lines = lines.group_by("claim_id").agg(charged=pl.col("charge_amount").sum())
    adjusted = adjustments.group_by("claim_id").agg(adjusted=pl.col("adjustment_amount").sum())
    sums = decided.join(of_lines, on="claim_id", how="left").join(
        adjusted, on="claim_id", how="left"
    )
    _none(
        sums.filter(charge != pl.col("charged").fill_null(0)),
        "charge of the claim is not the sum of its lines'",
    )
    _none(
        sums.filter(charge - pl.col("adjusted").fill_null(0) != pl.col("paid_amount")),
        "charge less adjustments is not what is paid",
    )
    _none(adjustments.join(decided, on="claim_id", how="anti"), "undecided claim is adjusted")

    # counted must be owed and owed counted, by the counter it went to
    counter = ["claim_id", "plan_code", "network_code", "benefit_year_start_date"]
    owed = lines.filter(pl.col("counted_amount") != 0).select(
        "claim_id",
        "plan_code",
        "network_code",
        pl.col("decision_date").dt.truncate("1y").alias("benefit_year_start_date"),
        deductible_amount="counted_deductible_amount",
        out_of_pocket_amount="counted_amount",
    )
    entries = batch.accumulator_entries.select(
        *counter, -pl.col("deductible_amount"), -pl.col("out_of_pocket_amount")
    )
    _none(
        pl.concat([owed, entries])
        .group_by(counter)
        .agg(pl.col("deductible_amount").sum(), pl.col("out_of_pocket_amount").sum())
        .filter((pl.col("deductible_amount") != 0) | (pl.col("out_of_pocket_amount") != 0)),
        "accumulators did not count what the member owes",
    )


def _none(broken: pl.DataFrame, what: str) -> None:
    if broken.height:
        claims = broken["claim_id"].unique().sort().head(10).to_list()
        raise OutOfBalanceError(f"{what}: claims {claims}")
