"""A panel as tensors, from which any batch of steps and their targets is gathered at a cost of its own size."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.forecasting.covariates import scaled_numbers, static_numbers
from foretell.jobs.forecasting.gather import Lanes, Part, gather
from foretell.jobs.forecasting.settings import Fitted
from foretell.jobs.forecasting.tracks import LINEAR_LIMIT, Tracks
from foretell.networks.forecast import Steps, data_of
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
    spread: Tensor  # [C,N]
    usable: Tensor  # [C,N] as 0 and 1: steps with a scale worth the name
    own: Tensor  # [C,N,4]  `data_of` each row without what the calendar adds
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
        """Steps first..first+time-1 of each track, [B]; before a series stands its first row, after it its last."""
        return self._steps(tracks, first, time, torch.empty(self.context - 1 + time, len(tracks)))

    def steps_and_goal(
        self, tracks: Tensor, first: Tensor, last: Tensor, time: int, stop: Tensor
    ) -> tuple[Steps, Goal]:
        """The same, and what lies ahead; not learned from: steps from `last` on, rows from `stop` on, and gaps.

        Nor are steps without a usable scale. All but `time` [B].
        """
        past = self.context - 1
        sizes = (past + time + self.horizon, time + self.horizon, time)
        values, known, learn = (torch.empty(size, len(tracks)) for size in sizes)
        masks = _of_tracks(self.observed, known, until=stop), _of_tracks(self.usable, learn, until=last)
        steps = self._steps(tracks, first, time, values, *masks)
        return steps, Goal(values[past:], known, learn, steps.spread)

    def _steps(self, tracks: Tensor, first: Tensor, time: int, values: Tensor, *beside: Part) -> Steps:
        """Fills `values`, [L-1+T,B] or longer, from L - 1 rows before the steps on; `beside` is gathered with it."""
        past, series, spread = self.context - 1, tracks % self.series, torch.empty(time, len(tracks))
        widths = [self.own.shape[2], self.calendar.shape[1], self.calendar.shape[1]]
        data = torch.empty(time, len(tracks), sum(widths))
        own, waves, calendar = torch.split(data, widths, dim=-1)
        shared = [
            (table, table.new_empty(ahead, len(tracks), table.shape[1]))
            for table, ahead in (
                (self.past, time),
                (self.past_codes, time),
                (self.known, time + self.horizon),
                (self.known_codes, time + self.horizon),
            )
        ]
        gather(
            Lanes(first, *(bound.index_select(0, tracks) for bound in self._bounds)),
            _of_tracks(self.values, values, lead=-past),
            _of_tracks(self.spread, spread),
            Part(self.own.flatten(0, 1), own, of_tracks=True),
            Part(self.calendar, waves, factor=self.reach.flatten(), limit=LINEAR_LIMIT),
            Part(self.calendar, calendar),
            *(Part(table, to) for table, to in shared),
            *beside,
        )
        past_numbers, past_codes, known, known_codes = (to for _, to in shared)
        return Steps(
            values=values[: past + time].T,
            level=values[past : past + time],
            spread=spread,
            data=data,
            past=past_numbers,
            past_codes=past_codes,
            known=known,
            known_codes=known_codes,
            static=self.static.index_select(0, series),
            static_codes=self.static_codes.index_select(0, series),
            track=self.identity.index_select(0, tracks),
        )

    @cached_property
    def _bounds(self) -> tuple[Tensor, Tensor, Tensor]:
        """The first row of each track, that after its last, and where the rows of its target begin, [R].

        There is a row to read for a series without any too.
        """
        targets, rows = self.values.shape
        begin = self.offsets[:-1].clamp(max=rows - 1)
        end = torch.maximum(self.offsets[1:], begin + 1)
        return begin.repeat(targets), end.repeat(targets), torch.arange(targets).repeat_interleave(self.series) * rows


def _of_tracks(table: Tensor, to: Tensor, lead: int = 0, until: Tensor | None = None) -> Part:
    """A number [C,N] of each row of every target, to [T,B]."""
    return Part(table.view(-1, 1), to.unsqueeze(-1), lead, of_tracks=True, until=until)


def make_dataset(
    panel: Panel,
    tracks: Tracks,
    fitted: Fitted,
    horizon: int,
    identity: NDArray[np.int64],
) -> Dataset:
    """Tensors of a panel that has been scaled; `identity` [R] as the network was trained with."""
    no_calendar = np.zeros((*tracks.gap.shape, 0), np.float32)
    static = static_numbers(panel.static, np.array(fitted.static_mean), np.array(fitted.static_deviation))
    return Dataset(
        context=fitted.scaling.context,
        horizon=horizon,
        offsets=torch.from_numpy(panel.offsets),
        values=torch.from_numpy(tracks.values),
        observed=torch.from_numpy(tracks.observed.astype(np.float32)),
        spread=torch.from_numpy(tracks.spread),
        usable=torch.from_numpy(tracks.usable.astype(np.float32)),
        own=data_of(*map(torch.from_numpy, (tracks.gap, tracks.linear, no_calendar))),
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
