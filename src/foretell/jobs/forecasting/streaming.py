"""A live forecast of one series: every new row costs one step of the LSTM, whatever came before."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.errors import InputError, require_known
from foretell.jobs.forecasting.covariates import scaled_present
from foretell.jobs.forecasting.model import Memory, Model
from foretell.jobs.forecasting.predicting import present, unscale
from foretell.jobs.forecasting.tracks import transform

Floats = NDArray[np.float64]
Value = float | int | str | None


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
            raise InputError(
                f"interval: level must be one the model was fitted with ({known}); got {level!r}."
            )
        middle, place = self.quantiles.shape[-1] // 2, self.levels.index(level) + 1
        return self._of(middle - place), self._of(middle + place)

    def _of(self, quantile: int) -> Floats:
        values = self.quantiles[..., quantile]
        return values[0] if len(self.targets) == 1 else values


class Stream:
    """The model at the end of one series. `step` adds a row; `save`, `restore` and `copy` keep its state."""

    def __init__(self, model: Model, memory: Memory, series: str) -> None:
        self.model, self.memory, self.series = model, memory, series
        self._targets = tuple(range(len(model.schema.targets)))

    def step(self, row: Mapping[str, Value] | float | None, *, forecast: bool = True) -> LiveForecast | None:
        """Take in the next row of the grid and forecast what follows it.

        `row` maps columns to values; a bare number will do for a single target without covariates, None for
        a row that is missing. forecast=False only takes it in. InputError for an unknown column or a value
        that is not a finite number.
        """
        values, past, past_codes, known, known_codes = self._read(row)
        memory = self.memory
        self._take_in(values)
        memory.past[0], memory.past_sums[0] = scaled_present(memory.past_sums[0], past)
        memory.known[0], memory.known_sums[0] = scaled_present(memory.known_sums[0], known)
        memory.past_codes[0], memory.known_codes[0] = past_codes, known_codes
        with torch.inference_mode():
            steps = present(self.model, memory)
            hidden = []
            for member, network in enumerate(self.model.networks):
                state = torch.from_numpy(memory.h[member]), torch.from_numpy(memory.c[member])
                output, (h, c) = network.read(steps, state)
                memory.h[member], memory.c[member] = h.numpy(), c.numpy()
                hidden.append(output)
            if not forecast:
                return None
            quantiles = self.model.quantiles(steps, hidden)[0].numpy()
        level, spread = steps.level[0].numpy(), steps.spread[0].numpy()
        values = unscale(self.model, quantiles, level, spread, memory.origin, self._targets)
        return LiveForecast(self.model.schema.targets, self.model.settings.levels, values)

    def save(self) -> Memory:
        """A copy of the state; `restore` takes it back."""
        return self.memory.of_series(0)

    def restore(self, memory: Memory) -> None:
        """Go back to a saved state."""
        self.memory.put(0, memory)

    def copy(self) -> "Stream":
        """An independent stream in the same state."""
        return Stream(self.model, self.save(), self.series)

    def _take_in(self, values: Floats) -> None:
        """Append one value per target to the windows and sums; a gap repeats the last."""
        memory = self.memory
        hows = self.model.fitted.scaling.transform
        scaled = np.array([transform(np.array([v]), how)[0] for v, how in zip(values, hows, strict=True)])
        there = np.isfinite(scaled)
        begins = there & (memory.count == 0)  # nothing was observed before: here the track's origin lies
        memory.origin[begins] = scaled[begins]
        new = np.where(there, scaled - memory.origin, memory.window[:, -1])
        memory.window[:, :-1] = memory.window[:, 1:]
        memory.window[:, -1] = new
        memory.observed[:] = there
        memory.count += there
        memory.sums[:, 0] += 1
        memory.sums[:, 1] += new
        memory.sums[:, 2] += new**2
        memory.length += 1

    def _read(
        self, row: Mapping[str, Value] | float | None
    ) -> tuple[Floats, Floats, NDArray[np.int64], Floats, NDArray[np.int64]]:
        schema = self.model.schema
        if not isinstance(row, Mapping):
            if len(schema.targets) + len(schema.past) + len(schema.known) > 1 and row is not None:
                names = ", ".join((*schema.targets, *schema.past, *schema.known))
                raise InputError(f"step: this model reads several columns ({names}); give a mapping of them.")
            row = {} if row is None else {schema.targets[0]: row}
        extra = [name for name in (schema.time, schema.series) if name]
        require_known(
            "step", "column", row, (*schema.targets, *schema.past, *schema.known, *schema.static, *extra)
        )
        return (
            self._numbers(row, schema.targets),
            self._numbers(row, schema.numeric("past")),
            self._codes(row, schema.categorical("past")),
            self._numbers(row, schema.numeric("known")),
            self._codes(row, schema.categorical("known")),
        )

    def _numbers(self, row: Mapping[str, Value], names: tuple[str, ...]) -> Floats:
        values = np.full(len(names), np.nan)
        for place, name in enumerate(names):
            value = row.get(name)
            if value is None or value != value:
                continue
            if isinstance(value, str) or not np.isfinite(value):
                raise InputError(
                    f"step: column {name!r} must be a finite number, or None for a gap; got {value!r}."
                )
            values[place] = value
        return values

    def _codes(self, row: Mapping[str, Value], names: tuple[str, ...]) -> NDArray[np.int64]:
        categories = self.model.schema.categories
        found = [
            categories[name].index(str(row[name])) + 1 if str(row.get(name)) in categories[name] else 0
            for name in names
        ]
        return np.array(found, np.int64)
