"""What a command may be told: the options that jobs share. Those of one job stand in its own file."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

import typer

from foretell.errors import InputError

Words = list[str] | None  # an option repeated, or its parts separated by commas

DATA = "The data (inferred where not said)"
NETWORK = "The network (chosen from the data where not said)"


def option(panel: str, help: str, metavar: str | None = None, *names: str) -> Any:
    """An option in a panel of the help, named after its field unless `names` are given."""
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel, show_default=False)


Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to stdout.")]
Png = Annotated[bool, typer.Option("--png", help="Write each chart of the report as a PNG too.")]
Folder = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder.", show_default=False)]
Output = Annotated[
    str | None, typer.Option("--output", "-o", help="Write it to a file, its kind by the ending.", show_default=False)
]
OtherData = Annotated[
    str | None, typer.Argument(metavar="[DATA]", help="Other data than the model was trained on.", show_default=False)
]


@dataclass(frozen=True)
class Columns:
    """What every table of rows in time has."""

    time: Annotated[str | None, option(DATA, "Dates, times or whole numbers.", "COLUMN")] = None
    query: Annotated[str | None, option(DATA, "If DATA is a database: the rows.", "SQL")] = None


@dataclass(frozen=True)
class Training:
    """The settings that every network has."""

    hidden: Annotated[int | None, option(NETWORK, "Cells of a layer.")] = None
    layers: Annotated[int | None, option(NETWORK, "Layers of the LSTM.")] = None
    epochs: Annotated[int | None, option(NETWORK, "Passes over the data.")] = None
    dropout: Annotated[float | None, option(NETWORK, "Share of outputs dropped in training.")] = None
    learning_rate: Annotated[float | None, option(NETWORK, "The peak of the learning rate.")] = None
    seed: Annotated[int | None, option(NETWORK, "Of the random numbers.")] = None


def said(group: Any) -> dict[str, Any]:
    """The options of a group that were given."""
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    return {name: value for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """A field as people type it: "--learning-rate"."""
    return "--" + name.replace("_", "-")


def split(words: Words) -> list[str] | None:
    """["a,b", "c"] -> ["a", "b", "c"]; nothing said stays None."""
    if not words:
        return None
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def numbers(name: str, words: Words, kind: Callable[[str], Any]) -> tuple[Any, ...] | None:
    """The numbers of an option, "80,95"."""
    parts = split(words)
    try:
        return None if parts is None else tuple(map(kind, parts))
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"{name} must be {what} separated by commas; got {','.join(parts or ())!r}.") from None
