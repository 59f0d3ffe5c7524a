"""Quantiles that cannot cross, and the loss that makes them quantiles."""

import torch
from torch import Tensor
from torch.nn import functional


def spread_out(centre: Tensor, widths: Tensor) -> Tensor:
    """The median [..., H] and raw distances between neighbouring quantiles [..., H, Q-1] -> quantiles [..., H, Q].

    Distances pass a softplus and are added up outwards from the median, so that quantiles rise by construction.
    """
    steps = functional.softplus(widths)
    count = steps.shape[-1]
    # Quantile q lies above the median by the distances between them, below it by minus those: one small product
    # instead of two cumulative sums, two flips and a concatenation, each of which goes through all of memory.
    quantile, step = torch.arange(count + 1)[:, None], torch.arange(count)
    above = (step >= count // 2) & (step < quantile)
    below = (step < count // 2) & (step >= quantile)
    signs = (above.to(steps.dtype) - below.to(steps.dtype)).to(steps.device)
    everywhere = signs.new_ones(1, count + 1)  # as a product too: its gradient is one, not a slow narrow sum
    return centre.unsqueeze(-1) @ everywhere + steps @ signs.T


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
