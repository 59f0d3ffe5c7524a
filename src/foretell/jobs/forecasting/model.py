"""What a trained forecaster is made of: settings, findings, networks, calibration and the present of each track."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.forecasting.calendars import panel_calendar
from foretell.jobs.forecasting.dataset import Dataset, make_dataset
from foretell.jobs.forecasting.settings import Fitted, Settings
from foretell.jobs.forecasting.tracks import Tracks, make_tracks
from foretell.networks.forecast import ForecastConfig, ForecastNetwork, Steps
from foretell.sequences import Panel, Schema

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """Everything that training made. Predictions average the quantiles of the networks, then widen them."""

    settings: Settings
    schema: Schema
    fitted: Fitted
    config: ForecastConfig
    networks: tuple[ForecastNetwork, ...]
    widening: Tensor  # [levels,H] in units of the spread: how far conformal calibration moves interval ends out
    ids: tuple[str, ...]  # series trained on; their order gives the identities

    def quantiles(self, steps: Steps, hidden: list[Tensor]) -> Tensor:
        """Calibrated quantiles [T,B,H,Q] in the scale of each step, from each network's outputs."""
        answers = [network.answer(steps, h) for network, h in zip(self.networks, hidden, strict=True)]
        mean = answers[0] if len(answers) == 1 else torch.stack(answers).mean(0)
        return widen(mean, self.widening)

    def scale(self, panel: Panel, tracks: Tracks | None = None) -> tuple[Tracks, Dataset]:
        """A panel as the networks read it; `tracks`, if it is scaled already."""
        if tracks is None:
            calendar = panel_calendar(panel, self.settings.season, self.fitted.calendar)
            tracks = make_tracks(panel, self.fitted.scaling, calendar)
        return tracks, make_dataset(panel, tracks, self.fitted, self.settings.horizon, self.identities(panel.ids))

    def identities(self, ids: tuple[str, ...]) -> NDArray[np.int64]:
        """The identity of each track of these series, 0 for one not trained on, [R]."""
        targets = len(self.schema.targets)
        if not self.config.tracks:
            return np.zeros(targets * len(ids), np.int64)
        place = {name: number for number, name in enumerate(self.ids)}
        found = [(target, place.get(name)) for target in range(targets) for name in ids]
        return np.array([0 if n is None else 1 + target * len(self.ids) + n for target, n in found], np.int64)


def widen(quantiles: Tensor, widening: Tensor) -> Tensor:
    """Move both ends of every interval [...,H,Q] out (or in, but never past the median or a narrower interval)."""
    moved = quantiles + shifts(widening)
    middle = quantiles.shape[-1] // 2
    above = moved[..., middle:].cummax(-1).values
    below = moved[..., : middle + 1].flip(-1).cummin(-1).values.flip(-1)
    return torch.cat([below[..., :-1], above], dim=-1)


def shifts(widening: Tensor) -> Tensor:
    """How far each quantile moves, [H,Q], from how far the ends of each level do, [levels,H]."""
    outwards = widening.T
    return torch.cat([-outwards.flip(-1), torch.zeros_like(outwards[:, :1]), outwards], dim=-1)


@dataclass
class Memory:
    """The present of R tracks of S series: all that predicting and going on need, however long the past.

    Arrays beginning with a track are [R,...], with a series [S,...]; L context, F calendar columns.
    """

    length: NDArray[np.int64]  # [S] rows so far; the next one has this position on the grid
    start: NDArray[np.int64]  # [S] time of the first row: microseconds since 1970, or integer time
    window: NDArray[np.float32]  # [R,L] transformed, gap-filled, minus origin
    origin: Floats  # [R]
    gap: NDArray[np.float32]  # [R] rows since the last observation
    count: NDArray[np.int64]  # [R] observations so far
    sums: Floats  # [R,3] rows, sum and sum of squares of the values
    past: NDArray[np.float32]  # [S,2P] the last row's scaled covariates
    past_codes: NDArray[np.int64]
    past_sums: Floats  # [S,P,5] rows, sum, sum of squares, origin, last value
    known: NDArray[np.float32]
    known_codes: NDArray[np.int64]
    known_sums: Floats  # [S,K,5]
    static: NDArray[np.float32]
    static_codes: NDArray[np.int64]
    identity: NDArray[np.int64]  # [R]
    h: NDArray[np.float32]  # [members,layers,R,hidden]
    c: NDArray[np.float32]

    def of_series(self, series: int) -> "Memory":
        """A copy for one series alone."""
        tracks = np.arange(series, len(self.window), len(self.length))
        picked = {name: self._pick(name, np.array([series]), tracks).copy() for name in self._names()}
        return Memory(**picked)

    def put(self, series: int, other: "Memory") -> None:
        """Take over the memory of one series."""
        tracks = np.arange(series, len(self.window), len(self.length))
        for name in self._names():
            value, new = getattr(self, name), getattr(other, name)
            if name in ("h", "c"):
                value[:, :, tracks] = new
            else:
                value[tracks if name in OF_TRACKS else [series]] = new

    def tensors(self) -> dict[str, Tensor]:
        """For the model folder."""
        return {f"memory.{name}": torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in self._names()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """The inverse of `tensors`."""
        values: dict[str, Any] = {name: tensors[f"memory.{name}"].numpy() for name in cls._names()}
        return cls(**values)

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls)]

    def _pick(self, name: str, series: NDArray[np.int64], tracks: NDArray[np.int64]) -> NDArray[Any]:
        value = getattr(self, name)
        if name in ("h", "c"):
            return np.asarray(value[:, :, tracks])
        return np.asarray(value[tracks if name in OF_TRACKS else series])


OF_TRACKS = ("window", "origin", "gap", "count", "sums", "identity")
