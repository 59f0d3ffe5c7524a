"""What a sceptic would ask for: naive, seasonal naive and drift, each with intervals from its own past errors.

Point forecasts as in Hyndman & Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), section 5.2.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Points = Callable[[Floats, NDArray[np.int64], int, int], Floats]
PAST_ERRORS = 500  # origins before the first cutoff whose errors make the intervals


def naive(values: Floats, origins: NDArray[np.int64], horizon: int, season: int) -> Floats:
    """The last value, again and again."""
    return np.asarray(np.repeat(values[origins, None], horizon, axis=1))


def seasonal_naive(values: Floats, origins: NDArray[np.int64], horizon: int, season: int) -> Floats:
    """The last season, again and again; before a whole season has passed, the first value."""
    ahead = np.arange(horizon) % season
    return np.asarray(values[np.maximum(origins[:, None] + 1 - season + ahead, 0)])


def drift(values: Floats, origins: NDArray[np.int64], horizon: int, season: int) -> Floats:
    """The line through the first value and the last."""
    slope = (values[origins] - values[0]) / np.maximum(origins, 1)
    return np.asarray(values[origins, None] + slope[:, None] * np.arange(1, horizon + 1))


BASELINES: dict[str, Points] = {"naive": naive, "seasonal naive": seasonal_naive, "drift": drift}


def best_season(values: Floats, seasons: tuple[int, ...], horizon: int, stop: int) -> int:
    """The season whose repetition errs least before row `stop`; 1 (naive) if there is none."""
    best, error = 1, float("inf")
    for season in seasons:
        origins = np.arange(max(season, stop - PAST_ERRORS) - 1, stop - horizon)
        if len(origins):
            missed = seasonal_naive(values, origins, horizon, season) - ahead(values, origins, horizon)
            found = float(np.nanmean(np.abs(missed)))
            best, error = (season, found) if found < error else (best, error)
    return best


def ahead(values: Floats, origins: NDArray[np.int64], horizon: int) -> Floats:
    """What came after each origin, [n,H]; NaN beyond the end."""
    rows = origins[:, None] + np.arange(1, horizon + 1)
    return np.where(rows < len(values), values[np.minimum(rows, len(values) - 1)], np.nan)


def baseline_quantiles(
    method: Points,
    values: Floats,
    truth: Floats,
    origins: NDArray[np.int64],
    horizon: int,
    season: int,
    probabilities: tuple[float, ...],
) -> Floats:
    """Quantiles [n,H,Q] at the origins: the point forecast plus quantiles of its errors before the first of them.

    `values` are gap-filled, `truth` is not. The median is the point forecast itself.
    """
    points = method(values, origins, horizon, season)
    stop = int(origins[0]) + 1 - horizon
    past = np.arange(max(season, stop - PAST_ERRORS), stop)
    middle = len(probabilities) // 2
    if not len(past):
        return np.repeat(points[..., None], len(probabilities), axis=2)
    errors = ahead(truth, past, horizon) - method(values, past, horizon, season)
    errors = np.where(np.isfinite(errors).any(axis=0), errors, 0.0)
    spread = np.nanquantile(errors, probabilities, axis=0).T  # [H,Q]
    spread[:, :middle] = np.minimum(spread[:, :middle], 0.0)
    spread[:, middle] = 0.0
    spread[:, middle + 1 :] = np.maximum(spread[:, middle + 1 :], 0.0)
    return points[..., None] + spread
