"""What the user may set about a language model."""

from typing import ClassVar, Literal

from pydantic import Field

from foretell.jobs.settings import JobSettings
from foretell.sequences.tokens import Kind

Softmax = Literal["full", "sampled", "adaptive"]


class Settings(JobSettings):
    """The arguments of `LanguageModel`."""

    job: ClassVar[str] = "LanguageModel"

    tokens: Kind = "characters"
    vocabulary: int | None = Field(None, ge=2)  # tokens of "bpe"; of no use to the other kinds
    held_out: float = Field(0.1, ge=0, lt=1)  # share of the text, at its end, that only `evaluate` reads
    validation: float = Field(0.05, gt=0, lt=1)  # share of the rest, at its end, to choose the weights
    hidden: int = Field(512, ge=1)  # cells of a layer
    layers: int = Field(1, ge=1)
    embedding: int | None = Field(None, ge=1)  # numbers that stand for a token
    tied: bool | None = None  # the softmax shares the weights of the embedding
    softmax: Softmax | None = None
    samples: int = Field(2048, ge=1)  # wrong tokens that a step of the sampled softmax looks at
    ngrams: int | None = Field(None, ge=0, le=10)  # tokens of the longest one mixed in; 0: the network alone
    dropout: float = Field(0.2, ge=0, lt=1)  # of the outputs of every layer, locked
    input_dropout: float = Field(0.0, ge=0, lt=1)  # of the embedding, locked
    weight_drop: float = Field(0.0, ge=0, lt=1)  # of the recurrent weights
    recurrent_dropout: float = Field(0.0, ge=0, lt=1)  # of h on its way into the gates, locked
    activation_penalty: float = Field(0.0, ge=0)  # AR's alpha
    change_penalty: float = Field(0.0, ge=0)  # TAR's beta
    lanes: int = Field(16, ge=1)  # stretches of the text that are read side by side
    steps: int = Field(128, ge=2)  # tokens that a gradient looks back
    epochs: int | None = Field(None, ge=1)  # passes over the text
    learning_rate: float = Field(4e-3, gt=0)  # peak of the one-cycle schedule
    weight_decay: float = Field(1e-2, ge=0)  # of the matrices, not of the biases
    seed: int = Field(0, ge=0)
