"""How the next token is drawn from what the network says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.errors import require

CALLER = "generate"


@dataclass(frozen=True)
class Sampling:
    """What is drawn from: all tokens, or the likelier ones."""

    temperature: float = 1.0  # below 1 bolder, above 1 wilder; 0 always takes the likeliest
    top_k: int | None = None  # the likeliest so many
    top_p: float | None = None  # the likeliest that together have this probability (Holtzman et al. 2020)
    repetition: float = 1.0  # how much less likely a token is that was there before (Keskar et al. 2019)

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in ("temperature", "top_p", "repetition")}
        for name, value in numbers.items():
            fits = (name == "top_p" and value is None) or _is_number(value)
            require(fits, CALLER, name, "a number", value)
        require(self.temperature >= 0, CALLER, "temperature", "at least 0", self.temperature)
        whole = self.top_k is None or (isinstance(self.top_k, int) and self.top_k >= 1)
        require(whole, CALLER, "top_k", "a whole number of at least 1", self.top_k)
        require(self.top_p is None or 0 < self.top_p <= 1, CALLER, "top_p", "above 0 and at most 1", self.top_p)
        require(self.repetition >= 1, CALLER, "repetition", "at least 1", self.repetition)

    def draw(self, logs: NDArray[np.float32], there: NDArray[np.bool_], generator: np.random.Generator) -> int:
        """A token, given ln p [V] and which tokens were there before [V].

        The repetition penalty multiplies ln p, which is below 0, so it makes every token less likely that was
        there; dividing, as on logits above 0, would make some likelier.
        """
        if self.repetition != 1.0:
            logs = np.where(there, logs * np.float32(self.repetition), logs)
        if self.temperature == 0:
            return int(logs.argmax())
        tokens = None
        if self.top_k is not None and self.top_k < len(logs):
            tokens = np.argpartition(logs, -self.top_k)[-self.top_k :]
            logs = logs[tokens]
        shares = np.exp((logs - logs.max()) / self.temperature)
        if self.top_p is not None and self.top_p < 1:
            shares = _nucleus(shares, self.top_p)
        total = shares.cumsum()
        place = int(total.searchsorted(generator.random() * total[-1], side="right"))
        place = min(place, len(total) - 1)
        return place if tokens is None else int(tokens[place])


def _nucleus(shares: NDArray[np.float32], p: float) -> NDArray[np.float32]:
    """The fewest of the largest shares that together reach p of all; the others become 0."""
    order = np.argsort(-shares, kind="stable")
    total = shares[order].cumsum()
    count = int(total.searchsorted(p * total[-1])) + 1
    kept = np.zeros_like(shares)
    kept[order[:count]] = shares[order[:count]]
    return kept


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
