"""A trained language model in memory."""

from dataclasses import dataclass

from foretell.jobs.language.settings import Settings
from foretell.networks.language import LanguageNetwork
from foretell.sequences.tokens import Tokenizer


@dataclass(frozen=True)
class Model:
    """Everything that writing and scoring need."""

    settings: Settings
    tokenizer: Tokenizer
    network: LanguageNetwork

    @property
    def unit(self) -> str:
        """What people count a text in: characters, but bytes where the tokens are bytes."""
        return "byte" if self.settings.tokens == "bytes" else "character"
