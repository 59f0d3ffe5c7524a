"""How good forecasts were: MAE, RMSE, sMAPE, MASE, CRPS, and coverage and width of every interval."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = NDArray[np.floating]


@dataclass
class Scores:
    """Sums over forecasts seen so far; gaps in the truth do not count."""

    probabilities: tuple[float, ...]
    levels: tuple[float, ...]
    horizon: int
    count: float = 0.0
    totals: dict[str, float] = field(default_factory=dict)
    weights: Floats = field(init=False)
    error_by_step: Floats = field(init=False)
    count_by_step: Floats = field(init=False)

    def __post_init__(self) -> None:
        # The CRPS is twice the integral of the pinball loss over all probabilities: by the trapezoid rule, with
        # no loss at 0 and 1.
        around = np.array([0.0, *self.probabilities, 1.0])
        self.weights = (around[2:] - around[:-2]) / 2
        self.error_by_step, self.count_by_step = np.zeros(self.horizon), np.zeros(self.horizon)

    def add(self, quantiles: Values, truth: Values, scale: float) -> None:
        """Forecasts [n,H,Q] of one track against the truth [n,H]; `scale` is the track's MASE denominator."""
        known = np.isfinite(truth)
        truth = np.where(known, truth, 0.0)
        middle = quantiles.shape[-1] // 2
        point = quantiles[..., middle]
        error = np.abs(point - truth) * known
        sizes = np.abs(point) + np.abs(truth)
        loss = truth[..., None] - quantiles
        pinball = np.maximum(loss * self.probabilities, loss * (np.array(self.probabilities) - 1)) @ self.weights
        found = {
            "mae": error.sum(),
            "squared": (error**2).sum(),
            "smape": (200 * np.divide(error, sizes, out=np.zeros_like(error), where=sizes > 0)).sum(),
            "mase": error.sum() / scale,
            "crps": (2 * pinball * known).sum(),
        }
        for place, level in enumerate(self.levels, 1):
            low, high = quantiles[..., middle - place], quantiles[..., middle + place]
            found[f"coverage-{level:g}"] = (((truth >= low) & (truth <= high)) * known).sum()
            found[f"width-{level:g}"] = ((high - low) * known).sum()
        for name, value in found.items():
            self.totals[name] = self.totals.get(name, 0.0) + float(value)
        self.count += float(known.sum())
        self.error_by_step += error.sum(axis=0)
        self.count_by_step += known.sum(axis=0)

    def means(self) -> dict[str, float]:
        """mae, rmse, smape (0 to 200), mase, crps, coverage (0 to 1) and width per level."""
        mean = {name: value / max(self.count, 1.0) for name, value in self.totals.items()}
        rmse = float(np.sqrt(mean.pop("squared", 0.0)))
        return {"mae": mean.pop("mae", 0.0), "rmse": rmse, **mean}

    def by_step(self, model: str) -> pl.DataFrame:
        """model, step (from 1), mae."""
        steps = np.arange(1, self.horizon + 1)
        error = self.error_by_step / np.maximum(self.count_by_step, 1.0)
        return pl.DataFrame({"model": [model] * self.horizon, "step": steps, "mae": error})


def mase_scale(values: Values, season: int) -> float:
    """The mean absolute seasonal difference of the values before the backtest (Hyndman & Koehler 2006)."""
    steps = np.abs(values[season:] - values[:-season])
    steps = steps[np.isfinite(steps)]
    return float(steps.mean()) if len(steps) and steps.mean() > 0 else 1.0
