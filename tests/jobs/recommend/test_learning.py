"""A recommender against events whose true entropy is known, and its training against a run that was cut."""

import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs.recommend import Recommender

PLAIN = {"dropout": 0.0, "embedding_dropout": 0.0, "item_dropout": 0.0, "weight_decay": 0.0}


def test_the_loss_comes_within_two_percent_of_the_entropy(chain):
    model = Recommender(hidden=8, epochs=8, batch=128, learning_rate=2e-2, **PLAIN).fit(chain.frame)
    found = model.evaluate()
    last, came = (chain.frame.filter(time=time)["item"].to_list() for time in (38, 39))
    assert found.cases == 300
    assert found.loss == pytest.approx(chain.loss(last, came), rel=0.02)
    assert found.repeats > 0.9
    assert "of all is" in found.headline  # where items come again, a rank among the others says nothing


def test_sampled_softmax_learns_too(chain):
    settings = {"hidden": 8, "epochs": 2, "batch": 128, "learning_rate": 2e-2, **PLAIN}
    made = [Recommender(**settings, negatives=negatives).fit(chain.frame) for negatives in (None, 64)]
    whole, sampled = (model.training_["validation"].to_list() for model in made)
    assert sampled[-1] < sampled[0] - 0.1
    assert sampled[-1] == pytest.approx(whole[-1], rel=0.03)


def stop_after(epochs):
    def progress(line, plan):
        if line.epoch == epochs:
            raise KeyboardInterrupt

    return progress


def test_a_run_that_was_killed_ends_with_the_same_weights(log, tmp_path):
    settings = {"hidden": 8, "epochs": 3, "batch": 256}
    path = tmp_path / "log.parquet"
    log.write_parquet(path)
    whole = Recommender(**settings).fit(path)
    with pytest.raises(KeyboardInterrupt):
        Recommender(**settings).fit(path, checkpoint=tmp_path / "run", progress=stop_after(2))
    resumed = Recommender.resume(tmp_path / "run")
    expected = whole._fitted().network.state_dict()
    for name, tensor in resumed._fitted().network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)
    assert resumed.recommend_all().equals(whole.recommend_all())


def test_a_run_on_other_events_is_not_resumed(log, tmp_path):
    settings = {"hidden": 8, "epochs": 2, "batch": 256}
    with pytest.raises(KeyboardInterrupt):
        Recommender(**settings).fit(log, checkpoint=tmp_path / "run", progress=stop_after(1))
    with pytest.raises(InputError, match="give the same frame as data="):
        Recommender.resume(tmp_path / "run")
    with pytest.raises(InputError, match="another training run"):
        Recommender.resume(tmp_path / "run", log.head(100))
    assert Recommender.resume(tmp_path / "run", log).training_.height == 3


def test_the_same_seed_gives_the_same_weights_and_another_others(log):
    first, second, third = (Recommender(hidden=8, epochs=1, seed=seed).fit(log) for seed in (0, 0, 1))
    assert first.recommend_all().equals(second.recommend_all())
    assert not first.recommend_all().equals(third.recommend_all())


def test_fine_tuning_starts_from_the_weights_and_adds_items(log):
    model = Recommender(hidden=8, epochs=2, batch=256).fit(log)
    before = model.training_["validation"].to_list()[-1]
    model.fit(log, warm=True)
    assert model.training_["validation"].to_list()[0] == pytest.approx(before, rel=0.02)
    known = model.items
    more = log.vstack(log.head(3).with_columns(item=log.head(3)["item"] + "-new", time=log.head(3)["time"] + 100))
    model.fit(more, warm=True)
    assert model.items[: len(known)] == known
    assert len(model.items) == len(known) + 3
    with pytest.raises(InputError, match=r"features of its events are not those .* \(none\)"):
        model.fit(log.with_columns(price=1.0), user="user", features="price", warm=True)
    with pytest.raises(InputError, match="checkpoint must be left out when warm=True"):
        model.fit(log, warm=True, checkpoint="anywhere")


def test_held_out_events_do_not_touch_the_weights(log):
    events = log.group_by("user", maintain_order=True).agg("item", "time")
    *others, last = events["item"].to_list()
    changed = pl.Series([*others, [*last[:-1], last[0]]])  # another last item, which stands before it in the log
    other = events.with_columns(item=changed).explode("item", "time")
    a, b = (Recommender(hidden=8, epochs=1).fit(frame) for frame in (log, other))
    assert a.items == b.items
    torch.testing.assert_close(a._fitted().network.state_dict(), b._fitted().network.state_dict(), rtol=0, atol=0)
