"""Nothing after a moment enters what is computed or said at that moment."""

from datetime import date, timedelta

import polars as pl
import pytest
import torch

from foretell.jobs import Forecaster
from foretell.sequences import build_panel, read_table

HORIZON = 4
CUT = date(2024, 6, 15)


def lift(table: pl.DataFrame, columns: tuple[str, ...], after: date, by: float = 40.0) -> pl.DataFrame:
    """The table with another future: numbers raised, categories swapped, from the day after `after`."""
    return table.with_columns(
        pl.when(pl.col("ds") > after)
        .then(pl.col(name) + by if table[name].dtype.is_numeric() else pl.lit("rest"))
        .otherwise(pl.col(name))
        .alias(name)
        for name in columns
    )


def scaled(model, table):
    """Every tensor that the network may read, and whether its row lies up to the cut."""
    panel = build_panel(read_table(table), model.schema_)
    _, data = model._model.scale(panel)
    times = [panel.times(s, 0, int(n)) for s, n in enumerate(panel.lengths)]
    past = torch.cat([torch.from_numpy((t.astype("M8[D]") <= CUT).copy()) for t in times])
    return data, past


@pytest.mark.parametrize("name", ["values", "observed", "own", "spread", "usable", "reach"])
@pytest.mark.parametrize("by", [40.0, 1e9])
def test_scaled_targets_know_nothing_of_the_future(rich, table, name, by):
    data, past = scaled(rich, table)
    other, _ = scaled(rich, lift(table, ("y1", "y2"), CUT, by))
    assert 0 < past.sum() < len(past)
    assert torch.equal(getattr(data, name)[:, past], getattr(other, name)[:, past])
    assert name in ("observed", "usable") or not torch.equal(getattr(data, name), getattr(other, name))


@pytest.mark.parametrize("name", ["past", "past_codes", "known", "known_codes"])
@pytest.mark.parametrize("by", [40.0, 1e9])
def test_scaled_covariates_know_nothing_of_the_future(rich, table, name, by):
    data, past = scaled(rich, table)
    other, _ = scaled(rich, lift(table, ("x", "mood", "promo", "day"), CUT, by))
    assert torch.equal(getattr(data, name)[past], getattr(other, name)[past])
    assert not torch.equal(getattr(data, name), getattr(other, name))


def forecasts(model, table):
    """Everything that was said at cutoffs up to the cut: forecasts, intervals and baselines."""
    found = model.evaluate(table, windows=60, step=1).windows.filter(pl.col("cutoff") <= CUT)
    assert found["cutoff"].n_unique() > 5
    return found.drop("y")


def differences(one: pl.DataFrame, other: pl.DataFrame) -> float:
    assert one.select("unique_id", "target", "cutoff", "ds").equals(other.select("unique_id", "target", "cutoff", "ds"))
    numbers = [name for name, kind in one.schema.items() if kind == pl.Float64]
    return max((one[name] - other[name]).abs().max() for name in numbers)


def test_forecasts_know_nothing_of_later_targets_and_past_covariates(rich, table):
    other = lift(table, ("y1", "y2", "x", "mood"), CUT)
    assert differences(forecasts(rich, table), forecasts(rich, other)) < 1e-6


def test_forecasts_know_nothing_of_known_covariates_beyond_the_horizon(rich, table):
    other = lift(table, ("promo", "day"), CUT + timedelta(days=HORIZON))
    assert differences(forecasts(rich, table), forecasts(rich, other)) < 1e-6


def test_forecasts_do_know_known_covariates_within_the_horizon(rich, table):
    other = lift(table, ("promo",), CUT)
    assert differences(forecasts(rich, table), forecasts(rich, other)) > 1e-3


def test_a_backtest_says_what_predict_would_have_said(rich, table):
    """Cut off at a day, with the known columns of the days after it."""
    cut = table.filter(pl.col("ds") <= CUT)
    ahead = table.filter(pl.col("ds") > CUT).select("shop", "ds", "promo", "day")
    said = rich.predict(cut, known=ahead).sort("unique_id", "target", "ds")
    back = rich.evaluate(table, windows=60, step=1).windows.filter(pl.col("cutoff") == CUT)
    back = back.sort("unique_id", "target", "ds")
    assert said["ds"].equals(back["ds"])
    for name in ("y_hat", "lo-80", "hi-80", "lo-95", "hi-95"):
        assert (said[name] - back[name]).abs().max() < 1e-3


def test_the_rows_held_out_do_not_enter_the_fit(make_daily, weekly):
    """Another future, the same model, the same forecasts."""
    values = weekly(160)
    other = values.copy()
    other[-30:] += 50.0
    one, two = (Forecaster(HORIZON, hidden=4, epochs=2, context=14).fit(make_daily(y)) for y in (values, other))
    weights = [model._model.networks[0].state_dict() for model in (one, two)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert one.training_.drop("seconds").equals(two.training_.drop("seconds"))


def test_that_no_value_held_out_is_negative_is_not_known_either(make_daily, weekly):
    """Forecasts stop at zero where the rows seen do, whatever the rows held out hold."""
    values = abs(weekly(160))
    other = values.copy()
    other[-1] = -5.0
    first = []
    for y in (values, other):
        model = Forecaster(HORIZON, hidden=4, epochs=1, context=14).fit(make_daily(y))
        windows = model.evaluate().windows
        first.append(windows.filter(pl.col("cutoff") == windows["cutoff"].min()).drop("y"))
    assert first[0].equals(first[1])


def test_a_series_is_scaled_by_itself(make_daily, weekly):
    """A neighbour a billion times larger changes nothing."""
    small = make_daily(weekly(160)).with_columns(shop=pl.lit("small"))
    giant = make_daily(1e9 * weekly(160, seed=1)).with_columns(shop=pl.lit("giant"))
    model = Forecaster(HORIZON, hidden=4, epochs=1, context=14).fit(small, series="shop")
    alone = model.evaluate(small).windows
    beside = model.evaluate(pl.concat([giant, small])).windows.filter(pl.col("unique_id") == "small")
    for name in ("y_hat", "lo-80", "hi-95"):
        assert (alone[name] - beside[name]).abs().max() < 1e-3
