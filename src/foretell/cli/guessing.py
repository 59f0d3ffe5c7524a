"""Cheap looks at files, to guess the job they are for."""

import gzip
import json
import re
from pathlib import Path

LINES = 20  # looked at
BYTES = 65_536
NUMBERS = 0.9  # the least share of words that hold a digit, of files that are mostly numbers


def column_names(path: Path) -> list[str]:
    """The names of a table's columns, as far as the first line or the file's head tells; [] if it does not."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".parquet", ".pq"):
        import polars as pl

        try:
            return list(pl.read_parquet_schema(path))
        except (pl.exceptions.PolarsError, OSError):
            return []
    lines = head(path)
    if not lines:
        return []
    if ".jsonl" in suffixes or ".ndjson" in suffixes:
        try:
            row = json.loads(lines[0])
        except ValueError:
            return []
        return list(row) if isinstance(row, dict) else []
    return [name.strip("\"' ") for name in re.split(r"[,;\t|]", lines[0])]


def is_mostly_numbers(path: Path) -> bool:
    """Whether nearly every word of the first lines holds a digit, as names of users and items do and text does not."""
    words = [word for line in head(path) for word in line.split()]
    return bool(words) and sum(any(map(str.isdigit, word)) for word in words) >= NUMBERS * len(words)


def head(path: Path) -> list[str]:
    """The first whole lines of a text file, unpacked if its name ends in .gz."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            text = file.read(BYTES).decode(errors="replace")
    except (OSError, EOFError):
        return []
    return [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()][:LINES]
