"""The translator on disk: what its model folder and its checkpoint folder hold."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from foretell.jobs.trained import JobRecord, JobRun, read_record, write_record
from foretell.jobs.translating.dictionary import Dictionary
from foretell.jobs.translating.model import Model
from foretell.jobs.translating.origin import Origin
from foretell.jobs.translating.settings import Settings
from foretell.jobs.translating.splits import Split
from foretell.networks.translate import TranslateConfig, TranslateNetwork
from foretell.sequences.tokens import Tokenizer, tokenizer_from_json
from foretell.store import below

JOB = "translate"


class Counts(BaseModel):
    """Pairs."""

    model_config = ConfigDict(extra="forbid")

    train: int
    validation: int
    test: int
    too_long: int  # of those to train on, left out
    blank: int  # left out because both sentences are empty


class Record(JobRecord):
    """See `JobRecord`."""

    job: str = JOB
    settings: Settings
    config: TranslateConfig
    origin: Origin
    pairs: Counts
    checksum: str


class Run(JobRun):
    """See `JobRun`."""

    job: str = JOB
    settings: Settings
    origin: Origin


def save(folder: Path, record: Record, model: Model, memory: Mapping[str, str]) -> None:
    """Write the weights, and the texts among them: the vocabularies, the dictionary, the translation memory."""
    texts = {
        "source": json.dumps(model.source.to_json()),
        "target": json.dumps(model.target.to_json()) if model.target is not model.source else "",
        "dictionary": model.dictionary.to_text(),
        "memory": json.dumps(dict(memory)),
    }
    tensors = {f"text.{name}": _to_bytes(text) for name, text in texts.items()}
    tensors |= {f"network.{name}": tensor for name, tensor in model.network.state_dict().items()}
    write_record(folder, record, tensors)


def load(folder: Path) -> tuple[Record, Model, dict[str, str]]:
    """The inverse of `save`."""
    record, tensors = read_record(folder, Record)
    texts = {name: _to_text(tensor) for name, tensor in below(tensors, "text.").items()}
    source: Tokenizer = tokenizer_from_json(json.loads(texts["source"]))
    target = tokenizer_from_json(json.loads(texts["target"])) if texts["target"] else source
    network = _network(record.config, below(tensors, "network."))
    model = Model(record.settings, source, target, network, Dictionary.from_text(texts["dictionary"]))
    return record, model, json.loads(texts["memory"])


def checksum(parts: Split) -> str:
    """A fingerprint of every pair and of the part it is in."""
    digest = hashlib.sha256()
    for part in (parts.train, parts.validation, parts.test):
        texts = (part.source, part.target) if part else ()
        digest.update(json.dumps(texts).encode())
    return digest.hexdigest()


def _network(config: TranslateConfig, weights: Mapping[str, Tensor]) -> TranslateNetwork:
    with torch.device("meta"):  # no starting weights are drawn: these are given
        network = TranslateNetwork(config)
    network.load_state_dict(dict(weights), assign=True)
    return network.eval()


def _to_bytes(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(text.encode(), np.uint8).copy())


def _to_text(tensor: Tensor) -> str:
    return tensor.numpy().tobytes().decode()
