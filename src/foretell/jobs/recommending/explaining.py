"""What the network has made of the items, and how much of a history it uses."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from foretell.jobs.recommending.batches import histories
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.picking import History, history_of_user, influence, read

SAMPLE = 200  # users whose histories the worth of events is measured on
ITEMS = 20  # the most frequent, shown with their neighbours
RECENT = 20  # events back


@dataclass(frozen=True)
class Explanation:
    """What `explain` found."""

    neighbours: pl.DataFrame  # item, rank, neighbour, similarity (the cosine of both items' vectors)
    recency: pl.DataFrame  # steps_ago, change (mean, in nats, of the best item when the event is left out), histories
    half_life: pl.DataFrame  # layer, unit, steps: how long a cell's content takes to fade to half


def explain(model: Model, items: NDArray[np.int64] | None, k: int, seed: int) -> Explanation:
    """Neighbours of these items, else of the most frequent; the other frames over a fixed sample of users."""
    if items is None:
        items = np.argsort(-model.counts(), kind="stable")[:ITEMS]
    users = _sample(model, seed)
    return Explanation(neighbours(model, items, k), _recency(model, users), _half_lives(model, users))


@torch.inference_mode()
def neighbours(model: Model, items: NDArray[np.int64], k: int) -> pl.DataFrame:
    """The k items whose vectors point most nearly the same way."""
    vectors = functional.normalize(model.network.items, dim=1)
    cosines = vectors[torch.from_numpy(items)] @ vectors.T
    cosines[torch.arange(len(items)), torch.from_numpy(items)] = -torch.inf
    best = cosines.topk(min(k, cosines.shape[1] - 1))
    names, width = pl.Series(model.events.items, dtype=pl.String), best.values.shape[1]
    return pl.DataFrame(
        {
            "item": names.gather(np.repeat(items, width)),
            "rank": np.tile(np.arange(1, width + 1), len(items)),
            "neighbour": names.gather(best.indices.flatten().numpy()),
            "similarity": best.values.flatten().numpy().astype(np.float64),
        }
    )


def _sample(model: Model, seed: int) -> list[History]:
    """The histories of some users with two events or more."""
    users = np.flatnonzero(model.events.lengths >= 2)
    if len(users) > SAMPLE:
        users = np.sort(np.random.default_rng(seed).choice(users, SAMPLE, replace=False))
    return [history_of_user(model, user) for user in users.tolist()]


@torch.inference_mode()
def _recency(model: Model, users: list[History]) -> pl.DataFrame:
    """How much leaving an event out moves the log-probability of the best item, by how long ago it was."""
    total, count = np.zeros(RECENT), np.zeros(RECENT, np.int64)
    for history in users:
        scores = model.network.scores(read(model.network, history)[None])[0]
        scores[torch.from_numpy(history.item)] = -torch.inf
        gains = np.abs(influence(model.network, history, scores.argmax()[None])[::-1, 0])[:RECENT]
        total[: len(gains)] += gains
        count[: len(gains)] += 1
    there = count > 0
    return pl.DataFrame(
        {
            "steps_ago": np.arange(1, RECENT + 1)[there],
            "change": total[there] / count[there],
            "histories": count[there],
        }
    )


@torch.inference_mode()
def _half_lives(model: Model, users: list[History]) -> pl.DataFrame:
    """ln 2 / -ln f of each unit at its mean forget gate f over the events of the histories."""
    lengths = np.array([len(history.item) for history in users])
    first = np.cumsum(lengths) - lengths
    item = np.concatenate([history.item for history in users])
    context = type(users[0].context).joined([history.context for history in users])
    one = histories(item, context, first, lengths)
    trace = model.network.trace(model.network.inputs(one.items, one.numbers, one.codes))
    there = torch.arange(len(one.items))[:, None] < one.lengths
    frames = []
    for layer, directions in enumerate(trace.layers):
        forget: Tensor = directions[0].f[there].mean(0).clamp(1e-6, 1 - 1e-6)
        steps = (np.log(2) / -forget.log()).numpy().astype(np.float64)
        frames.append(pl.DataFrame({"layer": layer, "unit": np.arange(len(steps)), "steps": steps}))
    return pl.concat(frames).sort("steps", descending=True)
