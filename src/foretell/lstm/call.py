"""A request in the flat form that an operator of torch takes, and back."""

import functools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from torch import Tensor

from foretell.lstm import kernels
from foretell.lstm.definition import Weights
from foretell.lstm.noise import Noise
from foretell.lstm.options import Options
from foretell.lstm.request import Request
from foretell.lstm.transforms import constant_in_graphs

SCHEMA = (
    "Tensor x, Tensor[] state, Tensor[] start, Tensor[] locked, Tensor[] weights, str names, Tensor? lengths, "
    "Tensor? reset, Tensor? seed, int sequence, int first_step, int directions, str options"
)


class Call(NamedTuple):
    """The arguments, in the order of the schema. What is not there is missing from its list."""

    x: Tensor  # [T,B,I]
    state: list[Tensor]  # h [D,B,R], c [D,B,H], perhaps the gates [D,B,nH]
    start: list[Tensor]  # the same, or none
    locked: list[Tensor]  # [B,R] for each direction, or none
    weights: list[Tensor]  # those of `names`, for each direction
    names: str  # of weights, with spaces between
    lengths: Tensor | None  # [B]
    reset: Tensor | None  # [T,B]
    seed: Tensor | None  # []
    sequence: int
    first_step: int
    directions: int
    options: str  # JSON of those that are not the default

    @classmethod
    def of(cls, request: Request) -> Self:
        names = [name for name, part in request.weights[0]._asdict().items() if part is not None]
        noise = request.noise
        return cls(
            request.x,
            list(request.state),
            list(request.start or ()),
            [mask for mask in request.locked if mask is not None],
            [getattr(weights, name) for weights in request.weights for name in names],
            " ".join(names),
            request.lengths,
            request.reset,
            None if noise is None else noise.seed,
            0 if noise is None else noise.sequence,
            0 if noise is None else noise.first_step,
            request.directions,
            _written(request.options),
        )

    def request(self) -> Request:
        """The request, as the kernels take it, for compilers may have laid its tensors out anew."""
        names = self.names.split()
        rows = [self.weights[n * len(names) :][: len(names)] for n in range(self.directions)]
        request = Request(
            x=self.x,
            state=tuple(self.state),
            start=tuple(self.start) or None,
            weights=tuple(Weights(**dict(zip(names, row, strict=True))) for row in rows),
            locked=tuple(self.locked) or (None,) * self.directions,
            options=_read(self.options),
            noise=None if self.seed is None else Noise(self.seed, self.sequence, self.first_step),
            directions=self.directions,
            lengths=self.lengths,
            reset=self.reset,
        )
        return kernels.dense(request)

    @property
    def roots(self) -> list[Any]:
        """The tensors that may have gradients."""
        return [self.x, *self.state, *self.start, *self.weights]

    def with_roots(self, roots: Sequence[Any]) -> Self:
        left = iter(roots)
        return self._replace(
            x=next(left),
            state=[next(left) for _ in self.state],
            start=[next(left) for _ in self.start],
            weights=[next(left) for _ in self.weights],
        )

    def gradients(self, found: Sequence[Tensor | None]) -> tuple[Any, ...]:
        """The gradients of all arguments: of the roots those found, of the rest none."""
        x, state, start, locked, weights, *rest = self.with_roots(found)
        return x, state, start, [None for _ in locked], weights, *(None for _ in rest)


@constant_in_graphs
def _written(options: Options) -> str:
    return json.dumps(options.changed())


@functools.cache
def _read(text: str) -> Options:
    values = json.loads(text)
    pairs = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Options.of("LSTM", None, pairs)
