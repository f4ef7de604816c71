from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from adjudicator.edits.coding import LINE, ONE_UNIT, Candidates, asked_lines, candidates
from adjudicator.edits.edit import edit
from adjudicator.edits.policies import NOTHING, carrying, holds, versions
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.policy import ClaimEditing
from schemas.program import Citation

PRACTITIONER, HOSPITAL, SUPPLIER = "practitioner", "hospital", "supplier"
TOLD = 5

# what a finding tells; of one rule only some of it
INPUTS: dict[str, pl.DataType] = {
    "rule": pl.String(),
    "table": pl.String(),
    "decision_date": pl.Date(),
    "procedure_code": pl.String(),
    "other_code": pl.String(),
    "other_claim": pl.String(),
    "other_line": pl.Int64(),
    "modifier_indicator_code": pl.String(),
    "edit_type_code": pl.String(),
    "primary_codes": pl.String(),
    "adjudication_indicator_code": pl.String(),
    "unit_limit": pl.Int64(),
    "billed_quantity": pl.Int64(),
    "earlier_quantity": pl.Int64(),
    "tables": pl.List(pl.Struct({"table": pl.String, "first_day": pl.Date, "last_day": pl.Date})),
}


@edit(
    disposition="deny",
    group_code="CO",
    carc="236",
    other_codes=(("CO", "B15"), ("CO", "151")),
    pend_code="REVIEW",
    across_night=True,
    judgement=True,
    cites=Citation(
        document="001",
        lines=(2055, 2055),
        phrase="Services were billed using appropriate procedure codes",
    ),
)
def ncci(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Medicare's correct coding edits: procedure pairs, units, add-on codes.

    The manual names none of them, but takes Medicare's guidelines for its own (001:4227-4231) [j].
    Each by the row in force on the line's day, of lines of one member, day and provider (of a
    professional line who rendered it, of an institutional one the facility), on one claim, another
    of the night or one of history. Professional claims go by the practitioner tables, bill types
    that the policy lists by the hospital's; suppliers have units alone.

    *Pairs*: beside a column one code that stands, its column two code is denied CO-236, unless the
    pair's indicator is 9, or 1 and one of the two lines carries a modifier of the policy's list.
    Where the column two code was paid on an earlier night and the column one code comes now, the
    line pends REVIEW: a person has ``reprocess`` (cause review) take the former back, or lets both
    be paid [j].
    *Units*: above the limit, CO-151 N362. Indicator 1: of the line; 2 and 3: of the day, in receipt
    order, with what was paid before; a line of several days by its average [j]. Units in minutes
    are not counted.
    *Add-on codes*: without a primary code that isn't denied, of the same payee [j], CO-B15. Where
    not all primary codes are listed (types 2 and 3), any procedure that is no add-on code serves
    as one [j].

    Pended claims count for no other claim, but their procedures for add-on codes; claims that
    correct another are looked at by themselves, and voids not at all. Where a table is loaded, but
    not for the day, the edit doesn't run, and an informational finding tells its last day.
    """
    policies = versions(reference, "ncci")
    if reference.coding_tables.is_empty() or not policies:
        return NOTHING
    asked = asked_lines(batch)
    if asked.is_empty():
        return NOTHING
    few = candidates(batch, reference, asked)
    found = [
        each
        for code, policy in policies
        for each in (
            *_of_version(reference, few, code, policy),
            _not_in_force(batch, reference, asked, code, policy),
        )
        if each.height
    ]
    return pl.concat(found).lazy() if found else NOTHING


# ---- the rules, by a version of the policy -----------------------------------------------------


def _of_version(
    reference: Reference, few: Candidates, code: str, policy: ClaimEditing
) -> Iterator[pl.DataFrame]:
    """Findings of pairs, then units, then add-on codes: each looks at what the former leave."""
    supplier = pl.col("billing_taxonomy_code").is_in(policy.supplier_taxonomy_codes)
    hospital = pl.col("facility_code").is_in(policy.hospital_bill_types)
    facts = few.facts.with_columns(
        ours=holds(code, policy) & pl.col("tonight"),
        table_code=pl.when(claim_type_code="P")
        .then(
            pl.when(supplier.fill_null(value=False))
            .then(pl.lit(SUPPLIER))
            .otherwise(pl.lit(PRACTITIONER))
        )
        # of a claim of history nothing but its kind is known
        .when(hospital | ~pl.col("tonight"))
        .then(pl.lit(HOSPITAL)),
        separate=carrying(few.facts["modifier_codes"], policy.separating_modifiers),
    )
    pairs = _pairs(few.pairs, facts)
    yield pairs
    facts = _without(facts, pairs)
    units = _units(few.units, facts, reference.tables["unit_limits"])
    yield units
    facts = _without(facts, units)
    yield _add_ons(few, facts, reference.tables["add_on_codes"], policy)


def _without(facts: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The facts, with the lines found now among the denied."""
    now = found.filter(disposition="deny").select(*LINE, _now=pl.lit(value=True))
    return facts.join(now, on=LINE, how="left", maintain_order="left").select(
        pl.exclude("denied", "_now"),
        denied=pl.col("denied") | pl.col("_now").fill_null(value=False),
    )


def _beside(couples: pl.DataFrame, facts: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Couples with those facts of both lines, the second's under ``<name>_two``."""
    wanted = facts.select(columns)
    two = wanted[couples["two"]]
    return couples.hstack(wanted[couples["one"]]).hstack(
        two.rename({c: f"{c}_two" for c in columns})
    )


def _in_force(day: str) -> pl.Expr:
    return (pl.col("start_date") <= pl.col(day)) & (
        pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col(day))
    )


def _inputs(**known: pl.Expr) -> pl.Expr:
    return pl.struct(
        known.get(name, pl.lit(None)).cast(kind).alias(name) for name, kind in INPUTS.items()
    )


def _finding(inputs: pl.Expr, disposition: str, carc: str | None, rarc: str | None = None,
             ) -> dict[str, pl.Expr]:  # fmt: skip
    return {
        "disposition": pl.lit(disposition),
        "group_code": pl.lit("CO" if carc else None, pl.String),
        "carc": pl.lit(carc, pl.String),
        "rarc": pl.lit(rarc, pl.String),
        "pend_code": pl.lit("REVIEW" if disposition == "pend" else None, pl.String),
        "inputs": inputs,
    }


def _pairs(couples: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    looked_at = ["claim_id", "table_code", "provider_number", "separate", "pended"]
    same_claim = pl.col("claim_id") == pl.col("claim_id_two")
    rows = (
        _beside(couples.rename({"table_code": "table"}), facts, looked_at)
        .filter(
            (pl.col("table") == pl.col("table_code"))
            & (pl.col("table") == pl.col("table_code_two"))
            & (pl.col("provider_number") == pl.col("provider_number_two"))
            & (same_claim | ~pl.col("pended"))
            & (
                (pl.col("modifier_indicator_code") == "0")
                | ~(pl.col("separate") | pl.col("separate_two"))
            )
        )
        .select("one", "two", "table", "modifier_indicator_code", same_claim=same_claim)
    )
    told_of = [*LINE, "tonight", "pended", "ours", "receipt_number", "procedure_code",
               "decision_date", "claim_number"]  # fmt: skip
    rows = _beside(rows, facts, told_of)
    told = {n: pl.col(n) for n in ("table", "decision_date", "modifier_indicator_code")}
    two = [f"{c}_two" for c in LINE]
    denied = (
        rows.filter("ours_two")
        .sort(*two, ~pl.col("same_claim"), "receipt_number", *LINE)
        .unique(two, keep="first", maintain_order=True)
        .select(
            claim_id="claim_id_two",
            line_number="line_number_two",
            **_finding(
                _inputs(
                    rule=pl.lit("pair"), **told,
                    procedure_code=pl.col("procedure_code_two"),
                    other_code=pl.col("procedure_code"),
                    other_claim=pl.when(~pl.col("same_claim")).then("claim_number"),
                    other_line=pl.col("line_number"),
                ),
                "deny", "236",
            ),
        )
    )  # fmt: skip
    paid_before = (
        rows.filter(pl.col("ours") & ~pl.col("tonight_two") & ~pl.col("pended_two"))
        .sort(*LINE, "receipt_number_two", *two)
        .unique(LINE, keep="first", maintain_order=True)
        .select(
            *LINE,
            **_finding(
                _inputs(
                    rule=pl.lit("pair paid before"), **told,
                    procedure_code=pl.col("procedure_code"),
                    other_code=pl.col("procedure_code_two"),
                    other_claim=pl.col("claim_number_two"),
                    other_line=pl.col("line_number_two"),
                ),
                "pend", None,
            ),
        )
    )  # fmt: skip
    return pl.concat([denied, paid_before])


def _units(rows: pl.DataFrame, facts: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    in_units = pl.col("unit_basis_code").fill_null("UN").eq("UN")
    looked_at = facts.select(
        *LINE, "ours", "tonight", "pended", "denied", "corrects", "table_code", "member_id",
        "provider_number", "claim_type_code", "procedure_code", "decision_date", "days",
        "receipt_number", "unit_quantity", "unit_basis_code",
    )  # fmt: skip
    tonight = looked_at[rows["row"]]
    counted = pl.concat([tonight, looked_at.filter(~pl.col("tonight"))]).filter(
        pl.col("unit_quantity").is_not_null() & in_units & ~pl.col("denied")
    )
    limited = (
        counted.filter("ours")
        .join(table, on=["table_code", "procedure_code"])
        .filter(_in_force("decision_date"))
        .with_columns(
            limit_quantity=pl.col("unit_limit") * ONE_UNIT,
            by_line=(pl.col("adjudication_indicator_code") == "1") | (pl.col("days") > 1),
            # a correction is counted by itself
            alone=pl.when("corrects").then("claim_id"),
        )
    )
    of_line = (
        limited.filter("by_line")
        .filter(pl.col("unit_quantity") > pl.col("limit_quantity") * pl.col("days"))
        .with_columns(billed="unit_quantity", earlier=pl.lit(0, pl.Int64))
    )
    of_day = _above_by_day(
        limited.filter(~pl.col("by_line")),
        counted.filter(~pl.col("tonight") & ~pl.col("pended") & (pl.col("days") == 1)),
    )
    columns = [
        *LINE, "table_code", "decision_date", "procedure_code", "adjudication_indicator_code",
        "unit_limit", "billed", "earlier",
    ]  # fmt: skip
    return (
        pl.concat([of_line.select(columns), of_day.select(columns)])
        .sort(LINE)
        .select(
            *LINE,
            **_finding(
                _inputs(
                    rule=pl.lit("units"),
                    table=pl.col("table_code"),
                    decision_date=pl.col("decision_date"),
                    procedure_code=pl.col("procedure_code"),
                    adjudication_indicator_code=pl.col("adjudication_indicator_code"),
                    unit_limit=pl.col("unit_limit"),
                    billed_quantity=pl.col("billed"),
                    earlier_quantity=pl.col("earlier"),
                ),
                "deny", "151", "N362",
            ),
        )
    )  # fmt: skip


def _above_by_day(limited: pl.DataFrame, paid: pl.DataFrame) -> pl.DataFrame:
    """The lines of each claim whose units of a day, with those let through before it in receipt
    order and those ``paid`` on earlier nights, come to more than the limit."""
    who = ["member_id", "provider_number", "claim_type_code", "procedure_code", "decision_date"]
    day = [*who, "table_code", "alone"]
    claims = limited.group_by(*day, "receipt_number", "claim_id", "pended", "limit_quantity").agg(
        billed=pl.col("unit_quantity").sum()
    )
    before = (
        paid.group_by(who).agg(paid=pl.col("unit_quantity").sum())
        if paid.height
        else paid.select(*who, paid="unit_quantity")
    )
    claims = claims.join(before, on=who, how="left").with_columns(
        paid=pl.when(pl.col("alone").is_null()).then("paid").fill_null(0)
    )
    of_day = pl.struct(day)
    above = claims.filter(
        pl.col("paid") + pl.col("billed").sum().over(of_day) > pl.col("limit_quantity")
    )
    found: list[dict[str, object]] = []
    let_through: dict[tuple[object, ...], int] = {}
    # few: the days above their limit
    for row in above.sort("receipt_number", "claim_id").iter_rows(named=True):
        key = tuple(row[c] for c in day)
        earlier = let_through.setdefault(key, row["paid"])
        if earlier + row["billed"] > row["limit_quantity"]:
            found.append({**row, "earlier": earlier})
        elif not row["pended"]:  # what pends consumes nothing
            let_through[key] = earlier + row["billed"]
    by = ["claim_id", "provider_number", "procedure_code", "decision_date"]
    told = pl.DataFrame(found, schema={**above.schema, "earlier": pl.Int64})
    return limited.join(told.select(*by, "billed", "earlier"), on=by)


def _add_ons(
    few: Candidates, facts: pl.DataFrame, table: pl.DataFrame, policy: ClaimEditing
) -> pl.DataFrame:
    columns = [*LINE, "decision_date", "procedure_code", "ours"]
    asked = (
        facts.select(columns)[few.add_ons["row"]]
        .filter("ours")
        .join(table, left_on="procedure_code", right_on="add_on_code")
        .filter(_in_force("decision_date"))
        .sort(*LINE, "edit_type_code", "primary_code")
    )
    if asked.is_empty():
        return asked.select(*LINE, **_finding(_inputs(), "deny", "B15"))
    closed = pl.col("edit_type_code").is_in(policy.closed_add_on_types)
    kinds = asked.group_by(LINE, maintain_order=True).agg(
        pl.col("edit_type_code", "decision_date", "procedure_code").first(),
        closed.all().alias("closed"),
        pl.col("primary_code").head(TOLD).str.join(", ").alias("primary_codes"),
    )
    standing = _beside(few.beside, facts, [*LINE, "denied", "payee_id", "procedure_code"]).filter(
        ~pl.col("denied") & (pl.col("payee_id") == pl.col("payee_id_two"))
    )
    two = [f"{c}_two" for c in LINE]
    listed = standing.join(
        asked.select(*LINE, procedure_code="primary_code"),
        left_on=[*two, "procedure_code"], right_on=[*LINE, "procedure_code"], how="semi",
    )  # fmt: skip
    # where not all primary codes are listed, any that is no add-on code
    any_other = standing.filter(
        ~pl.col("procedure_code").is_in(table["add_on_code"].unique().implode())
    ).join(kinds.filter(~pl.col("closed")), left_on=two, right_on=LINE, how="semi")
    beside = pl.concat([listed.select(two), any_other.select(two)])
    return (
        kinds.join(beside, left_on=LINE, right_on=two, how="anti")
        .sort(LINE)
        .select(
            *LINE,
            **_finding(
                _inputs(
                    rule=pl.lit("add-on"),
                    decision_date=pl.col("decision_date"),
                    procedure_code=pl.col("procedure_code"),
                    edit_type_code=pl.col("edit_type_code"),
                    primary_codes=pl.when("closed").then("primary_codes"),
                ),
                "deny", "B15",
            ),
        )
    )  # fmt: skip


# ---- tables that do not hold on the day --------------------------------------------------------

# the tables that a claim goes by
GOES_BY = {
    PRACTITIONER: (("procedure_pairs", PRACTITIONER), ("unit_limits", PRACTITIONER)),
    HOSPITAL: (("procedure_pairs", HOSPITAL), ("unit_limits", HOSPITAL)),
    SUPPLIER: (("unit_limits", SUPPLIER),),
}
FOR_ALL = ("add_on_codes", None)


def _not_in_force(
    batch: Batch, reference: Reference, asked: pl.DataFrame, code: str, policy: ClaimEditing
) -> pl.DataFrame:
    """An informational finding for each claim with a line on a day on which a loaded table that
    it goes by does not hold."""
    days = asked["decision_date"].unique()
    missing = _missing(reference.coding_tables, days)
    nothing = asked.clear().select(*LINE, **_finding(_inputs(), "inform", None))
    if missing.is_empty():
        return nothing
    supplier = pl.col("billing_taxonomy_code").is_in(policy.supplier_taxonomy_codes)
    claims = batch.claims.select(
        "claim_id", "program_code",
        goes_by=pl.when(claim_type_code="P")
        .then(pl.when(supplier.fill_null(value=False)).then(pl.lit(SUPPLIER))
              .otherwise(pl.lit(PRACTITIONER)))
        .when(pl.col("facility_code").is_in(policy.hospital_bill_types)).then(pl.lit(HOSPITAL)),
    )  # fmt: skip
    first = (
        asked.filter(pl.col("decision_date").is_in(missing["decision_date"].unique().implode()))
        .join(claims.drop_nulls("goes_by"), on="claim_id", maintain_order="left")
        .filter(holds(code, policy))
        .join(missing, on=["goes_by", "decision_date"])
        .sort("claim_id", "decision_date", "table")
        .unique(["claim_id", "table"], keep="first", maintain_order=True)
    )
    return (
        first.group_by("claim_id", maintain_order=True)
        .agg(
            pl.col("decision_date").first(),
            tables=pl.struct("table", "first_day", "last_day"),
        )
        .select(
            "claim_id",
            line_number=pl.lit(None, pl.Int64),
            **_finding(
                _inputs(
                    rule=pl.lit("not in force"),
                    decision_date=pl.col("decision_date"),
                    tables=pl.col("tables"),
                ),
                "inform", None,
            ),
        )
        if first.height
        else nothing
    )  # fmt: skip


def _missing(loaded: pl.DataFrame, days: pl.Series) -> pl.DataFrame:
    """``goes_by``, ``decision_date`` and ``table`` where a table that is loaded doesn't hold on
    the day; with the first and last day that it does hold on, null: open."""
    rows = []
    for goes_by, tables in GOES_BY.items():
        for name, table_code in (*tables, FOR_ALL):
            spans = loaded.filter(
                (pl.col("table") == name) & pl.col("table_code").eq_missing(pl.lit(table_code))
            )
            covered = pl.any_horizontal(
                pl.lit(value=False),
                *(
                    (pl.col("decision_date") >= start)
                    & (pl.lit(value=True) if end is None else pl.col("decision_date") <= end)
                    for start, end in spans.select("start_date", "end_date").iter_rows()
                ),
            )
            last = None if spans["end_date"].null_count() else spans["end_date"].max()
            if spans.height:
                rows.append(
                    days.to_frame("decision_date").filter(~covered).select(
                        goes_by=pl.lit(goes_by),
                        decision_date="decision_date",
                        table=pl.lit(" ".join(filter(None, (name, table_code)))),
                        first_day=pl.lit(spans["start_date"].min(), pl.Date),
                        last_day=pl.lit(last, pl.Date),
                    )
                )  # fmt: skip
    return pl.concat(rows) if rows else pl.DataFrame()
