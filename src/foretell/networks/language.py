"""The network of a language model: embedding, LSTM layers with locked dropout, a softmax over the tokens."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from foretell.lstm import LSTM
from foretell.lstm.options import OptionValues
from foretell.networks.token_head import AdaptiveHead, FullHead

State = tuple[tuple[Tensor, Tensor], ...]  # h and c [1,B,H] of every layer


@dataclass(frozen=True)
class LanguageConfig:
    """Everything that fixes the shape and the regularisation of the network."""

    tokens: int  # V; the input has one more, `start`, which begins every document
    embedding: int
    hidden: int
    layers: int
    tied: bool  # the softmax has the weights of the embedding
    softmax: Literal["full", "sampled", "adaptive"]
    samples: int  # wrong tokens that one step of a sampled softmax looks at
    dropout: float  # of the outputs of every layer
    input_dropout: float  # of the embedding
    weight_drop: float  # of the recurrent weights
    recurrent_dropout: float  # of h on its way into the gates

    @property
    def start(self) -> int:
        return self.tokens


class LanguageNetwork(nn.Module):
    """Tokens [T,B] -> what the last layer says after each, [T,B,H]; `head` makes probabilities of it.

    `frequencies` [V], the counts of the tokens in the training text, order the adaptive softmax and correct the
    sampled one. Dropout is locked: one mask a lane and call (Gal & Ghahramani 2016).
    """

    def __init__(self, config: LanguageConfig, frequencies: Tensor) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.tokens + 1, config.embedding)
        # What goes in has variance 1; what the softmax shares with it must be small, and is scaled on its way in
        self.scale = config.embedding**0.5 if config.tied else 1.0
        nn.init.normal_(self.embedding.weight, std=1 / self.scale)
        options: OptionValues = {
            "init": "keras",
            "weight_drop": config.weight_drop,
            "recurrent_dropout": config.recurrent_dropout,
        }
        sizes = [config.embedding, *[config.hidden] * config.layers]
        self.lstm = nn.ModuleList(LSTM(inputs, outputs, **options) for inputs, outputs in pairwise(sizes))
        self.narrowing = (
            nn.Linear(config.hidden, config.embedding, bias=False)
            if config.tied and config.hidden != config.embedding
            else None
        )
        width = config.embedding if config.tied else config.hidden
        if config.softmax == "adaptive":
            self.head: FullHead | AdaptiveHead = AdaptiveHead(width, frequencies)
        else:
            samples = config.samples if config.softmax == "sampled" else 0
            shared = self.embedding if config.tied else None
            self.head = FullHead(width, frequencies, samples, shared)

    @property
    def layers(self) -> list[LSTM]:
        """The LSTM layers, the lowest first."""
        return [layer for layer in self.lstm if isinstance(layer, LSTM)]

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, Tensor, State]:
        """tokens [T,B] -> what the head reads, the last layer's output before dropout [T,B,H], and the state.

        At every `start` the state begins anew.
        """
        is_start = tokens == self.config.start
        reset = is_start if bool(is_start.any()) else None
        x = self._locked(self.embed(tokens), self.config.input_dropout)
        after = []
        for number, layer in enumerate(self.layers):
            raw, last = layer(x, None if state is None else state[number], reset=reset)
            x = self._locked(raw, self.config.dropout)
            after.append(last)
        return x if self.narrowing is None else self.narrowing(x), raw, tuple(after)

    def embed(self, tokens: Tensor) -> Tensor:
        """What the first layer reads, [...,E], for tokens of any shape."""
        return functional.embedding(tokens, self.embedding.weight) * self.scale

    def log_probabilities(self, tokens: Tensor, target: Tensor, state: State | None) -> tuple[Tensor, State]:
        """ln p of each target [T,B] after the tokens up to its own, 0 where the target is -1; and the state."""
        x, _, state = self(tokens, state)
        return self.head.log_probabilities(x.flatten(0, 1), target.flatten()).view_as(target), state

    def _locked(self, x: Tensor, chance: float) -> Tensor:
        if not (self.training and chance):
            return x
        return x * functional.dropout(x.new_ones(1, *x.shape[1:]), chance)


def penalties(x: Tensor, raw: Tensor, activation: float, change: float) -> Tensor:
    """AR and TAR of Merity et al. 2017: large outputs [T,B,H], and outputs that change fast, cost."""
    total = x.new_zeros(())
    if activation:
        total = total + activation * x.square().mean()
    if change and len(raw) > 1:
        total = total + change * (raw[1:] - raw[:-1]).square().mean()
    return total


def detached(state: State) -> State:
    """The state to go on from, without the graph that made it."""
    return tuple((h.detach(), c.detach()) for h, c in state)
