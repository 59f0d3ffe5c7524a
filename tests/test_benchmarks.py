"""The measures of the benchmarks against numbers worked out by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "accuracy" / "scores.py"


@pytest.fixture(scope="module")
def scores():
    spec = importlib.util.spec_from_file_location("scores", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def array(*values):
    return np.array(values, dtype=np.float64)


def test_absolute_and_squared_error(scores):
    y, f = array(1, 2, 3), array(2, 2, 1)
    assert scores.mean_absolute_error(y, f) == pytest.approx((1 + 0 + 2) / 3)
    assert scores.mean_squared_error(y, f) == pytest.approx((1 + 0 + 4) / 3)


def test_smape_goes_to_200_and_takes_zeros(scores):
    assert scores.smape(array(1, 3), array(3, 3)) == pytest.approx(50)  # (200 * 2 / 4 + 0) / 2
    assert scores.smape(array(0, 0), array(5, 0)) == pytest.approx(100)  # (200 + 0) / 2


def test_mase_counts_in_the_seasonal_steps_of_the_insample_rows(scores):
    insample = array(1, 5, 2, 9)
    assert scores.scale(insample, 1) == pytest.approx((4 + 3 + 7) / 3)
    assert scores.scale(insample, 2) == pytest.approx((1 + 4) / 2)
    assert scores.mase(array(1, 2), array(2, 6), insample, 2) == pytest.approx(1)  # (1 + 4) / 2 over 5 / 2


def test_owa_of_the_published_theta_row(scores):
    """The competition's table, hourly series: Theta has sMAPE 18.14, MASE 2.455 and OWA 1.006."""
    assert scores.owa(18.14, 2.455, (18.383, 2.395)) == pytest.approx(1.006, abs=5e-4)


def test_theils_u_is_a_ratio_of_roots(scores):
    y, walk = array(4, 8), array(0, 0)
    assert scores.theils_u(y, walk, walk) == 1
    assert scores.theils_u(y, array(2, 4), walk) == pytest.approx(0.5)  # sqrt(20 / 80)


def test_coverage_includes_the_ends(scores):
    assert scores.coverage(array(1, 2, 3, 4), array(1, 0, 4, 0), array(2, 2, 5, 3)) == 50


def test_score_of_two_series_and_two_windows(scores):
    history = pl.DataFrame(
        {
            "unique_id": ["a"] * 6 + ["b"] * 6,
            "ds": [1, 2, 3, 4, 5, 6] * 2,
            "y": [1.0, 3, 2, 4, 8, 6, 10, 10, 30, 30, 50, 10],
        }
    )
    forecasts = pl.DataFrame(
        {
            "unique_id": ["a", "a", "a", "b", "b", "b"],
            "cutoff": [3, 3, 4, 3, 3, 4],
            "ds": [4, 5, 5, 4, 5, 5],
            "y_hat": [4.0, 6, 7, 30, 30, 50],
            "lo-80": [4.0, 6, 7, 30, 40, 50],
            "hi-80": [5.0, 7, 8, 30, 45, 50],
        }
    )
    found = scores.score(forecasts, history, season=1)
    # a: errors 0, 2, 1; the walk's 2, 6, 4; in-sample steps 2, 1
    # b: errors 0, 20, 0; the walk's 0, 20, 20; in-sample steps 0, 20
    assert found["mae"] == pytest.approx((1 + 20 / 3) / 2)
    assert found["mse"] == pytest.approx((5 / 3 + 400 / 3) / 2)
    assert found["rmse"] == pytest.approx(found["mse"] ** 0.5)
    assert found["mase"] == pytest.approx((1 / 1.5 + 20 / 3 / 10) / 2)
    assert found["theils_u"] == pytest.approx(((5 / 56) ** 0.5 + 0.5**0.5) / 2)
    assert found["coverage-80"] == pytest.approx((200 / 3 + 200 / 3) / 2)
    assert found["width-80"] == pytest.approx((1 + 5 / 3) / 2)
    assert "owa" not in found


def test_score_gives_the_owa_where_there_is_a_naive2(scores):
    history = pl.DataFrame({"unique_id": ["a"] * 4, "ds": [1, 2, 3, 4], "y": [1.0, 3, 2, 4]})
    forecasts = pl.DataFrame({"unique_id": ["a"], "cutoff": [3], "ds": [4], "y_hat": [4.0]})
    assert scores.score(forecasts.with_columns(y_hat=pl.lit(12.0)), history, 1, (100.0, 16 / 3))["owa"] == 1
    assert scores.score(forecasts, history, 1, (100.0, 16 / 3))["owa"] == 0
