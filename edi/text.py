"""What every writer of X12 does alike: segments of expressions, and data fit for their elements.

A segment is written with its terminator in front, so that parts join without looking at each
other.
"""

from __future__ import annotations

import re

import polars as pl

ELEMENT, COMPONENT, REPETITION, TERMINATOR = "*", ":", "^", "~"

# X12's basic and extended character sets without the four delimiters above
UNFIT = r"""[^A-Za-z0-9 !"&'()+,\-./;?=%@\[\]_{}\\|<>`#$]"""


def segment(tag: str, *elements: pl.Expr | str) -> pl.Expr:
    """A segment behind its predecessor's terminator, without trailing empty elements."""
    return pl.concat_str(
        pl.lit(TERMINATOR + tag),
        *(pl.lit(e) if isinstance(e, str) else e.fill_null("") for e in elements),
        separator=ELEMENT,
    ).str.strip_chars_end(ELEMENT)


def where(column: str, text: pl.Expr) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null()).then(text).otherwise(pl.lit(""))


def day_text(day: pl.Expr) -> pl.Expr:
    year, month = day.dt.year().cast(pl.Int32), day.dt.month().cast(pl.Int32)
    return (year * 10_000 + month * 100 + day.dt.day()).cast(pl.String).str.zfill(8)


def decimal(amount: pl.Expr, places: int) -> pl.Expr:
    """An integer of 10**-places units as the shortest exact decimal."""
    unit = 10**places
    fractions = [f".{n:0{places}d}".rstrip("0").rstrip(".") for n in range(unit)]
    size = amount.abs()
    return pl.concat_str(
        pl.when(amount < 0).then(pl.lit("-")).otherwise(pl.lit("")),
        (size // unit).cast(pl.String),
        (size % unit).replace_strict(range(unit), fractions, return_dtype=pl.String),
    )


def fit(frame: pl.DataFrame, lengths: dict[str, tuple[int, int]]) -> pl.DataFrame:
    """The frame with those columns fit for their elements; untouched where they already are."""

    def misfit(column: str, least: int, most: int) -> pl.Expr:
        text = pl.col(column)
        size = text.str.len_bytes()
        return (
            (~size.is_between(least, most) | text.str.contains(UNFIT + "|^ | $"))
            .any()
            .alias(column)
        )

    def fitted(column: str, least: int, most: int) -> pl.Expr:
        text = pl.col(column).str.replace_all(UNFIT, " ").str.strip_chars(" ")
        text = text.str.head(most).str.strip_chars_end(" ")
        return pl.when(text.str.len_bytes() >= least).then(text).alias(column)

    misfits = frame.select(misfit(c, *bounds) for c, bounds in lengths.items()).row(0, named=True)
    return frame.with_columns(fitted(c, *lengths[c]) for c, wrong in misfits.items() if wrong)


def fit_codes(frame: pl.DataFrame, codes: dict[str, tuple[str, int]]) -> pl.DataFrame:
    """The frame with those lists of codes fit: without what is no code, or is one too many."""

    def fitted(column: str, code: str, most: int) -> pl.Expr:
        fit = pl.element().filter(pl.element().str.contains(f"^(?:{code})$"))
        kept = pl.col(column).str.split(COMPONENT).list.eval(fit).list.head(most)
        return pl.when(kept.list.len() > 0).then(kept.list.join(COMPONENT)).alias(column)

    misfits = frame.select(
        (~pl.col(c).str.contains(f"^(?:{code})(?::(?:{code})){{0,{most - 1}}}$")).any()
        for c, (code, most) in codes.items()
    ).row(0, named=True)
    return frame.with_columns(fitted(c, *codes[c]) for c, wrong in misfits.items() if wrong)


def clean(text: str, most: int) -> str:
    """A single text fit for an element: as ``fit`` makes a column's."""
    return re.sub(UNFIT, " ", text).strip(" ")[:most].rstrip(" ")
