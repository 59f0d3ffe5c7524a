"""What makes quantiles of the LSTM's outputs, and the dropout before it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from foretell.lstm.philox import WORD, philox
from foretell.networks.inputs import Inputs

BYTES = 16  # that one counter of Philox is good for


@dataclass(frozen=True)
class Head:
    """Answers of the LSTM's outputs, and linear skips to the medians."""

    weight: Tensor  # [H*Q,hidden]  of the medians, then of the raw distances as `spread_out` takes them
    bias: Tensor  # [H*Q]
    skips: tuple[tuple[Tensor, Inputs], ...]  # (weight [H,K], inputs [K,T*B]) each, to be added to the medians
    beside: Tensor | None  # [H,T*B]  what else is added to the medians


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout (Srivastava et al. 2014), the share rounded to 256ths.

    Each number has a random byte, which depends on the seed, on its row and on its place there alone.
    """

    seed: int  # of 64 bits
    least: int  # numbers whose byte is below this are dropped, 1 to 255

    @property
    def growth(self) -> float:
        """What the others are multiplied by."""
        return 256 / (256 - self.least)

    def keep(self, rows: slice, hidden: Tensor) -> Tensor:
        """1 for what stays of `hidden` [n,hidden], which are those rows, else 0."""
        width = -(-hidden.shape[1] // BYTES)  # counters a row
        counter = torch.arange(rows.start * width, rows.stop * width, device=hidden.device)
        zero = torch.zeros_like(counter[:1])
        words = philox((counter, zero, zero, zero), (zero + (self.seed & WORD), zero + (self.seed >> 32)))
        draws = torch.stack(words, 1).unsqueeze(-1) >> torch.arange(0, 32, 8, device=hidden.device) & 255
        return (draws.view(len(hidden), -1)[:, : hidden.shape[1]] >= self.least).to(hidden.dtype)


def make_dropout(share: float) -> Dropout | None:
    """Dropout of about that share, seeded by PyTorch's generator; none if the share rounds to nothing."""
    least = min(round(256 * share), 255)
    return Dropout(int(torch.randint(2**63 - 1, ())), least) if least else None
