"""A training run on disk: what it needs beside its checkpoints to go on after it was killed."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from foretell.errors import InputError
from foretell.store import LOCK, RUN, locked, write_atomic
from foretell.training.loop import Epoch

NETWORK = "network.safetensors"  # the checkpoint of a run that trains one network
R = TypeVar("R", bound=BaseModel)


@contextmanager
def running(folder: Path | None, describe: Callable[[], BaseModel]) -> Iterator[None]:
    """Train in the block: the checkpoint folder, if any, tells what is trained, so that `resume` can go on.

    InputError if another training is writing there, or if it holds checkpoints of another run.
    """
    if folder is None:
        yield
        return
    content = describe().model_dump_json(indent=1).encode()
    with locked(folder):
        path = folder / RUN
        if path.is_file() and path.read_bytes() != content:
            raise InputError(
                f"{folder}: holds the checkpoint of another training run; resume that one, or remove the folder, or "
                "give another."
            )
        write_atomic(path, content)
        yield


def read_run(folder: Path, kind: type[R]) -> R:
    """The run that was being trained in a checkpoint folder."""
    try:
        return kind.model_validate_json(_content(folder))
    except ValidationError:
        raise _damaged(folder) from None


def read_job(folder: Path) -> str:
    """The job of the run in a checkpoint folder."""
    content = _content(folder)
    try:
        return str(json.loads(content)["job"])
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder) from None


def end_run(folder: Path) -> None:
    """Remove the files of a run that has ended, and its folder if nothing else is in it."""
    for path in [folder / RUN, folder / LOCK, *folder.glob("*.safetensors")]:
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def without_password(source: str) -> str:
    """A database address without its password: a model folder is for sharing."""
    return re.sub(r"([?&]password=)[^&]*", r"\1", re.sub(r"(://[^:/@]*):[^/]*@", r"\1@", source))


def curve_rows(curve: list[Epoch]) -> list[dict[str, Any]]:
    """A training curve as rows for JSON and frames; epoch 0 has no training loss."""
    return [
        {
            "epoch": line.epoch,
            "train": line.train if line.train == line.train else None,
            "validation": line.validation,
            "seconds": line.seconds,
        }
        for line in curve
    ]


def _content(folder: Path) -> bytes:
    path = folder / RUN
    if not path.is_file():
        raise InputError(f"{folder}: there is no training run to resume here; start one with `foretell train`.")
    return path.read_bytes()


def _damaged(folder: Path) -> InputError:
    return InputError(f"{folder / RUN}: the file is damaged or from another version; start the training anew.")
