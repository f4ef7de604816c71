from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from adjudicator.corrections import CORRECTIONS, standing_for
from adjudicator.edits.edit import edit
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation, Program

LINE = ["claim_id", "line_number"]
COMPARED = {
    "modifiers": "modifier_codes",
    "units": "unit_quantity",
    "charge": "charge_amount",
}


@edit(
    disposition="pend",
    pend_code="DUPLICATE",
    across_night=True,
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2061, 2063),
        phrase="Claim forms are submitted by noncapitated providers for both payment",
    ),
)
def suspected_duplicate(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """The line is that of an earlier claim but for one of modifiers, units and charge.

    Earlier: paid or waiting, or received before it tonight and not denied by an edit. Lines of
    one claim are never suspected of each other, and no line that carries one of the program's
    ``separate_modifiers``: these tell a service from another one like it.
    """
    if batch.similar.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    lines = (
        batch.similar.join(
            batch.claims.select("claim_id", "program_code", "frequency_code"),
            on="claim_id",
            how="left",
        )
        # a line of history is of the program of those that it is compared with
        .with_columns(
            pl.col("program_code").fill_null(
                pl.col("program_code").drop_nulls().first().over("service_number")
            )
        )
        .filter(~_separate(reference.programs))
        # what was paid in an earlier night comes before all that is undecided
        .sort(pl.col("line_disposition").eq_missing("paid"), "receipt_number", *LINE,
              descending=[True, False, False, False])
        .with_row_index("place")
    )  # fmt: skip
    wanted = pl.col("claim_id").is_in(lines["claim_id"].unique().implode())
    few = batch.with_(
        claims=batch.claims.filter(wanted),
        lines=batch.lines.filter(wanted),
        findings=batch.findings.filter(wanted),
    )
    denied = fates(few).lines.filter(line_disposition="denied")
    standing = lines.join(denied, on=LINE, how="anti", maintain_order="left")
    asked = lines.filter(
        pl.col("line_disposition").is_null()
        & ~pl.col("frequency_code").is_in(CORRECTIONS, nulls_equal=True)
    )
    if batch.corrected.height:
        found = _beside_corrections(batch, asked, standing)
    else:
        found = pl.concat([_differing(asked, standing, differs) for differs in COMPARED])
    return (
        found.sort(*LINE, "of_place")
        .unique(LINE, keep="first", maintain_order=True)
        .lazy()
        .select(
            *LINE,
            pl.struct(
                duplicate_of_claim="of_claim_number",
                duplicate_of_line="of_line_number",
                differs="differs",
            ).alias("inputs"),
        )
    )


def _separate(programs: Mapping[str, Program]) -> pl.Expr:
    carried = pl.col("modifier_codes").str.split(":").list
    return pl.any_horizontal(
        pl.lit(value=False),
        *(
            (pl.col("program_code") == code)
            & (carried.set_intersection(list(program.separate_modifiers)).list.len() > 0)
            for code, program in sorted(programs.items())
        ),
    ).fill_null(value=False)


def _differing(asked: pl.DataFrame, standing: pl.DataFrame, differs: str) -> pl.DataFrame:
    """Each line asked with the first standing one before it, of another claim, that ``differs`` in
    that and nothing else. ``standing`` is in its order, so that a claim's lines stand together.
    """
    value = COMPARED[differs]
    same = ["service_number", *(column for column in COMPARED.values() if column != value)]
    # The first of all, or where that one's value is the line's own the first of another value.
    # Where that stands on the line's own claim, no other claim's line comes before it.
    first = standing.unique(same, keep="first", maintain_order=True)
    other = (
        standing.join(
            first.select(*same, first_value=value), on=same, nulls_equal=True, maintain_order="left"
        )
        .filter(pl.col(value).ne_missing(pl.col("first_value")))
        .unique(same, keep="first", maintain_order=True)
    )
    earlier = pl.concat([first, other.select(first.columns)]).select(
        *same,
        of_value=value,
        of_place="place",
        of_claim_id="claim_id",
        of_claim_number="claim_number",
        of_line_number="line_number",
    )
    return (
        asked.join(earlier, on=same, nulls_equal=True)
        .filter(
            pl.col(value).ne_missing(pl.col("of_value"))
            & (pl.col("of_place") < pl.col("place"))
            & (pl.col("of_claim_id") != pl.col("claim_id"))
        )
        .select(*LINE, "of_place", "of_claim_number", "of_line_number", differs=pl.lit(differs))
    )


def _beside_corrections(batch: Batch, asked: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """The same, line by line, where claims' places are taken tonight: which of the lines before it
    stand depends on whose line it is."""
    columns = ["place", *LINE, "claim_number", *COMPARED.values()]
    services = standing.select("service_number", *columns).rows_by_key("service_number")
    stands = standing_for(batch)
    found = []
    for service, place, claim_id, line_number, _, *mine in asked.select(
        "service_number", *columns
    ).iter_rows():
        for of_place, of_claim, of_line, of_number, *theirs in services.get(service, ()):
            if of_place >= place:
                break
            differ = [n for n, a, b in zip(COMPARED, mine, theirs, strict=True) if a != b]
            if len(differ) == 1 and of_claim != claim_id and stands(claim_id, of_claim):
                found.append((claim_id, line_number, of_place, of_number, of_line, differ[0]))
                break
    schema = {**dict.fromkeys(LINE, pl.Int64), "of_place": pl.Int64, "of_claim_number": pl.String,
              "of_line_number": pl.Int64, "differs": pl.String}  # fmt: skip
    return pl.DataFrame(found, schema, orient="row")
