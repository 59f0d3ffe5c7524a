"""The compiled kernels on tensors: sizes, number types and memory are settled here, before C++ is entered.

What a direction hands over is a list of addresses, 0 for none. The order of the parts is that of
native/bindings/lstm.cpp: weights, locked mask, state, start, final state, saved, activity; backward adds the
gradients of y and of the final state, which it reads, and of x, state, start and weights, which it writes.
"""

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from foretell import native
from foretell.lstm.definition import Activity, State, Weights
from foretell.lstm.options import Options
from foretell.lstm.request import Request
from foretell.lstm.transforms import constant_in_graphs

STATE_PARTS = 3  # h, c and the gates of gate recurrence
ACTIVITY_PARTS = 5  # i, f, g, o, c
LINE = 64  # bytes: the parts of what is saved, and a vector of the widest instruction set, end at cache lines


@dataclass(frozen=True)
class Outcome:
    """What a run gives. `saved` [D,...] is what backward has to know, in a layout of the kernels' own."""

    y: Tensor  # [T,B,DR], or [N,DR]
    state: State
    saved: Tensor | None
    activity: tuple[Activity, ...]


@dataclass(frozen=True)
class Gradients:
    """As the parts of the request; None where not wanted."""

    x: Tensor | None
    state: tuple[Tensor | None, ...]
    start: tuple[Tensor | None, ...]
    weights: tuple[tuple[Tensor | None, ...], ...]


def dense(request: Request) -> Request:
    """The same request with every tensor of the layout and number type that the kernels take; differentiable.

    They compute in float64 if x is of that type, else in float32.
    """
    kind = torch.float64 if request.x.dtype == torch.float64 else torch.float32
    if _is_dense(request, kind):
        return request
    return replace(
        request,
        x=_features_together(request.x.to(kind)),
        state=_laid_out(request.state, kind),
        start=None if request.start is None else _laid_out(request.start, kind),
        weights=tuple(Weights(*_laid_out(weights, kind)) for weights in request.weights),
        locked=_laid_out(request.locked, kind),
        lengths=None if request.lengths is None else request.lengths.contiguous(),
        reset=None if request.reset is None else request.reset.contiguous(),
    )


def _is_dense(request: Request, kind: torch.dtype) -> bool:
    if request.x.dtype is not kind or request.x.stride(-1) != 1:
        return False
    if any(part is not None and not part.is_contiguous() for part in (request.lengths, request.reset)):
        return False
    groups = (request.state, request.start or (), request.locked, *request.weights)
    return all(part is None or (part.dtype is kind and part.is_contiguous()) for parts in groups for part in parts)


def allocate_outputs(request: Request) -> tuple[Tensor, State]:
    """Room for y and the final state."""
    y = _like_x(request, request.directions * request.state[0].shape[-1])
    return y, tuple(torch.empty_like(part) for part in request.state)


def allocate_saved(request: Request) -> Tensor:
    """Room for what the active instruction set saves of the rows as long as they are."""
    is_double, has_mask = request.x.dtype == torch.float64, request.locked[0] is not None
    lengths = _address(request.lengths)
    size = _core().saved_size(is_double, _cell(request), request.time, request.batch, lengths, has_mask)
    if not size:
        return request.x.new_empty(request.directions, 0)
    memory = _core().Memory(request.directions * size * request.x.itemsize)
    return torch.frombuffer(memory, dtype=request.x.dtype).view(request.directions, size)


def allocate_room(request: Request, room: int) -> Tensor:
    """As `allocate_saved`, but by `room_of_pairs`, for any lengths; memory that nobody writes to costs nothing."""
    pairs = request.time * request.batch
    return request.x.new_empty(request.directions, (pairs + LINE - 1) // LINE * room)


def room_of_pairs(request: Request) -> int:
    """Numbers that are enough for what every instruction set saves of LINE pairs of step and row.

    What is saved grows with the pairs in parts that end at a cache line, and with the units by vectors: with LINE
    pairs, and units that fill lines, nothing is left to round. So a graph may hold a size.
    """
    # The length of a range is the size as a number, also where a compiler holds the size for a symbol.
    hidden, outputs = (len(range(part.shape[-1])) for part in (request.state[1], request.state[0]))
    kind, has_mask = request.x.dtype, request.locked[0] is not None
    return _room(request.options, hidden, outputs, kind == torch.float64, request.noise is not None, has_mask)


def allocate_gradients(request: Request, wanted: Gradients) -> Gradients:
    """Room for the gradients of those parts that are wanted. A start gathers what every reset adds to it."""
    x = None if wanted.x is None else _like_x(request, request.x.shape[-1])
    weights = tuple(
        tuple(None if part is None else torch.empty_like(part) for part in parts) for parts in wanted.weights
    )
    state = tuple(None if part is None else torch.empty_like(part) for part in wanted.state)
    start = tuple(None if part is None else torch.zeros_like(part) for part in wanted.start)
    return Gradients(x, state, start, weights)


def forward(request: Request, saved: Tensor | None) -> Outcome:
    """Run one layer, in one or both directions, on a request made by `dense`; fill `saved` if it is given."""
    y, state = allocate_outputs(request)
    cells = [_allocate_activity(request) for _ in request.weights] if request.record else []
    directions = []
    for number in range(request.directions):
        parts = [*_inputs(request, number), *_each(state, number)]
        parts += [None if saved is None else saved[number], *(cells[number] if cells else [None] * ACTIVITY_PARTS)]
        directions.append([_address(part) for part in parts])
    _core().forward(request.x.dtype == torch.float64, _cell(request), _call(request, y), directions)
    outputs = torch.split(y, request.state[0].shape[-1], dim=-1) if cells else ()
    activity = tuple(Activity(*parts, output) for parts, output in zip(cells, outputs))  # type: ignore[call-arg]  # noqa: B905
    return Outcome(y, state, saved, activity)


def backward(
    request: Request, y: Tensor, saved: Tensor, dy: Tensor | None, dstate: Sequence[Tensor | None], wanted: Gradients
) -> Gradients:
    """The gradients of those parts that are not None in `wanted`, after a `forward` that saved.

    dy, as y, and dstate, as the request's state, are the gradients of its outcome; None is 0.
    """
    dy = None if dy is None else _features_together(dy)
    dstate = [None if part is None else part.contiguous() for part in dstate]
    found = allocate_gradients(request, wanted)
    dx = [] if found.x is None else [found.x, *(_like_x(request, found.x.shape[-1]) for _ in request.weights[1:])]
    directions = []
    for number in range(request.directions):
        parts = [*_inputs(request, number), *[None] * STATE_PARTS, saved[number], *[None] * ACTIVITY_PARTS]
        addresses = [_address(part) for part in parts] + _strided(dy)
        addresses += [_address(part) for part in _each(dstate, number)]
        addresses += _strided(dx[number] if dx else None)
        parts = [*_each(found.state, number), *_each(found.start, number), *found.weights[number]]
        directions.append(addresses + [_address(part) for part in parts])
    _core().backward(request.x.dtype == torch.float64, _cell(request), _call(request, y), directions)
    return replace(found, x=functools.reduce(torch.add, dx) if dx else None)


class Stepper:
    """A stack of layers one step at a time, on a state of its own [L,B,...] in the kernels' number type."""

    def __init__(self, weights: Sequence[Weights], options: Options, start: State) -> None:
        kind = torch.float64 if start[0].dtype == torch.float64 else torch.float32
        self._kind, self.state = kind, _copied(start, kind)
        packed = [_laid_out(layer, kind) for layer in weights]
        sizes = [(layer.weight_ih.shape[1], *(part.shape[-1] for part in reversed(start[:2]))) for layer in weights]
        cells = [_make_cell(options, *size, weights[0].weight_hr is not None, False) for size in sizes]
        make = _core().Stepper64 if kind == torch.float64 else _core().Stepper32
        addresses = [[_address(part) for part in layer] for layer in packed]
        batch, width = start[0].shape[1:]
        self._outputs = {1: (width,), 2: (batch, width)}
        self.core = make(cells, addresses, self._addresses(), batch, options.residual)

    def step(self, x: Tensor) -> Tensor:
        """x [B,I] or [I] -> y [B,R] or [R], in x's number type."""
        if x.dtype is not self._kind or not x.is_contiguous():
            return self.step(x.to(self._kind).contiguous()).to(x.dtype)
        y = x.new_empty(self._outputs[x.dim()])
        self.core.step(x.data_ptr(), y.data_ptr())
        return y

    def twin(self) -> Self:
        """Another one in the same state, that goes its own way with the same packed weights."""
        twin = copy.copy(self)
        twin.state = _copied(self.state, self.state[0].dtype)
        twin.core = self.core.twin(twin._addresses())
        return twin

    def _addresses(self) -> list[list[int]]:
        return [[_address(part) for part in _each(self.state, layer)] for layer in range(len(self.state[0]))]


def _copied(state: State, kind: torch.dtype) -> State:
    return tuple(part.detach().to(kind).clone(memory_format=torch.contiguous_format) for part in state)


def _core() -> Any:
    return native.load()


def _laid_out(parts: tuple[Any, ...], kind: torch.dtype) -> tuple[Any, ...]:
    return tuple(None if part is None else part.to(kind).contiguous() for part in parts)


def _features_together(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _like_x(request: Request, width: int) -> Tensor:
    """Packed as x, or [T,B,width], rows or steps first as in x."""
    x = request.x
    if request.batch_sizes is not None:
        return x.new_empty(len(x), width)
    time, batch = x.shape[:2]
    if x.stride(0) < x.stride(1):
        return x.new_empty(batch, time, width).transpose(0, 1)
    return x.new_empty(time, batch, width)


@constant_in_graphs
def _room(options: Options, hidden: int, outputs: int, is_double: bool, draws: bool, has_mask: bool) -> int:
    fill = LINE // (8 if is_double else 4)
    cell = _make_cell(options, 1, -(-hidden // fill) * fill, outputs, outputs < hidden, draws)
    size: int = _core().saved_size(is_double, cell, 1, LINE, 0, has_mask)
    return size


def _allocate_activity(request: Request) -> list[Tensor]:
    shape = (*request.x.shape[:2], request.state[1].shape[-1])
    return [request.x.new_empty(shape) for _ in range(ACTIVITY_PARTS)]


def _inputs(request: Request, number: int) -> list[Tensor | None]:
    start = request.start or (None,) * len(request.state)
    return [
        *request.weights[number],
        request.locked[number],
        *_each(request.state, number),
        *_each(start, number),
    ]


def _each(parts: Sequence[Tensor | None], number: int) -> list[Tensor | None]:
    """The parts of a state that belong to a direction; all three of them, though gates may be missing."""
    found = [None if part is None else part[number] for part in parts]
    return found + [None] * (STATE_PARTS - len(found))


def _address(part: Tensor | None) -> int:
    return 0 if part is None else part.data_ptr()


def _strided(part: Tensor | None) -> list[int]:
    """Address, and strides of a step and of a row; packed steps have none."""
    if part is None:
        return [0, 0, 0]
    return [part.data_ptr(), part.stride(0) if part.dim() == 3 else 0, part.stride(-2)]


def _call(request: Request, y: Tensor) -> Any:
    noise = request.noise
    return _core().Call(
        request.time,
        request.batch,
        request.batch_sizes is not None,
        _address(request.lengths),
        _address(request.reset),
        0 if noise is None else int(noise.seed),
        0 if noise is None else noise.sequence,
        *_strided(request.x),
        *_strided(y),
        torch.get_num_threads(),
    )


def _cell(request: Request) -> Any:
    hidden, outputs = request.state[1].shape[-1], request.state[0].shape[-1]
    projects = request.weights[0].weight_hr is not None
    return _make_cell(request.options, request.x.shape[-1], hidden, outputs, projects, request.noise is not None)


@functools.lru_cache(maxsize=256)
def _make_cell(options: Options, inputs: int, hidden: int, outputs: int, projects: bool, draws: bool) -> Any:
    cell = _core().Cell()
    cell.inputs, cell.hidden, cell.outputs = inputs, hidden, outputs
    for name in ("input_gate", "forget_gate", "output_gate", "coupled", "input_activation", "output_activation"):
        setattr(cell, name, getattr(options, name))
    for name in ("peepholes", "gate_recurrence", "layer_norm", "zoneout_h", "zoneout_c"):
        setattr(cell, name, getattr(options, name))
    cell.projection, cell.draws = projects, draws
    return cell
