"""A table and its schema laid out as a panel: many series on one regular grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError, require, suggestion
from foretell.sequences.columns import encode, first_known, is_constant, read_numbers
from foretell.sequences.frequency import Frequency, show_time
from foretell.sequences.panel import Covariates, Floats, Panel, Times
from foretell.sequences.rows import Rows, count_rows, lay_out, number_series, sort_rows
from foretell.sequences.schema import Role, Schema
from foretell.sequences.table import Table
from foretell.sequences.times import read_times


def build_panel(table: Table, schema: Schema) -> Panel:
    """Lay the rows of a table, the one the schema was inferred from or a new one, on the grid of each series.

    Columns that the schema does not name are left aside; a category that it does not know has code 0.

    Raises:
        InputError: a column is missing or unreadable, a time repeats or is off the grid, a static column
            changes.
    """
    _require_columns(table, schema, (*schema.targets, *schema.past, *schema.known, *schema.static))
    numbers, _ = number_series(table, schema.series)
    rows = sort_rows(table, _times(table, schema, count_rows(numbers)), schema.time, schema.series)
    frequency = Frequency.parse(schema.frequency)
    grid = lay_out(table, rows, frequency)
    source = np.full(grid.offsets[-1], -1, np.int64)  # the table's row on each grid row, -1 in a gap
    source[grid.place] = rows.order
    targets = [_at(read_numbers(table, name), source) for name in schema.targets]
    return Panel(
        ids=rows.ids,
        offsets=grid.offsets,
        start=grid.start,
        frequency=frequency,
        y=np.stack(targets, axis=1),
        past=_covariates(table, schema, "past", source),
        known=_covariates(table, schema, "known", source),
        static=_static(table, schema, rows),
    )


def future_covariates(table: Table, schema: Schema, panel: Panel, horizon: int) -> Covariates:
    """What is known of the `horizon` steps after each series of the panel, [S x horizon] rows.

    The table holds the schema's series, time and known columns; rows of other times or series are left aside.
    Without a time column, the rows of each series are the steps that follow its last one.

    Raises:
        InputError: a row is missing; the message names the series and the first missing time.
    """
    require(horizon >= 1, "future_covariates", "horizon", "at least 1", horizon)
    _require_columns(table, schema, schema.known)
    series = _series_in(table, schema, panel)
    listed = series >= 0
    # Rows of other series are placed on the first one's grid and then left aside: no special case.
    inside = np.where(listed, series, 0)
    times = _times(table, schema, count_rows(series) + panel.lengths[inside] + panel.start[inside])
    step = panel.frequency.positions(times, panel.start[inside]) - panel.lengths[inside]
    wanted = np.flatnonzero(listed & (step >= 0) & (step < horizon))
    source = np.full(len(panel.ids) * horizon, -1, np.int64)
    source[inside[wanted] * horizon + step[wanted]] = wanted
    missing = np.flatnonzero(source < 0)
    if missing.size:
        number, ahead = divmod(int(missing[0]), horizon)
        first = int(panel.lengths[number]) + ahead
        time = show_time(panel.times(number, first, first + 1)[0])
        raise InputError(
            f"{table.name}: no row for series {panel.ids[number]!r} at {time} ({missing.size:,} of "
            f"{source.size:,} future rows are missing). Give {', '.join(schema.known)} for every series and "
            f"each of the {horizon} steps to predict."
        )
    _refuse_repeats(table, schema, source, wanted)
    return _covariates(table, schema, "known", source)


def _require_columns(table: Table, schema: Schema, names: tuple[str, ...]) -> None:
    for name in (schema.time, schema.series, *names):
        if name is not None and name not in table.frame.columns:
            raise InputError(
                f"{table.name}: the schema of {schema.source} has a column {name!r}, which is not here. "
                f"{suggestion(name, table.frame.columns)} Add the column, or rename the one that holds it."
            )


def _times(table: Table, schema: Schema, counted: Times) -> Times:
    """The times of the table's rows, of the same kind as those the schema was inferred from."""
    if schema.time is None:
        return counted
    times, _ = read_times(table, schema.time, schema.time_format)
    whole = Frequency.parse(schema.frequency).unit == "i"
    if whole == (times.dtype.kind == "M"):
        came, wanted = ("dates", "whole numbers") if whole else ("whole numbers", "dates")
        raise InputError(
            f"{table.where(0, schema.time)}: the times are {came}, but in {schema.source} they are {wanted}. "
            f"Give {wanted} here too."
        )
    return times


def _series_in(table: Table, schema: Schema, panel: Panel) -> NDArray[np.int64]:
    """The panel's series number of each row of the table, -1 for a series that the panel does not hold."""
    if schema.series is None:
        return np.zeros(table.frame.height, np.int64)
    return encode(table.column(schema.series), panel.ids) - 1


def _refuse_repeats(table: Table, schema: Schema, source: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
    repeated = np.setdiff1d(wanted, source)
    if repeated.size:
        raise InputError(
            f"{table.where(int(repeated[0]), schema.time)}: another row has this time and series. "
            "Keep one row for each time of a series."
        )


def _covariates(table: Table, schema: Schema, role: Role, source: NDArray[np.int64]) -> Covariates:
    """The role's columns at the given rows of the table; row -1 is a gap."""
    numbers = [_at(read_numbers(table, name), source) for name in schema.numeric(role)]
    codes = [
        np.where(source < 0, 0, encode(table.column(name), schema.categories[name])[source])
        for name in schema.categorical(role)
    ]
    return _stack(numbers, codes, len(source))


def _static(table: Table, schema: Schema, rows: Rows) -> Covariates:
    """The static columns, one row a series: the first value that is not missing."""
    series = rows.by_table
    numbers = [_one_a_series(table, name, read_numbers(table, name), series, rows) for name in schema.numeric("static")]
    codes = [
        _one_a_series(table, name, encode(table.column(name), schema.categories[name]), series, rows)
        for name in schema.categorical("static")
    ]
    return _stack(numbers, codes, len(rows.ids))


def _one_a_series(table: Table, name: str, values: NDArray[Any], series: NDArray[np.int64], rows: Rows) -> NDArray[Any]:
    changed = np.flatnonzero(~is_constant(values, series))
    if changed.size:
        row = int(changed[0])
        raise InputError(
            f"{table.where(row, name)}: {table.frame[name][row]!r} differs from earlier rows of series "
            f"{rows.ids[series[row]]!r}, but a static column has one value a series. "
            "Name it as past= or known=."
        )
    return first_known(values, series)


def _at(values: Floats, source: NDArray[np.int64]) -> Floats:
    """Values at the given rows, NaN for row -1."""
    return np.where(source < 0, np.nan, values[source])


def _stack(numbers: list[NDArray[Any]], codes: list[NDArray[Any]], rows: int) -> Covariates:
    return Covariates(
        numbers=np.stack(numbers, axis=1) if numbers else np.zeros((rows, 0)),
        codes=np.stack(codes, axis=1) if codes else np.zeros((rows, 0), np.int64),
    )
