"""Sentence pairs from wherever the user keeps them: one file of two columns, two parallel files, or a frame."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foretell.errors import InputError
from foretell.sequences.table import read_table

LINES = (".tsv", ".txt", "")  # endings of a file that holds a pair a line; other tables are read as such
COLUMNS = ("source", "target")


@dataclass(frozen=True)
class Pairs:
    """Sentence k of `source` means sentence k of `target`. Neither is empty."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    name: str  # to call them in messages
    blank: int = 0  # pairs left out because both sentences are empty

    def __len__(self) -> int:
        return len(self.source)

    def take(self, places: Sequence[int]) -> "Pairs":
        """Some of them, in this order."""
        source, target = (tuple(side[place] for place in places) for side in (self.source, self.target))
        return Pairs(source, target, self.name)

    def joined(self, other: "Pairs") -> "Pairs":
        """These and others."""
        return Pairs(self.source + other.source, self.target + other.target, self.name, self.blank + other.blank)


def read_pairs(data: Any, columns: tuple[str, str] = COLUMNS) -> Pairs:
    """Read pairs from a file, from two parallel files, from a frame, or from (source, target) tuples.

    One file is `pairs.tsv`: a source sentence, a tab, a target sentence a line, without a header or with one
    that names the `columns`; CSV, Parquet, JSON lines and frames have these columns. Two files, given as a tuple
    of paths, hold one sentence a line each. All may end in .gz.

    Raises:
        InputError: files of different lengths, a sentence without its partner, bytes that are no UTF-8; the
            message names file and line.
    """
    if isinstance(data, Pairs):
        return data
    if isinstance(data, tuple) and len(data) == 2 and all(isinstance(one, str | Path) for one in data):
        return _parallel(Path(data[0]), Path(data[1]))
    if isinstance(data, str | Path) and _suffix(Path(data)) in LINES and "://" not in str(data):
        return _two_columns(Path(data), columns)
    if isinstance(data, list | tuple) and not (data and isinstance(data[0], dict)):
        return _from_list(data)
    table = read_table(data)
    sides = []
    for name in columns:
        column = table.column(name)
        if str(column.dtype) != "String":
            raise InputError(f"{table.name}, column {name!r}: must hold sentences; got {column.dtype}.")
        sides.append([text or "" for text in column.to_list()])
    return _paired(sides[0], sides[1], table.name, table.where)


def read_sentences(path: str | Path) -> list[str]:
    """The lines of a text file, plain or .gz, empty ones too."""
    return _lines(Path(path))


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _parallel(first: Path, second: Path) -> Pairs:
    source, target = _lines(first), _lines(second)
    if len(source) != len(target):
        longer, other = (first, second) if len(source) > len(target) else (second, first)
        line = min(len(source), len(target)) + 1
        text = max(source, target, key=len)[line - 1]
        raise InputError(
            f"{first.name} has {len(source):,} lines and {second.name} {len(target):,}: line {line} of {longer.name} "
            f"({_shown(text)}) has no partner in {other.name}. Parallel files need the same number of lines, and "
            "line k of one must mean line k of the other."
        )
    names = (first.name, second.name)

    def where(row: int) -> str:
        return f"{names[0]} and {names[1]}, line {row + 1}"

    return _paired(source, target, " and ".join(names), where)


def _two_columns(path: Path, columns: tuple[str, str]) -> Pairs:
    lines = _lines(path)
    first = 1 if lines and lines[0].split("\t") == list(columns) else 0
    source, target = [], []
    for number, line in enumerate(lines[first:], first + 1):
        fields = line.split("\t") if line.strip() else ["", ""]
        if len(fields) != 2:
            raise InputError(
                f"{path.name}, line {number}: must hold a source sentence, one tab, and a target sentence; got "
                f"{len(fields)} field{'s' * (len(fields) != 1)} ({_shown(line)}). Sentences that lie in two files, "
                "one a line, are given as two files."
            )
        source.append(fields[0])
        target.append(fields[1])
    return _paired(source, target, path.name, lambda row: f"{path.name}, line {row + first + 1}")


def _from_list(data: Sequence[Any]) -> Pairs:
    for place, pair in enumerate(data, 1):
        fine = isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        if not fine:
            raise InputError(
                f"list of pairs, place {place}: must be (source sentence, target sentence); got {_shown(repr(pair))}. "
                "Two parallel files are given as a tuple of their paths."
            )
    return _paired(
        [pair[0] for pair in data], [pair[1] for pair in data], "list of pairs", lambda row: f"pair {row + 1}"
    )


def _paired(source: Sequence[str], target: Sequence[str], name: str, where: Callable[[int], str]) -> Pairs:
    """Sentences without the blanks around them; InputError where only one side is empty."""
    kept: list[tuple[str, str]] = []
    blank = 0
    for row, texts in enumerate(zip(source, target, strict=True)):
        pair = (texts[0].strip(), texts[1].strip())
        if all(pair):
            kept.append(pair)
        elif any(pair):
            side, other = ("source", pair[1]) if pair[1] else ("target", pair[0])
            raise InputError(
                f"{where(row)}: the {side} sentence is empty, but its partner is {_shown(other)}. Fill it in, or "
                "remove the pair."
            )
        else:
            blank += 1
    if not kept:
        raise InputError(f"{name}: holds no sentence pairs. Give at least a few hundred.")
    first, second = zip(*kept, strict=True)
    return Pairs(first, second, name, blank)


def _lines(path: Path) -> list[str]:
    """Lines as other programs count them: ended by a line feed, and by nothing else that Unicode knows."""
    if path.is_dir():
        raise InputError(f"{path}: this is a folder. Name a file in it.")
    if not path.exists():
        raise InputError(f"{path}: there is no such file. Check the name and the folder ({Path.cwd()}).")
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except PermissionError as error:
        raise InputError(f"{path}: the file may not be read. Ask for permission, or copy it.") from error
    except (EOFError, OSError, zlib.error) as error:  # gzip reports damage as any of them
        raise InputError(f"{path}: the file cannot be read ({error}). Fetch or pack it again.") from error
    if not data.strip():
        raise InputError(f"{path.name}: the file is empty. Give one sentence, or one pair, a line.")
    text = _decoded(data, path.name)
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _decoded(data: bytes, name: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{name}: the file is UTF-16. Save it as UTF-8.")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}, line {line}, byte {error.start + 1} of the file: {data[error.start]:#04x} is not UTF-8 text. "
            "Save the file as UTF-8."
        ) from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
