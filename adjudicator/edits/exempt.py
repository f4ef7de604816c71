"""Care that may go on without anyone's leave, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import polars as pl

from adjudicator.categories import benefit_category
from adjudicator.corrections import history_beside
from adjudicator.edits.urgency import URGENCY_COLUMNS, urgency
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference, as_of
from schemas.program import Program, ReferralTerms

LINE = ["claim_id", "line_number"]
ONE_DAY = timedelta(days=1)
EVER = date(9999, 12, 30)

# what it reads of a line and of its claim, beside the urgency's columns
OF_LINE = ["modifier_codes", "decision_date"]
OF_CLAIM = [
    "member_id", "program_code", "claim_type_code", "admission_type_code", "admission_date",
    "statement_from_date", "facility_code", "facility_zip_code",
]  # fmt: skip


def exempted(lines: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """``lines`` (with OF_LINE, OF_CLAIM and URGENCY_COLUMNS) in their circumstances, and why each
    needs no referral, if it doesn't.

    ``because``: in words, null where nothing exempts the line. An emergency (001:1258); the
    program's exempt categories; a stay that an emergency led to (001:4212-4216); urgent care
    outside the service area, or where claim or line tells that no network is at hand
    (001:4168-4173); the program's categories outside the area (dialysis, 001:3322-3327); an
    active treatment in a new member's first days (001:746-750).

    ``area_unknown``: the line is exempt outside the service area, and the program has none in
    force on the day, or the claim no ZIP code.
    """
    programs = reference.programs
    lines = in_circumstances(lines, batch, reference)
    outside = pl.col("area") == "outside"
    categories = pl.col("benefit_category")
    words = [
        (pl.col("emergency"), pl.lit("emergency")),
        (_listed(programs, lambda terms: terms.exempt_categories), categories),
        (pl.col("emergency_date").is_not_null(), pl.lit("stay after an emergency")),
        (pl.col("urgent") & outside, pl.lit("urgent outside the service area")),
        (pl.col("urgent") & _unreachable(batch, programs), pl.lit("urgent, no network at hand")),
        (outside, pl.concat_str(categories, pl.lit(" outside the service area"))),
        (pl.col("transition_days").is_not_null(), pl.lit("active treatment of a new member")),
    ]
    because = pl.coalesce(pl.when(holds).then(word) for holds, word in words)
    return lines.with_columns(because=because).with_columns(
        area_unknown=pl.col("asks_area") & pl.col("area").is_null() & pl.col("because").is_null()
    )


def in_circumstances(lines: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """``lines`` (as ``exempted`` wants them) with what may free them from asking for leave.

    ``emergency`` and ``urgent``, on an institutional claim also any other line of it [j];
    ``benefit_category``; ``area``, inside or outside the service area, of lines that
    ``asks_area``: urgent ones and the program's categories outside it; ``emergency_date``, of the
    emergency that led to the stay; ``coverage_start_date`` and ``transition_days`` of an active
    treatment of a new member; ``zip_code``.
    """
    programs = reference.programs
    institutional = pl.col("claim_type_code") == "I"
    lines = lines.with_columns(
        bill_type="facility_code",
        zip_code=pl.col("facility_zip_code").str.slice(0, 5),
        urgency_code=urgency(programs),
    ).with_columns(
        *(
            (institutional & (pl.col("urgency_code") == kind).any().over("claim_id")).alias(kind)
            | (pl.col("urgency_code") == kind).fill_null(value=False)
            for kind in ("emergency", "urgent")
        ),
        benefit_category=benefit_category(reference.benefit_categories),
    )
    lines = _with_area(lines, reference)
    lines = _with_emergency(lines, batch, reference)
    return _with_transition(lines, reference)


def in_force(asked: pl.DataFrame, table: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """``asked`` with each row of a dated table that is in force on its ``decision_date``."""
    return asked.join(table, on=by).filter(
        (pl.col("start_date") <= pl.col("decision_date"))
        & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("decision_date")))
    )


def listed(
    programs: Mapping[str, Program],
    which: Callable[[ReferralTerms], tuple[str, ...]],
    among: Callable[[tuple[str, ...]], pl.Expr],
) -> pl.Expr:
    """Whether a line is ``among`` that list of its program."""
    return pl.any_horizontal(
        pl.lit(value=False),
        *(
            (pl.col("program_code") == code) & among(which(program.referrals))
            for code, program in sorted(programs.items())
            if which(program.referrals)
        ),
    ).fill_null(value=False)


def _listed(
    programs: Mapping[str, Program], which: Callable[[ReferralTerms], tuple[str, ...]]
) -> pl.Expr:
    return listed(programs, which, pl.col("benefit_category").is_in)


def _unreachable(batch: Batch, programs: Mapping[str, Program]) -> pl.Expr:
    """Whether a modifier of the line, or a condition of its claim, tells that none is at hand."""
    codes = {c for p in programs.values() for c in p.referrals.unreachable_condition_codes}
    claims = batch.occurrences.filter(
        (pl.col("qualifier_code") == "BG") & pl.col("code").is_in(sorted(codes))
    )["claim_id"]
    modifiers = pl.col("modifier_codes").str.split(":")
    return pl.col("claim_id").is_in(claims.unique().implode()) | listed(
        programs,
        lambda terms: terms.unreachable_modifiers,
        lambda codes: modifiers.list.eval(pl.element().is_in(codes)).list.any(),
    )


def _with_area(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``area``, inside or outside the service area, of the lines that ``asks_area``."""
    lines = lines.with_columns(
        asks_area=pl.col("urgent")
        | _listed(reference.programs, lambda terms: terms.out_of_area_categories)
    ).with_columns(zip_code=pl.when("asks_area").then("zip_code"))
    on = ["program_code", "zip_code", "decision_date"]
    asked = lines.filter("asks_area").select(on).unique()
    if asked.is_empty():
        return lines.with_columns(area=pl.lit(None, pl.String))
    area = reference.tables["service_area"]
    loaded = in_force(asked, area.drop("zip_code").unique(), ["program_code"])
    inside = in_force(asked, area, ["program_code", "zip_code"])
    told = (
        asked.filter(pl.col("zip_code").is_not_null())
        .join(loaded.select(on), on=on, how="semi")
        .join(inside.select(on).unique().with_columns(inside=True), on=on, how="left")
        .select(*on, area=pl.when("inside").then(pl.lit("inside")).otherwise(pl.lit("outside")))
    )
    return lines.join(told, on=on, how="left", maintain_order="left")


def _with_emergency(lines: pl.DataFrame, batch: Batch, reference: Reference) -> pl.DataFrame:
    """``emergency_date``: of the emergency that led to the stay a line belongs to.

    Of the member, on the day of admission or the day before [j]: on any claim of tonight, or in
    history by its code alone.
    """
    stays = lines.filter(
        _listed(reference.programs, lambda terms: terms.hospital_categories) & ~pl.col("emergency")
    ).select(
        *LINE,
        "member_id",
        day=pl.coalesce("admission_date", "statement_from_date", "decision_date"),
    )
    if stays.is_empty():
        return lines.with_columns(emergency_date=pl.lit(None, pl.Date))
    members = stays["member_id"].unique().implode()
    tonight = (
        batch.claims.filter(pl.col("member_id").is_in(members))
        .select(
            "claim_id", "member_id", "program_code", "claim_type_code", "admission_type_code",
            "admission_date",
        )
        .join(batch.lines.select("claim_id", "decision_date", *URGENCY_COLUMNS), on="claim_id")
        .filter(urgency(reference.programs) == "emergency")
        .select("member_id", emergency_date=pl.coalesce("admission_date", "decision_date"))
    )  # fmt: skip
    codes = {
        code
        for program in reference.programs.values()
        for code in (*program.emergency.procedure_codes, *program.emergency.revenue_codes)
    }
    earlier = (
        history_beside(batch)
        .filter(pl.col("member_id").is_in(members) & pl.col("procedure_code").is_in(sorted(codes)))
        .select("member_id", emergency_date="service_from_date")
    )
    led = (
        stays.join(pl.concat([tonight, earlier]).unique(), on="member_id")
        .filter(pl.col("emergency_date").is_between(pl.col("day") - ONE_DAY, pl.col("day")))
        .group_by(LINE)
        .agg(pl.col("emergency_date").max())
    )
    return lines.join(led, on=LINE, how="left", maintain_order="left")


def _with_transition(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """``coverage_start_date`` and ``transition_days`` of a line of an active treatment that may
    go on: in so many days from the first of the member's unbroken coverage by the program."""
    who = ["member_id", "program_code"]
    statuses = reference.tables["special_statuses"].filter(status_code="active_treatment")
    asked = (
        in_force(lines.select(*who, "decision_date").unique(), statuses, ["member_id"])
        .select(*who, "decision_date")
        .unique()
    )
    if asked.is_empty():
        return lines.with_columns(
            coverage_start_date=pl.lit(None, pl.Date), transition_days=pl.lit(None, pl.Int64)
        )
    spans = (
        reference.tables["coverage"]
        .join(asked, on=who, how="semi")
        .sort(*who, "start_date")
        .with_columns(covered_until=pl.col("end_date").fill_null(EVER).cum_max().shift(1).over(who))
        .with_columns(
            coverage_start_date=pl.when(
                pl.col("covered_until").is_null()
                | (pl.col("start_date") > pl.col("covered_until") + ONE_DAY)
            ).then("start_date")
        )
        .with_columns(pl.col("coverage_start_date").forward_fill().over(who))
        .select(*who, "start_date", "end_date", "coverage_start_date")
    )
    days = {code: p.referrals.transition_days for code, p in reference.programs.items()}
    told = (
        as_of(asked, spans, on="decision_date", by=who)
        .with_columns(
            transition_days=pl.col("program_code").replace_strict(
                days, default=None, return_dtype=pl.Int64
            )
        )
        .filter(
            pl.col("decision_date")
            < pl.col("coverage_start_date") + pl.duration(days="transition_days")
        )
    )
    return lines.join(told, on=[*who, "decision_date"], how="left", maintain_order="left")
