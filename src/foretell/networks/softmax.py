"""The categorical head: cross-entropy over many classes without ever holding all logits."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CHUNK = 2_000_000  # logits at a time: 8 MB, which stay in the cache between product, softmax and products back


def cross_entropy(
    h: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float = 0.0
) -> tuple[Tensor, int]:
    """Mean negative log-likelihood of the targets under softmax(h weight' + bias), and how many targets there are.

    Args:
        h: [N,H]. weight: [V,H]. bias: [V] or None.
        target: [N] classes; -1 for a row that does not count.
        smoothing: share of the target's probability that is spread over all classes (Szegedy et al. 2016, section 7).

    Loss and gradients are made together, a chunk of rows at a time, so the logits [N,V] are never kept. The
    gradient can therefore be taken once, and not differentiated again.
    """
    counted = target >= 0
    count = int(counted.sum())
    if count < len(target):
        h, target = h[counted], target[counted]
    if not count:
        return h.sum() * 0.0, 0
    loss: Tensor = _CrossEntropy.apply(h, weight, bias, target, smoothing)  # type: ignore[no-untyped-call]
    return loss, count


@torch.no_grad()
def log_likelihood(h: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor) -> Tensor:
    """The log-probability of each target, [N], in nats. Shapes as in `cross_entropy`, every target counts."""
    parts = [
        torch.log_softmax(_logits(rows, weight, bias), dim=1).gather(1, wanted.unsqueeze(1)).squeeze(1)
        for rows, wanted in _chunks(h, target, len(weight))
    ]
    return torch.cat(parts) if parts else h.new_zeros(0)


def sampled_cross_entropy(
    h: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, negatives: Tensor, log_q: Tensor
) -> Tensor:
    """Mean cross-entropy among each row's target and the drawn classes (Jean et al. 2015, section 3.1).

    Args:
        h: [N,H]. weight: [V,H]. bias: [V] or None. target: [N], all counted.
        negatives: [K] classes drawn with replacement, shared by all rows.
        log_q: [V] the log of the probability that a draw gives each class: its logits are lowered by it, so that
            the sum over draws stands for the sum over all classes.
    """
    drawn = torch.nn.functional.embedding(negatives, weight)
    own = torch.nn.functional.embedding(target, weight)
    among = h @ drawn.T - log_q[negatives] - torch.log(torch.tensor(float(len(negatives))))
    right = (h * own).sum(dim=1)
    if bias is not None:
        among, right = among + bias[negatives], right + bias[target]
    # A draw that hits the row's own target is no other class.
    among = among.masked_fill(negatives.unsqueeze(0) == target.unsqueeze(1), -torch.inf)
    return (torch.logsumexp(torch.cat([right.unsqueeze(1), among], dim=1), dim=1) - right).mean()


class _CrossEntropy(torch.autograd.Function):
    """Gradients are computed with the loss and only scaled in the backward pass."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, smoothing: float) -> Tensor:
        needs = any(ctx.needs_input_grad)
        grad_h = torch.empty_like(h) if needs else None
        grad_weight = torch.zeros_like(weight) if needs else None
        grad_bias = torch.zeros_like(bias) if needs and bias is not None else None
        total = h.new_zeros(())
        row = 0
        for rows, wanted in _chunks(h, target, len(weight)):
            logits = _logits(rows, weight, bias)
            logs = torch.log_softmax(logits, dim=1)
            total -= (1 - smoothing) * logs.gather(1, wanted.unsqueeze(1)).sum()
            if smoothing:
                total -= smoothing * logs.mean(dim=1).sum()
            if grad_h is not None and grad_weight is not None:
                gradient = logs.exp_()  # softmax - target distribution
                if smoothing:
                    gradient -= smoothing / len(weight)
                gradient[torch.arange(len(rows)), wanted] -= 1 - smoothing
                torch.mm(gradient, weight, out=grad_h[row : row + len(rows)])
                grad_weight.addmm_(gradient.T, rows)
                if grad_bias is not None:
                    grad_bias += gradient.sum(dim=0)
            row += len(rows)
        ctx.save_for_backward(grad_h, grad_weight, grad_bias)
        return total / len(target)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad / len(ctx.saved_tensors[0])
        return *(None if one is None else one * scale for one in ctx.saved_tensors), None, None


def _logits(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)


def _chunks(h: Tensor, target: Tensor, classes: int) -> Iterator[tuple[Tensor, Tensor]]:
    size = max(1, CHUNK // classes)
    return zip(torch.split(h, size), torch.split(target, size), strict=True)
