"""A language model token by token: constant time and memory a step, in numpy around the layers' streams."""

import copy
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.networks.language import LanguageNetwork, State
from foretell.networks.token_head import FullHead

Floats = NDArray[np.float32]


class Stepper:
    """What comes after the tokens read so far. The weights must not change while it is in use."""

    def __init__(self, network: LanguageNetwork, state: State) -> None:
        shared = network.embedding.weight
        self._embedding = _array(shared if network.scale == 1 else shared * network.scale)
        self._narrowing = None if network.narrowing is None else _array(network.narrowing.weight)
        head = network.head
        self._head = head
        self._plain = (_array(head.weight[: head.tokens]), _array(head.bias)) if isinstance(head, FullHead) else None
        self._layers = [layer.stream() for layer in network.layers]
        self.restore(state)

    def step(self, token: int) -> None:
        """Read a token."""
        y = self._embedding[token]
        for layer in self._layers:
            y = layer.step(y)
        self._y = y

    def log_probabilities(self) -> Floats:
        """ln p of every token as the next one, [V]."""
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

    def save(self) -> State:
        """A copy of the state: h and c [1,1,H] of every layer."""
        return tuple((h, c) for h, c in (layer.save() for layer in self._layers))

    def restore(self, state: State) -> None:
        """Go on from a state that `save` or the network returned; it is copied."""
        for layer, part in zip(self._layers, state, strict=True):
            layer.restore(part)
        self._y = state[-1][0].detach().numpy().reshape(-1).copy()

    def copy(self) -> Self:
        """Another in the same state that goes its own way; the weights are shared."""
        twin = copy.copy(self)
        twin._layers = [layer.copy() for layer in self._layers]
        return twin


@torch.inference_mode()
def fresh_state(network: LanguageNetwork) -> State:
    """The state in which a document begins."""
    _, _, state = network(torch.tensor([[network.config.start]]))
    return tuple((h.clone(), c.clone()) for h, c in state)


def _array(weight: torch.Tensor) -> Floats:
    values: Floats = weight.detach().numpy()
    return values
