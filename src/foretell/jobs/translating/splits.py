"""Which pairs the weights learn from, which choose among them, and which nobody sees before the evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from foretell.errors import InputError
from foretell.jobs.translating.settings import Settings
from foretell.sequences.pairs import Pairs

SHARE, MOST = 0.025, 1000  # of the pairs, for validation and again for the test, and how many at most
LEAST = 10  # pairs to train on


@dataclass(frozen=True)
class Split:
    """Pairs have no order in time: the parts are drawn at random, by the seed."""

    train: Pairs
    validation: Pairs
    test: Pairs | None

    def with_memory(self, memory: Mapping[str, str]) -> "Split":
        """With these sentences and their translations to train on, too."""
        if not memory:
            return self
        return replace(self, train=self.train.joined(Pairs(tuple(memory), tuple(memory.values()), self.train.name)))


def split(pairs: Pairs, settings: Settings, validation: Pairs | None = None, test: Pairs | None = None) -> Split:
    """Draw the parts that are not given. Pairs with the same source sentence stay together, so none leaks."""
    counts = (_count(settings.test, test, len(pairs)), max(1, _count(settings.validation, validation, len(pairs))))
    wanted = (0 if test else counts[0], 0 if validation else counts[1])
    _, group = np.unique(np.array(pairs.source, dtype=object), return_inverse=True)
    order = np.random.default_rng(settings.seed).permutation(int(group.max()) + 1)
    rank = order[group]  # of each pair's group
    ranked = np.argsort(rank, kind="stable")
    first = _end_of_group(rank[ranked], wanted[0])
    second = _end_of_group(rank[ranked], first + wanted[1])
    parts = [np.sort(part) for part in np.split(ranked, [first, second])]
    if len(parts[2]) < LEAST:
        raise InputError(
            f"{pairs.name}: {len(pairs)} pairs leave {len(parts[2])} to train on beside {len(parts[0])} for the test "
            f"and {len(parts[1])} for validation; at least {LEAST} are needed. Give more pairs, or hold out fewer."
        )
    drawn_test = pairs.take(parts[0].tolist()) if len(parts[0]) else None
    return Split(pairs.take(parts[2].tolist()), validation or pairs.take(parts[1].tolist()), test or drawn_test)


def _count(said: int | None, given: Pairs | None, pairs: int) -> int:
    if given is not None:
        return 0
    return said if said is not None else min(MOST, round(SHARE * pairs))


def _end_of_group(rank: np.ndarray[tuple[int], np.dtype[np.int64]], count: int) -> int:
    """The first place from `count` on at which a new group of equal sources begins."""
    if count == 0 or count >= len(rank):
        return min(count, len(rank))
    return int(np.searchsorted(rank, rank[count - 1], side="right"))
