"""The compiled kernels as operators of torch: one node for a layer in a graph, however many steps it runs.

foretell::lstm_forward runs one layer in one or both directions, foretell::lstm_backward gives its gradients, and
that one's own gradients go through the definition. This is the way under torch.compile, torch.export, torch.func
and whatever else looks on; a plain call takes the lighter one (`fused`).

What forward saves for backward is as large as `room` says (`kernels.room_of_pairs`): a graph has to know sizes. Where
no backward pass was expected `room` is 0, and backward runs forward once more.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from foretell import native
from foretell.errors import InputError, require
from foretell.lstm import kernels, members
from foretell.lstm.arguments import check_length_values
from foretell.lstm.call import SCHEMA, Call
from foretell.lstm.parts import run_both, run_definition
from foretell.lstm.request import Answer, Request
from foretell.lstm.transforms import is_functional

FORWARD, BACKWARD = "foretell::lstm_forward", "foretell::lstm_backward"
_OUTER = "Tensor? dy, Tensor? dh, Tensor? dc, Tensor? dgates"
torch.library.define(FORWARD, f"({SCHEMA}, int room) -> (Tensor y, Tensor[] state, Tensor saved)")
torch.library.define(BACKWARD, f"({SCHEMA}, Tensor y, Tensor saved, {_OUTER}, bool[] wanted) -> Tensor[]")
_OPERATORS = torch.ops.foretell


def run(request: Request, saves: bool) -> Answer:
    """Answer a request made by `kernels.dense`, for one layer; `saves`: is a backward pass to be expected?"""
    # An exported or traced graph would for ever pay for a backward pass that it may never run.
    kept = torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None
    room = kernels.room_of_pairs(request) if saves and not kept else 0
    y, state, _ = _call_forward(*Call.of(request), room)
    return Answer(y, tuple(state))


@torch.library.impl(FORWARD, "CPU")
def _forward(*arguments: Any) -> tuple[Tensor, list[Tensor], Tensor]:
    if native.load() is None:
        raise InputError(
            "LSTM: this graph calls Foretell's compiled core, which is missing here: install a C++20 compiler and then "
            "Foretell again, or export the layer within use_backend('definition')."
        )
    *call, room = arguments
    request = Call(*call).request()
    if request.lengths is not None:
        check_length_values("LSTM", request.lengths, len(request.x))
    enough = kernels.room_of_pairs(request)
    require(room == 0 or room >= enough, "LSTM", "the room of a compiled graph", f"0 or at least {enough}", room)
    saved = kernels.allocate_room(request, room)
    (y,), state, _ = kernels.forward(request, kernels.begin(request), saved if room else None)
    return y.to(call[0].dtype), list(state), saved


@torch.library.register_fake(FORWARD)  # type: ignore[untyped-decorator]
def _forward_shapes(*arguments: Any) -> tuple[Tensor, list[Tensor], Tensor]:
    *call, room = arguments
    request = Call(*call).request()
    (y,), state = kernels.allocate_outputs(request)
    return y.to(call[0].dtype), list(state), kernels.allocate_room(request, room)


@torch.library.impl(BACKWARD, "CPU")
def _backward(*arguments: Any) -> list[Tensor]:
    *call, y, saved, dy, dh, dc, dgates, wanted = arguments
    request = Call(*call).request()
    kind = request.x.dtype  # a graph may have been made where bfloat16 is multiplied as it is
    y, dy = y.to(kind), None if dy is None else dy.to(kind)
    run = kernels.begin(request)
    if not saved.numel():
        saved = kernels.allocate_saved(request, run)
        (y,), *_ = kernels.forward(request, run, saved)
    dstate = (dh, dc, dgates)[: len(request.state)]
    found = kernels.backward(run, request.tensors, _needed(request, wanted), [y], saved, dy, dstate)
    found[0] = None if found[0] is None else found[0].to(call[0].dtype)
    return [part for part in found if part is not None]


@torch.library.register_fake(BACKWARD)  # type: ignore[untyped-decorator]
def _backward_shapes(*arguments: Any) -> list[Tensor]:
    *call, _, _, _, _, _, _, wanted = arguments
    request = Call(*call).request()
    found = kernels.allocate_gradients(request.tensors, _needed(request, wanted))
    found[0] = None if found[0] is None else found[0].to(call[0].dtype)
    return [part for part in found if part is not None]


def _needed(request: Request, wanted: Sequence[bool]) -> list[bool]:
    """Of a request's tensors but the masks: those of its roots that `wanted` marks, one after the other."""
    marks = iter(wanted)
    return [part is not None and next(marks) for part in request.tensors[: -request.directions]]


@dataclass(frozen=True)
class _Frame:
    """The arguments of an operator without their tensors, which autograd wants to keep by itself."""

    tree: pytree.TreeSpec
    others: list[Any]

    def fill(self, tensors: Sequence[Tensor | None]) -> Any:
        pairs = zip(tensors, self.others, strict=True)
        return self.place([other if tensor is None else tensor for tensor, other in pairs])

    def place(self, leaves: Sequence[Any]) -> Any:
        """Something for every argument, in the same tree."""
        return pytree.tree_unflatten(leaves, self.tree)


def _take_apart(values: Any) -> tuple[_Frame, list[Tensor | None]]:
    leaves, tree = pytree.tree_flatten(values)
    others = [None if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return _Frame(tree, others), [leaf if isinstance(leaf, Tensor) else None for leaf in leaves]


def _keep(ctx: Any, values: Any) -> None:
    ctx.frame, tensors = _take_apart(values)
    ctx.save_for_backward(*tensors)


def _keep_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, list[Tensor], Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[2])
    _keep(ctx, (inputs[:-1], output[0], output[2]))


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _keep(ctx, inputs)


def _differentiate_forward(ctx: Any, dy: Tensor | None, dstate: list[Tensor | None], _: None) -> tuple[Any, ...]:
    return *_slopes_of_forward(ctx, Call(*ctx.needs_input_grad[:-1]), dy, dstate), None


def _differentiate_backward(ctx: Any, outer: list[Tensor]) -> tuple[Any, ...]:
    return *_slopes_of_backward(ctx, outer), None


torch.library.register_autograd(FORWARD, _differentiate_forward, setup_context=_keep_forward)
torch.library.register_autograd(BACKWARD, _differentiate_backward, setup_context=_keep_backward)
torch.library.register_vmap(FORWARD, functools.partial(members.forward, _OPERATORS.lstm_forward))
torch.library.register_vmap(BACKWARD, functools.partial(members.backward, _OPERATORS.lstm_backward))


class _Forward(torch.autograd.Function):
    """The operator once more, for torch.func, which cannot see the gradients that operators are registered with."""

    @staticmethod
    def forward(frame: _Frame, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        y, state, saved = _OPERATORS.lstm_forward(*frame.fill(tensors))
        return y, *state, saved

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        frame, *tensors = inputs
        y, *state, saved = output
        ctx.inputs = frame
        _keep_forward(ctx, frame.fill(tensors), (y, state, saved))

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dothers: Tensor | None) -> tuple[Any, ...]:
        *needed, _ = ctx.inputs.place(ctx.needs_input_grad[1:])
        slopes = _slopes_of_forward(ctx, Call(*needed), dy, dothers[:-1])
        return None, *pytree.tree_leaves(slopes), None

    @staticmethod
    def vmap(info: Any, dims: tuple[Any, ...], frame: _Frame, *tensors: Tensor | None) -> tuple[Any, Any]:
        found = members.forward(_call_forward, info, frame.place(dims[1:]), *frame.fill(tensors))
        (y, state, saved), (y_dim, state_dims, saved_dim) = found
        return (y, *state, saved), (y_dim, *state_dims, saved_dim)


class _Backward(torch.autograd.Function):
    """As `_Forward`."""

    @staticmethod
    def forward(frame: _Frame, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        return tuple(_OPERATORS.lstm_backward(*frame.fill(tensors)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        frame, *tensors = inputs
        _keep(ctx, frame.fill(tensors))

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Any, ...]:
        slopes = pytree.tree_leaves(_slopes_of_backward(ctx, outer))
        return None, *slopes, *[None] * (len(ctx.needs_input_grad) - 1 - len(slopes))

    @staticmethod
    def vmap(info: Any, dims: tuple[Any, ...], frame: _Frame, *tensors: Tensor | None) -> tuple[Any, Any]:
        found, places = members.backward(_call_backward, info, frame.place(dims[1:]), *frame.fill(tensors))
        return tuple(found), tuple(places)


def _call_forward(*arguments: Any) -> Any:
    if torch.compiler.is_compiling() or not is_functional():
        return _OPERATORS.lstm_forward(*arguments)
    frame, tensors = _take_apart(arguments)
    y, *state, saved = _Forward.apply(frame, *tensors)  # type: ignore[no-untyped-call]
    return y, state, saved


def _call_backward(*arguments: Any) -> Any:
    if not is_functional():
        return _OPERATORS.lstm_backward(*arguments)
    frame, tensors = _take_apart(arguments)
    return list(_Backward.apply(frame, *tensors))  # type: ignore[no-untyped-call]


def _slopes_of_forward(ctx: Any, needed: Call, dy: Tensor | None, dstate: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The gradients of all arguments but `room`."""
    values, y, saved = ctx.frame.fill(ctx.saved_tensors)
    outer = [dy, *dstate, *[None] * (3 - len(dstate))]  # of h, c and the gates
    found = iter(_call_backward(*values, y, saved, *outer, needed.roots))
    return Call(*values).gradients([next(found) if wanted else None for wanted in needed.roots])


def _slopes_of_backward(ctx: Any, outermost: Sequence[Tensor]) -> tuple[Any, ...]:
    """The gradients of all arguments but `wanted`, through the definition, so that PyTorch can go on from there."""
    values = ctx.frame.fill(ctx.saved_tensors)
    *_, dy, dh, dc, dgates, wanted = values
    call, outer = Call(*values[: len(Call._fields)]), [dy, dh, dc, dgates]

    def slopes(roots: list[Tensor], given: list[Tensor]) -> Any:
        def outcome(chosen: list[Tensor]) -> list[Tensor]:
            left = iter(chosen)
            filled = call.with_roots([next(left) if mark else root for root, mark in zip(roots, wanted, strict=True)])
            answer = _run_definition(filled.request())
            pairs = zip((answer.y, *answer.state), outer, strict=False)
            return [part for part, slope in pairs if slope is not None]

        pull = torch.func.vjp(outcome, [root for root, mark in zip(roots, wanted, strict=True) if mark])[1]
        return pull(given)[0]

    pull = torch.func.vjp(slopes, call.roots, [slope for slope in outer if slope is not None])[1]
    droots, given = pull(list(outermost))
    left = iter(given)
    return *call.gradients(droots), None, None, *(None if slope is None else next(left) for slope in outer)


def _run_definition(request: Request) -> Answer:
    return run_both(request, run_definition) if request.directions == 2 else run_definition(request)
