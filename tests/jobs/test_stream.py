"""Streams and updates say what `predict` says of the longer table."""

from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs import Forecaster
from foretell.jobs.forecasting.memory import remember
from foretell.jobs.forecasting.predicting import present
from foretell.sequences import build_panel, read_table

HORIZON = 4
QUANTILES = ["lo-95", "lo-80", "y_hat", "hi-80", "hi-95"]
TINY = {"hidden": 4, "epochs": 1, "context": 14}


def shaken(model, seed=0):
    """The model with weights that say something, and its memory after them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for network in model._model.networks:
            for parameter in network.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model._memory = remember(model._model, model._panel)
    return model


@pytest.fixture
def wavy(make_daily, weekly):
    """A lively model of the first 150 of 160 days, and all 160 days; a gap lies in each part."""
    values = weekly(160)
    values[[40, 152, 153]] = np.nan
    table = make_daily(values)
    return shaken(Forecaster(HORIZON, **TINY).fit(table[:150])), table


def close(one, other, tolerance=2e-3):
    return np.abs(np.asarray(one) - np.asarray(other)).max() < tolerance


def quantiles(frame):
    return frame.select(QUANTILES).to_numpy()


def test_row_by_row_is_the_longer_table(wavy):
    model, table = wavy
    stream = model.stream()
    for row in range(150, 160):
        live = stream.step(table["y"][row])
        if table["y"][row] is not None:
            assert close(live.quantiles[0], quantiles(model.predict(table[: row + 1])))


def test_row_by_row_with_covariates_targets_and_gaps(rich, rows, future):
    """The last row's known columns stand for those ahead, in a stream and in the table given for it."""
    shop = rows.filter(pl.col("shop") == "b")
    before, after = shop[:-20], shop[-20:]
    model = rich
    held = future.filter(pl.col("shop") == "b").with_columns(
        promo=pl.lit(after["promo"][-1]), day=pl.lit(after["day"][-1])
    )
    memory = remember(model._model, build_panel(read_table(before), model.schema_))
    stream = Forecaster.stream(model, "b")
    stream.restore(memory.of_series(0))
    for row in after.iter_rows(named=True):
        live = stream.step(row)
    expected = model.predict(shop, known=held)
    for number, target in enumerate(("y1", "y2")):
        # known columns ahead are in the scale of the rows so far, so their scale differs a little
        assert close(live.quantiles[number], quantiles(expected.filter(pl.col("target") == target)), 0.5)
    assert live.y_hat.shape == (2, HORIZON)


def test_the_state_after_every_row_is_the_tables(rich, rows):
    """All that a stream keeps, however the rows came."""
    shop = rows.filter(pl.col("shop") == "a")
    model = rich
    short = remember(model._model, build_panel(read_table(shop[:120]), model.schema_)).of_series(0)
    long = remember(model._model, build_panel(read_table(shop), model.schema_)).of_series(0)
    stream = model.stream("a")
    stream.restore(short)
    for row in shop[120:].iter_rows(named=True):
        stream.step(row, forecast=False)
    for name, tensor in long.tensors().items():
        torch.testing.assert_close(
            stream.save().tensors()[name],
            tensor,
            rtol=1e-3,
            atol=1e-3,
            msg=lambda text, name=name: f"{name}: {text}",
        )


def test_a_live_step_is_the_networks_own(rich):
    """The step on plain arrays against the networks on the memory it leaves behind."""
    stream = rich.stream("c")
    for row in ({"y1": 30.0, "y2": -14.0, "x": 0.5, "mood": "good", "promo": 1.0, "day": "rest"}, {"y2": 3.0}, None):
        live = stream.step(row)
        memory, model = stream.save(), rich._model
        steps = present(model, memory)
        with torch.no_grad():
            said = model.quantiles(steps, [torch.from_numpy(h[-1])[None] for h in memory.h])[0]
        scaled = said * steps.spread[0, :, None, None] + steps.level[0, :, None, None]
        expected = scaled.numpy() + memory.origin[:, None, None]
        assert close(live.quantiles, expected, 1e-3)


def test_row_by_row_on_a_logarithm(make_daily, weekly):
    table = make_daily(np.exp(0.02 * np.arange(180) + 0.3 * weekly(180, noise=0.2)))
    table = table.with_columns(y=pl.when(pl.int_range(pl.len()) == 170).then(None).otherwise("y"))
    model = shaken(Forecaster(HORIZON, **TINY).fit(table[:160]))
    assert model.describe()["fitted"]["scaling"]["transform"] == ["log"]
    stream = model.stream()
    for value in table["y"][160:]:
        live = stream.step(value)
    expected = quantiles(model.predict(table))
    assert np.abs(live.quantiles[0] / expected - 1).max() < 1e-3


def test_a_series_that_begins_with_gaps(make_daily, weekly):
    values = weekly(160)
    empty = values.copy()
    empty[:30] = np.nan
    model = shaken(Forecaster(HORIZON, **TINY).fit(make_daily(values)))
    late = make_daily(empty)
    memory = remember(model._model, build_panel(read_table(late[:20]), model.schema_))
    stream = model.stream()
    stream.restore(memory)
    for value in late["y"][20:]:
        live = stream.step(value)
    assert close(live.quantiles[0], quantiles(model.predict(late)))


def test_save_restore_copy(wavy):
    model, _ = wavy
    stream = model.stream()
    stream.step(1.0)
    saved = stream.save()
    first = [stream.step(value).y_hat for value in (2.0, None, 3.0)]
    twin = stream.copy()
    stream.restore(saved)
    again = [stream.step(value).y_hat for value in (2.0, None, 3.0)]
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    twin.step(99.0)
    stream.step(4.0)
    stream.restore(saved)
    assert (stream.step(2.0).y_hat == first[0]).all()


def test_a_stream_does_not_change_its_model(wavy):
    model, _ = wavy
    before = model.predict()
    stream = model.stream()
    for value in (5.0, None, 7.0):
        stream.step(value)
    assert model.predict().equals(before)


def test_intervals(wavy):
    live = wavy[0].stream().step(1.0)
    low, high = live.interval(80)
    assert low.shape == high.shape == live.y_hat.shape == (HORIZON,)
    assert (low <= live.y_hat).all()
    assert (live.y_hat <= high).all()
    assert (live.interval(95)[0] <= low).all()
    with pytest.raises(InputError, match=r"level must be one the model was fitted with \(80, 95\); got 90"):
        live.interval(90)


def test_taking_in_without_a_forecast(wavy):
    one, other = wavy[0].stream(), wavy[0].stream()
    assert one.step(2.0, forecast=False) is None
    other.step(2.0)
    assert (one.step(1.0).y_hat == other.step(1.0).y_hat).all()


@pytest.mark.parametrize("form", ["mapping", "pandas", "numpy", "integer"])
def test_a_row_may_come_in_many_forms(wavy, form):
    model, table = wavy
    last = table.with_columns(pl.col("y").fill_null(2.0))[-1:]
    row = {
        "mapping": last.row(0, named=True),
        "pandas": last.to_pandas().iloc[0].to_dict(),
        "numpy": np.float32(last["y"][0]),
        "integer": 2,
    }[form]
    assert np.isfinite(model.stream().step(row).y_hat).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"yy": 1.0}, r"step: unknown column 'yy'\. Did you mean 'y'\?"),
        (float("inf"), "finite"),
        ({"y": "high"}, r"column 'y' must be a finite number.*'high'"),
        ("high", "row must be a mapping of columns, a number or None; got 'high'"),
        (pd.Series({"y": 1.0}), "row must be a mapping of columns"),
        ({"y": [1.0]}, "finite number"),
        ({"y": 1e31}, "column 'y'"),
    ],
)
def test_a_row_that_cannot_be(wavy, row, message):
    stream = wavy[0].stream()
    before = stream.save().tensors()
    with pytest.raises(InputError, match=message):
        stream.step(row)
    assert all(torch.equal(tensor, before[name]) for name, tensor in stream.save().tensors().items())


def test_a_bare_number_is_refused_by_a_model_of_several_columns(rich):
    with pytest.raises(InputError, match="give a mapping"):
        rich.stream("a").step(1.0)


def test_which_series(rich):
    with pytest.raises(InputError, match=r"stream: series must be one of"):
        rich.stream()
    with pytest.raises(InputError, match=r"stream: unknown series 'aa'\. Did you mean 'a'"):
        rich.stream("aa")


def test_update_is_predict_on_the_longer_table(wavy):
    model, table = wavy
    expected = model.predict(table)
    updated = model.update(table[150:])
    assert updated is model
    assert close(quantiles(model.predict()), quantiles(expected))
    assert model.predict()["ds"].equals(expected["ds"])


def test_update_bit_by_bit(wavy):
    model, table = wavy
    expected = model.predict(table)
    for first, last in ((150, 153), (153, 154), (154, 160)):
        model.update(table[first:last])
    assert close(quantiles(model.predict()), quantiles(expected))


def test_update_counts_days_left_out_as_missing(wavy):
    model, table = wavy
    holes = table.with_columns(y=pl.when(pl.int_range(pl.len()).is_between(150, 157)).then(None).otherwise("y"))
    expected = model.predict(holes)
    model.update(table[158:])
    assert close(quantiles(model.predict()), quantiles(expected))


def test_update_of_some_series_leaves_the_others(rich, rows, table, future, tmp_path):
    model = Forecaster.load(rich.save(tmp_path))
    later = table.filter((pl.col("shop") == "a") & (pl.col("ds") > rows.filter(pl.col("shop") == "a")["ds"].max()))
    model.update(later)
    ahead = future.with_columns(
        pl.when(pl.col("shop") == "a").then(pl.col("ds") + timedelta(days=HORIZON)).otherwise("ds").alias("ds")
    )
    before, after = rich.predict(known=future), model.predict(known=ahead)
    others = pl.col("unique_id") != "a"
    assert after.filter(others).equals(before.filter(others))
    assert after.filter(~others)["ds"].min() == before.filter(~others)["ds"].max() + timedelta(days=1)


def test_rows_already_taken_in_are_refused(wavy):
    model, table = wavy
    before = model.predict()
    with pytest.raises(InputError, match=r"has a row at 2024-05-29.*every row up to 2024-05-29"):
        model.update(table[149:])
    assert model.predict().equals(before)


def test_a_new_series_is_refused_by_update(rich, rows):
    with pytest.raises(InputError, match=r"series 'z' is not in this model.*predict"):
        rich.update(rows.filter(pl.col("shop") == "a").with_columns(shop=pl.lit("z")))


def test_after_an_update_the_model_can_still_be_evaluated_on_the_table(wavy):
    model, table = wavy
    model.update(table[150:])
    assert "unseen" in model.evaluate(table).headline
    with pytest.raises(InputError, match=r"evaluate: .*data="):
        model.evaluate()


def test_after_an_update_the_file_is_read_again(plain_table, tmp_path):
    path = tmp_path / "table.csv"
    plain_table[:150].write_csv(path)
    model = Forecaster(HORIZON, **TINY).fit(path)
    before = model.evaluate()
    plain_table.write_csv(path)
    model.update(plain_table[150:])
    after = model.evaluate(windows=100)
    assert after.windows["cutoff"].min() >= before.windows["cutoff"].min()
    assert "11 unseen windows" in after.headline
    assert after.windows["ds"].max() == plain_table["ds"][-1]
