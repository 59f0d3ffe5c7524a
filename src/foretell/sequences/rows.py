"""The rows of a table in order of series and time, and their places on each series' grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.sequences.frequency import Frequency, show_time
from foretell.sequences.panel import Times
from foretell.sequences.table import Table

SINGLE = "series"  # the id of the one series of a table without a series column
MOST_GRID_POINTS = 50  # a grid this many times longer than the rows is a wrong frequency, not a gap


@dataclass(frozen=True)
class Rows:
    """The rows of S series, sorted by series in order of appearance, then by time."""

    ids: tuple[str, ...]  # S
    order: NDArray[np.int64]  # [N] the table's row of each sorted row
    series: NDArray[np.int64]  # [N] series number of each sorted row, ascending
    times: Times  # [N]

    @property
    def by_table(self) -> NDArray[np.int64]:
        """The series number of each row of the table, in the table's order, [N]."""
        series = np.empty_like(self.series)
        series[self.order] = self.series
        return series

    @property
    def first(self) -> NDArray[np.int64]:
        """The sorted row with which each series begins, [S]."""
        return np.searchsorted(self.series, np.arange(len(self.ids)))


@dataclass(frozen=True)
class Grid:
    """Where sorted rows stand on the grids of their series, laid end to end."""

    offsets: NDArray[np.int64]  # [S + 1]
    start: Times  # [S]
    place: NDArray[np.int64]  # [N] grid row of each sorted row

    @property
    def gaps(self) -> int:
        """Number of grid points without a row."""
        return int(self.offsets[-1]) - len(self.place)


def number_series(table: Table, column: str | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The series number of every row of the table, in order of first appearance, and the series' ids.

    Raises:
        InputError: an empty cell in the series column.
    """
    if column is None:
        return np.zeros(table.frame.height, np.int64), (SINGLE,)
    names = table.column(column).cast(pl.String)
    if names.has_nulls():
        row = int(names.is_null().arg_true()[0])
        raise InputError(f"{table.where(row, column)}: the series has no name. Fill it in, or remove the row.")
    ids = names.unique(maintain_order=True)
    numbers = names.replace_strict(ids, pl.int_range(len(ids), eager=True), return_dtype=pl.Int64)
    return numbers.to_numpy(), tuple(ids.to_list())


def count_rows(series: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each row within its series from 0, in the table's order, [rows]."""
    order = np.argsort(series, kind="stable")
    ordered = series[order]
    counted = np.empty_like(series)
    counted[order] = np.arange(len(series)) - np.searchsorted(ordered, ordered)
    return counted


def sort_rows(table: Table, times: NDArray[Any], time: str | None, series: str | None) -> Rows:
    """Sort the rows of a table whose times are known.

    Raises:
        InputError: a series has two rows of one time; the message names both.
    """
    numbers, ids = number_series(table, series)
    order = np.arange(len(numbers))
    later = times[1:] >= times[:-1]
    if not np.where(numbers[1:] == numbers[:-1], later, numbers[1:] > numbers[:-1]).all():
        order = np.lexsort((times, numbers))
        numbers, times = numbers[order], times[order]
    rows = Rows(ids, order, numbers, times)
    _refuse_duplicates(table, rows, time, series)
    return rows


def _refuse_duplicates(table: Table, rows: Rows, time: str | None, series: str | None) -> None:
    twice = np.flatnonzero((rows.series[1:] == rows.series[:-1]) & (rows.times[1:] == rows.times[:-1]))
    if not twice.size:
        return
    first, second = sorted(int(row) for row in rows.order[twice[0] : twice[0] + 2])
    of_series = f" of series {rows.ids[rows.series[twice[0]]]!r}" if series else ""
    remedy = "" if series else "; if the table holds several series, name the column that tells them apart with series="
    raise InputError(
        f"{table.where(second, time)}: time {show_time(rows.times[twice[0]])}{of_series} stands already in "
        f"row {first + 1} ({twice.size:,} such in all). Keep one row for each time of a series{remedy}."
    )


def lay_out(table: Table, rows: Rows, frequency: Frequency) -> Grid:
    """Places of sorted rows on the grid of each series, which begins with its first row.

    Raises:
        InputError: a time off its grid, or a grid far longer than the rows.
    """
    start = rows.times[rows.first]
    position = frequency.positions(rows.times, start[rows.series])
    off = np.flatnonzero(position < 0)
    if off.size:
        row = int(off[0])
        raise InputError(
            f"{table.where(int(rows.order[row]))}: time {show_time(rows.times[row])} is not on the grid "
            f"({frequency.words}) that starts at {show_time(start[rows.series[row]])}. "
            "Correct that time, or say another step with freq=."
        )
    last = np.append(rows.first[1:], len(rows.times)) - 1
    offsets = np.concatenate([[0], np.cumsum(position[last] + 1)])
    if offsets[-1] > MOST_GRID_POINTS * len(rows.times):
        raise InputError(
            f"{table.name}: {len(rows.times):,} rows on a grid of {offsets[-1]:,} steps ({frequency.words}) "
            "leave almost all of it empty. Say a longer step with freq=, e.g. freq='1d', or correct a time "
            "that lies far from the others."
        )
    return Grid(offsets, start, offsets[rows.series] + position)
