"""Identify: who the member is, which plan and contract hold, whom we pay."""

from __future__ import annotations

import polars as pl

from adjudicator.pipeline import Batch
from adjudicator.reference import Reference, as_of, of_bill_types

SUFFIX_DIGITS = 2  # the number suffix of a card [j]: 001:2659 names it, not its length

CLAIM = ["member_id", "member_match_code", "family_id", "program_code", "payee_id", "provider_id"]
LINE = ["coverage_code", "plan_code", "contract_id", "network_code", "decision_date"]


def identify(batch: Batch, reference: Reference) -> Batch:
    """Claims → IdentifiedClaims, Lines → IdentifiedLines; rows keep their order and number.

    A line's date is its service from, else its claim's statement from, else admission; a claim's
    date that of its first line.

    Member: by card number and birth date (001:1496). The number is read with or without its
    alpha prefix and number suffix (001:2657-2661): a prefix on both sides must agree, and the
    number as sent comes before the number without its last two digits. Several members of one
    number and birth date are told apart by first name. Names are compared without case, spaces
    or punctuation, and decide nothing but ``member_match_code``.

    Program: of the coverage in force on the claim's date, else the member's latest; where there
    are two, the one whose payer the claim names. No coverage at all: the program whose payer the
    claim names, else the first by code [j].

    Coverage and plan: of that program, on the line's date; a hospital stay's on the day of
    admission (program's ``hospital_stay_bill_types``). Covered in another program, or never: the
    line lies before, after or in a gap of this one.

    Payee: of the provider in force on the claim's date with the billing NPI; several of one NPI
    are told apart by tax number. Not in force, or two payees left: none.

    Contract: of payee and program on the line's date; without one the line is out of network. The
    table ``networks`` says where a payee's place in the line's plan is another on that date.

    Raises ValueError where no program is loaded, or coverage names one that is not.
    """
    if not reference.programs:
        raise ValueError("no program is loaded; load at least one")
    claims = batch.claims.drop(CLAIM, strict=False)
    lines = batch.lines.drop(LINE, strict=False)
    decision_date = _decision_dates(claims, lines)
    dated = claims.with_columns(claim_date=_claim_dates(claims, lines, decision_date))
    found = batch.found_members
    if found.height < claims.height:
        found = find_members(claims, reference.tables["members"])
    dated = dated.hstack(found.drop("claim_id"))
    dated = dated.with_columns(_program_codes(dated, reference))
    dated = dated.hstack(_payees(dated, reference.tables["providers"]))
    return batch.with_(
        claims=claims.hstack(dated.select(CLAIM)),
        lines=lines.hstack(_lines(dated, lines, decision_date, reference)),
        found_members=found.clear(),
    )


def _decision_dates(claims: pl.DataFrame, lines: pl.DataFrame) -> pl.Series:
    return (
        lines.select("claim_id", "service_from_date")
        .join(
            claims.select("claim_id", "statement_from_date", "admission_date"),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
        .select(
            pl.coalesce("service_from_date", "statement_from_date", "admission_date").alias(
                "decision_date"
            )
        )
        .to_series()
    )


def _claim_dates(claims: pl.DataFrame, lines: pl.DataFrame, decision_date: pl.Series) -> pl.Series:
    first = (
        lines.select("claim_id", "line_number", decision_date)
        .sort("claim_id", "line_number")
        .unique("claim_id", keep="first", maintain_order=True)
    )
    return (
        claims.select("claim_id", "statement_from_date", "admission_date")
        .join(first, on="claim_id", how="left", maintain_order="left")
        .select(pl.coalesce("decision_date", "statement_from_date", "admission_date"))
        .to_series()
    )


def find_members(claims: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """``claim_id``, ``member_id``, ``member_match_code`` and ``family_id`` of each claim."""
    sent = claims.select("claim_id", *_card("subscriber_number"), birth_date="patient_birth_date")
    enrolled = members.select(
        "member_id",
        "family_id",
        "first_name",
        "last_name",
        "birth_date",
        *(expression.name.prefix("enrolled_") for expression in _card("card_number")),
    )

    def on_card(keys: pl.DataFrame) -> pl.DataFrame:
        return keys.join(
            enrolled,
            left_on=["number", "birth_date"],
            right_on=["enrolled_number", "birth_date"],
        ).filter(
            (pl.col("prefix") == "")
            | (pl.col("enrolled_prefix") == "")
            | (pl.col("prefix") == pl.col("enrolled_prefix"))
        )

    sent = sent.filter(pl.col("number") != "")
    as_sent = on_card(sent)
    shortened = sent.join(as_sent, on="claim_id", how="anti").with_columns(
        pl.col("number").str.head(-SUFFIX_DIGITS)
    )
    found = (
        pl.concat([as_sent, on_card(shortened.filter(pl.col("number") != ""))])
        .join(claims.select("claim_id", "patient_first_name", "patient_last_name"), on="claim_id")
        .with_columns(
            first_agrees=_plain("first_name").eq_missing(_plain("patient_first_name")),
            last_agrees=_plain("last_name").eq_missing(_plain("patient_last_name")),
        )
        .with_columns(
            count=pl.len().over("claim_id"), named=pl.col("first_agrees").sum().over("claim_id")
        )
    )
    chosen = found.filter(
        (pl.col("count") == 1) | ((pl.col("named") == 1) & pl.col("first_agrees"))
    )
    several = pl.col("claim_id").is_in(found["claim_id"].unique().implode())
    return (
        claims.select("claim_id")
        .join(
            chosen.select(
                "claim_id",
                "member_id",
                "family_id",
                pl.when(pl.col("first_agrees") & pl.col("last_agrees"))
                .then(pl.lit("found"))
                .otherwise(pl.lit("name"))
                .alias("member_match_code"),
            ),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
        .select(
            "claim_id",
            "member_id",
            pl.coalesce(
                "member_match_code",
                pl.when(several).then(pl.lit("several")).otherwise(pl.lit("none")),
            ),
            "family_id",
        )
    )


def _card(column: str) -> tuple[pl.Expr, pl.Expr]:
    """A card number's alpha prefix and the rest of it, without punctuation."""
    plain = pl.col(column).str.to_uppercase().str.replace_all(r"[^A-Z0-9]", "")
    return (
        plain.str.extract(r"^([A-Z]*)").alias("prefix"),
        plain.str.replace(r"^[A-Z]+", "").alias("number"),
    )


def _plain(name: str) -> pl.Expr:
    return pl.col(name).str.to_uppercase().str.replace_all(r"[^\p{L}\p{N}]", "")


def _program_codes(claims: pl.DataFrame, reference: Reference) -> pl.Series:
    addressed = {
        number: code
        for code, program in sorted(reference.programs.items(), reverse=True)
        for number in program.receiver_numbers
    }
    named = claims.select(
        "claim_id",
        "member_id",
        "claim_date",
        pl.col("payer_number")
        .replace_strict(addressed, default=None, return_dtype=pl.String)
        .alias("addressed_code"),
    )
    covered = (
        named.join(reference.tables["coverage"], on="member_id")
        .with_columns(
            in_force=(
                (pl.col("start_date") <= pl.col("claim_date"))
                & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("claim_date")))
            ).fill_null(value=False),
            addressed=pl.col("program_code").eq_missing(pl.col("addressed_code")),
        )
        .sort(
            "claim_id",
            "in_force",
            pl.col("in_force") & pl.col("addressed"),
            "start_date",
            "program_code",
            descending=[False, True, True, True, False],
        )
        .unique("claim_id", keep="first", maintain_order=True)
        .select("claim_id", "program_code")
    )
    codes = (
        named.join(covered, on="claim_id", how="left", maintain_order="left")
        .select(
            pl.coalesce("program_code", "addressed_code", pl.lit(min(reference.programs))).alias(
                "program_code"
            )
        )
        .to_series()
    )
    unknown = sorted(set(codes.unique()) - set(reference.programs))
    if unknown:
        raise ValueError(
            f"coverage.program_code: {', '.join(unknown)} is not loaded; load the program or "
            "correct the coverage"
        )
    return codes


def _payees(claims: pl.DataFrame, providers: pl.DataFrame) -> pl.DataFrame:
    """``payee_id`` and ``provider_id`` of each claim."""
    found = (
        claims.select("claim_id", "billing_npi", "billing_tax_number", "claim_date")
        .join(
            providers.select(
                "npi", "provider_id", "payee_id", "tax_number", "start_date", "end_date"
            ),
            left_on="billing_npi",
            right_on="npi",
        )
        .filter(
            (pl.col("start_date") <= pl.col("claim_date"))
            & (pl.col("end_date").is_null() | (pl.col("end_date") >= pl.col("claim_date")))
        )
        .with_columns(
            agrees=_digits("tax_number").eq(_digits("billing_tax_number")).fill_null(value=False)
        )
        .filter(pl.col("agrees") == pl.col("agrees").max().over("claim_id"))
        .group_by("claim_id")
        .agg(
            pl.col("payee_id").min(),
            pl.col("provider_id").min(),
            pl.col("payee_id").n_unique().alias("payee_count"),
        )
        .filter(pl.col("payee_count") == 1)
    )
    return (
        claims.select("claim_id")
        .join(found, on="claim_id", how="left", maintain_order="left")
        .select("payee_id", "provider_id")
    )


def _digits(column: str) -> pl.Expr:
    return pl.col(column).str.replace_all("-", "", literal=True)


def _lines(
    claims: pl.DataFrame, lines: pl.DataFrame, decision_date: pl.Series, reference: Reference
) -> pl.DataFrame:
    """The columns of LINE for each line."""
    stay = of_bill_types(reference.programs, "hospital_stay_bill_types")
    keyed = (
        lines.select("claim_id", decision_date)
        .join(
            claims.select(
                "claim_id",
                "member_id",
                "program_code",
                "payee_id",
                pl.when(stay)
                .then(pl.coalesce("admission_date", "statement_from_date"))
                .alias("stay_date"),
            ),
            on="claim_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(coverage_date=pl.coalesce("stay_date", "decision_date"))
    )
    coverage = reference.tables["coverage"].select(
        "member_id", "program_code", "plan_code", "start_date", "end_date"
    )
    contracts = reference.tables["contracts"].select(
        "payee_id", "program_code", "contract_id", "network_code", "start_date", "end_date"
    )
    keyed = as_of(keyed, coverage, on="coverage_date", by=["member_id", "program_code"])
    keyed = as_of(keyed, contracts, on="decision_date", by=["payee_id", "program_code"])
    networks = reference.tables["networks"].rename({"network_code": "of_plan"})
    if not networks.is_empty():
        place = ["payee_id", "program_code", "plan_code"]
        keyed = as_of(keyed, networks, on="decision_date", by=place).with_columns(
            network_code=pl.coalesce("of_plan", "network_code")
        )
    spans = coverage.group_by("member_id", "program_code").agg(
        pl.col("start_date").min().alias("first_date"),
        pl.when(pl.col("end_date").is_not_null().all())
        .then(pl.col("end_date").max())
        .alias("last_date"),
    )
    date = pl.col("coverage_date")
    return keyed.join(
        spans, on=["member_id", "program_code"], how="left", maintain_order="left"
    ).select(
        pl.when(pl.col("member_id").is_null() | date.is_null())
        .then(None)
        .when(pl.col("plan_code").is_not_null())
        .then(pl.lit("covered"))
        .when(pl.col("first_date").is_null() | (date < pl.col("first_date")))
        .then(pl.lit("before"))
        .when(date > pl.col("last_date"))
        .then(pl.lit("after"))
        .otherwise(pl.lit("gap"))
        .alias("coverage_code"),
        "plan_code",
        "contract_id",
        pl.when(pl.col("network_code") == "in")
        .then(pl.lit("in"))
        .otherwise(pl.lit("out"))
        .alias("network_code"),
        "decision_date",
    )
