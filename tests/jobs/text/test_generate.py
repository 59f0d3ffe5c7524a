"""Writing: what is drawn, where it stops, and that characters stay whole."""

import time

import numpy as np
import pytest

from foretell.errors import InputError
from foretell.jobs.language.sampling import Sampling
from foretell.jobs.language.writing import _until_stop, write
from foretell.jobs.text import LanguageModel
from foretell.sequences.tokens import train_tokenizer


def draws(sampling, logs, there=None, count=4000):
    generator = np.random.default_rng(0)
    there = np.zeros(len(logs), bool) if there is None else there
    found = [sampling.draw(np.array(logs, np.float32), there, generator) for _ in range(count)]
    return np.bincount(found, minlength=len(logs)) / count


PROBABILITIES = np.array([0.5, 0.3, 0.15, 0.05])
LOGS = np.log(PROBABILITIES)


def test_tokens_are_drawn_by_their_probabilities():
    np.testing.assert_allclose(draws(Sampling(), LOGS), PROBABILITIES, atol=0.03)


def test_temperature_is_a_power_of_the_probabilities():
    sharper = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    np.testing.assert_allclose(draws(Sampling(temperature=0.5), LOGS), sharper, atol=0.03)


def test_no_temperature_takes_the_likeliest():
    assert draws(Sampling(temperature=0), LOGS)[0] == 1


def test_top_k_and_top_p_cut_the_unlikely_off():
    np.testing.assert_allclose(draws(Sampling(top_k=2), LOGS), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(draws(Sampling(top_p=0.7), LOGS), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(draws(Sampling(top_p=1.0, top_k=9), LOGS), PROBABILITIES, atol=0.03)
    assert draws(Sampling(top_p=0.4), LOGS)[0] == 1


def test_the_repetition_penalty_makes_what_was_there_less_likely():
    there = np.array([True, False, False, False])
    expected = np.array([0.5**2, 0.3, 0.15, 0.05])
    np.testing.assert_allclose(draws(Sampling(repetition=2.0), LOGS, there), expected / expected.sum(), atol=0.03)


def test_the_continuation_is_the_one_that_was_learnt(sentence):
    text = "".join(sentence.generate("the cat", 40, temperature=0))
    assert text == (" sat on the mat.\n" + "the cat sat on the mat.\n")[:40]


def test_the_same_seed_writes_the_same_and_the_callers_generator_is_left_alone(chain, tiny):
    model = LanguageModel(**tiny | {"epochs": 1}).fit(text=chain(3000))
    before = np.random.get_state()[1].copy()
    one, two, other = ("".join(model.generate("a", 60, seed=seed)) for seed in (1, 1, 2))
    assert one == two != other
    assert len(one) == 60
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_it_stops_before_a_stop_string(sentence):
    written = sentence.generate("the cat", 200, temperature=0, stop=["zzz", "mat"])
    assert "".join(written) == " sat on the "


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        (["ab", "cd", "ef"], ["de"], "abc"),  # across a border
        (["aab", "aac"], ["aabaac"], ""),
        (["aaa", "ab"], ["aab"], "aa"),  # a beginning that was not one
        (["ab", "a"], ["abc"], "aba"),  # held back, but never completed
        (["xyz"], ["yz", "xy"], ""),  # the first of several
        (["abc"], [], "abc"),
    ],
)
def test_stop_strings_are_found_wherever_the_pieces_end(pieces, stops, expected):
    assert "".join(_until_stop(iter(pieces), tuple(stops))) == expected


class Script:
    """In place of a network: certain of one token after the other."""

    def __init__(self, tokens, size):
        self.tokens, self.size = list(tokens), size

    def log_probabilities(self):
        logs = np.full(self.size, -50, np.float32)
        logs[self.tokens[0]] = 0
        return logs

    def step(self, token):
        assert token == self.tokens.pop(0)
        self.tokens = self.tokens or [token]


@pytest.mark.parametrize(("kind", "size"), [("bytes", None), ("bpe", 258)])
def test_characters_of_several_tokens_are_given_out_whole(kind, size):
    text = "aä€😀b\U0001f1e9\U0001f1ea"
    tokenizer = train_tokenizer(kind, [text], size)
    ids = tokenizer.encode(text)
    assert len(ids) > len(text)
    script = Script(ids, tokenizer.size)
    assert list(write(script, tokenizer, "", len(ids), Sampling(), (), 0)) == list(text)


def test_bytes_that_make_no_character_are_marked_and_half_of_one_at_the_end_is_left_out():
    tokenizer = train_tokenizer("bytes", [])
    pieces = write(Script([0xFF, 0x61, 0xC3], 256), tokenizer, "", 3, Sampling(), (), 0)
    assert list(pieces) == ["\ufffd", "a"]


def test_a_stop_string_in_the_middle_of_byte_pairs_is_found():
    tokenizer = train_tokenizer("bpe", ["the cat sat "] * 50, 270)
    script = Script(tokenizer.encode("the cat sat the cat"), tokenizer.size)
    assert "".join(write(script, tokenizer, "", 20, Sampling(), ["at s"], 0)) == "the c"


def test_pieces_come_as_they_are_written(sentence):
    pieces = sentence.generate("the", 10_000_000, seed=0)
    began = time.perf_counter()
    assert next(pieces)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"prompt": "the dog"}, "'d' .* is not among the"),
        ({"length": 0}, "length must be a whole number of at least 1; got 0"),
        ({"temperature": -1}, "temperature must be at least 0; got -1"),
        ({"temperature": "hot"}, "temperature must be a number; got 'hot'"),
        ({"top_k": 0}, "top_k must be a whole number of at least 1"),
        ({"top_p": 0}, "top_p must be above 0 and at most 1"),
        ({"repetition": 0.5}, "repetition must be at least 1"),
        ({"stop": [""]}, "a stop string is empty"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_named_at_once(sentence, words, message):
    with pytest.raises(InputError, match=message):
        sentence.generate(**words)
