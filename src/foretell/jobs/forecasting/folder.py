"""A forecaster in a model folder, and a training run in its checkpoint folder."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from foretell.errors import InputError
from foretell.jobs.forecasting.model import Memory, Model
from foretell.jobs.forecasting.settings import Fitted, Settings
from foretell.networks.forecast import ForecastConfig, ForecastNetwork
from foretell.sequences import Panel, Schema
from foretell.store import below, read_model, write_atomic, write_model
from foretell.training.loop import Epoch

JOB = "forecast"
RUN, MEMBER = "run.json", "member-"
CHECKPOINT = "checkpoint"  # where a training run lies within its model folder


class Record(BaseModel):
    """What a model folder says about its model beside the weights."""

    model_config = ConfigDict(extra="forbid")

    job: str = JOB
    settings: Settings
    data: Schema
    fitted: Fitted
    config: ForecastConfig
    ids: tuple[str, ...]  # series trained on
    seen_until: tuple[int, ...]  # time of the last row of each that training and calibration used
    source: str | None  # the file the table came from, read again when no data is given
    query: str | None
    training: list[dict[str, float | int | None]]
    seconds: float
    headline: str | None  # of the evaluation at training time
    scores: list[dict[str, Any]]


class Run(BaseModel):
    """What a run that was killed needs beside its checkpoints."""

    model_config = ConfigDict(extra="forbid")

    job: str = JOB
    settings: Settings
    data: Schema
    source: str | None
    query: str | None
    checksum: str


def save(folder: Path, record: Record, model: Model, memory: Memory) -> None:
    """Write weights, calibration and memory, then the record."""
    tensors = {"widening": model.widening, **memory.tensors()}
    for member, network in enumerate(model.networks):
        tensors |= {f"network.{member}.{name}": tensor for name, tensor in network.state_dict().items()}
    write_model(folder, json.loads(record.model_dump_json()), tensors)


def load(folder: Path) -> tuple[Record, Model, Memory]:
    """The inverse of `save`."""
    content, tensors = read_model(folder)
    body = {name: value for name, value in content.items() if name not in ("format", "weights_sha256")}
    record = Record.model_validate(body)
    networks = tuple(
        _network(record.config, below(tensors, f"network.{member}.")) for member in range(record.settings.members)
    )
    model = Model(record.settings, record.data, record.fitted, record.config, networks, tensors["widening"], record.ids)
    return record, model, Memory.from_tensors(tensors)


def begin_run(folder: Path, run: Run) -> None:
    """Note what is being trained, so that `resume` can go on; checkpoints of another run are refused."""
    path = folder / RUN
    content = run.model_dump_json(indent=1).encode()
    if path.is_file() and path.read_bytes() != content:
        raise InputError(
            f"{folder}: holds the checkpoint of another training run; resume that one, or remove the folder, or "
            "give another."
        )
    write_atomic(path, content)


def member_checkpoint(folder: Path, member: int) -> Path:
    """The file in which one network's training goes on."""
    return folder / f"{MEMBER}{member}.safetensors"


def without_password(source: str) -> str:
    """A database address without its password: a model folder is for sharing."""
    return re.sub(r"([?&]password=)[^&]*", r"\1", re.sub(r"(://[^:/@]*):[^/]*@", r"\1@", source))


def read_run(folder: Path) -> Run:
    """The run that was being trained in a checkpoint folder."""
    path = folder / RUN
    if not path.is_file():
        raise InputError(f"{folder}: there is no training run to resume here; start one with `foretell train`.")
    try:
        return Run.model_validate_json(path.read_bytes())
    except ValidationError:
        raise InputError(f"{path}: the file is damaged or from another version; start the training anew.") from None


def end_run(folder: Path) -> None:
    """Remove the files of a run that has ended, and its folder if nothing else is in it."""
    for path in [folder / RUN, *folder.glob(f"{MEMBER}*.safetensors")]:
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def checksum(panel: Panel) -> str:
    """A fingerprint of everything that training reads."""
    parts = [panel.y, panel.offsets, panel.start]
    parts += [array for one in (panel.past, panel.known, panel.static) for array in (one.numbers, one.codes)]
    digest = hashlib.sha256(repr(panel.ids).encode())
    for part in parts:
        digest.update(part.tobytes())
    return digest.hexdigest()


def curve_rows(curves: list[list[Epoch]]) -> list[dict[str, float | int | None]]:
    """Training curves as rows for JSON and frames; epoch 0 has no training loss."""
    return [
        {
            "network": member,
            "epoch": line.epoch,
            "train": line.train if line.train == line.train else None,
            "validation": line.validation,
            "seconds": line.seconds,
        }
        for member, curve in enumerate(curves)
        for line in curve
    ]


def _network(config: ForecastConfig, weights: Mapping[str, Tensor]) -> ForecastNetwork:
    with torch.device("meta"):  # no starting weights are drawn: these are given
        network = ForecastNetwork(config)
    network.load_state_dict(dict(weights), assign=True)
    return network.eval()
