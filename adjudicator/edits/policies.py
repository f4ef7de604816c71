"""What edits that carry out payment policies share: versions, code lists, a line's diagnoses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from adjudicator.edits.services import with_specialties
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import Policy, Ranges, ServiceRule

LINE = ["claim_id", "line_number"]
NOTHING = pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
# of what a stay was treated for; not what it was admitted with, and not how an injury came about
TREATED = ("ABK", "BK", "ABF", "BF")


def versions(reference: Reference, edit: str) -> list[tuple[str, Any]]:
    """The versions of an edit's policy, each with the code of its program."""
    return [
        (code, version)
        for code, program in sorted(reference.programs.items())
        if edit in program.edits
        for version in getattr(program.policies, edit)
    ]


def holds(code: str, policy: Policy, day: str = "decision_date") -> pl.Expr:
    """Whether a line of a claim with ``program_code`` falls under that version."""
    in_force = pl.col(day) >= policy.start_date
    if policy.end_date is not None:
        in_force &= pl.col(day) <= policy.end_date
    return ((pl.col("program_code") == code) & in_force).fill_null(value=False)


def within(codes: pl.Expr, ranges: Ranges) -> pl.Expr:
    """Whether a code begins as one of the ranges' codes does, both ends included.

    Procedure codes are all of one length: of them it is the range itself.
    """
    found = [pl.lit(value=False)]
    for length in sorted({len(first) for first, _ in ranges}):
        begin = codes.str.slice(0, length)
        alike = [first for first, last in ranges if first == last and len(first) == length]
        found.append(begin.is_in(alike))
        found += [
            begin.is_between(pl.lit(first), pl.lit(last))
            for first, last in ranges
            if first != last and len(first) == length
        ]
    return pl.any_horizontal(found).fill_null(value=False)


def procedure_lines(batch: Batch, ranges: Ranges, columns: Sequence[str]) -> pl.DataFrame:
    """LINE and those columns of the lines whose procedure lies within the ranges.

    A night has few codes, many times each.
    """
    codes = batch.lines["procedure_code"].unique()
    wanted = codes.to_frame("code").filter(within(pl.col("code"), ranges))["code"]
    named = [*LINE, *(c for c in columns if c not in LINE)]
    if wanted.is_empty():
        return batch.lines.clear().select(named)
    return batch.lines.filter(pl.col("procedure_code").is_in(wanted.implode())).select(named)


def carrying(modifier_codes: pl.Series, codes: Iterable[str]) -> pl.Expr:
    """Whether ``modifier_codes`` of a line carry one of these; the series is that column."""
    wanted = list(codes)
    held = modifier_codes.unique().drop_nulls()
    split = held.str.split(":").list.set_intersection(wanted).list.len() > 0
    return (
        pl.col("modifier_codes").is_in(held.filter(split).implode()).fill_null(value=False)
        if split.any()
        else pl.lit(value=False)
    )


def line_diagnoses(lines: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """LINE and ``diagnosis_code`` of each diagnosis of the lines: of a professional line those it
    points to, of an institutional one all that its claim was treated for.

    ``lines`` have ``claim_type_code`` and ``diagnosis_pointers``.
    """
    known = batch.diagnoses.join(lines.select("claim_id").unique(), on="claim_id", how="semi")
    pointed = (
        lines.filter(claim_type_code="P")
        .select(*LINE, sequence_number=pl.col("diagnosis_pointers").str.split(":"))
        .explode("sequence_number", empty_as_null=True, keep_nulls=True)
        .with_columns(pl.col("sequence_number").cast(pl.Int64, strict=False))
        .join(known, on=["claim_id", "sequence_number"])
    )
    whole = lines.filter(claim_type_code="I").join(
        known.filter(pl.col("qualifier_code").is_in(TREATED)), on="claim_id"
    )
    columns = [*LINE, "diagnosis_code"]
    return pl.concat([pointed.select(columns), whole.select(columns)]).unique(maintain_order=True)


def ruled(
    lines: pl.DataFrame, rules: Sequence[ServiceRule], batch: Batch, reference: Reference
) -> pl.DataFrame:
    """The lines of which every condition of a rule holds, with ``service``: the first such rule's
    words.

    ``lines`` have ``procedure_code``, ``provider_number``, ``decision_date``,
    ``claim_type_code`` and ``diagnosis_pointers``.
    """
    found = [lines.clear().with_columns(service=pl.lit(""))]
    for rule in rules:
        few = lines.filter(within(pl.col("procedure_code"), rule.procedure_ranges))
        if rule.diagnosis_ranges:
            few = few.join(_diagnosed(few, rule, batch), on=LINE, how="semi", maintain_order="left")
        if rule.taxonomy_codes and few.height:
            codes = pl.element().is_in(rule.taxonomy_codes)
            of_rule = pl.col("specialties").list.eval(codes).list.any().fill_null(value=False)
            told = with_specialties(few, batch, reference).filter(of_rule)
            few = few.join(told, on=LINE, how="semi", maintain_order="left")
        found.append(few.with_columns(service=pl.lit(rule.words)))
    return pl.concat(found).unique(LINE, keep="first", maintain_order=True)


def _diagnosed(lines: pl.DataFrame, rule: ServiceRule, batch: Batch) -> pl.DataFrame:
    """LINE of the lines that have a diagnosis, and none outside the rule's ranges."""
    known = batch.diagnoses.filter(pl.col("claim_id").is_in(lines["claim_id"].unique().implode()))
    codes = known["diagnosis_code"].unique().to_frame()
    of_rule = codes.filter(within(pl.col("diagnosis_code"), rule.diagnosis_ranges))
    inside = pl.col("diagnosis_code").is_in(of_rule["diagnosis_code"].implode())
    claims = known.filter(inside)["claim_id"].unique()
    few = lines.filter(pl.col("claim_id").is_in(claims.implode()))
    return line_diagnoses(few, batch).group_by(LINE).agg(inside.all()).filter("diagnosis_code")
