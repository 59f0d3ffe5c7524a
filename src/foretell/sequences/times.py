"""Columns of times: which format they are written in, and their values as datetime64[us] or whole numbers."""

from itertools import product
from typing import Any

import polars as pl
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.sequences.table import Table

# Two-digit years stand before four-digit ones: %Y would read 1/2/10 as the year 10. Where a column fits both
# month/day and day/month, the first, month/day, is taken.
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%m/%d/%y", "%m/%d/%Y", "%d/%m/%y", "%d/%m/%Y", "%d.%m.%y", "%d.%m.%Y"),
    *("%m-%d-%Y", "%d-%m-%Y", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%Y%m%d"),
)
CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", "T%H:%M:%S%.f", "T%H:%M", " %I:%M %p", " %I:%M:%S %p")
ZONED = tuple(f"%Y-%m-%d{joint}%H:%M:%S%.f%#z" for joint in "T ")
MONTHS = ("%Y-%m", "%Y/%m", "%Y%m", "%m/%Y", "%b %Y", "%B %Y")
QUARTER = "quarter"  # 2020Q1, 2020-Q1
FORMATS = (*(date + clock for clock, date in product(CLOCKS, DATES)), *ZONED, *MONTHS, QUARTER)
# Whole numbers this large are no counters but ticks since 1970, of a length that makes them 1973 to 2096.
EPOCHS = {"epoch s": 1e8, "epoch ms": 1e11, "epoch us": 1e14, "epoch ns": 1e17}
EPOCH_RANGE = 40.0
SAMPLE = 200

NATIVE, WHOLE = "datetime", "whole numbers"


def text_format(column: pl.Series) -> tuple[str, float]:
    """The format that reads most of a text column's first values, and the share that it reads."""
    sample = column.drop_nulls().head(SAMPLE)
    if sample.is_empty() or not sample.str.contains(r"\d").any():
        return FORMATS[0], 0.0
    shares = {name: 1.0 - _parse(sample, name).null_count() / len(sample) for name in FORMATS}
    best = max(shares, key=lambda name: shares[name])  # the first of equals
    return best, shares[best]


def integer_format(column: pl.Series) -> str:
    """Whether whole numbers are dates (20240131), ticks since 1970 or plain counters."""
    low, high = column.min(), column.max()
    if not isinstance(low, int) or not isinstance(high, int):
        return WHOLE
    if low >= 16_000_101 and high <= 22_991_231 and not _parse(column.cast(pl.String), "%Y%m%d").has_nulls():
        return "%Y%m%d"
    fits = [name for name, least in EPOCHS.items() if least <= low and high < least * EPOCH_RANGE]
    return fits[0] if fits else WHOLE


def read_times(table: Table, name: str, written: str | None = None) -> tuple[NDArray[Any], str]:
    """The times of a column, datetime64[us] or int64, and the format they are written in.

    Args:
        table: the table.
        name: the column.
        written: the format found in an earlier table, which settles what a short column leaves open.

    Raises:
        InputError: an empty cell, a text that is no time, a column of neither times nor whole numbers.
    """
    column = table.column(name)
    if column.has_nulls():
        row = int(column.is_null().arg_true()[0])
        raise InputError(f"{table.where(row, name)}: the time is empty. Fill it in, or remove the row.")
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return _naive(column), NATIVE
    if column.dtype == pl.String:
        return _read_text(table, column, written)
    if column.dtype.is_float() and bool((column == column.floor()).all()):
        column = column.cast(pl.Int64)
    if not column.dtype.is_integer():
        raise InputError(
            f"{table.where(0, name)}: {column[0]!r} is not a time. Name a column of dates or whole numbers with time=."
        )
    return _read_integers(column, written)


def _read_text(table: Table, column: pl.Series, written: str | None) -> tuple[NDArray[Any], str]:
    candidates = [written] if written in FORMATS else []
    sample = column.head(SAMPLE)
    candidates += [name for name in FORMATS if not _parse(sample, name).has_nulls()]
    candidates = candidates or [text_format(column)[0]]
    for name in candidates:
        parsed = _parse(column, name)
        if not parsed.has_nulls():
            return _day_first(column, parsed, name) or (_naive(parsed), name)
    fewest = min(candidates, key=lambda name: _parse(column, name).null_count())
    row = int(_parse(column, fewest).is_null().arg_true()[0])
    raise InputError(
        f"{table.where(row, column.name)}: {column[row]!r} cannot be read as a time. "
        "Correct it; 2024-01-31 and 2024-01-31 23:59 are always understood."
    )


def _day_first(column: pl.Series, parsed: pl.Series, name: str) -> tuple[NDArray[Any], str] | None:
    """The day-first reading of months such as 01/02/2010, month first days of January every year."""
    if (
        not name.startswith(("%m/%d/", "%m-%d-"))
        or parsed.dt.month().n_unique() > 1
        or parsed.dt.year().n_unique() == 1
    ):
        return None
    swapped = f"%d{name[2]}%m" + name.removeprefix(f"%m{name[2]}%d")
    other = _parse(column, swapped)
    return None if other.has_nulls() or other.dt.month().n_unique() == 1 else (_naive(other), swapped)


def _read_integers(column: pl.Series, written: str | None) -> tuple[NDArray[Any], str]:
    name = written if written in (*EPOCHS, WHOLE, "%Y%m%d") else integer_format(column)
    if name == "%Y%m%d":
        return _naive(_parse(column.cast(pl.String), name)), name
    if name in EPOCHS:
        ticks = column.cast(pl.Int64).to_numpy().astype(f"M8[{name.removeprefix('epoch ')}]")
        return ticks.astype("M8[us]"), name
    return column.cast(pl.Int64).to_numpy(), WHOLE


def _parse(column: pl.Series, name: str) -> pl.Series:
    """Datetimes where the format fits, null elsewhere."""
    if name == QUARTER:
        parts = column.str.extract_groups(r"^\s*(?<year>\d{4})[- ]?Q(?<quarter>[1-4])\s*$").struct.unnest()
        month = (parts["quarter"].cast(pl.Int64) * 3 - 2).cast(pl.String)
        column, name = parts["year"] + "-" + month, "%Y-%m"
    if name in MONTHS:
        column, name = column.str.strip_chars() + " 01", name + " %d"
    return column.str.strip_chars().str.strptime(pl.Datetime("us"), name, strict=False)


def _naive(column: pl.Series) -> NDArray[Any]:
    """datetime64[us] without a zone: local dates where all times are midnights there, otherwise UTC."""
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        local = column.dt.replace_time_zone(None)
        midnights = bool((local == local.dt.truncate("1d")).all())
        column = local if midnights else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us")).to_numpy()
