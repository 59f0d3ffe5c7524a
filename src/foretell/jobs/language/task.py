"""Language modelling as the training loop sees it: windows of side-by-side stretches, cross-entropy out."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from foretell.jobs.language.corpus import Corpus
from foretell.jobs.language.scoring import log_probabilities
from foretell.jobs.language.settings import Settings
from foretell.networks.language import LanguageNetwork, State, detached, penalties
from foretell.training.optimizer import Group, decay_matrices

FEWEST_WINDOWS = 8  # an epoch of fewer is cut into fewer lanes
MOST_VALIDATION = 100_000  # tokens that one validation reads
FRESH = 0.03  # share of windows that a lane begins anew: without them the network gets lost in text it starts to read
CONTEXT = 256  # tokens before them that it reads first

Window = tuple[Tensor, Tensor]  # inputs and targets [T,B]; -1 where the next token begins a document


class TextTask:
    """The text goes round in a ring, cut into lanes of equal length at a place that each epoch draws."""

    def __init__(self, network: LanguageNetwork, corpus: Corpus, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self.tokens = corpus.train.tokens.astype(np.int64)  # a document begins here: the end does not run into it
        self.context = min(CONTEXT, len(corpus.train.tokens))
        shown = corpus.validation.tokens[:MOST_VALIDATION]
        self.validation = np.concatenate([corpus.train.tokens[-self.context :], shown])
        self.steps = min(settings.steps, max(2, len(self.tokens) // FEWEST_WINDOWS))
        self.lanes = int(np.clip(len(self.tokens) // (self.steps * FEWEST_WINDOWS), 1, settings.lanes))
        self.length = len(self.tokens) // self.lanes

    @property
    def steps_an_epoch(self) -> int:
        return -(-(self.length - 1) // self.steps)

    def parameter_groups(self) -> list[Group]:
        return decay_matrices(self.network.parameters(), self.settings.weight_decay)

    def batches(self, epoch: int) -> Iterator[Window]:
        generator, start = np.random.default_rng((self.settings.seed, epoch)), self.network.config.start
        begins = int(generator.integers(len(self.tokens))) + self.length * np.arange(self.lanes)
        for low in range(0, self.length - 1, self.steps):  # of a window of one step the target may not count
            places = np.arange(low, min(low + self.steps, self.length))[:, None] + begins
            inputs, target = (self.tokens[at % len(self.tokens)] for at in (places, places + 1))
            inputs[0, generator.random(self.lanes) < FRESH] = start
            yield torch.from_numpy(inputs), torch.from_numpy(np.where(target == start, -1, target))

    def loss(self, batch: Window, carried: State | None) -> tuple[Tensor, State]:
        """Mean nats a token of a window, with AR and TAR if they are on; the state is carried over."""
        inputs, target = batch
        x, raw, state = self.network(inputs, carried)
        loss = self.network.head.loss(x.flatten(0, 1), target.flatten())
        settings = self.settings
        if settings.activation_penalty or settings.change_penalty:
            loss = loss + penalties(x, raw, settings.activation_penalty, settings.change_penalty)
        return loss, detached(state)

    def validate(self, network: LanguageNetwork) -> float:
        """Nats a token of the validation part."""
        scores = log_probabilities(network, self.validation, self.context)
        counted = self.validation[self.context :] != network.config.start
        return float(-scores.sum(dtype=np.float64) / counted.sum())
