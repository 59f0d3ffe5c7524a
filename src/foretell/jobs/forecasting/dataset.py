"""A panel as tensors, from which any batch of steps and their targets is gathered at a cost of its own size."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.forecasting.covariates import scaled_numbers, static_numbers
from foretell.jobs.forecasting.settings import Fitted
from foretell.jobs.forecasting.tracks import Tracks
from foretell.networks.forecast import Steps
from foretell.sequences.panel import Panel

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """R = C targets x S series tracks over N rows; track r is target r // S of series r % S."""

    context: int
    horizon: int
    offsets: Tensor  # [S+1]
    values: Tensor  # [C,N]
    observed: Tensor  # [C,N] as 0 and 1
    gap: Tensor  # [C,N]
    spread: Tensor  # [C,N]
    usable: Tensor  # [C,N] as 0 and 1: steps with a scale worth the name
    linear: Tensor  # [C,N,E]
    calendar: Tensor  # [N,F]
    past: Tensor  # [N,2P]
    past_codes: Tensor  # [N,P']
    known: Tensor  # [N,2K]
    known_codes: Tensor  # [N,K']
    static: Tensor  # [S,2S']
    static_codes: Tensor  # [S,S'']
    identity: Tensor  # [R] 0 for a track that was not trained on

    @property
    def series(self) -> int:
        return len(self.offsets) - 1

    @property
    def tracks(self) -> int:
        return len(self.values) * self.series

    def steps(self, tracks: Tensor, first: Tensor, time: int) -> Steps:
        """Steps first..first+time-1 of each track, [B]; before a series stands its first row, after it its last."""
        target, series = tracks // self.series, tracks % self.series
        start, stop = self.offsets[series], self.offsets[series + 1]
        span = torch.arange(1 - self.context, time + self.horizon)
        rows = (first[:, None] + span).clamp(start[:, None], (stop - 1)[:, None])  # [B, L-1+T+H]
        offset = (target * self.values.shape[1])[:, None]
        now = rows[:, self.context - 1 : self.context - 1 + time].T  # [T,B]
        here = now + offset.T
        ahead = rows[:, self.context - 1 :].T
        return Steps(
            values=self.values.view(-1)[(rows + offset)[:, : self.context - 1 + time]],
            gap=self.gap.view(-1)[here],
            level=self.values.view(-1)[here],
            spread=self.spread.view(-1)[here],
            linear=self.linear.flatten(0, 1)[here],
            calendar=self.calendar[now],
            past=self.past[now],
            past_codes=self.past_codes[now],
            known=self.known[ahead],
            known_codes=self.known_codes[ahead],
            static=self.static[series],
            static_codes=self.static_codes[series],
            track=self.identity[tracks],
        )

    def targets(self, tracks: Tensor, first: Tensor, last: Tensor, time: int, stop: Tensor) -> tuple[Tensor, Tensor]:
        """The H values after each step in the step's scale, and a mask of those to learn from, both [T,B,H].

        The mask leaves out steps from `last` on, steps without a usable scale, gaps, and rows from `stop` on.
        """
        target, series = tracks // self.series, tracks % self.series
        rows = first[:, None] + torch.arange(time + self.horizon)  # [B,T+H]
        inside = rows < stop[:, None]
        rows = rows.clamp(self.offsets[series][:, None], (self.offsets[series + 1] - 1)[:, None])
        flat = rows + (target * self.values.shape[1])[:, None]
        known = self.observed.view(-1)[flat] * inside
        here = flat[:, :time].T
        learn = self.usable.view(-1)[here] * (rows[:, :time] < last[:, None]).T
        ahead = self.values.view(-1)[flat][:, 1:].unfold(1, self.horizon, 1).transpose(0, 1)
        mask = known[:, 1:].unfold(1, self.horizon, 1).transpose(0, 1) * learn.unsqueeze(-1)
        level, spread = self.values.view(-1)[here], self.spread.view(-1)[here]
        return (ahead - level.unsqueeze(-1)) / spread.unsqueeze(-1), mask


def make_dataset(
    panel: Panel,
    tracks: Tracks,
    fitted: Fitted,
    horizon: int,
    identity: NDArray[np.int64],
) -> Dataset:
    """Tensors of a panel that has been scaled; `identity` [R] as the network was trained with."""
    static = static_numbers(panel.static, np.array(fitted.static_mean), np.array(fitted.static_deviation))
    return Dataset(
        context=fitted.scaling.context,
        horizon=horizon,
        offsets=torch.from_numpy(panel.offsets),
        values=torch.from_numpy(tracks.values),
        observed=torch.from_numpy(tracks.observed.astype(np.float32)),
        gap=torch.from_numpy(tracks.gap),
        spread=torch.from_numpy(tracks.spread),
        usable=torch.from_numpy(tracks.usable.astype(np.float32)),
        linear=torch.from_numpy(tracks.linear),
        calendar=torch.from_numpy(tracks.calendar),
        past=torch.from_numpy(scaled_numbers(panel.past.numbers, panel)),
        past_codes=torch.from_numpy(panel.past.codes),
        known=torch.from_numpy(scaled_numbers(panel.known.numbers, panel)),
        known_codes=torch.from_numpy(panel.known.codes),
        static=torch.from_numpy(static),
        static_codes=torch.from_numpy(panel.static.codes),
        identity=torch.from_numpy(identity),
    )


def with_known(steps: Steps, known: Tensor, codes: Tensor) -> Steps:
    """The same single step with the user's own known covariates for the H steps after it, [H,B,...]."""
    return replace(
        steps,
        known=torch.cat([steps.known[:1], known]),
        known_codes=torch.cat([steps.known_codes[:1], codes]),
    )
