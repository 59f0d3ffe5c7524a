"""The linear start: ridge regression from the scaled window to the scaled horizon, in closed form.

It answers three questions in seconds, on the validation rows: how far to look back, how to express the level,
and whether the target wants a logarithm. Its solution is where the network's linear skip starts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foretell.jobs.forecasting.tracks import Tracks, inverse, linear_at
from foretell.networks.inputs import CLIP

Float32 = NDArray[np.float32]
MOSTLY = 0.5  # share of a horizon that must have been observed to be fitted
ORIGINS = 150_000  # forecast origins that one fit reads at most: more change the fourth digit
BLOCK = 4096  # origins held in memory at a time
NEAR = 0.04  # relative: validation cannot tell closer errors apart
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # times the number of origins; inputs are of order one


@dataclass(frozen=True)
class Linear:
    """Scaled horizon = weight @ [window, linear inputs] + bias."""

    weight: NDArray[np.float64]  # [H, L + E]
    bias: NDArray[np.float64]  # [H]
    error: float  # on the validation rows, relative to each track's mean absolute step and to its size

    def __call__(self, inputs: Float32) -> Float32:
        """inputs [n, L + E] -> scaled forecasts [n, H]."""
        return inputs @ self.weight.T.astype(np.float32) + self.bias.astype(np.float32)


def fit_linear(
    tracks: Tracks,
    contexts: list[int],
    horizon: int,
    train: NDArray[np.int64],
    stop: NDArray[np.int64],
    are_positive: bool,
) -> Linear:
    """Fit on targets before `train` [S]; weigh contexts and penalties on targets from there to before `stop` [S].

    One pass makes the normal equations of the longest context, which hold those of every shorter one. The
    answer is the mean of all solutions whose validation error comes within NEAR of the best: between near
    equals, averaging errs less than choosing. A shorter solution counts as zero where it does not look, and
    zero everywhere, the last value repeated, is among them: a random walk has no better.
    """
    longest = max(contexts)
    gram, cross, count = _normal_equations(tracks, longest, horizon, train)
    solutions = [
        _ridge(gram, cross, longest, context, penalty * max(count, 1)) for context in contexts for penalty in PENALTIES
    ]
    solutions.append(np.zeros_like(cross))
    errors = _validate(tracks, longest, horizon, train, stop, solutions, are_positive)
    near = errors <= errors.min() * (1 + NEAR)
    mean = np.mean([solution for solution, is_near in zip(solutions, near, strict=True) if is_near], axis=0)
    return Linear(mean[:-1].T, mean[-1], float(errors.min()))


def _ridge(
    gram: NDArray[np.float64], cross: NDArray[np.float64], longest: int, context: int, penalty: float
) -> NDArray[np.float64]:
    """The solution that sees only the last `context` values of the window, [longest + E + 1, H]; its bias is free."""
    seen = slice(longest - context, None)
    diagonal = np.full(len(gram) - longest + context, penalty)
    diagonal[-1] = 1e-9
    solution = np.zeros_like(cross)
    solution[seen] = np.linalg.solve(gram[seen, seen] + np.diag(diagonal + 1e-9), cross[seen])
    return solution


def window_inputs(tracks: Tracks, target: int, rows: NDArray[np.int64], start: int, context: int) -> Float32:
    """Scaled windows that end at `rows` of one track, with the linear inputs, [n, L + E].

    Before the track's first row (`start`) stands its first value.
    """
    values = tracks.values[target, start : int(rows.max(initial=start)) + 1]
    padded = np.concatenate([np.full(context - 1, values[0]), values])
    windows = sliding_window_view(padded, context)[rows - start]
    level, spread = tracks.values[target, rows, None], tracks.spread[target, rows, None]
    scaled = np.clip((windows - level) / spread, -CLIP, CLIP)
    return np.concatenate([scaled, linear_at(tracks, target, rows)], axis=1)


def scaled_targets(
    tracks: Tracks, target: int, rows: NDArray[np.int64], horizon: int, stop: int
) -> tuple[Float32, NDArray[np.bool_]]:
    """The next `horizon` values after each row in its own scale, and which of them are known before `stop`."""
    if not len(rows):
        return np.zeros((0, horizon), np.float32), np.zeros((0, horizon), np.bool_)
    first = int(rows[0]) + 1  # rows rise
    beyond = max(0, int(rows[-1]) + horizon + 1 - stop)
    values = np.pad(tracks.values[target, first:stop], (0, beyond), mode="edge")
    observed = np.pad(tracks.observed[target, first:stop], (0, beyond))
    at = rows + 1 - first
    goal, known = sliding_window_view(values, horizon)[at], sliding_window_view(observed, horizon)[at]
    return (goal - tracks.values[target, rows, None]) / tracks.spread[target, rows, None], known


def origins(
    tracks: Tracks, first: NDArray[np.int64], last: NDArray[np.int64], most: int
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Blocks of (target, series, rows) with first <= row < last that are usable, evenly thinned to about `most`."""
    total = int(np.maximum(last - first, 0).sum()) * len(tracks.values)
    stride = max(1, -(-total // most))
    for target in range(len(tracks.values)):
        for series in range(len(first)):
            # counted back from the end, so that the newest row is always among them
            rows = np.arange(last[series] - 1 - (series % stride), first[series] - 1, -stride)[::-1]
            rows = rows[tracks.usable[target][rows]]
            for block in range(0, len(rows), BLOCK):
                yield target, series, rows[block : block + BLOCK]


def _normal_equations(
    tracks: Tracks, context: int, horizon: int, stop: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    size = context + tracks.linear.shape[-1] + tracks.calendar.shape[-1] + 1
    gram, cross, count = np.zeros((size, size)), np.zeros((size, horizon)), 0
    start = tracks.offsets[:-1]
    # a window mostly of padding teaches the padding; a short series has nothing else
    first = start + np.minimum(context // 2, (stop - start) // 4)
    for target, series, rows in origins(tracks, first, stop - horizon, ORIGINS):
        goal, known = scaled_targets(tracks, target, rows, horizon, int(stop[series]))
        whole = (known.mean(axis=1) >= MOSTLY) & (rows + horizon < stop[series])  # gaps hold their last value
        if not whole.any():
            continue
        inputs = window_inputs(tracks, target, rows[whole], int(start[series]), context)
        inputs = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
        gram += inputs.T @ inputs
        cross += inputs.T @ np.clip(goal[whole], -CLIP, CLIP)
        count += len(inputs)
    return gram, cross, count


def _validate(
    tracks: Tracks,
    context: int,
    horizon: int,
    train: NDArray[np.int64],
    stop: NDArray[np.int64],
    solutions: list[NDArray[np.float64]],
    are_positive: bool,
) -> NDArray[np.float64]:
    """Error of each solution over the validation rows relative to repeating the last value, 1 = no better.

    As M4's OWA, the mean of two relative errors: in units of the track's own mean step, and (where all values
    are positive) in units of the values; so neither large steps nor large values alone decide.
    """
    start = tracks.offsets[:-1]
    totals = np.zeros((2, len(solutions) + 1))
    stacked = np.stack(solutions).astype(np.float32)
    for target, series, rows in origins(tracks, train - 1, np.maximum(stop - horizon, train), ORIGINS // 4):
        goal, known = scaled_targets(tracks, target, rows, horizon, int(stop[series]))
        inputs = window_inputs(tracks, target, rows, int(start[series]), context)
        forecasts = (inputs @ stacked[:, :-1] + stacked[:, -1:]).astype(np.float64)  # [number, n, H]
        back = partial(_unscale, tracks, target, series, rows)
        actual = back(goal)
        step = _step(tracks, target, int(start[series]), int(train[series]), series)
        for number, forecast in enumerate([*forecasts, np.zeros_like(goal)]):
            error = np.abs(back(forecast) - actual) * known / max(known.sum(), 1)
            totals[0, number] += error.sum() / step
            totals[1, number] += (error / np.maximum(np.abs(actual) + np.abs(back(forecast)), 1e-12)).sum()
    measures = totals if are_positive else totals[:1]
    relative = measures[:, :-1] / np.maximum(measures[:, -1:], 1e-12)
    return np.asarray(relative.mean(axis=0))


def _unscale(
    tracks: Tracks, target: int, series: int, rows: NDArray[np.int64], scaled: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Back to the user's units, [n, H]."""
    values = scaled * tracks.spread[target, rows, None] + tracks.values[target, rows, None]
    return inverse(values + tracks.origin[target, series], tracks.transform[target])


def _step(tracks: Tracks, target: int, start: int, stop: int, series: int) -> float:
    """The mean absolute step of a track in the user's units."""
    values = inverse(tracks.values[target, start:stop] + tracks.origin[target, series], tracks.transform[target])
    return float(np.abs(np.diff(values)).mean()) + 1e-12 if len(values) > 1 else 1.0
