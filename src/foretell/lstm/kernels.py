"""The compiled kernels on tensors: sizes, number types and memory are settled here, before C++ is entered."""

import copy
import functools
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor

from foretell import native
from foretell.lstm import memory
from foretell.lstm.definition import Activity, State, Weights
from foretell.lstm.options import Options
from foretell.lstm.request import Request
from foretell.lstm.transforms import constant_in_graphs, is_transformed

ACTIVITY_PARTS = 5  # i, f, g, o, c
Empty = Callable[..., Tensor]  # (like, *shape) -> Tensor: Tensor.new_empty, or memory.empty where a run fills it
SHARED = 16 << 10  # bytes of a live step's outputs that may be allocated at once
LINE = 64  # bytes: the parts of what is saved, and a vector of the widest instruction set, end at cache lines


def dense(request: Request) -> Request:
    """The same request with every tensor of the layout and number type that the kernels take; differentiable.

    They compute in float64 if x is of that type, else in float32; only what they multiply may be bfloat16. Signs that
    are still to come, as in a conjugate's imaginary part, are put into the memory.
    """
    number = number_of(request.x.dtype)
    kind = _wide(number)
    if _is_dense(request, number, kind):
        return request
    return request._replace(
        x=_features_together(request.x.to(number)).resolve_neg(),
        state=_laid_out(request.state, kind),
        start=None if request.start is None else _laid_out(request.start, kind),
        weights=tuple(Weights(*_laid_out(weights, kind)) for weights in request.weights),
        locked=_laid_out(request.locked, kind),
        lengths=None if request.lengths is None else request.lengths.contiguous(),
        reset=None if request.reset is None else request.reset.contiguous(),
        noise=None if request.noise is None else request.noise.dense(),
    )


def number_of(kind: torch.dtype) -> torch.dtype:
    """Of what type the kernels take x and give y, for an x of this one."""
    if kind is torch.float64 or (kind is torch.bfloat16 and _multiplies_bfloat16()):
        return kind
    return torch.float32


def _wide(number: torch.dtype) -> torch.dtype:
    """Of what type all else is, beside numbers of x."""
    return torch.float64 if number is torch.float64 else torch.float32


@constant_in_graphs
def _multiplies_bfloat16() -> bool:
    return native.multiplies_bfloat16()


def _is_dense(request: Request, number: torch.dtype, kind: torch.dtype) -> bool:
    signs = not torch.compiler.is_compiling()  # compilers do not know of them
    x, (_, *all_else) = request.x, request.tensors
    if x.dtype is not number or x.stride()[-1] != 1 or (signs and x.is_neg()):
        return False
    for part in all_else:
        if part is not None and (part.dtype is not kind or not part.is_contiguous() or (signs and part.is_neg())):
            return False
    others = request.lengths, request.reset, None if request.noise is None else request.noise.ends
    return all(part is None or part.is_contiguous() for part in others)


def begin(request: Request) -> Any:
    """A run over a request made by `dense`, for `forward` and then `backward`: all but the tensors of it."""
    noise = request.noise
    return _core().Run(
        request.x.itemsize,
        _cells(request),
        request.time,
        request.batch,
        request.directions,
        request.lengths,
        request.batch_sizes is not None,
        request.reset,
        0 if noise is None else int(noise.seed),
        0 if noise is None else noise.sequence,
        0 if noise is None else noise.first_step,
        None if noise is None else noise.ends,
        *request.data,
    )


def runs_at_once(request: Request) -> bool:
    """Would the layers of this stack, in one direction, run at once, each on a thread?

    They then need the memory of all at once, which is worth it for small layers alone.
    """
    at_once: bool = begin(dense(request)).runs_at_once(torch.get_num_threads())
    return at_once


def allocate_outputs(request: Request, empty: Empty = Tensor.new_empty) -> tuple[list[Tensor], State]:
    """Room for what each layer gives, and for the final state."""
    width = request.directions * request.state[0].shape[-1]
    ys = [_like(request.x, width, empty) for _ in request.weights[:: request.directions]]
    return ys, tuple(map(torch.empty_like, request.state))


def allocate_saved(request: Request, run: Any) -> Tensor:
    """Room for what the active instruction set saves of the rows as long as they are."""
    size = run.saved_size(request.locked[0] is not None)
    return memory.empty(request.state[1], len(request.weights), size)


def allocate_room(request: Request, room: int) -> Tensor:
    """As `allocate_saved`, for one layer, by `room_of_pairs`, for any lengths; what nobody writes to costs nothing."""
    pairs = request.time * request.batch
    return request.state[1].new_empty(request.directions, (pairs + LINE - 1) // LINE * room)


def room_of_pairs(request: Request) -> int:
    """Numbers that are enough for what every instruction set saves of LINE pairs of step and row.

    What is saved grows with the pairs in parts that end at a cache line, and with the units by vectors: units that fill
    lines leave nothing to round, and n times LINE pairs take at most n times what LINE pairs do. So a graph may hold
    a size.
    """
    # The length of a range is the size as a number, also where a compiler holds the size for a symbol.
    hidden, outputs = (len(range(part.shape[-1])) for part in (request.state[1], request.state[0]))
    # A graph of bfloat16 may come to a machine that computes it in float32.
    sizes = (2, 4) if request.x.dtype == torch.bfloat16 else (request.x.itemsize,)
    draws, has_mask = request.noise is not None, request.locked[0] is not None
    return max(_room(request.options, hidden, outputs, size, draws, has_mask) for size in sizes)


def allocate_gradients(
    tensors: Sequence[Tensor | None], needed: Sequence[bool], empty: Empty = Tensor.new_empty
) -> list[Tensor | None]:
    """Room for the gradients of those of a request's tensors that need one, in their order; masks have none."""
    x, *others = [part if wanted else None for part, wanted in zip(tensors, needed)]  # noqa: B905  # the masks are last
    found = [None if part is None else empty(part, *part.shape) for part in others]
    return [None if x is None else _like(x, x.shape[-1], empty), *found]


def forward(request: Request, run: Any, saved: Tensor | None) -> tuple[list[Tensor], State, tuple[Activity, ...]]:
    """Run a request made by `dense`, for one layer or for several in one direction.

    Gives what each layer does, [T,B,DR] or [N,DR], the final state and the activity. Fills `saved` [S,...] if it is
    given with what backward has to know, in a layout of the kernels' own.
    """
    ys, state = allocate_outputs(request, memory.empty)
    cells = [_allocate_cell(request) for _ in range(ACTIVITY_PARTS * len(request.weights))] if request.record else ()
    run.forward(request.tensors, ys, state, saved, cells, torch.get_num_threads())
    return ys, state, _activity(request, cells, ys)


def backward(
    run: Any,
    tensors: Sequence[Tensor | None],
    needed: Sequence[bool],
    ys: Sequence[Tensor],
    saved: Tensor,
    dy: Tensor | None,
    dstate: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients of those of a request's tensors that need one, but for the masks, after a `forward` that saved.

    dy, as the last y, and dstate, as the request's state, are the gradients of its outcome; None is 0.
    """
    dx, *found = allocate_gradients(tensors, needed, memory.empty)
    directions = len(saved) // len(ys)
    second = _like(dx, dx.shape[-1], memory.empty) if dx is not None and directions == 2 else None
    read = [*[dx, second][:directions], *(_like(y, y.shape[-1], memory.empty) for y in ys[:-1])]
    dy = None if dy is None else _features_together(dy.resolve_neg())
    dstate = [None if part is None else part.resolve_neg().contiguous() for part in dstate]
    run.backward(tensors, ys, saved, dy, dstate, found, read, torch.get_num_threads())
    if dx is not None and second is not None:
        dx += second
    return [dx, *found]


def step_shapes(batch: int, width: int) -> list[tuple[int, ...]]:
    """The shapes of what goes into a step or comes out: [B,width], and [width] when B = 1."""
    return [(batch, width), (width,)] if batch == 1 else [(batch, width)]


class Stepper:
    """A stack of layers one step at a time, on a state of its own [L,B,...] in the type that the kernels compute in."""

    def __init__(self, weights: Sequence[Weights], options: Options, start: State) -> None:
        self._kind, self._number = start[0].dtype, number_of(start[0].dtype)
        wide = _wide(self._number)
        self.state = _copied(start, wide)
        self._residual = options.residual
        packed = [_laid_out(layer, wide) for layer in weights]
        inputs, projects = tuple(layer.weight_ih.shape[1] for layer in weights), weights[0].weight_hr is not None
        cells = _make_cells(options, inputs, start[1].shape[-1], start[0].shape[-1], projects, False)
        batch, width = start[0].shape[1:]
        outputs = zip(step_shapes(batch, inputs[0]), step_shapes(batch, width), strict=True)
        self._outputs = {seen: _Outputs(shape, self._number) for seen, shape in outputs}  # by x's shape
        make, room = getattr(_core(), f"Stepper{8 * self._number.itemsize}"), list(self._outputs.values())
        parts = self._parts()
        self._use([make(cells[part], packed[part], states, batch, self._residual, room) for part, states in parts])

    @property
    def step_array(self) -> Callable[[Any], Any]:
        """The same for arrays, which have at least 32 bits; None if x is not one that a step takes."""
        return self._cores[0].step_array if self._kind is self.state[0].dtype else self._step_wide_array

    @property
    def step_tensor(self) -> Callable[[Tensor], Tensor | None]:
        """As `step`, in one call of the core where x lies as the kernels read it; None where it does not."""
        return self._cores[0].step_tensor if self._kind is self._number else self.step

    def step(self, x: Tensor) -> Tensor | None:
        """x [B,I] or [I] -> y [B,R] or [R], in x's number type; None if x is not a tensor that a step takes."""
        outputs = self._outputs.get(x.shape)
        if outputs is None or x.dtype is not self._kind or not x.is_cpu:
            return None
        return self._step_laid_out(x, outputs)

    def _step_laid_out(self, x: Tensor, outputs: "_Outputs") -> Tensor:
        """x of the right shape and type, however it lies, is brought to what the core takes."""
        for layer, step in enumerate(self._steps):
            y = outputs.pop() if outputs else outputs.refill()
            step(x.to(self._number).contiguous().resolve_neg(), y)
            above = y.to(x.dtype)
            x = above + x if self._residual and layer else above
        return x

    def twin(self) -> Self:
        """Another one in the same state, that goes its own way with the same packed weights."""
        twin = copy.copy(self)
        twin.state = _copied(self.state, self.state[0].dtype)
        twin._outputs = {seen: outputs.twin() for seen, outputs in self._outputs.items()}
        room = list(twin._outputs.values())
        twin._use([core.twin(states, room) for core, (_, states) in zip(self._cores, twin._parts(), strict=True)])
        return twin

    def _use(self, cores: list[Any]) -> None:
        self._cores = cores
        self._steps = [core.step for core in cores]  # bound once: a compiler that finds them later loses their core

    def _step_wide_array(self, x: Any) -> Any:
        outputs = self._outputs.get(getattr(x, "shape", ()))
        if outputs is None or str(x.dtype) != "float32" or not x.flags.c_contiguous:
            return None
        return self._step_laid_out(torch.tensor(x, dtype=self._kind, device="cpu"), outputs).float().numpy()

    def _parts(self) -> list[tuple[slice, list[State]]]:
        """Which layers the core runs at once, with their states; outputs in types it does not know are rounded here."""
        states: list[State] = list(zip(*self.state, strict=True))
        if self._number is self._kind:
            return [(slice(None), states)]
        return [(slice(layer, layer + 1), states[layer : layer + 1]) for layer in range(len(states))]


class _Outputs(list[Tensor]):
    """Room for the outputs of steps to come: many are allocated at once, for one costs as much as a small step."""

    def __init__(self, shape: tuple[int, ...], kind: torch.dtype) -> None:
        super().__init__()
        self._shape, self._kind = shape, kind
        # Whoever keeps one of them keeps the memory of all, so together they are small.
        self._count = max(1, min(32, SHARED // max(1, math.prod(shape) * kind.itemsize)))

    def refill(self) -> Tensor:
        """Of the new ones, the one that is to be used first."""
        if is_transformed():  # what is made under a mode stands for something else, and must not be kept
            return torch.empty(self._shape, dtype=self._kind, device="cpu")
        rows, *rest = self._shape
        with torch.inference_mode(False):
            block = torch.empty(self._count * rows, *rest, dtype=self._kind, device="cpu")
            self.extend(torch.unsafe_split(block, rows))  # no views of one another for all that autograd knows
        return self.pop()

    def twin(self) -> Self:
        return type(self)(self._shape, self._kind)


def _copied(state: State, kind: torch.dtype) -> State:
    return tuple(part.detach().to(kind).clone(memory_format=torch.contiguous_format) for part in state)


def _core() -> Any:
    return native.load()


def _laid_out(parts: tuple[Any, ...], kind: torch.dtype) -> tuple[Any, ...]:
    return tuple(None if part is None else part.to(kind).contiguous().resolve_neg() for part in parts)


def _features_together(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _like(x: Tensor, width: int, empty: Empty) -> Tensor:
    """As x, packed or [T,B,...], rows or steps first in memory, but `width` wide."""
    if x.dim() == 2:
        return empty(x, len(x), width)
    (time, batch, _), (of_time, of_batch, _) = x.shape, x.stride()
    if of_time < of_batch:
        return empty(x, batch, time, width).transpose(0, 1)
    return empty(x, time, batch, width)


@constant_in_graphs
def _room(options: Options, hidden: int, outputs: int, itemsize: int, draws: bool, has_mask: bool) -> int:
    fill = LINE // max(itemsize, 4)
    cells = _make_cells(options, (1,), -(-hidden // fill) * fill, outputs, outputs < hidden, draws)
    size: int = _core().Run(itemsize, cells, 1, LINE, 1, None, False, None, 0, 0, 0, None, 0, 0).saved_size(has_mask)
    return size


def _allocate_cell(request: Request) -> Tensor:
    return request.state[1].new_empty(*request.x.shape[:2], request.state[1].shape[-1])


def _activity(request: Request, cells: Sequence[Tensor], ys: list[Tensor]) -> tuple[Activity, ...]:
    """The activity of each sequence, from i, f, g, o and c of the first, of the second and so on."""
    if not cells:
        return ()
    parts = [cells[n : n + ACTIVITY_PARTS] for n in range(0, len(cells), ACTIVITY_PARTS)]
    outputs = chain.from_iterable(torch.split(y, request.state[0].shape[-1], dim=-1) for y in ys)
    return tuple(Activity._make([*part, y.to(part[0].dtype)]) for part, y in zip(parts, outputs, strict=True))


def _cells(request: Request) -> list[Any]:
    """Of each layer."""
    hidden, outputs = request.state[1].shape[-1], request.state[0].shape[-1]
    inputs = (request.x.shape[-1],) + (request.directions * outputs,) * (request.layers - 1)
    projects = request.weights[0].weight_hr is not None
    return _make_cells(request.options, inputs, hidden, outputs, projects, request.noise is not None)


@functools.lru_cache(maxsize=256)
def _make_cells(
    options: Options, inputs: tuple[int, ...], hidden: int, outputs: int, projects: bool, draws: bool
) -> list[Any]:
    """One for each layer, by the width of its inputs."""
    cells = [_core().Cell() for _ in inputs]
    for cell, width in zip(cells, inputs, strict=True):
        _describe(cell, options, width, hidden, outputs)
        cell.projection, cell.draws = projects, draws
    return cells


def _describe(cell: Any, options: Options, inputs: int, hidden: int, outputs: int) -> None:
    cell.inputs, cell.hidden, cell.outputs = inputs, hidden, outputs
    for name in ("input_gate", "forget_gate", "output_gate", "coupled", "input_activation", "output_activation"):
        setattr(cell, name, getattr(options, name))
    for name in ("peepholes", "gate_recurrence", "layer_norm", "zoneout_h", "zoneout_c"):
        setattr(cell, name, getattr(options, name))
