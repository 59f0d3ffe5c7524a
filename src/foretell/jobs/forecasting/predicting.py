"""Forecasts in the user's units, and the frame they are handed over in."""

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.jobs.forecasting.calendars import calendar_at
from foretell.jobs.forecasting.covariates import ahead_numbers
from foretell.jobs.forecasting.model import Memory, Model
from foretell.jobs.forecasting.tracks import inverse, linear_inputs, spread_of
from foretell.networks.forecast import Steps, data_of
from foretell.sequences import Covariates, Frequency, Panel

Floats = NDArray[np.float64]


def forecast(model: Model, memory: Memory, known: Covariates | None) -> Floats:
    """Calibrated quantiles of the next H steps of every track in the user's units, [R,H,Q].

    `known` holds the H rows of each series that follow its last one, [S*H,...].
    """
    if model.schema.known and known is None:
        names = ", ".join(model.schema.known)
        raise InputError(f"predict: this model needs {names} of the {model.settings.horizon} steps ahead; give known=.")
    with torch.inference_mode():
        steps = present(model, memory, known)
        quantiles = model.quantiles(steps, [torch.from_numpy(h[-1])[None] for h in memory.h])[0]
    targets = tuple(range(len(model.schema.targets)))
    level, spread = steps.level[0].numpy(), steps.spread[0].numpy()
    values = unscale(model, quantiles.numpy(), level, spread, memory.origin, targets)
    middle = values.shape[-1] // 2
    # One value says nothing about how far the next may lie from it, none says nothing at all.
    values[memory.count == 0] = np.nan
    values[memory.count < 2, :, :middle] = values[memory.count < 2, :, middle + 1 :] = np.nan
    return values


def unscale(
    model: Model,
    quantiles: NDArray[np.float32],
    level: NDArray[np.float32],
    spread: NDArray[np.float32],
    origin: Floats,
    targets: tuple[int, ...],
) -> Floats:
    """Scaled quantiles [n,H,Q] back in the user's units; the n rows are equal shares of the targets, in order."""
    values = quantiles.astype(np.float64) * spread[:, None, None] + (level + origin)[:, None, None]
    share = len(values) // len(targets)
    for place, target in enumerate(targets):
        part = values[place * share : (place + 1) * share]
        part[:] = inverse(part, model.fitted.scaling.transform[target])
        if model.fitted.nonnegative[target]:
            np.maximum(part, 0.0, out=part)
    return values


def present(model: Model, memory: Memory, known: Covariates | None = None) -> Steps:
    """The last step of every track as the networks read it, T = 1."""
    targets, series = len(model.schema.targets), len(memory.length)
    last = memory.length - 1
    calendar = np.concatenate([calendar_rows(model, memory, s, last[s : s + 1]) for s in range(series)])
    by_track = np.tile(calendar, (targets, 1))
    level = memory.window[:, -1]
    logs = np.repeat([how == "log" for how in model.fitted.scaling.transform], series)
    spread, linear = present_scale(memory, by_track, logs)
    over = np.tile(np.arange(series), targets)
    ahead, codes = _ahead(model, memory, known)
    arrays = {
        "values": memory.window,
        "level": level[None],
        "spread": spread[None],
        "past": memory.past[over][None],
        "past_codes": memory.past_codes[over][None],
        "known": ahead[:, over],
        "known_codes": codes[:, over],
        "static": memory.static[over],
        "static_codes": memory.static_codes[over],
        "track": memory.identity,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}
    data = data_of(*(torch.from_numpy(part[None]) for part in (memory.gap, linear, by_track)))
    return Steps(data=data, **tensors)


def calendar_rows(model: Model, memory: Memory, series: int, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """The calendar at grid positions of one series, [n,F]."""
    frequency = Frequency.parse(model.schema.frequency)
    times = frequency.times(start_time(frequency, memory.start[series]), positions)
    return calendar_at(frequency, times, model.settings.season)[:, model.fitted.calendar]


def start_time(frequency: Frequency, start: np.int64) -> np.datetime64 | np.int64:
    """A stored start as the grid wants it."""
    return start if frequency.unit == "i" else np.datetime64(int(start), "us")


def present_scale(
    memory: Memory, calendar: NDArray[np.float32], logs: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Spread [R] and linear inputs [R,E] of the last step, by the same formulae as over whole tracks.

    calendar [F] or [R,F]; logs [R]: whether a track is in logarithms.
    """
    rows = memory.sums[:, 0]
    found = [_window_moments(window, int(n)) for window, n in zip(memory.window, rows, strict=True)]
    deviation, roughness = np.array(found).T
    mean_so_far = memory.sums[:, 1] / rows
    deviation_so_far = np.sqrt(np.maximum(memory.sums[:, 2] / rows - mean_so_far**2, 0.0))
    level = memory.window[:, -1].astype(np.float64)
    spread = spread_of(deviation, deviation_so_far, logs)
    linear = linear_inputs(level, spread, roughness, mean_so_far, deviation_so_far, calendar)
    return spread.astype(np.float32), linear


def _window_moments(window: NDArray[np.float32], rows: int) -> tuple[float, float]:
    """Standard deviation and mean absolute step of the last `rows` values, at most the window's; the rest pads."""
    seen = window[max(0, len(window) - rows) :].astype(np.float64)
    mean = seen.sum() / len(seen)
    variance = seen.dot(seen) / len(seen) - mean * mean
    steps = np.abs(seen[1:] - seen[:-1]).sum() / max(len(seen) - 1, 1)
    return max(variance, 0.0) ** 0.5, steps


def _ahead(model: Model, memory: Memory, known: Covariates | None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Known covariates of the last row and the H after it, [1+H,S,2K] and [1+H,S,K']; none: only the last row's."""
    horizon, series = model.settings.horizon, len(memory.length)
    if known is None:
        return (
            np.repeat(memory.known[None], 1 + horizon, axis=0),
            np.repeat(memory.known_codes[None], 1 + horizon, axis=0),
        )
    parts = [ahead_numbers(memory.known_sums[s], known.numbers[s * horizon : (s + 1) * horizon]) for s in range(series)]
    codes = known.codes.reshape(series, horizon, -1).swapaxes(0, 1)
    numbers = np.stack(parts, axis=1)
    return np.concatenate([memory.known[None], numbers]), np.concatenate([memory.known_codes[None], codes])


def forecast_frame(model: Model, memory: Memory, ids: tuple[str, ...], values: Floats) -> pl.DataFrame:
    """Quantiles [R,H,Q] as a frame: unique_id, ds, y_hat and the ends of each interval; target if several."""
    horizon, series = model.settings.horizon, len(ids)
    frequency = Frequency.parse(model.schema.frequency)
    ahead = np.arange(horizon)
    times = [frequency.times(start_time(frequency, memory.start[s]), memory.length[s] + ahead) for s in range(series)]
    targets = len(model.schema.targets)
    frame = pl.DataFrame(
        {
            "unique_id": np.tile(np.repeat(np.array(ids, dtype=object), horizon), targets).tolist(),
            "target": np.repeat(np.array(model.schema.targets, dtype=object), horizon * series).tolist(),
            "ds": np.tile(np.concatenate(times), targets),
        }
    )
    frame = frame.with_columns(interval_columns(model.settings.levels, values.reshape(-1, values.shape[-1])))
    return readable_times(frame if targets > 1 else frame.drop("target"), frequency)


def interval_columns(levels: tuple[float, ...], quantiles: Floats) -> list[pl.Series]:
    """y_hat (the median) and lo-80, hi-80, ... narrowest first, from quantiles [n,Q]."""
    middle = quantiles.shape[1] // 2
    columns = [pl.Series("y_hat", quantiles[:, middle])]
    for place, level in enumerate(levels, 1):
        columns.append(pl.Series(f"lo-{level:g}", quantiles[:, middle - place]))
        columns.append(pl.Series(f"hi-{level:g}", quantiles[:, middle + place]))
    return [column.fill_nan(None) for column in columns]


def readable_times(frame: pl.DataFrame, frequency: Frequency) -> pl.DataFrame:
    """Whole days as dates: nobody wants to read midnights."""
    columns = [name for name in ("ds", "cutoff") if name in frame.columns and frame[name].dtype == pl.Datetime]
    if frequency.unit in ("i", "us", "ms", "s", "min", "h") or not columns:
        return frame
    whole = all((frame[name] == frame[name].dt.truncate("1d")).all() for name in columns)
    return frame.with_columns(pl.col(columns).cast(pl.Date)) if whole else frame


def ends(model: Model, memory: Memory, ids: tuple[str, ...]) -> Panel:
    """A panel without values that says where each series ends: enough to look up what comes after."""
    none = Covariates(np.zeros((0, 0)), np.zeros((0, 0), np.int64))
    frequency = Frequency.parse(model.schema.frequency)
    return Panel(
        ids=ids,
        offsets=np.concatenate([[0], np.cumsum(memory.length)]),
        start=memory.start if frequency.unit == "i" else memory.start.astype("M8[us]"),
        frequency=frequency,
        y=np.zeros((0, 0)),
        past=none,
        known=none,
        static=none,
    )
