from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from adjudicator.edits.edit import edit
from adjudicator.edits.exempt import in_force
from adjudicator.other_payers import documented, of_terms, other_payers
from adjudicator.pipeline import Batch
from adjudicator.reference import Reference
from schemas.program import Citation, CoordinationTerms, Program

LINE = ["claim_id", "line_number"]


@edit(
    disposition="deny",
    group_code="CO",
    carc="21",
    pend_code="COB",
    other_codes=(("CO", "19"),),
    cites=Citation(
        document="001",
        lines=(2351, 2352),
        phrase="The auto insurance coverage is primary for the full PIP coverage",
    ),
)
def accident_primary(batch: Batch, reference: Reference) -> pl.LazyFrame:
    """Of a motor accident or of work, and the insurer that pays first has not been heard.

    A motor accident, or an auto insurer before us on the claim: CO-21, until a dated notice of
    that insurer is there (001:2355, 001:2379), its decision is on the claim, or its coverage in
    the member's file held on the day of the accident, which the claim tells, and had ended before
    the line's day [j]. A bill that asks for payment on condition:
    with N726 (001:2386) [j]. Of work: CO-19 where workers' compensation is known, on the claim or
    in the file; else as the program's terms say, it waits or is denied [j].
    """
    programs = reference.programs
    of_auto = _of_accident(batch, programs, lambda terms: terms.auto_codes)
    of_work = _of_accident(batch, programs, lambda terms: terms.work_codes)
    others = other_payers(batch, reference).filter("before")
    auto, work = (others.filter(kind=kind) for kind in ("auto", "work"))
    silent = {"auto": auto.filter(~pl.col("decided")), "work": work.filter(~pl.col("decided"))}
    asked = {
        "auto": pl.concat([of_auto, silent["auto"].select("claim_id")])
        .join(auto.filter("decided"), on="claim_id", how="anti")
        .join(documented(batch, reference, "auto_notice"), on="claim_id", how="anti"),
        "work": pl.concat([of_work, silent["work"].select("claim_id")])
        .join(work.filter("decided"), on="claim_id", how="anti")
        .join(documented(batch, reference, "eob"), on="claim_id", how="anti"),
    }
    claims = pl.concat(
        [rows.select("claim_id", insurer=pl.lit(name)) for name, rows in asked.items()]
    ).unique("claim_id", keep="first", maintain_order=True)
    if claims.is_empty():
        return pl.LazyFrame(schema={**dict.fromkeys(LINE, pl.Int64), "inputs": pl.Struct({})})
    lines = (
        batch.lines.select(*LINE, "decision_date")
        .join(claims, on="claim_id", maintain_order="left")
        .join(batch.claims.select("claim_id", "member_id", "program_code"), on="claim_id",
              maintain_order="left")
        .join(_accident_days(batch, programs), on="claim_id", how="left", maintain_order="left")
    )  # fmt: skip
    lines = _with_file(lines, reference).with_columns(
        on_claim=pl.col("claim_id").is_in(silent["work"]["claim_id"].unique().implode()),
        conditional=pl.col("claim_id").is_in(_conditional(batch, programs).implode()),
        denies=pl.col("program_code").is_in(
            [c for c, p in programs.items()
             if p.coordination and p.coordination.work_related_disposition == "deny"]
        ),
    )  # fmt: skip
    is_auto = pl.col("insurer") == "auto"
    known = pl.col("on_claim") | pl.col("covered")
    denied = is_auto | known | pl.col("denies")
    return (
        lines.filter(~(is_auto & pl.col("used_up")))
        .lazy()
        .select(
            *LINE,
            pl.when(denied).then(pl.lit("deny")).otherwise(pl.lit("pend")).alias("disposition"),
            pl.when(denied).then(pl.lit("CO")).alias("group_code"),
            pl.when(is_auto).then(pl.lit("21")).when(denied).then(pl.lit("19")).alias("carc"),
            pl.when(is_auto & pl.col("conditional")).then(pl.lit("N726")).alias("rarc"),
            pl.when(~denied).then(pl.lit("COB")).alias("pend_code"),
            pl.struct(
                "insurer",
                "decision_date",
                "payer_name",
                conditional=is_auto & pl.col("conditional"),
            ).alias("inputs"),
        )
    )


def _of_accident(
    batch: Batch,
    programs: Mapping[str, Program],
    which: Callable[[CoordinationTerms], Mapping[str, tuple[str, ...]]],
) -> pl.DataFrame:
    """``claim_id`` of the claims that tell of such an accident, by the codes of their program."""
    told = pl.any_horizontal(
        pl.lit(value=False),
        *(
            (pl.col("program_code") == code)
            & (pl.col("qualifier_code") == qualifier)
            & pl.col("code").is_in(codes)
            for code, program in sorted(programs.items())
            if program.coordination
            for qualifier, codes in which(program.coordination).items()
        ),
    )
    if batch.occurrences.is_empty():
        return pl.DataFrame(schema={"claim_id": pl.Int64})
    # an accident is told of few claims: their program is looked up then
    codes = {
        code
        for program in programs.values()
        if program.coordination
        for codes in which(program.coordination).values()
        for code in codes
    }
    return (
        batch.occurrences.filter(pl.col("code").is_in(codes))
        .join(batch.claims.select("claim_id", "program_code"), on="claim_id")
        .filter(told)
        .select("claim_id")
        .unique(maintain_order=True)
    )


def _accident_days(batch: Batch, programs: Mapping[str, Program]) -> pl.DataFrame:
    """``claim_id``, ``accident_date``: as the claim tells it (DTP 439), or its first occurrence of
    a motor accident."""
    codes = {
        code
        for program in programs.values()
        if program.coordination
        for code in program.coordination.auto_codes.get("BH", ())
    }
    dated = (
        batch.occurrences.filter((pl.col("qualifier_code") == "BH") & pl.col("code").is_in(codes))
        .group_by("claim_id")
        .agg(occurrence_date=pl.col("from_date").min())
    )
    return (
        batch.claims.select("claim_id", "accident_date")
        .join(dated, on="claim_id", how="left")
        .select("claim_id", accident_date=pl.coalesce("accident_date", "occurrence_date"))
    )


def _conditional(batch: Batch, programs: Mapping[str, Program]) -> pl.Series:
    """The claims that ask for payment on condition: such a value code, and an amount of nothing."""
    return (
        batch.occurrences.filter(
            (pl.col("qualifier_code") == "BE") & (pl.col("value_amount").fill_null(0) == 0)
        )
        .join(batch.claims.select("claim_id", "program_code"), on="claim_id")
        .filter(of_terms(programs, lambda terms: terms.conditional_value_codes, "code"))["claim_id"]
        .unique()
    )


def _with_file(lines: pl.DataFrame, reference: Reference) -> pl.DataFrame:
    """Of the insurer that pays first, as the member's file knows it: ``covered`` on the day, and
    by whom (``payer_name``); ``used_up``: it was on the day of the accident, and ended before."""
    programs = reference.programs
    coverage = reference.tables["other_coverage"].filter(position_code="before")
    mine = lines.join(coverage, on="member_id").filter(
        ((pl.col("insurer") == "auto") & of_terms(programs, lambda t: t.auto_kinds, "kind_code"))
        | ((pl.col("insurer") == "work") & of_terms(programs, lambda t: t.work_kinds, "kind_code"))
    )
    covered = in_force(mine.select(lines.columns), coverage, ["member_id"]).join(
        mine.select(*LINE, "kind_code").unique(), on=[*LINE, "kind_code"], how="semi"
    )
    # one that had ended before the accident tells nothing of the insurer that pays for it
    ended = mine.filter(
        (pl.col("end_date") < pl.col("decision_date"))
        & pl.col("accident_date").is_between(pl.col("start_date"), pl.col("end_date"))
    ).join(covered, on=LINE, how="anti")
    return (
        lines.join(
            covered.sort(*LINE, "payer_name").unique(LINE, keep="first", maintain_order=True)
            .select(*LINE, "payer_name", covered=True),
            on=LINE, how="left", maintain_order="left",
        )
        .join(ended.select(*LINE, used_up=True).unique(), on=LINE, how="left",
              maintain_order="left")
        .with_columns(pl.col("covered", "used_up").fill_null(value=False))
    )  # fmt: skip
