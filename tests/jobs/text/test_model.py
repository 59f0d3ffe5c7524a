"""The verbs of a language model: that they agree with each other, and what they refuse."""

import numpy as np
import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs.language.corpus import Part
from foretell.jobs.language.evaluation import NETWORK, _headline
from foretell.jobs.language.scoring import log_probabilities
from foretell.jobs.text import LanguageModel


def weights(model):
    return {name: tensor.clone() for name, tensor in model._model.network.state_dict().items()}


@pytest.fixture
def small(chain, tiny):
    return LanguageModel(**tiny | {"epochs": 1}).fit(text=chain(3000))


def test_score_stream_and_whole_text_give_the_same_probabilities(sentence):
    text = "the cat sat on a mat\n"
    scored = sentence.score(text)
    live = sentence.stream()
    surprise = np.concatenate([live.step(part).surprise for part in ("the", " cat sat", "", " on a mat\n")])
    np.testing.assert_allclose(scored["log_probability"], -surprise, atol=1e-5)
    ids = np.concatenate([[sentence._model.tokenizer.size], sentence._model.tokenizer.encode(text)]).astype(np.int32)
    assert sentence._model.mixture is not None
    np.testing.assert_allclose(sentence._model.log_probabilities(ids), scored["log_probability"], atol=1e-5)
    assert scored["token"].to_list() == list(text)


def test_probabilities_of_the_next_token_sum_to_one(sentence):
    answer = sentence.stream().step("the ")
    assert np.exp(answer.log_probabilities).sum() == pytest.approx(1, abs=1e-5)
    assert answer.probabilities[0] == max(answer.probabilities)
    assert len(answer.tokens) == 10


def test_a_text_read_in_stretches_scores_as_one_read_through(sentence):
    network = sentence._model.network
    tokens = np.random.default_rng(0).integers(0, network.config.tokens, 6000).astype(np.int32)
    tokens[3000] = network.config.start
    whole = log_probabilities(network, tokens, 2000, lanes=1)
    np.testing.assert_allclose(log_probabilities(network, tokens, 2000, lanes=4), whole, atol=1e-3)
    assert whole[1000] == 0


def test_the_held_out_text_is_scored_after_the_text_before_it(chain, tiny):
    text = chain(4000)
    model = LanguageModel(**tiny | {"epochs": 1}).fit(text=text)
    found = model.evaluate(lanes=1)
    after = model.update(text[:3600]).score(text[3600:])
    assert found.summary["nats"][0] == pytest.approx(-after["log_probability"].mean(), abs=1e-5)
    assert found.tokens == 400


def test_the_measures_agree_with_each_other(small):
    summary = small.evaluate().summary
    grams = [f"{n}-gram" for n in range(7, 0, -1)]
    assert summary["model"].to_list() == ["foretell", NETWORK, *grams, "uniform"]
    np.testing.assert_allclose(summary["perplexity"], np.exp(summary["nats"]))
    np.testing.assert_allclose(summary["bits_per_character"], summary["nats"] / np.log(2))
    assert summary["nats"][-1] == pytest.approx(np.log(3))


def test_bytes_are_measured_by_the_byte_and_byte_pairs_by_the_character(tiny):
    text = "grün und blau, " * 300
    held_out = len(text) - int(len(text) * 0.9)
    by_bytes = LanguageModel(**tiny | {"epochs": 1, "tokens": "bytes"}).fit(text=text).evaluate()
    assert by_bytes.summary.columns[-1] == "bits_per_byte"
    assert by_bytes.tokens == len(text[-held_out:].encode())
    pairs = LanguageModel(**tiny | {"epochs": 1, "tokens": "bpe", "vocabulary": 270}).fit(text=text).evaluate()
    nats = pairs.summary["nats"][0] * pairs.tokens
    assert pairs.summary["bits_per_character"][0] == pytest.approx(nats / np.log(2) / held_out)


@pytest.mark.parametrize(
    ("own", "best", "words"),
    [
        (1.0, 2.0, "1.000 bits a character, 50.0% fewer than the best baseline, the 2-gram model (2.000)."),
        (3.0, 2.0, "3.000 bits a character, 50.0% MORE than the best baseline, the 2-gram model (2.000)."),
        (2.0, 2.0, "2.000 bits a character, as many as the best baseline, the 2-gram model (2.000)."),
    ],
)
def test_the_headline_says_who_wins(small, own, best, words):
    """The network alone, which is a part of what is measured, is no baseline."""
    names, bits = ["foretell", NETWORK, "2-gram", "1-gram"], [own, 0.5, best, 4.0]
    summary = pl.DataFrame({"model": names, "bits_per_character": bits})
    part = Part(np.zeros(3, np.int32), 3)
    assert _headline(summary, part, small._model, True) == f"On 3 characters of held-out text: {words}"


def test_evaluate_another_text(sentence, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("the mat sat on the cat.\n")
    found = sentence.evaluate(path)
    assert found.tokens == 24
    assert found.summary["nats"][0] == pytest.approx(-sentence.score(path.read_text())["log_probability"].mean())


def test_training_never_reads_the_held_out_text(chain, tiny):
    text = chain(4000)
    other = text[:3600] + text[3600:][::-1]
    one, two = (weights(LanguageModel(**tiny | {"epochs": 1}).fit(text=each)) for each in (text, other))
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name])


def test_update_moves_the_context_and_a_saved_model_keeps_it(sentence_text, tiny, tmp_path):
    model = LanguageModel(**tiny | {"hidden": 32, "epochs": 6}).fit(text=sentence_text)
    asked = {"length": 12, "temperature": 0}
    expected = "".join(model.generate("the cat", **asked))
    assert "".join(model.update("the cat").generate("", **asked)) == expected
    model.save(tmp_path)
    again = LanguageModel.load(tmp_path)
    assert "".join(again.generate("", **asked)) == expected
    assert again.score("sat")["log_probability"].to_list() == model.score("sat")["log_probability"].to_list()


def test_a_stream_is_saved_restored_and_copied(sentence):
    stream = sentence.stream()
    stream.step("the cat sat on ")
    before, twin = stream.save(), stream.copy()
    first = stream.step("the m").probabilities
    stream.restore(before)
    assert stream.step("the m").probabilities == first == twin.step("the m").probabilities


def test_fine_tuning_goes_on_from_the_weights_there_are(small, chain):
    before = small.training_["validation"].min()
    again = small.fit(text=chain(3000), warm=True)
    assert again.training_["validation"][0] == pytest.approx(before, rel=1e-5)
    with pytest.raises(InputError, match=r"'z' .* is not among the 3 characters"):
        small.fit(text="abcz" * 500, warm=True)


def test_a_killed_run_ends_with_the_same_weights(chain, tiny, tmp_path):
    class Killed(Exception):
        pass

    def kill(epoch, plan):
        if epoch.epoch == 2:
            raise Killed

    text, settings = chain(3000), tiny | {"dropout": 0.3, "input_dropout": 0.1, "weight_drop": 0.2}
    whole = LanguageModel(**settings).fit(text=text)
    with pytest.raises(Killed):
        LanguageModel(**settings).fit(text=text, checkpoint=tmp_path, progress=kill)
    resumed = LanguageModel.resume(tmp_path, text=text)
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(resumed)[name])
    with pytest.raises(InputError, match="another training run"):
        LanguageModel.resume(tmp_path, text=text + "a")


def test_the_callers_generators_are_left_alone(chain, tiny, tmp_path):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    model = LanguageModel(**tiny | {"epochs": 1, "dropout": 0.2}).fit(text=chain(2500))
    LanguageModel.load(model.save(tmp_path)).evaluate(text="abc")
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize(
    "changed", [{"tied": True, "embedding": 9}, {"softmax": "adaptive"}, {"layers": 2}, {"ngrams": 0}], ids=str
)
def test_a_saved_model_says_the_same(chain, tiny, tmp_path, changed):
    model = LanguageModel(**tiny | {"epochs": 1} | changed).fit(text=chain(2500))
    again = LanguageModel.load(model.save(tmp_path))
    assert again.score("abcab").equals(model.score("abcab"))
    live = again.stream().step("abcab").surprise
    np.testing.assert_allclose(live, -model.score("abcab")["log_probability"], atol=1e-5)
    assert again.describe() == model.describe()


def test_files_are_read_again_after_loading_unless_they_have_changed(tmp_path, chain, tiny):
    path = tmp_path / "chain.txt"
    path.write_text(chain(3000))
    model = LanguageModel(**tiny | {"epochs": 1}).fit(path)
    found = model.evaluate()
    model.save(tmp_path / "model")
    again = LanguageModel.load(tmp_path / "model")
    assert again.describe()["headline"] == found.headline
    assert again.evaluate().summary.equals(found.summary)
    path.write_text(chain(3001))
    with pytest.raises(InputError, match="has changed since the training"):
        LanguageModel.load(tmp_path / "model").evaluate()


def test_a_model_of_a_text_in_memory_asks_for_it_after_loading(chain, tiny, tmp_path):
    small = LanguageModel(**tiny | {"epochs": 1, "ngrams": 0}).fit(text=chain(3000))
    small.save(tmp_path)
    again = LanguageModel.load(tmp_path)
    with pytest.raises(InputError, match="holds no text"):
        again.evaluate()
    assert "n-grams" in again.evaluate(text="abcabc").headline
    found = again.evaluate(text=chain(3000))  # the text trained on is measured where it was held out
    assert found.summary.equals(small.evaluate().summary)
    assert found.tokens == 300


def test_several_documents_do_not_run_into_each_other(tiny):
    """Whatever one document ends with, the next begins with x: only a reset at the border can know it."""
    texts = ["x" + end * 9 for end in "abcd"] * 60
    model = LanguageModel(**tiny | {"hidden": 32, "epochs": 8}).fit(text=texts)
    assert model.stream().step("").tokens[0] == "x"
    assert model.score("x")["log_probability"][0] > np.log(0.9)


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden": 8},
        {"layers": 2},
        {"embedding": 5},
        {"tied": True},
        {"dropout": 0.5},
        {"input_dropout": 0.5},
        {"weight_drop": 0.5},
        {"recurrent_dropout": 0.5},
        {"activation_penalty": 2.0},
        {"change_penalty": 2.0},
        {"lanes": 4},
        {"steps": 16},
        {"epochs": 2},
        {"learning_rate": 0.01},
        {"weight_decay": 0.5},
        {"validation": 0.2},
        {"held_out": 0.3},
        {"seed": 1},
        {"softmax": "adaptive"},
        {"softmax": "sampled", "samples": 2},
        {"tokens": "bytes"},
        {"tokens": "bpe", "vocabulary": 260},
    ],
    ids=str,
)
def test_every_setting_changes_the_training(chain, tiny, changed):
    text, base = chain(2500), tiny | {"epochs": 1}
    one, two = (LanguageModel(**settings).fit(text=text).training_ for settings in (base, base | changed))
    assert one["validation"].to_list() != two["validation"].to_list()


def test_samples_matter_to_the_sampled_softmax(chain, tiny):
    text, base = chain(2500), tiny | {"epochs": 1, "softmax": "sampled"}
    one, two = (LanguageModel(**base, samples=count).fit(text=text).training_ for count in (2, 50))
    assert one["train"].to_list() != two["train"].to_list()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hiden": 3}, "unknown setting 'hiden'. Did you mean 'hidden'"),
        ({"tokens": "words"}, "LanguageModel: tokens"),
        ({"held_out": 1.0}, "held_out"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        LanguageModel(**settings)


@pytest.mark.parametrize(
    ("settings", "text", "message"),
    [
        ({}, "", "it is empty"),
        ({}, "aaaa" * 500, "'a' over and over"),
        ({}, "abcd", "tokens to train on, where 100 are needed"),
        ({"held_out": 0.001}, "ab" * 90, "the text leaves 1 tokens to hold out, where 2 are needed"),
        ({"validation": 0.001}, "ab" * 90, "the text leaves 1 tokens to validate on, where 2 are needed"),
        ({"vocabulary": 300}, "ab" * 600, "needs tokens='bpe'"),
        ({"tokens": "bpe", "vocabulary": 20}, "ab" * 600, "at least 256"),
        ({}, "ab\ud800" * 300, "half a character"),
    ],
)
def test_text_of_no_use_is_refused(settings, text, message):
    with pytest.raises(InputError, match=message):
        LanguageModel(**settings).fit(text=text)


def test_verbs_before_fit_and_without_data_are_refused(tmp_path):
    model = LanguageModel()
    for verb in (model.evaluate, model.generate, model.stream, model.explain, model.describe):
        with pytest.raises(InputError, match="not fitted yet"):
            verb()
    with pytest.raises(InputError, match="either files as data= or the text itself"):
        model.fit()
    with pytest.raises(InputError, match="there is no such file"):
        model.fit(tmp_path / "none.txt")
    with pytest.raises(InputError, match="no training run to resume"):
        LanguageModel.resume(tmp_path)
