"""The networks run over whole series, state carried, in blocks of bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.forecasting.dataset import Dataset
from foretell.jobs.forecasting.model import Model
from foretell.networks.forecast import State

TRACKS_AT_ONCE = 64
STEPS_AT_ONCE = 16_384  # of all tracks together


@dataclass(frozen=True)
class Run:
    """Outputs of each network at the wanted rows, in the order of tracks then rows, and final states."""

    track: NDArray[np.int64]  # [n]
    row: NDArray[np.int64]  # [n] in the panel
    hidden: list[Tensor]  # one a network, [n,hidden]
    h: Tensor  # [members,layers,R,hidden]
    c: Tensor


@torch.inference_mode()
def run(model: Model, data: Dataset, wanted: list[NDArray[np.int64]]) -> Run:
    """Read every track from its first row to its last; keep the outputs at the `wanted` rows of each series.

    `wanted` holds panel rows in rising order, one array a series.
    """
    shape = (len(model.networks), model.config.layers, data.tracks, model.config.hidden)
    h, c = torch.zeros(shape), torch.zeros(shape)
    kept: list[list[Tensor]] = [[] for _ in model.networks]
    tracks, rows = [], []
    for block in _blocks(data):
        carried: list[State | None] = [None] * len(model.networks)
        for first, time, going in _spans(data, block):
            steps = data.steps(going, data.offsets[going % data.series] + first, time)
            track, row, at = _inside(data, wanted, going, first, time)
            tracks.append(track)
            rows.append(row)
            for member, network in enumerate(model.networks):
                state = carried[member]
                if state is not None:
                    state = (state[0][:, -len(going) :].contiguous(), state[1][:, -len(going) :].contiguous())
                hidden, state = network.read(steps, state)
                carried[member] = state
                kept[member].append(hidden[at[0], at[1]])
                h[member][:, going], c[member][:, going] = state
    track, row = _joined(tracks), _joined(rows)
    order = np.lexsort((row, track))
    outputs = [torch.cat(parts)[torch.from_numpy(order)] for parts in kept]
    return Run(track[order], row[order], outputs, h, c)


def _blocks(data: Dataset) -> Iterator[Tensor]:
    """Tracks of similar length together, the shortest first within a block."""
    lengths = (data.offsets[1:] - data.offsets[:-1]).repeat(len(data.values))
    order = torch.argsort(lengths, stable=True)
    order = order[lengths[order] > 0]
    yield from torch.split(order, TRACKS_AT_ONCE)


def _spans(data: Dataset, block: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """(first step, steps, tracks still going): cut where a track ends, so that its state is that of its end."""
    lengths = (data.offsets[1:] - data.offsets[:-1])[block % data.series]
    first = 0
    while first < int(lengths[-1]):
        going = lengths > first
        time = min(max(1, STEPS_AT_ONCE // int(going.sum())), int(lengths[going].min()) - first)
        yield first, time, block[going]
        first += time


def _inside(
    data: Dataset, wanted: list[NDArray[np.int64]], going: Tensor, first: int, time: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[Tensor, Tensor]]:
    """The wanted rows that fall into a span: their tracks, rows, and (step, lane) indices."""
    tracks, rows, steps, lanes = [], [], [], []
    for lane, track in enumerate(going.tolist()):
        begin = int(data.offsets[track % data.series]) + first
        series = wanted[track % data.series]
        low, high = np.searchsorted(series, [begin, begin + time])
        inside = series[low:high]
        tracks.append(np.full(len(inside), track, np.int64))
        rows.append(inside)
        steps.append(inside - begin)
        lanes.append(np.full(len(inside), lane, np.int64))
    at = torch.from_numpy(_joined(steps)), torch.from_numpy(_joined(lanes))
    return _joined(tracks), _joined(rows), at


def _joined(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
