"""`evaluate`: cutoffs, baselines and scores worked out again by hand from the windows it returns."""

import re
from datetime import timedelta
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from foretell.errors import InputError
from foretell.jobs import Forecaster
from foretell.jobs.forecasting.evaluation import cutoff_positions
from foretell.jobs.forecasting.scores import Scores, mase_scale
from foretell.sequences import build_panel, infer_schema, read_table

HORIZON = 4
TINY = {"hidden": 4, "epochs": 1, "context": 14}
SEASON = 7


@pytest.fixture(scope="module")
def found(plain):
    return plain.evaluate()


@pytest.fixture(scope="module")
def values(plain_table):
    return plain_table["y"].to_numpy()


def test_cutoffs_are_a_horizon_apart_and_the_last_has_a_whole_horizon_after_it(found, plain_table):
    end = plain_table["ds"][-1]
    assert found.windows["cutoff"].unique().sort().to_list() == [
        end - timedelta(days=HORIZON * k) for k in range(10, 0, -1)
    ]
    for (cutoff,), rows in found.windows.group_by("cutoff"):
        assert rows["ds"].to_list() == [cutoff + timedelta(days=k) for k in range(1, HORIZON + 1)]


def test_the_truth_is_the_tables(found, plain_table):
    joined = found.windows.join(plain_table.rename({"y": "truth"}), on="ds")
    assert len(joined) == len(found.windows)
    assert (joined["y"] == joined["truth"]).all()


def test_step_and_windows(plain):
    windows = plain.evaluate(windows=3, step=2).windows
    ends = windows["cutoff"].unique().sort()
    assert len(ends) == 3
    assert set(ends.diff().drop_nulls().dt.total_days()) == {2}


def test_only_rows_that_the_fit_had_not_seen(plain, found):
    every = plain.evaluate(windows=1000, step=1)
    assert every.windows["cutoff"].min() == found.windows["cutoff"].min()
    assert "unseen" in every.headline


def test_of_a_given_table_also_rows_seen_and_says_so(plain, plain_table):
    assert re.search(r"20 windows, 10 of which it was fitted on", plain.evaluate(plain_table, windows=20).headline)
    assert "10 unseen windows" in plain.evaluate(plain_table).headline


def test_what_was_seen_is_told_by_time_not_by_row_number(make_daily, weekly):
    """The same days in a table that begins earlier, or later, were seen just the same."""
    table = make_daily(weekly(220))
    model = Forecaster(HORIZON, **TINY).fit(table[60:])
    assert "10 unseen windows" in model.evaluate(table, windows=10).headline
    assert "20 windows, 10 of which it was fitted on" in model.evaluate(table, windows=20).headline
    assert "10 unseen windows" in model.evaluate(table[100:], windows=10).headline


def test_baselines_by_hand(found, values, plain_table):
    place = {day: number for number, day in enumerate(plain_table["ds"])}
    for row in found.windows.iter_rows(named=True):
        origin, ahead = place[row["cutoff"]], (row["ds"] - row["cutoff"]).days
        assert row["naive"] == values[origin]
        assert row["seasonal naive"] == values[origin + ahead - SEASON]
        slope = (values[origin] - values[0]) / origin
        assert row["drift"] == pytest.approx(values[origin] + ahead * slope)


def test_the_summary_is_the_mean_over_the_windows(found, values, plain_table):
    windows = found.windows
    truth = windows["y"].to_numpy()
    first = plain_table["ds"].to_list().index(windows["cutoff"].min())
    before = values[: first + 1]
    scale = np.mean([abs(before[t] - before[t - SEASON]) for t in range(SEASON, len(before))])
    columns = {"foretell": "y_hat", "naive": "naive", "seasonal naive": "seasonal naive", "drift": "drift"}
    assert found.summary["model"].to_list() == list(columns)
    for row in found.summary.iter_rows(named=True):
        said = windows[columns[row["model"]]].to_numpy()
        error = np.abs(said - truth)
        assert row["mae"] == pytest.approx(error.mean())
        assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
        assert row["smape"] == pytest.approx(np.mean(200 * error / (np.abs(said) + np.abs(truth))))
        assert row["mase"] == pytest.approx(error.mean() / scale)


def test_coverage_width_and_quantile_loss_by_hand(found):
    windows = found.windows
    truth = windows["y"].to_numpy()
    row = found.summary.row(by_predicate=pl.col("model") == "foretell", named=True)
    for level in (80, 95):
        low, high = (windows[f"{end}-{level}"].to_numpy() for end in ("lo", "hi"))
        assert row[f"coverage-{level}"] == pytest.approx(np.mean((low <= truth) & (truth <= high)))
        assert row[f"width-{level}"] == pytest.approx(np.mean(high - low))


def test_error_by_step(found):
    windows = found.windows.with_columns(step=(pl.col("ds") - pl.col("cutoff")).dt.total_days())
    for row in found.by_horizon.filter(pl.col("model") == "foretell").iter_rows(named=True):
        rows = windows.filter(pl.col("step") == row["step"])
        assert row["mae"] == pytest.approx((rows["y"] - rows["y_hat"]).abs().mean())
    assert found.by_horizon["step"].unique().sort().to_list() == [1, 2, 3, 4]


def probabilities_of(levels):
    tails = sorted((100 - level) / 200 for level in levels)
    return (*tails, 0.5, *(1 - tail for tail in reversed(tails)))


def crps_of(levels, forecast: NormalDist, truth):
    probabilities = probabilities_of(levels)
    quantiles = np.array([forecast.inv_cdf(p) for p in probabilities])
    scores = Scores(probabilities, tuple(sorted(levels)), 1)
    scores.add(np.broadcast_to(quantiles, (len(truth), 1, len(quantiles))), np.asarray(truth)[:, None], 1.0)
    return scores.means()["crps"]


@pytest.mark.parametrize("levels", [tuple(range(2, 99, 2)), (80.0, 95.0), (50.0, 80.0, 95.0)])
def test_crps_of_a_normal_forecast(levels):
    """Gneiting & Raftery 2007: the expected CRPS of the true standard normal is 1 / sqrt(pi), whatever the levels.

    A few quantiles can only approximate it; 15 % is what careful weights reach with five of them.
    """
    truth = np.random.default_rng(0).normal(size=20_000)
    assert crps_of(levels, NormalDist(), truth) == pytest.approx(1 / np.sqrt(np.pi), rel=0.15)


@pytest.mark.parametrize("at", [-3.0, -0.5, 0.0, 1.0, 4.0])
@pytest.mark.parametrize(("levels", "tolerance"), [(tuple(range(2, 99, 2)), 0.03), ((50.0, 80.0, 95.0), 0.2)])
def test_crps_of_one_value_against_the_closed_form(levels, tolerance, at):
    """Gneiting & Raftery 2007, equation 21: s (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)) of a value z s off the mean."""
    normal, spread = NormalDist(), 2.5
    closed = spread * (at * (2 * normal.cdf(at) - 1) + 2 * normal.pdf(at) - 1 / np.sqrt(np.pi))
    assert crps_of(levels, NormalDist(7.0, spread), [7.0 + at * spread]) == pytest.approx(closed, rel=tolerance)


def test_a_point_forecasts_crps_is_its_absolute_error_but_for_the_tails():
    """Half of each outer tail is taken to cost nothing: .05 of each end at a level of 80, next to nothing at 99.9."""
    assert crps_of((80.0,), NormalDist(2.0, 1e-9), [5.0]) == pytest.approx(3.0 * 0.9)
    assert crps_of((50.0, 80.0, 99.9), NormalDist(2.0, 1e-9), [5.0]) == pytest.approx(3.0, rel=1e-3)


def test_gaps_in_the_truth_do_not_count():
    scores = Scores((0.1, 0.5, 0.9), (80.0,), 2)
    scores.add(np.array([[[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]]), np.array([[3.0, np.nan]]), 0.5)
    means = scores.means()
    assert means["mae"] == 2.0
    assert means["rmse"] == 2.0
    assert means["mase"] == 4.0
    assert means["smape"] == pytest.approx(100.0)
    assert means["coverage-80"] == 0.0
    assert scores.by_step("m")["mae"].to_list() == [2.0, 0.0]


def test_mase_scale_by_hand():
    assert mase_scale(np.array([1.0, 5.0, 2.0, np.nan, 4.0, 6.0]), 2) == pytest.approx((1 + 2) / 2)
    assert mase_scale(np.array([1.0, 1.0]), 1) == 1.0
    assert mase_scale(np.array([1.0]), 7) == 1.0


def test_cutoff_positions_by_hand():
    """Not before `earliest`, not before the eighth observation of every target, at row 7 if there is no gap."""
    lengths, earliest = [40, 20, 13, 9, 40], np.array([30, 0, 0, 0, 0])
    shops = [pl.DataFrame({"shop": [f"{n}"] * size, "ds": range(size)}) for n, size in enumerate(lengths)]
    frame = pl.concat(shops).with_columns(y=pl.lit(1.0), z=pl.lit(2.0))
    late = (pl.col("shop") == "4") & (pl.col("ds") < 25)  # of this target the eighth is row 32
    table = read_table(frame.with_columns(z=pl.when(late).then(None).otherwise("z")))
    panel = build_panel(table, infer_schema(table, time="ds", series="shop", target=("y", "z")))
    positions = cutoff_positions(panel, horizon=4, windows=3, step=4, earliest=earliest)
    assert [p.tolist() for p in positions] == [[31, 35], [7, 11, 15], [8], [], [35]]


def test_several_series_and_targets(rich):
    windows = rich.evaluate().windows
    assert windows.columns[:5] == ["unique_id", "target", "cutoff", "ds", "y"]
    counts = windows.group_by("unique_id", "target").len()["len"].to_list()
    assert len(counts) == 6
    assert all(count % HORIZON == 0 for count in counts)


HEADLINE = re.compile(
    r"Foretell (?P<verdict>beats the best baseline|does not beat|does no better or worse than the best baseline),? "
    r"(?P<rival>[\w ()]+)(, by (?P<gain>[\d.]+) %|: its error is "
    r"((?P<loss>[\d.]+) % larger|more than ten times as large))? "
    r"\(MASE (?P<mine>[-\d.e+]+) against (?P<theirs>[-\d.e+]+), "
)


@pytest.mark.parametrize("kind", ["season", "walk", "line"])
def test_the_headline_tells_who_wins(make_daily, weekly, kind):
    """A line is drift's own, to the last digit; a walk is naive's."""
    table = {
        "season": weekly(200, noise=0.3),
        "walk": np.cumsum(np.random.default_rng(0).normal(size=200)),
        "line": np.arange(200.0),
    }[kind]
    found = Forecaster(HORIZON, **TINY).fit(make_daily(table)).evaluate()
    errors = dict(found.summary.select("model", "mase").iter_rows())
    mine = errors.pop("foretell")
    rival = min(errors, key=errors.get)
    said = HEADLINE.match(found.headline)
    assert said, found.headline
    assert rival in said["rival"]
    assert float(said["mine"]) == pytest.approx(mine, rel=0.01)
    if mine > 1.005 * errors[rival]:
        assert said["verdict"] == "does not beat"
        assert (said["loss"] is None) == (mine >= 10 * errors[rival])
    elif mine < 0.995 * errors[rival]:
        assert said["verdict"] == "beats the best baseline"
        assert float(said["gain"]) == pytest.approx(100 * (1 - mine / errors[rival]), abs=0.06)
    else:
        assert said["verdict"].startswith("does no better")


def test_no_cutoff_before_the_first_values(make_daily, weekly):
    """What comes before the first value of a series cannot be forecast from it, nor by a baseline."""
    values = weekly(160)
    values[:140] = np.nan
    late = make_daily(values).with_columns(shop=pl.lit("late"))
    whole = make_daily(weekly(160, seed=1)).with_columns(shop=pl.lit("whole"))
    model = Forecaster(HORIZON, **TINY).fit(pl.concat([whole, late]), series="shop")
    windows = model.evaluate().windows.filter(pl.col("unique_id") == "late")
    assert (windows["cutoff"] >= late["ds"][140]).all()


@pytest.mark.parametrize(
    "arguments",
    [{"windows": 0}, {"windows": 2.5}, {"step": 0}, {"step": 1.5}, {"windows": -1}, {"step": "2"}],
)
def test_arguments_that_cannot_be(plain, arguments):
    (name,) = arguments
    with pytest.raises(InputError, match=rf"evaluate: {name} must be"):
        plain.evaluate(**arguments)


def test_nothing_was_held_out(plain_table):
    model = Forecaster(HORIZON, **TINY, windows=0).fit(plain_table)
    with pytest.raises(InputError, match="data="):
        model.evaluate()
    assert len(model.evaluate(plain_table, windows=2).windows) == 2 * HORIZON


def test_a_backtest_does_not_change_the_model(rich, rows, future):
    before = rich.predict(known=future)
    rich.evaluate(rows, windows=2)
    assert rich.predict(known=future).equals(before)
