"""Single columns as numbers or as codes of categories."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.sequences.panel import Codes, Floats
from foretell.sequences.table import Table


def is_numeric(column: pl.Series) -> bool:
    """Whether the column holds numbers; true and false count as 1 and 0, an empty column as missing."""
    return column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)


def read_numbers(table: Table, name: str) -> Floats:
    """A column as float64 [rows], NaN where a value is missing. Text that spells numbers will do.

    Raises:
        InputError: a value that is no number, or an infinite one; the message names its row.
    """
    column = table.column(name)
    if not is_numeric(column) and column.dtype != pl.String:
        raise InputError(f"{table.name}, column {name!r}: the column holds {column.dtype}, not numbers. Name another.")
    numbers = column.cast(pl.Float64, strict=False) if is_numeric(column) else _spelled(column)
    wrong = (numbers.is_null() & column.is_not_null()).arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{table.where(row, name)}: {column[row]!r} is not a number. "
            "Correct it, leave it empty if it is missing, or name another column."
        )
    values: Floats = numbers.fill_null(float("nan")).to_numpy()
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        row = int(infinite[0])
        raise InputError(
            f"{table.where(row, name)}: the value is infinite ({values[row]}). "
            "Give a finite number, or leave it empty if it is missing."
        )
    return values


def _spelled(column: pl.Series) -> pl.Series:
    return column.str.strip_chars().cast(pl.Float64, strict=False)


def spelled_share(column: pl.Series) -> float:
    """The share of a text column's distinct values that spell a number."""
    distinct = column.drop_nulls().unique()
    return 0.0 if distinct.is_empty() else 1.0 - _spelled(distinct).null_count() / len(distinct)


def vocabulary(column: pl.Series) -> tuple[str, ...]:
    """The distinct values of a column as text, sorted."""
    return tuple(column.drop_nulls().cast(pl.String).unique().sort().to_list())


def encode(column: pl.Series, categories: tuple[str, ...]) -> Codes:
    """Codes [rows]: the first category is 1; 0 is missing or not among the categories."""
    old = pl.Series(categories, dtype=pl.String)
    new = pl.int_range(1, len(categories) + 1, eager=True)
    return column.cast(pl.String).replace_strict(old, new, default=0, return_dtype=pl.Int64).to_numpy()


def is_constant(values: NDArray[np.generic], series: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each row is missing or equals the first known value of its series, [rows].

    Args:
        values: [rows], numbers with NaN or codes with 0 for missing.
        series: [rows], the number of each row's series from 0.
    """
    missing = np.isnan(values) if values.dtype.kind == "f" else values == 0
    return np.asarray(missing | (values == first_known(values, series)[series]))


def first_known(values: NDArray[np.generic], series: NDArray[np.int64]) -> NDArray[np.generic]:
    """The first value of each series that is not missing, [S]; NaN, or code 0, where all are."""
    missing = np.isnan(values) if values.dtype.kind == "f" else values == 0
    first = np.full(int(series.max()) + 1, np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    rows = np.flatnonzero(~missing)[::-1]  # the last assignment wins: the earliest row
    first[series[rows]] = values[rows]
    return first
