from __future__ import annotations

import polars as pl

from adjudicator.corrections import standing_for
from adjudicator.edits.edit import edit
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation

LINE = ["claim_id", "line_number"]


@edit(
    disposition="deny",
    group_code="OA",
    carc="18",
    across_night=True,
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2061, 2063),
        phrase="Claim forms are submitted by noncapitated providers for both payment",
    ),
)
def exact_duplicate(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The line repeats one that was paid or waits, or one of this night that still stands.

    Of the night's equal lines the first in receipt order that no edit denies is the original;
    those after it are duplicates of it, denied on other grounds or not. Within one claim a line
    is a duplicate only where it carries a date of its own [j]: a stay's undated lines may
    be one for each day.
    """
    if batch.duplicates.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    if batch.corrected.height:
        return _beside_corrections(batch)
    group = ["of_claim_id", "of_line_number"]
    duplicates = batch.duplicates
    first = duplicates.select(
        *group,
        "of_claim_number",
        claim_id="of_claim_id",
        line_number="of_line_number",
    ).unique(group)
    equal = (
        pl.concat([first, duplicates.select(first.columns)])
        .join(batch.claims.select("claim_id", "receipt_number"), on="claim_id", how="left")
        # an original of an earlier night comes before all of tonight
        .sort(*group, "receipt_number", *LINE, nulls_last=False)
        .with_columns(place=pl.int_range(pl.len()).over(group))
    )
    denied = fates(batch).lines.filter(line_disposition="denied")
    originals = (
        equal.join(denied, on=LINE, how="anti")
        .sort(*group, "place")
        .unique(group, keep="first", maintain_order=True)
        .join(batch.claims.select("claim_id", "claim_number"), on="claim_id", how="left")
        .select(
            *group,
            original_place="place",
            original_claim_id="claim_id",
            duplicate_of_claim=pl.coalesce("claim_number", "of_claim_number"),
            duplicate_of_line="line_number",
        )
    )
    return (
        equal.join(originals, on=group)
        .filter(pl.col("place") > pl.col("original_place"))
        .join(batch.lines.select(*LINE, "service_from_date"), on=LINE)
        .filter(
            (pl.col("claim_id") != pl.col("original_claim_id"))
            | pl.col("service_from_date").is_not_null()
        )
        .lazy()
        .select(*LINE, pl.struct("duplicate_of_claim", "duplicate_of_line").alias("inputs"))
    )


def _beside_corrections(batch: Batch) -> pl.LazyFrame:
    """The same, line by line, where claims' places are taken tonight: what is reversed is no
    original for claims received after that which takes its place, nor for that one itself."""
    state = fates(batch)
    denied = set(state.lines.filter(line_disposition="denied").select(LINE).iter_rows())
    pended = set(state.claims.filter(disposition="pended")["claim_id"])
    stands = standing_for(batch)
    claims = batch.claims.select("claim_id", "receipt_number", "claim_number")
    tonight = {claim_id: (receipt, number) for claim_id, receipt, number in claims.iter_rows()}
    undated = batch.lines.filter(pl.col("service_from_date").is_null()).select(LINE)
    no_date = set(undated.iter_rows())
    found = []
    for equal in _equal_lines(batch.duplicates):
        before = [line for line in equal if line[0] not in tonight]
        standing = sorted(before)
        for line in sorted(
            (line for line in equal if line[0] in tonight),
            key=lambda line: (tonight[line[0]][0], *line[:2]),
        ):
            claim_id, line_number, _ = line
            number = tonight[claim_id][1]
            originals = [
                each
                for each in standing
                if stands(claim_id, each[0])
                and (each[0] != claim_id or (claim_id, line_number) not in no_date)
            ]
            if originals:
                found.append((claim_id, line_number, *originals[0][2:], originals[0][1]))
            if claim_id in pended or not (originals or (claim_id, line_number) in denied):
                standing.append((claim_id, line_number, number))
    schema = {**dict.fromkeys(LINE, pl.Int64), "duplicate_of_claim": pl.String,
              "duplicate_of_line": pl.Int64}  # fmt: skip
    return (
        pl.LazyFrame(found, schema, orient="row")
        .select(*LINE, pl.struct("duplicate_of_claim", "duplicate_of_line").alias("inputs"))
    )  # fmt: skip


Line = tuple[int, int, str]  # claim, line, and of the one that is repeated its claim's number


def _equal_lines(duplicates: pl.DataFrame) -> list[list[Line]]:
    """The lines that are equal to each other, set by set."""
    sets: dict[tuple[int, int], dict[tuple[int, int], Line]] = {}
    for claim_id, line_number, of_claim_id, of_number, of_line in duplicates.select(
        *LINE, "of_claim_id", "of_claim_number", "of_line_number"
    ).iter_rows():
        line, of = (claim_id, line_number), (of_claim_id, of_line)
        equal = sets.setdefault(of, {})
        if (other := sets.get(line)) is not None and other is not equal:
            equal |= other
            sets.update(dict.fromkeys(other, equal))
        equal[of] = (*of, of_number)
        equal.setdefault(line, (*line, ""))
        sets[line] = equal
    return list({id(equal): list(equal.values()) for equal in sets.values()}.values())
