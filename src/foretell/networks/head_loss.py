"""The head and its pinball loss in one pass: nothing of size steps x horizon x quantiles ever reaches memory.

The loss is piecewise linear in the quantiles, so its gradient is known as soon as the signs of the errors are.
Steps are taken in chunks that fit the cache; of each remain only its share of the loss and of the gradients.
T steps, B lanes, H horizon, Q quantiles, k = (Q-1)/2 of them on either side of the median.

Within a chunk of n rows of T*B, arrays are Q blocks [H,n]: the k distances above the median from the inside out,
the k below it likewise, the median. So sums over quantiles are sums of whole blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from foretell.networks.goal import Goal, slide

CHUNK = 262_144  # numbers in an array of a chunk: three of them stay in the second caches of two cores
STEEP = 80.0  # beyond it an exponential would be infinite, and the softplus has long been the identity


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout (Srivastava et al. 2014), the share rounded to 256ths."""

    draws: Tensor  # [T*B,hidden]  a random byte for each number
    least: int  # numbers whose byte is below this are dropped, at most 255

    @property
    def growth(self) -> float:
        """What the others are multiplied by."""
        return 256 / (256 - self.least)


@dataclass(frozen=True)
class Head:
    """What makes the quantiles: answers of the LSTM's outputs, and linear skips to the medians."""

    weight: Tensor  # [H*Q,hidden]  of the medians, then of the raw distances as `spread_out` takes them
    bias: Tensor  # [H*Q]
    skips: tuple[tuple[Tensor, Tensor], ...]  # (weight [H,K], inputs [K,T*B]) each, to be added to the medians
    beside: Tensor | None  # [H,T*B]  what else is added to the medians


def head_loss(
    hidden: Tensor, head: Head, goal: Goal, probabilities: Tensor, dropout: Dropout | None = None
) -> tuple[Tensor, Tensor]:
    """The mean of `pinball` over the quantiles that `spread_out` makes, and the number of targets.

    hidden [T,B,hidden], to which `dropout` is done; probabilities [Q], the median in the middle. Differentiable
    once, by all but the inputs of the skips.
    """
    count = goal.count()
    weights, inputs = zip(*head.skips, strict=True) if head.skips else ((), ())
    work = _Work(goal, probabilities.to(hidden.dtype), count.item(), dropout, inputs)
    loss: Tensor = _HeadLoss.apply(work, hidden.flatten(0, 1), head.beside, head.weight, head.bias, *weights)  # type: ignore[no-untyped-call]
    return loss, count


class _HeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, work: "_Work", *tensors: Any) -> Tensor:
        loss, gradients = work.run(*tensors, wants_gradients=any(ctx.needs_input_grad))
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        if factor.item() != 1.0:
            gradients = tuple(None if gradient is None else factor * gradient for gradient in gradients)
        return (None, *gradients)


@dataclass(frozen=True)
class _Work:
    goal: Goal
    probabilities: Tensor  # [Q]
    count: float  # of targets
    dropout: Dropout | None
    inputs: tuple[Tensor, ...]  # of the skips

    @property
    def scale(self) -> float:
        """From the sum over all quantiles to the loss; see `pinball` for the 2."""
        return 2 / (len(self.probabilities) * max(self.count, 1.0))

    def run(
        self,
        hidden: Tensor,
        beside: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        *skips: Tensor,
        wants_gradients: bool,
    ) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """The loss, and if wanted its gradients by the other arguments in their order."""
        horizon, growth = self.goal.horizon, self.dropout.growth if self.dropout else 1.0
        order, sign, place = _lines(horizon, len(self.probabilities))
        levels = self.scale * self.probabilities[place].unsqueeze(1)
        lines, shift = growth * weight[order], bias[order].unsqueeze(1)
        sums = _Sums(self.inputs, hidden, beside, lines * sign, skips) if wants_gradients else None
        loss = weight.new_zeros(())
        for steps, rows, (out, slope, rise) in self._chunks(weight, len(order)):
            seen, kept = self._drop(hidden[rows], rows)
            torch.addmm(shift, lines, seen.T, out=out)
            for skip, inputs in zip(skips, self.inputs, strict=True):
                out[-horizon:].addmm_(skip, inputs[:, rows])
            if beside is not None:
                out[-horizon:].add_(beside[:, rows])
            loss.add_(self._loss(out, slope, rise[:-horizon], levels, steps))
            if sums is not None:
                _sum_outwards(slope.view(-1, horizon, slope.shape[1]))
                slope[:-horizon].mul_(rise[:-horizon])
                sums.add(slope, slope[-horizon:], rows, seen, kept)
        if sums is None:
            return loss, ()
        d_weight, d_bias = torch.empty_like(weight), torch.empty_like(bias)
        d_weight[order], d_bias[order] = growth * (sign * sums.lines), (sign * sums.shift).squeeze(1)
        return loss, (sums.hidden, sums.beside, d_weight, d_bias, *(-skip.T for skip in sums.skips))

    def _chunks(self, like: Tensor, lines: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """Slices of the steps and of the rows T*B, and three arrays [Q*H,n] to work in, the same in all chunks."""
        time, lanes = self.goal.learn.shape
        size = max(1, CHUNK // (lines * lanes))
        room = like.new_empty(3, lines * min(size, time) * lanes)
        for first in range(0, time, size):
            last = min(first + size, time)
            rows = slice(first * lanes, last * lanes)
            yield slice(first, last), rows, room[:, : lines * (rows.stop - rows.start)].view(3, lines, -1)

    def _drop(self, hidden: Tensor, rows: slice) -> tuple[Tensor, Tensor | None]:
        """Hidden outputs with zeros among them, the others not yet grown; and 1 for those that stay, else 0."""
        if self.dropout is None:
            return hidden, None
        kept = self.dropout.draws[rows].to(hidden.dtype).ge_(self.dropout.least)
        return hidden * kept, kept

    def _loss(self, out: Tensor, slope: Tensor, rise: Tensor, levels: Tensor, steps: slice) -> Tensor:
        """The chunk's share of the loss, from raw distances and medians `out` [Q*H,n], which become errors.

        `slope` becomes the derivative by each error, `rise` that of each distance by its raw one; levels [Q*H,1].
        """
        horizon, middle = self.goal.horizon, len(self.probabilities) // 2
        _softplus_(out[:-horizon], rise, slope[:-horizon])
        *distances, median = out.view(-1, horizon, out.shape[1]).unbind()
        torch.sub(self._target(steps), median, out=median)
        above = below = median
        for up, down in zip(distances[:middle], distances[middle:], strict=True):
            above, below = torch.sub(above, up, out=up), torch.add(below, down, out=down)
        torch.lt(out, 0, out=slope)
        torch.sub(levels, slope, alpha=self.scale, out=slope)
        if self.count < self.goal.learn.numel() * horizon:
            known = slide(self.goal.known[steps.start + 1 : steps.stop + horizon], steps.stop - steps.start)
            slope.view(-1, *known.shape).mul_(known * self.goal.learn[steps].flatten())
        return torch.dot(out.view(-1), slope.view(-1))

    def _target(self, steps: slice) -> Tensor:
        """What lies ahead of those steps in their own scale, [H,n]."""
        level, spread = (part[steps].flatten() for part in (self.goal.values, self.goal.spread))
        ahead = slide(self.goal.values[steps.start + 1 : steps.stop + self.goal.horizon], steps.stop - steps.start)
        return (ahead - level).div_(spread)


class _Sums:
    """Gradients, filled in or added up chunk by chunk; lines and skips still lack their signs."""

    def __init__(
        self, inputs: tuple[Tensor, ...], hidden: Tensor, beside: Tensor | None, back: Tensor, skips: tuple[Tensor, ...]
    ) -> None:
        self._inputs, self._back = inputs, back
        self.hidden = torch.empty_like(hidden)
        self.beside = None if beside is None else torch.empty_like(beside)
        self.lines, self.shift = torch.zeros_like(back), back.new_zeros(len(back), 1)
        # transposed: a product that is short on both sides is twice as fast this way round
        self.skips = [torch.zeros_like(skip.T) for skip in skips]

    def add(self, slope: Tensor, median: Tensor, rows: slice, seen: Tensor, kept: Tensor | None) -> None:
        hidden = torch.mm(slope.T, self._back, out=self.hidden[rows])
        if kept is not None:
            hidden.mul_(kept)
        self.lines.addmm_(slope, seen)
        self.shift.add_(slope.sum(1, keepdim=True))
        for skip, inputs in zip(self.skips, self._inputs, strict=True):
            skip.addmm_(inputs[:, rows], median.T)
        if self.beside is not None:
            torch.neg(median, out=self.beside[:, rows])


def _softplus_(raw: Tensor, slope: Tensor, spare: Tensor) -> None:
    """log(1 + exp(raw)) in place, and its derivative in `slope`: an exponential and a logarithm serve for both."""
    torch.clamp(raw, max=STEEP, out=slope).exp_()
    torch.add(slope, 1, out=spare)
    slope.div_(spare)
    torch.maximum(spare.log_(), raw, out=raw)  # for large arguments the softplus is the argument


def _sum_outwards(slopes: Tensor) -> None:
    """In place, [Q,H,n]: by each error -> by each distance, which moves all quantiles beyond it, and by the median."""
    blocks = list(slopes)
    middle = len(blocks) // 2
    for k in range(middle - 1, 0, -1):
        blocks[k - 1].add_(blocks[k])
        blocks[middle + k - 1].add_(blocks[middle + k])
    for side in range(0, 2 * middle, max(middle, 1)):
        blocks[-1].add_(blocks[side])


@lru_cache(maxsize=8)
def _lines(horizon: int, quantiles: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each line: the head's answer in it [Q*H]; -1 if that lowers errors, else 1 [Q*H,1]; its quantile [Q*H]."""
    middle = quantiles // 2
    distances = horizon + torch.arange(horizon * (quantiles - 1)).view(horizon, quantiles - 1).T  # [Q-1,H]
    order = torch.cat([distances[middle:], distances[:middle].flip(0), torch.arange(horizon).unsqueeze(0)])
    sign = torch.full((quantiles, horizon), -1.0)
    sign[middle:-1] = 1.0
    place = torch.cat([torch.arange(middle + 1, quantiles), torch.arange(middle).flip(0), torch.tensor([middle])])
    return order.flatten(), sign.view(-1, 1), place.repeat_interleave(horizon)
