"""The optimizer's step over all weights at once: in the compiled kernel, which passes over them once, or in PyTorch."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from foretell import native
from foretell.training.flat import FlatWeights

BETAS = 0.9, 0.999
EPSILON = 1e-8


@dataclass(frozen=True)
class Group:
    """Parameters that are treated alike."""

    parameters: list[nn.Parameter]
    weight_decay: float = 0.0
    rate: float = 1.0  # multiplies the learning rate

    @property
    def count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters)


def decay_matrices(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[Group]:
    """Two groups: matrices decay, biases are not drawn to zero."""
    parameters = list(parameters)
    matrices, others = ([p for p in parameters if (p.dim() > 1) == is_matrix] for is_matrix in (True, False))
    return [Group(matrices, weight_decay), Group(others)]


class AdamW:
    """AdamW (Loshchilov & Hutter 2019, algorithm 2) of clipped gradients, followed by the weights' running average.

    All gradients together are clipped to a norm of `clip_norm` (Pascanu et al. 2013); at every step the average goes
    `share` of the way to the weights (Polyak & Juditsky 1992).
    """

    def __init__(self, network: nn.Module, groups: Sequence[Group], clip_norm: float, share: float) -> None:
        flat = FlatWeights(network, [parameter for group in groups for parameter in group.parameters])
        self.flat, self.clip_norm, self.share = flat, clip_norm, share
        self.groups = [(group.count, group.rate, group.weight_decay) for group in groups]
        self.first, self.second = torch.zeros_like(flat.weights), torch.zeros_like(flat.weights)
        self.steps = 0  # done

    def step(self, learning_rate: float) -> None:
        """Move the weights; the gradients are used up, and zeros are left of them."""
        self.steps += 1
        groups = [(count, learning_rate * rate, decay) for count, rate, decay in self.groups]
        flat = self.flat
        kind = flat.weights.dtype
        known = kind in (torch.float32, torch.float64) and flat.weights.device.type == "cpu"
        core = native.load() if known else None
        if core is None:
            self._step_plainly(groups)
            return
        core.adamw(
            kind == torch.float64,
            (flat.weights, flat.gradients, self.first, self.second, flat.averaged),
            groups,
            (*BETAS, EPSILON, self.clip_norm, self.share),
            self.steps,
            torch.get_num_threads(),
        )

    def _step_plainly(self, groups: Sequence[tuple[int, float, float]]) -> None:
        """The definition: what the compiled kernel answers to."""
        flat, corrections = self.flat, [1 - beta**self.steps for beta in BETAS]
        gradient = flat.gradients.mul_((self.clip_norm / (flat.gradients.norm() + 1e-6)).clamp(max=1.0))
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        change = self.first / self.second.sqrt().div_(math.sqrt(corrections[1])).add_(EPSILON)
        counts = [count for count, *_ in groups]
        parts = zip(groups, torch.split(flat.weights, counts), torch.split(change, counts), strict=True)
        for (_, rate, decay), weights, part in parts:
            weights.mul_(1 - rate * decay).sub_(part, alpha=rate / corrections[0])
        flat.averaged.lerp_(flat.weights, self.share)
        gradient.zero_()
