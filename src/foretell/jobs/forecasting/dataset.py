"""A panel as tensors, from which any batch of steps and their targets is gathered at a cost of its own size."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.forecasting.covariates import scaled_numbers, static_numbers
from foretell.jobs.forecasting.settings import Fitted
from foretell.jobs.forecasting.tracks import LINEAR_LIMIT, Tracks
from foretell.networks.forecast import Steps
from foretell.networks.goal import Goal
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
    linear: Tensor  # [C,N,2]
    reach: Tensor  # [C,N]
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
        """Steps first..first+time-1 of each track, [B]; before a series stands its first row, after it its last.

        Tracks and first rows [N,B] make N batches at once, one behind the other in every part.
        """
        target, series = tracks // self.series, tracks % self.series
        span = torch.arange(1 - self.context, time + self.horizon)[:, None]
        rows = self._rows(series, first.unsqueeze(-2) + span)  # [..,L-1+T+H,B]
        past = self.context - 1
        flat = rows[..., : past + time, :] + (target * self.values.shape[1]).unsqueeze(-2)
        here, now, ahead = flat[..., past:, :], rows[..., past : past + time, :], rows[..., past:, :]
        values, calendar = self.values.take(flat), _lines(self.calendar, now)
        waves = (calendar * self.reach.take(here).unsqueeze(-1)).clamp_(-LINEAR_LIMIT, LINEAR_LIMIT)
        return Steps(
            values=values.mT,
            gap=self.gap.take(here),
            level=values[..., past:, :],
            spread=self.spread.take(here),
            linear=torch.cat([_lines(self.linear.flatten(0, 1), here), waves], dim=-1),
            calendar=calendar,
            past=_lines(self.past, now),
            past_codes=_lines(self.past_codes, now),
            known=_lines(self.known, ahead),
            known_codes=_lines(self.known_codes, ahead),
            static=self.static[series],
            static_codes=self.static_codes[series],
            track=self.identity[tracks],
        )

    def goal(self, tracks: Tensor, first: Tensor, last: Tensor, time: int, stop: Tensor) -> Goal:
        """What lies ahead of those steps; not learned from: steps from `last` on, rows from `stop` on, and gaps.

        Nor are steps without a usable scale. All but `time` [B], or [N,B] as for `steps`.
        """
        target, series = tracks // self.series, tracks % self.series
        rows = first.unsqueeze(-2) + torch.arange(time + self.horizon)[:, None]  # [..,T+H,B]
        inside = (rows < stop.unsqueeze(-2), rows[..., :time, :] < last.unsqueeze(-2))
        flat = self._rows(series, rows) + (target * self.values.shape[1]).unsqueeze(-2)
        here = flat[..., :time, :]
        return Goal(
            values=self.values.take(flat),
            known=self.observed.take(flat) * inside[0],
            learn=self.usable.take(here) * inside[1],
            spread=self.spread.take(here),
        )

    def _rows(self, series: Tensor, rows: Tensor) -> Tensor:
        """Rows [..,T,B] of series [..,B], the nearest of its own for one before or after it."""
        begin, end = self.offsets[series], self.offsets[series + 1]
        return rows.clamp(begin.unsqueeze(-2), end.unsqueeze(-2) - 1)


def _lines(table: Tensor, rows: Tensor) -> Tensor:
    """[N,F] at rows [..,T,B] -> [..,T,B,F], four times as fast as indexing."""
    return table.index_select(0, rows.flatten()).view(*rows.shape, table.shape[1])


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
        reach=torch.from_numpy(tracks.reach),
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
