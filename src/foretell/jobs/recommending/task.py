"""Recommending as the training loop sees it: histories in, the cross-entropy of every next item out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foretell.errors import InputError
from foretell.jobs.recommending.batches import Histories, histories, outputs, pieces
from foretell.jobs.recommending.calibrating import best_loss
from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import Cases, Split, cases
from foretell.networks.recommend import RecommendNetwork
from foretell.sequences.buckets import bucket_batches
from foretell.sequences.events import Events
from foretell.training.optimizer import Group, decay_matrices

BATCHES = 128  # an epoch, about, where the data are enough for them
BATCH = (32, 1024)  # least and most events of a batch
FULL = 100_000  # items up to which the softmax is over all of them
NEGATIVES = 4096  # drawn above that
VALIDATED = 5_000  # cases that one validation looks at, at most
FLATTENED = 0.75  # power of the popularity with which items are drawn (Mikolov et al. 2013)


@dataclass(frozen=True)
class Batch:
    read: Histories
    target: Tensor  # [T,B]  -1 where there is none


class RecommendTask:
    """Train on each user's events before `split.train`, validate on those from there to `split.validation`."""

    def __init__(self, network: RecommendNetwork, events: Events, split: Split, settings: Settings) -> None:
        self.network, self.events, self.split, self.settings = network, events, split, settings
        self.batch = settings.batch or batch_size(split)
        chosen = cases(events, split.train, split.validation)
        self.shown = _sample(chosen, settings.seed)
        self.negatives = draws(settings, len(events.items))
        weights = (torch.from_numpy(training_counts(events, split)) + 1.0).pow(FLATTENED)
        self.log_q = (weights / weights.sum()).log().float()
        self.cumulated = (weights / weights.sum()).cumsum(0)

    @property
    def steps_an_epoch(self) -> int:
        return len(list(self._groups(0)[2]))

    def parameter_groups(self) -> list[Group]:
        return decay_matrices(self.network.parameters(), self.settings.weight_decay)

    def batches(self, epoch: int) -> Iterator[Batch]:
        first, lengths, groups = self._groups(epoch)
        item, context = self.events.item, self.events.context
        for group in groups:
            read = histories(item, context, first[group], lengths[group])
            steps = np.arange(len(read.items))[:, None]
            rows = first[group] + 1 + np.minimum(steps, lengths[group] - 1)
            yield Batch(read, torch.from_numpy(np.where(steps < lengths[group], item[rows], -1)))

    def loss(self, batch: Batch, carried: None) -> tuple[Tensor, None]:
        """Mean cross-entropy of a batch; every history begins afresh, so there is no state to carry."""
        read = batch.read
        h, _ = self.network(self.network.inputs(read.items, read.numbers, read.codes), read.lengths)
        target = batch.target.flatten()
        if self.negatives is None:
            return self.network.loss(h.flatten(0, 1), target, None, None), None
        drawn = torch.searchsorted(self.cumulated, torch.rand(self.negatives, dtype=self.cumulated.dtype))
        drawn = drawn.clamp(max=len(self.log_q) - 1)
        return self.network.loss(h.flatten(0, 1), target, drawn, self.log_q), None

    @torch.no_grad()
    def validate(self, network: RecommendNetwork) -> float:
        """The cross-entropy at the best temperature: the loss as it is rises long before ranks get worse."""
        return best_loss(network, *self.validated(network))

    def validated(self, network: RecommendNetwork) -> tuple[Tensor, Tensor]:
        """What the network says before the validation events, [n,D], and the items that came, [n]."""
        h = outputs(network, self.events, self.shown.row, self.shown.user)
        return h, torch.from_numpy(self.events.item[self.shown.row])

    def _groups(self, epoch: int) -> tuple[Any, Any, list[Any]]:
        generator = np.random.default_rng((self.settings.seed, epoch))
        first, lengths = pieces(self.events.offsets, self.split.train, self.settings.context, generator)
        return first, lengths, bucket_batches(lengths, self.batch, generator)


def batch_size(split: Split) -> int:
    """Events of a batch, such that an epoch has many batches."""
    return int(np.clip(split.train.sum() // BATCHES, *BATCH))


def draws(settings: Settings, items: int) -> int | None:
    """How many items a batch draws for a sampled softmax; None for a softmax over all items.

    Raises:
        InputError: smoothing beside draws, which do not spread anything over all items.
    """
    chosen = settings.negatives or (NEGATIVES if items > FULL else None)
    if chosen and settings.smoothing:
        raise InputError(
            f"Recommender: smoothing must be 0 with a softmax over {chosen:,} drawn items, as {items:,} items or "
            f"negatives= ask for; got {settings.smoothing}."
        )
    return chosen


def training_counts(events: Events, split: Split) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How often each item occurs in the training events, [V]."""
    return np.bincount(events.item[training_rows(events, split)], minlength=len(events.items))


def training_rows(events: Events, split: Split) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which events are trained on, [N]."""
    within = np.arange(len(events.item)) - np.repeat(events.offsets[:-1], events.lengths)
    return np.asarray(within < np.repeat(split.train, events.lengths))


def _sample(chosen: Cases, seed: int) -> Cases:
    """All cases, or a fixed sample of very many."""
    if len(chosen.row) <= VALIDATED:
        return chosen
    kept = np.sort(np.random.default_rng(seed).choice(len(chosen.row), VALIDATED, replace=False))
    return Cases(chosen.user[kept], chosen.row[kept])
