"""A model folder: weights.safetensors + model.json (+ report.html), each file whole or not there, no pickle."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foretell.errors import InputError

if TYPE_CHECKING:  # reading a folder's settings needs no tensors
    from torch import Tensor

FORMAT = 2
"""The version of the folder's layout and of the weights' names. A reader refuses any other."""

SETTINGS, WEIGHTS, REPORT = "model.json", "weights.safetensors", "report.html"
CHECKPOINT, RUN, LOCK = "checkpoint", "run.json", "lock"
"""Where a training run that has not ended lies within its model folder, the file that tells of it, and the one that
its process holds."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never a part."""
    _make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private; a model is for sharing
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)  # after the replacement it is gone already
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a checkpoint folder for one training; InputError if another has it. It is free again if the process dies."""
    from filelock import FileLock, Timeout  # a tenth of a second

    _make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"{folder}: another training is writing there; wait until it ends, or give another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def refuse_locked(folder: Path) -> None:
    """InputError if a training is writing to a checkpoint folder."""
    if (folder / LOCK).is_file():
        with locked(folder):
            pass


def write_model(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, "Tensor"]) -> None:
    """Write the weights, then the settings that name their checksum: a folder with both is complete."""
    from safetensors.torch import save

    weights = save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})
    content = {"format": FORMAT, "weights_sha256": hashlib.sha256(weights).hexdigest(), **settings}
    content["settings_sha256"] = _checksum(content)
    settings_text = json.dumps(content, indent=1, allow_nan=False).encode()
    write_atomic(folder / WEIGHTS, weights)
    write_atomic(folder / SETTINGS, settings_text)


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a model folder, checked for completeness, version and tampering."""
    path = folder / SETTINGS
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such model folder. Make one with `foretell train ... -o {folder}`.")
    if not path.is_file():
        raise InputError(
            f"{folder}: {SETTINGS} is missing, so this is not a complete model folder; train or copy it again."
        )
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{path}: the file is cut short or damaged ({error}); train or copy the model again."
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise InputError(f"{path}: this is not a model's settings: the field 'format' is missing.")
    if content["format"] != FORMAT:
        is_newer = content["format"] > FORMAT
        age, remedy = ("a newer", "upgrade foretell to read it") if is_newer else ("an older", "train the model again")
        raise InputError(
            f"{path}: written by {age} version of foretell (format {content['format']}, this one reads {FORMAT}); "
            f"{remedy}."
        )
    if content.pop("settings_sha256", None) != _checksum(content):
        raise InputError(
            f"{path}: its content does not match its checksum: it was changed by hand or damaged; "
            "train or copy the model again."
        )
    return content


def read_model(folder: Path) -> tuple[dict[str, Any], dict[str, "Tensor"]]:
    """The settings and the tensors of a model folder."""
    from safetensors.torch import load

    settings = read_settings(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(
            f"{folder}: {WEIGHTS} is missing, so this is not a complete model folder; train or copy it again."
        )
    weights = path.read_bytes()
    if hashlib.sha256(weights).hexdigest() != settings["weights_sha256"]:
        raise InputError(
            f"{path}: its content ({len(weights)} bytes) does not match the checksum in {SETTINGS}: it is cut short, "
            "damaged or from another model; train or copy the model again."
        )
    return settings, load(weights)


def below(tensors: Mapping[str, "Tensor"], prefix: str) -> dict[str, "Tensor"]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: this is a file, not a folder; give another path.") from None


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = {key: value for key, value in content.items() if key != "settings_sha256"}
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).hexdigest()
