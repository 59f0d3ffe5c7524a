"""The translator's settings: checked when they are made, stored with the model."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from foretell.jobs.settings import JobSettings


class Settings(JobSettings):
    """The arguments of `Translator`. A field of None is chosen from the data."""

    job: ClassVar[str] = "Translator"

    columns: tuple[str, str] = ("source", "target")  # of a table: the sentences, and what they mean
    joint: bool = True  # one vocabulary, and one embedding, for both languages
    vocabulary: int | None = Field(None, ge=260, le=1_000_000)  # pieces of words; of each language unless joint
    longest: int = Field(100, ge=1)  # pieces; pairs with a longer sentence are not trained on
    test: int | None = Field(None, ge=0)  # pairs held out for `evaluate`
    validation: int | None = Field(None, ge=1)  # pairs to choose the weights by
    hidden: int = Field(256, ge=2, multiple_of=2)  # cells of a layer
    layers: int = Field(1, ge=1, le=8)  # of the encoder
    heads: int = Field(1, ge=1)  # of the attention
    dropout: float = Field(0.3, ge=0, lt=1)  # share of a layer's inputs and outputs
    smoothing: float = Field(0.1, ge=0, lt=1)  # share of each target's probability given to all tokens
    epochs: int | None = Field(None, ge=1)
    learning_rate: float = Field(3e-3, gt=0)  # at its peak
    weight_decay: float = Field(0.0, ge=0)
    batch: int = Field(4000, ge=1)  # pieces of a training step, about
    beam: int = Field(5, ge=1, le=1000)  # hypotheses that the search keeps; 1: greedy
    length_penalty: float = Field(1.0, ge=0)  # power of the length that a hypothesis's log-probability is divided by
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.hidden % self.heads:
            raise ValueError(f"hidden must be a multiple of heads ({self.heads})")
        return self
