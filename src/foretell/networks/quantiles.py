"""Quantiles that cannot cross, and the loss that makes them quantiles."""

import torch
from torch import Tensor
from torch.nn import functional


def spread_out(centre: Tensor, widths: Tensor) -> Tensor:
    """The median [..., H] and raw distances between neighbouring quantiles [..., H, Q-1] -> quantiles [..., H, Q].

    Distances pass a softplus and are added up outwards from the median, so that quantiles rise by construction.
    """
    steps = functional.softplus(widths)
    signs = outward(steps.shape[-1]).to(steps)
    everywhere = signs.new_ones(1, len(signs) + 1)  # as a product too: its gradient is one, not a slow narrow sum
    return centre.unsqueeze(-1) @ everywhere + steps @ signs


def outward(count: int) -> Tensor:
    """What each of `count` distances does to each quantile, [Q-1,Q]: 1 above the median, -1 below it, else 0.

    One small product with it stands for two cumulative sums, two flips and a concatenation, each of which would
    go through all of memory.
    """
    step, quantile = torch.arange(count)[:, None], torch.arange(count + 1)
    above = (step >= count // 2) & (step < quantile)
    below = (step < count // 2) & (step >= quantile)
    return above.float() - below.float()


def pinball(quantiles: Tensor, target: Tensor, known: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the known targets of the mean pinball loss, and their number.

    quantiles [..., Q], target and known [...], probabilities [Q] (Koenker & Bassett 1978). Twice the pinball
    loss averaged over probabilities approximates the CRPS; the factor 2 makes the median's part the absolute
    error.
    """
    error = target.unsqueeze(-1) - quantiles
    with torch.no_grad():  # piecewise linear: the slope is a constant for the gradient
        slope = (probabilities - (error < 0).to(error.dtype)).mul_(known.unsqueeze(-1))
    total = torch.dot(error.flatten(), slope.flatten())
    return 2 * total / len(probabilities), known.sum()


def widths_for(distances: Tensor) -> Tensor:
    """The raw widths whose softplus gives these distances (clamped to at least 1e-3)."""
    distances = distances.clamp(min=1e-3)
    return distances + torch.log(-torch.expm1(-distances))
