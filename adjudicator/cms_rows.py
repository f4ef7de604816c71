"""What the readers of CMS's files share: quarters, text, and how a row is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from typing import NoReturn

QUARTERS = {
    1: ((1, 1), (3, 31)),
    2: ((4, 1), (6, 30)),
    3: ((7, 1), (9, 30)),
    4: ((10, 1), (12, 31)),
}


def text_of(data: bytes) -> str:
    """What is read is ASCII; names in other columns may be in any eight-bit code."""
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


def records(name: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Each CSV record with cells trimmed, and the line it ends on; never an empty list."""
    reader = csv.reader(io.StringIO(text_of(data), newline=""), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, [c.strip(" \x1a\t\r\n") for c in cells] or [""]
    except csv.Error as error:
        refuse(name, reader.line_num, "all", str(error))


def quarter(year: int, number: int) -> tuple[date, date]:
    (start_month, start_day), (end_month, end_day) = QUARTERS[number]
    return date(year, start_month, start_day), date(year, end_month, end_day)


def refuse(name: str, line: int, column: str, reason: str) -> NoReturn:
    raise ValueError(f"{name}, line {line}, column {column}: {reason}")
