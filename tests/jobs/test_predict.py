"""`predict`: its frame, its kinds of table and of time, covariates, new series, and awkward data."""

import math
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from foretell.charts import forecast_page
from foretell.errors import InputError
from foretell.jobs import Forecaster

HORIZON = 4
TINY = {"hidden": 4, "epochs": 1, "context": 14}
QUANTILES = ["lo-95", "lo-80", "y_hat", "hi-80", "hi-95"]


def fit(table, horizon=HORIZON, *, settings=None, **roles):
    return Forecaster(horizon, **{**TINY, **(settings or {})}).fit(table, **roles)


def sane(frame):
    """No NaN, no infinity, quantiles in order."""
    values = frame.select(QUANTILES).to_numpy()
    return bool(np.isfinite(values).all() and (np.diff(values, axis=1) >= 0).all())


def test_columns_and_rows(plain, plain_table):
    frame = plain.predict()
    assert frame.columns == ["unique_id", "ds", "y_hat", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert frame["ds"].to_list() == [plain_table["ds"][-1] + timedelta(days=k) for k in (1, 2, 3, 4)]
    assert sane(frame)


def test_several_series_and_targets(rich, rows, future):
    frame = rich.predict(known=future)
    assert frame.columns == ["unique_id", "target", "ds", "y_hat", "lo-80", "hi-80", "lo-95", "hi-95"]
    assert sane(frame)
    ends = dict(rows.group_by("shop").agg(pl.col("ds").max()).iter_rows())
    wanted = {
        (shop, target, end + timedelta(days=k))
        for shop, end in ends.items()
        for target in ("y1", "y2")
        for k in range(1, HORIZON + 1)
    }
    assert set(frame.select("unique_id", "target", "ds").iter_rows()) == wanted
    assert len(frame) == len(wanted)


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_the_frame_is_of_the_kind_that_came_in(plain_table, kind):
    table = {
        "pandas": plain_table.to_pandas(),
        "polars": plain_table,
        "pyarrow": plain_table.to_arrow(),
    }[kind]
    wanted = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}[kind]
    model = fit(table)
    assert isinstance(model.predict(), wanted)
    found = model.evaluate()
    assert isinstance(found.windows, wanted)
    assert isinstance(found.summary, wanted)
    assert isinstance(found.by_horizon, wanted)
    assert isinstance(model.explain().gates, wanted)


def test_the_kind_of_given_data_decides(plain, plain_table):
    assert isinstance(plain.predict(plain_table.to_pandas()), pd.DataFrame)
    assert isinstance(plain.predict(), pl.DataFrame)


def test_a_file(plain, plain_table, tmp_path):
    plain_table.write_csv(tmp_path / "table.csv")
    assert fit(tmp_path / "table.csv").predict().equals(plain.predict())


def test_levels_name_the_columns(plain_table):
    frame = fit(plain_table, settings={"level": (99.5, 50)}).predict()
    assert frame.columns[2:] == ["y_hat", "lo-50", "hi-50", "lo-99.5", "hi-99.5"]
    assert (frame["hi-99.5"] >= frame["hi-50"]).all()


@pytest.mark.parametrize("level", [80, 80.0, (80,), [80]])
def test_one_level_may_be_given_bare(level):
    assert Forecaster(HORIZON, level=level).settings.levels == (80.0,)


def test_whole_number_time(weekly):
    table = pl.DataFrame({"ds": range(10, 10 + 3 * 160, 3), "y": weekly(160)})
    assert fit(table).predict()["ds"].to_list() == [490, 493, 496, 499]


def test_no_time_at_all(weekly):
    assert sane(fit(pl.DataFrame({"y": weekly(160)})).predict())


@pytest.mark.parametrize(
    ("every", "start", "wanted"),
    [
        (
            "1mo",
            datetime(2010, 1, 1),
            [date(2020, 1, 1), date(2020, 2, 1), date(2020, 3, 1), date(2020, 4, 1)],
        ),
        (
            "1mo",
            datetime(2010, 1, 31),
            [date(2020, 1, 31), date(2020, 2, 29), date(2020, 3, 31), date(2020, 4, 30)],
        ),
        ("1h", datetime(2024, 1, 1), [datetime(2024, 1, 6, k) for k in range(4)]),
        ("1w", datetime(2024, 1, 1), [date(2026, 4, 20) + timedelta(weeks=k) for k in range(4)]),
    ],
)
def test_the_next_times_of_a_frequency(weekly, every, start, wanted):
    if every == "1mo":
        months = np.arange("2010-01", "2020-01", dtype="M8[M]")
        last = start.day == 31
        stamps = ((months + 1).astype("M8[D]") - 1 if last else months.astype("M8[D]")).astype("M8[us]")
    else:
        step = {"1h": np.timedelta64(1, "h"), "1w": np.timedelta64(7, "D")}[every]
        stamps = np.datetime64(start, "us") + np.arange(120) * step
    assert fit(pl.DataFrame({"ds": stamps, "y": weekly(120)})).predict()["ds"].to_list() == wanted


def test_rows_in_any_order_give_the_same(rich, rows, future):
    shuffled = rich.predict(rows.sample(fraction=1.0, shuffle=True, seed=3), known=future.reverse())
    key = ["unique_id", "target", "ds"]
    expected = rich.predict(rows, known=future).sort(key)
    for name in QUANTILES:
        assert (shuffled.sort(key)[name] - expected[name]).abs().max() < 1e-4


def test_predict_on_the_training_table_is_predict(rich, rows, future):
    assert rich.predict(rows, known=future).equals(rich.predict(known=future))


def test_a_series_is_forecast_the_same_alone_and_among_others(rich, rows, future):
    together = rich.predict(rows, known=future).filter(pl.col("unique_id") == "b")
    alone = rich.predict(rows.filter(pl.col("shop") == "b"), known=future)
    for name in QUANTILES:
        assert (together[name] - alone[name]).abs().max() < 1e-4


def test_a_new_series(rich, rows, future):
    new = rows.filter(pl.col("shop") == "b").with_columns(shop=pl.lit("new"))
    ahead = future.filter(pl.col("shop") == "b").with_columns(shop=pl.lit("new"))
    frame = rich.predict(new, known=ahead)
    assert set(frame["unique_id"]) == {"new"}
    assert sane(frame)
    known = rich.predict(rows, known=future).filter(pl.col("unique_id") == "b")
    assert not frame["y_hat"].equals(known["y_hat"])  # it has no identity


def test_a_category_never_seen(rich, rows, future):
    assert sane(rich.predict(rows.with_columns(mood=pl.lit("ecstatic")), known=future))


def test_known_covariates_change_the_forecast(rich, future):
    one = rich.predict(known=future)
    other = rich.predict(known=future.with_columns(promo=1 - pl.col("promo")))
    assert not one["y_hat"].equals(other["y_hat"])


def test_known_is_asked_for(rich):
    with pytest.raises(InputError, match=r"predict: .*promo.*day.*known="):
        rich.predict()


def test_a_missing_row_of_known(rich, future):
    last = future["ds"].max()
    with pytest.raises(InputError, match=r"no row for series .* at 2024-07-22"):
        rich.predict(known=future.filter(pl.col("ds") < last))


def test_known_is_refused_in_one_sentence_where_there_is_none(plain, future):
    with pytest.raises(InputError, match="known") as caught:
        plain.predict(known=future)
    assert "\n" not in str(caught.value)


def test_before_fit():
    for verb in ("predict", "evaluate", "explain", "stream", "describe", "facts"):
        with pytest.raises(InputError, match="not fitted"):
            getattr(Forecaster(HORIZON), verb)()


@pytest.fixture
def reported(monkeypatch):
    """What the reports written since show."""
    contents, page = [], forecast_page.forecast_page

    def spy(shown):
        contents.append(shown)
        return page(shown)

    monkeypatch.setattr(forecast_page, "forecast_page", spy)
    return contents


def test_the_report_of_a_model_with_known_covariates(rich, future, tmp_path, reported):
    """Without the future of those columns there is no forecast to show, but there is everything else."""
    assert rich.report(tmp_path / "without.html").stat().st_size > 10_000
    assert rich.report(tmp_path / "with.html", future).stat().st_size > 10_000
    without, given = reported
    assert without.forecast.is_empty()
    assert given.forecast["y_hat"].equals(rich.predict(known=future)["y_hat"])
    assert len(without.windows) == len(given.windows) > 0
    assert without.gates.equals(given.gates)


def test_the_report_needs_no_known_columns_if_the_model_has_none(plain, tmp_path, reported):
    plain.report(tmp_path / "report.html")
    assert reported[0].forecast["y_hat"].equals(plain.predict()["y_hat"])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_report_refuses_known_columns_that_the_model_has_not(plain, future, tmp_path):
    with pytest.raises(InputError, match="known="):
        plain.report(tmp_path / "report.html", known=future)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", [(3.0, 0.0), (0.25, -70.0), (1e6, -1e7), (1e-6, 0.0)])
def test_other_units_give_the_same_forecast_in_those_units(make_daily, weekly, scale):
    factor, shift = scale
    values = weekly(160)
    settings = {"hidden": 6, "epochs": 2, "learning_rate": 0.01}
    one = fit(make_daily(values), settings=settings).predict()
    other = fit(make_daily(factor * values + shift), settings=settings).predict()
    for name in QUANTILES:
        error = ((other[name] - shift) / factor - one[name]).abs().max()
        assert error < 2e-3 + 1e-6 * abs(shift / factor)


def test_nonnegative_data_gives_nonnegative_forecasts(make_daily):
    counts = np.random.default_rng(0).poisson(0.7, 200).astype(float)
    model = fit(make_daily(counts))
    assert model.predict().select(QUANTILES).to_numpy().min() >= 0
    assert model.evaluate().windows.select(QUANTILES).to_numpy().min() >= 0
    assert model.describe()["fitted"]["scaling"]["transform"] == ["none"]


def test_multiplicative_data_are_taken_by_their_logarithm(make_daily, weekly):
    growing = np.exp(0.02 * np.arange(250) + 0.3 * weekly(250, noise=0.2))
    model = fit(make_daily(growing))
    assert model.describe()["fitted"]["scaling"]["transform"] == ["log"]
    assert model.predict().select(QUANTILES).to_numpy().min() > 0


def test_negative_data_are_not(plain):
    assert plain.describe()["fitted"]["scaling"]["transform"] == ["none"]


@pytest.mark.parametrize("value", [0.0, 7.0, -1e6])
def test_a_constant_series_goes_on(make_daily, value):
    model = fit(make_daily(np.full(100, value)))
    assert model.predict()["y_hat"].to_list() == pytest.approx([value] * HORIZON)
    assert sane(model.predict())
    assert math.isfinite(model.evaluate().summary["mae"][0])


@pytest.mark.parametrize("rows", [2, 7, 9, 12])
def test_a_short_series_beside_a_long_one(make_daily, weekly, rows):
    long = make_daily(weekly(160)).with_columns(shop=pl.lit("long"))
    short = make_daily(weekly(rows, seed=2)).with_columns(shop=pl.lit("short"))
    model = fit(pl.concat([long, short]), series="shop")
    frame = model.predict()
    assert sane(frame)
    assert set(frame["unique_id"]) == {"long", "short"}
    assert sane(model.predict(pl.concat([short, long])))
    assert len(model.evaluate().windows) == 10 * HORIZON


def test_a_series_of_one_value_has_no_intervals(make_daily, weekly):
    """It says nothing about how far the next may lie from it: empty cells, not certainty."""
    long = make_daily(weekly(160)).with_columns(shop=pl.lit("long"))
    short = make_daily([4.0, np.nan]).with_columns(shop=pl.lit("short"))
    model = fit(pl.concat([long, short]), series="shop")
    frame = model.predict().filter(pl.col("unique_id") == "short")
    assert frame["y_hat"].to_list() == pytest.approx([4.0] * HORIZON)
    ends = [name for name in QUANTILES if name != "y_hat"]
    assert frame.select(pl.col(ends).is_null().all()).row(0) == (True,) * 4
    assert sane(model.predict().filter(pl.col("unique_id") == "long"))
    assert len(model.evaluate().windows) == 10 * HORIZON


def test_a_series_without_any_value_is_not_given_one(make_daily, weekly):
    """Nothing was ever seen of it: empty cells, not zeros with certainty."""
    long = make_daily(weekly(160)).with_columns(shop=pl.lit("long"))
    never = make_daily(np.full(160, np.nan)).with_columns(shop=pl.lit("never"))
    frame = fit(pl.concat([long, never]), series="shop").predict()
    assert sane(frame.filter(pl.col("unique_id") == "long"))
    never = frame.filter(pl.col("unique_id") == "never").select(QUANTILES)
    assert never.null_count().row(0) == (HORIZON,) * len(QUANTILES)


def test_gaps_everywhere(make_daily, weekly):
    values = weekly(200)
    values[[0, 1, 2, 50, 51, 52, 53, 54, 55, 56, 57, 120, 198, 199]] = np.nan
    model = fit(make_daily(values))
    assert sane(model.predict())
    assert model.predict()["ds"][0] == date(2024, 1, 1) + timedelta(days=200)
    assert sane(model.evaluate().windows)


def test_how_long_a_gap_lasts_is_an_input(rich, rows, future):
    """The same values, once observed, once held through a gap: only the gap tells them apart."""
    late = (pl.col("shop") == "b") & (pl.int_range(pl.len()).over("shop") >= pl.len().over("shop") - 3)
    missing = rows.with_columns(y1=pl.when(late).then(None).otherwise("y1"))
    held = missing.with_columns(pl.col("y1").fill_null(strategy="forward").over("shop"))
    held = held.with_columns(y1=pl.when(late).then("y1").otherwise(rows["y1"]))
    one, other = (rich.predict(table, known=future).filter(target="y1") for table in (missing, held))
    differs = one["y_hat"] != other["y_hat"]
    assert set(one.filter(differs)["unique_id"]) == {"b"}


def test_a_jump_after_a_constant_past_does_not_blow_up_the_intervals(make_daily):
    """A constant has no spread, so nothing can be learned in units of it."""
    sold = np.concatenate([np.zeros(60), 5 + np.random.default_rng(0).normal(size=140)])
    model = fit(make_daily(sold))
    assert model.training_["validation"].max() < 10
    assert model.predict().select(QUANTILES).to_numpy().max() < 20


def test_a_signal_with_every_second_row_missing_is_still_learned(make_daily, weekly):
    values = weekly(400, noise=0.2)
    values[::2] = np.nan
    model = fit(make_daily(values), freq="1d", settings={"epochs": 2})
    scores = dict(model.evaluate().summary.select("model", "mase").iter_rows())
    assert scores["foretell"] < 0.6 * scores["naive"]


def test_a_target_that_is_all_gaps_in_the_validation_rows(make_daily, weekly):
    values = weekly(160)
    values[90:125] = np.nan
    assert sane(fit(make_daily(values)).predict())


@pytest.mark.parametrize(("value", "word"), [(math.inf, "infinite"), (-math.inf, "infinite")])
def test_infinite_values(plain_table, value, word):
    table = plain_table.with_columns(y=pl.when(pl.int_range(pl.len()) == 7).then(value).otherwise(pl.col("y")))
    with pytest.raises(InputError, match=rf"row 8, column 'y'.*{word}"):
        fit(table)


def test_values_too_large_for_single_precision_are_refused(make_daily, weekly):
    """The network computes in float32, whose largest number is 3.4e38, and squares."""
    with pytest.raises(InputError, match=r"polars frame: the target reaches 5\.\d+e\+40; .* below 1e\+30"):
        fit(make_daily(1e40 * weekly(160)))
    assert sane(fit(make_daily(1e29 * weekly(160))).predict())


def test_duplicated_times(plain_table):
    with pytest.raises(InputError, match="stands already in row"):
        fit(pl.concat([plain_table, plain_table[-1:]]))


def test_too_few_rows(make_daily, weekly):
    with pytest.raises(
        InputError, match=r"19 rows, too few for horizon=4; give at least 20 rows or a horizon of at most 3"
    ):
        fit(make_daily(weekly(19)))
    assert sane(fit(make_daily(weekly(20))).predict())
    assert sane(fit(make_daily(weekly(19)), horizon=3).predict())


def test_no_known_value_at_all(make_daily):
    with pytest.raises(InputError, match="no value"):
        fit(make_daily(np.full(100, np.nan)), target="y")


def test_the_same_seed_gives_the_same_model(plain_table):
    torch.manual_seed(1)
    one = fit(plain_table, settings={"epochs": 3})
    torch.manual_seed(2)
    other = fit(plain_table, settings={"epochs": 3})
    assert one.predict().equals(other.predict())
    assert one.training_.drop("seconds").equals(other.training_.drop("seconds"))


def test_nothing_global_is_touched(plain_table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads()
    model = fit(plain_table)
    model.predict()
    model.evaluate()
    model.stream().step(1.0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert torch.get_num_threads() == before[2]
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    assert not list(tmp_path.iterdir())


def test_fit_returns_the_forecaster_and_says_what_it_found(plain_table):
    lines, schemas = [], []
    model = Forecaster(HORIZON, **{**TINY, "epochs": 2})
    assert model.fit(plain_table, progress=lambda *line: lines.append(line), announce=schemas.append) is model
    assert [line.epoch for line, _ in lines] == [1, 2]
    assert schemas == [model.schema_]
    assert model.schema_.targets == ("y",)
    assert model.seconds_ > 0
    assert model.training_["epoch"].to_list() == [0, 1, 2]
    assert model.training_["train"][0] is None
