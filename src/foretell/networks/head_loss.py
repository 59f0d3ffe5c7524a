"""The head and its pinball loss in one pass: nothing of size steps x horizon x quantiles ever reaches memory.

The loss is piecewise linear in the quantiles, so its gradient is known as soon as the signs of the errors are, and
the gradients are found on the way. The compiled kernel does that wherever it can.
T steps, B lanes, H horizon, Q quantiles.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from foretell.networks import head_chunks, head_kernel
from foretell.networks.goal import Goal
from foretell.networks.head import Dropout, Head
from foretell.networks.inputs import Inputs


def head_loss(
    hidden: Tensor, head: Head, goal: Goal, probabilities: Tensor, dropout: Dropout | None = None
) -> tuple[Tensor, Tensor]:
    """The mean of `pinball` over the quantiles that `spread_out` makes, and the number of targets.

    hidden [T,B,hidden], to which `dropout` is done; probabilities [Q], the median in the middle. Differentiable
    once, by all but the inputs of the skips.
    """
    weights, inputs = zip(*head.skips, strict=True) if head.skips else ((), ())
    rest = goal, probabilities.to(hidden.dtype), dropout
    loss, count = _HeadLoss.apply(inputs, rest, hidden.flatten(0, 1), head.beside, head.weight, head.bias, *weights)  # type: ignore[no-untyped-call]
    return loss, count


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: tuple[Inputs, ...],
        rest: tuple[Goal, Tensor, Dropout | None],
        hidden: Tensor,
        beside: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        *skips: Tensor,
    ) -> tuple[Tensor, Tensor]:
        head = Head(weight, bias, tuple(zip(skips, inputs, strict=True)), beside)
        run = head_kernel.run if head_kernel.fits(hidden, head, *rest[:2]) else head_chunks.run
        loss, count, gradients = run(hidden, head, *rest, any(ctx.needs_input_grad))
        ctx.save_for_backward(*gradients)
        ctx.mark_non_differentiable(count)
        return loss, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        if factor.item() != 1.0:
            gradients = tuple(None if gradient is None else factor * gradient for gradient in gradients)
        return (None, None, *gradients)
