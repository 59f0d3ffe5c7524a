"""Why a forecast is what it is: the gates over the recent past, and what each input is worth."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from foretell.jobs.forecasting.dataset import Dataset
from foretell.jobs.forecasting.model import Model
from foretell.jobs.forecasting.predicting import readable_times
from foretell.networks.quantiles import pinball
from foretell.sequences import Panel

GATES = {"f": "forget", "i": "input", "o": "output", "c": "cell", "g": "candidate"}
WARM_UP = 256  # steps before those shown
SAMPLE = 64  # tracks that the worth of inputs is measured on
ORIGINS = 512  # forecast origins of each


@dataclass(frozen=True)
class Explanation:
    """What `explain` found. Frames are of the kind that the table came in."""

    inputs: Any  # input, loss_without, increase: how much worse forecasts get when an input is hidden
    gates: Any  # ds, layer, gate, unit, value: of one series, gates after their activation, and the cell state
    half_life: Any  # layer, unit, steps: how long a cell's content takes to fade to half, at its mean forget gate


def explain(model: Model, panel: Panel, series: int, rows: int) -> Explanation:
    """Gates of the first target of a series over its last `rows` rows; inputs over the recent past of all."""
    _, data = model.scale(panel)
    gates = gate_frame(model, panel, data, series, rows)
    return Explanation(input_worth(model, data), gates, _half_lives(gates))


@torch.inference_mode()
def gate_frame(model: Model, panel: Panel, data: Dataset, series: int, rows: int) -> pl.DataFrame:
    """Every gate and the cell state of the first network, step by step: ds, layer, gate, unit, value."""
    length = int(panel.lengths[series])
    first = max(0, length - rows - WARM_UP)
    steps = data.steps(torch.tensor([series]), data.offsets[series : series + 1] + first, length - first)
    trace = model.networks[0].trace(steps)
    shown = min(rows, length)
    times = panel.times(series, length - shown, length)
    frames = []
    for layer, directions in enumerate(trace.layers):
        for letter, name in GATES.items():
            values = getattr(directions[0], letter)[-shown:, 0]
            frames.append(_long(values, times, layer, name))
    return readable_times(pl.concat(frames), panel.frequency)


def _long(values: Tensor, times: Any, layer: int, gate: str) -> pl.DataFrame:
    """[T,H] as rows."""
    time, units = values.shape
    return pl.DataFrame(
        {
            "ds": np.repeat(times, units),
            "layer": np.full(time * units, layer),
            "gate": [gate] * (time * units),
            "unit": np.tile(np.arange(units), time),
            "value": values.reshape(-1).numpy(),
        }
    )


def _half_lives(gates: pl.DataFrame) -> pl.DataFrame:
    """ln 2 / -ln f of each unit at its mean forget gate f."""
    means = (
        gates.filter(pl.col("gate") == "forget")
        .group_by("layer", "unit", maintain_order=True)
        .agg(pl.col("value").mean())
    )
    steps = np.log(2) / -pl.col("value").clip(1e-6, 1 - 1e-6).log()
    return means.select("layer", "unit", steps.alias("steps")).sort("steps", descending=True)


def input_worth(model: Model, data: Dataset) -> pl.DataFrame:
    """The loss over recent origins with every input in place, and with each hidden in turn, worst loss first."""
    complete = _loss(model, data)
    rows = [{"input": name, "loss_without": _loss(model, hidden)} for name, hidden in _hidden(model, data).items()]
    rows.append({"input": "LSTM (linear skip alone)", "loss_without": _loss(model, data, lstm=False)})
    frame = pl.DataFrame(rows).with_columns((pl.col("loss_without") / complete - 1).alias("increase"))
    return frame.sort("increase", descending=True)


def _hidden(model: Model, data: Dataset) -> dict[str, Dataset]:
    """Copies of the data in which one input each says nothing."""
    schema, hidden = model.schema, {}
    if data.calendar.shape[1]:
        silent = data.own.clone()
        silent[..., 3:] = 0.0
        hidden["calendar"] = replace(data, calendar=torch.zeros_like(data.calendar), own=silent)
    for role in ("past", "known", "static"):
        numeric, categorical = schema.numeric(role), schema.categorical(role)
        for place, name in enumerate(numeric):
            values = getattr(data, role).clone()
            values[:, [place, place + len(numeric)]] = 0.0  # the value and its mask
            hidden[name] = replace(data, **{role: values})
        for place, name in enumerate(categorical):
            codes = getattr(data, f"{role}_codes").clone()
            codes[:, place] = 0
            hidden[name] = replace(data, **{f"{role}_codes": codes})
    if model.config.tracks:
        hidden["series identity"] = replace(data, identity=torch.zeros_like(data.identity))
    return hidden


@torch.inference_mode()
def _loss(model: Model, data: Dataset, lstm: bool = True) -> float:
    """Mean pinball loss over the last origins of a sample of tracks, in units of the spread."""
    lengths = (data.offsets[1:] - data.offsets[:-1]).repeat(len(data.values))
    tracks = torch.argsort(lengths, descending=True, stable=True)[:SAMPLE]
    time = min(int(lengths[tracks].max()), ORIGINS + WARM_UP)
    stop = data.offsets[tracks % data.series + 1]
    steps, goal = data.steps_and_goal(tracks, stop - time, stop, time, stop)
    began = torch.maximum(data.offsets[tracks % data.series], stop - ORIGINS)
    goal = replace(goal, learn=goal.learn * (stop - time + torch.arange(time)[:, None] >= began))
    hidden = [network.read(steps)[0] for network in model.networks]
    if not lstm:
        hidden = [torch.zeros_like(one) for one in hidden]
    total, count = pinball(model.quantiles(steps, hidden), *goal.scaled(), torch.tensor(model.settings.quantiles))
    return float(total / count.clamp(min=1))
