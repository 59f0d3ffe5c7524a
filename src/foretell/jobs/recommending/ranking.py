"""Where the item that came stands among all items, and the measures made of that."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.recommending.batches import outputs
from foretell.jobs.recommending.splits import Cases
from foretell.networks.recommend import RecommendNetwork
from foretell.sequences.events import Events

Integers = NDArray[np.int64]
Scorer = Callable[[slice], Tensor]  # some of the cases -> the scores of every item, [n,V], the caller's to change
SCORES = 4_000_000  # made at a time


@dataclass(frozen=True)
class Ranking:
    """The ranks from 1 of n items that came, and what was ranked first."""

    rank: Integers  # [n]  among the items that the user has not had before
    rank_of_all: Integers  # [n]  among all items
    top: Integers  # [n,k]  the first of those not had before, -1 where there are no more

    def measures(self, k: int, popularity: NDArray[np.float64]) -> dict[str, float]:
        """Hit rate, NDCG and MRR, share of the catalogue shown, mean popularity [V] of what is shown."""
        shown = self.top[self.top >= 0]
        return {
            f"hr@{k}": hits(self.rank, k),
            f"ndcg@{k}": gain(self.rank, k),
            "mrr": float((1 / self.rank).mean()),
            f"coverage@{k}": len(np.unique(shown)) / len(popularity),
            "popularity": float(popularity[shown].mean()) if len(shown) else 0.0,
            f"hr@{k} of all": hits(self.rank_of_all, k),
            f"ndcg@{k} of all": gain(self.rank_of_all, k),
        }


def hits(rank: Integers, k: int) -> float:
    """The share of ranks up to k."""
    return float((rank <= k).mean())


def gain(rank: Integers, k: int) -> float:
    """The normalised discounted cumulative gain of one item that came, at k (Jarvelin & Kekalainen 2002)."""
    return float(np.where(rank <= k, 1 / np.log2(rank + 1), 0.0).mean())


def percentiles(counts: Integers) -> NDArray[np.float64]:
    """The popularity of each item as the share of items that occur less often, half of those as often, [V]."""
    ordered = np.sort(counts)
    below, upto = (np.searchsorted(ordered, counts, side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * max(1, len(counts))))


def network_scorer(network: RecommendNetwork, events: Events, cases: Cases) -> Scorer:
    """The logits of the network after the events before each case."""
    h = outputs(network, events, cases.row, cases.user)

    @torch.inference_mode()
    def score(part: slice) -> Tensor:
        return network.scores(h[part])

    return score


def loss(network: RecommendNetwork, events: Events, cases: Cases) -> float:
    """The mean cross-entropy of what came, in nats."""
    h = outputs(network, events, cases.row, cases.user)
    target = torch.from_numpy(events.item[cases.row])
    with torch.inference_mode():
        return -float(network.log_probability(h, target).mean())


@torch.inference_mode()
def rank(score: Scorer, events: Events, cases: Cases, k: int) -> Ranking:
    """Rank what came among all items; ties, and scores that are no numbers, count against it."""
    ranks, of_all, tops = [], [], []
    k = min(k, len(events.items))
    for part in parts(len(cases.row), len(events.items)):
        scores = score(part)
        target = torch.from_numpy(events.item[cases.row[part]])[:, None]
        of_all.append(_rank(scores, target))
        scores[seen(events, Cases(cases.user[part], cases.row[part]))] = -torch.inf
        ranks.append(_rank(scores, target))
        best = scores.topk(k)
        tops.append(best.indices.masked_fill(best.values == -torch.inf, -1))
    empty = torch.zeros(0, dtype=torch.int64)
    joined = [torch.cat(one or [empty]).numpy() for one in (ranks, of_all)]
    return Ranking(joined[0], joined[1], torch.cat(tops or [empty.view(0, k)]).numpy())


def parts(count: int, items: int) -> Iterator[slice]:
    """Slices of so many cases that their scores are few enough."""
    size = max(1, SCORES // items)
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def seen(events: Events, cases: Cases) -> tuple[Tensor, Tensor]:
    """Which items the user of each case has had before it: rows and columns of the scores."""
    first = events.offsets[cases.user]
    counts = cases.row - first
    row = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[row]
    return torch.from_numpy(row), torch.from_numpy(events.item[place])


def _rank(scores: Tensor, target: Tensor) -> Tensor:
    return (~(scores < scores.gather(1, target))).sum(1)


def standard_error(share: float, count: int) -> float:
    """Of a share of independent cases."""
    return float(np.sqrt(share * (1 - share) / max(1, count)))
