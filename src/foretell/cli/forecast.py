"""The forecaster on the command line."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foretell.cli.command import as_typed
from foretell.cli.fitting import address, begin_anew, summary
from foretell.cli.options import DATA, NETWORK, Columns, Words, numbers, option, said, split
from foretell.cli.printing import print_evaluation, print_forecast, print_inputs, print_json, say
from foretell.cli.progress import ProgressLine
from foretell.cli.writing import check_ending, write_frame
from foretell.errors import InputError
from foretell.store import CHECKPOINT, REPORT

if TYPE_CHECKING:
    from foretell.jobs import Forecaster
    from foretell.sequences import Schema

# How many steps people look ahead, by the step between rows, if they do not say it.
HORIZONS = {"min": 60, "h": 24, "d": 14, "b": 10, "w": 13, "mo": 12, "q": 8, "y": 5}
OTHER_HORIZON = 10
LEAST_HORIZONS = 6  # a chosen horizon fits into a series at least so many times
TABLE = f"Forecasts: {DATA[0].lower()}{DATA[1:]}"
FORECAST = f"Forecasts: {NETWORK[0].lower()}{NETWORK[1:]}"
ROLES = ("target", "series", "past", "known", "static", "freq")


@dataclass(frozen=True)
class TrainOptions:
    """The roles of a table's columns, and the settings of a forecaster."""

    horizon: Annotated[int | None, option(FORECAST, "Steps ahead.")] = None
    target: Annotated[Words, option(TABLE, "To forecast.", "COLUMNS")] = None
    series: Annotated[str | None, option(TABLE, "Tells the series of a table apart.", "COLUMN")] = None
    past: Annotated[Words, option(TABLE, "Known up to now; naming some names all.", "COLUMNS")] = None
    known: Annotated[Words, option(TABLE, "Known ahead, such as prices.", "COLUMNS")] = None
    static: Annotated[Words, option(TABLE, "With one value a series.", "COLUMNS")] = None
    freq: Annotated[str | None, option(TABLE, "From row to row: 15min, 1h, daily, ...", "STEP")] = None
    level: Annotated[Words, option(FORECAST, "Levels of the intervals, such as 80,95.", "PERCENT")] = None
    windows: Annotated[int | None, option(FORECAST, "Horizons held out for the backtest.")] = None
    validation: Annotated[int | None, option(FORECAST, "Rows to choose the weights and calibrate with.")] = None
    season: Annotated[Words, option(FORECAST, "Lengths of seasons, such as 7,365.", "ROWS")] = None
    context: Annotated[int | None, option(FORECAST, "Rows that scaling and skip look back.")] = None
    members: Annotated[int | None, option(FORECAST, "Networks to average.")] = None

    def roles(self) -> dict[str, Any]:
        """As `Forecaster.fit` takes them, but for the time."""
        values = {name: getattr(self, name) for name in ROLES}
        return values | {name: split(values[name]) for name in ("target", "past", "known", "static")}

    def settings(self) -> dict[str, Any]:
        """Those that were said, as `Forecaster` takes them."""
        values = {name: value for name, value in said(self).items() if name not in ROLES}
        read = {"level": numbers("--level", self.level, float), "season": numbers("--season", self.season, int)}
        return values | {name: value for name, value in read.items() if value is not None}


@dataclass(frozen=True)
class PredictOptions:
    """Beside the model."""

    known: Annotated[str | None, option("Forecasts", "A table of the columns known ahead.", "FILE")] = None


@dataclass(frozen=True)
class EvaluateOptions:
    """The backtest."""

    windows: Annotated[int | None, option("Forecasts", "Cutoffs to forecast from (default 10).")] = None
    step: Annotated[int | None, option("Forecasts", "Rows between cutoffs; else one horizon.")] = None


@dataclass(frozen=True)
class SeriesOption:
    """One of many series."""

    series: Annotated[str | None, option("Forecasts", "Which series; else the first.", "NAME")] = None


def looks_like(data: list[str]) -> bool:
    """Every table is taken for series over time unless it looks like something else."""
    if len(data) > 1:
        raise InputError(
            f"{', '.join(data)}: several files are a job for --job text or --job translate; name one table."
        )
    return True


def train(
    data: list[str], folder: Path, columns: Columns, options: TrainOptions, settings: dict[str, Any], *, quiet: bool
) -> "Forecaster":
    """Train on a table, saying what its columns are taken for; checkpoints go below the model's folder."""
    from foretell.jobs import Forecaster

    looks_like(data)
    settings = settings | options.settings()
    if "horizon" not in settings:
        settings["horizon"], words = choose_horizon(data[0], columns, options)
        if not quiet:
            say(words, "")

    def announce(schema: "Schema") -> None:
        if not quiet:
            say(as_typed(schema.describe()), "")
        begin_anew(folder)  # not before the table is found to be good
        progress.start()

    model = Forecaster(**settings)
    with ProgressLine(model.settings.members) as progress:
        return model.fit(
            address(data[0]),
            time=columns.time,
            **options.roles(),
            query=columns.query,
            checkpoint=folder / CHECKPOINT,
            progress=progress,
            announce=announce,
        )


def choose_horizon(data: str, columns: Columns, options: TrainOptions) -> tuple[int, str]:
    """A horizon that suits the step between rows and the length of the table, and a sentence about it."""
    from foretell.sequences import Frequency, infer_schema, read_table

    schema = infer_schema(read_table(data, query=columns.query), time=columns.time, **options.roles())
    frequency = Frequency.parse(schema.frequency)
    usual = HORIZONS.get(frequency.unit, OTHER_HORIZON)
    if frequency.unit == "min" and frequency.count > 1:
        usual = max(1, 24 * 60 // frequency.count)  # a day
    horizon = max(1, min(usual, schema.rows // schema.n_series // LEAST_HORIZONS))
    words = "1 step" if horizon == 1 else f"{horizon} steps"
    return horizon, f"No --horizon was said: {words} ahead, for rows that come {frequency.words}."


def finish(model: "Forecaster", folder: Path, report: Path, *, png: bool) -> dict[str, Any]:
    """Backtest, save and report a model that has been trained; returns what there is to say of it."""
    windows = model.describe()["fitted"]["windows"]
    found = model.evaluate(windows=windows) if windows else None
    more = {"horizon": model.settings.horizon, "schema": model.schema_.model_dump(mode="json")}
    nothing = "Not evaluated: no rows were held out."
    return summary(model, folder, report, found, nothing=nothing, png=png) | more


def predict(model: "Forecaster", data: str | None, options: PredictOptions, output: str | None, as_json: bool) -> None:
    """Forecast what comes next, with intervals."""
    path = None if output is None else check_ending(output)
    frame = model.predict(data, options.known)
    if path:
        write_frame(frame, path)
    if as_json:
        print_json({"forecast": frame.to_dicts(), "file": output})
    elif path:
        say(f"{frame.height:,} rows are in {output}")
    else:
        print_forecast(frame)


def evaluate(model: "Forecaster", data: str | None, options: EvaluateOptions, as_json: bool) -> None:
    """Backtest beside the baselines."""
    found = model.evaluate(data, **said(options))
    print_evaluation(found, ("by_horizon", "windows"), as_json)


def explain(model: "Forecaster", data: str | None, options: SeriesOption, folder: Path, as_json: bool) -> None:
    """What each input is worth, and how long the memory lasts."""
    from foretell.cli.explaining import memory_in_words

    found = model.explain(data, options.series)
    half_life, report = found.half_life.to_dicts(), folder / REPORT
    if as_json:
        print_json({"inputs": found.inputs.to_dicts(), "half_life": half_life})
        return
    print_inputs(found.inputs.to_dicts())
    say("", *memory_in_words(half_life, model.schema_.frequency))
    if report.is_file():
        say(f"The gates, step by step, are in {report}")


def update(model: "Forecaster", data: str) -> str:
    """Take in new rows; returns what there is to say."""
    model.update(data)
    return f"The rows of {data} are taken in: the next forecast starts after them."


def stream(model: "Forecaster", options: SeriesOption, as_json: bool) -> None:
    """Rows are JSON lines, or CSV with a header; answers are lines of JSON."""
    from foretell.cli.live import Feed, read_rows

    feed = Feed(model, options.series)
    for number, row in read_rows(sys.stdin, feed.texts):
        try:
            print_json(feed.take(row))
        except InputError as error:
            raise InputError(f"stdin, line {number}: {error}") from None
        sys.stdout.flush()
