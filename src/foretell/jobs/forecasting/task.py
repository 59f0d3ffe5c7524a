"""Forecasting as the training loop sees it: chunks of steps in, pinball loss out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.forecasting.dataset import Dataset
from foretell.networks.forecast import ForecastNetwork, State, Steps
from foretell.networks.goal import Goal
from foretell.training.lanes import chunks, count_chunks
from foretell.training.optimizer import Group, decay_matrices

STRANGER = 0.5  # share of tracks trained without their identity: a new series has none, an old one may not need it
WARM_UP = 256  # steps that bring a fresh state up to the validation rows
VALIDATION_STEPS = 200_000  # about the most that one validation reads
TRACKS_AT_ONCE = 64
MANY_CHUNKS = 150  # an epoch of more is cut into fewer, longer ones
SKIP_RATE = 0.3  # the linear skip starts at its solution and need not move far


@dataclass(frozen=True)
class Batch:
    steps: Steps
    goal: Goal
    fresh: Tensor  # [B]


class ForecastTask:
    """Train on rows before `train` [S], validate on rows from there to before `stop` [S]."""

    def __init__(
        self,
        network: ForecastNetwork,
        data: Dataset,
        train: NDArray[np.int64],
        stop: NDArray[np.int64],
        *,
        seed: int,
        weight_decay: float,
    ) -> None:
        self.network, self.data, self.seed, self.weight_decay = network, data, seed, weight_decay
        start = data.offsets[:-1].numpy()
        targets = len(data.values)
        self.start, self.train, self.stop = (np.tile(rows, targets) for rows in (start, train, stop))
        self.lengths = np.maximum(self.train - self.start - 1, 0)  # the last row has nothing after it
        self.lanes, self.time = batch_shape(self.lengths)
        self.probabilities = torch.tensor(network.config.probabilities)
        self.shown = _shown(self.lengths, self.stop - self.train, seed)

    @property
    def steps_an_epoch(self) -> int:
        return count_chunks(self.lengths, self.lanes, self.time)

    def parameter_groups(self) -> list[Group]:
        """The skip stays near its solution: slower, and not drawn to zero."""
        skip = [*self.network.skip.parameters(), *self.network.skip_beside.parameters()]
        others = [p for name, p in self.network.named_parameters() if not name.startswith("skip")]
        return [*decay_matrices(others, self.weight_decay), Group(skip, rate=SKIP_RATE)]

    def batches(self, epoch: int) -> Iterator[Batch]:
        found = chunks(self.lengths, self.lanes, self.time, np.random.default_rng((self.seed, epoch)))
        start = self.start[found.sequence]
        numbers = (found.sequence, start + found.first, start + found.last, self.train[found.sequence], found.fresh)
        for tracks, first, last, stop, fresh in zip(*map(torch.from_numpy, numbers), strict=True):
            yield Batch(*self.data.steps_and_goal(tracks, first, last, self.time, stop), fresh)

    def loss(self, batch: Batch, carried: State | None) -> tuple[Tensor, State]:
        """Mean pinball loss of a chunk; the state is carried over where the segment goes on."""
        if carried is not None and batch.fresh.any():
            fresh = batch.fresh[:, None]
            carried = (carried[0].masked_fill(fresh, 0), carried[1].masked_fill(fresh, 0))
        if self.network.training and self.network.identity is not None:
            batch.steps.track.mul_(torch.rand(len(batch.fresh)) >= STRANGER)
        loss, _, state = self.network.loss(batch.steps, batch.goal, self.probabilities, carried)
        return loss, (state[0].detach(), state[1].detach())

    @torch.no_grad()
    def validate(self, network: ForecastNetwork) -> float:
        total, count = 0.0, 0.0
        for tracks, first, time in self.validation_blocks():
            loss, known, _ = network.loss(*self.validation_batch(tracks, first, time), self.probabilities)
            total, count = total + loss.item() * known.item(), count + known.item()
        return total / count if count else math.nan

    def validation_blocks(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """(tracks, first rows, steps): each runs up to the end of its validation rows, all equally many steps."""
        order = self.shown[np.argsort((self.stop - self.train)[self.shown], kind="stable")]
        for block in range(0, len(order), TRACKS_AT_ONCE):
            tracks = order[block : block + TRACKS_AT_ONCE]
            time = int((self.stop - self.train)[tracks].max()) + WARM_UP
            yield torch.from_numpy(tracks), torch.from_numpy(self.stop[tracks] - time), time

    def validation_batch(self, tracks: Tensor, first: Tensor, time: int) -> tuple[Steps, Goal]:
        """A validation block: its goal are origins from the last training row on."""
        stop = torch.from_numpy(self.stop[tracks.numpy()])
        steps, goal = self.data.steps_and_goal(tracks, first, stop, time, stop)
        began = torch.from_numpy(self.train[tracks.numpy()] - 1)
        return steps, replace(goal, learn=goal.learn * (first + torch.arange(time)[:, None] >= began))


def batch_shape(lengths: NDArray[np.int64]) -> tuple[int, int]:
    """Lanes and steps of a chunk: enough steps for memory, enough chunks an epoch for the optimizer, not more."""
    total = int(lengths.sum())
    time = int(np.clip(lengths.max(initial=1), 8, 64))
    lanes = int(np.clip(total // (time * 12), 1, 64))
    return lanes, 2 * time if total > MANY_CHUNKS * lanes * time else time


def _shown(lengths: NDArray[np.int64], validation: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The tracks that a validation looks at: all, or a fixed sample of very many."""
    tracks = np.flatnonzero((validation > 0) & (lengths > 0))
    most = max(1, VALIDATION_STEPS // (int(validation.max(initial=1)) + WARM_UP))
    if len(tracks) <= most:
        return tracks
    return np.sort(np.random.default_rng(seed).choice(tracks, most, replace=False))
