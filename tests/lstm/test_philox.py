"""Philox against the known answers of its authors' Random123, a second implementation, and chance."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foretell.lstm.philox import philox

WORD = st.integers(0, 2**32 - 1)
KNOWN = [  # counter, key, words: the file kat_vectors of Random123, philox4x32 with 10 rounds
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],  # digits of pi
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def tensors(numbers):
    return tuple(torch.tensor(number) for number in numbers)


def by_hand(counter, key):
    """The paper's rounds on Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [right >> 32 ^ c[1] ^ k[0], right % 2**32, left >> 32 ^ c[3] ^ k[1], left % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN, ids=["zeros", "ones", "pi"])
def test_known_answers(counter, key, words):
    assert [word.item() for word in philox(tensors(counter), tensors(key))] == words


@given(counter=st.lists(WORD, min_size=4, max_size=4), key=st.lists(WORD, min_size=2, max_size=2))
def test_agrees_with_whole_numbers(counter, key):
    assert [word.item() for word in philox(tensors(counter), tensors(key))] == by_hand(counter, key)


def test_words_broadcast():
    a, b, c, d = torch.arange(3), torch.arange(2)[:, None], torch.tensor(7), torch.tensor(2**32 - 1)
    words = philox((a, b, c, d), tensors([5, 6]))
    assert all(word.shape == (2, 3) for word in words)
    assert [word[1, 2].item() for word in words] == by_hand([2, 1, 7, 2**32 - 1], [5, 6])


@pytest.mark.parametrize("part", range(4))
def test_counting_up_any_word_gives_independent_fractions(part):
    """The mean and the correlation of neighbours and of the four words, each within 5 standard deviations."""
    count = 20_000
    counter = [torch.tensor(1)] * 4
    counter[part] = torch.arange(count)
    words = torch.stack(philox(tuple(counter), tensors([2, 3]))) * 2.0**-32
    centred = (words.double() - 0.5) * 12**0.5  # mean 0, variance 1
    assert centred.mean(1).abs().max() < 5 / count**0.5
    assert (centred[:, 1:] * centred[:, :-1]).mean(1).abs().max() < 5 / count**0.5
    products = centred @ centred.T / count
    assert (products - torch.eye(4)).abs().max() < 5 / count**0.5
