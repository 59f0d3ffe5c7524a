"""The compiled kernels as a differentiable function of a request's tensors.

The first backward pass is compiled too. Where a graph of it is wanted (create_graph=True, for a second
derivative), or many gradients come at once (is_grads_batched), it goes through the definition, of which PyTorch
makes what it likes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foretell import native
from foretell.errors import require
from foretell.lstm import kernels, library
from foretell.lstm.autocast import autocast_kind
from foretell.lstm.parts import run_both, run_definition, run_layers, run_padded
from foretell.lstm.request import Answer, Request
from foretell.lstm.transforms import is_plain, is_transformed


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
    request = _as_autocast(request)
    if is_transformed():
        answer = _run_operator(request)
    else:
        try:
            answer = _run_kernels(kernels.dense(request))
        except native.load().NoMemory:  # type: ignore[union-attr]
            answer = run_layers(request, _run_operator)  # whoever such a tensor stands for sees operators
    if answer.state[0].dtype is kind:
        return answer
    return Answer(answer.y.to(kind), tuple(part.to(kind) for part in answer.state), answer.activity)


def _run_operator(request: Request) -> Answer:
    """As an operator of torch; what those have no arguments for is brought to what they take, or told by definition."""
    if request.batch_sizes is not None:
        return run_padded(request, _run_operator)
    if request.noise is not None and request.noise.ends is not None:
        return run_definition(request)
    request = kernels.dense(request)
    return library.run(request.with_data_detached(), saves=needs_gradients(request))


def _run_kernels(request: Request) -> Answer:
    if needs_gradients(request):
        y, *state = _Run.apply(request, *request.tensors)  # type: ignore[no-untyped-call]
        return Answer(y, tuple(state))
    ys, state, activity = kernels.forward(request, kernels.begin(request), saved=None)
    return Answer(ys[-1], state, activity)


def _as_autocast(request: Request) -> Request:
    """Where products are to be of bfloat16 and there are kernels for them; all else stays as it is."""
    kind = autocast_kind(request.x)
    if kind is None or request.x.dtype is not torch.float32 or kernels.number_of(kind) is not kind:
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
        saved = kernels.allocate_saved(request, ctx.run)
        ys, state, _ = kernels.forward(request, ctx.run, saved)
        # The first two are the run's own matter; saved, they cannot be changed in place unnoticed.
        kept = request.lengths, request.reset, saved, *ys, *tensors
        ctx.save_for_backward(*kept)
        ctx.kept = _describe(kept) if torch._C._autograd._top_saved_tensors_default_hooks(False) else None
        ctx.masks, ctx.layers = len(request.locked), request.layers
        ctx.set_materialize_grads(False)
        return ys[-1], *state

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dstate: Tensor | None) -> tuple[Any, ...]:
        kept = ctx.saved_tensors
        if ctx.kept is not None:
            kept = _restore(kept, ctx.kept)
        _, _, saved, *rest = kept
        ys, tensors = rest[: ctx.layers], rest[ctx.layers :]
        needed = ctx.needs_input_grad[1 : -ctx.masks]
        if torch.is_grad_enabled() or not all(map(is_plain, (dy, *dstate))):
            found = _differentiate(ctx.request, tensors, needed, (dy, *dstate))
        else:
            found = kernels.backward(ctx.run, tensors, needed, ys, saved, dy, dstate)
        return None, *found, *[None] * ctx.masks


def _describe(tensors: Sequence[Tensor | None]) -> list[Any]:
    return [None if tensor is None else (tensor.shape, tensor.dtype) for tensor in tensors]


def _restore(tensors: Sequence[Tensor | None], expected: list[Any]) -> list[Tensor | None]:
    """What hooks on saved tensors give back, laid out for the kernels."""
    for found, wanted in zip(_describe(tensors), expected, strict=True):
        require(found == wanted, "LSTM", "what a hook on saved tensors gives back", f"{wanted} as it took", found)
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def _differentiate(
    request: Request, tensors: Sequence[Tensor | None], needed: Sequence[bool], outer: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradients, where they are recorded as a graph of their own, through the definition."""
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, lest one input that was made from another counts that way twice.
        views = [None if tensor is None else tensor.view_as(tensor) for tensor in tensors]
        request = request.with_tensors(views)
        answer = _define(request) if request.batch_sizes is None else run_padded(request, _define)
    pairs = [(out, grad) for out, grad in zip((answer.y, *answer.state), outer, strict=True) if grad is not None]
    inputs = [view for view, wanted in zip(views, needed) if wanted and view is not None]  # noqa: B905
    outputs, gradients = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, inputs, gradients, create_graph=recorded, allow_unused=True))
    return [next(found) if wanted else None for wanted in needed]


def _define(request: Request) -> Answer:
    """By the definition, layer by layer and direction by direction."""
    if request.layers > 1:
        return run_layers(request, _define)
    return run_both(request, run_definition) if request.directions == 2 else run_definition(request)
