"""The compiled kernels as a differentiable function of a request's tensors.

The first backward pass is compiled too. Where a graph of it is wanted (create_graph=True, for a second
derivative) it goes through the definition, which PyTorch differentiates as often as one likes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foretell.lstm import kernels, library
from foretell.lstm.parts import Run, run_both, run_definition, run_padded
from foretell.lstm.request import Answer, Request
from foretell.lstm.transforms import is_transformed


def run(request: Request) -> Answer:
    """Answer a request for one layer in one or both directions."""
    kind = request.x.dtype
    request = kernels.dense(request)
    if is_transformed():
        answer = library.run(request, saves=needs_gradients(request))
    elif needs_gradients(request):
        y, *state = _Layer.apply(request, *request.tensors)  # type: ignore[no-untyped-call]
        answer = Answer(y, tuple(state))
    else:
        outcome = kernels.forward(request, kernels.begin(request), saved=None)
        answer = Answer(outcome.y, outcome.state, outcome.activity)
    if answer.y.dtype is kind:
        return answer
    return Answer(answer.y.to(kind), tuple(part.to(kind) for part in answer.state), answer.activity)


def needs_gradients(request: Request) -> bool:
    """Is autograd to record this request?"""
    return torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in request.tensors)


class _Layer(torch.autograd.Function):
    """(request, its tensors) -> y and the final state."""

    @staticmethod
    def forward(ctx: Any, request: Request, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.request, ctx.run = request.without_tensors(), kernels.begin(request)
        y, state, saved, _ = kernels.forward(request, ctx.run, kernels.allocate_saved(request, ctx.run))
        # The last two are the run's own matter; saved, they cannot be changed in place unnoticed.
        ctx.save_for_backward(*tensors, y, saved, request.lengths, request.reset)
        ctx.set_materialize_grads(False)
        return y, *state

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dstate: Tensor | None) -> tuple[Any, ...]:
        *tensors, y, saved, _, _ = ctx.saved_tensors
        masks = ctx.request.directions
        needed = ctx.needs_input_grad[1:-masks]
        if torch.is_grad_enabled():
            found = _differentiate(ctx.request, tensors, needed, (dy, *dstate))
        else:
            found = kernels.backward(ctx.run, tensors, needed, y, saved, dy, dstate)
        return None, *found, *[None] * masks


def _differentiate(
    request: Request, tensors: Sequence[Tensor | None], needed: Sequence[bool], outer: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradients as a graph of their own, through the definition."""
    # Views, lest one input that was made from another counts that way twice.
    views = [None if tensor is None else tensor.view_as(tensor) for tensor in tensors]
    request = request.with_tensors(views)
    run: Run = (lambda one: run_both(one, run_definition)) if request.directions == 2 else run_definition
    answer = run(request) if request.batch_sizes is None else run_padded(request, run)
    pairs = [(out, grad) for out, grad in zip((answer.y, *answer.state), outer, strict=True) if grad is not None]
    inputs = [view for view, wanted in zip(views, needed) if wanted and view is not None]  # noqa: B905
    outputs, gradients = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, inputs, gradients, create_graph=True, allow_unused=True))
    return [next(found) if wanted else None for wanted in needed]
