"""The compiled kernels as a differentiable function of a request's tensors.

The first backward pass is compiled too. Where a graph of it is wanted (create_graph=True, for a second
derivative) it goes through the definition, which PyTorch differentiates as often as one likes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foretell.lstm import kernels, library
from foretell.lstm.parts import run_both, run_definition, run_layers, run_padded
from foretell.lstm.request import Answer, Request
from foretell.lstm.transforms import is_transformed


def runs_whole(request: Request) -> bool:
    """Is this one call: one layer, or a stack of small ones that run at once?"""
    if request.layers == 1:
        return True
    if request.directions > 1 or request.dropout or request.options.residual or is_transformed():
        return False
    if kernels.number_of(request.x.dtype) is not request.x.dtype:  # others are rounded after every layer
        return False
    if needs_gradients(request) and not all(weights.weight_ih.requires_grad for weights in request.weights):
        return False  # autograd spares itself the layers below the first that learns
    return kernels.runs_at_once(request)


def run(request: Request) -> Answer:
    """Answer a request that `runs_whole`."""
    kind = request.x.dtype
    request = kernels.dense(_as_autocast(request) if torch.is_autocast_enabled("cpu") else request)
    if is_transformed():
        answer = library.run(request.with_data_detached(), saves=needs_gradients(request))
    elif needs_gradients(request):
        y, *state = _Run.apply(request, *request.tensors)  # type: ignore[no-untyped-call]
        answer = Answer(y, tuple(state))
    else:
        outcome = kernels.forward(request, kernels.begin(request), saved=None)
        answer = Answer(outcome.ys[-1], outcome.state, outcome.activity)
    if answer.state[0].dtype is kind:
        return answer
    return Answer(answer.y.to(kind), tuple(part.to(kind) for part in answer.state), answer.activity)


def _as_autocast(request: Request) -> Request:
    """Where products are to be of bfloat16 and there are kernels for them; all else stays as it is."""
    kind = torch.get_autocast_dtype("cpu")
    if request.x.dtype is not torch.float32 or kernels.number_of(kind) is not kind:
        return request
    return request._replace(x=request.x.to(kind))


def needs_gradients(request: Request) -> bool:
    """Is autograd to record this request?"""
    return torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in request.tensors)


class _Run(torch.autograd.Function):
    """(request, its tensors) -> y of the last layer and the final state."""

    @staticmethod
    def forward(ctx: Any, request: Request, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.request, ctx.run = request.without_tensors(), kernels.begin(request)
        ys, state, saved, _ = kernels.forward(request, ctx.run, kernels.allocate_saved(request, ctx.run))
        # The first two are the run's own matter; saved, they cannot be changed in place unnoticed.
        ctx.save_for_backward(request.lengths, request.reset, saved, *ys, *tensors)
        ctx.masks, ctx.layers = len(request.locked), request.layers
        ctx.set_materialize_grads(False)
        return ys[-1], *state

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dstate: Tensor | None) -> tuple[Any, ...]:
        _, _, saved, *rest = ctx.saved_tensors
        ys, tensors = rest[: ctx.layers], rest[ctx.layers :]
        needed = ctx.needs_input_grad[1 : -ctx.masks]
        if torch.is_grad_enabled():
            found = _differentiate(ctx.request, tensors, needed, (dy, *dstate))
        else:
            found = kernels.backward(ctx.run, tensors, needed, ys, saved, dy, dstate)
        return None, *found, *[None] * ctx.masks


def _differentiate(
    request: Request, tensors: Sequence[Tensor | None], needed: Sequence[bool], outer: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradients as a graph of their own, through the definition."""
    # Views, lest one input that was made from another counts that way twice.
    views = [None if tensor is None else tensor.view_as(tensor) for tensor in tensors]
    request = request.with_tensors(views)
    answer = _define(request) if request.batch_sizes is None else run_padded(request, _define)
    pairs = [(out, grad) for out, grad in zip((answer.y, *answer.state), outer, strict=True) if grad is not None]
    inputs = [view for view, wanted in zip(views, needed) if wanted and view is not None]  # noqa: B905
    outputs, gradients = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, inputs, gradients, create_graph=True, allow_unused=True))
    return [next(found) if wanted else None for wanted in needed]


def _define(request: Request) -> Answer:
    """By the definition, layer by layer and direction by direction."""
    if request.layers > 1:
        return run_layers(request, _define)
    return run_both(request, run_definition) if request.directions == 2 else run_definition(request)
