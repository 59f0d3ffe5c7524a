"""The word-by-word baseline: for every source word the target word it most often becomes.

IBM model 1 (Brown et al. 1993): every target word of a pair comes from one of its source words, or from none
of them; expectation-maximisation finds how likely each source word gives each target word, t(e|f).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+|[^\w\s]")
NO_BLANK_BEFORE = re.compile(r"\s+([.,;:!?%)\]}»”])")
ROUNDS = 6
NOBODY = ""  # the source word of target words that no word of the sentence gives


@dataclass(frozen=True)
class Dictionary:
    """The best translation of every word that was seen; a word that was not stays as it is."""

    words: dict[str, str]

    def translate(self, text: str) -> str:
        """Word by word, in the order of the source; a word that begins a sentence keeps its capital."""
        words = [self.words.get(word, word) for word in WORD.findall(text)]
        line = NO_BLANK_BEFORE.sub(r"\1", " ".join(words))
        return line[:1].upper() + line[1:] if text[:1].isupper() else line

    def to_text(self) -> str:
        return "\n".join(f"{source}\t{target}" for source, target in self.words.items())

    @classmethod
    def from_text(cls, text: str) -> "Dictionary":
        return cls(dict(line.split("\t") for line in text.split("\n") if line))


def learn_dictionary(source: Sequence[str], target: Sequence[str]) -> Dictionary:
    """IBM model 1 by expectation-maximisation over sentence pairs."""
    left, right = _vocabulary(source, (NOBODY,)), _vocabulary(target)
    given, wanted, sentence, starts = _links(source, target, left, right)
    links, link = np.unique(given * len(right) + wanted, return_inverse=True)  # distinct pairs of words
    first, second = links // len(right), links % len(right)
    chance = np.ones(len(links))
    for _ in range(ROUNDS):
        weight = chance[link]
        share = weight / np.add.reduceat(weight, starts)[sentence]
        expected = np.bincount(link, share, len(links))
        chance = expected / np.bincount(first, expected, len(left))[first]
    order = np.lexsort((chance, first))
    last = order[np.append(np.flatnonzero(np.diff(first[order])), len(order) - 1)]  # the best of each source word
    names, meanings = list(left), list(right)
    return Dictionary({names[first[one]]: meanings[second[one]] for one in last if names[first[one]] != NOBODY})


def _vocabulary(texts: Iterable[str], others: tuple[str, ...] = ()) -> dict[str, int]:
    words = dict.fromkeys([*others, *(word for text in texts for word in WORD.findall(text))])
    return {word: place for place, word in enumerate(words)}


def _links(
    source: Sequence[str], target: Sequence[str], left: dict[str, int], right: dict[str, int]
) -> tuple[NDArray[np.int64], ...]:
    """Every target word beside every source word it may come from.

    Returns the source word and the target word of every such link, the number of its target word's place in the
    text, and where the links of each such place start.
    """
    given, wanted, counts = [], [], []
    for before, after in zip(source, target, strict=True):
        words = np.array([left[NOBODY], *(left[word] for word in WORD.findall(before))])
        meanings = np.array([right[word] for word in WORD.findall(after)], np.int64)
        given.append(np.tile(words, len(meanings)))
        wanted.append(np.repeat(meanings, len(words)))
        counts.append(np.full(len(meanings), len(words)))
    sizes = np.concatenate(counts)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return np.concatenate(given), np.concatenate(wanted), np.repeat(np.arange(len(sizes)), sizes), starts
