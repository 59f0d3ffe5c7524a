"""What each column of the user's table is for: told by the user, or inferred and said plainly."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from foretell.errors import InputError, require_known
from foretell.sequences.columns import read_numbers, vocabulary
from foretell.sequences.frequency import WITHIN_A_DAY, Frequency, infer_frequency
from foretell.sequences.panel import Times
from foretell.sequences.roles import (
    Leftover,
    guess_covariates,
    guess_series,
    guess_target,
    guess_time,
    is_category,
)
from foretell.sequences.rows import Rows, count_rows, lay_out, number_series, sort_rows
from foretell.sequences.table import Table
from foretell.sequences.times import ZONED, read_times

Role = Literal["past", "known", "static"]
Names = str | Sequence[str] | None

OVERRIDE = "Not so? Say time=, target=, series=, past=, known=, static= or freq=."
DAY_OR_MONTH = {"%m": " (month first)", "%d": " (day first)"}
MOST_LISTED = 8  # columns of a role that a description names


class Schema(BaseModel):
    """The roles of a table's columns, kept with a trained model so that new tables are read alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    rows: int
    n_series: int
    gaps: int  # grid points without a row
    time: str | None  # None: the rows are counted
    time_format: str
    targets: tuple[str, ...]
    series: str | None  # None: the table is one series
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    categories: dict[str, tuple[str, ...]] = {}
    nonnegative: tuple[str, ...] = ()  # targets that never fell below zero
    frequency: str
    ignored: dict[str, str] = {}  # column: why
    target_reason: str = ""

    def numeric(self, role: Role) -> tuple[str, ...]:
        """The role's columns of numbers, in the order of `Covariates.numbers`."""
        return tuple(name for name in getattr(self, role) if name not in self.categories)

    def categorical(self, role: Role) -> tuple[str, ...]:
        """The role's columns of categories, in the order of `Covariates.codes`."""
        return tuple(name for name in getattr(self, role) if name in self.categories)

    def describe(self) -> str:
        """A short block for the terminal: every role, what was found, and how to correct it."""
        frequency = Frequency.parse(self.frequency)
        reason = f" ({self.target_reason})" if self.target_reason else ""
        series = f"{self.series} ({self.n_series:,})" if self.series else "one"
        order = DAY_OR_MONTH.get(self.time_format[:2], "")
        if self.time_format in ZONED and frequency.unit in WITHIN_A_DAY:
            order = " (in UTC)"
        lines = {
            "time": f"{self.time}{order}" if self.time else "the rows, counted",
            "target": ", ".join(self.targets) + reason,
            "series": series,
            "past": self._listed("past"),
            "known": self._listed("known"),
            "static": self._listed("static"),
            "ignored": _shortened([f"{name} ({why})" for name, why in self.ignored.items()]),
            "frequency": f"{frequency.words} ({frequency.name})",
            "rows": f"{self.rows:,}, {counted_gaps(self.gaps)}",
        }
        block = [f"  {name:<10} {value}" for name, value in lines.items()]
        return "\n".join([self.source, *block, f"  {OVERRIDE}"])

    def _listed(self, role: Role) -> str:
        kinds = {name: f" ({len(values)} kinds)" for name, values in self.categories.items()}
        return _shortened([name + kinds.get(name, "") for name in getattr(self, role)])


def counted_gaps(count: int) -> str:
    """So many gaps, in words."""
    return f"{count:,} gap{'s' * (count != 1)}" if count else "no gaps"


def _shortened(items: Sequence[str]) -> str:
    more = f", and {len(items) - MOST_LISTED} more" if len(items) > MOST_LISTED else ""
    return ", ".join(items[:MOST_LISTED]) + more or "-"


@dataclass(frozen=True)
class _Told:
    """What the user said of the columns, as tuples; None where nothing was said."""

    time: str | None
    series: str | None
    target: tuple[str, ...] | None
    past: tuple[str, ...] | None
    known: tuple[str, ...] | None
    static: tuple[str, ...] | None

    def columns(self) -> list[tuple[str, str]]:
        """(role, column) pairs."""
        one = [("time", self.time), ("series", self.series)]
        many = [("target", self.target), ("past", self.past), ("known", self.known), ("static", self.static)]
        pairs = [(role, name) for role, name in one if name is not None]
        return pairs + [(role, name) for role, names in many for name in names or ()]


def infer_schema(
    table: Table,
    *,
    time: str | None = None,
    target: Names = None,
    series: str | None = None,
    past: Names = None,
    known: Names = None,
    static: Names = None,
    freq: str | None = None,
) -> Schema:
    """Find the role of every column that the caller does not name.

    Only the user can say what is known of the future, so `known` is never guessed. To name `past` is to name
    all covariates: what is left is then ignored.

    Raises:
        InputError: a column that does not exist or is named twice, times that cannot be read, repeat or leave
            one grid, a target that holds no numbers.
    """
    told = _Told(time, series, _names(target), _names(past), _names(known), _names(static))
    _check_told(table, told)
    return _complete(table, told, Frequency.parse(freq) if freq else None)


def _complete(table: Table, told: _Told, frequency: Frequency | None) -> Schema:
    taken = {name for _, name in told.columns()}
    time = told.time or guess_time(table, taken)
    times, written, series = _times_and_series(table, time, told.series, {*taken, time})
    taken |= {name for name in (time, series) if name is not None}
    targets, reason = (told.target, "") if told.target else _one(guess_target(table, taken))
    rows = sort_rows(table, times, time, series)
    others = _covariates(table, rows, told, {*taken, *targets})
    roles = _roles(told, others)
    frequency = frequency or _frequency(table, rows)
    _check_unit(table, frequency, times)
    return Schema(
        source=table.name,
        rows=table.frame.height,
        n_series=len(rows.ids),
        gaps=lay_out(table, rows, frequency).gaps,
        time=time,
        time_format=written,
        targets=targets,
        series=series,
        **roles,
        categories=_categories(table, [name for names in roles.values() for name in names]),
        nonnegative=_nonnegative(table, targets),
        frequency=frequency.name,
        ignored=_ignored(told, others),
        target_reason=reason,
    )


def _names(value: Names) -> tuple[str, ...] | None:
    return None if value is None else (value,) if isinstance(value, str) else tuple(value)


def _one(guess: tuple[str, str]) -> tuple[tuple[str, ...], str]:
    return (guess[0],), guess[1]


def _check_told(table: Table, told: _Told) -> None:
    roles: dict[str, str] = {}
    for role, name in told.columns():
        require_known(table.name, f"{role} column", [name], table.frame.columns)
        if name in roles:
            raise InputError(
                f"{table.name}: column {name!r} is named both as {roles[name]} and as {role}. Keep one of the two."
            )
        roles[name] = role


def _times_and_series(
    table: Table, time: str | None, series: str | None, taken: Collection[str | None]
) -> tuple[Times, str, str | None]:
    if time is not None:
        times, written = read_times(table, time)
        return times, written, series or guess_series(table, times, taken)
    if series is None and "unique_id" in table.frame.columns and "unique_id" not in taken:
        series = "unique_id"
    return count_rows(number_series(table, series)[0]), "", series


def _frequency(table: Table, rows: Rows) -> Frequency:
    return infer_frequency(rows.times, rows.series, lambda row: table.where(int(rows.order[row])))


def _check_unit(table: Table, frequency: Frequency, times: Times) -> None:
    if (frequency.unit == "i") != (times.dtype.kind != "M"):
        kind, example = ("dates", "1d") if times.dtype.kind == "M" else ("whole numbers", "1i")
        raise InputError(
            f"{table.name}: the time column holds {kind}, which freq={frequency.name!r} does not step "
            f"through. Say e.g. freq={example!r}."
        )


def _covariates(table: Table, rows: Rows, told: _Told, taken: Collection[str]) -> Leftover:
    if told.past is None:
        return guess_covariates(table, rows, taken)
    left = [name for name in table.frame.columns if name not in taken]
    return Leftover(ignored=dict.fromkeys(left, "not named"))


def _roles(told: _Told, others: Leftover) -> dict[str, tuple[str, ...]]:
    return {
        "past": told.past if told.past is not None else tuple(others.past),
        "known": told.known or (),
        "static": told.static if told.static is not None else tuple(others.static),
    }


def _ignored(told: _Told, others: Leftover) -> dict[str, str]:
    return others.ignored | dict.fromkeys(others.static if told.static is not None else (), "not named")


def _categories(table: Table, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    columns = {name: table.column(name) for name in names}
    return {name: vocabulary(column) for name, column in columns.items() if is_category(column)}


def _nonnegative(table: Table, targets: Iterable[str]) -> tuple[str, ...]:
    found = []
    for name in targets:
        values = read_numbers(table, name)
        if np.isnan(values).all():
            raise InputError(f"{table.name}, column {name!r}: the target has no value. Name another with target=.")
        if np.nanmin(values) >= 0 and np.nanmin(values) < np.nanmax(values):
            found.append(name)
    return tuple(found)
