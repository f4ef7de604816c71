"""Where every element of some segments stands in their bytes, and whole columns of them at once.

A value is a pair of positions, its first byte and the byte after its last; a column is two arrays
of them. Text, cents and days are made from those by array arithmetic: no value passes through
Python, and none through a float.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import nanoarrow as na
import numpy as np
import numpy.typing as npt
import polars as pl

from edi.envelope import Delimiters

Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

INLINE = 12  # bytes of the longest text that an Arrow view holds whole
WIDEST_NUMBER = 24
_POWERS = 10 ** np.arange(10)  # of the digits that may follow a point
WIDEST_COPY = 512
PADDING = bytes(WIDEST_COPY)
# by length: which bytes of an inline text are its own
_OWN = np.zeros((INLINE + 1, INLINE), dtype=np.uint8)
for _length in range(INLINE + 1):
    _OWN[_length, :_length] = 0xFF
_OWN_WORDS = _OWN.view(np.uint32)
_OWN_KEY = np.ascontiguousarray(_OWN[:, :8]).view(np.uint64).reshape(-1)
_BYTE, _LOW, _HIGH, _SIXES, _DIGITS = np.array(
    [0xFF, *(int.from_bytes(bytes([b] * 8), "big") for b in (0x0F, 0xF0, 0x06, 0x33))],
    dtype=np.uint64,
)
_DAYS_OF_MONTH = np.array(
    [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0], dtype=np.int32
)


class Span(NamedTuple):
    """A column of values: first bytes, and bytes after the last. Equal where there is none."""

    start: Integers
    stop: Integers

    @property
    def there(self) -> Truths:
        return self.stop > self.start

    def only(self, where: Truths) -> Span:
        """The same column with nothing where ``where`` does not hold."""
        return Span(self.start, np.where(where, self.stop, self.start))


class Components:
    """The components of some composites, by position from 1, told by all the ``separators``."""

    def __init__(self, separators: Integers, composites: Span) -> None:
        self._separators, self._composites = separators, composites
        self._before = np.searchsorted(separators, composites.start)
        self._count = np.searchsorted(separators, composites.stop) - self._before

    def __getitem__(self, place: int) -> Span:
        return self.through(place, place)

    def through(self, first: int, last: int) -> Span:
        """From the start of one component to the end of another, with what stands between."""
        at, (start, stop) = self._separators, self._composites
        if not len(at):
            return self._composites.only(np.full(len(start), first == 1))
        there = self._count >= first - 1
        if first > 1:
            start = np.where(there, at[np.where(there, self._before + first - 2, 0)] + 1, start)
        whole = self._count >= last
        stop = np.where(whole, at[np.where(whole, self._before + last - 1, 0)], stop)
        return Span(start, np.where(there, stop, start))


class Columns:
    """Bytes, followed by PADDING, and whole columns of values in them."""

    bytes: npt.NDArray[np.uint8]
    delimiters: Delimiters

    @cached_property
    def _components(self) -> Integers:
        return np.flatnonzero(self.bytes == ord(self.delimiters.component))

    def components(self, composites: Span) -> Components:
        return Components(self._components, composites)

    # ---- values --------------------------------------------------------------------------------

    def every(self, width: int) -> npt.NDArray[np.void]:
        """The ``width`` bytes from each byte on, without a copy."""
        count = len(self.bytes) - width + 1
        return np.ndarray((count,), dtype=f"V{width}", buffer=self.bytes.data, strides=(1,))

    def windows(self, start: Integers, width: int) -> npt.NDArray[np.uint8]:
        """``width`` bytes from each start on."""
        return self.every(width)[start].view(np.uint8).reshape(len(start), width)

    def text(self, value: Span) -> pl.Series:
        """String; null where there is nothing."""
        length = value.stop - value.start
        there = length > 0
        valid = None if there.all() else np.packbits(there, bitorder="little")
        longest = int(length.max(initial=0))
        if not longest:
            return nothing(pl.String, len(length))
        if longest <= INLINE:
            views = np.empty((len(length), 4), dtype=np.uint32)
            views[:, 0] = length
            words = self.windows(value.start, INLINE).view(np.uint32)
            alike = length.min(initial=longest) == longest
            np.bitwise_and(words, _OWN_WORDS[longest if alike else length], out=views[:, 1:])
            parts = [valid, views, np.empty(0, dtype=np.int64)]
            return pl.Series(na.c_array_from_buffers(na.string_view(), len(length), parts))
        offset = np.concatenate(([0], np.cumsum(length)))
        place = np.repeat(value.start - offset[:-1], length)
        place += np.arange(len(place))
        parts = [valid, offset, self.bytes[place]]
        return pl.Series(na.c_array_from_buffers(na.large_string(), len(length), parts))

    def is_one_of(self, value: Span, codes: Sequence[str]) -> Truths:
        """Whether each value is one of these, of at most eight characters."""
        length = value.stop - value.start
        wanted = np.array([packed(code) for code in codes], dtype=np.uint64)
        return np.isin(self.packed(value), wanted) & (length <= 8)

    def packed(self, value: Span) -> npt.NDArray[np.uint64]:
        """The first eight bytes of each as a number, later bytes and absent ones zero."""
        first = self.every(8)[value.start].view(np.uint64)
        first &= _OWN_KEY[np.minimum(value.stop - value.start, 8)]
        return first

    def number(self, value: Span, digits: int, limit: int) -> tuple[pl.Series, Truths]:
        """Int64 of 10**digits a unit, exactly, and where that could be read.

        A number is a minus or none, at most twelve digits, and a point with at most ``digits``
        digits after it that are not zeros at its end. Null where it is another thing or above
        ``limit``.
        """
        length = value.stop - value.start
        width = min(int(length.max(initial=0)), WIDEST_NUMBER)
        total = np.zeros(len(length), dtype=np.int64)
        if not width:
            return _nullable(total, length > 0), length > 0
        # a row a place: what is asked of every value at once lies together
        cells = np.ascontiguousarray(self.windows(value.start, width).T)
        inside = np.arange(width)[:, None] < length
        figure = cells - np.uint8(48)
        is_digit = (figure < 10) & inside
        is_point = (cells == 46) & inside
        minus = cells[0] == 45
        pointed = is_point.any(axis=0)
        point = np.where(pointed, is_point.argmax(axis=0), length)
        whole = point - minus
        part = length - point - pointed
        ok = (
            (is_digit.sum(axis=0, dtype=np.uint8) + pointed + minus == length)
            & (length <= width)
            & (whole + part > 0)
            & (whole <= 12)
        )
        for place in range(width):
            counted = is_digit[place] & (place <= point + digits)
            total = np.where(counted, total * 10 + figure[place], total)
            ok &= counted | ~is_digit[place] | (figure[place] == 0)
        total *= _POWERS[np.maximum(digits - part, 0)]
        ok &= total <= limit
        return _nullable(np.where(minus, -total, total), ok), ok

    def day(self, value: Span) -> tuple[pl.Series, Truths]:
        """Date of the first eight bytes, CCYYMMDD, and where there is one; else null."""
        text = self.every(8)[value.start].view(np.uint64)
        # all eight at once (Lemire): digits are 0x30 to 0x39
        digits = (text & _HIGH) | (((text + _SIXES) & _HIGH) >> np.uint64(4))
        ok = (value.stop - value.start >= 8) & (digits == _DIGITS)
        pairs = (text & _LOW) * np.uint64(2561) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
        year = (pairs & np.uint64(0xFF)) * np.uint64(100) + (pairs >> np.uint64(16) & _BYTE)
        year = np.where(ok, year, 0).astype(np.int32)
        month = (pairs >> np.uint64(32) & _BYTE).astype(np.int32)
        day = (pairs >> np.uint64(48)).astype(np.int32)
        leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
        last = _DAYS_OF_MONTH[np.minimum(month, 15)] + (leap & (month == 2))
        ok &= (year > 0) & (day > 0) & (day <= last)
        # days since 1970-01-01, the year counted from March (Hinnant's days_from_civil)
        year -= month <= 2
        era_day = 365 * (year % 400) + year % 400 // 4 - year % 400 // 100
        era_day += (153 * ((month + 9) % 12) + 2) // 5 + day - 1
        days = np.where(ok, year // 400 * 146097 + era_day - 719468, 0).astype(np.int32)
        return _nullable(days, ok).cast(pl.Date), ok


class Elements(Columns):
    """The segments of a text that ends with a terminator, and the separators in it."""

    def __init__(self, text: bytes, delimiters: Delimiters) -> None:
        self.bytes = np.frombuffer(text + PADDING, dtype=np.uint8)
        self._body = self.bytes[: len(text)]
        self.delimiters = delimiters
        terminator = ord(delimiters.terminator)
        separator = (self._body == ord(delimiters.element)) | (self._body == terminator)
        self.separators = np.flatnonzero(separator)
        closing = np.flatnonzero(self._body[self.separators] == terminator)
        self.stop: Integers = self.separators[closing]
        self.start: Integers = np.concatenate(([0], self.stop[:-1] + 1))
        self.ids = np.concatenate(([0], closing[:-1] + 1))  # the separators after the ids
        self.count = closing - self.ids
        while (blank := self._opens_with_line_end()).any():
            self.start = self.start + blank

    def _opens_with_line_end(self) -> Truths:
        opening = self.bytes[self.start]
        padding: Truths = ((opening == 10) | (opening == 13)) & (self.start < self.stop)
        return padding

    def opening(self) -> tuple[Span, Span]:
        """Of every segment its id and its first element."""
        return Span(self.start, self.separators[self.ids]), self.first(slice(None))

    def of(self, rows: Integers, last: int) -> Cells:
        """The elements of these segments to the last-th."""
        return Cells(self, rows, last)

    def first(self, rows: Integers | slice) -> Span:
        """The first element of these segments."""
        at = self.ids[rows]
        start = self.separators[at] + 1
        after = self.separators[np.minimum(at + 1, len(self.separators) - 1)]
        return Span(start, np.where(self.count[rows] > 0, after, start))

    def segment(self, row: int) -> str:
        """A segment's text, without its terminator and the line ends before it."""
        return self.bytes[self.start[row] : self.stop[row]].tobytes().decode()

    def segments(self, rows: Integers) -> pl.Series:
        """The text of each of these segments, which stands where it stood: no byte is copied."""
        # text and what lies between two, in turns
        turns = np.empty(2 * len(self.start) + 1, dtype=np.int64)
        turns[:-1:2], turns[1::2], turns[-1] = self.start, self.stop, len(self.bytes)
        parts = [None, turns, self.bytes]
        every = na.c_array_from_buffers(na.large_string(), len(turns) - 1, parts)
        return pl.Series(every).gather(2 * rows)


class Cells(Columns):
    """The elements of some segments, by position, to the last-th.

    They stand in a copy of those segments alone, so that what is asked of them one after the
    other lies close together; only where one of them is very long, they stand in the whole text.
    """

    def __init__(self, elements: Elements, rows: Integers, last: int) -> None:
        self.delimiters = elements.delimiters
        self._separators = elements.separators
        self._start, self._first = elements.start[rows], elements.ids[rows]
        self._count = elements.count[rows]
        self._least = int(self._count.min(initial=last))  # elements that each of them has
        self._moved: Integers | None = None
        self._composites: dict[int, Components] = {}
        self._stops: dict[int, Integers] = {}
        ends = self._separators[self._first + np.minimum(self._count, last)]
        width = int((ends - self._start).max(initial=0)) + 1
        if width > WIDEST_COPY or not len(rows):
            self.bytes = elements.bytes
            return
        copies = np.arange(0, len(rows) * width, width)
        self.bytes = np.zeros(len(rows) * width + len(PADDING), dtype=np.uint8)
        self.bytes[: len(rows) * width] = elements.windows(self._start, width).reshape(-1)
        self._moved = copies - self._start
        self._start = copies

    def _stop(self, place: int) -> Integers:
        """Where the place-th element of each segment ends: what a segment lacks stands at its own
        end, not in the next one, which may be very long."""
        if place not in self._stops:
            at = place if place <= self._least else np.minimum(place, self._count)
            stop = self._separators[self._first + at]
            self._stops[place] = stop if self._moved is None else stop + self._moved
        return self._stops[place]

    def __getitem__(self, place: int) -> Span:
        """The place-th element of each segment, from 1; 0 is its id."""
        if place == 0:
            return Span(self._start, self._stop(0))
        start, stop = self._stop(place - 1) + 1, self._stop(place)
        if place > self._least:
            stop = np.where(self._count >= place, stop, start)
        return Span(start, stop)

    def composite(self, place: int) -> Components:
        """The components of the place-th element of each segment."""
        if place not in self._composites:
            self._composites[place] = self.components(self[place])
        return self._composites[place]

    def through(self, first: int, last: int) -> Span:
        """From the start of one element to the end of another, with what stands between."""
        start = self._stop(first - 1) + 1
        stop = self._separators[self._first + np.minimum(self._count, last)]
        if self._moved is not None:
            stop = stop + self._moved
        return Span(start, np.where(self._count >= first, stop, start))


def nothing(dtype: pl.DataType | type[pl.DataType], count: int) -> pl.Series:
    """A column in which nothing stands."""
    return pl.Series([None], dtype=dtype).new_from_index(0, count)


def packed(code: str) -> int:
    """A code of at most eight characters as Columns.packed gives it."""
    return int.from_bytes(code.encode(), "little")


def _nullable(values: npt.NDArray[np.int64] | npt.NDArray[np.int32], ok: Truths) -> pl.Series:
    column = pl.Series(values)
    return column if ok.all() else column.set(pl.Series(~ok), None)
