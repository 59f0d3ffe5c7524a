"""What is the same of every job: the record in its model folder, and what a fitted model can tell of itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from foretell.errors import InputError
from foretell.store import read_model, write_model


class JobRecord(BaseModel):
    """What a model folder says about its model beside the weights."""

    model_config = ConfigDict(extra="forbid")

    job: str
    training: list[dict[str, Any]]  # the training curve
    seconds: float
    headline: str | None  # of the evaluation at training time
    scores: list[dict[str, Any]]


class JobRun(BaseModel):
    """What a run that was killed needs beside its checkpoints."""

    model_config = ConfigDict(extra="forbid")

    job: str
    checksum: str  # of everything that training reads


R = TypeVar("R", bound=JobRecord)
M = TypeVar("M")


def write_record(folder: Path, record: JobRecord, tensors: Mapping[str, Tensor]) -> None:
    """Write a model folder."""
    write_model(folder, json.loads(record.model_dump_json()), tensors)


def read_record(folder: Path, kind: type[R]) -> tuple[R, dict[str, Tensor]]:
    """The record and the tensors of a model folder; InputError if it is another job's."""
    content, tensors = read_model(folder)
    job = kind.model_fields["job"].default
    if content.get("job") != job:
        raise InputError(f"{folder}: holds a model for the job {content.get('job')!r}, not {job!r}; use foretell.load.")
    body = {name: value for name, value in content.items() if name not in ("format", "weights_sha256")}
    return kind.model_validate(body), tensors


class TrainedJob(Generic[M, R]):
    """A job that may have been fitted: `_model` and `_record` are there once it is."""

    _model: M | None
    _record: R

    @property
    def training_(self) -> pl.DataFrame:
        """The training curve: epoch, train, validation (the loss of the job's network), seconds."""
        self._fitted()
        return pl.DataFrame(self._record.training, infer_schema_length=None)

    @property
    def seconds_(self) -> float:
        """How long the training took."""
        self._fitted()
        return self._record.seconds

    def describe(self) -> dict[str, Any]:
        """What the model folder says: settings, data, sizes, training curve, scores."""
        self._fitted()
        return self._record.model_dump(mode="json")

    def _fitted(self) -> M:
        if self._model is None:
            name = type(self).__name__
            raise InputError(f"{name}: not fitted yet; call fit(...) first, or foretell.load(folder).")
        return self._model
