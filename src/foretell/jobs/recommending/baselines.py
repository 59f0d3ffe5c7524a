"""What a sceptic would use instead: the most popular, what usually comes next, what is usually taken together."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.recommending.ranking import Scorer
from foretell.jobs.recommending.splits import Cases, Split
from foretell.jobs.recommending.task import training_counts, training_rows
from foretell.sequences.events import Events

Integers = NDArray[np.int64]
TOGETHER = 20  # events apart up to which two items of a user count as taken together
RECENT = 50  # events of a history that nearest neighbours look at


@dataclass(frozen=True)
class Links:
    """A sparse matrix [V,V]: item to items with a weight, by rows."""

    offsets: Integers  # [V+1]
    item: Integers
    weight: NDArray[np.float32]

    @classmethod
    def counted(cls, source: Integers, target: Integers, items: int) -> Self:
        """How often each pair occurs."""
        keys, counts = np.unique(source * items + target, return_counts=True)
        offsets = np.searchsorted(keys, np.arange(items + 1) * items)
        return cls(offsets, keys % items, counts.astype(np.float32))

    def add(self, scores: Tensor, row: Integers, source: Integers) -> None:
        """Add the links of source[n] to row[n] of the scores."""
        counts = self.offsets[source + 1] - self.offsets[source]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        place = within + np.repeat(self.offsets[source], counts)
        flat = np.repeat(row, counts) * scores.shape[1] + self.item[place]
        scores.view(-1).index_add_(0, torch.from_numpy(flat), torch.from_numpy(self.weight[place]))


def baselines(trained: Events, split: Split, events: Events, cases: Cases) -> dict[str, Scorer]:
    """Scorers of cases of `events`, each made from the training events of `trained` alone."""
    counts = training_counts(trained, split)
    share = torch.from_numpy((counts / max(1, counts.sum())).astype(np.float32))
    following, together = transitions(trained, split), neighbours(trained, split)

    def popularity(part: slice) -> Tensor:
        return share.repeat(len(cases.row[part]), 1)

    def markov(part: slice) -> Tensor:
        """What followed the last item; where that says nothing, what is popular (Katz 1987)."""
        scores = popularity(part)
        following.add(scores, np.arange(len(scores)), events.item[cases.row[part] - 1])
        return scores

    def nearest(part: slice) -> Tensor:
        """What is like the items of the recent history (Sarwar et al. 2001); ties by popularity."""
        scores = 1e-6 * popularity(part)
        first = np.maximum(events.offsets[cases.user[part]], cases.row[part] - RECENT)
        row, item = _history(events, first, cases.row[part])
        together.add(scores, row, item)
        return scores

    return {"item-kNN": nearest, "Markov chain": markov, "popularity": popularity}


def transitions(events: Events, split: Split) -> Links:
    """How often each item came right after each other one in training."""
    follows = training_rows(events, split)
    follows[events.offsets[:-1][events.lengths > 0]] = False
    row = np.flatnonzero(follows)
    return Links.counted(events.item[row - 1], events.item[row], len(events.items))


def neighbours(events: Events, split: Split) -> Links:
    """The cosine between items: pairs within a few events of one user over the root of both items' counts."""
    used = training_rows(events, split)
    user = np.repeat(np.arange(len(events.users)), events.lengths)
    source, target = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    longest = int(split.train.max(initial=0))
    for apart in range(1, min(TOGETHER, longest - 1) + 1):
        row = np.flatnonzero(used[apart:] & (user[apart:] == user[:-apart])) + apart
        a, b = events.item[row - apart], events.item[row]
        source += [a[a != b], b[a != b]]
        target += [b[a != b], a[a != b]]
    links = Links.counted(np.concatenate(source), np.concatenate(target), len(events.items))
    counts = training_counts(events, split)
    owner = np.repeat(np.arange(len(events.items)), np.diff(links.offsets))
    weight = links.weight / np.sqrt(counts[owner] * counts[links.item])
    return Links(links.offsets, links.item, weight.astype(np.float32))


def _history(events: Events, first: Integers, stop: Integers) -> tuple[Integers, Integers]:
    """(case, item) of the events from first[n] up to stop[n]."""
    counts = stop - first
    case = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return case, events.item[within + first[case]]
