"""The head and its pinball loss in PyTorch: what the compiled kernel answers to, and what runs where it does not.

Steps are taken in chunks that fit the cache; of each remain only its share of the loss and of the gradients.
T steps, B lanes, H horizon, Q quantiles, k = (Q-1)/2 of them on either side of the median.

Within a chunk of n rows of T*B, arrays are Q blocks [H,n]: the k distances above the median from the inside out,
the k below it likewise, the median. So sums over quantiles are sums of whole blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from foretell.networks.goal import Goal, slide
from foretell.networks.head import Dropout, Head

CHUNK = 262_144  # numbers in an array of a chunk: three of them stay in the second caches of two cores
STEEP = 80.0  # beyond it an exponential would be infinite, and the softplus has long been the identity


def run(
    hidden: Tensor, head: Head, goal: Goal, probabilities: Tensor, dropout: Dropout | None, wants_gradients: bool
) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
    """The loss, the number of targets, and if wanted the gradients by hidden, beside, weight, bias and skips."""
    count = goal.count()
    loss, gradients = _Work(goal, probabilities, count.item(), dropout, head).run(hidden, wants_gradients)
    return loss, count, gradients


@dataclass(frozen=True)
class _Work:
    goal: Goal
    probabilities: Tensor  # [Q]
    count: float  # of targets
    dropout: Dropout | None
    head: Head

    @property
    def scale(self) -> float:
        """From the sum over all quantiles to the loss; see `pinball` for the 2."""
        return 2 / (len(self.probabilities) * max(self.count, 1.0))

    def run(self, hidden: Tensor, wants_gradients: bool) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        horizon, growth = self.goal.horizon, self.dropout.growth if self.dropout else 1.0
        head, weight, bias, beside = self.head, self.head.weight, self.head.bias, self.head.beside
        order, sign, place = _lines(horizon, len(self.probabilities))
        levels = self.scale * self.probabilities[place].unsqueeze(1)
        lines, shift = growth * weight[order], bias[order].unsqueeze(1)
        sums = _Sums(head, hidden, lines * sign) if wants_gradients else None
        loss = weight.new_zeros(())
        for steps, rows, (out, slope, rise) in self._chunks(weight, len(order)):
            seen, kept = self._drop(hidden[rows], rows)
            torch.addmm(shift, lines, seen.T, out=out)
            fed = [inputs.scaled(rows) for _, inputs in head.skips]
            for (skip, _), scaled in zip(head.skips, fed, strict=True):
                out[-horizon:].addmm_(skip, scaled)
            if beside is not None:
                out[-horizon:].add_(beside[:, rows])
            loss.add_(self._loss(out, slope, rise[:-horizon], levels, steps))
            if sums is not None:
                _sum_outwards(slope.view(-1, horizon, slope.shape[1]))
                slope[:-horizon].mul_(rise[:-horizon])
                sums.add(slope, slope[-horizon:], rows, seen, kept, fed)
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
        kept = self.dropout.keep(rows, hidden)
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

    def __init__(self, head: Head, hidden: Tensor, back: Tensor) -> None:
        self._back = back
        self.hidden = torch.empty_like(hidden)
        self.beside = None if head.beside is None else torch.empty_like(head.beside)
        self.lines, self.shift = torch.zeros_like(back), back.new_zeros(len(back), 1)
        # transposed: a product that is short on both sides is twice as fast this way round
        self.skips = [torch.zeros_like(skip.T) for skip, _ in head.skips]

    def add(
        self, slope: Tensor, median: Tensor, rows: slice, seen: Tensor, kept: Tensor | None, fed: list[Tensor]
    ) -> None:
        hidden = torch.mm(slope.T, self._back, out=self.hidden[rows])
        if kept is not None:
            hidden.mul_(kept)
        self.lines.addmm_(slope, seen)
        self.shift.add_(slope.sum(1, keepdim=True))
        for skip, scaled in zip(self.skips, fed, strict=True):
            skip.addmm_(scaled, median.T)
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
