"""A recommender in a model folder, and a training run in its checkpoint folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import Split
from foretell.jobs.trained import JobRecord, JobRun, read_record, write_record
from foretell.networks.recommend import RecommendConfig, RecommendNetwork
from foretell.sequences.events import Events, EventSchema
from foretell.sequences.features import Features, FeatureSchema
from foretell.store import below

JOB = "recommend"


class Record(JobRecord):
    """See `JobRecord`."""

    job: str = JOB
    settings: Settings
    data: EventSchema
    catalogue: FeatureSchema
    config: RecommendConfig
    users: int
    items: int
    events: int
    repeated: int  # rows left out as they repeat another's user, item and time
    source: str | None  # the file the events came from
    query: str | None


class Run(JobRun):
    """See `JobRun`."""

    job: str = JOB
    settings: Settings
    data: EventSchema
    source: str | None
    query: str | None
    catalogue: str | None  # the file of item features


def save(folder: Path, record: Record, model: Model) -> None:
    """Write weights, events and split, then the record."""
    events = model.events
    tensors = {f"network.{name}": tensor for name, tensor in model.network.state_dict().items()}
    arrays = {
        "events.item": events.item,
        "events.offsets": events.offsets,
        "events.numbers": events.context.numbers,
        "events.codes": events.context.codes,
        "names.users": _packed(events.users),
        "names.items": _packed(events.items),
    }
    if events.times is not None:
        arrays["events.times"] = events.times
    arrays |= dict(zip(("split.train", "split.validation", "split.stop"), model.split.parts, strict=True))
    tensors |= {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    write_record(folder, record, tensors)


def load(folder: Path) -> tuple[Record, Model]:
    """The inverse of `save`."""
    record, tensors = read_record(folder, Record)
    kept = {name: tensor.numpy() for name, tensor in below(tensors, "events.").items()}
    cut = {name: tensor.numpy() for name, tensor in below(tensors, "split.").items()}
    events = Events(
        users=_unpacked(tensors["names.users"]),
        items=_unpacked(tensors["names.items"]),
        item=kept["item"],
        offsets=kept["offsets"],
        times=kept.get("times"),
        context=Features(kept["numbers"], kept["codes"]),
        repeated=record.repeated,
    )
    network = _network(record.config, below(tensors, "network."))
    return record, Model(record.settings, record.data, record.catalogue, network, events, Split(**cut))


def checksum(events: Events, catalogue: Features) -> str:
    """A fingerprint of everything that training reads."""
    digest = hashlib.sha256(_packed(events.items).tobytes())
    parts: list[np.ndarray[Any, Any]] = [events.item, events.offsets, events.context.numbers, events.context.codes]
    parts += [catalogue.numbers, catalogue.codes]
    for part in parts:
        digest.update(part.tobytes())
    if events.times is not None:
        digest.update(events.times.tobytes())
    return digest.hexdigest()


def _packed(names: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Names as the bytes of a JSON list: among the tensors they cost no line of the settings each."""
    return np.frombuffer(json.dumps(names, ensure_ascii=False).encode(), np.uint8)


def _unpacked(names: Tensor) -> tuple[str, ...]:
    return tuple(json.loads(names.numpy().tobytes()))


def _network(config: RecommendConfig, weights: Mapping[str, Tensor]) -> RecommendNetwork:
    with torch.device("meta"):  # no starting weights are drawn: these are given
        network = RecommendNetwork(config)
    network.load_state_dict(dict(weights), assign=True)
    return network.eval()
