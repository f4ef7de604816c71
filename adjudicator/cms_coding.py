"""CMS's quarterly files of the National Correct Coding Initiative, read to reference tables.

- PTP (ccipra… practitioner, ccioph… outpatient hospital, each in several parts): tab-separated
  text. A row holds from its effective to its deletion date, both included; what isn't deleted
  holds to the end of the edition's quarter, because the next edition may end it. The version is in
  the name alone: v302 is 30.2, the third quarter of 1994 + 30.
- MUE (MCR_MUE_…): CSV without dates; holds for the quarter that begins on the day in its name.
- AOC (AOC_V2024Q3…): fixed columns, or tab-separated under a heading; dates are year and day of
  the year; what isn't deleted holds to the end of the quarter in its name.

Millions of rows are read by column. As in cms.py, a row that can't be read raises ValueError
naming file, line, column and reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from adjudicator.cms_rows import quarter, records, refuse, text_of
from schemas.reference import TABLES

CODE = "[A-Z0-9]{5}"
PTP_NAME = r"cci(pra|oph)-v([0-9]{2})([0-3])r[0-9]+(?:-f[0-9]+)?\.txt"
PTP_TABLES = {"pra": "practitioner", "oph": "hospital"}
FIRST_PTP_YEAR = 1994  # version 1 was of 1995
MUE_NAME = r"MCR_MUE_([A-Za-z]+)Services_Eff_([0-9]{2})-([0-9]{2})-([0-9]{4})\.csv"
MUE_TABLES = {
    "practitioner": "practitioner",
    "outpatienthospital": "hospital",
    "dmesupplier": "supplier",
}
AOC_NAME = r"AOC_V([0-9]{4})Q([1-4]).*\.txt"
AOC_FIELDS = (  # name, first place from 0, length, form
    ("edit_type_code", 0, 1, "[123]"),
    ("add_on_code", 1, 5, CODE),
    ("add_on_deleted", 6, 7, "[0-9]{7}|"),
    ("primary_code", 13, 5, CODE),
    ("primary_deleted", 18, 7, "[0-9]{7}|"),
    ("effective", 25, 7, "[0-9]{7}"),
    ("deleted", 32, 7, "[0-9]{7}|"),
)


def procedure_pairs(name: str, data: bytes) -> pl.DataFrame:
    """PTP: one row a pair of codes and span of days, but those deleted before they held."""
    told = re.fullmatch(PTP_NAME, name, re.IGNORECASE)
    assert told is not None
    _, edition_end = quarter(FIRST_PTP_YEAR + int(told[2]), int(told[3]) + 1)
    raw = _rows(data, "\t", 6)
    # a notice and the headings stand above the first row
    first = raw["1"].str.contains(f"^{CODE}$").fill_null(value=False).arg_max()
    if first is None or not re.fullmatch(CODE, str(raw["1"][first])):
        raise ValueError(f"{name}: no row of two procedure codes; is it a PTP file?")
    rows = raw.slice(first)
    fields = {
        "column_one_code": ("1", CODE), "column_two_code": ("2", CODE),
        "start_date": ("4", "[0-9]{8}"), "end_date": ("5", r"[0-9]{8}|\*"),
        "modifier_indicator_code": ("6", "[019]"),
    }  # fmt: skip
    _refuse_misfits(name, rows, fields)
    day = {n: pl.col(fields[n][0]).str.to_date("%Y%m%d", strict=False) for n in
           ("start_date", "end_date")}  # fmt: skip
    frame = rows.select(
        "line",
        *(pl.col(at).alias(n) for n, (at, _) in fields.items() if n not in day),
        table_code=pl.lit(PTP_TABLES[told[1].lower()]),
        start_date=day["start_date"],
        end_date=pl.when(pl.col("5") == "*").then(pl.lit(edition_end)).otherwise(day["end_date"]),
    )
    for column in day:
        no_day = frame.filter(pl.col(column).is_null())
        if no_day.height:
            refuse(name, no_day["line"][0], column, "is no day of the calendar")
    late = frame.filter(pl.col("start_date") > edition_end)
    if late.height:
        refuse(name, late["line"][0], "start_date", f"lies after the edition's end, {edition_end}")
    return _frame(name, "procedure_pairs", frame.filter(pl.col("start_date") <= pl.col("end_date")))


def unit_limits(name: str, data: bytes) -> pl.DataFrame:
    """MUE: one row a code, for the quarter that its name begins."""
    told = re.fullmatch(MUE_NAME, name, re.IGNORECASE)
    assert told is not None
    kind = MUE_TABLES.get(told[1].lower())
    if kind is None:
        raise ValueError(f"{name}: {told[1]} is none of {', '.join(MUE_TABLES)}")
    month, day = int(told[2]), int(told[3])
    start, end = quarter(int(told[4]), (month - 1) // 3 + 1)
    if (start.month, start.day) != (month, day):
        raise ValueError(f"{name}: {told[4]}-{told[2]}-{told[3]} begins no quarter")
    found = [(line, cells) for line, cells in records(name, data) if cells[0]]
    # a notice stands above the heading
    first = next((at for at, (_, cells) in enumerate(found) if cells[0].startswith("HCPCS")), None)
    if first is None:
        raise ValueError(f"{name}: no heading row that begins with HCPCS; is it an MUE file?")
    rows = pl.DataFrame(
        [(line, *cells[:3], *[""] * (3 - len(cells))) for line, cells in found[first + 1 :]],
        schema={"line": pl.Int64, "1": pl.String, "2": pl.String, "3": pl.String},
        orient="row",
    )
    fields = {
        "procedure_code": ("1", CODE),
        "unit_limit": ("2", "[0-9]{1,9}"),
        "adjudication_indicator_code": ("3", "[123]( .*)?"),
    }
    _refuse_misfits(name, rows, fields)
    return _frame(
        name, "unit_limits",
        rows.select(
            procedure_code="1",
            unit_limit=pl.col("2").cast(pl.Int64),
            adjudication_indicator_code=pl.col("3").str.slice(0, 1),
            table_code=pl.lit(kind),
            start_date=pl.lit(start),
            end_date=pl.lit(end),
        ),
    )  # fmt: skip


def add_on_codes(name: str, data: bytes) -> pl.DataFrame:
    """AOC: one row an add-on code and a code it may stand beside, with the days it may.

    It may while neither of the two, nor the pair, is deleted.
    """
    told = re.fullmatch(AOC_NAME, name, re.IGNORECASE)
    assert told is not None
    _, edition_end = quarter(int(told[1]), int(told[2]))
    raw = _rows(data, "\t", len(AOC_FIELDS) + 1)
    if raw["2"].is_null().all():
        raw = raw.select(
            "line",
            **{
                n: pl.col("1").str.slice(at, size).str.strip_chars()
                for n, at, size, _ in AOC_FIELDS
            },
        ).filter(pl.col("add_on_code") != "")
    else:
        headed = (raw["2"].str.contains(f"^{CODE}$") & raw["1"].str.contains("^[123]$")).fill_null(
            value=False
        )
        raw = raw.slice(headed.arg_max() or 0).select(
            "line", **{f[0]: pl.col(str(at)) for at, f in enumerate(AOC_FIELDS, 1)}
        )
    rows = raw.with_columns(pl.exclude("line").fill_null(""))
    _refuse_misfits(name, rows, {n: (n, form) for n, _, _, form in AOC_FIELDS})
    days = {}
    for column in ("effective", "add_on_deleted", "primary_deleted", "deleted"):
        days[column] = rows[column].replace("", None).str.to_date("%Y%j", strict=False)
        wrong = rows.filter(days[column].is_null() & (rows[column] != ""))
        if wrong.height:
            refuse(name, wrong["line"][0], column, "is no day of a year")
    dated = rows.with_columns(**days).with_columns(
        pl.min_horizontal(
            "add_on_deleted", "primary_deleted", "deleted", pl.lit(edition_end)
        ).alias("end_date"),
        start_date="effective",
    )
    frame = dated.filter(pl.col("start_date") <= pl.col("end_date"))
    return _frame(
        name,
        "add_on_codes",
        frame.unique(
            ["add_on_code", "primary_code", "edit_type_code", "start_date"], maintain_order=True
        ),
    )


def _rows(data: bytes, separator: str, width: int) -> pl.DataFrame:
    """The lines of a text, each split at the separator, trimmed, with its number from 1."""
    lines = pl.Series("text", text_of(data).split("\n"))
    frame = pl.DataFrame({"text": lines}).with_row_index("line", offset=1)
    parts = pl.col("text").str.split_exact(separator, width - 1).struct
    columns = [str(n) for n in range(1, width + 1)]
    return (
        frame.filter(pl.col("text").str.strip_chars(" \x1a\t\r") != "")
        .with_columns(parts.rename_fields(columns).alias("_parts"))
        .unnest("_parts")
        .with_columns(pl.col(columns).str.strip_chars(" \x1a\r"))
        .drop("text")
    )


def _refuse_misfits(name: str, rows: pl.DataFrame, fields: Mapping[str, tuple[str, str]]) -> None:
    for column, (at, form) in fields.items():
        wrong = rows.filter(~pl.col(at).str.contains(f"^(?:{form})$").fill_null(value=False))
        if wrong.height:
            refuse(name, wrong["line"][0], column, f"{wrong[at][0]!r} doesn't look like {form}")


def _frame(name: str, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    if frame.is_empty():
        raise ValueError(f"{name}: no row")
    return frame.select(
        pl.col(n).cast(column.dtype) for n, column in TABLES[table].columns().items()
    )
