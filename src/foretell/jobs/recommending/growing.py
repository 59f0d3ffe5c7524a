"""Items that come after training: each begins as the mean of those it was taken with, and rarely recommended."""

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.jobs.recommending.model import Model
from foretell.networks.recommend import RecommendNetwork
from foretell.sequences.events import Events
from foretell.sequences.features import Features

BESIDE = 5  # events before and after that count as taken with an item


def grow(model: Model, events: Events, features: Features, used: NDArray[np.bool_] | None = None) -> RecommendNetwork:
    """A copy of the model's network with the items of `events` that are behind its own, and features of all, [V].

    The vector of a new item is the mean of those of the known items within a few events of it (of all, where
    there are none), its bias the lowest of all. Only events that are `used` [N] count; without it, all.
    """
    old = model.network
    known, items = old.config.items, len(events.items)
    mean = old.items.detach().mean(0)
    total = np.zeros((items - known, old.config.width), np.float32)
    count = np.zeros(items - known, np.int64)
    user = np.repeat(np.arange(len(events.users)), events.lengths)
    vectors = old.items.detach().numpy()
    used = np.ones(len(user), bool) if used is None else used
    for row in np.flatnonzero(used & (events.item >= known)).tolist():
        near = slice(max(row - BESIDE, 0), row + BESIDE + 1)
        beside = events.item[near][(user[near] == user[row]) & (events.item[near] < known) & used[near]]
        total[events.item[row] - known] += vectors[beside].sum(0)
        count[events.item[row] - known] += len(beside)
    added = torch.from_numpy(total / np.maximum(count, 1).astype(np.float32)[:, None])
    added[torch.from_numpy(count == 0)] = mean
    lowest = old.bias.detach().min().repeat(items - known)
    return old.grown(
        added, lowest, torch.from_numpy(features.numbers[known:]), torch.from_numpy(features.codes[known:])
    )
