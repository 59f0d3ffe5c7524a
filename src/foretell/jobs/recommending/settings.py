"""What the user may set about a recommender, stored with the model."""

from typing import ClassVar, Literal

from pydantic import Field

from foretell.jobs.settings import JobSettings


class Settings(JobSettings):
    """The arguments of `Recommender`."""

    job: ClassVar[str] = "Recommender"

    split: Literal["leave-one-out", "time"] = "leave-one-out"  # which events are held out, see splits.py
    share: float = Field(0.1, gt=0, lt=0.5)  # of the events, latest first, held out by a split by time; and before
    # them as many again to choose the weights
    hidden: int = Field(64, ge=1)  # cells of a layer
    width: int | None = Field(None, ge=1)  # components of an item's vector; None: as many as cells
    layers: int = Field(1, ge=1)
    context: int = Field(50, ge=2)  # most events of a history trained on at once
    dropout: float = Field(0.5, ge=0, lt=1)  # of the LSTM's outputs
    embedding_dropout: float = Field(0.5, ge=0, lt=1)  # of the components of the item vectors it reads
    item_dropout: float = Field(0.1, ge=0, lt=1)  # of whole events of a history
    smoothing: float = Field(0.0, ge=0, lt=1)  # of the target, over all items
    negatives: int | None = Field(None, ge=1)  # items drawn a batch for a sampled softmax; None: all items up to
    # 100,000 of them, else 4,096 draws
    epochs: int | None = Field(None, ge=1)  # None: 24, fewer where they are long
    batch: int | None = Field(None, ge=1)  # events of a batch, about; None: 32 to 1,024, so that an epoch has many
    learning_rate: float | None = Field(
        None, gt=0
    )  # peak of the one-cycle schedule; None: 0.006, less for less a batch
    weight_decay: float = Field(1e-2, ge=0)
    seed: int = Field(0, ge=0)
