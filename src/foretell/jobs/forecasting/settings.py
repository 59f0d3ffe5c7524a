"""What the user may set about a forecaster, and what fitting found out: both stored with the model."""

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from foretell.errors import InputError
from foretell.jobs.settings import JobSettings

Transform = Literal["none", "log"]


class Settings(JobSettings):
    """The arguments of `Forecaster`."""

    job: ClassVar[str] = "Forecaster"

    horizon: int = Field(ge=1, le=10_000)  # steps ahead
    level: tuple[float, ...] = (80.0, 95.0)  # interval levels in percent
    windows: int = Field(10, ge=0)  # horizons at the end of each series held out for `evaluate`
    validation: int | None = Field(None, ge=1)  # rows before those, to choose the weights and to calibrate
    season: tuple[int, ...] | None = None  # season lengths in steps, shortest first
    context: int | None = Field(None, ge=2)  # rows that local scaling and the linear skip look back
    hidden: int = Field(64, ge=1)
    layers: int = Field(1, ge=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    members: int = Field(1, ge=1, le=32)  # networks trained from different seeds and averaged
    epochs: int | None = Field(None, ge=0)  # passes over the data; 0 leaves the linear start as it is
    learning_rate: float | None = Field(None, gt=0)  # peak of the one-cycle schedule
    weight_decay: float = Field(1e-2, ge=0)
    seed: int = Field(0, ge=0)

    @classmethod
    def of(cls, **values: object) -> Self:
        """Check the caller's values; an InputError names the first that is wrong."""
        settings = super().of(**values)
        wrong = [level for level in settings.level if not 0 < level < 100]
        if wrong or not settings.level:
            raise InputError(f"Forecaster: level must be percentages above 0 and below 100; got {values['level']!r}.")
        if settings.season and min(settings.season) < 2:
            raise InputError(f"Forecaster: season must be lengths of at least 2 steps; got {values['season']!r}.")
        return settings

    @property
    def levels(self) -> tuple[float, ...]:
        """The interval levels, narrowest first, each once."""
        return tuple(sorted(set(self.level)))

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The probabilities the network predicts: both ends of each interval and the median, rising."""
        tails = [(100 - level) / 200 for level in self.levels]
        return tuple(sorted([*tails, 0.5, *(1 - tail for tail in tails)]))


class Fitted(BaseModel):
    """What fitting found out about the data, stored beside the settings."""

    model_config = ConfigDict(frozen=True)

    scaling: "Scaling"
    seasons: tuple[int, ...]  # lengths in steps that the data are long enough to show, shortest first
    calendar: tuple[int, ...]  # columns of the calendar in use
    nonnegative: tuple[bool, ...]  # one a target: its forecasts stop at zero
    validation: int  # rows of each series used to stop and calibrate
    windows: int  # horizons held out of each series
    static_mean: tuple[float, ...]  # of the numeric static columns over the training series
    static_deviation: tuple[float, ...]


class Scaling(BaseModel):
    """How a target is expressed relative to its own recent past."""

    model_config = ConfigDict(frozen=True)

    context: int  # rows of the window that sets the spread and feeds the linear skip
    transform: tuple[Transform, ...]  # one a target
