"""The recommender's network: item vectors in, an LSTM over the history, the same item vectors out.

The scores of the next item are the products of the LSTM's output plus the last item's vector, normalised (Ba et al.
2016), with every item's vector (tied weights, Press & Wolf 2017; Inan et al. 2017) plus a bias an item: so items that
follow one another are alike in their vectors from the first step of training on. T steps, B histories, V items, D
width of an item's vector.
"""

from typing import Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from foretell.lstm import LSTM, Trace
from foretell.networks.softmax import cross_entropy, log_likelihood, sampled_cross_entropy

State = tuple[Tensor, Tensor]
START = 0.05  # standard deviation of item vectors before training


class FeatureConfig(BaseModel):
    """Features of events or of items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: int = 0
    categories: tuple[int, ...] = ()  # how many each column of text has

    @property
    def width(self) -> int:
        """How many columns there are."""
        return self.numbers + len(self.categories)


class RecommendConfig(BaseModel):
    """Sizes of the network, stored beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int  # V
    width: int  # D
    hidden: int
    layers: int
    dropout: float  # of the outputs, and between layers
    embedding_dropout: float  # of the components of the item vectors read
    item_dropout: float  # of whole events of a history
    smoothing: float
    context: FeatureConfig = FeatureConfig()  # features of an event
    catalogue: FeatureConfig = FeatureConfig()  # features of an item


class RecommendNetwork(nn.Module):
    """See the module."""

    item_numbers: Tensor
    item_codes: Tensor
    temperature: Tensor  # of the softmax, when recommending

    def __init__(self, config: RecommendConfig) -> None:
        super().__init__()
        self.config = config
        self.items = nn.Parameter(torch.randn(config.items, config.width) * START)
        self.bias = nn.Parameter(torch.zeros(config.items))
        self.context = Describe(config.context, config.width) if config.context.width else None
        self.catalogue = Describe(config.catalogue, config.width) if config.catalogue.width else None
        self.register_buffer("item_numbers", torch.full((config.items, config.catalogue.numbers), torch.nan))
        codes = torch.zeros(config.items, len(config.catalogue.categories), dtype=torch.int64)
        self.register_buffer("item_codes", codes)
        self.lstm = LSTM(
            config.width,
            config.hidden,
            config.layers,
            dropout=config.dropout if config.layers > 1 else 0.0,
            proj_size=config.width if config.width < config.hidden else 0,
        )
        self.register_buffer("temperature", torch.ones(()))
        self.norm = nn.LayerNorm(config.width)
        self.out = nn.Linear(config.hidden, config.width, bias=False) if config.width > config.hidden else None

    def inputs(self, items: Tensor, numbers: Tensor, codes: Tensor) -> Tensor:
        """Items [T,B] with the features of their events [T,B,F], [T,B,C] as the LSTM reads them, [T,B,D]."""
        x = functional.embedding(items, self.items)
        if self.catalogue is not None:
            x = x + self.catalogue(self.item_numbers[items], self.item_codes[items])
        if self.context is not None:
            x = x + self.context(numbers, codes)
        if self.training and self.config.item_dropout:
            x = x * (torch.rand(*items.shape, 1) >= self.config.item_dropout)
        return functional.dropout(x, self.config.embedding_dropout, self.training)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Inputs [T,B,D] -> what item vectors are multiplied with after each step, [T,B,D], and the state after."""
        h, state = self.lstm(x, state, lengths=lengths)
        return functional.dropout(self.combined(x, h), self.config.dropout, self.training), state

    def combined(self, x: Tensor, h: Tensor) -> Tensor:
        """Inputs [...,D] and outputs of the LSTM -> what item vectors are multiplied with, [...,D]."""
        y: Tensor = self.norm(x + (h if self.out is None else self.out(h)))
        return y

    def loss(self, h: Tensor, target: Tensor, negatives: Tensor | None, log_q: Tensor | None) -> Tensor:
        """Mean cross-entropy of the next items: h [N,D], target [N], -1 where there is none.

        With `negatives` [K], drawn with log-probabilities `log_q` [V], it is estimated from those items alone.
        """
        if negatives is None or log_q is None:
            return cross_entropy(h, self.items, self.bias, target, self.config.smoothing)[0]
        known = target >= 0
        return sampled_cross_entropy(h[known], self.items, self.bias, target[known], negatives, log_q)

    def logits(self, h: Tensor) -> Tensor:
        """The logits of every item as they are trained, [N,V]."""
        return torch.addmm(self.bias, h, self.items.T)

    def scores(self, h: Tensor) -> Tensor:
        """The logits of every item at the network's temperature, [N,V]."""
        return self.logits(h).div_(self.temperature)

    def log_probability(self, h: Tensor, target: Tensor) -> Tensor:
        """Of the items that came, [N], in nats, at the network's temperature."""
        return log_likelihood(h / self.temperature, self.items, self.bias / self.temperature, target)

    def trace(self, x: Tensor) -> Trace:
        """Every gate and cell state of the LSTM over inputs [T,B,D]."""
        return self.lstm.trace(x)

    @torch.no_grad()
    def grown(self, vectors: Tensor, bias: Tensor, numbers: Tensor, codes: Tensor) -> Self:
        """A network with more items at the end: their vectors [n,D], bias [n] and features [n,F], [n,C]."""
        config = self.config.model_copy(update={"items": self.config.items + len(bias)})
        with torch.device("meta"):
            network = type(self)(config)
        state = self.state_dict()
        more = {"items": vectors, "bias": bias, "item_numbers": numbers, "item_codes": codes}
        network.load_state_dict({**state, **{k: torch.cat([state[k], v]) for k, v in more.items()}}, assign=True)
        return network.train(self.training)


class Describe(nn.Module):
    """Features as a vector: numbers standardised and weighed, categories embedded. Zero before training."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: FeatureConfig, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(config.numbers))
        self.register_buffer("deviation", torch.ones(config.numbers))
        self.weight = nn.Parameter(torch.zeros(width, 2 * config.numbers))
        self.tables = nn.ParameterList(nn.Parameter(torch.zeros(size + 1, width)) for size in config.categories)

    def set_scale(self, numbers: Tensor) -> None:
        """Take mean and standard deviation from numbers [N,F], NaN where missing."""
        known = numbers.isfinite()
        count = known.sum(0).clamp(min=1)
        self.mean.copy_(numbers.nan_to_num(0.0).sum(0) / count)
        spread = ((numbers - self.mean).nan_to_num(0.0).square().sum(0) / count).sqrt()
        self.deviation.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Numbers [...,F], NaN where missing, and codes [...,C], 0 where unknown -> [...,D]."""
        known = numbers.isfinite()
        scaled = ((numbers - self.mean) / self.deviation).nan_to_num(0.0)
        y = functional.linear(torch.cat([scaled, known.to(scaled.dtype)], -1), self.weight)
        for place, table in enumerate(self.tables):
            y = y + functional.embedding(codes[..., place], table)
        return y
