"""Frames written to files by the ending of their name, whole or not at all."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from foretell.errors import InputError
from foretell.store import write_atomic

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".csv", ".parquet", ".jsonl", ".ndjson")


def check_ending(path: str) -> Path:
    """The path, if a frame can be written there; asked before the work is done."""
    if Path(path).suffix.lower() not in ENDINGS:
        raise InputError(f"{path}: the name must end in {', '.join(ENDINGS)}.")
    if Path(path).is_dir():
        raise InputError(f"{path}: this is a folder; name a file.")
    return Path(path)


def write_frame(frame: "pl.DataFrame", path: Path) -> None:
    """Write a frame as CSV, Parquet or JSON lines."""
    buffer = io.BytesIO()
    if path.suffix.lower() == ".csv":
        frame.write_csv(buffer, datetime_format="%Y-%m-%dT%H:%M:%S%.f")  # a fraction only where there is one
    elif path.suffix.lower() == ".parquet":
        frame.write_parquet(buffer)
    else:
        frame.write_ndjson(buffer)
    write_atomic(path, buffer.getvalue())
