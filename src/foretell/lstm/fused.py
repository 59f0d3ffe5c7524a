"""The compiled kernels as a differentiable function of a request's tensors.

The first backward pass is compiled too. Where a graph of it is wanted (create_graph=True, for a second
derivative) it goes through the definition, which PyTorch differentiates as often as one likes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from foretell.lstm import kernels, library
from foretell.lstm.definition import Weights
from foretell.lstm.kernels import Gradients
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
        y, *state = _Layer.apply(request, *_tensors(request))  # type: ignore[no-untyped-call]
        answer = Answer(y, tuple(state))
    else:
        outcome = kernels.forward(request, saved=None)
        answer = Answer(outcome.y, outcome.state, outcome.activity)
    if answer.y.dtype == kind:
        return answer
    return Answer(answer.y.to(kind), tuple(part.to(kind) for part in answer.state), answer.activity)


def needs_gradients(request: Request) -> bool:
    """Is autograd to record this request?"""
    return torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in _tensors(request))


def _tensors(request: Request) -> list[Tensor | None]:
    """What gradients may flow to."""
    start = request.start or (None,) * len(request.state)
    weights = [part for parts in request.weights for part in parts]
    return [request.x, *request.state, *start, *request.locked, *weights]


_NOTHING = torch.empty(0)


@dataclass(frozen=True)
class _Frame:
    """A request without the tensors that gradients flow to."""

    rest: Request
    parts: int  # of a state

    @classmethod
    def of(cls, request: Request) -> Self:
        rest = replace(request, x=_NOTHING, state=(), start=None, locked=(), weights=())
        return cls(rest, len(request.state))

    def fill(self, tensors: Sequence[Tensor | None]) -> Request:
        """The request with these tensors, in the order of `_tensors`."""
        parts = self._sort(tensors)
        given: dict[str, Any] = {
            "x": parts.x,
            "state": parts.state,
            "start": None if parts.start[0] is None else parts.start,
            "locked": tuple(tensors[1 + 2 * self.parts :][: self.rest.directions]),
            "weights": tuple(Weights(*weights) for weights in parts.weights),  # type: ignore[arg-type]
        }
        return replace(self.rest, **given)

    def wanted(self, tensors: Sequence[Tensor | None], needed: Sequence[bool]) -> Gradients:
        """Those of the tensors whose gradient is needed."""
        return self._sort([tensor if wanted else None for tensor, wanted in zip(tensors, needed, strict=True)])

    def _sort(self, tensors: Sequence[Tensor | None]) -> Gradients:
        x, *others = tensors
        weights = others[2 * self.parts + self.rest.directions :]
        width = len(Weights._fields)
        each = tuple(tuple(weights[n * width :][:width]) for n in range(self.rest.directions))
        return Gradients(x, tuple(others[: self.parts]), tuple(others[self.parts : 2 * self.parts]), each)

    def split(self, gradients: Gradients) -> tuple[Tensor | None, ...]:
        """The gradients in the same order; a locked mask has none, for it is drawn."""
        locked = [None] * self.rest.directions
        weights = [part for parts in gradients.weights for part in parts]
        return gradients.x, *gradients.state, *gradients.start, *locked, *weights


class _Layer(torch.autograd.Function):
    """(request, its tensors) -> y and the final state."""

    @staticmethod
    def forward(ctx: Any, request: Request, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        outcome = kernels.forward(request, kernels.allocate_saved(request))
        ctx.frame = _Frame.of(request)
        ctx.save_for_backward(*tensors, outcome.y, outcome.saved)
        ctx.set_materialize_grads(False)
        return outcome.y, *outcome.state

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dstate: Tensor | None) -> tuple[Any, ...]:
        *tensors, y, saved = ctx.saved_tensors
        needed = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *_differentiate(ctx.frame, tensors, needed, (dy, *dstate))
        request = ctx.frame.fill(tensors)
        wanted = ctx.frame.wanted(tensors, needed)
        return None, *ctx.frame.split(kernels.backward(request, y, saved, dy, dstate, wanted))


def _differentiate(
    frame: _Frame, tensors: list[Tensor | None], needed: list[bool], outer: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The gradients as a graph of their own, through the definition."""
    # Views, lest one input that was made from another counts that way twice.
    views = [None if tensor is None else tensor.view_as(tensor) for tensor in tensors]
    request = frame.fill(views)
    run: Run = (lambda one: run_both(one, run_definition)) if request.directions == 2 else run_definition
    answer = run(request) if request.batch_sizes is None else run_padded(request, run)
    pairs = [(out, grad) for out, grad in zip((answer.y, *answer.state), outer, strict=True) if grad is not None]
    inputs = [view for view, wanted in zip(views, needed, strict=True) if wanted and view is not None]
    outputs, gradients = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, inputs, gradients, create_graph=True, allow_unused=True))
    return [next(found) if wanted else None for wanted in needed]
