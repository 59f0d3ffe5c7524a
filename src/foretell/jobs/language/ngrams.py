"""Interpolated n-gram models with modified Kneser-Ney smoothing (Chen & Goodman 1998), of any order, in numpy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
ORDERS = 5
FALLBACK = (0.5, 1.0, 1.5)  # discounts where too few n-grams are seen once to four times to estimate them


class NGrams:
    """Fitted on tokens 0..V-1; a token of V begins a document: nothing is counted across it, nor itself.

    A model of order n has the counts of its n-grams at the top and, below, in how many different contexts a
    shorter one continues; each level is mixed with the one below, the lowest with the uniform distribution.
    """

    def __init__(self, tokens: NDArray[np.int32], size: int, orders: int = ORDERS) -> None:
        self.size, self.orders = size, orders
        ids, depth = _places(tokens, size)
        self._levels: list[_Level] = []
        gram = np.zeros(len(ids), np.int64)  # of every token, the n-gram that ends there: at first the empty one
        contexts = 1
        for length in range(1, orders + 1):
            places = np.flatnonzero(depth >= length)
            context = gram[places - 1] if length > 1 else gram[places]
            keys, first, found = np.unique(context * size + ids[places], return_index=True, return_inverse=True)
            if length > 1:  # in how many different ones each of the shorter n-grams ends
                shorter = np.bincount(gram[places[first]], minlength=len(self._levels[-1].keys))
                self._levels[-1].continue_with(shorter)
            self._levels.append(_Level(keys, np.bincount(found), contexts, size))
            gram[places], contexts = found, len(keys)

    def log_probabilities(self, tokens: NDArray[np.int32], first: int) -> Floats:
        """ln p of the tokens from place `first` on under every order, [orders, len(tokens) - first].

        What begins a document has none: it is 0 there.
        """
        ids, depth = _places(tokens, self.size)
        lower = np.full(len(ids), 1.0 / self.size)
        node = np.where(depth >= 1, 0, -1)
        found = []
        for level in self._levels:
            gram = level.find(node, ids)
            found.append(level.counted.mixed(node, gram, lower)[first:])
            if level.continued is not None:
                lower = level.continued.mixed(node, gram, lower)
            node = np.concatenate([[-1], gram[:-1]])
            node[depth <= 1] = -1
        return np.where(depth[first:] >= 1, np.log(np.stack(found)), 0.0)

    def probabilities(self, before: Sequence[int], order: int) -> Floats:
        """p of every token after those `before` it, under one order, [V]."""
        found = np.full(self.size, 1.0 / self.size)
        for length, context in enumerate(self._contexts(before, order), 1):
            self._levels[length - 1].mix_into(found, context, top=length == order)
        return found

    def _contexts(self, before: Sequence[int], order: int) -> Iterator[int]:
        """The last 0, 1, .. tokens as contexts, as long as they were seen in the document and in the counts."""
        for length in range(order):
            recent = before[len(before) - length :]
            if length > len(before) or self.size in recent[:1]:
                return
            context = 0
            for level, token in zip(self._levels, recent, strict=False):
                context = level.find_one(context, token)
            if context < 0:
                return
            yield context


class _Level:
    """The n-grams of one length: `keys`, rising, are context * V + token."""

    def __init__(self, keys: Integers, counts: Integers, contexts: int, size: int) -> None:
        self.keys, self._size = keys, size
        self._tokens = (keys % size).astype(np.int32)
        self._first = np.searchsorted(keys, np.arange(contexts + 1) * size)  # n-gram of each context, and an end
        self.counted = self._counts(counts)
        self.continued: _Counts | None = None  # of the longest n-grams nothing is known

    def continue_with(self, continuations: Integers) -> None:
        self.continued = self._counts(continuations)

    def find(self, node: Integers, ids: Integers) -> Integers:
        """The n-gram of every token after its context, -1 where it was never seen."""
        if not len(self.keys):
            return np.full(len(ids), -1)
        wanted = node * self._size + ids
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where((node >= 0) & (ids < self._size) & (self.keys[place] == wanted), place, -1)

    def find_one(self, context: int, token: int) -> int:
        """The same for one token; -1 for a context of -1."""
        wanted = context * self._size + token
        place = int(self.keys.searchsorted(wanted))
        return place if context >= 0 and place < len(self.keys) and self.keys[place] == wanted else -1

    def mix_into(self, lower: Floats, context: int, top: bool) -> None:
        """Make of what the level below says of every token [V] what this level says, in place."""
        counts = self.counted if top or self.continued is None else self.continued
        grams = slice(self._first[context], self._first[context + 1])
        lower *= counts.left[context]
        lower[self._tokens[grams]] += counts.share[grams]

    def _counts(self, counts: Integers) -> "_Counts":
        return _Counts.of(self.keys // self._size, counts, len(self._first) - 1)


@dataclass(frozen=True)
class _Counts:
    """Of every n-gram its discounted share of its context, and of every context what is left for the level below."""

    share: Floats  # [grams]
    left: Floats  # [contexts]; 1 for a context that nothing follows

    @classmethod
    def of(cls, context: Integers, counts: Integers, contexts: int) -> "_Counts":
        total = np.bincount(context, counts, contexts)
        off = np.minimum(np.array([0.0, *_discounts(counts)])[np.minimum(counts, 3)], counts)
        share = (counts - off) / np.maximum(total, 1)[context]
        left = np.where(total > 0, np.bincount(context, off, contexts) / np.maximum(total, 1), 1.0)
        return cls(share, left)

    def mixed(self, node: Integers, gram: Integers, lower: Floats) -> Floats:
        """p of every token: its own share and its context's rest of what the level below says."""
        left = np.where(node >= 0, self.left[node], 1.0) if len(self.left) else 1.0
        share = np.where(gram >= 0, self.share[gram], 0.0) if len(self.share) else 0.0
        mixed: Floats = share + left * lower
        return mixed


def _discounts(counts: Integers) -> tuple[float, float, float]:
    """What is taken from n-grams seen once, twice, and more often."""
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if min(found) > 0 else FALLBACK


def _places(tokens: NDArray[np.int32], size: int) -> tuple[Integers, Integers]:
    """The tokens, and how many of its document each is, itself included; 0 for the start of one."""
    ids = tokens.astype(np.int64)
    place = np.arange(len(ids))
    is_start = ids == size
    last = np.maximum.accumulate(np.where(is_start, place, -1))
    return ids, place - last
