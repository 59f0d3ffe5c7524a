"""Causal local scaling: each target of each series relative to its own recent level and spread.

A *track* is one target of one series. At every row t the last value is the level (where it truly lies, the
linear skip knows better than any average) and the last `context` rows give the spread; inputs and targets of
step t are expressed as (value - level) / spread. Nothing after t enters.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.forecasting.settings import Scaling, Transform
from foretell.sequences.panel import Panel

Float32 = NDArray[np.float32]
SPREAD_FLOOR = 0.01  # of the standard deviation so far: a flat window must not turn noise into a signal
LOG_FLOOR = 0.02  # of the level, as a log-transformed target's changes are relative
LEAST = 1e-30  # a constant has no spread, and must not be divided by zero
MIN_HISTORY = 8  # observations before a step counts: two or three values say nothing about their spread
LINEAR_LIMIT = 8.0  # bound on what the linear inputs beside the window may reach


@dataclass(frozen=True)
class Tracks:
    """C targets over the N rows of a panel's S series, transformed and minus each track's first observation."""

    values: Float32  # [C,N]  gaps hold the last observation before them
    observed: NDArray[np.bool_]  # [C,N]
    gap: Float32  # [C,N]  rows since the last observation
    spread: Float32  # [C,N]
    usable: NDArray[np.bool_]  # [C,N]  enough history for the scale to mean something
    linear: Float32  # [C,N,2]  see `linear_inputs`, the calendar left out
    reach: Float32  # [C,N]  the deviation so far in units of the spread: the size of the calendar in linear inputs
    origin: NDArray[np.float64]  # [C,S]  the first observation of each track
    offsets: NDArray[np.int64]  # [S+1]
    calendar: Float32  # [N,F]
    transform: tuple[Transform, ...]  # [C]


def transform(y: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    """The target as the network sees it. A value that has no logarithm becomes missing."""
    if how == "none":
        return y
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(y > 0, np.log(np.where(y > 0, y, 1.0)), np.nan)


def inverse(y: NDArray[np.float64], how: str) -> NDArray[np.float64]:
    """Back to the user's units."""
    return y if how == "none" else np.exp(y)


def linear_at(tracks: Tracks, target: int, rows: NDArray[np.int64]) -> Float32:
    """The linear inputs of some rows with their calendar, [n,E]."""
    waves = tracks.calendar[rows] * tracks.reach[target, rows, None]
    return np.concatenate([tracks.linear[target, rows], np.clip(waves, -LINEAR_LIMIT, LINEAR_LIMIT)], axis=1)


def make_tracks(panel: Panel, scaling: Scaling, calendar: Float32) -> Tracks:
    """Scale every row of every track; O(rows), whatever the context."""
    parts = [_one_target(panel, scaling, target) for target in range(panel.y.shape[1])]
    values, observed, gap, spread, usable, linear, reach, origin = (np.stack(part) for part in zip(*parts, strict=True))
    return Tracks(
        values=values,
        observed=observed,
        gap=gap,
        spread=spread,
        usable=usable,
        linear=linear,
        reach=reach,
        origin=origin,
        offsets=panel.offsets,
        calendar=calendar,
        transform=scaling.transform,
    )


def _one_target(panel: Panel, scaling: Scaling, target: int) -> tuple[NDArray[Any], ...]:
    how = scaling.transform[target]
    y = transform(panel.y[:, target], how)
    observed = np.isfinite(y)
    filled, origin = fill(y, observed, panel.offsets)
    first = np.repeat(panel.offsets[:-1], panel.lengths)
    values = filled - np.repeat(origin, panel.lengths)
    rows = np.arange(len(y))
    gap = rows - np.maximum(first - 1, np.maximum.accumulate(np.where(observed, rows, -1)))
    window = np.maximum(first, rows - scaling.context + 1)
    _, deviation = moments(values, window, panel.offsets)
    steps = np.abs(np.diff(values, prepend=values[:1]))
    steps[panel.offsets[:-1][panel.lengths > 0]] = 0.0  # from one series to the next is no step
    roughness, _ = moments(steps, np.minimum(window + 1, rows), panel.offsets)
    mean_so_far, deviation_so_far = moments(values, first, panel.offsets)
    count = np.cumsum(observed) - np.concatenate([[0], np.cumsum(observed)])[first]
    spread = spread_of(deviation, deviation_so_far, np.full(len(y), how == "log"))
    usable = (count >= MIN_HISTORY) & (spread > np.maximum(1e-9 * np.abs(values), LEAST))  # more than rounding noise
    no_calendar = np.zeros((len(y), 0), np.float32)
    linear = linear_inputs(values, spread, roughness, mean_so_far, deviation_so_far, no_calendar)
    single = (part.astype(np.float32) for part in (values, gap, spread, deviation_so_far / spread))
    values32, gap32, spread32, reach = single
    return values32, observed, gap32, spread32, usable, linear, reach, origin


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
    """Mean and standard deviation of values[first[t]..t] for every t, at O(rows).

    Rows are cut into blocks as long as the longest window, so that a window is the end of one block and the
    beginning of the next; each part is summed from its own anchor and both are joined (Chan et al. 1979). So
    nothing outside the window touches it, not even by rounding: a running sum over all rows would.
    """
    mean, squares = np.zeros(len(values)), np.zeros(len(values))
    for a, b in pairwise(offsets.tolist()):
        if b > a:
            mean[a:b], squares[a:b] = _moments_of_one(values[a:b], first[a:b] - a)
    return mean, np.sqrt(squares / (np.arange(len(values)) - first + 1.0))


def _moments_of_one(
    x: NDArray[np.float64], first: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and sums of squared deviations of one series."""
    rows = np.arange(len(x))
    size = int((rows - first).max()) + 1
    begin = rows // size * size
    end = np.minimum(begin + size, len(x)) - 1
    n, k = rows - begin + 1.0, end[first] - first + 1.0  # how much of a window lies in its last and first block
    head, head2 = (np.cumsum(part, axis=1).ravel()[: len(x)] for part in _blocks(x - x[begin], size))
    tail, tail2 = (np.cumsum(part[:, ::-1], axis=1)[:, ::-1].ravel()[first] for part in _blocks(x - x[end], size))
    two = first < begin  # otherwise the window is the beginning of one block alone
    step = np.where(two, tail / k + x[end[first]] - head / n - x[begin], 0.0)
    mean = x[begin] + head / n + step * k / (k + n)
    squares = head2 - head**2 / n + np.where(two, tail2 - tail**2 / k, 0.0) + step**2 * k * n / (k + n)
    return mean, np.maximum(squares, 0.0)


def _blocks(x: NDArray[np.float64], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and their squares in rows of one block each, zeros at the end."""
    blocks = np.append(x, np.zeros(-len(x) % size)).reshape(-1, size)
    return blocks, blocks**2


def spread_of(
    deviation: NDArray[np.float64], deviation_so_far: NDArray[np.float64], is_log: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The spread from the standard deviations of the window and of all rows so far; never zero."""
    spread: NDArray[np.float64] = deviation + SPREAD_FLOOR * deviation_so_far + LOG_FLOOR * is_log
    return np.maximum(spread, LEAST)


def linear_inputs(
    level: NDArray[np.float64],
    spread: NDArray[np.float64],
    roughness: NDArray[np.float64],
    mean_so_far: NDArray[np.float64],
    deviation_so_far: NDArray[np.float64],
    calendar: Float32,
) -> Float32:
    """What the network sees beside the window, all in units of the spread, [N, 2 + F].

    The mean absolute step within the window, the mean so far, and the calendar at the size of the deviation so
    far: in the linear skip, these make a harmonic regression.
    """
    inputs = np.empty((len(level), 2 + calendar.shape[-1]), np.float32)  # the widest array: nothing is copied
    inputs[:, 0] = roughness / spread
    inputs[:, 1] = (mean_so_far - level) / spread
    np.multiply(calendar, (deviation_so_far / spread).astype(np.float32)[:, None], out=inputs[:, 2:])
    np.maximum(inputs, -LINEAR_LIMIT, out=inputs)
    return np.minimum(inputs, LINEAR_LIMIT, out=inputs)
