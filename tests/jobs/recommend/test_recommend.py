"""The verbs of a trained recommender: what they give, that they agree, and what they refuse."""

import dataclasses

import numpy as np
import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs.recommend import Recommender

SMALL = {"hidden": 8, "epochs": 1, "batch": 256}


def last_items(log, user):
    return log.filter(pl.col("user") == user).sort("time")["item"].to_list()


def test_a_user_and_its_history_are_recommended_the_same(model, log):
    for user in ("u0", "u7"):
        history = last_items(log, user)
        found = model.recommend(user, k=4)
        assert found == model.recommend(history, k=4)
        assert found == model.recommend(np.array(history), k=4)
        assert not set(found.items) & set(history)
        assert list(found.probability) == sorted(found.probability, reverse=True)


def test_everybody_at_once_is_everybody_alone(model):
    frame = model.recommend_all(k=3)
    assert frame.columns == ["user", "item", "rank", "probability"]
    assert frame.height == 3 * len(model.users)
    for user in model.users[::13]:
        alone, rows = model.recommend(user, k=3), frame.filter(pl.col("user") == user)
        assert tuple(rows["item"]) == alone.items
        assert rows["rank"].to_list() == [1, 2, 3]
        np.testing.assert_allclose(rows["probability"], alone.probability, rtol=1e-4)
    few = model.recommend_all(k=3, users=["u7", "u0"])
    assert few.equals(frame.filter(pl.col("user").is_in(["u0", "u7"])))


def test_probabilities_of_all_items_sum_to_one(model):
    found = model.recommend("u0", k=1000, exclude_seen=False)
    assert len(found.items) == len(model.items)
    assert sum(found.probability) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("kind", [set, list, lambda items: items.__contains__], ids=["set", "list", "function"])
def test_a_filter_lets_through_only_its_items(model, kind):
    wanted = [f"i{number}" for number in range(10)]
    everything = model.recommend("u0", k=100).items
    found = model.recommend("u0", k=100, filter=kind(wanted))
    assert found.items == tuple(item for item in everything if item in wanted)
    rows = model.recommend_all(k=100, users=["u0"], filter=kind(wanted))
    assert tuple(rows["item"]) == found.items


def test_reasons_are_what_leaving_an_event_out_changes(model):
    history = ["i1", "i2", "i3", "i4"]
    found = model.recommend(history, k=2, reasons=True)
    everything = model.recommend(history, k=100, exclude_seen=False)
    whole = dict(zip(everything.items, np.log(everything.probability), strict=True))
    for item, reasons in zip(found.items, found.reasons, strict=True):
        gains = {}
        for place in range(4):
            left = model.recommend(history[:place] + history[place + 1 :], k=100, exclude_seen=False)
            gains[4 - place] = whole[item] - dict(zip(left.items, np.log(left.probability), strict=True))[item]
        helpful = {steps: gain for steps, gain in gains.items() if gain > 0}
        assert {reason.steps_ago: pytest.approx(reason.gain, abs=1e-4) for reason in reasons} == helpful
        assert [reason.gain for reason in reasons] == sorted((one.gain for one in reasons), reverse=True)
        assert all(history[-reason.steps_ago] == reason.item for reason in reasons)
    assert found.frame["because"].to_list() == [[one.item for one in reasons] for reasons in found.reasons]


def test_of_unknown_items_the_known_rest_counts(model):
    found = model.recommend(["i1", "moon", "i2", "moon"], k=3)
    assert found.unknown == ("moon",)
    assert dataclasses.replace(found, unknown=()) == model.recommend(["i1", "i2"], k=3)


def test_a_stream_recommends_what_its_history_does(model):
    stream, history = model.stream(k=3), []
    for item in ("i5", "i1", "i9", "i5"):
        history.append(item)
        found = stream.step(item)
        assert found.items == model.recommend(history, k=3).items
    other = stream.copy()
    saved, before = stream.save(), stream.recommend()
    stream.step("i2")
    assert stream.recommend() != before
    assert other.recommend() == before
    stream.restore(saved)
    assert stream.recommend() == before
    went_on = model.stream("u0", k=3)
    assert went_on.recommend().items == model.recommend("u0", k=3).items


def test_a_model_survives_its_folder(model, tmp_path):
    again = Recommender.load(model.save(tmp_path / "model"))
    assert again.recommend_all().equals(model.recommend_all())
    assert again.evaluate().summary.equals(model.evaluate().summary)
    assert again.describe() == model.describe()
    assert again.facts() == model.facts()
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.json", "weights.safetensors"}


def test_update_takes_in_events_users_and_items(log, tmp_path):
    model = Recommender(**SMALL).fit(log)
    scores = model.evaluate().summary
    new = [("u0", "i3", 100), ("u0", "i4", 101), ("newcomer", "i5", 100), ("newcomer", "moon", 101)]
    model.update(pl.DataFrame(new, schema=["user", "item", "time"], orient="row"))
    assert (model.updated_.new_users, model.updated_.new_items) == (("newcomer",), ("moon",))
    assert str(model.updated_) == "Took in 4 events, 1 new user (newcomer), 1 new item (moon)."
    assert model.recommend("u0", k=3) == model.recommend([*last_items(log, "u0"), "i3", "i4"], k=3)
    assert model.recommend("newcomer", k=3) == model.recommend(["i5", "moon"], k=3)
    network = model._fitted().network
    torch.testing.assert_close(network.items[-1], network.items[model.items.index("i5")])  # all it was taken with
    assert network.bias[-1] == network.bias[:-1].min()
    hits = [name for name in scores.columns if name.startswith("hr")]
    assert model.evaluate().summary[hits].equals(scores[hits])  # what is tested has not changed
    again = Recommender.load(model.save(tmp_path / "model"))
    assert again.recommend("newcomer") == model.recommend("newcomer")
    with pytest.raises(InputError, match="user 'u0' is earlier than the last one known"):
        model.update([{"user": "u0", "item": "i1", "time": 50}])


def test_evaluation_of_other_events(model, log):
    found = model.evaluate(log)
    assert found.cases == log["user"].n_unique()
    three = log.filter(pl.col("time") <= 2)
    before = model.evaluate(three)
    is_strange = (pl.col("time") == 2) & pl.col("user").is_in(["u1", "u2", "u3"])
    strangers = three.with_columns(item=pl.when(is_strange).then(pl.lit("moon")).otherwise("item"))
    missed = model.evaluate(strangers)
    assert (missed.cases, missed.unknown) == (before.cases, 3)
    assert missed.summary["hr@10"][0] <= before.summary["hr@10"][0]
    assert "3 of them of items it does not know" in missed.headline
    with pytest.raises(InputError, match="no event is held out"):
        model.evaluate(log.with_columns(item=pl.lit("moon")))


def test_evaluation_says_the_headline_and_a_row_a_model(model):
    found = model.evaluate(k=5)
    assert found.summary["model"].to_list() == ["foretell", "item-kNN", "Markov chain", "popularity"]
    assert found.headline.startswith("HR@5 is ")
    assert "best baseline" in found.headline
    for frame in (found.by_length, found.by_popularity):
        own = frame.filter(pl.col("model") == "foretell")
        assert own["cases"].sum() == found.cases
        mean = (own["hr"] * own["cases"]).sum() / found.cases
        assert mean == pytest.approx(found.summary["hr@5"][0])
    with pytest.raises(InputError, match="fit with split='time', or give data="):
        model.evaluate(by="time")


def test_an_evaluation_by_time(log):
    model = Recommender(**SMALL, split="time", share=0.2).fit(log)
    found = model.evaluate()
    assert found.cases == log.filter(pl.col("time") >= log["time"].sort()[int(0.8 * log.height)]).height


def test_explanations(model):
    found = model.explain(["i3"], k=4)
    vectors = torch.nn.functional.normalize(model._fitted().network.items.detach(), dim=1)
    cosines = dict(zip(model.items, (vectors @ vectors[model.items.index("i3")]).tolist(), strict=True))
    del cosines["i3"]
    best = sorted(cosines, key=cosines.__getitem__, reverse=True)[:4]
    assert found.neighbours["neighbour"].to_list() == best
    assert found.recency["steps_ago"].to_list() == list(range(1, found.recency.height + 1))
    assert found.half_life.height == 8
    assert (found.half_life["steps"] > 0).all()
    assert model.explain().neighbours["item"].n_unique() == 20


def test_features_reach_the_scores(log):
    generator = np.random.default_rng(0)
    rich = log.with_columns(price=generator.normal(size=log.height), shop=generator.choice(["a", "b"], log.height))
    catalogue = pl.DataFrame({"item": [f"i{number}" for number in range(30)], "kind": ["x", "y"] * 15})
    model = Recommender(**SMALL).fit(rich, features=["price", "shop"], catalogue=catalogue)
    for parameter in model._fitted().network.context.parameters():
        torch.nn.init.normal_(parameter)  # more than a second of training would make of features that say nothing
    assert dict(model.facts())["Features"] == "price, shop, kind"
    stream = model.stream()
    plain = stream.step("i1")
    for features in ({"price": 9.0}, {"shop": "b"}):
        other = model.stream().step("i1", **features)
        assert other.probability != plain.probability
    with pytest.raises(InputError, match=r"unknown feature 'prise'. Did you mean 'price'"):
        stream.step("i1", prise=3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.recommend("nobody"), "knows no user 'nobody'; for a new one give the items"),
        (lambda model: model.recommend([]), "the history is empty"),
        (lambda model: model.recommend(["moon", "sun"]), r"none of the history's items \(moon, sun\)"),
        (lambda model: model.recommend("u0", k=0), "k must be a whole number of at least 1; got 0"),
        (lambda model: model.recommend("u0", filter=["moon"]), "filter has the item 'moon'"),
        (lambda model: model.recommend("u0", filter=lambda item: False), "lets no item through"),
        (lambda model: model.recommend_all(users=["u0", "nobody"]), "recommend_all: the model knows no user 'nobody'"),
        (lambda model: model.recommend_all(users=[]), "users must be at least one user, or left out"),
        (lambda model: model.stream().step("moon"), "does not know the item 'moon'"),
        (lambda model: model.stream().recommend(), "no event has come yet"),
        (lambda model: model.evaluate(by="chance"), "by must be 'leave-one-out' or 'time'"),
        (lambda model: model.explain(["moon"]), "unknown item 'moon'"),
        (lambda model: Recommender().recommend("u0"), "not fitted yet"),
        (lambda model: Recommender(hiden=3), "unknown setting 'hiden'. Did you mean 'hidden'"),
        (lambda model: Recommender(split="chance"), "split must be 'leave-one-out' or 'time'; got 'chance'"),
        (lambda model: Recommender().fit({"user": ["a"], "item": ["x"]}), "no user has two events"),
        (lambda model: Recommender(split="time").fit({"user": ["a"] * 9, "item": ["x"] * 9}), "a column of times"),
    ],
)
def test_a_mistake_is_a_sentence(model, call, message):
    with pytest.raises(InputError, match=message):
        call(model)
