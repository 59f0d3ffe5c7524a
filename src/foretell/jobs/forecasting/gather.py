"""Rows of tables for many lanes at once: in the compiled core, which copies them on all threads, or in PyTorch."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from foretell import native


class Lanes(NamedTuple):
    """Which rows B lanes read, each [B] whole numbers of 64 bits."""

    first: Tensor  # row of step 0
    begin: Tensor  # rows before this or from `end` on give way to the nearest within
    end: Tensor
    track: Tensor  # added to rows in tables of tracks


class Part(NamedTuple):
    """What to read and where to write it; features of tables lie side by side, as do those of `to`."""

    table: Tensor  # [N,F]
    to: Tensor  # [T,B,F]  of the same number type
    lead: int = 0  # the first step that is read
    of_tracks: bool = False  # rows are those of a track, not of a series
    until: Tensor | None = None  # [B]  the row from which on zeros are written
    factor: Tensor | None = None  # [N]  of tracks, by which the floats of a row are multiplied
    limit: float = math.inf  # how far products may lie away from 0


def gather(lanes: Lanes, *parts: Part) -> None:
    """Fill every part's `to`: at step t of lane b with row first[b] + lead + t of its table."""
    core = native.load()
    parts = tuple(part for part in parts if part.table.shape[1])
    if core is None:
        for part in parts:
            _gather(lanes, part)
        return
    numbers = [
        (table, table.element_size(), to, table.shape[1], lead, of_tracks, until, factor, limit)
        for table, to, lead, of_tracks, until, factor, limit in parts
    ]
    core.gather(len(lanes.first), lanes, numbers, torch.get_num_threads())


def _gather(lanes: Lanes, part: Part) -> None:
    """The definition: what the compiled core answers to."""
    steps = torch.arange(part.lead, part.lead + len(part.to))[:, None]
    asked = lanes.first + steps
    rows = asked.clamp(lanes.begin, lanes.end - 1)
    of_track = rows + lanes.track
    found = part.table[of_track if part.of_tracks else rows]
    if part.factor is not None:
        found = (found * part.factor[of_track].unsqueeze(-1)).clamp_(-part.limit, part.limit)
    part.to.copy_(found if part.until is None else found.masked_fill((asked >= part.until).unsqueeze(-1), 0))
