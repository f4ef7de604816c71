"""CMS's own published files, read to the reference tables of schemas/reference.py.

What holds from when to when is taken from each file's content, never from the clock, and from its
name only where the content doesn't tell (cms_coding.py, the correct coding files):

- PPRRVU (physician fee schedule relative values): the heading names the calendar year and the
  release. A release is quarterly and holds for its quarter: January A, April B, July C, October D.
- GPCI (Addendum E): the heading names the calendar year, which is how long it holds.
- ZIP5: every row ends in year and quarter (YYYYQ) and holds for that quarter.

Decimals are read digit by digit to an integer at the table's scale; a digit the scale has no room
for is an error, not a rounding. A row that can't be read raises ValueError naming file, line,
column and reason: half a fee schedule is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import dataframely as dy
import polars as pl

from adjudicator.cms_coding import (
    AOC_NAME,
    MUE_NAME,
    PTP_NAME,
    add_on_codes,
    procedure_pairs,
    unit_limits,
)
from adjudicator.cms_rows import quarter as _quarter
from adjudicator.cms_rows import records as _records
from adjudicator.cms_rows import refuse as _refuse
from adjudicator.cms_rows import text_of as _text
from schemas.reference import GeographicCostIndexes, PhysicianFeeValues, ZipLocalities

RELEASE_QUARTERS = {"JANUARY": 1, "APRIL": 2, "JULY": 3, "OCTOBER": 4}

# the title over a PPRRVU column, its heading cells joined from top to bottom, and its scale
FEE_TEXTS = {
    "procedure_code": ("HCPCS", r"[A-Z0-9]{5}"),
    "modifier_code": ("MOD", r"[A-Z0-9]{2}|"),
    "status_code": ("STATUS CODE", r"[A-Z]"),
    "professional_technical_code": ("PCTC IND", r"[0-9]"),
    "global_days_code": ("GLOB DAYS", r"[A-Z0-9]{3}"),
    "multiple_procedure_code": ("MULT PROC", r"[0-9]"),
}
FEE_NUMBERS = {
    "work_units": ("WORK RVU", 2),
    "nonfacility_expense_units": ("NON-FAC PE RVU", 2),
    "facility_expense_units": ("FACILITY PE RVU", 2),
    "malpractice_units": ("MP RVU", 2),
    "conversion_factor": ("CONV FACTOR", 4),
    "nonfacility_cap_expense_units": ("NON-FACILITY PE USED FOR OPPS PAYMENT AMOUNT", 2),
    "facility_cap_expense_units": ("FACILITY PE USED FOR OPPS PAYMENT AMOUNT", 2),
    "cap_malpractice_units": ("MP USED FOR OPPS PAYMENT AMOUNT", 2),
}
INDEX_TEXTS = {
    "carrier_number": ("Medicare Administrative Contractor (MAC)", r"[0-9]{5}"),
    "locality_number": ("Locality Number", r"[0-9]{2}"),
}
INDEX_NUMBERS = {
    "work_index": "PW GPCI",
    "expense_index": "PE GPCI",
    "malpractice_index": "MP GPCI",
}

# ZIP5 layout, first and last position counted from 1
ZIP_FIELDS = {
    "state_code": (1, 2, r"[A-Z]{2}"),
    "zip_code": (3, 7, r"[0-9]{5}"),
    "carrier_number": (8, 12, r"[0-9]{5}"),
    "locality_number": (13, 14, r"[0-9]{2}"),
    "plus four flag": (21, 21, r"[01]"),
    "year and quarter": (76, 80, r"20[0-9]{2}[1-4]"),
}


def read_cms_file(path: Path, data: bytes) -> tuple[str, pl.DataFrame] | None:
    """The reference table a CMS file fills and its rows; None for a file that isn't CMS's.

    Only the name of ``path`` is looked at. Raises ValueError where the file can't be read whole.
    """
    for pattern, (table, reader) in CMS_FILES.items():
        if re.fullmatch(pattern, path.name, re.IGNORECASE):
            return table, reader(path.name, data)
    return None


def physician_fee_values(name: str, data: bytes) -> pl.DataFrame:
    """PPRRVU: one row a code and modifier, for the quarter of the release its heading names."""
    heading: list[list[str]] = []
    rows = _records(name, data)
    for _, cells in rows:
        heading.append(cells)
        if cells[0] == "HCPCS":
            break
    else:
        raise ValueError(f"{name}: no heading row that begins with HCPCS; is it a PPRRVU file?")
    start, end = _release_dates(name, heading)
    titles = [
        " ".join(" ".join(filter(None, column)).split())
        for column in zip_longest(*heading, fillvalue="")
    ]
    columns = {
        field: _column(name, titles, title)
        for field, (title, _) in {**FEE_TEXTS, **FEE_NUMBERS}.items()
    }
    found: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for line, cells in rows:
        if not any(cells):
            continue
        if len(cells) != len(titles):
            _refuse(name, line, "all", f"{len(cells)} cells under {len(titles)} headings")
        row: dict[str, Any] = {"start_date": start, "end_date": end}
        for field, (_, pattern) in FEE_TEXTS.items():
            row[field] = _matched(name, line, field, cells[columns[field]], pattern)
        for field, (_, places) in FEE_NUMBERS.items():
            row[field] = _scaled(name, line, field, cells[columns[field]], places)
        key = (row["procedure_code"], row["modifier_code"])
        if key in seen:
            _refuse(name, line, "procedure_code", f"{key} stands in the file twice")
        seen.add(key)
        row["modifier_code"] = row["modifier_code"] or None
        found.append(row)
    return _frame(name, PhysicianFeeValues, found)


def geographic_cost_indexes(name: str, data: bytes) -> pl.DataFrame:
    """GPCI, Addendum E: one row a carrier and locality, for the calendar year of its heading.

    The work index is the one with the 1.0 floor, which is the one in the file.
    """
    heading = ""
    rows = _records(name, data)
    for _, cells in rows:
        if cells[0].startswith("Medicare Administrative Contractor"):
            titles = cells
            break
        heading += " ".join(cells) + " "
    else:
        raise ValueError(
            f"{name}: no heading row that begins with Medicare Administrative "
            "Contractor; is it a GPCI file?"
        )
    years = set(re.findall(r"\bCY (20\d{2})\b", heading))
    if len(years) != 1:
        raise ValueError(f"{name}: the heading doesn't name one calendar year (CY ....)")
    year = int(years.pop())
    columns = {field: _column(name, titles, title) for field, (title, _) in INDEX_TEXTS.items()}
    for field, title in INDEX_NUMBERS.items():
        columns[field] = _column(name, titles, f"{year} {title}")
    found: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for line, cells in rows:
        footnote = not any(cells[1:]) and re.match(r"\d", cells[0]) is None
        if footnote or not any(cells):
            continue
        if len(cells) != len(titles):
            _refuse(name, line, "all", f"{len(cells)} cells under {len(titles)} headings")
        row: dict[str, Any] = {"start_date": date(year, 1, 1), "end_date": date(year, 12, 31)}
        for field, (_, pattern) in INDEX_TEXTS.items():
            row[field] = _matched(name, line, field, cells[columns[field]], pattern)
        for field in INDEX_NUMBERS:
            row[field] = _scaled(name, line, field, cells[columns[field]], 3)
        key = (row["carrier_number"], row["locality_number"])
        if key in seen:
            _refuse(name, line, "locality_number", f"{key} stands in the file twice")
        seen.add(key)
        found.append(row)
    return _frame(name, GeographicCostIndexes, found)


def zip_localities(name: str, data: bytes) -> pl.DataFrame:
    """ZIP5: one row a ZIP code whose five digits alone decide the locality, for its quarter.

    Left out, so that a line there pends instead of being priced in a locality it may not be in:
    ZIP codes with plus four flag 1 (the ZIP lies in several localities, and only CMS's nine-digit
    file tells which), and ZIP codes with rows that name different localities. A payer who knows
    better loads its own row into zip_localities.
    """
    found: dict[tuple[date, str], dict[str, Any]] = {}
    ambiguous: set[tuple[date, str]] = set()
    for line, text in enumerate(_text(data).split("\n"), start=1):
        if not text.strip(" \x1a"):
            continue
        if len(text.rstrip()) != 80:
            _refuse(name, line, "all", f"{len(text.rstrip())} characters where the layout has 80")
        row: dict[str, Any] = {
            field: _matched(name, line, field, text[begin - 1 : end], pattern)
            for field, (begin, end, pattern) in ZIP_FIELDS.items()
        }
        year, quarter = row["year and quarter"][:4], row["year and quarter"][4]
        row["start_date"], row["end_date"] = _quarter(int(year), int(quarter))
        key = (row["start_date"], row["zip_code"])
        first = found.setdefault(key, row)
        elsewhere = any(first[c] != row[c] for c in ("carrier_number", "locality_number"))
        if row["plus four flag"] == "1" or elsewhere:
            ambiguous.add(key)
    return _frame(name, ZipLocalities, [r for k, r in found.items() if k not in ambiguous])


CMS_FILES: Mapping[str, tuple[str, Callable[[str, bytes], pl.DataFrame]]] = {
    r"PPRRVU.*\.csv": ("physician_fee_values", physician_fee_values),
    r"GPCI\d{4}\.csv": ("geographic_cost_indexes", geographic_cost_indexes),
    r"ZIP5_.*\.txt": ("zip_localities", zip_localities),
    PTP_NAME: ("procedure_pairs", procedure_pairs),
    MUE_NAME: ("unit_limits", unit_limits),
    AOC_NAME: ("add_on_codes", add_on_codes),
}


def _release_dates(name: str, heading: list[list[str]]) -> tuple[date, date]:
    words = " ".join(" ".join(cells) for cells in heading)
    stated = re.search(
        r"(20\d{2}) National Physician Fee Schedule Relative Value File (\w+) Release", words
    )
    if stated is None:
        raise ValueError(f"{name}: the heading doesn't name the year and release of the file")
    quarter = RELEASE_QUARTERS.get(stated[2].upper())
    if quarter is None:
        raise ValueError(f"{name}: release {stated[2]} isn't one of {', '.join(RELEASE_QUARTERS)}")
    return _quarter(int(stated[1]), quarter)


def _column(name: str, titles: list[str], title: str) -> int:
    """Where the one column of that title stands; free text above a title doesn't count."""
    places = [
        i
        for i, t in enumerate(titles)
        if re.search(rf"(^|\s){re.escape(title)}( \(.*\))?$", t) is not None
    ]
    if len(places) != 1:
        raise ValueError(f"{name}: {len(places)} columns are headed {title!r}, not one")
    return places[0]


def _matched(name: str, line: int, column: str, text: str, pattern: str) -> str:
    if re.fullmatch(pattern, text) is None:
        _refuse(name, line, column, f"{text!r} doesn't look like {pattern}")
    return text


def _scaled(name: str, line: int, column: str, text: str, places: int) -> int:
    """A decimal as an integer at ``places`` decimals; at most six digits before the point."""
    number = re.fullmatch(r"(?=\.?[0-9])([0-9]{0,6})(?:\.([0-9]*))?", text)
    if number is None:
        _refuse(name, line, column, f"{text!r} isn't a decimal number")
    decimals = (number[2] or "").rstrip("0")
    if len(decimals) > places:
        _refuse(name, line, column, f"{text!r} has more than {places} decimals")
    return int((number[1] or "0") + decimals.ljust(places, "0"))


def _frame(name: str, schema: type[dy.Schema], rows: list[dict[str, Any]]) -> pl.DataFrame:
    if not rows:
        raise ValueError(f"{name}: no row")
    columns = {n: c.dtype for n, c in schema.columns().items()}
    return pl.DataFrame({n: [row[n] for row in rows] for n in columns}, schema=columns)
