"""Which job a command is about: said, or guessed from its options and its files; and the files behind it."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from foretell.cli.options import flag, said
from foretell.errors import InputError, require_known
from foretell.store import CHECKPOINT, RUN, SETTINGS

JOBS = ("recommend", "translate", "text", "forecast")  # in the order in which a guess asks them


def commands(job: str) -> Any:
    """The module with a job's part of every command: train, finish, predict, evaluate, explain, stream."""
    return import_module(f"foretell.cli.{job}")


def choose(data: list[str], job: str | None, groups: Mapping[str, Any]) -> tuple[str, str | None]:
    """The job of a training, and a sentence if it had to be guessed from the files."""
    if job is not None:
        require_known("--job", "job", [job], JOBS)
        return job, None
    told = [name for name, group in groups.items() if said(group)]
    if told:
        return told[0], None
    found = next(name for name in JOBS if commands(name).looks_like(data))
    return found, f"The data look like a job for `--job {found}` (say another if not)."


def options_of(job: str, groups: Mapping[str, Any]) -> Any:
    """The options of a job; InputError if one of another job's was given."""
    for name, group in groups.items():
        foreign = said(group) if name != job else {}
        for field in foreign:
            raise InputError(f"{flag(field)} is an option of the job {name!r}; this is {job!r}.")
    return groups.get(job)


def open_model(path: str) -> Any:
    """Read a model folder; InputError if there is none, or only half of one."""
    from foretell.jobs import load

    if is_half_trained(Path(path)) and not (Path(path) / SETTINGS).exists():
        raise InputError(f"{path}: its training was stopped; go on with `foretell resume {path}`.")
    return load(path)


def job_of(model: Any) -> str:
    """The job of a model that was read."""
    from foretell.jobs import JOBS as CLASSES

    return next(name for name, kind in CLASSES.items() if type(model).__name__ == kind)


def open_for(path: str, **groups: Any) -> tuple[Any, Any, Any]:
    """The model in a folder, its job's part of the commands, and its job's options among those given."""
    model = open_model(path)
    job = job_of(model)
    return model, commands(job), options_of(job, groups)


def is_half_trained(folder: Path) -> bool:
    """Whether a training in the folder was stopped and can go on."""
    return (folder / CHECKPOINT / RUN).is_file()
