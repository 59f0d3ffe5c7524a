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
        filled, _ = fill(column, present, panel.offsets)
        mean, deviation = moments(filled, first, panel.offsets)
        columns.append(_z(filled, mean, deviation, present))
        masks.append(present)
    return np.stack([*columns, *masks], axis=1).astype(np.float32) if columns else _none(len(numbers))


def ahead_numbers(sums: NDArray[np.float64], future: NDArray[np.float64]) -> Float32:
    """Known values of the next H steps as training sees them, each in units of the rows up to it.

    `sums` [columns,5] as `scaled_present` takes them -> values, then masks, [H, 2 x columns].
    """
    rows = []
    for values in future:
        row, sums = scaled_present(sums, values)
        rows.append(row)
    return np.stack(rows)


def _z(
    values: NDArray[np.float64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    present: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The bounded z-score, 0 where there is no value or no deviation."""
    varies = present & (deviation > 1e-9 * np.abs(mean)) & (deviation > 1e-12)
    scaled = np.where(varies, values - mean, 0.0) / np.where(varies, deviation, 1.0)
    return np.minimum(np.maximum(scaled, -LIMIT), LIMIT)


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
    begins = present & np.isnan(sums[:, 4])  # nothing was seen before: here the column's origin lies
    after[begins, 3] = values[begins]
    after[:, 4] = np.where(present, values, sums[:, 4])
    new = np.where(np.isnan(after[:, 4]), 0.0, after[:, 4] - after[:, 3])
    after[:, 0] += 1
    after[:, 1] += new
    after[:, 2] += new * new
    mean = after[:, 1] / after[:, 0]
    deviation = np.sqrt(np.maximum(after[:, 2] / after[:, 0] - mean * mean, 0.0))
    scaled = _z(new, mean, deviation, present)
    return np.concatenate([scaled, present]).astype(np.float32), after
