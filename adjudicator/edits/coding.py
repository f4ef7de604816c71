"""Which lines of a night the correct coding tables could speak of: few, of very many.

A night's procedure codes are numbered, so that two codes are one number; every two lines of a
claim and day, and of a member and day across claims, are then looked up among the tables' numbers.
What is found is judged by ncci.py; nothing here says what it means.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from adjudicator.corrections import CORRECTIONS, REOPENED, history_beside
from adjudicator.fate import fates
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference

LINE = ["claim_id", "line_number"]
DAY = ["member_id", "decision_date"]
VOID = "8"
ONE_UNIT = 1_000  # a quantity is thousandths
HCPCS_LENGTH = 5
LINES_A_CLAIM = 100_000  # more than an X12 claim can hold
OF_LINE = [
    *LINE, "procedure_code", "decision_date", "unit_quantity", "unit_basis_code", "modifier_codes",
    "rendering_npi", "service_from_date", "service_through_date",
]  # fmt: skip
COUPLE = ["one", "two"]
COUPLE_SCHEMA = {"one": pl.UInt32, "two": pl.UInt32, "one_code": pl.UInt64, "two_code": pl.UInt64}


class Candidates(NamedTuple):
    """Lines and couples of lines that the tables speak of; all by their row in ``facts``.

    ``pairs``: ``one``, ``two``, and of the pair in force on their day ``table_code`` and
    ``modifier_indicator_code``; the line ``one`` stands. ``beside``: COUPLE, ``two`` an add-on
    code and ``one`` any other line of its day. ``units``, ``add_ons``: ``row``. ``facts``: what
    the rules look at, of tonight's lines and of history's.
    """

    pairs: pl.DataFrame
    beside: pl.DataFrame
    units: pl.DataFrame
    add_ons: pl.DataFrame
    facts: pl.DataFrame


def asked_lines(batch: Batch) -> pl.DataFrame:
    """Tonight's lines with a procedure and a day, but those of voids, in their order: OF_LINE."""
    lines = batch.lines.select(OF_LINE).drop_nulls(["procedure_code", "decision_date"])
    voids = batch.claims.filter(frequency_code=VOID)["claim_id"]
    if len(voids):
        lines = lines.filter(~pl.col("claim_id").is_in(voids.implode()))
    return lines if lines["claim_id"].is_sorted() else lines.sort(LINE)


def candidates(batch: Batch, reference: Reference, asked: pl.DataFrame) -> Candidates:
    """The candidates among ``asked_lines``, against each other and history."""
    pairs, limits, add_ons = (
        reference.tables[n] for n in ("procedure_pairs", "unit_limits", "add_on_codes")
    )
    lines = _with_history(batch, asked)
    number = pl.Enum(lines["procedure_code"].unique().sort())
    lines = lines.with_columns(
        code=_number(pl.col("procedure_code"), number),
        denied=_denied(batch),
        institutional=_institutional(batch),
    ).with_row_index("row")
    within, across = _within_claims(lines), _across_claims(batch, lines)
    couples = pl.concat([within, across])
    key = pl.col("one_code") * len(number.categories) + pl.col("two_code")
    of_pairs = _pairs(couples, key, pairs, lines, number)
    adds = _numbers(add_ons["add_on_code"], number).implode()
    beside = couples.filter(pl.col("two_code").is_in(adds)).select(COUPLE)
    tonight = pl.col("tonight")
    units = _over(lines.filter(tonight), couples, limits, number)
    add_on_rows = lines.filter(tonight & pl.col("code").is_in(adds)).select("row")
    rows = pl.concat(
        [units["row"], add_on_rows["row"], *(f[c] for f in (of_pairs, beside) for c in COUPLE)]
    )
    # of the days of history any line may count
    rows = pl.concat([rows, lines.filter(~tonight)["row"]]).unique().sort()
    compared = pl.concat([across["one"], across["two"]]).unique()
    return Candidates(
        of_pairs.with_columns(_at(rows, c) for c in COUPLE),
        beside.with_columns(_at(rows, c) for c in COUPLE),
        units.with_columns(_at(rows, "row")),
        add_on_rows.with_columns(_at(rows, "row")),
        _facts(batch, lines[rows], lines[compared]["claim_id"].unique()),
    )


def _at(rows: pl.Series, column: str) -> pl.Expr:
    """A row's place among the rows that are kept."""
    return pl.lit(rows).search_sorted(pl.col(column)).alias(column)


def _number(codes: pl.Expr, number: pl.Enum) -> pl.Expr:
    return codes.cast(number, strict=False).to_physical().cast(pl.UInt64)


def _numbers(codes: pl.Series, number: pl.Enum) -> pl.Series:
    return codes.to_frame("c").select(_number(pl.col("c"), number))["c"].drop_nulls().unique()


def _with_history(batch: Batch, asked: pl.DataFrame) -> pl.DataFrame:
    """The lines asked, and those of history of their days; ``tonight`` tells them apart."""
    days = asked["decision_date"]
    earlier = history_beside(batch, (REOPENED,)).filter(
        pl.col("service_from_date").is_between(
            pl.lit(days.min(), pl.Date), pl.lit(days.max(), pl.Date)
        )
        & (pl.col("procedure_code").str.len_bytes() == HCPCS_LENGTH)
    )
    told = asked.with_columns(tonight=pl.lit(value=True))
    if earlier.is_empty():
        return told
    institutional = pl.col("claim_type_code") == "I"
    known = earlier.select(
        *LINE, "procedure_code", "unit_quantity", "modifier_codes", "service_from_date",
        "service_through_date", "claim_number", "receipt_number", "member_id", "payee_id",
        "claim_type_code",
        decision_date="service_from_date",
        provider_number=pl.when(institutional).then("claim_provider_number").otherwise(
            "provider_number"
        ),
        pended=pl.col("line_disposition") == "pended",
        tonight=pl.lit(value=False),
    )  # fmt: skip
    return pl.concat([told, known], how="diagonal")


def _denied(batch: Batch) -> pl.Expr:
    """Whether a finding of tonight denies the line."""
    denials = batch.findings.filter(disposition="deny").select(LINE)
    whole = denials.filter(pl.col("line_number").is_null())["claim_id"].unique()
    line = pl.col("claim_id") * LINES_A_CLAIM + pl.col("line_number")
    own = denials.drop_nulls().select(line.alias("key"))["key"].unique()
    return (line.is_in(own.implode()) | pl.col("claim_id").is_in(whole.implode())).fill_null(
        value=False
    )


def _institutional(batch: Batch) -> pl.Expr:
    """Whether the line is of an institutional claim, of tonight or of history."""
    known = pl.concat([batch.claims.select("claim_id", "claim_type_code"),
                       batch.history.select("claim_id", "claim_type_code")])  # fmt: skip
    of_kind = known.filter(claim_type_code="I")["claim_id"].unique()
    return pl.col("claim_id").is_in(of_kind.implode())


def _within_claims(lines: pl.DataFrame) -> pl.DataFrame:
    """Every two lines of one claim of tonight and one day, both ways.

    ``lines`` stand in claim order, those of history last: each is compared with the next, then
    with the one after it, as long as any is still of its claim.
    """
    columns = ("row", "claim_id", "decision_date", "code")
    row, claim, day, code = (lines.filter("tonight")[c] for c in columns)
    found = [pl.DataFrame(schema=COUPLE_SCHEMA)]
    here, step = row, 0
    while len(here):
        step += 1
        here = here.filter(here + step < len(row))
        here = here.filter(claim.gather(here) == claim.gather(here + step))
        one = here.filter(day.gather(here) == day.gather(here + step))
        two = one + step
        codes = code.gather(one), code.gather(two)
        for couple in ((one, two, *codes), (two, one, *codes[::-1])):
            found.append(pl.DataFrame(couple, schema=COUPLE_SCHEMA))
    return pl.concat(found)


def _across_claims(batch: Batch, lines: pl.DataFrame) -> pl.DataFrame:
    """Every two lines of different claims of one member and day, one of them of tonight; claims
    that correct another are compared with none."""
    members = (
        batch.claims.select("claim_id", "member_id", "frequency_code")
        .filter(
            pl.col("member_id").is_not_null()
            & ~pl.col("frequency_code").is_in(CORRECTIONS, nulls_equal=True)
        )
    )  # fmt: skip
    several = pl.col("member_id").is_duplicated()
    earlier = lines.clear()
    if "member_id" in lines.columns:
        earlier = lines.filter(~pl.col("tonight"))
        several |= pl.col("member_id").is_in(earlier["member_id"].unique().implode())
    columns = [*DAY, "claim_id", "row", "code", "tonight"]
    both = (
        lines.lazy()
        .filter("tonight")
        .select("claim_id", "decision_date", "row", "code", "tonight")
        .join(members.filter(several).lazy().select("claim_id", "member_id"), on="claim_id")
        .select(columns)
        .collect()
    )
    if earlier.height:
        both = pl.concat([both, earlier.select(columns)])
    shared = (
        both.lazy()
        .select(*DAY, "claim_id")
        .unique()
        .group_by(DAY)
        .len()
        .filter(pl.col("len") > 1)
        .select(DAY)
    )
    few = both.lazy().join(shared, on=DAY, how="semi")
    return (
        few.join(few, on=DAY, suffix="_two")
        .filter(
            (pl.col("claim_id") != pl.col("claim_id_two"))
            & (pl.col("tonight") | pl.col("tonight_two"))
        )
        .select(one="row", two="row_two", one_code="code", two_code="code_two")
        .collect()
    )


def _pairs(
    couples: pl.DataFrame, key: pl.Expr, table: pl.DataFrame, lines: pl.DataFrame, number: pl.Enum
) -> pl.DataFrame:
    """The couples of which the first stands and the table has a pair in force on their day."""
    one, two = (_number(pl.col(c), number) for c in ("column_one_code", "column_two_code"))
    keyed = table.select(
        "table_code", "modifier_indicator_code", "start_date", "end_date",
        key=one * len(number.categories) + two,
    ).filter(pl.col("key").is_not_null() & (pl.col("modifier_indicator_code") != "9"))  # fmt: skip
    few = couples.filter(key.is_in(keyed["key"].unique().implode())).with_columns(key=key)
    few = few.filter(~lines["denied"].gather(few["one"]))
    two_row = few["two"]
    return (
        few.select(
            *COUPLE, "key",
            day=lines["decision_date"].gather(two_row),
            hospital=lines["institutional"].gather(two_row),
        )
        .join(keyed.with_columns(hospital=pl.col("table_code") == "hospital"),
              on=["key", "hospital"])
        .filter(
            (pl.col("start_date") <= pl.col("day"))
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("day")))
        )
        .select(*COUPLE, "table_code", "modifier_indicator_code")
    )  # fmt: skip


def _over(
    tonight: pl.DataFrame, couples: pl.DataFrame, limits: pl.DataFrame, number: pl.Enum
) -> pl.DataFrame:
    """``row`` of what is above a limit by itself, or may be with others of its procedure."""
    lowest = (
        number.categories.to_frame("procedure_code")
        .join(
            limits.group_by("procedure_code").agg(pl.col("unit_limit").min()),
            on="procedure_code", how="left", maintain_order="left",
        )["unit_limit"]
    )  # fmt: skip
    limit = lowest.gather(tonight["code"])
    alone = tonight["unit_quantity"] > limit * ONE_UNIT
    again = couples.filter(pl.col("one_code") == pl.col("two_code"))["two"].unique()
    return tonight.select("row").filter(
        limit.is_not_null() & (alone | tonight["row"].is_in(again.implode()))
    )


def _facts(batch: Batch, lines: pl.DataFrame, compared: pl.Series) -> pl.DataFrame:
    """``lines`` with what the rules look at of their claims. Whether a claim pends is told of
    those alone that are compared with another."""
    wanted = pl.col("claim_id").is_in(compared.implode())
    few = batch.with_(
        claims=batch.claims.filter(wanted),
        lines=batch.lines.filter(wanted),
        findings=batch.findings.filter(wanted),
    )
    pends = fates(few).claims.filter(disposition="pended")["claim_id"]
    institutional = pl.col("claim_type_code") == "I"
    claims = batch.claims.select(
        "claim_id", "claim_number", "receipt_number", "member_id", "program_code", "payee_id",
        "claim_type_code", "facility_code", "billing_taxonomy_code",
        corrects=pl.col("frequency_code").is_in(CORRECTIONS, nulls_equal=True),
        facility_number=pl.when(institutional).then("billing_npi"),
        of_claim=pl.coalesce("rendering_npi", "billing_npi"),
    )  # fmt: skip
    through = pl.coalesce("service_through_date", "service_from_date")
    of_tonight = lines.join(claims, on="claim_id", how="left", maintain_order="left", suffix="_c")
    known = [c for c in claims.columns if c in lines.columns and c != "claim_id"]
    return of_tonight.with_columns(
        *(pl.coalesce(c, f"{c}_c").alias(c) for c in known),
        pl.col("corrects").fill_null(value=False),
        days=(through - pl.col("service_from_date")).dt.total_days().fill_null(0) + 1,
        provider_number=pl.coalesce(
            *(["provider_number"] if "provider_number" in lines.columns else []),
            "facility_number", "rendering_npi", "of_claim",
        ),
        pended=pl.col("claim_id").is_in(pends.implode())
        | (pl.col("pended") if "pended" in lines.columns else pl.lit(value=False)).fill_null(
            value=False
        ),
    )  # fmt: skip
