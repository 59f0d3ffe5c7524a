"""The forecaster's network: an LSTM over locally scaled values that emits its whole horizon at every step.

At step t it sees the last L values in the scale of step t, the calendar and the covariates; its answer is the
next H values in the same scale: a linear skip straight from the window (as LSTNet's autoregressive part, Lai
et al. 2018) plus the LSTM's correction, and quantiles around it ("forked" multi-horizon quantiles, Wen et al.
2017). T steps, B rows, L context, H horizon, Q quantiles.
"""

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from foretell.lstm import LSTM, Trace
from foretell.networks.encode import encode
from foretell.networks.goal import Goal, slide
from foretell.networks.head import Head, make_dropout
from foretell.networks.head_loss import head_loss
from foretell.networks.inputs import Inputs
from foretell.networks.quantiles import spread_out

State = tuple[Tensor, Tensor]


class ForecastConfig(BaseModel):
    """Sizes of the network, stored beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: int  # L
    horizon: int  # H
    probabilities: tuple[float, ...]  # Q, odd, rising, the median in the middle
    linear: int  # E linear inputs beside the window: roughness, mean so far, calendar
    calendar: int  # F calendar columns
    past: int  # numeric covariates known up to now, each with its mask
    past_categories: tuple[int, ...]  # vocabulary sizes; code 0 is unknown
    known: int  # numeric covariates known ahead, each with its mask
    known_categories: tuple[int, ...]
    static: int
    static_categories: tuple[int, ...]
    tracks: int  # identities; 0 when there is one track only
    hidden: int = 64
    layers: int = 1
    encoding: int = 32  # width of the window's linear encoding
    dropout: float = 0.2


@dataclass(frozen=True)
class Steps:
    """T steps of B rows: what the network reads. Numeric covariates come scaled, missing ones as 0 with mask 0."""

    values: Tensor  # [B, L-1+T]  transformed and gap-filled, not yet scaled
    level: Tensor  # [T,B]
    spread: Tensor  # [T,B]
    data: Tensor  # [T,B,2+E+F]  what is known of every row: see `data_of`
    past: Tensor  # [T,B,2P]  values, then masks
    past_codes: Tensor  # [T,B,P']
    known: Tensor  # [T+H,B,2K]  at the steps and the H after them
    known_codes: Tensor  # [T+H,B,K']
    static: Tensor  # [B,2S]
    static_codes: Tensor  # [B,S']
    track: Tensor  # [B]  identity, 0 for one never seen


class ForecastNetwork(nn.Module):
    """See the module. Output layers start at zero, so training starts from the linear skip as it was set."""

    def __init__(self, config: ForecastConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.encode = nn.Linear(c.context, c.encoding)
        self.past_embeddings = _embeddings(c.past_categories)
        self.known_embeddings = _embeddings(c.known_categories)
        self.static_embeddings = _embeddings(c.static_categories)
        self.identity = nn.Embedding(c.tracks + 1, 8) if c.tracks else None
        past = 2 * c.past + _width(c.past_categories)
        known = 2 * c.known + _width(c.known_categories)
        static = 2 * c.static + _width(c.static_categories) + (8 if c.tracks else 0)
        inputs = c.encoding + 2 + c.linear + c.calendar + past + known + static
        self.lstm = LSTM(inputs, c.hidden, c.layers, dropout=c.dropout if c.layers > 1 else 0.0)
        self.skip = nn.Linear(c.context, c.horizon, bias=False)
        self.skip_beside = nn.Linear(c.linear, c.horizon, bias=False)
        self.head = nn.Linear(c.hidden, c.horizon * len(c.probabilities))
        self.ahead = KnownAhead(known, c.hidden) if known else None
        for parameter in (*self.skip.parameters(), *self.skip_beside.parameters(), *self.head.parameters()):
            nn.init.zeros_(parameter)
        if self.identity is not None:
            nn.init.normal_(self.identity.weight, std=0.1)

    def forward(self, steps: Steps, state: State | None = None) -> tuple[Tensor, State]:
        """Steps and the state before them -> quantiles [T,B,H,Q] in the scale of their step, state after."""
        window, known = window_of(steps), self._known(steps)
        hidden, state = self._read(steps, window, known, state)
        return self._answer(steps, window, hidden, known), state

    def loss(
        self, steps: Steps, goal: Goal, probabilities: Tensor, state: State | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """The mean pinball loss of `forward` against the goal, the number of its targets, and the state after."""
        window, known = window_of(steps), self._known(steps)
        hidden, state = self._read(steps, window, known, state)
        beside = None
        if self.ahead is not None:
            beside = self.ahead(hidden, known, self.config.horizon).permute(2, 0, 1).flatten(1)
        skips = ((self.skip.weight, window), (self.skip_beside.weight, Inputs(self._linear(steps))))
        dropout = make_dropout(self.config.dropout) if self.training else None
        head = Head(self.head.weight, self.head.bias, skips, beside)
        return *head_loss(hidden, head, goal, probabilities, dropout), state

    def read(self, steps: Steps, state: State | None = None) -> tuple[Tensor, State]:
        """The LSTM's outputs [T,B,hidden] and state alone: what running up to the present needs."""
        return self._read(steps, window_of(steps), self._known(steps), state)

    def answer(self, steps: Steps, hidden: Tensor) -> Tensor:
        """Quantiles [T,B,H,Q] from outputs read before: what predicting from the present needs."""
        return self._answer(steps, window_of(steps), hidden, self._known(steps))

    def trace(self, steps: Steps) -> Trace:
        """Every gate and cell state of the LSTM over the steps, from a fresh state."""
        return self.lstm.trace(self.inputs(steps))

    def inputs(self, steps: Steps) -> Tensor:
        """What the LSTM reads, [T,B,I]: encoded window, gap and mask, linear inputs, calendar, past, known, static."""
        return self._inputs(steps, window_of(steps), self._known(steps))

    def _straight(self, steps: Steps, window: Inputs) -> Tensor:
        """The linear skip to the medians, [H,T*B]."""
        return torch.addmm(self.skip.weight @ window.scaled(), self.skip_beside.weight, self._linear(steps))

    def _linear(self, steps: Steps) -> Tensor:
        """[E,T*B]."""
        return steps.data[..., 2 : 2 + self.config.linear].flatten(0, 1).T

    def _known(self, steps: Steps) -> Tensor:
        return _join([steps.known], self.known_embeddings, steps.known_codes)

    def _read(self, steps: Steps, window: Inputs, known: Tensor, state: State | None) -> tuple[Tensor, State]:
        c = self.config
        data = slice(c.encoding, c.encoding + 2 + c.linear + c.calendar)
        hidden, state = self.lstm(self._inputs(steps, window, known), state, data=data)
        return hidden, state

    def _inputs(self, steps: Steps, window: Inputs, known: Tensor) -> Tensor:
        time = len(steps.level)
        parts = [
            steps.data,
            _join([steps.past], self.past_embeddings, steps.past_codes),
            known[:time],
            self._static(steps).expand(time, -1, -1),
        ]
        present = [part for part in parts if part.shape[-1]]
        return encode(window, self.encode.weight, self.encode.bias, *present)

    def _static(self, steps: Steps) -> Tensor:
        parts = [steps.static]
        if self.identity is not None:
            parts.append(self.identity(steps.track))
        return _join(parts, self.static_embeddings, steps.static_codes)

    def _answer(self, steps: Steps, window: Inputs, hidden: Tensor, known: Tensor) -> Tensor:
        horizon = self.config.horizon
        out = self.head(hidden)
        centre = out[..., :horizon] + self._straight(steps, window).T.view_as(out[..., :horizon])
        if self.ahead is not None:
            centre = centre + self.ahead(hidden, known, horizon)
        return spread_out(centre, out[..., horizon:].unflatten(-1, (horizon, -1)))


class KnownAhead(nn.Module):
    """What the covariates known for step t + k change in the forecast of that step, given the state at t."""

    def __init__(self, known: int, hidden: int, width: int = 32) -> None:
        super().__init__()
        self.from_hidden = nn.Linear(hidden, width)
        self.from_known = nn.Linear(known, width, bias=False)
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, hidden: Tensor, known: Tensor, horizon: int) -> Tensor:
        """hidden [T,B,hidden], known [T+H,B,K] -> shift [T,B,H]."""
        ahead = self.from_known(known)[1:].unfold(0, horizon, 1).permute(0, 1, 3, 2)  # [T,B,H,width]
        mixed = torch.relu(self.from_hidden(hidden).unsqueeze(2) + ahead)
        return torch.as_tensor(self.out(mixed)).squeeze(-1)


def data_of(gap: Tensor, linear: Tensor, calendar: Tensor) -> Tensor:
    """What a step gives the LSTM as it is, side by side.

    `gap` [...] are the rows since the last observation, 0 if this row has one; read as its logarithm and as a mask.
    linear [...,E], calendar [...,F].
    """
    return torch.cat([torch.log1p(gap).unsqueeze(-1), (gap == 0).unsqueeze(-1), linear, calendar], dim=-1)


def window_of(steps: Steps) -> Inputs:
    """The last L values of every step in the scale of that step, [L,T*B]."""
    return Inputs(slide(steps.values.T, len(steps.level)), steps.level.flatten(), steps.spread.flatten())


def _embeddings(sizes: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(nn.Embedding(size + 1, _embedding_width(size)) for size in sizes)


def _embedding_width(size: int) -> int:
    return min(16, (size + 1) // 2 + 1)


def _width(sizes: tuple[int, ...]) -> int:
    return sum(map(_embedding_width, sizes))


def _join(parts: list[Tensor], embeddings: nn.ModuleList, codes: Tensor) -> Tensor:
    parts += [embedding(codes[..., number]) for number, embedding in enumerate(embeddings)]
    return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
