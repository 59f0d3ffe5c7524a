"""Tables small enough to fit in a blink, and models fitted on them once for all tests."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
import torch

from foretell.jobs import Forecaster
from foretell.jobs.forecasting.memory import remember

TINY = {"hidden": 4, "epochs": 1, "context": 14}
HORIZON = 4
ROLES = {
    "time": "ds",
    "target": ("y1", "y2"),
    "series": "shop",
    "past": ("x", "mood"),
    "known": ("promo", "day"),
    "static": ("size", "kind"),
}


def days(count: int, start: date = date(2024, 1, 1)) -> list[date]:
    return [start + timedelta(days=number) for number in range(count)]


def weekly_values(count: int, seed: int = 0, noise: float = 1.0) -> np.ndarray:
    return 3 * np.sin(np.arange(count) * 2 * np.pi / 7) + noise * np.random.default_rng(seed).normal(size=count)


def one_shop(name: str, count: int, first: int, seed: int) -> pl.DataFrame:
    """y1 follows last day's x and today's promo, which only the network can learn; y2 leans on y1."""
    rng = np.random.default_rng(seed)
    x, promo = rng.normal(size=count), rng.integers(0, 2, count).astype(float)
    mood = rng.choice(["bad", "fair", "good"], count)
    before = np.concatenate([[0.0], x[:-1]])
    y1 = 10 * seed + 3 * before + 4 * promo + weekly_values(count, seed, 0.3)
    y2 = -0.5 * y1 + 2 * (mood == "good") + rng.normal(size=count)
    return pl.DataFrame(
        {
            "shop": [name] * count,
            "ds": days(count, date(2024, 1, 1) + timedelta(days=first)),
            "y1": y1,
            "y2": y2,
            "x": x,
            "mood": mood,
            "promo": promo,
            "day": [["work", "rest"][number % 7 > 4] for number in range(first, first + count)],
            "size": [float(seed)] * count,
            "kind": [f"kind {seed % 2}"] * count,
        }
    )


@pytest.fixture(scope="session")
def make_daily() -> Callable[..., pl.DataFrame]:
    """One series of days: make_daily(values)."""

    def make(values: object, start: date = date(2024, 1, 1), **columns: object) -> pl.DataFrame:
        return pl.DataFrame({"ds": days(len(values), start), "y": values, **columns}).with_columns(
            pl.col("y").cast(pl.Float64).fill_nan(None)
        )

    return make


@pytest.fixture(scope="session")
def weekly() -> Callable[..., np.ndarray]:
    """A noisy sine of seven steps: weekly(count, seed=0, noise=1.0)."""
    return weekly_values


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    """Three shops of unequal length, two targets, every kind of covariate, gaps and missing cells; H rows more
    than `rows` for the known columns."""
    shops = [one_shop("a", 204, 0, 1), one_shop("b", 154, 20, 2), one_shop("c", 84, 120, 3)]
    frame = pl.concat(shops).with_row_index()
    holes = pl.col("index").is_in([30, 31, 32, 77, 230, 400])
    frame = frame.with_columns(
        pl.when(holes).then(None).otherwise(pl.col("y1")).alias("y1"),
        pl.when(pl.col("index") % 37 == 5).then(None).otherwise(pl.col("x")).alias("x"),
        pl.when(pl.col("index") % 41 == 7).then(None).otherwise(pl.col("mood")).alias("mood"),
    )
    missing_days = (pl.col("shop") == "b") & pl.col("ds").is_between(date(2024, 3, 5), date(2024, 3, 8))
    return frame.filter(~missing_days).drop("index")


@pytest.fixture(scope="session")
def rows(table) -> pl.DataFrame:
    """The table without the last H rows of each shop: what is known in the present."""
    return table.filter(pl.int_range(pl.len()).over("shop") < pl.len().over("shop") - HORIZON)


@pytest.fixture(scope="session")
def future(table) -> pl.DataFrame:
    """The known columns of the last H rows of each shop."""
    late = table.filter(pl.int_range(pl.len()).over("shop") >= pl.len().over("shop") - HORIZON)
    return late.select("shop", "ds", "promo", "day")


@pytest.fixture(scope="session")
def rich(rows) -> Forecaster:
    """Fitted on everything that a table can hold. Not to be changed by a test.

    Its weights are then shaken: a network that has hardly trained may still be the linear start alone, and
    would pass any test of what the LSTM carries.
    """
    model = Forecaster(HORIZON, hidden=6, layers=2, members=2, epochs=1, context=10, seed=1).fit(rows, **ROLES)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for network in model._model.networks:
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    model._memory = remember(model._model, model._panel)
    return model


@pytest.fixture(scope="session")
def plain_table(make_daily, weekly) -> pl.DataFrame:
    """One series of 160 days: a week's wave and noise."""
    return make_daily(weekly(160))


@pytest.fixture(scope="session")
def plain(plain_table) -> Forecaster:
    """Fitted on `plain_table` alone. Not to be changed by a test."""
    return Forecaster(HORIZON, **TINY).fit(plain_table)
