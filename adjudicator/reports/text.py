"""Text from elsewhere made harmless, cents and counts as text: for what people open and read.

A name, number or code on a claim is whatever its sender wrote. In a CSV it may be taken for a
formula, in print it may turn the reading order round or break a line; nothing of it is ever markup.
"""

from __future__ import annotations

import polars as pl

# control characters, line and paragraph separators, and format characters: marks that turn the
# reading order round, spaces without width
UNSEEN = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"
# OWASP, CSV Injection: what a spreadsheet begins a formula with, full width too; its tab and line
# ends are UNSEEN. Blanks before it don't help: some programs trim a cell. Nor does the comma alone
# part cells: where the semicolon does, it begins one in the midst of our text.
FORMULA = r"(^|;)(\s*[=+\-@＝＋－＠])"


def clean(text: pl.Expr) -> pl.Expr:
    """Text in which every character is seen, in one line."""
    return text.str.replace_all(UNSEEN, " ")


def inert(text: pl.Expr) -> pl.Expr:
    """Clean text that a spreadsheet can't take for a formula: an apostrophe stands before it.

    OWASP's rule; the other half of it, quotes around a field that holds a separator, is the
    writer's.
    """
    return clean(text).str.replace_all(FORMULA, "${1}'${2}")


def dollars(cents: str | pl.Expr) -> pl.Expr:
    """Cents as text with two decimals."""
    amount = (pl.col(cents) if isinstance(cents, str) else cents).cast(pl.Int64)
    whole = (amount.abs() // 100).cast(pl.String)
    part = (amount.abs() % 100).cast(pl.String).str.zfill(2)
    sign = pl.when(amount < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, whole, pl.lit("."), part)


def counted(count: int, what: str) -> str:
    """1 file, 1,234 files."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def csv_text(frame: pl.DataFrame) -> bytes:
    """CSV, UTF-8: text inert and in quotes, columns ``…_amount`` from cents to dollars."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    amounts = [name for name in frame.columns if name.endswith("_amount")]
    return (
        frame.with_columns(inert(pl.col(texts)))
        .with_columns(dollars(name).alias(name) for name in amounts)
        .rename({name: name.removesuffix("_amount") for name in amounts})
        .write_csv(quote_style="non_numeric")
        .encode()
    )
