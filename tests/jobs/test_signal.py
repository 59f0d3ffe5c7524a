"""What can be learned is learned, and what cannot is not claimed."""

import numpy as np
import polars as pl
import pytest
import torch

from foretell.jobs import Forecaster
from foretell.jobs.forecasting.fitting import _score_quantiles
from foretell.jobs.forecasting.model import widen
from foretell.jobs.forecasting.settings import Settings

HORIZON = 4


def mase(model, name="foretell"):
    return dict(model.evaluate().summary.select("model", "mase").iter_rows())[name]


def test_a_season_is_learned(make_daily, weekly):
    model = Forecaster(HORIZON, hidden=8).fit(make_daily(weekly(300, noise=0.5)))
    assert mase(model) < 0.3 * mase(model, "naive")
    assert mase(model) < 0.9 * mase(model, "seasonal naive")
    assert model.evaluate().headline.startswith("Foretell beats the best baseline, seasonal naive")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_random_walk_is_not_beaten(make_daily, seed):
    """Nothing can beat its last value; a gain of more than a few per cent would be a leak."""
    walk = np.cumsum(np.random.default_rng(seed).normal(size=1600))
    model = Forecaster(HORIZON, hidden=8, epochs=2, windows=100).fit(make_daily(walk))
    scores = dict(model.evaluate(windows=100).summary.select("model", "mase").iter_rows())
    assert 0.97 < scores["foretell"] / scores["naive"] < 1.15


def test_a_known_covariate_that_drives_the_target_is_used(make_daily):
    rng = np.random.default_rng(0)
    promo = rng.integers(0, 2, 600).astype(float)
    table = make_daily(10 * promo + rng.normal(size=600), promo=promo)
    settings = {"hidden": 8, "epochs": 15, "learning_rate": 0.02, "context": 8}
    blind = Forecaster(HORIZON, **settings).fit(table, target="y", past=())
    seeing = Forecaster(HORIZON, **settings).fit(table, target="y", past=(), known="promo")
    assert mase(seeing) < 0.5 * mase(blind)


def test_a_past_covariate_that_leads_the_target_is_used(make_daily):
    """Tomorrow's value is today's x: nothing else tells of it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=1200)
    table = make_daily(np.concatenate([[0.0], 3 * x[:-1]]) + 0.3 * rng.normal(size=1200), x=x)
    settings = {"hidden": 8, "epochs": 15, "learning_rate": 0.02, "context": 8}
    blind = Forecaster(1, **settings).fit(table, target="y", past=())
    seeing = Forecaster(1, **settings).fit(table, target="y", past="x")
    assert mase(seeing) < 0.6 * mase(blind)


def test_intervals_of_noise_hold(make_daily):
    noise = np.random.default_rng(0).normal(size=1200)
    model = Forecaster(HORIZON, hidden=4, epochs=2, context=20, windows=60).fit(make_daily(noise))
    row = model.evaluate(windows=60).summary.row(by_predicate=pl.col("model") == "foretell", named=True)
    assert row["coverage-80"] == pytest.approx(0.80, abs=0.07)
    assert row["coverage-95"] == pytest.approx(0.95, abs=0.04)
    assert row["width-80"] == pytest.approx(2 * 1.2816, rel=0.15)


def test_conformal_margins_cover_exchangeable_scores_at_their_level():
    """Romano et al. 2019, theorem 1: at least the level, at most 1 / (n + 1) more, on average over draws."""
    settings = Settings.of(horizon=4000, level=(50, 80))
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(19, 4000, 2, generator=generator)
    margin = _score_quantiles(scores, settings)  # [levels, H]
    fresh = torch.randn(400, 4000, 2, generator=generator)
    covered = (fresh <= margin.T).float().mean(dim=(0, 1))
    for level, share in zip((0.5, 0.8), covered.tolist(), strict=True):
        assert level - 0.005 <= share <= level + 1 / 20 + 0.005


def test_missing_scores_do_not_count():
    settings = Settings.of(horizon=2, level=(80,))
    scores = torch.tensor([[[1.0], [torch.nan]], [[2.0], [torch.nan]], [[3.0], [torch.nan]]])
    margin = _score_quantiles(scores, settings)
    assert margin.tolist() == [[3.0, 0.0]]


def test_widening_keeps_quantiles_in_order():
    generator = torch.Generator().manual_seed(0)
    quantiles = torch.randn(50, 3, 7, 5, generator=generator).sort(dim=-1).values
    for _ in range(20):
        moved = widen(quantiles, torch.randn(2, 7, generator=generator))
        assert (moved.diff(dim=-1) >= 0).all()
        assert torch.equal(moved[..., 2], quantiles[..., 2])


def test_widening_by_nothing_changes_nothing_and_by_something_exactly_that():
    quantiles = torch.randn(5, 3, 4, 5).sort(dim=-1).values
    assert torch.equal(widen(quantiles, torch.zeros(2, 4)), quantiles)
    moved = widen(quantiles, torch.tensor([[0.5] * 4, [1.0] * 4]))
    shift = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    torch.testing.assert_close(moved, quantiles + shift)
