"""How likely a text is to a network, token by token, the state carried along."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.networks.language import LanguageNetwork, State

TOKENS_AT_ONCE = 8192  # of all lanes together
WARM_UP = 1024  # tokens that bring a lane's state up to where it is scored from
LANE = 4096  # tokens that are worth a lane of their own
LANES = 16


@torch.inference_mode()
def log_probabilities(
    network: LanguageNetwork, tokens: NDArray[np.int32], first: int = 1, *, lanes: int | None = None
) -> NDArray[np.float32]:
    """ln p of the tokens from place `first` on, each after all before it; 0 for `start`, which nobody predicts.

    A long text is read in up to 16 stretches side by side, each after 1,024 tokens before it; lanes=1 reads it
    through from its beginning.
    """
    count = len(tokens) - first
    if count <= 0:
        return np.zeros(0, np.float32)
    width = -(-count // (lanes or int(np.clip(count // LANE, 1, LANES))))
    warm = min(WARM_UP, first - 1) if lanes != 1 else first - 1
    begins = np.arange(first, len(tokens), width)
    found = np.zeros((warm + width, len(begins)), np.float32)
    state: State | None = None
    for low, inputs, target in _windows(tokens, begins, warm, width, network.config.start):
        part, state = network.log_probabilities(torch.from_numpy(inputs), torch.from_numpy(target), state)
        found[low : low + len(inputs)] = part.numpy()
    return found[warm:].T.reshape(-1)[:count]


@torch.inference_mode()
def log_probabilities_after(network: LanguageNetwork, state: State, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    """ln p of every token after a state and the tokens before it."""
    said = state[-1][0][0]  # what the last layer said last, [1,H]
    first = network.head.all_log_probabilities(said if network.narrowing is None else network.narrowing(said))
    found = [first[:, int(tokens[0])].numpy()]
    for low in range(0, len(tokens) - 1, TOKENS_AT_ONCE):
        part = torch.from_numpy(tokens[low : low + TOKENS_AT_ONCE + 1].astype(np.int64))[:, None]
        scores, state = network.log_probabilities(part[:-1], part[1:], state)
        found.append(scores[:, 0].numpy())
    return np.concatenate(found)


def _windows(
    tokens: NDArray[np.int32], begins: NDArray[np.int64], warm: int, width: int, start: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Place, inputs and targets [T,B] of each window; where a lane has nothing, `start` goes in and -1 comes out."""
    at_once = max(1, TOKENS_AT_ONCE // len(begins))
    padded = np.concatenate([np.full(warm, start), tokens, np.full(width, start)]).astype(np.int64)
    for low in range(0, warm + width, at_once):
        places = np.arange(low, min(low + at_once, warm + width))[:, None] + begins - 1  # of the inputs, in `padded`
        inputs, target = padded[places], padded[places + 1]
        if low == 0:
            inputs[0] = start  # a lane begins as a document does
        unscored = (target == start) | (np.arange(low, low + len(places)) < warm)[:, None]
        yield low, inputs, np.where(unscored, -1, target)
