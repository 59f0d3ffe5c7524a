"""Training from the terminal: where it may write, what it says, and what is left when it is stopped."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foretell.cli.options import Columns
from foretell.cli.printing import say
from foretell.cli.progress import ProgressLine
from foretell.errors import InputError
from foretell.store import SETTINGS

if TYPE_CHECKING:
    from foretell.jobs import Forecaster
    from foretell.sequences import Schema

CHECKPOINT, RUN, REPORT = "checkpoint", "run.json", "report.html"
# How many steps people look ahead, by the step between rows, if they do not say it.
HORIZONS = {"min": 60, "h": 24, "d": 14, "b": 10, "w": 13, "mo": 12, "q": 8, "y": 5}
OTHER_HORIZON = 10
LEAST_HORIZONS = 6  # a chosen horizon fits into a series at least so many times


def address(data: str) -> str:
    """A file by its full path, so that the model finds it again from any folder; anything else as it is."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def choose_horizon(data: str, columns: Columns) -> tuple[int, str]:
    """A horizon that suits the step between rows and the length of the table, and a sentence about it."""
    from foretell.sequences import Frequency, infer_schema, read_table

    schema = infer_schema(read_table(data, query=columns.query), **columns.roles())
    frequency = Frequency.parse(schema.frequency)
    usual = HORIZONS.get(frequency.unit, OTHER_HORIZON)
    if frequency.unit == "min" and frequency.count > 1:
        usual = max(1, 24 * 60 // frequency.count)  # a day
    horizon = max(1, min(usual, schema.rows // schema.n_series // LEAST_HORIZONS))
    words = "1 step" if horizon == 1 else f"{horizon} steps"
    return horizon, f"No --horizon was said: {words} ahead, for rows that come {frequency.words}."


def claim_folder(path: str, *, force: bool) -> Path:
    """The folder for a new model; InputError if it holds a model, or half of one, to keep."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path}: this is a file; name a folder for the model.")
    if not force and _is_half_trained(folder):
        raise InputError(
            f"{path}: holds a training that was stopped; go on with `foretell resume {path}`, or begin anew "
            "with --force."
        )
    if not force and (folder / SETTINGS).is_file():
        raise InputError(f"{path}: holds a model; replace it with --force, or name another folder.")
    return folder


def open_model(path: str) -> "Forecaster":
    """Read a model folder; InputError if there is none, or only half of one."""
    from foretell.jobs import load

    if _is_half_trained(Path(path)) and not (Path(path) / SETTINGS).exists():
        raise InputError(f"{path}: its training was stopped; go on with `foretell resume {path}`.")
    return load(path)


def _is_half_trained(folder: Path) -> bool:
    return (folder / CHECKPOINT / RUN).is_file()


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Say how to go on if the user stops the training; leave nothing of one that the table is no good for."""
    checkpoint = folder / CHECKPOINT
    begun = checkpoint.exists()
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except InputError:
        if not begun:
            shutil.rmtree(checkpoint, ignore_errors=True)
            _remove_empty(made)
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped; {_what_is_left(folder)}") from None


def _what_is_left(folder: Path) -> str:
    if _is_half_trained(folder):
        return f"go on with: foretell resume {folder}"
    return f"a model is in {folder}." if (folder / SETTINGS).is_file() else "nothing was written."


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def train(data: str, folder: Path, columns: Columns, settings: dict[str, Any], *, quiet: bool) -> "Forecaster":
    """Train on a table, saying what its columns are taken for; checkpoints go below the model's folder."""
    from foretell.jobs import Forecaster

    def announce(schema: "Schema") -> None:
        if not quiet:
            say(schema.describe(), "")
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)  # not before the table is found to be good
        progress.start()

    model = Forecaster(**settings)
    with ProgressLine(model.settings.members, model.settings.seed) as progress:
        return model.fit(
            address(data),
            **columns.roles(),
            query=columns.query,
            checkpoint=folder / CHECKPOINT,
            progress=progress,
            announce=announce,
        )


def resume(folder: Path, data: str | None) -> "Forecaster":
    """Go on with a training that was stopped."""
    from foretell.jobs import Forecaster
    from foretell.jobs.forecasting.folder import read_run

    checkpoint = folder / CHECKPOINT
    if (folder / SETTINGS).is_file() and not checkpoint.exists():
        raise InputError(f"{folder}: this model is complete; there is nothing to resume.")
    settings = read_run(checkpoint).settings
    with ProgressLine(settings.members, settings.seed) as progress:
        progress.start()
        return Forecaster.resume(checkpoint, None if data is None else address(data), progress=progress)


def finish(model: "Forecaster", folder: Path, report: Path, *, png: bool) -> dict[str, Any]:
    """Backtest, save and report a model that has been trained; returns what there is to say of it."""
    windows = model.describe()["fitted"]["windows"]
    found = model.evaluate(windows=windows) if windows else None
    model.save(folder)
    problem = None
    try:
        model.report(report, png=png)
    except InputError as error:  # the model is whole without it
        problem = f"No report was written: {error}"
    return {
        "model": str(folder),
        "report": None if problem else str(report),
        "problem": problem,
        "headline": found.headline if found else "Not evaluated: no rows were held out.",
        "scores": found.summary.to_dicts() if found else [],
        "horizon": model.settings.horizon,
        "schema": model.schema_.model_dump(mode="json"),
        "seconds": model.seconds_,
    }
