"""What a forecast is measured by: the rows ahead of every step, kept once and looked at through views."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Goal:
    """The truth for T steps of B lanes with H steps ahead. Row t is step t itself, transformed but not scaled."""

    values: Tensor  # [T+H,B]
    known: Tensor  # [T+H,B]  1 where there is a value to learn from, else 0
    learn: Tensor  # [T,B]  1 at the steps to learn from, else 0
    spread: Tensor  # [T,B]

    @property
    def horizon(self) -> int:
        return len(self.values) - len(self.learn)

    def count(self) -> Tensor:
        """How many targets there are to learn from: steps times horizon, less what is masked."""
        before = torch.cat([self.known[:1], self.known]).cumsum(0)
        return (self.learn * (before[self.horizon + 1 :] - before[1 : len(self.learn) + 1])).sum()

    def scaled(self) -> tuple[Tensor, Tensor]:
        """The H values after each step in the scale of that step, and a mask of those to learn from, [T,B,H]."""
        ahead, known = (part[1:].unfold(0, self.horizon, 1) for part in (self.values, self.known))
        level = self.values[: len(self.learn)]
        target = (ahead - level.unsqueeze(-1)) / self.spread.unsqueeze(-1)
        return target, known * self.learn.unsqueeze(-1)


def slide(rows: Tensor, time: int) -> Tensor:
    """[R,B] -> a view [R-time+1, time*B], no copy if `rows` is contiguous: line k holds the rows k..k+time-1."""
    return rows.unfold(0, time, 1).transpose(1, 2).flatten(1)
