"""Dated reference data, and the one way to ask for the value in force on a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import polars as pl

from schemas.form import Form
from schemas.frames import CodingTables, empty
from schemas.program import BenefitCategoryRule, Program


@dataclass(frozen=True)
class Reference:
    """Everything decisions rest on besides the claims: one immutable version.

    ``tables`` holds a frame for every name in ``schemas.reference.TABLES`` (empty where nothing
    was loaded); ``programs`` the programs by code; ``forms`` the field tables of the claim forms;
    ``version`` the digest of all of it. Of the correct coding tables ``tables`` holds the rows of
    the night's codes alone, and ``coding_tables`` (CodingTables) says which are loaded.
    """

    version: str
    tables: Mapping[str, pl.DataFrame]
    programs: Mapping[str, Program]
    benefit_categories: tuple[BenefitCategoryRule, ...] = ()
    forms: tuple[Form, ...] = ()
    business_date: date = field(default=date.min)
    coding_tables: pl.DataFrame = field(default_factory=lambda: empty(CodingTables))
    tables_version: str = ""  # of the loaded tables alone


def as_of(frame: pl.DataFrame, table: pl.DataFrame, *, on: str, by: Sequence[str]) -> pl.DataFrame:
    """``frame`` with the columns of the row of ``table`` in force on ``frame[on]`` beside it.

    Rows keep their order and number. Keys are ``by``; a null key or date, or no row in force,
    leaves nulls: the caller denies, pends or informs, but nothing of another date is borrowed.
    Raises ValueError where ``table`` has two rows of one key that begin on the same day; spans
    of a key that overlap otherwise are refused when reference data is loaded.
    """
    keys = list(by)
    starts = table.select(*keys, "start_date")
    if starts.is_duplicated().any():
        twice = starts.filter(starts.is_duplicated()).row(0)
        raise ValueError(f"two rows of one key in force from the same day: {twice}")
    values = [c for c in table.columns if c not in keys and c not in ("start_date", "end_date")]
    right = table.rename({"start_date": "_start", "end_date": "_end"}).sort("_start")
    # a night asks for few distinct keys and days, many times each
    asked = frame.select(on, *keys).unique().sort(on, nulls_last=True)
    found = asked.join_asof(
        right, left_on=on, right_on="_start", by=keys, strategy="backward", check_sortedness=False
    )
    in_force = pl.col("_start").is_not_null() & (
        pl.col("_end").is_null() | (pl.col("_end") >= pl.col(on))
    )
    return frame.join(
        found.select(
            on, *keys, *(pl.when(in_force).then(pl.col(c)).alias(c) for c in values)
        ),
        on=[on, *keys], how="left", nulls_equal=True, maintain_order="left",
    )  # fmt: skip


def of_bill_types(
    programs: Mapping[str, Program],
    which: Literal["discharge_bill_types", "hospital_stay_bill_types"],
) -> pl.Expr:
    """Whether a claim is institutional and its bill type one of that list of its program."""
    lists = (
        (pl.col("program_code") == code) & pl.col("facility_code").is_in(getattr(program, which))
        for code, program in sorted(programs.items())
    )
    of_program = pl.any_horizontal(pl.lit(False), *lists).fill_null(value=False)
    return (pl.col("claim_type_code") == "I") & of_program
