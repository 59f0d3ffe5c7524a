"""Every setting does something, and a wrong one is refused."""

import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs.recommend import Recommender
from foretell.jobs.recommending.settings import Settings

PLAIN = {"hidden": 6, "epochs": 2, "batch": 256}
OTHER = {
    "split": "time",
    "hidden": 5,
    "width": 4,
    "layers": 2,
    "context": 3,
    "dropout": 0.1,
    "embedding_dropout": 0.1,
    "item_dropout": 0.4,
    "smoothing": 0.2,
    "negatives": 3,
    "epochs": 3,
    "batch": 64,
    "learning_rate": 0.01,
    "weight_decay": 0.5,
    "seed": 7,
}


def weights(frame, **settings):
    state = Recommender(**{**PLAIN, **settings}).fit(frame)._fitted().network.state_dict()
    return torch.cat([state["items"].flatten(), state["bias"], state["lstm.weight_hh_l0"].flatten()])


@pytest.fixture(scope="module")
def plain(chain):
    return weights(chain.frame.head(3100))


def test_every_setting_is_tried():
    assert {*OTHER, "share"} == set(Settings.model_fields)


@pytest.mark.parametrize("name", OTHER)
def test_a_setting_changes_the_weights(name, chain, plain):
    found = weights(chain.frame.head(3100), **{name: OTHER[name]})
    assert found.shape != plain.shape or not torch.equal(found, plain)


def test_the_share_held_out_by_time_is_the_share_said(log):
    found = [Recommender(**PLAIN, split="time", share=share).fit(log).evaluate() for share in (0.1, 0.3)]
    assert found[0].cases < found[1].cases


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden": 0}, "Recommender: hidden must be at least [12]; got 0"),
        ({"dropout": 1.0}, "Recommender: dropout must be below 1; got 1.0"),
        ({"share": 0.5}, "Recommender: share must be below 0.5; got 0.5"),
        ({"context": 1}, "Recommender: context must be at least [12]; got 1"),
        ({"epochs": 0}, "Recommender: epochs must be at least [12]; got 0"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(InputError, match=message):
        Recommender(**values)


def test_smoothing_does_not_go_with_draws():
    frame = pl.DataFrame({"user": ["a"] * 5, "item": list("vwxyz")})
    with pytest.raises(InputError, match="smoothing must be 0 with a softmax over 3 drawn items"):
        Recommender(negatives=3, smoothing=0.1).fit(frame)
