"""Covariates as the network reads them: causal z-scores with masks, and category codes."""

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.forecasting.tracks import fill, moments
from foretell.sequences.panel import Covariates, Panel

Float32 = NDArray[np.float32]
LIMIT = 8.0  # bound on a scaled covariate


def scaled_numbers(numbers: NDArray[np.float64], panel: Panel) -> Float32:
    """Each column in units of its own past within its series: values, then masks, [N, 2 x columns]."""
    first = np.repeat(panel.offsets[:-1], panel.lengths)
    columns, masks = [], []
    for column in numbers.T:
        present = np.isfinite(column)
        filled, origin = fill(column, present, panel.offsets)
        values = filled - np.repeat(origin, panel.lengths)
        mean, deviation = moments(values, first, panel.offsets)
        scaled = np.divide(values - mean, deviation, out=np.zeros_like(values), where=deviation > 1e-12)
        columns.append(np.where(present, np.clip(scaled, -LIMIT, LIMIT), 0.0))
        masks.append(present)
    return np.stack([*columns, *masks], axis=1).astype(np.float32) if columns else _none(len(numbers))


def ahead_numbers(sums: NDArray[np.float64], future: NDArray[np.float64]) -> Float32:
    """Known values of the next H steps in units of one series' past: values, then masks, [H, 2 x columns].

    `sums` [columns,5]: rows, sum, sum of squares of the column minus its origin, origin, last value.
    """
    if not len(sums):
        return _none(len(future))
    rows, total, squares, origin, _ = sums.T
    mean = total / rows
    deviation = np.sqrt(np.maximum(squares / rows - mean**2, 0.0))
    present = np.isfinite(future)
    scaled = np.divide(future - origin - mean, deviation, out=np.zeros_like(future), where=deviation > 1e-12)
    values = np.where(present, np.clip(scaled, -LIMIT, LIMIT), 0.0)
    return np.concatenate([values, present], axis=1).astype(np.float32)


def static_numbers(static: Covariates, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Float32:
    """Static columns in units of the training series: values, then masks, [S, 2 x columns]."""
    present = np.isfinite(static.numbers)
    scaled = np.where(present, np.clip((static.numbers - mean) / deviation, -LIMIT, LIMIT), 0.0)
    return np.concatenate([scaled, present], axis=1).astype(np.float32)


def _none(rows: int) -> Float32:
    return np.zeros((rows, 0), np.float32)


def scaled_present(sums: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[Float32, NDArray[np.float64]]:
    """One more row of one series: its scaled values and masks [2 x columns], and the sums [columns,5] after it."""
    present = np.isfinite(values)
    after = sums.copy()
    after[:, 4] = np.where(present, values, sums[:, 4])
    new = after[:, 4] - sums[:, 3]
    after[:, 0] += 1
    after[:, 1] += new
    after[:, 2] += new * new
    mean = after[:, 1] / after[:, 0]
    deviation = np.sqrt(np.maximum(after[:, 2] / after[:, 0] - mean * mean, 0.0))
    scaled = np.zeros(2 * len(values), np.float32)
    varies = present & (deviation > 1e-12)
    scaled[: len(values)] = np.where(varies, new - mean, 0.0) / np.where(varies, deviation, 1.0)
    np.minimum(np.maximum(scaled, -LIMIT), LIMIT, out=scaled)
    scaled[len(values) :] = present
    return scaled, after
