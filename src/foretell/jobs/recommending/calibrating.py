"""The temperature of the softmax (Guo et al. 2017): a network trained for long ranks ever better, but is too sure."""

import math

import torch
from torch import Tensor

from foretell.networks.recommend import RecommendNetwork

TEMPERATURES = tuple(0.7 * 1.1**step for step in range(13))  # 0.7 to 2.2
LOGITS = 2_000_000  # made at a time


@torch.no_grad()
def losses(network: RecommendNetwork, h: Tensor, target: Tensor) -> Tensor:
    """The mean cross-entropy in nats at each temperature, of outputs h [N,D] and the items that came, [N]."""
    total = torch.zeros(len(TEMPERATURES), dtype=torch.float64)
    size = max(1, LOGITS // network.config.items)
    for rows, wanted in zip(torch.split(h, size), torch.split(target, size), strict=True):
        logits = network.logits(rows)
        own = logits.gather(1, wanted[:, None])[:, 0]
        for place, temperature in enumerate(TEMPERATURES):
            total[place] += (torch.logsumexp(logits / temperature, 1) - own / temperature).sum()
    return total / len(target)


def calibrate(network: RecommendNetwork, h: Tensor, target: Tensor) -> None:
    """Set the network's temperature to the best for these outputs and items; as it is without any."""
    if len(target):
        best = losses(network, h, target).argmin()
        network.temperature.fill_(TEMPERATURES[int(best)])


def best_loss(network: RecommendNetwork, h: Tensor, target: Tensor) -> float:
    """The cross-entropy at the best temperature; not a number without items."""
    return float(losses(network, h, target).min()) if len(target) else math.nan
