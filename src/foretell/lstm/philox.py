"""Philox4x32-10: a random number generator without a state, whose numbers depend on a counter and a key alone.

Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". A word is an int64 tensor of
numbers in [0, 2^32). So any part of a large array of random numbers can be had anywhere, in any order.
"""

from torch import Tensor

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85  # what the two words of the key grow by from round to round
WORD = 0xFFFFFFFF

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def philox(counter: Words, key: tuple[Tensor, Tensor]) -> Words:
    """Four random words for each counter; the words of counter and key broadcast together."""
    a, b, c, d = counter
    left, right = key
    for _ in range(ROUNDS):
        high_a, low_a = _multiply(a, MULTIPLIERS[0])
        high_c, low_c = _multiply(c, MULTIPLIERS[1])
        a, b, c, d = high_c ^ b ^ left, low_c, high_a ^ d ^ right, low_a
        left, right = (left + WEYL[0]) & WORD, (right + WEYL[1]) & WORD
    return a, b, c, d


def _multiply(word: Tensor, by: int) -> tuple[Tensor, Tensor]:
    """The high and the low word of a product; in halves, because int64 cannot hold the 64 bits unsigned."""
    upper, lower = (word >> 16) * by, (word & 0xFFFF) * by
    return (upper + (lower >> 16)) >> 16, (((upper & 0xFFFF) << 16) + lower) & WORD
