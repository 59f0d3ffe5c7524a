"""From sentence pairs to a trained model: split, vocabularies, dictionary, network."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from foretell.errors import InputError
from foretell.jobs.runs import NETWORK
from foretell.jobs.translating.dictionary import learn_dictionary
from foretell.jobs.translating.model import SPECIAL, Model, encode
from foretell.jobs.translating.settings import Settings
from foretell.jobs.translating.splits import Split
from foretell.jobs.translating.task import Encoded, TranslateTask
from foretell.networks.translate import TranslateConfig, TranslateNetwork
from foretell.sequences.pairs import Pairs
from foretell.sequences.tokens import Tokenizer, train_tokenizer
from foretell.training.checkpoint import Checkpoint
from foretell.training.loop import Epoch, Plan, Progress, own_randomness, train

# The words of a text grow as the root of its length (Heaps 1978); so do the pieces they are made of.
PIECES, FEWEST, MOST = 47.0, 300, 32_000
STEPS, EPOCHS = 3000, (5, 60)  # a training aims at so many steps, in so many epochs at least and at most
FINE_TUNING = 0.25  # of the learning rate, for weights that were trained already
SMALL_BATCH = 500  # tokens of a batch below which a second thread only waits


@dataclass(frozen=True)
class Draft:
    """A model that is ready to be trained."""

    model: Model
    task: TranslateTask
    plan: Plan
    too_long: int  # pairs that are not trained on


def draft_model(parts: Split, settings: Settings, warm: Model | None = None) -> Draft:
    """Vocabularies, dictionary and starting weights for a split; with `warm`, those of that model, to go on from."""
    model = _from_model(warm, settings) if warm else _from_start(parts.train, settings)
    pairs, too_long = _encoded(parts.train, model, settings.longest)
    if not pairs.source:
        raise InputError(
            f"{parts.train.name}: every pair has a sentence of more than longest={settings.longest} pieces of words, "
            "so none is left to train on; raise longest, or split the sentences."
        )
    validation, _ = _encoded(parts.validation, model, None)
    task = TranslateTask(
        model.network,
        pairs,
        validation,
        tokens=settings.batch,
        smoothing=settings.smoothing,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
    )
    return Draft(model, task, _plan(settings, task, bool(warm)), too_long)


def train_model(draft: Draft, checkpoint: Path | None = None, progress: Progress | None = None) -> list[Epoch]:
    """Train in place; returns the curve.

    With a checkpoint folder the run can be killed at any moment and called again with the same draft: it ends with
    the same weights.
    """
    saved = Checkpoint(checkpoint / NETWORK) if checkpoint else None
    return train(draft.model.network, draft.task, draft.plan, saved, progress)


def _from_start(pairs: Pairs, settings: Settings) -> Model:
    source, target = _tokenizers(pairs, settings)
    config = TranslateConfig(
        source=source.size,
        target=target.size,
        joint=settings.joint,
        hidden=settings.hidden,
        layers=settings.layers,
        heads=settings.heads,
        dropout=settings.dropout,
    )
    with own_randomness(settings.seed, 0):
        network = TranslateNetwork(config)
    return Model(settings, source, target, network, learn_dictionary(pairs.source, pairs.target))


def _from_model(warm: Model, settings: Settings) -> Model:
    return replace(warm, settings=settings, network=copy.deepcopy(warm.network))


def _tokenizers(pairs: Pairs, settings: Settings) -> tuple[Tokenizer, Tokenizer]:
    size = settings.vocabulary or int(np.clip(PIECES * len(pairs) ** 0.5, FEWEST, MOST))
    sides = [[*pairs.source, *pairs.target]] if settings.joint else [pairs.source, pairs.target]
    made = [train_tokenizer("bpe", (f" {text}" for text in side), size, SPECIAL) for side in sides]
    return made[0], made[-1]


def _encoded(pairs: Pairs, model: Model, longest: int | None) -> tuple[Encoded, int]:
    """The pairs as tokens, and how many were left out because a sentence has more than `longest`."""
    source = [encode(model.source, text) for text in pairs.source]
    target = [encode(model.target, text) for text in pairs.target]
    both = zip(source, target, strict=True)
    kept = [number for number, pair in enumerate(both) if longest is None or max(map(len, pair)) <= longest]
    return Encoded([source[number] for number in kept], [target[number] for number in kept]), len(pairs) - len(kept)


def _plan(settings: Settings, task: TranslateTask, fine_tuning: bool) -> Plan:
    epochs = settings.epochs or int(np.clip(round(STEPS / task.steps_an_epoch), *EPOCHS))
    rate = settings.learning_rate * (FINE_TUNING if fine_tuning else 1.0)
    threads = 1 if settings.batch < SMALL_BATCH else None
    return Plan(epochs, task.steps_an_epoch, rate, settings.seed, threads)
