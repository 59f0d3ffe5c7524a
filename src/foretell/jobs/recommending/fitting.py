"""From events to a trained model: split, network, training."""

from pathlib import Path

import numpy as np
import torch

from foretell.jobs.recommending.calibrating import calibrate
from foretell.jobs.recommending.growing import grow
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import Split, split
from foretell.jobs.recommending.task import BATCH, RecommendTask, training_counts, training_rows
from foretell.jobs.runs import NETWORK
from foretell.networks.recommend import FeatureConfig, RecommendConfig, RecommendNetwork
from foretell.sequences.events import Events, EventSchema
from foretell.sequences.features import Features, FeatureSchema
from foretell.training.checkpoint import Checkpoint
from foretell.training.loop import Epoch, Plan, Progress, own_randomness, train

UNSEEN = 0.5  # occurrences that an item without any is given, so that its bias is finite
RATE = 6e-3  # learning rate at the largest batch
EPOCHS, STEPS = (5, 24), 8000  # fewest and most epochs, and the steps above which they are fewer
FINE_TUNING = 0.25  # of the learning rate, for weights that were trained already


def fit_model(
    events: Events,
    schema: EventSchema,
    catalogue: tuple[FeatureSchema, Features],
    settings: Settings,
    *,
    warm: Model | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Model, list[Epoch]]:
    """Train on events; returns the model and its training curve.

    With `warm`, from the weights of that model at a lower learning rate; its items come first in `events`. With
    a checkpoint folder the run can be killed at any moment and called again with the same arguments: it ends
    with the same weights.
    """
    cut = split(events, settings, schema.source)
    if warm is not None:
        network = grow(warm, events, catalogue[1], training_rows(events, cut)).train()
    else:
        network = _start(_config(events, schema, catalogue[0], settings), events, cut, catalogue[1], settings.seed)
    task = RecommendTask(network, events, cut, settings)
    plan = _plan(settings, task, FINE_TUNING if warm else 1.0)
    saved = Checkpoint(checkpoint / NETWORK) if checkpoint else None
    curve = train(network, task, plan, saved, progress)
    calibrate(network, *task.validated(network))
    return Model(settings, schema, catalogue[0], network, events, cut), curve


def _plan(settings: Settings, task: RecommendTask, share: float) -> Plan:
    """What the user said, else by the size of the data and of its batches; a share of that learning rate."""
    steps, epochs, rate = task.steps_an_epoch, settings.epochs, settings.learning_rate
    if epochs is None:
        epochs = int(np.clip(STEPS // steps, *EPOCHS))
    if rate is None:  # smaller batches, noisier gradients: the square-root rule (Krizhevsky 2014)
        rate = RATE * min(1.0, task.batch / BATCH[1]) ** 0.5
    return Plan(epochs, steps, rate * share, settings.seed)


def _config(events: Events, schema: EventSchema, catalogue: FeatureSchema, settings: Settings) -> RecommendConfig:
    return RecommendConfig(
        items=len(events.items),
        width=settings.width or settings.hidden,
        hidden=settings.hidden,
        layers=settings.layers,
        dropout=settings.dropout,
        embedding_dropout=settings.embedding_dropout,
        item_dropout=settings.item_dropout,
        smoothing=settings.smoothing,
        context=FeatureConfig(numbers=len(schema.context.numbers), categories=schema.context.sizes),
        catalogue=FeatureConfig(numbers=len(catalogue.numbers), categories=catalogue.sizes),
    )


def _start(config: RecommendConfig, events: Events, cut: Split, features: Features, seed: int) -> RecommendNetwork:
    """A fresh network whose biases are the log-popularity of the items and whose features are scaled."""
    with own_randomness(seed, 0):
        network = RecommendNetwork(config)
    counts = training_counts(events, cut) + UNSEEN
    with torch.no_grad():
        network.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        network.item_numbers.copy_(torch.from_numpy(features.numbers))
        network.item_codes.copy_(torch.from_numpy(features.codes))
        if network.catalogue is not None:
            network.catalogue.set_scale(network.item_numbers)
        if network.context is not None:
            network.context.set_scale(torch.from_numpy(events.context.numbers[training_rows(events, cut)]))
    return network
