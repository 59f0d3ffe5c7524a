"""Events as the network reads them: histories side by side."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.networks.recommend import RecommendNetwork
from foretell.sequences.buckets import bucket_batches
from foretell.sequences.events import Events
from foretell.sequences.features import Features

Integers = NDArray[np.int64]
STEPS = 8192  # of a batch that is read without training


@dataclass(frozen=True)
class Histories:
    """B histories of up to T events. What stands below the end of one is of no account."""

    items: Tensor  # [T,B]
    numbers: Tensor  # [T,B,F]
    codes: Tensor  # [T,B,C]
    lengths: Tensor  # [B]


def histories(item: Integers, context: Features, first: Integers, lengths: Integers) -> Histories:
    """The events from row first[b] on, lengths[b] of them."""
    steps = np.arange(int(lengths.max(initial=0)))[:, None]
    rows = first + np.minimum(steps, np.maximum(lengths - 1, 0))
    return Histories(
        torch.from_numpy(item[rows]),
        torch.from_numpy(context.numbers[rows]),
        torch.from_numpy(context.codes[rows]),
        torch.from_numpy(lengths),
    )


@torch.inference_mode()
def outputs(network: RecommendNetwork, events: Events, rows: Integers, user: Integers) -> Tensor:
    """What the network says before each of these events of these users (both rising), [n,D]."""
    present, begin, count = np.unique(user, return_index=True, return_counts=True)
    first = events.offsets[present]
    lengths = rows[begin + count - 1] - first
    found = torch.empty(len(rows), network.config.width)
    for batch in bucket_batches(lengths, STEPS):
        read = histories(events.item, events.context, first[batch], lengths[batch])
        h, _ = network(network.inputs(read.items, read.numbers, read.codes), read.lengths)
        wanted = np.concatenate([np.arange(begin[one], begin[one] + count[one]) for one in batch])
        column = np.repeat(np.arange(len(batch)), count[batch])
        step = rows[wanted] - 1 - first[batch][column]
        found[torch.from_numpy(wanted)] = h[torch.from_numpy(step), torch.from_numpy(column)]
    return found


def pieces(
    offsets: Integers, lengths: Integers, longest: int, generator: np.random.Generator
) -> tuple[Integers, Integers]:
    """First rows and lengths of what each user's first `lengths` events are cut into, elsewhere each time.

    A piece is a history of at most `longest` events and the event after it: n + 1 events make n steps.
    """
    first, count = [], []
    steps = lengths - 1
    short = (steps >= 1) & (steps <= longest)
    first.append(offsets[:-1][short])
    count.append(steps[short])
    for user in np.flatnonzero(steps > longest).tolist():
        cut = int(generator.integers(1, longest + 1))
        borders = np.array([0, *range(cut, int(steps[user]), longest), int(steps[user])])
        first.append(offsets[user] + borders[:-1])
        count.append(np.diff(borders))
    return np.concatenate(first), np.concatenate(count)
