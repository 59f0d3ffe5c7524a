"""What the layer asks of a backend, and what it gets: the two sides of the seam."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from foretell.lstm.definition import Activity, State, Weights
from foretell.lstm.noise import Noise
from foretell.lstm.options import Options
from foretell.lstm.transforms import is_transformed

_NOTHING = torch.empty(0)


class Request(NamedTuple):
    """Run L layers in D directions over x: S = L * D sequences, layer by layer, forward before backward."""

    x: Tensor  # [T,B,I]; what lies beyond a row's length may be anything; or packed, [N,I]
    state: State  # (h [S,B,R], c [S,B,H]), and with gate recurrence the gates [S,B,nH]
    weights: tuple[Weights, ...]  # S of them
    locked: tuple[Tensor | None, ...]  # S of them: recurrent dropout [B,R], 0 or 1 / (1 - p)
    options: Options
    noise: Noise | None = None  # zoneout in training; without it zoneout has its expected value
    directions: int = 1
    dropout: float = 0.0  # between layers; 0 unless training
    lengths: Tensor | None = None  # [B], on x's device
    batch_sizes: Tensor | None = None  # [T] on the CPU: x and y are packed as in a PackedSequence, and lengths fall
    reset: Tensor | None = None  # [T,B]
    start: State | None = None  # what a reset goes back to, as `state`; there whenever `reset` is
    data: tuple[int, int] = (0, 0)  # begin, end: the features between are data, and get no gradient
    record: bool = False  # is the activity of every step wanted?

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """What the kernels read, in the order of native/bindings/lstm.cpp; all but the locked masks may have gradients.

        x, the state, the start, the weights of each sequence and then the masks of each.
        """
        start = self.start or (None,) * len(self.state)
        return self.x, *self.state, *start, *sum(self.weights, ()), *self.locked

    def with_tensors(self, tensors: Sequence[Any]) -> Self:
        """This request with others in their place, in that order."""
        parts, width = 2 + self.options.gate_recurrence, len(Weights._fields)
        sequences = (len(tensors) - 1 - 2 * parts) // (width + 1)
        x, *rest = tensors
        state, start, rest = rest[:parts], rest[parts : 2 * parts], rest[2 * parts :]
        return self._replace(
            x=x,
            state=tuple(state),
            start=None if start[0] is None else tuple(start),
            weights=tuple(Weights(*rest[n * width :][:width]) for n in range(sequences)),
            locked=tuple(rest[sequences * width :]),
        )

    def without_tensors(self) -> Self:
        """What is left of it, to be kept until its tensors come back."""
        return self._replace(x=_NOTHING, state=(), start=None, weights=(), locked=())

    def with_data_detached(self) -> Self:
        """The same for those who cannot be told of `data`."""
        if self.data == (0, 0) or not (self.x.requires_grad or is_transformed()):
            return self
        before, data, after = torch.tensor_split(self.x, self.data, dim=-1)
        return self._replace(x=torch.cat([before, data.detach(), after], dim=-1), data=(0, 0))

    @property
    def time(self) -> int:
        return (self.x if self.batch_sizes is None else self.batch_sizes).shape[0]  # a graph keeps it for a symbol

    @property
    def batch(self) -> int:
        return self.state[0].shape[1]

    @property
    def layers(self) -> int:
        return len(self.weights) // self.directions

    @property
    def has_residual(self) -> bool:
        return self.options.residual and self.layers > 1

    @property
    def has_masks(self) -> bool:
        zoneout = self.options.zoneout_h or self.options.zoneout_c
        return bool(zoneout) or any(mask is not None for mask in self.locked)

    def part(self, first: int, count: int, directions: int, x: Tensor) -> Self:
        """The request for `count` of the S sequences, from `first` on, over another x."""
        rows = slice(first, first + count)
        return self._replace(
            x=x,
            state=tuple(part[rows] for part in self.state),
            start=None if self.start is None else tuple(part[rows] for part in self.start),
            weights=self.weights[rows],
            locked=self.locked[rows],
            noise=None if self.noise is None else self.noise._replace(sequence=self.noise.sequence + first),
            directions=directions,
        )


class Answer(NamedTuple):
    """The outputs, zero beyond a row's length; the state at each row's end; on request every activity."""

    y: Tensor  # [T,B,DR], or [N,DR]
    state: State  # as Request.state
    activity: tuple[Activity, ...] = ()  # S of them, each [T,B,...]
