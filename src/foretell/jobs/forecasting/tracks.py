"""Causal local scaling: each target of each series relative to its own recent level and spread.

A *track* is one target of one series. At every row t the last value is the level (where it truly lies, the
linear skip knows better than any average) and the last `context` rows give the spread; inputs and targets of
step t are expressed as (value - level) / spread. Nothing after t enters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.forecasting.settings import Scaling, Transform
from foretell.sequences.panel import Panel

Float32 = NDArray[np.float32]
SPREAD_FLOOR = 0.01  # of the standard deviation so far: a flat window must not turn noise into a signal
LOG_FLOOR = 0.02  # of the level, as a log-transformed target's changes are relative
MIN_HISTORY = 8  # observations before a step counts: two or three values say nothing about their spread
LINEAR_LIMIT = 8.0  # bound on what the linear inputs beside the window may reach


@dataclass(frozen=True)
class Tracks:
    """C targets over the N rows of a panel's S series, transformed and minus each track's first observation."""

    values: Float32  # [C,N]  gaps hold the last observation before them
    observed: NDArray[np.bool_]  # [C,N]
    spread: Float32  # [C,N]
    usable: NDArray[np.bool_]  # [C,N]  enough history for the scale to mean something
    linear: Float32  # [C,N,E]  see `linear_inputs`
    origin: NDArray[np.float64]  # [C,S]  the first observation of each track
    offsets: NDArray[np.int64]  # [S+1]
    calendar: Float32  # [N,F]
    transform: tuple[Transform, ...]  # [C]
    positive: bool  # every observed value is above zero, so that relative errors mean something


def transform(y: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    """The target as the network sees it. A value that has no logarithm becomes missing."""
    if how == "none":
        return y
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(y > 0, np.log(np.where(y > 0, y, 1.0)), np.nan)


def inverse(y: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    """Back to the user's units."""
    return y if how == "none" else np.exp(y)


def make_tracks(panel: Panel, scaling: Scaling, calendar: Float32) -> Tracks:
    """Scale every row of every track; O(rows), whatever the context."""
    parts = [_one_target(panel, scaling, calendar, target) for target in range(panel.y.shape[1])]
    values, observed, spread, usable, linear, origin = (np.stack(part) for part in zip(*parts, strict=True))
    return Tracks(
        values=values.astype(np.float32),
        observed=observed,
        spread=spread.astype(np.float32),
        usable=usable,
        linear=linear.astype(np.float32),
        origin=origin,
        offsets=panel.offsets,
        calendar=calendar,
        transform=scaling.transform,
        positive=bool(np.nanmin(panel.y, initial=np.inf) > 0),
    )


def _one_target(panel: Panel, scaling: Scaling, calendar: Float32, target: int) -> tuple[NDArray[Any], ...]:
    how = scaling.transform[target]
    y = transform(panel.y[:, target], how)
    observed = np.isfinite(y)
    filled, origin = fill(y, observed, panel.offsets)
    first = np.repeat(panel.offsets[:-1], panel.lengths)
    values = filled - np.repeat(origin, panel.lengths)
    window = np.maximum(first, np.arange(len(y)) - scaling.context + 1)
    _, deviation = moments(values, window, panel.offsets)
    steps = np.abs(np.diff(values, prepend=values[:1]))
    steps[panel.offsets[:-1][panel.lengths > 0]] = 0.0  # from one series to the next is no step
    roughness, _ = moments(steps, np.minimum(window + 1, np.arange(len(y))), panel.offsets)
    mean_so_far, deviation_so_far = moments(values, first, panel.offsets)
    count = np.cumsum(observed) - np.concatenate([[0], np.cumsum(observed)])[first]
    spread = spread_of(deviation, deviation_so_far, np.full(len(y), how == "log"))
    usable = (count >= MIN_HISTORY) & (spread > 1e-9 * np.abs(values))  # more than rounding noise
    linear = linear_inputs(values, spread, roughness, mean_so_far, deviation_so_far, calendar)
    return values, observed, spread, usable, linear, origin


def fill(
    y: NDArray[np.float64], observed: NDArray[np.bool_], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaps take the last observation (before the first: the first); also each series' first observation, [S]."""
    lengths = np.diff(offsets)
    rows = np.arange(len(y))
    missing = len(y)
    candidates = np.append(np.where(observed, rows, missing), missing)
    first = np.minimum.reduceat(candidates, np.minimum(offsets[:-1], len(y))) if len(lengths) else candidates[:0]
    first = np.where((lengths == 0) | (first >= offsets[1:]), missing, first)
    last = np.maximum.accumulate(np.where(observed, rows, -1))
    last = np.where(last < np.repeat(offsets[:-1], lengths), np.repeat(first, lengths), last)
    padded = np.append(np.where(observed, y, 0.0), 0.0)
    return padded[last], padded[first]


def moments(
    values: NDArray[np.float64], first: NDArray[np.int64], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of values[first[t]..t] for every t, by running sums."""
    lengths = np.diff(offsets)
    # Sums run on from series to series: in units of each one's largest value none drowns another's digits.
    size = np.maximum.reduceat(np.append(np.abs(values), 0.0), np.minimum(offsets[:-1], len(values)))
    unit = np.repeat(np.where(size > 0, size, 1.0), lengths)
    values = values / unit
    rows = np.arange(len(values))
    count = rows - first + 1.0
    total = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values * values)])
    mean = (total[rows + 1] - total[first]) / count
    variance = (squares[rows + 1] - squares[first]) / count - mean * mean
    return mean * unit, np.sqrt(np.maximum(variance, 0.0)) * unit


def spread_of(
    deviation: NDArray[np.float64], deviation_so_far: NDArray[np.float64], is_log: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The spread from the standard deviations of the window and of all rows so far; never zero."""
    spread: NDArray[np.float64] = deviation + SPREAD_FLOOR * deviation_so_far + LOG_FLOOR * is_log
    return np.maximum(spread, 1e-30)


def linear_inputs(
    level: NDArray[np.float64],
    spread: NDArray[np.float64],
    roughness: NDArray[np.float64],
    mean_so_far: NDArray[np.float64],
    deviation_so_far: NDArray[np.float64],
    calendar: Float32,
) -> NDArray[np.float64]:
    """What the network sees beside the window, all in units of the spread, [N, 2 + F].

    The mean absolute step within the window, the mean so far, and the calendar at the size of the deviation so
    far: in the linear skip, these make a harmonic regression.
    """
    inputs = np.empty((len(level), 2 + calendar.shape[-1]))
    inputs[:, 0] = roughness / spread
    inputs[:, 1] = (mean_so_far - level) / spread
    inputs[:, 2:] = calendar * (deviation_so_far / spread)[:, None]
    return np.minimum(np.maximum(inputs, -LINEAR_LIMIT), LINEAR_LIMIT)
