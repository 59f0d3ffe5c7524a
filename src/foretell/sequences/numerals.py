"""Numbers with commas in them, as spreadsheets of different countries write them: 1,234.5 and 1.234,5."""

from dataclasses import dataclass

import polars as pl

GLANCE = 1_000  # values by which a column is judged


@dataclass(frozen=True)
class Style:
    """How numbers are written."""

    pattern: str
    thousands: str  # what stands between them, a class of characters
    decimals: str


COMMAS_IN_THOUSANDS = Style(r"^[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?$", "[,]", ".")
COMMAS_BEFORE_DECIMALS = Style(r"^[-+]?(\d+|\d{1,3}([. \u00a0\u202f]\d{3})+)(,\d+)?$", "[. \u00a0\u202f]", ",")


def read_commas(column: pl.Series, separator: str) -> pl.Series:
    """A text column that holds numbers with commas as a column of numbers; any other as it is.

    1,234 may be either: it is taken for thousands where commas lie between the fields of the file too (`separator`),
    and for decimals elsewhere. What is not a number stays, and leaves the others as text that spells numbers.
    """
    few = column.drop_nulls().head(GLANCE).str.strip_chars()
    if not few.str.contains(r"\d,\d").any():
        return column
    likely, other = COMMAS_BEFORE_DECIMALS, COMMAS_IN_THOUSANDS
    if separator == ",":
        likely, other = other, likely
    style = other if _fits(few, other) > _fits(few, likely) else likely
    if 2 * _fits(few, style) < len(few):
        return column
    texts = column.str.strip_chars()
    plain = texts.str.replace_all(style.thousands, "").str.replace(style.decimals, ".", literal=True)
    spelled = plain.zip_with(texts.str.contains(style.pattern).fill_null(False), column)
    numbers = spelled.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == column.null_count() else spelled


def _fits(texts: pl.Series, style: Style) -> int:
    return int(texts.str.contains(style.pattern).sum())
