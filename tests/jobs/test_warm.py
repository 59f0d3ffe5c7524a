"""`fit(warm=True)`: training goes on from the weights there are."""

import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs import Forecaster, load

HORIZON = 4
SETTINGS = {"hidden": 4, "epochs": 3, "context": 14, "learning_rate": 0.02}


def validation(model):
    return model.training_["validation"].to_list()


def weights(model):
    return {name: tensor.clone() for name, tensor in model._model.networks[0].state_dict().items()}


@pytest.fixture
def model(plain_table):
    return Forecaster(HORIZON, **SETTINGS).fit(plain_table)


def test_it_begins_where_the_last_training_ended_and_keeps_or_improves_the_loss(model, plain_table):
    before = validation(model)
    after = validation(model.fit(plain_table, warm=True))
    assert after[0] == pytest.approx(min(before), rel=1e-6)
    again = validation(model.fit(plain_table, warm=True))
    assert again[0] == pytest.approx(min(after), rel=1e-6)
    assert min(again) <= again[0] <= after[0] < before[0]


def test_without_epochs_it_changes_no_weight(model, plain_table):
    model.settings = model.settings.model_copy(update={"epochs": 0})
    before = weights(model)
    model.fit(plain_table, warm=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(model).items())


def test_the_rate_is_a_quarter(model, plain_table):
    rates = []
    model.fit(plain_table, warm=True, progress=lambda line, plan: rates.append(plan.learning_rate))
    assert rates == [0.005] * 3


def test_a_loaded_model_goes_on_with_new_rows(make_daily, weekly, tmp_path):
    table = make_daily(weekly(200))
    first = Forecaster(HORIZON, **SETTINGS).fit(table[:160])
    model = load(first.save(tmp_path))
    assert model.fit(table, warm=True) is model
    assert model.predict()["ds"][0] > table["ds"][-1]
    assert model.describe()["fitted"]["scaling"] == first.describe()["fitted"]["scaling"]
    assert "unseen" in model.evaluate().headline
    assert load(model.save(tmp_path)).predict().equals(model.predict())


def test_the_weights_it_began_with_are_not_changed(model, plain_table):
    before, old = weights(model), model._model
    model.fit(plain_table, warm=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in old.networks[0].state_dict().items())


REFUSED = "series, columns or categories"


def test_other_series_are_refused_and_the_model_is_as_it_was(model, plain_table):
    before = model.predict()
    with pytest.raises(InputError, match=REFUSED):
        model.fit(plain_table.with_columns(shop=pl.lit("b")), series="shop", warm=True)
    assert model.predict().equals(before)


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        ({}, {"past": "x"}),
        ({}, {"past": ("w", "kind")}),
        ({"kind": pl.col("kind").replace({"sun": "snow"})}, {"past": ("x", "kind")}),
        ({"v": "y"}, {"target": "v", "past": ("x", "kind")}),
    ],
    ids=["fewer columns", "another column", "another category", "another target"],
)
def test_other_columns_and_categories_are_refused(plain_table, columns, roles):
    kinds = pl.when(pl.col("y") > 0).then(pl.lit("sun")).otherwise(pl.lit("rain"))
    table = plain_table.with_columns(x=pl.col("y") * 2 + 1, w=pl.col("y") * 3, kind=kinds)
    model = Forecaster(HORIZON, **SETTINGS).fit(table, target="y", past=("x", "kind"))
    with pytest.raises(InputError, match=REFUSED):
        model.fit(table.with_columns(**columns), **{"target": "y", **roles}, warm=True)


def test_values_below_zero_that_are_new_may_be_forecast(make_daily, weekly):
    """Whether forecasts stop at zero is read from the rows at hand."""
    model = Forecaster(HORIZON, **SETTINGS).fit(make_daily(abs(weekly(160)).round()))
    assert model.describe()["fitted"]["nonnegative"] == [True]
    model.fit(make_daily(weekly(160) - 20), warm=True)
    assert model.predict()["y_hat"].max() < 0


def test_there_must_be_weights(plain_table):
    with pytest.raises(InputError, match="not fitted yet"):
        Forecaster(HORIZON).fit(plain_table, warm=True)


def test_it_cannot_be_resumed(model, plain_table, tmp_path):
    with pytest.raises(InputError, match="fit: checkpoint must be left out when warm=True"):
        model.fit(plain_table, warm=True, checkpoint=tmp_path)
    assert not list(tmp_path.iterdir())
