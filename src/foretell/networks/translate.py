"""The translator's network: a bidirectional LSTM reads the source, an LSTM with attention writes the target.

The attention lies between the two layers of the decoder: its queries are the first layer's outputs, and the
second layer reads what it found. No layer needs its own answer of the step before, as with input feeding (Luong
et al. 2015), so in training each layer runs over the whole target in one call. The output layer's weights are
the target's embedding (Press & Wolf 2017). S source steps, T target steps, B rows, H hidden, V tokens.
"""

import math
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional

from foretell.lstm import LSTM
from foretell.networks.softmax import cross_entropy

State = tuple[Tensor, Tensor, Tensor, Tensor]  # h and c of the decoder's first layer, then of its second, [1,B,H]


class TranslateConfig(BaseModel):
    """Sizes of the network, stored beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: int  # V of the source
    target: int  # V of the target
    joint: bool  # both are the same tokens, with one embedding
    hidden: int = 256  # H, even; also the width of the embeddings
    layers: int = 1  # of the encoder
    heads: int = 1  # of the attention; H is a multiple
    dropout: float = 0.3


@dataclass(frozen=True)
class Source:
    """What the decoder looks at: B encoded sentences."""

    keys: Tensor  # [B,heads,S,H/heads]
    values: Tensor  # [B,heads,S,H/heads]
    there: Tensor  # [B,1,1,S]  False beyond a sentence's end

    def rows(self, rows: Tensor) -> "Source":
        """Some of the sentences, perhaps several times."""
        return Source(*(part.index_select(0, rows) for part in (self.keys, self.values, self.there)))


class TranslateNetwork(nn.Module):
    """See the module."""

    def __init__(self, config: TranslateConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.target_embedding = _embedding(config.target, hidden)
        self.source_embedding = None if config.joint else _embedding(config.source, hidden)
        self.encoder = nn.ModuleList(LSTM(hidden, hidden // 2, bidirectional=True) for _ in range(config.layers))
        self.bridge = nn.Linear(hidden, 4 * hidden)
        self.keys, self.values = nn.Linear(hidden, hidden, bias=False), nn.Linear(hidden, hidden)
        self.first, self.query = LSTM(hidden, hidden), nn.Linear(hidden, hidden, bias=False)
        self.second = LSTM(2 * hidden, hidden)
        self.output = nn.Linear(2 * hidden, hidden)
        self.bias = nn.Parameter(torch.zeros(config.target))

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Source, State]:
        """tokens [S,B] and their lengths [B] -> what the decoder looks at, and the state it starts with."""
        table = self.target_embedding if self.source_embedding is None else self.source_embedding
        x = self._dropped(self._embedded(table, tokens))
        for number, layer in enumerate(self.encoder):
            y, (h, _) = layer(x, lengths=lengths)
            x = self._dropped(y) + x if number else self._dropped(y)
        there = torch.arange(len(tokens), device=tokens.device) < lengths[:, None]
        source = Source(self._heads(self.keys(x)), self._heads(self.values(x)), there[:, None, None])
        ends = torch.cat(tuple(h), dim=-1)  # of the two directions
        h1, c1, h2, c2 = self.bridge(ends)[None].chunk(4, dim=-1)
        return source, (h1.tanh(), c1, h2.tanh(), c2)

    def decode(self, tokens: Tensor, source: Source, state: State) -> tuple[Tensor, State]:
        """The target's tokens so far [T,B] -> what the output layer makes the next ones' scores of, [T,B,H]."""
        features, state, _ = self._decode(tokens, source, state)
        return features, state

    def scores(self, features: Tensor) -> Tensor:
        """What `decode` gives, [...,H] -> log-probabilities of the next token, [...,V]."""
        scores = functional.linear(features, self.target_embedding.weight, self.bias)
        return functional.log_softmax(scores, dim=-1)

    def attention(self, tokens: Tensor, source: Source, state: State) -> tuple[Tensor, Tensor]:
        """As `decode`, and how much each step looks at each source token, the mean of the heads, [T,B,S]."""
        features, _, queries = self._decode(tokens, source, state)
        scores = queries @ source.keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
        weights = scores.masked_fill(~source.there, -torch.inf).softmax(dim=-1)  # [B,heads,T,S]
        return features, weights.mean(dim=1).transpose(0, 1)

    def loss(
        self, source: Tensor, lengths: Tensor, before: Tensor, after: Tensor, smoothing: float
    ) -> tuple[Tensor, int]:
        """Mean cross-entropy of the tokens `after` [T,B] (-1: none) those `before` them [T,B], and their number."""
        features, _ = self.decode(before, *self.encode(source, lengths))
        weight = self.target_embedding.weight
        return cross_entropy(features.flatten(0, 1), weight, self.bias, after.flatten(), smoothing)

    def _decode(self, tokens: Tensor, source: Source, state: State) -> tuple[Tensor, State, Tensor]:
        h1, c1, h2, c2 = state
        x = self._dropped(self._embedded(self.target_embedding, tokens))
        y, (h1, c1) = self.first(x, (h1, c1))
        y = self._dropped(y)
        queries = self._heads(self.query(y))
        found = functional.scaled_dot_product_attention(queries, source.keys, source.values, source.there)
        context = found.permute(2, 0, 1, 3).flatten(2)  # [T,B,H]
        z, (h2, c2) = self.second(torch.cat((y, context), dim=-1), (h2, c2))
        features = torch.tanh(self.output(torch.cat((self._dropped(z) + y, context), dim=-1)))
        return self._dropped(features), (h1, c1, h2, c2), queries

    def _embedded(self, table: nn.Embedding, tokens: Tensor) -> Tensor:
        """The tied tables are small for the softmax; the LSTM wants inputs of about one."""
        return functional.embedding(tokens, table.weight) * math.sqrt(self.config.hidden)

    def _heads(self, x: Tensor) -> Tensor:
        """[T,B,H] -> [B,heads,T,H/heads]."""
        return x.view(*x.shape[:2], self.config.heads, -1).permute(1, 2, 0, 3)

    def _dropped(self, x: Tensor) -> Tensor:
        """Dropout with one mask for all steps of a row (Gal & Ghahramani 2016)."""
        share = self.config.dropout
        if not self.training or share == 0.0:
            return x
        return x * functional.dropout(torch.ones_like(x[:1]), share)


def _embedding(tokens: int, width: int) -> nn.Embedding:
    table = nn.Embedding(tokens, width)
    nn.init.normal_(table.weight, std=width**-0.5)
    return table
