"""A trained language model in memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.language.corpus import Tokens
from foretell.jobs.language.mixture import Mixture
from foretell.jobs.language.scoring import log_probabilities
from foretell.jobs.language.settings import Settings
from foretell.networks.language import LanguageNetwork
from foretell.sequences.tokens import Tokenizer


@dataclass(frozen=True)
class Model:
    """Everything that writing and scoring need."""

    settings: Settings
    tokenizer: Tokenizer
    network: LanguageNetwork
    mixture: Mixture | None  # the n-grams that have a say beside the network

    @property
    def unit(self) -> str:
        """What people count a text in: characters, but bytes where the tokens are bytes."""
        return "byte" if self.settings.tokens == "bytes" else "character"

    def log_probabilities(self, tokens: Tokens, first: int = 1, *, lanes: int | None = None) -> NDArray[np.float32]:
        """As `scoring.log_probabilities`, with the n-grams' say."""
        return self.mixed(log_probabilities(self.network, tokens, first, lanes=lanes), tokens, first)

    def mixed(self, own: NDArray[np.float32], tokens: Tokens, first: int) -> NDArray[np.float32]:
        """What the network says of the tokens from place `first` on, with the n-grams' say."""
        return own if self.mixture is None else self.mixture.of_text(own, tokens, first)
