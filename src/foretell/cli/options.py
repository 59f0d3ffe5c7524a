"""What a command may be told: the options that commands share, in groups."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from foretell.errors import InputError

Words = list[str] | None  # an option repeated, or its parts separated by commas

COLUMNS = "What the columns are for (inferred where not said)"
MODEL = "The model (chosen from the data where not said)"


def _option(panel: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to stdout.")]
Png = Annotated[bool, typer.Option("--png", help="Write each chart of the report as a PNG too.")]
Folder = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder.", show_default=False)]
Table = Annotated[
    str, typer.Argument(metavar="DATA", help="CSV, Parquet, JSON lines or a database.", show_default=False)
]
OtherTable = Annotated[
    str | None,
    typer.Argument(metavar="[DATA]", help="A table; else the one the model was trained on."),
]
Windows = Annotated[int, typer.Option(help="Cutoffs to forecast from.")]
Step = Annotated[int | None, typer.Option(help="Rows between cutoffs; else one horizon.")]


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns."""

    time: Annotated[str | None, _option(COLUMNS, "Dates, times or whole numbers.", "COLUMN")] = None
    target: Annotated[Words, _option(COLUMNS, "To forecast.", "COLUMNS")] = None
    series: Annotated[str | None, _option(COLUMNS, "Tells the series of a table apart.", "COLUMN")] = None
    past: Annotated[Words, _option(COLUMNS, "Known up to now; naming some names all.", "COLUMNS")] = None
    known: Annotated[Words, _option(COLUMNS, "Known ahead, such as prices.", "COLUMNS")] = None
    static: Annotated[Words, _option(COLUMNS, "With one value a series.", "COLUMNS")] = None
    freq: Annotated[str | None, _option(COLUMNS, "From row to row: 15min, 1h, daily, ...", "STEP")] = None
    query: Annotated[str | None, _option(COLUMNS, "If DATA is a database: the rows.", "SQL")] = None

    def roles(self) -> dict[str, Any]:
        """As `Forecaster.fit` takes them, but for the query."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "query"}
        return said | {name: split(said[name]) for name in ("target", "past", "known", "static")}


@dataclass(frozen=True)
class Training:
    """The settings of a forecaster."""

    level: Annotated[Words, _option(MODEL, "Levels of the intervals, such as 80,95.", "PERCENT")] = None
    windows: Annotated[int | None, _option(MODEL, "Horizons held out for the backtest.")] = None
    validation: Annotated[int | None, _option(MODEL, "Rows to choose the weights and calibrate with.")] = None
    season: Annotated[Words, _option(MODEL, "Lengths of seasons, such as 7,365.", "ROWS")] = None
    context: Annotated[int | None, _option(MODEL, "Rows that scaling and skip look back.")] = None
    hidden: Annotated[int | None, _option(MODEL, "Cells of a layer.")] = None
    layers: Annotated[int | None, _option(MODEL, "Layers of the LSTM.")] = None
    members: Annotated[int | None, _option(MODEL, "Networks to average.")] = None
    epochs: Annotated[int | None, _option(MODEL, "Passes over the data.")] = None
    dropout: Annotated[float | None, _option(MODEL, "Share of outputs dropped in training.")] = None
    learning_rate: Annotated[float | None, _option(MODEL, "The peak of the learning rate.")] = None
    seed: Annotated[int | None, _option(MODEL, "Of the random numbers.")] = None

    def settings(self) -> dict[str, Any]:
        """Those that were said, as `Forecaster` takes them."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        said["level"] = _numbers("--level", self.level, float)
        said["season"] = _numbers("--season", self.season, int)
        return {name: value for name, value in said.items() if value is not None}


def split(words: Words) -> list[str] | None:
    """["a,b", "c"] -> ["a", "b", "c"]; nothing said stays None."""
    if not words:
        return None
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def _numbers(option: str, words: Words, kind: Callable[[str], Any]) -> tuple[Any, ...] | None:
    parts = split(words)
    try:
        return None if parts is None else tuple(map(kind, parts))
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{option} must be {what} separated by commas; got {','.join(parts or ())!r}.") from None
