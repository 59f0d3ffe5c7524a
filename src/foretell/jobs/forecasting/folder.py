"""A forecaster in a model folder, and a training run in its checkpoint folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foretell.jobs.forecasting.model import Memory, Model
from foretell.jobs.forecasting.settings import Fitted, Settings
from foretell.jobs.runs import curve_rows
from foretell.jobs.trained import JobRecord, JobRun, read_record, write_record
from foretell.networks.forecast import ForecastConfig, ForecastNetwork
from foretell.sequences import Panel, Schema
from foretell.store import below
from foretell.training.loop import Epoch

JOB = "forecast"


class Record(JobRecord):
    """See `JobRecord`."""

    job: str = JOB
    settings: Settings
    data: Schema
    fitted: Fitted
    config: ForecastConfig
    ids: tuple[str, ...]  # series trained on
    seen_until: tuple[int, ...]  # time of the last row of each that training and calibration used
    source: str | None  # the file the table came from, read again when no data is given
    query: str | None


class Run(JobRun):
    """See `JobRun`."""

    job: str = JOB
    settings: Settings
    data: Schema
    source: str | None
    query: str | None


def save(folder: Path, record: Record, model: Model, memory: Memory) -> None:
    """Write weights, calibration and memory, then the record."""
    tensors = {"widening": model.widening, **memory.tensors()}
    for member, network in enumerate(model.networks):
        tensors |= {f"network.{member}.{name}": tensor for name, tensor in network.state_dict().items()}
    write_record(folder, record, tensors)


def load(folder: Path) -> tuple[Record, Model, Memory]:
    """The inverse of `save`."""
    record, tensors = read_record(folder, Record)
    networks = tuple(
        _network(record.config, below(tensors, f"network.{member}.")) for member in range(record.settings.members)
    )
    model = Model(record.settings, record.data, record.fitted, record.config, networks, tensors["widening"], record.ids)
    return record, model, Memory.from_tensors(tensors)


def member_checkpoint(folder: Path, member: int) -> Path:
    """The file in which one network's training goes on."""
    return folder / f"member-{member}.safetensors"


def checksum(panel: Panel) -> str:
    """A fingerprint of everything that training reads."""
    parts = [panel.y, panel.offsets, panel.start]
    parts += [array for one in (panel.past, panel.known, panel.static) for array in (one.numbers, one.codes)]
    digest = hashlib.sha256(repr(panel.ids).encode())
    for part in parts:
        digest.update(part.tobytes())
    return digest.hexdigest()


def curves_rows(curves: list[list[Epoch]]) -> list[dict[str, Any]]:
    """The networks' training curves as rows for JSON and frames."""
    return [{"network": member, **row} for member, curve in enumerate(curves) for row in curve_rows(curve)]


def _network(config: ForecastConfig, weights: Mapping[str, Tensor]) -> ForecastNetwork:
    with torch.device("meta"):  # no starting weights are drawn: these are given
        network = ForecastNetwork(config)
    network.load_state_dict(dict(weights), assign=True)
    return network.eval()
