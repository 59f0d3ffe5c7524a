"""From what a network says to probabilities of tokens: the full softmax, a sampled one, or an adaptive one."""

import torch
from torch import Tensor, nn

from foretell.networks.softmax import cross_entropy, log_likelihood, sampled_cross_entropy

SMOOTHING = 0.75  # wrong tokens are drawn by their frequency to this power (Mikolov et al. 2013)
NARROWER = 4.0  # times is each cluster of an adaptive softmax narrower than the one before


class FullHead(nn.Module):
    """softmax(W x + b) over V tokens. With `samples`, training sees the target beside that many drawn tokens."""

    log_q: Tensor

    def __init__(self, width: int, frequencies: Tensor, samples: int, embedding: nn.Embedding | None) -> None:
        super().__init__()
        self.tokens, self.samples = len(frequencies), samples
        own = torch.empty(self.tokens, width).uniform_(-0.1, 0.1)
        # A shared one has a row more, for the start, that no token needs
        self.weight: Tensor = nn.Parameter(own) if embedding is None else embedding.weight
        self.bias = nn.Parameter(torch.zeros(self.tokens))
        drawn = (frequencies.double() + 1) ** SMOOTHING
        self.register_buffer("log_q", (drawn / drawn.sum()).log().float())

    def loss(self, x: Tensor, target: Tensor) -> Tensor:
        """Mean -ln p of the targets [N] after x [N,H]; -1 is left out."""
        weight = self.weight[: self.tokens]
        if self.samples and self.training:
            kept = target >= 0
            drawn = torch.multinomial(self.log_q.exp(), self.samples, replacement=True)
            return sampled_cross_entropy(x[kept], weight, self.bias, target[kept], drawn, self.log_q)
        return cross_entropy(x, weight, self.bias, target)[0]

    @torch.no_grad()
    def log_probabilities(self, x: Tensor, target: Tensor) -> Tensor:
        """ln p of the targets [N] after x [N,H]; 0 where the target is -1."""
        known = log_likelihood(x, self.weight[: self.tokens], self.bias, target.clamp(min=0))
        return known.masked_fill(target < 0, 0.0)

    @torch.no_grad()
    def all_log_probabilities(self, x: Tensor) -> Tensor:
        """ln p of every token after x [N,H], [N,V]."""
        return torch.addmm(self.bias, x, self.weight[: self.tokens].T).log_softmax(-1)


class AdaptiveHead(nn.Module):
    """The adaptive softmax of Grave et al. 2017: frequent tokens first, rare ones in narrower clusters."""

    rank: Tensor

    def __init__(self, width: int, frequencies: Tensor) -> None:
        super().__init__()
        tokens = len(frequencies)
        order = frequencies.argsort(descending=True, stable=True)
        self.register_buffer("rank", torch.empty_like(order).scatter_(0, order, torch.arange(tokens)))
        cutoffs = sorted({max(1, tokens // 20), max(2, tokens // 4)} - {tokens})
        narrower = max(1.0, min(NARROWER, (width - 0.5) ** (1 / len(cutoffs))))  # the narrowest has 1 number at least
        self.softmax = nn.AdaptiveLogSoftmaxWithLoss(width, tokens, cutoffs, div_value=narrower)

    def loss(self, x: Tensor, target: Tensor) -> Tensor:
        """Mean -ln p of the targets [N] after x [N,H]; -1 is left out."""
        kept = target >= 0
        found: Tensor = self.softmax(x[kept], self.rank[target[kept]]).loss
        return found

    @torch.no_grad()
    def log_probabilities(self, x: Tensor, target: Tensor) -> Tensor:
        """ln p of the targets [N] after x [N,H]; 0 where the target is -1."""
        found: Tensor = self.softmax(x, self.rank[target.clamp(min=0)]).output
        return found.masked_fill(target < 0, 0.0)

    @torch.no_grad()
    def all_log_probabilities(self, x: Tensor) -> Tensor:
        """ln p of every token after x [N,H], [N,V]."""
        ranked: Tensor = self.softmax.log_prob(x)
        return ranked[:, self.rank]
