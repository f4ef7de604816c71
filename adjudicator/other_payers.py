"""The payers before us: who they are, what they decided, and what the provider may still collect.

Pure functions of the batch, for the edits, for the count of benefits and for *coordinate*. They
look at claims with other payers alone. All rests on what the claim tells of the other payers'
decisions (837: 2320, 2330B, 2430; paper: boxes); amounts are cents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from adjudicator.fate import LINE
from adjudicator.money import apportion, apportion_int
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import CoordinationTerms, Program

PLACES = {code: place for place, code in enumerate("PSTABCDEFGH", start=1)}  # SBR01; U is none
PAYER = ["claim_id", "payer_sequence"]
# lines that are coordinated as one: a line, or all lines of a claim that stand alike
GROUP = ["claim_id", "of_line", "prepaid", "cost_share_only"]
OTHER = {
    **dict.fromkeys(PAYER, pl.Int64),
    "payer_number": pl.String,
    "payer_name": pl.String,
    "paid_amount": pl.Int64,
    "program_code": pl.String,
    "place": pl.Int64,
    "own_place": pl.Int64,
    "before": pl.Boolean,
    "kind": pl.String,
    "decided": pl.Boolean,
}
# what a claim's figures of the payers before us lack, the first that holds
PROBLEMS = (
    "no_terms", "unknown_payer", "undecided", "no_figures", "unbalanced", "earlier_missing",
    "contradictory",
)  # fmt: skip
# a line as the payers before us left it
PRIOR = {
    "claim_id": pl.Int64,
    "line_number": pl.Int64,
    "by_line": pl.Boolean,
    "line_charge_amount": pl.Int64,
    "prior_paid_amount": pl.Int64,
    "prior_allowed_amount": pl.Int64,
    "prior_share_amount": pl.Int64,
    "left_amount": pl.Int64,
    "cost_share_only": pl.Boolean,
    "own_ceiling": pl.Boolean,
    "counts_owed": pl.Boolean,
}


class PriorDecisions(NamedTuple):
    """What the payers before us decided.

    ``lines``: of claims whose figures hold, one row a line: PRIOR. ``left_amount`` is what the
    provider may still collect of the line's charge; ``prior_paid_amount`` the sum of their
    payments, ``prior_allowed_amount`` the highest of what they allow, ``prior_share_amount`` the
    cost share that Original Medicare left. ``own_ceiling``: the program pays up to what it allows
    itself, whatever they allow. ``by_line``: told line by line; else the claim's
    figures apportioned by charge.
    ``problems``: the claims whose figures don't: ``claim_id``, ``because`` (of PROBLEMS).
    """

    lines: pl.DataFrame
    problems: pl.DataFrame


class Group(NamedTuple):
    """Lines that are coordinated as one, for the count: how many of them are counted, and sums."""

    size: int
    left: int
    charge: int
    paid: int
    prior_allowed: int
    allowed: int
    prepaid: bool
    cost_share_only: bool


# ---- who they are ----------------------------------------------------------------------------


def other_payers(batch: Batch, reference: Reference) -> pl.DataFrame:
    """The other payers of the claims: ``claim_id``, ``payer_sequence``, ``payer_number``,
    ``payer_name``, ``paid_amount``, ``program_code``, and

    ``place``, ``own_place``: its place among the payers and ours, from 1; null: not told;
    ``before``: it pays before us; ``kind``: auto, work, medicare or health, by its filing code;
    ``decided``: its decision is on the claim: a day, a payment or an adjustment [j].
    """
    if batch.other_payers.is_empty():
        return pl.DataFrame(schema=OTHER)
    programs = reference.programs
    claims = batch.claims.select("claim_id", "program_code", own_code="responsibility_code")
    paid_lines = batch.other_payer_lines.select("claim_id", "payer_number").unique()
    adjusted = batch.other_payer_adjustments.select(PAYER).drop_nulls().unique()
    return (
        batch.other_payers.join(claims, on="claim_id", maintain_order="left")
        .join(
            paid_lines.with_columns(by_lines=True),
            on=["claim_id", "payer_number"], how="left", maintain_order="left",
        )
        .join(
            adjusted.with_columns(adjusts=True), on=PAYER, how="left", maintain_order="left"
        )
        .with_columns(
            place=_place("responsibility_code"),
            own_place=_place("own_code"),
            decided=pl.col("adjudication_date").is_not_null()
            | pl.col("by_lines").fill_null(value=False)
            | pl.col("adjusts").fill_null(value=False)
            | (pl.col("paid_amount") != 0).fill_null(value=False),
            kind=pl.when(of_terms(programs, lambda t: t.auto_filing_codes, "claim_filing_code"))
            .then(pl.lit("auto"))
            .when(of_terms(programs, lambda t: t.work_filing_codes, "claim_filing_code"))
            .then(pl.lit("work"))
            .when(of_terms(programs, lambda t: t.medicare_filing_codes, "claim_filing_code"))
            .then(pl.lit("medicare"))
            .otherwise(pl.lit("health")),
        )
        .with_columns(before=pl.col("place") < pl.col("own_place"))
        .select(OTHER.keys())
    )  # fmt: skip


def of_terms(
    programs: Mapping[str, Program],
    which: Callable[[CoordinationTerms], Sequence[str]],
    column: str,
) -> pl.Expr:
    """Whether the column's code is one of that list of the row's program."""
    return pl.any_horizontal(
        pl.lit(value=False),
        *(
            (pl.col("program_code") == code) & pl.col(column).is_in(which(program.coordination))
            for code, program in sorted(programs.items())
            if program.coordination is not None and which(program.coordination)
        ),
    ).fill_null(value=False)


def _place(column: str) -> pl.Expr:
    return pl.col(column).replace_strict(PLACES, default=None, return_dtype=pl.Int64)


def documented(batch: Batch, reference: Reference, kind_code: str) -> pl.DataFrame:
    """``claim_id`` of the claims with a document of that kind: on file, or with the paper."""
    on_file = reference.tables["attachments"].filter(kind_code=kind_code)
    found = [pl.DataFrame(schema={"claim_id": pl.Int64})]
    if not on_file.is_empty():
        numbers = on_file["claim_number"].unique().implode()
        found.append(batch.claims.filter(pl.col("claim_number").is_in(numbers)).select("claim_id"))
    found.append(batch.attachments.filter(kind_code=kind_code).select("claim_id"))
    return pl.concat(found).unique(maintain_order=True)


# ---- what they decided -----------------------------------------------------------------------


def prior_decisions(batch: Batch, reference: Reference) -> PriorDecisions | None:
    """What payers before us decided of the claims; None where none decided anything.

    A payer's adjustments are, by the program's terms: the patient's share (PR of the cost share
    codes), left to us (other PR, and what says that the payer covers neither service nor patient
    [j]), the effect of a payer before it (OA-23), or written off. The provider may collect the
    charge less what is written off; of several payers the least of that, less all payments.

    Line by line where each of them tells all lines so (2430) and adjusts nothing of the claim
    whole; else by the claim's sums [j]. A claim waits for a person where a payer's figures don't
    add up to the charge, to the cent, a line's payer isn't on the claim, it has not decided by
    its own codes, or another payer's part is missing.
    """
    if batch.other_payers.is_empty():
        return None
    others = other_payers(batch, reference)
    payers = others.filter(pl.col("before") & pl.col("decided"))
    if payers.is_empty():
        return None
    ids = payers["claim_id"].unique().implode()
    claims = batch.claims.filter(pl.col("claim_id").is_in(ids)).select(
        "claim_id", "member_id", "program_code", "charge_amount"
    )
    lines = batch.lines.filter(pl.col("claim_id").is_in(ids)).select(
        *LINE, "charge_amount", "decision_date"
    )
    told, strangers = _told_lines(batch, others, ids)
    adjustments = _adjustments(batch, payers, told, reference)
    of_lines = _sums_by_line(told, adjustments, payers)
    of_payers = _sums_by_payer(payers, claims, lines, of_lines, adjustments)
    by_line = of_payers.group_by("claim_id").agg(by_line=pl.col("by_line").all())
    units = _units(claims, lines, of_payers, of_lines, by_line)
    problems = _problems(claims, of_payers, units, strangers, reference)
    units = units.join(problems, on="claim_id", how="anti")
    return PriorDecisions(_lines(units, lines, claims, payers, reference), problems)


def _told_lines(
    batch: Batch, others: pl.DataFrame, ids: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The 2430 loops with the payer that each is of, and the claims in which one is of nobody."""
    of_number = others.group_by("claim_id", "payer_number").agg(
        pl.col("payer_sequence").min(), count=pl.len()
    )
    told = (
        batch.other_payer_lines.filter(pl.col("claim_id").is_in(ids))
        .select(*LINE, "adjudication_sequence", "payer_number", "paid_amount")
        .join(of_number, on=["claim_id", "payer_number"], how="left", maintain_order="left")
    )
    return (
        told.drop("count", "payer_number"),
        told.filter(pl.col("count").ne_missing(1)).select("claim_id").unique(),
    )


def _adjustments(
    batch: Batch, payers: pl.DataFrame, told: pl.DataFrame, reference: Reference
) -> pl.DataFrame:
    """The payers' adjustments by what they are: ``whole`` of the claim, else of a line."""
    programs = reference.programs
    loop = [*LINE, "adjudication_sequence"]
    given = batch.other_payer_adjustments.filter(
        pl.col("claim_id").is_in(payers["claim_id"].unique().implode())
    ).join(told.select(*loop, of_line="payer_sequence"), on=loop, how="left")
    member = pl.col("group_code") == "PR"
    earlier = (pl.col("group_code") == "OA") & (pl.col("reason_code") == "23")
    amount = pl.col("adjustment_amount")
    return (
        given.with_columns(payer_sequence=pl.coalesce("payer_sequence", "of_line"))
        .join(payers.select(*PAYER, "program_code"), on=PAYER)
        .with_columns(
            share=member & of_terms(programs, lambda t: t.cost_share_carcs, "reason_code"),
            uncovered=of_terms(programs, lambda t: t.not_covered_carcs, "reason_code"),
            undecided=of_terms(programs, lambda t: t.undecided_carcs, "reason_code"),
        )
        .select(
            *PAYER,
            "line_number",
            "undecided",
            whole=pl.col("line_number").is_null(),
            adjusted_amount=amount,
            share_amount=pl.when("share").then(amount).otherwise(0),
            earlier_amount=pl.when(earlier).then(amount).otherwise(0),
            written_amount=pl.when(member | pl.col("uncovered") | earlier)
            .then(0)
            .otherwise(amount),
        )
    )


PARTS = ("adjusted_amount", "share_amount", "earlier_amount", "written_amount")


def _sums_by_line(
    told: pl.DataFrame, adjustments: pl.DataFrame, payers: pl.DataFrame
) -> pl.DataFrame:
    """A row a line and payer: what it paid, and PARTS."""
    key = [*LINE, "payer_sequence"]
    adjusted = adjustments.filter(~pl.col("whole")).group_by(key).agg(pl.col(PARTS).sum())
    return (
        told.join(payers.select(*PAYER, "kind"), on=PAYER)
        .group_by(key)
        .agg(pl.col("paid_amount").sum(), pl.col("kind").first())
        .join(adjusted, on=key, how="left")
        .with_columns(pl.col(PARTS).fill_null(0))
    )


def _sums_by_payer(
    payers: pl.DataFrame,
    claims: pl.DataFrame,
    lines: pl.DataFrame,
    of_lines: pl.DataFrame,
    adjustments: pl.DataFrame,
) -> pl.DataFrame:
    """A row a payer: what it paid of the claim, PARTS, and whether it adds up."""
    line_balance = of_lines.join(lines, on=LINE, how="left").with_columns(
        adds_up=pl.col("charge_amount") == pl.col("paid_amount") + pl.col("adjusted_amount")
    )
    told = line_balance.group_by(PAYER).agg(
        lines_paid_amount=pl.col("paid_amount").sum(),
        line_count=pl.len(),
        lines_add_up=pl.col("adds_up").all(),
    )
    adjusted = adjustments.group_by(PAYER).agg(
        pl.col(PARTS).sum(),
        pl.col("undecided").any(),
        whole_amount=pl.col("adjusted_amount").filter("whole").sum(),
        wholes=pl.col("whole").any(),
    )
    lines_paid = pl.col("lines_paid_amount") - pl.col("whole_amount")
    return (
        payers.join(told, on=PAYER, how="left", maintain_order="left")
        .join(adjusted, on=PAYER, how="left", maintain_order="left")
        .join(claims.select("claim_id", "charge_amount"), on="claim_id", maintain_order="left")
        .join(
            lines.group_by("claim_id").agg(all_lines=pl.len()),
            on="claim_id", how="left", maintain_order="left",
        )
        .with_columns(
            pl.col(*PARTS, "whole_amount").fill_null(0),
            pl.col("undecided", "wholes").fill_null(value=False),
            adjusts=pl.col("adjusted_amount").is_not_null(),
        )
        .with_columns(
            by_line=(pl.col("line_count") == pl.col("all_lines")).fill_null(value=False)
            & ~pl.col("wholes"),
            said_amount=pl.col("paid_amount"),
            paid_amount=pl.coalesce("paid_amount", lines_paid, pl.lit(0, dtype=pl.Int64)),
        )
        .with_columns(
            adds_up=(
                pl.col("charge_amount") == pl.col("paid_amount") + pl.col("adjusted_amount")
            ).fill_null(value=False)
            & (pl.col("said_amount") == lines_paid).fill_null(value=True)
            & (~pl.col("by_line") | pl.col("lines_add_up").fill_null(value=False))
            & (pl.col("paid_amount") >= 0),
        )
    )  # fmt: skip


def _units(
    claims: pl.DataFrame,
    lines: pl.DataFrame,
    of_payers: pl.DataFrame,
    of_lines: pl.DataFrame,
    by_line: pl.DataFrame,
) -> pl.DataFrame:
    """What all payers before us left of each line, or of each claim (``line_number`` null)."""
    told = pl.concat(
        [
            of_lines.join(by_line.filter("by_line"), on="claim_id", how="semi").select(
                *LINE, "paid_amount", "kind", "share_amount", "written_amount"
            ),
            of_payers.join(by_line.filter(~pl.col("by_line")), on="claim_id", how="semi").select(
                "claim_id",
                pl.lit(None, dtype=pl.Int64).alias("line_number"),
                "paid_amount",
                "kind",
                "share_amount",
                "written_amount",
            ),
        ]
    )
    medicare = pl.col("kind") == "medicare"
    return (
        told.group_by(LINE)
        .agg(
            prior_paid_amount=pl.col("paid_amount").sum(),
            prior_allowed_amount=(pl.col("paid_amount") + pl.col("share_amount")).max(),
            prior_share_amount=pl.col("share_amount").filter(medicare).sum(),
            medicare_amount=(pl.col("paid_amount") + pl.col("share_amount")).filter(medicare).sum(),
            written_amount=pl.col("written_amount").max(),
        )
        .join(lines.select(*LINE, line_charge="charge_amount"), on=LINE, how="left")
        .join(claims.select("claim_id", "charge_amount"), on="claim_id", how="left")
        .with_columns(charge_amount=pl.coalesce("line_charge", "charge_amount"))
        .with_columns(
            left_amount=pl.col("charge_amount")
            - pl.col("written_amount")
            - pl.col("prior_paid_amount")
        )
    )


def _problems(
    claims: pl.DataFrame,
    of_payers: pl.DataFrame,
    units: pl.DataFrame,
    strangers: pl.DataFrame,
    reference: Reference,
) -> pl.DataFrame:
    """The claims whose figures don't hold, and the first reason why."""
    with_terms = [c for c, p in reference.programs.items() if p.coordination is not None]
    first = pl.col("place") == pl.col("place").min().over("claim_id")
    told = of_payers.with_columns(first=first)
    found = {
        "no_terms": claims.filter(~pl.col("program_code").is_in(with_terms)),
        "unknown_payer": strangers,
        "undecided": told.filter("undecided"),
        "no_figures": told.filter(
            ~pl.col("adjusts")
            & pl.col("line_count").is_null()
            & (pl.col("paid_amount") != pl.col("charge_amount"))
        ),
        "unbalanced": told.filter(~pl.col("adds_up")),
        "earlier_missing": told.filter(pl.col("first") & (pl.col("earlier_amount") != 0)),
        "contradictory": units.filter((pl.col("left_amount") < 0).fill_null(value=True)),
    }
    reasons = [
        found[because].select("claim_id", because=pl.lit(because), rank=pl.lit(rank))
        for rank, because in enumerate(PROBLEMS)
    ]
    return (
        pl.concat(reasons)
        .sort("claim_id", "rank")
        .unique("claim_id", keep="first", maintain_order=True)
        .drop("rank")
    )


def _lines(
    units: pl.DataFrame,
    lines: pl.DataFrame,
    claims: pl.DataFrame,
    payers: pl.DataFrame,
    reference: Reference,
) -> pl.DataFrame:
    """PRIOR: the units' figures at the grain of lines."""
    figures = ("prior_paid_amount", "prior_allowed_amount", "prior_share_amount", "left_amount")
    units = units.with_columns(left_amount=pl.min_horizontal("left_amount", "charge_amount"))
    by_line = (
        units.filter(pl.col("line_number").is_not_null())
        .select(*LINE, *figures, "medicare_amount")
        .join(lines, on=LINE)
        .with_columns(by_line=True)
    )
    whole = (
        units.filter(pl.col("line_number").is_null())
        .select("claim_id", *figures, "medicare_amount")
        .join(lines, on="claim_id")
        .sort(LINE)
        .with_columns(by_line=False)
    )
    for figure in figures:
        whole = apportion(whole, figure, "charge_amount", ["claim_id"], figure)
    found = (
        pl.concat([by_line, whole.select(by_line.columns)])
        .join(claims.select("claim_id", "member_id", "program_code"), on="claim_id")
        .sort(LINE)
    )
    counts = [
        c for c, p in reference.programs.items()
        if p.coordination and p.coordination.accumulators_count == "owed"
    ]  # fmt: skip
    own = [
        c for c, p in reference.programs.items()
        if p.coordination and p.coordination.ceiling == "own_allowed"
    ]  # fmt: skip
    return found.with_columns(
        cost_share_only=_cost_share_only(found, reference) & (pl.col("medicare_amount") > 0),
        own_ceiling=pl.col("program_code").is_in(own),
        counts_owed=pl.col("program_code").is_in(counts),
        line_charge_amount="charge_amount",
    ).select(PRIOR.keys())


def _cost_share_only(lines: pl.DataFrame, reference: Reference) -> pl.Series:
    """Whether the member's status on the day makes Original Medicare pay first, and us only the
    cost share it left; a status that ends holds to the end of that month."""
    statuses = reference.tables["special_statuses"]
    rows = [
        (code, status)
        for code, program in sorted(reference.programs.items())
        if program.coordination
        for status in program.coordination.cost_share_statuses
    ]
    of_program = pl.DataFrame(
        rows, schema={"program_code": pl.String, "status_code": pl.String}, orient="row"
    )
    held = (
        lines.select(*LINE, "member_id", "program_code", "decision_date")
        .join(statuses, on="member_id")
        .join(of_program, on=["program_code", "status_code"], how="semi")
        .filter(
            (pl.col("start_date") <= pl.col("decision_date"))
            & (
                pl.col("end_date").is_null()
                | (pl.col("end_date").dt.month_end() >= pl.col("decision_date"))
            )
        )
        .select(*LINE, held=True)
        .unique()
    )
    return lines.join(held, on=LINE, how="left", maintain_order="left")["held"].fill_null(
        value=False
    )


# ---- what we pay beside them -----------------------------------------------------------------


def of_line() -> pl.Expr:
    """The column of GROUP that keeps lines apart: a line's number where each was told by itself."""
    return pl.when("by_line").then("line_number").otherwise(0).alias("of_line")


def ceiling() -> pl.Expr:
    """Their allowed amount as ``least_of`` takes it: where only ours is the ceiling, no more than
    they paid, beside which ours less what they paid is left."""
    return pl.when("own_ceiling").then("prior_paid_amount").otherwise("prior_allowed_amount")


def least_of(
    left: pl.Expr, charge: pl.Expr, paid: pl.Expr, alone: pl.Expr, allowed: pl.Expr,
    prior_allowed: pl.Expr,
) -> pl.Expr:  # fmt: skip
    """What we pay beside payers before us, by 42 CFR 411.33(a), never below nothing.

    The least of what the provider may still collect (never more than the charge less what was
    paid), our payment alone, and the higher of our and their allowed amount less what they paid.
    """
    least = pl.min_horizontal(
        left, charge - paid, alone, pl.max_horizontal(allowed, prior_allowed) - paid
    )
    return pl.max_horizontal(least, pl.lit(0, dtype=pl.Int64))


def least_of_int(
    left: int, charge: int, paid: int, alone: int, allowed: int, prior_allowed: int
) -> int:
    """``least_of`` of ints."""
    return max(0, min(left, charge - paid, alone, max(allowed, prior_allowed) - paid))


def owed_shares(group: Group, shares: Sequence[int]) -> list[int]:
    """What the member owes of each of a group's cost shares beside the payers before us.

    What is left after our payment, as far as the shares go; apportioned by them. Nothing where we
    pay the cost share that Original Medicare left.
    """
    if group.cost_share_only:
        return [0] * len(shares)
    alone = 0 if group.prepaid else group.allowed - sum(shares)
    paid = least_of_int(
        group.left, group.charge, group.paid, alone, group.allowed, group.prior_allowed
    )
    return apportion_int(min(group.left - paid, sum(shares)), shares)
