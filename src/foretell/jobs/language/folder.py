"""A language model in a model folder, and a training run in its checkpoint folder."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foretell.jobs.language.model import Model
from foretell.jobs.language.settings import Settings
from foretell.jobs.trained import JobRecord, JobRun, read_record, write_record
from foretell.networks.language import LanguageConfig, LanguageNetwork, State
from foretell.sequences.tokens import tokenizer_from_json
from foretell.store import below
from foretell.training.loop import own_randomness

JOB = "text"


class Record(JobRecord):
    """See `JobRecord`."""

    job: str = JOB
    settings: Settings
    config: LanguageConfig
    tokenizer: dict[str, Any]
    sources: tuple[str, ...] | None  # files of the text, read again when no other is given
    checksum: str  # of the text
    documents: int
    characters: int
    tokens: tuple[int, int, int]  # trained on, validated on, held out


class Run(JobRun):
    """See `JobRun`."""

    job: str = JOB
    settings: Settings
    sources: tuple[str, ...] | None


def save(folder: Path, record: Record, model: Model, context: State) -> None:
    """Write the weights and the state of the context, then the record."""
    tensors = {f"network.{name}": tensor for name, tensor in _weights(model.network).items()}
    for layer, (h, c) in enumerate(context):
        tensors |= {f"context.h.{layer}": h, f"context.c.{layer}": c}
    write_record(folder, record, tensors)


def load(folder: Path) -> tuple[Record, Model, State]:
    """The inverse of `save`."""
    record, tensors = read_record(folder, Record)
    with own_randomness(0, 0):  # what is drawn at the start is replaced, and the caller's generator not touched
        network = LanguageNetwork(record.config, torch.ones(record.config.tokens, dtype=torch.int64))
    weights = below(tensors, "network.")
    if record.config.tied:
        weights["head.weight"] = weights["embedding.weight"]
    network.load_state_dict(weights)
    model = Model(record.settings, tokenizer_from_json(record.tokenizer), network.eval())
    state = below(tensors, "context.")
    layers = range(record.config.layers)
    return record, model, tuple((state[f"h.{layer}"], state[f"c.{layer}"]) for layer in layers)


def _weights(network: LanguageNetwork) -> dict[str, Tensor]:
    """The tensors of a network, a shared one once."""
    tensors = dict(network.state_dict())
    if network.config.tied:
        del tensors["head.weight"]
    return tensors
