"""Translation as the training loop sees it: ragged batches of pairs in, smoothed cross-entropy out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foretell.jobs.translating.model import Ids, source_batch, target_batch
from foretell.networks.translate import TranslateNetwork
from foretell.sequences.buckets import bucket_batches
from foretell.training.optimizer import Group, decay_matrices


@dataclass(frozen=True)
class Encoded:
    """Pairs as tokens."""

    source: Sequence[Ids]
    target: Sequence[Ids]

    def batches(self, tokens: int, generator: np.random.Generator | None) -> Iterator[tuple[Tensor, ...]]:
        """(source [S,B], lengths [B], before [T,B], after [T,B]) of about so many tokens a side."""
        sides = zip(self.source, self.target, strict=True)
        lengths = np.array([max(len(source), len(target)) + 1 for source, target in sides])
        for places in bucket_batches(lengths, tokens, generator):
            source, target = ([side[place] for place in places] for side in (self.source, self.target))
            yield *source_batch(source), *target_batch(target)


class TranslateTask:
    """Train on some pairs, validate on others."""

    def __init__(
        self,
        network: TranslateNetwork,
        train: Encoded,
        validation: Encoded,
        *,
        tokens: int,
        smoothing: float,
        weight_decay: float,
        seed: int,
    ) -> None:
        self.network, self.train, self.validation = network, train, validation
        self.tokens, self.smoothing, self.weight_decay, self.seed = tokens, smoothing, weight_decay, seed
        self.steps_an_epoch = sum(1 for _ in train.batches(tokens, None))

    def parameter_groups(self) -> list[Group]:
        return decay_matrices(self.network.parameters(), self.weight_decay)

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, ...]]:
        return self.train.batches(self.tokens, np.random.default_rng((self.seed, epoch)))

    def loss(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], carried: None) -> tuple[Tensor, None]:
        """Mean cross-entropy of the batch's tokens; nothing is carried from batch to batch."""
        return self.network.loss(*batch, self.smoothing)[0], None

    @torch.no_grad()
    def validate(self, network: TranslateNetwork) -> float:
        """Nats a token, without smoothing."""
        total, count = 0.0, 0
        for source, lengths, before, after in self.validation.batches(self.tokens, None):
            loss, number = network.loss(source, lengths, before, after, 0.0)
            total, count = total + loss.item() * number, count + number
        return total / count
