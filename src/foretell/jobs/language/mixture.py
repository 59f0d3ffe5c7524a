"""An n-gram model beside the network: it knows by heart at once what a network is slow to learn.

p = share * p(n-gram) + (1 - share) * p(network) at every token: linear interpolation (Jelinek & Mercer 1980), for
recurrent networks Mikolov et al. 2010.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.language.corpus import Corpus, Tokens
from foretell.jobs.language.ngrams import ORDERS, NGrams
from foretell.jobs.language.scoring import WARM_UP, log_probabilities
from foretell.jobs.language.settings import Settings
from foretell.networks.language import LanguageNetwork

Floats = NDArray[np.float32]
MOST = 5_000_000  # of the last tokens, on which the n-grams are counted
MOST_VALIDATION = 100_000  # tokens by which the share is chosen
LEAST = 0.01  # a smaller share is not worth its time
ROUNDS = 100
LONGEST = {"characters": 7, "bytes": 7, "bpe": 5}


@dataclass(frozen=True)
class Mixture:
    """What stands beside the network, and how much it has to say."""

    tokens: Tokens  # that the n-grams are counted on
    size: int  # V
    order: int  # tokens of the longest n-gram
    share: float  # of the n-grams in every probability

    @cached_property
    def ngrams(self) -> NGrams:
        """Counted when first asked for: a second or two a million tokens."""
        return NGrams(self.tokens, self.size, max(self.order, ORDERS))

    def of_text(self, own: Floats, tokens: Tokens, first: int) -> Floats:
        """ln p of the tokens from place `first` on, given the network's; 0 stays 0 for what begins a document."""
        other = _of_ngrams(self.ngrams, tokens, first, self.order)
        mixed = np.logaddexp(own + np.log1p(-self.share), other + np.log(self.share))
        return np.where(tokens[first:] == self.size, 0, mixed).astype(np.float32)

    def of_next(self, own: Floats, before: Sequence[int]) -> Floats:
        """ln p of every token after those `before` it, given the network's, [V]."""
        found = self.ngrams.probabilities(before, self.order)
        found *= self.share
        found += (1 - self.share) * np.exp(own)
        return np.log(found).astype(np.float32)


def choose_mixture(
    network: LanguageNetwork, corpus: Corpus, settings: Settings, earlier: Mixture | None = None
) -> Mixture | None:
    """The n-grams of the text that is not held out, with the share that suits the validation part best.

    To choose it they are counted on the training part alone. `earlier` are those of a model that is fine-tuned: what
    they were counted on counts on, unless the new text begins with it. None where the settings want none, or where
    n-grams are of no use.
    """
    order = LONGEST[settings.tokens] if settings.ngrams is None else settings.ngrams
    if not order:
        return None
    start = network.config.start
    before = corpus.train.tokens
    tokens = np.concatenate([before, corpus.validation.tokens[:MOST_VALIDATION]])
    first, seen = len(before), NGrams(before[-MOST:], start, order)
    warm = min(first, WARM_UP + 1)
    own = log_probabilities(network, tokens[first - warm :], warm)
    share = best_share(*(part[tokens[first:] != start] for part in (own, _of_ngrams(seen, tokens, first, order))))
    if share < LEAST:
        return None
    counted = corpus.seen
    if earlier is not None and not np.array_equal(counted[: len(earlier.tokens)], earlier.tokens):
        counted = np.concatenate([earlier.tokens, counted])
    return Mixture(counted[-MOST:], start, order, share)


def best_share(own: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The share of `other` under which the mixture's ln p, summed over tokens, is highest.

    By expectation maximisation (Jelinek & Mercer 1980); one token of doubt between the two is added.
    """
    share, ratio = 0.5, np.exp(own - other)
    for _ in range(ROUNDS):
        share = float((share / (share + (1 - share) * ratio)).sum() + 0.5) / (len(ratio) + 1)
    return share


def _of_ngrams(ngrams: NGrams, tokens: Tokens, first: int, order: int) -> NDArray[np.float64]:
    begin = max(0, first - order)  # nothing before it is looked at
    found: NDArray[np.float64] = ngrams.log_probabilities(tokens[begin:], first - begin)[order - 1]
    return found
