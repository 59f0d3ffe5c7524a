"""From a corpus to a trained network."""

import copy
from pathlib import Path

import numpy as np
import torch

from foretell.jobs.language.corpus import Corpus
from foretell.jobs.language.settings import Settings
from foretell.jobs.language.task import TextTask
from foretell.jobs.runs import NETWORK
from foretell.networks.language import LanguageConfig, LanguageNetwork
from foretell.training.checkpoint import Checkpoint
from foretell.training.loop import Epoch, Plan, Progress, own_randomness, train

READ = 6_000_000  # tokens that a training aims to read when the user does not say how many epochs
EPOCHS = (2, 30)  # and the fewest and most epochs it may make
FINE_TUNING = 0.25  # of the learning rate, for weights that were trained already
FEW = 1_000  # tokens up to which the embedding is narrow and the softmax has weights of its own
NARROW = 128
MANY = 20_000  # tokens above which a step of the softmax looks at a sample


def choose_config(tokens: int, settings: Settings) -> LanguageConfig:
    """What the user said, else what suits the number of tokens."""
    tied = settings.tied if settings.tied is not None else tokens > FEW and settings.softmax != "adaptive"
    embedding = settings.embedding or (settings.hidden if tokens > FEW else min(settings.hidden, NARROW))
    return LanguageConfig(
        tokens=tokens,
        embedding=embedding,
        hidden=settings.hidden,
        layers=settings.layers,
        tied=tied,
        softmax=settings.softmax or ("sampled" if tokens > MANY else "full"),
        samples=settings.samples,
        dropout=settings.dropout,
        input_dropout=settings.input_dropout,
        weight_drop=settings.weight_drop,
        recurrent_dropout=settings.recurrent_dropout,
    )


def new_network(config: LanguageConfig, corpus: Corpus, seed: int) -> LanguageNetwork:
    """An untrained network that knows how frequent each token is."""
    frequencies = np.bincount(corpus.train.tokens, minlength=config.tokens)[: config.tokens]
    with own_randomness(seed, 0):
        return LanguageNetwork(config, torch.from_numpy(frequencies))


def fit_network(
    corpus: Corpus,
    config: LanguageConfig,
    settings: Settings,
    *,
    warm: LanguageNetwork | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[LanguageNetwork, list[Epoch]]:
    """Train on a corpus, with `warm` from a copy of those weights at a lower rate; returns the training curve too.

    With a checkpoint folder the run can be killed at any moment and called again with the same arguments: it ends
    with the same weights.
    """
    network = copy.deepcopy(warm) if warm else new_network(config, corpus, settings.seed)
    task = TextTask(network, corpus, settings)
    rate = settings.learning_rate * (FINE_TUNING if warm else 1.0)
    epochs = settings.epochs or int(np.clip(round(READ / len(corpus.train.tokens)), *EPOCHS))
    plan = Plan(epochs, task.steps_an_epoch, rate, settings.seed)
    saved = Checkpoint(checkpoint / NETWORK) if checkpoint else None
    return network, train(network, task, plan, saved, progress)
