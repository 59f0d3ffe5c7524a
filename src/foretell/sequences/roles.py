"""Guesses what each column of a table is for, where the user has not said."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.sequences.columns import (
    encode,
    is_constant,
    is_numeric,
    read_numbers,
    spelled_share,
    vocabulary,
)
from foretell.sequences.panel import Times
from foretell.sequences.rows import Rows, count_rows
from foretell.sequences.table import Table
from foretell.sequences.times import WHOLE, integer_format, text_format

GLANCE = 4  # columns that a message shows
TIME_NAMES = (
    *("ds", "date", "datetime", "timestamp", "time", "day", "week", "month", "quarter", "year", "hour"),
    *("period", "step", "index", "t", "ts", "epoch"),
)
SERIES_NAMES = (
    *("unique_id", "id", "series", "item", "product", "sku", "store", "shop", "ticker", "symbol", "stock"),
    *("station", "location", "site", "sensor", "meter", "device", "city", "region", "country", "currency"),
)
TARGET_NAMES = ("y", "target", "value", "sales", "demand", "price", "close", "load", "quantity", "count")

MOST_CATEGORIES = 100  # text with more distinct values is no category,
MOST_DISTINCT = 0.2  # nor is text with more distinct values than this share of the rows
MOSTLY_NUMBERS = 0.9  # text of which this share spells numbers is numbers with mistakes among them
MOSTLY_TIMES = 0.5  # text of which this share reads as times is times with mistakes among them
LEAST_FILLED = 0.5  # a series column splits the rows into series that fill this much of their grids


def guess_time(table: Table, taken: Collection[str | None]) -> str | None:
    """The column of times: dates first, then text that reads as dates, then numbers named as a time."""
    columns = [column for column in table.frame.iter_columns() if column.name not in taken]
    if "ds" in (column.name for column in columns):
        return "ds"
    for column in columns:
        if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
            return column.name
    shares = {column.name: text_format(column)[1] for column in columns if column.dtype == pl.String}
    for least in (1.0, MOSTLY_TIMES):
        for name, share in shares.items():
            if share >= least:
                return name
    named = [column for column in columns if column.name.lower() in TIME_NAMES and column.dtype.is_integer()]
    named.sort(key=lambda column: TIME_NAMES.index(column.name.lower()))
    return next((column.name for column in named if _orders_rows(table, column, taken)), None)


def _orders_rows(table: Table, column: pl.Series, taken: Collection[str | None]) -> bool:
    """Whether whole numbers tell the rows apart, alone or within series."""
    if column.null_count() or integer_format(column) != WHOLE:
        return True
    times = column.cast(pl.Int64).to_numpy()
    return column.n_unique() == len(column) or guess_series(table, times, {*taken, column.name}) is not None


def guess_series(table: Table, times: Times, taken: Collection[str | None]) -> str | None:
    """The column that tells series apart: times repeat without it and do not within it."""
    if "unique_id" in table.frame.columns and "unique_id" not in taken:
        return "unique_id"
    rows = table.frame.height
    if (np.diff(np.sort(times)).astype(np.int64) > 0).all():
        return None
    kinds = (pl.String, pl.Categorical, pl.Enum)
    columns = [
        column
        for column in table.frame.iter_columns()
        if column.name not in taken
        and column.name.lower() not in TIME_NAMES
        and (column.dtype in kinds or column.dtype.is_integer())
        and 2 <= column.n_unique() <= rows / 2
    ]
    columns.sort(key=lambda column: (not _is_series_name(column.name), column.dtype.is_integer()))
    return next((column.name for column in columns if _splits_into_series(column, times)), None)


def _is_series_name(name: str) -> bool:
    return name.lower() in SERIES_NAMES or name.lower().endswith("_id")


def _splits_into_series(column: pl.Series, times: Times) -> bool:
    """Whether no time repeats within a value of the column, nor are most grid points of the values empty.

    A label such as sun or rain may pass the first test when a date is doubled by mistake, never the second.
    """
    if column.has_nulls():
        return False
    numbers = encode(column, vocabulary(column))
    order = np.lexsort((times, numbers))
    numbers, ticks = numbers[order], times[order].astype(np.int64)
    same = numbers[1:] == numbers[:-1]
    steps = np.diff(ticks)[same]
    if not steps.size or (steps == 0).any():
        return False
    if _is_series_name(column.name):
        return True
    values, counts = np.unique(steps, return_counts=True)
    points = np.maximum(steps / values[counts.argmax()], 1).sum() + len(numbers) - steps.size
    return bool(len(numbers) >= LEAST_FILLED * points)


def guess_target(table: Table, taken: Collection[str]) -> tuple[str, str]:
    """The column to predict, and why: a known name, the only numbers, or else the first decimals.

    Raises:
        InputError: no column holds numbers, or one does but for a mistake in it.
    """
    columns = {column.name.lower(): column for column in table.frame.iter_columns() if column.name not in taken}
    if "y" in columns:
        return columns["y"].name, ""
    numeric = [column for column in columns.values() if is_numeric(column)]
    by_name = {column.name.lower(): column.name for column in numeric if column.name.lower() in TARGET_NAMES}
    if by_name:
        return by_name[min(by_name, key=TARGET_NAMES.index)], "by its name"
    numeric = [column for column in numeric if not _is_dull(column)] or numeric
    if len(numeric) == 1:
        return numeric[0].name, "the only column of numbers"
    if numeric:
        decimals = [column for column in numeric if column.dtype.is_float()]
        first = (decimals or numeric)[0]
        return first.name, f"a guess: the first column of {'decimals' if decimals else 'numbers'}"
    for column in columns.values():
        if column.dtype == pl.String and spelled_share(column) >= 0.5:
            read_numbers(table, column.name)
            return column.name, "the only column of numbers"
    raise InputError(
        f"{table.name}: no column holds numbers to predict ({_glance(list(columns.values()))}). "
        "Write numbers like 1234.5, without signs of money or percent, or name another column with target=."
    )


def _glance(columns: Sequence[pl.Series]) -> str:
    """The names of the first columns and what they hold."""
    firsts = [(column.name, column.drop_nulls().head(1).to_list()) for column in columns[:GLANCE]]
    words = [f"{name!r} holds {first[0]!r:.40}" if first else f"{name!r} is empty" for name, first in firsts]
    return ", ".join(words if len(columns) <= GLANCE else [*words, "..."]) or "there is no other column than the time"


def _is_dull(column: pl.Series) -> bool:
    """Whether nobody would want to predict the column: it never changes, or it counts the rows."""
    return column.drop_nulls().n_unique() <= 1 or _counts(column.to_numpy())


def _counts(values: NDArray[np.generic]) -> bool:
    """Whether whole numbers go up by one from row to row."""
    return values.dtype.kind in "iu" and len(values) > 1 and bool((np.diff(values.astype(np.int64)) == 1).all())


@dataclass
class Leftover:
    """The columns left over, sorted into roles; `ignored` says why."""

    past: list[str] = field(default_factory=list)
    static: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)


def guess_covariates(table: Table, rows: Rows, taken: Collection[str]) -> Leftover:
    """Sort the columns that have no role: constant in each series is static, the rest is past."""
    found = Leftover()
    series = rows.by_table
    for column in table.frame.iter_columns():
        if column.name in taken:
            continue
        reason = _reason_to_ignore(table, column.name, series)
        if reason:
            found.ignored[column.name] = reason
            continue
        values = _comparable(table, column.name)
        if len(rows.ids) > 1 and is_constant(values, series).all():
            found.static.append(column.name)
        else:
            found.past.append(column.name)
    return found


def _reason_to_ignore(table: Table, name: str, series: NDArray[np.int64]) -> str:
    column = table.column(name)
    if not is_numeric(column) and column.dtype != pl.String:
        return "neither number nor text"
    distinct = column.drop_nulls().n_unique()
    if distinct == 0:
        return "empty"
    if distinct == 1 and not column.has_nulls():
        return "always the same"
    if is_category(column) and (distinct > MOST_CATEGORIES or distinct > MOST_DISTINCT * len(column)):
        return f"text with {distinct:,} distinct values"
    if column.dtype.is_integer() and not column.has_nulls():
        values = column.to_numpy()
        if _counts(values) or len(np.unique(values - count_rows(series))) == 1:
            return "counts the rows"
    return ""


def is_category(column: pl.Series) -> bool:
    """Whether a column is text of a few kinds rather than numbers, or numbers with mistakes among them."""
    return column.dtype in (pl.String, pl.Categorical, pl.Enum) and (
        spelled_share(column.cast(pl.String)) < MOSTLY_NUMBERS
    )


def _comparable(table: Table, name: str) -> NDArray[np.generic]:
    column = table.column(name)
    return encode(column, vocabulary(column)) if is_category(column) else read_numbers(table, name)
