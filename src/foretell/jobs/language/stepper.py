"""A language model token by token: constant time and memory a step, in numpy around the layers' streams."""

import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.jobs.language.model import Model
from foretell.networks.language import LanguageNetwork, State
from foretell.networks.token_head import FullHead

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """Where in a text a model is."""

    state: State  # of the network
    recent: tuple[int, ...]  # the last tokens, as many as the n-grams look at


class Stepper:
    """What comes after the tokens read so far. The weights must not change while it is in use."""

    def __init__(self, model: Model, context: Context) -> None:
        network = model.network
        self._mixture = model.mixture
        self._recent: tuple[int, ...] = context.recent
        self._kept = model.mixture.order if model.mixture else 1
        shared = network.embedding.weight
        self._embedding = _array(shared if network.scale == 1 else shared * network.scale)
        self._narrowing = None if network.narrowing is None else _array(network.narrowing.weight)
        head = network.head
        self._head = head
        self._plain = (_array(head.weight[: head.tokens]), _array(head.bias)) if isinstance(head, FullHead) else None
        self._layers = [layer.stream() for layer in network.layers]
        self.restore(context)

    def step(self, token: int) -> None:
        """Read a token."""
        y = self._embedding[token]
        for layer in self._layers:
            y = layer.step(y)
        self._y = y
        self._recent = (*self._recent, token)[-self._kept :]

    def log_probabilities(self) -> Floats:
        """ln p of every token as the next one, [V]."""
        own = self._of_network()
        return own if self._mixture is None else self._mixture.of_next(own, self._recent)

    def _of_network(self) -> Floats:
        y = self._y if self._narrowing is None else self._narrowing @ self._y
        if self._plain is None:
            found: Floats = self._head.all_log_probabilities(torch.from_numpy(y)[None]).numpy()[0]
            return found
        weight, bias = self._plain
        found = weight @ y
        found += bias
        found -= found.max()
        found -= np.log(np.exp(found).sum())
        return found

    def save(self) -> Context:
        """A copy of where it is, with h and c [1,1,H] of every layer."""
        return Context(tuple((h, c) for h, c in (layer.save() for layer in self._layers)), self._recent)

    def restore(self, context: Context) -> None:
        """Go on from what `save` returned; it is copied."""
        for layer, part in zip(self._layers, context.state, strict=True):
            layer.restore(part)
        self._y = context.state[-1][0].detach().numpy().reshape(-1).copy()
        self._recent = context.recent

    def copy(self) -> Self:
        """Another in the same state that goes its own way; the weights are shared."""
        twin = copy.copy(self)
        twin._layers = [layer.copy() for layer in self._layers]
        return twin


@torch.inference_mode()
def fresh_context(network: LanguageNetwork) -> Context:
    """Where a document begins."""
    _, _, state = network(torch.tensor([[network.config.start]]))
    return Context(tuple((h.clone(), c.clone()) for h, c in state), (network.config.start,))


def _array(weight: torch.Tensor) -> Floats:
    values: Floats = weight.detach().numpy()
    return values
