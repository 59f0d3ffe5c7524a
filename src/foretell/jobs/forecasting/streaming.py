"""A live forecast of one series: every new row costs one step of the LSTM, whatever came before."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.errors import InputError, require, require_known
from foretell.jobs.forecasting.covariates import scaled_present
from foretell.jobs.forecasting.model import Memory, Model, shifts, widen
from foretell.jobs.forecasting.predicting import calendar_rows, present, present_scale, unscale
from foretell.jobs.forecasting.splits import LARGEST
from foretell.jobs.forecasting.stepper import Quantiles, Stepper
from foretell.jobs.forecasting.tracks import transform
from foretell.networks.inputs import CLIP

Floats = NDArray[np.float64]
Value = float | int | str | None
_Row = tuple[Floats, Floats, NDArray[np.int64], Floats, NDArray[np.int64]]
NOTHING, NO_CODES = np.zeros(0), np.zeros(0, np.int64)
CALENDAR_AHEAD = 1024  # rows whose calendar is looked up at once


@dataclass(frozen=True)
class LiveForecast:
    """The next H steps after a row: quantiles [C,H,Q] of the C targets in the user's units."""

    targets: tuple[str, ...]
    levels: tuple[float, ...]
    quantiles: Floats

    @property
    def y_hat(self) -> Floats:
        """The median, [H], or [C,H] with several targets."""
        return self._of(self.quantiles.shape[-1] // 2)

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Lower and upper end of an interval, each [H] or [C,H]."""
        if level not in self.levels:
            known = ", ".join(f"{one:g}" for one in self.levels)
            raise InputError(f"interval: level must be one the model was fitted with ({known}); got {level!r}.")
        middle, place = self.quantiles.shape[-1] // 2, self.levels.index(level) + 1
        return self._of(middle - place), self._of(middle + place)

    def _of(self, quantile: int) -> Floats:
        values = self.quantiles[..., quantile]
        return values[0] if len(self.targets) == 1 else values


class Stream:
    """The model at the end of one series. `step` adds a row; `save`, `restore` and `copy` keep its state."""

    def __init__(self, model: Model, memory: Memory, series: str) -> None:
        self.model, self.series = model, series
        moves = shifts(model.widening).numpy()
        self._quantiles, self._uncalibrated = Quantiles(moves), Quantiles(np.zeros_like(moves))
        self._logs = np.array([how == "log" for how in model.fitted.scaling.transform])
        self._has_logs = bool(self._logs.any())
        schema = model.schema
        self._targets = tuple(range(len(schema.targets)))
        self._columns = {role: (schema.numeric(role), schema.categorical(role)) for role in ("past", "known")}
        extra = [name for name in (schema.time, schema.series) if name]
        self._allowed = {*schema.targets, *schema.past, *schema.known, *schema.static, *extra}
        self._places = {
            name: {kind: place for place, kind in enumerate(kinds, 1)} for name, kinds in schema.categories.items()
        }
        self._is_plain = len(schema.targets) == 1 and not (schema.past or schema.known)
        self.restore(memory)

    def step(self, row: Mapping[str, Value] | float | None, *, forecast: bool = True) -> LiveForecast | None:
        """Take in the next row of the grid and forecast what follows it.

        `row` maps columns to values; a bare number will do for a single target without covariates, None for
        a row that is missing. Rows follow each other on the grid: a time in `row` is not looked at. What is
        known ahead is taken to stay as it is. forecast=False only takes the row in. InputError for an unknown
        column or a value that is not a finite number.
        """
        values, past, past_codes, known, known_codes = self._read(row)
        memory = self._memory
        self._take_in(values)
        if len(past):
            memory.past[0], memory.past_sums[0] = scaled_present(memory.past_sums[0], past)
        if len(known):
            memory.known[0], memory.known_sums[0] = scaled_present(memory.known_sums[0], known)
        if not self._is_plain:
            memory.past_codes[0], memory.known_codes[0] = past_codes, known_codes
        quantiles, spread = self._forward()
        if not forecast:
            return None
        values = unscale(self.model, quantiles, memory.window[:, -1], spread, memory.origin, self._targets)
        return LiveForecast(self.model.schema.targets, self.model.settings.levels, values)

    def save(self) -> Memory:
        """A copy of the state; `restore` takes it back."""
        memory = self._memory.of_series(0)
        for member, stepper in enumerate(self._steppers):
            memory.h[member], memory.c[member] = stepper.state()
        return memory

    def restore(self, memory: Memory) -> None:
        """Go back to a saved state."""
        self._memory = memory.of_series(0)
        self._begun = bool(self._memory.count.all())
        steps = present(self.model, self._memory)
        self._steppers = [
            Stepper(network, steps, h, c)
            for network, h, c in zip(self.model.networks, self._memory.h, self._memory.c, strict=True)
        ]
        self._calendar, self._calendar_first = np.zeros((0, 0), np.float32), 0

    def copy(self) -> "Stream":
        """An independent stream in the same state."""
        return Stream(self.model, self.save(), self.series)

    def _forward(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the networks over the row just taken in -> scaled quantiles [C,H,Q], spread [C]."""
        memory, calendar = self._memory, self._present_calendar()
        spread, linear = present_scale(memory, calendar, self._logs)
        window = memory.window - memory.window[:, -1:]
        window /= spread[:, None]
        np.minimum(np.maximum(window, -CLIP), CLIP, out=window)
        inputs = (window, memory.gap, linear, calendar)
        covariates = (memory.past[0], memory.past_codes[0], memory.known[0], memory.known_codes[0])
        answers = [stepper.step(*inputs, *covariates) for stepper in self._steppers]
        if len(answers) == 1:
            return self._quantiles(*answers[0]), spread
        mean = np.mean([self._uncalibrated(*answer) for answer in answers], axis=0)
        return widen(torch.from_numpy(mean), self.model.widening).numpy(), spread

    def _present_calendar(self) -> NDArray[np.float32]:
        """The calendar of the last row, [F]; looked up for many rows ahead at once."""
        position = int(self._memory.length[0]) - 1
        if position - self._calendar_first >= len(self._calendar):
            self._calendar_first = position
            self._calendar = calendar_rows(self.model, self._memory, 0, position + np.arange(CALENDAR_AHEAD))
        row: NDArray[np.float32] = self._calendar[position - self._calendar_first]
        return row

    def _take_in(self, values: Floats) -> None:
        """Append one value per target to the windows and sums; a gap repeats the last."""
        memory = self._memory
        if self._has_logs:
            hows = self.model.fitted.scaling.transform
            values = np.array([transform(values[k : k + 1], how)[0] for k, how in enumerate(hows)])
        there = values == values
        if not self._begun:  # nothing was observed before: here the track's origin lies
            begins = there & (memory.count == 0)
            memory.origin[begins] = values[begins]
            self._begun = bool((there | (memory.count > 0)).all())
        memory.count += there
        if there.all():
            memory.gap.fill(0)
        else:
            memory.gap[:] = np.where(there, 0, memory.gap + 1)
            values = np.where(there, values, memory.window[:, -1] + memory.origin)
        new = values - memory.origin
        memory.window[:, :-1] = memory.window[:, 1:]
        memory.window[:, -1] = new
        sums = memory.sums
        sums[:, 0] += 1
        sums[:, 1] += new
        sums[:, 2] += new * new
        memory.length += 1

    def _read(self, row: Mapping[str, Value] | float | None) -> _Row:
        schema = self.model.schema
        if not isinstance(row, Mapping):
            require(row is None or isinstance(row, Real), "step", "row", "a mapping of columns, a number or None", row)
            if row is not None and not self._is_plain:
                names = ", ".join((*schema.targets, *schema.past, *schema.known))
                raise InputError(f"step: this model reads several columns ({names}); give a mapping of them.")
            row = {} if row is None else {schema.targets[0]: row}
        if not self._allowed.issuperset(row):
            require_known("step", "column", row, self._allowed)
        values = self._numbers(row, schema.targets)
        if self._is_plain:
            return values, NOTHING, NO_CODES, NOTHING, NO_CODES
        (past, past_kinds), (known, known_kinds) = self._columns.values()
        return (
            values,
            self._numbers(row, past),
            self._codes(row, past_kinds),
            self._numbers(row, known),
            self._codes(row, known_kinds),
        )

    def _numbers(self, row: Mapping[str, Value], names: tuple[str, ...]) -> Floats:
        return np.array([_number(name, row.get(name)) for name in names], np.float64)

    def _codes(self, row: Mapping[str, Value], names: tuple[str, ...]) -> NDArray[np.int64]:
        places = self._places
        return np.array([places[name].get(str(row.get(name)), 0) for name in names], np.int64)


def _number(name: str, value: Value) -> float:
    """A value as a number, NaN for a gap."""
    if value is None:
        return math.nan
    if isinstance(value, Real) and math.isnan(value):
        return math.nan
    if not isinstance(value, Real) or abs(value) > LARGEST:
        raise InputError(
            f"step: column {name!r} must be a finite number of at most {LARGEST:g} in size, or None for a gap; "
            f"got {value!r}."
        )
    return float(value)
