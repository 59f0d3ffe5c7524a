"""Settings of the forecaster: each changes something, and each wrong one is a sentence."""

import polars as pl
import pytest

from foretell.errors import InputError
from foretell.jobs import Forecaster
from foretell.jobs.forecasting.settings import Settings
from foretell.jobs.forecasting.splits import split
from foretell.sequences import build_panel, infer_schema, read_table

BASE = {"horizon": 4, "hidden": 4, "epochs": 2, "context": 14, "dropout": 0.3, "learning_rate": 0.01}
CHANGES = {
    "horizon": 5,
    "level": (50,),
    "windows": 3,
    "validation": 30,
    "season": (5,),
    "context": 10,
    "hidden": 5,
    "layers": 2,
    "dropout": 0.0,
    "members": 2,
    "epochs": 3,
    "learning_rate": 0.02,
    "weight_decay": 0.5,
    "seed": 1,
}


def outcome(table, **settings):
    """All that a user can see of a model."""
    model = Forecaster(**{**BASE, **settings}).fit(table)
    found = model.evaluate()
    training = model.training_.drop("seconds")
    return [frame.to_dicts() for frame in (model.predict(), found.summary, training)]


@pytest.fixture(scope="module")
def base(plain_table):
    return outcome(plain_table)


def test_every_setting_is_tested():
    assert set(Settings.model_fields) == set(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_every_setting_changes_something(plain_table, base, name):
    assert outcome(plain_table, **{name: CHANGES[name]}) != base


def test_settings_stay_as_given():
    settings = Forecaster(7, level=[95, 50], seed=3).settings
    assert settings.horizon == 7
    assert settings.level == (95, 50)
    assert settings.levels == (50, 95)
    assert settings.seed == 3


def test_quantiles_are_the_ends_of_the_levels_and_the_median():
    assert Settings.of(horizon=1, level=(80, 95, 80)).quantiles == pytest.approx((0.025, 0.1, 0.5, 0.9, 0.975))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"horizon": 0}, "horizon"),
        ({"horizon": 2.5}, "horizon"),
        ({"horizon": "soon"}, "horizon"),
        ({"level": (0,)}, "level must be percentages"),
        ({"level": (100,)}, "level must be percentages"),
        ({"level": ()}, "level must be percentages"),
        ({"level": ("wide",)}, "level"),
        ({"season": (1,)}, "season must be lengths of at least 2"),
        ({"context": 1}, "context"),
        ({"hidden": 0}, "hidden"),
        ({"layers": 0}, "layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"members": 0}, "members"),
        ({"epochs": -1}, "epochs"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"windows": -1}, "windows"),
        ({"validation": 0}, "validation"),
        ({"seed": -1}, "seed"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_a_setting_that_cannot_be(values, message):
    with pytest.raises(InputError, match=rf"^Forecaster: .*{message}") as caught:
        Forecaster(**{"horizon": 4, **values})
    assert "\n" not in str(caught.value)


def test_an_unknown_setting_is_suggested():
    with pytest.raises(InputError, match=r"unknown setting 'epoch'\. Did you mean 'epochs'\?"):
        Forecaster(4, epoch=3)


def cuts(lengths, **settings):
    frames = [
        pl.DataFrame(
            {
                "unique_id": [f"s{number}"] * length,
                "ds": range(length),
                "y": [float(k) for k in range(length)],
            }
        )
        for number, length in enumerate(lengths)
    ]
    table = read_table(pl.concat(frames))
    panel = build_panel(table, infer_schema(table))
    found = split(panel, Settings.of(**{"horizon": 4, **settings}), "table")
    return panel.offsets, found


def test_rows_are_cut_in_order_of_time():
    offsets, found = cuts([200, 90, 40, 3, 1])
    assert (offsets[:-1] < found.train).all()
    assert (found.train <= found.stop).all()
    assert (found.stop <= offsets[1:]).all()
    held = offsets[1:] - found.stop
    assert held.tolist() == [40, 20, 8, 0, 0]  # whole horizons, at most a quarter of the series
    assert found.windows == 10


def test_the_user_says_how_many_rows():
    offsets, found = cuts([200], windows=2, validation=17)
    assert offsets[1] - found.stop[0] == 8
    assert found.stop[0] - found.train[0] == found.validation == 17


def test_no_windows_leave_every_row_to_the_fit():
    offsets, found = cuts([200, 50], windows=0)
    assert (found.stop == offsets[1:]).all()


def test_epochs_of_none_leave_the_linear_start(plain_table):
    one, other = (Forecaster(4, hidden=hidden, epochs=0, context=14).fit(plain_table) for hidden in (3, 9))
    assert one.predict()["y_hat"].to_list() == pytest.approx(other.predict()["y_hat"].to_list(), abs=1e-5)
    assert len(one.training_) == 1


def test_members_are_averaged(plain_table):
    """Two networks' quantiles are the mean of each one's, up to the calibration; the median has none."""

    def medians(**settings):
        return Forecaster(**{**BASE, **settings}).fit(plain_table).predict()["y_hat"]

    both = medians(members=2)
    alone = (medians(seed=0) + medians(seed=1)) / 2
    assert both.to_list() == pytest.approx(alone.to_list(), abs=1e-4)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"horizon": 0}, "Forecaster: horizon must be at least 1; got 0."),
        ({"horizon": 20_000}, "Forecaster: horizon must be at most 10,000; got 20000."),
        ({"horizon": 2.5}, "Forecaster: horizon must be a whole number; got 2.5."),
        ({"horizon": 4, "dropout": 1.5}, "Forecaster: dropout must be below 1; got 1.5."),
        ({"horizon": 4, "learning_rate": 0}, "Forecaster: learning_rate must be above 0; got 0."),
        ({"horizon": 4, "learning_rate": "fast"}, "Forecaster: learning_rate must be a number; got 'fast'."),
        ({"horizon": 4, "season": 7}, "Forecaster: season must be a list; got 7."),
        ({}, "Forecaster: horizon is missing; give it."),
    ],
)
def test_wrong_settings_are_one_sentence(values, sentence):
    with pytest.raises(InputError) as caught:
        Settings.of(**values)
    assert str(caught.value) == sentence
