"""A language model in a model folder, and a training run in its checkpoint folder."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from foretell.jobs.language.mixture import Mixture
from foretell.jobs.language.model import Model
from foretell.jobs.language.settings import Settings
from foretell.jobs.language.stepper import Context
from foretell.jobs.trained import JobRecord, JobRun, read_record, write_record
from foretell.networks.language import LanguageConfig, LanguageNetwork
from foretell.sequences.tokens import tokenizer_from_json
from foretell.store import below
from foretell.training.loop import own_randomness

JOB = "text"


class NGramRecord(BaseModel):
    """The n-grams that have a say; the tokens that they are counted on stand beside the weights."""

    order: int
    share: float


class Record(JobRecord):
    """See `JobRecord`."""

    job: str = JOB
    settings: Settings
    config: LanguageConfig
    ngrams: NGramRecord | None = None
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


def ngram_record(mixture: Mixture | None) -> NGramRecord | None:
    """What a record says of a mixture."""
    return None if mixture is None else NGramRecord(order=mixture.order, share=mixture.share)


def save(folder: Path, record: Record, model: Model, context: Context) -> None:
    """Write the weights, the text of the n-grams and the context, then the record."""
    tensors = {f"network.{name}": tensor for name, tensor in _weights(model.network).items()}
    tensors["context.recent"] = torch.tensor(context.recent)
    for layer, (h, c) in enumerate(context.state):
        tensors |= {f"context.h.{layer}": h, f"context.c.{layer}": c}
    if model.mixture is not None:
        tensors["ngrams.tokens"] = torch.from_numpy(model.mixture.tokens.astype(_smallest(model.mixture.size)))
    write_record(folder, record, tensors)


def load(folder: Path) -> tuple[Record, Model, Context]:
    """The inverse of `save`."""
    record, tensors = read_record(folder, Record)
    with own_randomness(0, 0):  # what is drawn at the start is replaced, and the caller's generator not touched
        network = LanguageNetwork(record.config, torch.ones(record.config.tokens, dtype=torch.int64))
    weights = below(tensors, "network.")
    if record.config.tied:
        weights["head.weight"] = weights["embedding.weight"]
    network.load_state_dict(weights)
    mixture = None
    if record.ngrams is not None:
        tokens = tensors["ngrams.tokens"].numpy().astype(np.int32)
        mixture = Mixture(tokens, record.config.tokens, record.ngrams.order, record.ngrams.share)
    model = Model(record.settings, tokenizer_from_json(record.tokenizer), network.eval(), mixture)
    parts = below(tensors, "context.")
    state = tuple((parts[f"h.{layer}"], parts[f"c.{layer}"]) for layer in range(record.config.layers))
    recent = parts.get("recent", torch.tensor([record.config.tokens]))  # older folders have neither it nor n-grams
    return record, model, Context(state, tuple(recent.tolist()))


def _smallest(size: int) -> type[np.integer[Any]]:
    """The kind of number for tokens 0..V that takes the least room."""
    return next(kind for kind in (np.uint8, np.int16, np.int32) if np.iinfo(kind).max >= size)


def _weights(network: LanguageNetwork) -> dict[str, Tensor]:
    """The tensors of a network, a shared one once."""
    tensors = dict(network.state_dict())
    if network.config.tied:
        del tensors["head.weight"]
    return tensors
