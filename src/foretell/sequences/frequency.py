"""The step between two rows of a series: its name, its grid, its seasons and its calendar."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError, require, suggestion

Unit = Literal["us", "ms", "s", "min", "h", "d", "b", "w", "mo", "q", "y", "i"]  # b business day, i integer time

WITHIN_A_DAY: tuple[Unit, ...] = ("us", "ms", "s", "min", "h")
MICROSECONDS: dict[Unit, int] = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 7 * 86_400_000_000,
}
MONTHS: dict[Unit, int] = {"mo": 1, "q": 3, "y": 12}
YEAR = 31_557_600_000_000  # 365.25 days in microseconds

PLURAL: dict[str, str] = {
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "b": "business days",
    "w": "weeks",
    "mo": "months",
    "q": "quarters",
    "y": "years",
    "i": "steps",
}
ADVERB: dict[str, str] = {
    "h": "hourly",
    "d": "daily",
    "b": "every business day",
    "w": "weekly",
    "mo": "monthly",
    "q": "quarterly",
    "y": "yearly",
}
# What people and other libraries write. Case decides between M (month) and m (minute), so look there first.
ALIASES: dict[str, Unit] = {
    **{name: name for name in get_args(Unit)},
    **dict.fromkeys(("U", "micro", "microsecond"), "us"),
    **dict.fromkeys(("L", "milli", "millisecond"), "ms"),
    **dict.fromkeys(("S", "sec", "second"), "s"),
    **dict.fromkeys(("T", "m", "minute", "minutely"), "min"),
    **dict.fromkeys(("H", "hr", "hour", "hourly"), "h"),
    **dict.fromkeys(("D", "day", "daily"), "d"),
    **dict.fromkeys(("B", "C", "bd", "business", "business day", "business daily"), "b"),
    **dict.fromkeys(("W", "week", "weekly"), "w"),
    **dict.fromkeys(("M", "MS", "ME", "month", "monthly"), "mo"),
    **dict.fromkeys(("Q", "QS", "QE", "quarter", "quarterly"), "q"),
    **dict.fromkeys(("Y", "YS", "YE", "A", "AS", "year", "yearly", "annual", "annually"), "y"),
    **dict.fromkeys(("", "step", "integer", "index"), "i"),
}


@dataclass(frozen=True)
class Frequency:
    """`count` steps of `unit` between neighbouring grid points, e.g. Frequency(15, "min").

    A grid of months, quarters or years keeps the day of the month of its start; a start on the last day
    of a month means every month's last day.
    """

    count: int
    unit: Unit

    def __post_init__(self) -> None:
        require(self.count >= 1, "Frequency", "count", "at least 1", self.count)
        require(self.unit in PLURAL, "Frequency", "unit", f"one of {', '.join(PLURAL)}", self.unit)

    @classmethod
    def parse(cls, name: str) -> "Frequency":
        """Read "D", "15min", "MS", "W-SUN" (pandas), "1d", "1mo" (polars), "daily", "12 hours".

        A bare number is a step of integer time.

        Raises:
            InputError: the name is not a frequency.
        """
        match = re.fullmatch(r"(\d*)\s*([A-Za-z ]*?)(-[A-Za-z]{3})?", str(name).strip())
        unit = _unit(match.group(2)) if match and str(name).strip() else None
        if match is None or unit is None:
            known = {*ALIASES, "15min"} - {""}
            raise InputError(
                f"freq: {name!r} is not a frequency. {suggestion(str(name).strip(), known)} "
                "Examples: '1h', '15min', 'daily', 'business', 'weekly', 'monthly', '1i' for whole numbers."
            )
        return cls(int(match.group(1) or 1), unit)

    @property
    def name(self) -> str:
        """The short name that `parse` reads back: "1d", "15min", "1mo"."""
        return f"{self.count}{self.unit}"

    @property
    def words(self) -> str:
        """The frequency for people: "daily", "every 15 minutes"."""
        if self.count > 1:
            return f"every {self.count} {PLURAL[self.unit]}"
        return ADVERB.get(self.unit, f"every {PLURAL[self.unit].removesuffix('s')}")

    @property
    def seasons(self) -> tuple[int, ...]:
        """Season lengths in steps, shortest first: hourly (24, 168, 8766), daily (7, 365), ..."""
        if self.unit == "i":
            return ()
        if self.unit in MONTHS:
            cycles: tuple[tuple[int, bool], ...] = ((12 // MONTHS[self.unit], True),)
            step = self.count
        elif self.unit == "b":
            cycles, step = ((5, True), (261, False)), self.count
        else:
            cycles = ((MICROSECONDS["d"], True), (MICROSECONDS["w"], True), (YEAR, False))
            step = self.count * MICROSECONDS[self.unit]
        # A day or week that is no whole number of steps has no lag; a year never is one: round it down.
        lengths = [cycle // step for cycle, exact in cycles if not (exact and cycle % step)]
        return tuple(length for length in lengths if length >= 2)

    def positions(self, times: NDArray[Any], start: Any) -> NDArray[np.int64]:
        """Grid positions of `times` counted from `start` (one, or one for each time).

        -1 where a time is off the grid or before the start.
        """
        if self.unit == "i":
            return _steps(np.asarray(times, np.int64) - start, self.count)
        times, start = np.asarray(times, "M8[us]"), np.asarray(start, "M8[us]")
        if self.unit in MONTHS:
            return _month_positions(times, start, self.count * MONTHS[self.unit])
        if self.unit == "b":
            return _business_positions(times, start, self.count)
        return _steps((times - start).astype(np.int64), self.count * MICROSECONDS[self.unit])

    def times(self, start: Any, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Times at the given grid positions counted from `start` (one, or one for each position)."""
        positions = np.asarray(positions, np.int64) * self.count
        if self.unit == "i":
            return np.asarray(positions + start, np.int64)
        start = np.asarray(start, "M8[us]")
        if self.unit in MONTHS:
            return _month_times(start, positions * MONTHS[self.unit])
        if self.unit == "b":
            day = start.astype("M8[D]")
            return np.asarray(np.busday_offset(day, positions).astype("M8[us]") + (start - day))
        return np.asarray(start + (positions * MICROSECONDS[self.unit]).astype("m8[us]"))

    def calendar(self, times: NDArray[Any]) -> NDArray[np.float32]:
        """Sine and cosine of every phase that the calendar knows at `times`, [len(times), 2 x phases].

        Time of day for steps below a day, day of week up to a day, day of year up to a month, in this order,
        read from the times themselves, so that leap years do not drift. Integer time has no phases.
        """
        phases = []
        if self.unit != "i":
            times = np.asarray(times, "M8[us]")
            step = self._typical_step
            day = times.astype("M8[D]")
            if step < MICROSECONDS["d"]:
                phases.append((times - day).astype(np.int64) / MICROSECONDS["d"])
            if step <= MICROSECONDS["d"]:
                phases.append((day.astype(np.int64) + 3) % 7 / 7)  # 1970-01-01 was a Thursday; Monday is 0
            if step <= 31 * MICROSECONDS["d"]:
                year = times.astype("M8[Y]")
                first, following = year.astype("M8[us]"), (year + 1).astype("M8[us]")
                phases.append((times - first) / (following - first))
        waves = [wave(2 * np.pi * phase) for phase in phases for wave in (np.sin, np.cos)]
        return np.stack(waves, axis=1).astype(np.float32) if waves else np.zeros((len(times), 0), np.float32)

    @property
    def _typical_step(self) -> int:
        """Length of a step in microseconds; a month counts 31 days, a business day one."""
        if self.unit in MONTHS:
            return self.count * MONTHS[self.unit] * 31 * MICROSECONDS["d"]
        return self.count * MICROSECONDS["d" if self.unit == "b" else self.unit]


def show_time(time: Any) -> str:
    """A time for people: 2024-01-31, 2024-01-31T06:00, or a whole number."""
    return str(np.datetime_as_string(time, unit="auto")) if np.asarray(time).dtype.kind == "M" else str(time)


def _unit(text: str) -> Unit | None:
    return ALIASES.get(text) or ALIASES.get(text.lower()) or ALIASES.get(text.lower().removesuffix("s"))


def _steps(distance: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    positions, rest = np.divmod(distance, step)
    return np.where((rest == 0) & (positions >= 0), positions, -1)


def _month_parts(times: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Month since 1970, day of the month from 0, days in the month, time of day."""
    month, day = times.astype("M8[M]"), times.astype("M8[D]")
    first = month.astype("M8[D]")
    days = (month + 1).astype("M8[D]") - first
    return month.astype(np.int64), (day - first).astype(np.int64), days.astype(np.int64), times - day


def _month_day(start_day: NDArray[Any], start_days: NDArray[Any], days: NDArray[Any]) -> NDArray[Any]:
    """The day, from 0, on which a grid that starts on `start_day` meets a month of `days` days."""
    return np.where(start_day == start_days - 1, days - 1, np.minimum(start_day, days - 1))


def _month_positions(times: NDArray[Any], start: NDArray[Any], step: int) -> NDArray[np.int64]:
    month, day, days, clock = _month_parts(times)
    start_month, start_day, start_days, start_clock = _month_parts(start)
    positions = _steps(month - start_month, step)
    return np.where((day == _month_day(start_day, start_days, days)) & (clock == start_clock), positions, -1)


def _month_times(start: NDArray[Any], months: NDArray[np.int64]) -> NDArray[Any]:
    start_month, start_day, start_days, clock = _month_parts(start)
    month = (start_month + months).astype("M8[M]")
    first = month.astype("M8[D]")
    days = ((month + 1).astype("M8[D]") - first).astype(np.int64)
    day = _month_day(start_day, start_days, days).astype("m8[D]")
    return np.asarray((first + day).astype("M8[us]") + clock)


def _business_positions(times: NDArray[Any], start: NDArray[Any], step: int) -> NDArray[np.int64]:
    day, start_day = times.astype("M8[D]"), start.astype("M8[D]")
    positions = _steps(np.asarray(np.busday_count(start_day, day), np.int64), step)
    on_grid = np.is_busday(day) & np.is_busday(start_day) & (times - day == start - start_day)
    return np.where(on_grid, positions, -1)


def infer_frequency(times: NDArray[Any], series: NDArray[np.int64], where: Callable[[int], str]) -> Frequency:
    """The frequency of many series: the most common step, of which every other step must be a multiple.

    Args:
        times: [N], ascending within each series, no duplicates.
        series: [N], the series of each time; equal neighbours belong together.
        where: names the file and row of time n for an error message.

    Raises:
        InputError: no series has two rows, or the steps do not fit one grid.
    """
    same = series[1:] == series[:-1]
    steps = np.diff(times).astype(np.int64)[same]
    if steps.size == 0:
        raise InputError(
            f"{where(0)}: no series has two rows, so the step between rows cannot be seen. "
            "Say it with freq=, e.g. freq='1d'."
        )
    usual = _most_common(steps)
    if times.dtype.kind != "M":
        frequency = Frequency(usual, "i")
    else:
        frequency = _month_frequency(times, series, same, usual) or _clock_frequency(times, series, usual)
    if frequency.unit not in (*MONTHS, "b"):  # those two were tried on every row
        _refuse_mixed_steps(times, same, steps, usual, where)
    return frequency


def _refuse_mixed_steps(
    times: NDArray[Any],
    same: NDArray[np.bool_],
    steps: NDArray[np.int64],
    usual: int,
    where: Callable[[int], str],
) -> None:
    off = np.flatnonzero(steps % usual)
    if not off.size:
        return
    row = int(np.flatnonzero(same)[off[0]]) + 1
    monthly = times.dtype.kind == "M" and usual >= 28 * MICROSECONDS["d"]
    remedy = (
        "For months, give the first or the last day of each."
        if monthly
        else "Correct that time, or say with freq= a step that all are multiples of, e.g. freq='1h'."
    )
    raise InputError(
        f"{where(row)}: time {show_time(times[row])} comes {_span(int(steps[off[0]]), times)} after the one "
        f"before it in its series, but most come {_span(usual, times)} apart. {remedy}"
    )


def _most_common(steps: NDArray[np.int64]) -> int:
    values, counts = np.unique(steps, return_counts=True)
    return int(values[counts.argmax()])


def _starts(times: NDArray[Any], series: NDArray[np.int64]) -> NDArray[Any]:
    """The first time of each row's series, [N]."""
    first = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
    return np.repeat(times[first], np.diff(np.r_[first, len(times)]))


def _month_frequency(
    times: NDArray[Any], series: NDArray[np.int64], same: NDArray[np.bool_], usual: int
) -> Frequency | None:
    if usual < 28 * MICROSECONDS["d"]:
        return None
    starts = _starts(times, series)
    positions = Frequency(1, "mo").positions(times, starts)
    if (positions < 0).any():
        return None
    months = np.diff(positions)[same]
    step = _most_common(months)
    if (months % step).any():
        return None
    unit: Unit = "y" if step % 12 == 0 else "q" if step % 3 == 0 else "mo"
    return Frequency(step // MONTHS[unit], unit)


def _clock_frequency(times: NDArray[Any], series: NDArray[np.int64], usual: int) -> Frequency:
    business = Frequency(1, "b")
    if usual == MICROSECONDS["d"]:
        starts = _starts(times, series)
        positions = business.positions(times, starts)
        days = (times - starts) // np.timedelta64(1, "D")
        if (positions >= 0).all() and (positions < days).any():  # no row on a weekend, and weekends passed
            return business
    unit = max((name for name in MICROSECONDS if usual % MICROSECONDS[name] == 0), key=MICROSECONDS.__getitem__)
    return Frequency(usual // MICROSECONDS[unit], unit)


def _span(step: int, times: NDArray[Any]) -> str:
    """A step for people: "1 hour", "30 minutes"."""
    if times.dtype.kind != "M":
        return f"{step}"
    unit = [name for name in MICROSECONDS if name != "w" and step % MICROSECONDS[name] == 0][-1]
    count = step // MICROSECONDS[unit]
    return f"{count} {PLURAL[unit] if count > 1 else PLURAL[unit].removesuffix('s')}"
