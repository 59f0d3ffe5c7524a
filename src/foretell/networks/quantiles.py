"""Quantiles that cannot cross, and the loss that makes them quantiles."""

import torch
from torch import Tensor
from torch.nn import functional


def spread_out(centre: Tensor, widths: Tensor) -> Tensor:
    """The median [..., H] and raw distances between neighbouring quantiles [..., H, Q-1] -> quantiles [..., H, Q].

    Distances pass a softplus and are added up outwards from the median, so that quantiles rise by construction.
    """
    steps = functional.softplus(widths)
    half = steps.shape[-1] // 2
    above = steps[..., half:].cumsum(-1)
    below = steps[..., :half].flip(-1).cumsum(-1).flip(-1)
    middle = centre.unsqueeze(-1)
    return torch.cat([middle - below, middle, middle + above], dim=-1)


def pinball(quantiles: Tensor, target: Tensor, known: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the known targets of the mean pinball loss, and their number.

    quantiles [..., Q], target and known [...], probabilities [Q] (Koenker & Bassett 1978). Twice the pinball
    loss averaged over probabilities approximates the CRPS; the factor 2 makes the median's part the absolute
    error.
    """
    error = target.unsqueeze(-1) - quantiles
    loss = torch.maximum(error * probabilities, error * (probabilities - 1)).mean(-1)
    return 2 * (loss * known).sum(), known.sum()


def widths_for(distances: Tensor) -> Tensor:
    """The raw widths whose softplus gives these distances (clamped to at least 1e-3)."""
    distances = distances.clamp(min=1e-3)
    return distances + torch.log(-torch.expm1(-distances))
