"""Where the pairs came from, so that a later run finds the same ones again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from foretell.errors import InputError
from foretell.jobs.translating.settings import Settings
from foretell.jobs.translating.splits import Split, split
from foretell.sequences.pairs import read_pairs

Files = tuple[str, ...]  # one file of pairs, or two parallel files


class Origin(BaseModel):
    """The files that the pairs came from."""

    model_config = ConfigDict(extra="forbid")

    name: str  # of the pairs, in messages
    data: Files | None  # None: they were in memory
    validation: Files | None  # None also where the pairs were drawn from `data`
    test: Files | None
    in_memory: bool  # some or all were


@dataclass(frozen=True)
class Parts:
    """The pairs of a training, read and divided."""

    split: Split
    origin: Origin
    blank: int  # pairs left out because both sentences are empty

    def describe(self) -> str:
        """How the pairs are divided, and one of them, for people."""
        parts, train = self.split, self.split.train
        test = f"{len(parts.test):,} held out for the test" if parts.test else "none held out"
        return (
            f"{self.origin.name}: {len(train):,} pairs to train on, {len(parts.validation):,} to choose the weights "
            f"by, {test}. The first:\n  {train.source[0]}\n  {train.target[0]}"
        )


def read_parts(settings: Settings, data: Any, validation: Any, test: Any) -> Parts:
    """Read what `fit` was given."""
    given = {"data": data, "validation": validation, "test": test}
    pairs = {name: read_pairs(one, settings.columns) for name, one in given.items() if one is not None}
    files = {name: _files(one) for name, one in given.items()}
    in_memory = any(files[name] is None for name in pairs)
    origin = Origin(name=pairs["data"].name, **files, in_memory=in_memory)
    parts = split(pairs["data"], settings, pairs.get("validation"), pairs.get("test"))
    return Parts(parts, origin, pairs["data"].blank)


def reread_parts(settings: Settings, origin: Origin, given: dict[str, Any] | None = None) -> Parts:
    """Read the same again; `given` takes the place of files that are not there, or were none."""
    said = {name: one for name, one in (given or {}).items() if one is not None}
    if origin.in_memory and not said:
        raise InputError(
            f"{origin.name}: the model was fitted on pairs in memory; give the same again as fit was given them."
        )
    noted = {name: _source(getattr(origin, name)) for name in ("data", "validation", "test")}
    return read_parts(settings, **(noted | said))


def _files(data: Any) -> Files | None:
    if isinstance(data, str | Path):
        return (str(data),)
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(one, str | Path) for one in data):
        return (str(data[0]), str(data[1]))
    return None


def _source(files: Files | None) -> str | Files | None:
    return files[0] if files is not None and len(files) == 1 else files
