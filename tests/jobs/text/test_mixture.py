"""The n-grams beside the network: their probabilities, and the share they are given."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from foretell.errors import InputError
from foretell.jobs.language.evaluation import NETWORK
from foretell.jobs.language.mixture import Mixture, best_share
from foretell.jobs.language.ngrams import NGrams
from foretell.jobs.language.scoring import log_probabilities
from foretell.jobs.text import LanguageModel
from foretell.store import read_model, write_model

V = 3
STAMPS = ("format", "weights_sha256")  # that writing a folder adds
streams = st.lists(st.integers(0, V), min_size=12, max_size=80).filter(lambda one: any(token < V for token in one))


@settings(max_examples=60)
@given(streams, st.lists(st.integers(0, V), max_size=9), st.integers(1, 6))
def test_the_probabilities_of_the_next_token_are_those_of_a_text(tokens, before, order):
    model = NGrams(np.array(tokens, np.int32), V, 6)
    found = model.probabilities(before, order)
    texts = (np.array([*before, token], np.int32) for token in range(V))
    expected = [np.exp(model.log_probabilities(text, len(before))[order - 1, 0]) for text in texts]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found.sum() == pytest.approx(1)


@given(st.integers(0, 2**32 - 1), st.integers(3, 200))
def test_the_share_is_the_likeliest_one(seed, count):
    generator = np.random.default_rng(seed)
    own, other = -generator.exponential(1, (2, count))
    shares = np.linspace(0.001, 0.999, 999)
    mixed = np.log(shares * np.exp(other)[:, None] + (1 - shares) * np.exp(own)[:, None]).sum(axis=0)
    mixed += 0.5 * np.log(shares * (1 - shares))  # the token of doubt
    assert best_share(own, other) == pytest.approx(shares[mixed.argmax()], abs=0.02)


def test_a_mixture_weighs_probabilities_and_leaves_what_begins_a_document():
    tokens = np.array([V, 0, 1, 2, 0, 1, 2, V, 0, 1], np.int32)
    mixture = Mixture(tokens, V, 3, 0.25)
    own = np.log(np.array([0.2, 0.5, 0.3, 1.0, 0.6, 0.1], np.float32))
    found = mixture.of_text(own, tokens, 4)
    grams = np.exp(NGrams(tokens, V).log_probabilities(tokens, 4)[2])
    expected = np.log(0.75 * np.exp(own) + 0.25 * grams)
    expected[3] = 0
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.exp(mixture.of_next(np.log(np.full(V, 1 / V, np.float32)), [V, 0])).sum() == pytest.approx(1, abs=1e-6)


def test_what_is_learnt_by_heart_is_worth_more_than_the_network_alone():
    """Words of random letters, again and again: a small network cannot know them, the n-grams do."""
    generator = np.random.default_rng(0)
    words = ["".join(generator.choice(list("abcdefgh"), 6)) for _ in range(60)]
    text = " ".join(generator.choice(words, 2500))
    settings = {"hidden": 12, "epochs": 2, "lanes": 8, "steps": 32, "learning_rate": 0.02}
    model = LanguageModel(**settings).fit(text=text)
    nats = dict(model.evaluate().summary.select("model", "nats").iter_rows())
    assert nats["foretell"] < nats[NETWORK] - 0.1
    assert nats["foretell"] < nats["7-gram"] + 0.01
    assert 0.5 < model.describe()["ngrams"]["share"] < 1
    alone = LanguageModel(**settings, ngrams=0).fit(text=text).evaluate().summary
    assert alone["model"][:2].to_list() == ["foretell", "5-gram"]
    assert alone["nats"][0] == pytest.approx(nats[NETWORK])


def test_fine_tuning_on_the_same_text_counts_it_once(tiny):
    """Letters at random: n-grams are worth nothing, unless they have seen what they are judged by."""
    text = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 4000))
    model = LanguageModel(**tiny | {"epochs": 1}).fit(text=text)
    before = model.evaluate().summary["nats"][0]
    model.fit(text=text, warm=True)
    assert model._model.mixture is None or len(model._model.mixture.tokens) == 3601
    assert model.evaluate().summary["nats"][0] < before + 0.02


def test_what_the_ngrams_have_counted_surprises_the_network_alone(tiny):
    text = " ".join(np.random.default_rng(0).choice(["kqx", "wzj", "pvb", "mfh"], 700))
    model = LanguageModel(**tiny | {"epochs": 1, "held_out": 0.0}).fit(text=text)
    assert model._model.mixture is not None
    tokens = model._corpus.validation.tokens
    whole = np.concatenate([[model._model.network.config.start], tokens]).astype(np.int32)
    own = log_probabilities(model._model.network, whole, lanes=1)
    np.testing.assert_allclose(model.explain().surprise["nats"], -own, atol=1e-4)


def test_fine_tuning_keeps_the_text_counted_before(chain, tiny):
    model = LanguageModel(**tiny | {"epochs": 1, "held_out": 0.0}).fit(text=chain(2500))
    model.fit(text="abc" * 500, warm=True)
    assert len(model._model.mixture.tokens) == 2501 + 1501


def test_the_baselines_are_of_the_order_that_is_mixed_in(chain, tiny):
    """After fine-tuning the n-grams mixed in have counted more than the text at hand; the baselines only that."""
    model = LanguageModel(**tiny | {"epochs": 1}).fit(text=chain(2500))
    model.fit(text=chain(3000)[::-1], warm=True)
    assert "7-gram" in model.evaluate().summary["model"]


def test_a_folder_from_before_there_were_ngrams_is_read(chain, tiny, tmp_path):
    model = LanguageModel(**tiny | {"epochs": 1, "ngrams": 0}).fit(text=chain(2500))
    content, tensors = read_model(model.save(tmp_path))
    del content["ngrams"], content["settings"]["ngrams"], tensors["context.recent"]
    write_model(tmp_path, {name: value for name, value in content.items() if name not in STAMPS}, tensors)
    assert LanguageModel.load(tmp_path).score("abcab").equals(model.score("abcab"))


@pytest.mark.parametrize("order", [-1, 11, 2.5])
def test_orders_out_of_range_are_refused(order):
    with pytest.raises(InputError, match="LanguageModel: ngrams"):
        LanguageModel(ngrams=order)
