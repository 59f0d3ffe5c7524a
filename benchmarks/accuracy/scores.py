"""The measures of a forecast, as the published results that it is compared with define them.

y and f are the actual and the forecast values of one series [n].
"""

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]


def mean_absolute_error(y: Values, f: Values) -> float:
    return float(np.mean(np.abs(y - f)))


def mean_squared_error(y: Values, f: Values) -> float:
    return float(np.mean((y - f) ** 2))


def smape(y: Values, f: Values) -> float:
    """Mean of 200 |y - f| / (|y| + |f|), in per cent between 0 and 200; 0 where both are 0 (M4)."""
    size = np.abs(y) + np.abs(f)
    error = 200 * np.abs(y - f)
    return float(np.mean(np.divide(error, size, out=np.zeros_like(error), where=size > 0)))


def scale(insample: Values, season: int) -> float:
    """MASE's unit (Hyndman & Koehler 2006): the mean |y_t - y_{t - season}| before the test."""
    return float(np.mean(np.abs(insample[season:] - insample[:-season])))


def mase(y: Values, f: Values, insample: Values, season: int) -> float:
    return mean_absolute_error(y, f) / scale(insample, season)


def owa(smape: float, mase: float, naive2: tuple[float, float]) -> float:
    """M4's overall weighted average; `naive2` holds the published sMAPE and MASE of the Naive2 benchmark."""
    return (smape / naive2[0] + mase / naive2[1]) / 2


def theils_u(y: Values, f: Values, walk: Values) -> float:
    """The root of the mean squared error over that of the random walk, which repeats the last known value."""
    return math.sqrt(mean_squared_error(y, f) / mean_squared_error(y, walk))


def coverage(y: Values, low: Values, high: Values) -> float:
    """The share of actual values inside the interval, its ends included, in per cent."""
    return float(100 * np.mean((low <= y) & (y <= high)))


def score(
    forecasts: pl.DataFrame, history: pl.DataFrame, season: int, naive2: tuple[float, float] | None = None
) -> dict[str, float]:
    """Every measure of the forecasts, each the mean over the series, which have equally many rows.

    `forecasts` has unique_id, cutoff, ds, y_hat and, where there are intervals, lo-80, hi-80, ...
    `history` (unique_id, ds, y) holds the actual values, ds counting from 1; its rows up to the first cutoff
    are in-sample. A series' windows and steps are pooled, so that it has one Theil's U. RMSE is the root of
    the mean MSE.
    """
    walk = history.rename({"ds": "cutoff", "y": "walk"})
    rows = forecasts.join(history, on=["unique_id", "ds"], how="left", maintain_order="left")
    rows = rows.join(walk, on=["unique_id", "cutoff"], how="left", maintain_order="left")
    series = {name: part["y"].to_numpy() for (name,), part in history.group_by("unique_id")}
    found = pl.DataFrame([_score_series(part, series[name], season) for (name,), part in rows.group_by("unique_id")])
    means = {name: float(np.mean(found[name].to_numpy())) for name in found.columns}
    means["rmse"] = means["mse"] ** 0.5
    if naive2:
        means["owa"] = owa(means["smape"], means["mase"], naive2)
    return means


def _score_series(rows: pl.DataFrame, series: Values, season: int) -> Mapping[str, float]:
    y, f, walk = (rows[name].cast(pl.Float64).to_numpy() for name in ("y", "y_hat", "walk"))
    measures = {
        "mae": mean_absolute_error(y, f),
        "mse": mean_squared_error(y, f),
        "smape": smape(y, f),
        "mase": mase(y, f, series[: rows["cutoff"].min()], season),
        "theils_u": theils_u(y, f, walk),
    }
    for name in rows.columns:
        if name.startswith("lo-"):
            level = name.removeprefix("lo-")
            low, high = rows[name].to_numpy(), rows[f"hi-{level}"].to_numpy()
            measures |= {
                f"coverage-{level}": coverage(y, low, high),
                f"width-{level}": float(np.mean(high - low)),
            }
    return measures
