"""Training from the terminal: where it may write, what it says, and what is left when it is stopped."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from foretell.cli.jobs import is_half_trained
from foretell.cli.progress import ProgressLine
from foretell.errors import InputError
from foretell.store import CHECKPOINT, SETTINGS, refuse_locked


def address(data: str) -> str:
    """A file by its full path, so that the model finds it again from any folder; anything else as it is."""
    return str(Path(data).resolve()) if Path(data).exists() else data


def claim_folder(path: str, *, force: bool) -> Path:
    """The folder for a new model; InputError if it holds a model, or half of one, to keep."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path}: this is a file; name a folder for the model.")
    refuse_locked(folder / CHECKPOINT)
    if not force and is_half_trained(folder):
        raise InputError(
            f"{path}: holds a training that was stopped; go on with `foretell resume {path}`, or begin anew "
            "with --force."
        )
    if not force and (folder / SETTINGS).is_file():
        raise InputError(f"{path}: holds a model; replace it with --force, or name another folder.")
    return folder


def begin_anew(folder: Path) -> None:
    """Remove what a training that was stopped left in a folder for a new model."""
    refuse_locked(folder / CHECKPOINT)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


@contextmanager
def stoppable(folder: Path) -> Iterator[None]:
    """Say how to go on if the user stops the training; leave nothing of one that the table is no good for."""
    begun = (folder / CHECKPOINT).exists()
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    except InputError:
        if not begun:
            with suppress(InputError):  # where another training has come in between, it is that one's
                begin_anew(folder)
                _remove_empty(made)
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped; {_what_is_left(folder)}") from None


def _what_is_left(folder: Path) -> str:
    if is_half_trained(folder):
        return f"go on with: foretell resume {folder}"
    return f"a model is in {folder}." if (folder / SETTINGS).is_file() else "nothing was written."


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def resume(folder: Path, data: str | None) -> Any:
    """Go on with a training that was stopped."""
    from foretell.jobs import job_class
    from foretell.jobs.runs import read_job

    checkpoint = folder / CHECKPOINT
    if (folder / SETTINGS).is_file() and not checkpoint.exists():
        raise InputError(f"{folder}: this model is complete; there is nothing to resume.")
    kind = job_class(read_job(checkpoint))
    with ProgressLine() as progress:
        progress.start()
        return kind.resume(checkpoint, None if data is None else address(data), progress=progress)


def summary(
    model: Any, folder: Path, report: Path, found: Any, *, nothing: str = "Not evaluated.", png: bool
) -> dict[str, Any]:
    """Save and report a model that has been trained and evaluated; returns what there is to say of it."""
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
        "headline": found.headline if found else nothing,
        "scores": found.summary.to_dicts() if found else [],
        "seconds": model.seconds_,
    }
