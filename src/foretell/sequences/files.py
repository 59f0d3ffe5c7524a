"""Tables from files: CSV, Parquet and JSON lines, with the broken line named where there is one."""

import csv
import gzip
import io
import json
import re
import zlib
from pathlib import Path

import polars as pl

from foretell.errors import InputError
from foretell.sequences.numerals import read_commas

TEXT_SUFFIXES = {".csv": ",", ".tsv": "\t", ".txt": None}  # None: the separator is seen from the first line
JSON_SUFFIXES = (".jsonl", ".ndjson")
PARQUET_SUFFIXES = (".parquet", ".pq")
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?"]
SEPARATORS = ",;\t|"


def read_file(path: Path) -> tuple[pl.DataFrame, int | None]:
    """The table in a file and, for a text file, the line on which its first row stands.

    Raises:
        InputError: no such file, a folder, an unknown ending, an empty or a broken file.
    """
    if path.is_dir():
        raise InputError(f"{path}: this is a folder. Name a file in it that ends in {_endings()}.")
    if not path.exists():
        raise InputError(f"{path}: there is no such file. Check the name and the folder ({Path.cwd()}).")
    suffix = Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in (*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES):
        raise InputError(f"{path.name}: the name must end in {_endings()}; got {suffix or 'no ending'!r}.")
    data = _read_bytes(path)
    if not data.strip():
        raise InputError(f"{path.name}: the file is empty. Give a table with a time and a number to predict.")
    if suffix in PARQUET_SUFFIXES:
        return _read_parquet(data, path.name), None
    _check_text(data, path.name)
    if suffix in JSON_SUFFIXES:
        return _read_json_lines(data, path.name), 1
    return _read_csv(data, path.name, TEXT_SUFFIXES[suffix]), 2


def _endings() -> str:
    return ", ".join([*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *JSON_SUFFIXES]) + " (or any of these and .gz)"


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except PermissionError as error:
        raise InputError(f"{path}: the file may not be read. Ask for permission, or copy it.") from error
    except (EOFError, OSError, zlib.error) as error:  # gzip reports damage as any of them
        raise InputError(f"{path}: the file cannot be read ({error}). Fetch or pack it again.") from error


def _check_text(data: bytes, name: str) -> None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{name}: the file is UTF-16. Save it as UTF-8.")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name}, line {line}: byte {data[error.start]:#04x} is not UTF-8 text. Save the file as UTF-8."
        ) from error


def _read_parquet(data: bytes, name: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{name}: this is not a whole Parquet file ({error}). Write or fetch it again.") from error


def _read_json_lines(data: bytes, name: str) -> pl.DataFrame:
    try:
        return pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        for number, line in enumerate(data.splitlines(), 1):
            if line.strip() and not _is_object(line):
                raise InputError(
                    f"{name}, line {number}: {line[:60].decode()!r} is not a JSON object. "
                    'Write one row a line, e.g. {"ds": "2024-01-01", "y": 3.5}.'
                ) from error
        raise InputError(f"{name}: the lines do not make one table ({error}). Give every row the same keys.") from error


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except json.JSONDecodeError:
        return False


def _read_csv(data: bytes, name: str, separator: str | None) -> pl.DataFrame:
    header = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").split(b"\n", 1)[0].decode().strip("\r")
    if separator in (None, ","):
        separator = max(SEPARATORS, key=header.count)  # the first of equals
    names = next(csv.reader([header], delimiter=separator))
    _check_header(names, header, name)
    try:
        frame = pl.read_csv(data, separator=separator, null_values=MISSING, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        _check_rows(data, name, separator, len(names))
        raise InputError(f"{name}: not a table of {len(names)} columns ({error}). Mend the file.") from error
    if frame.height and frame[:, -1].has_nulls():  # a row cut short reads as nulls at its end
        _check_rows(data, name, separator, len(names))
    texts = frame.select(pl.col(pl.String)).iter_columns()
    return _without_blank_end(frame.with_columns(read_commas(column, separator) for column in texts))


def _check_header(names: list[str], header: str, file: str) -> None:
    if names and all(_is_number(name) for name in names):
        raise InputError(
            f"{file}, line 1: the first line must hold the column names; got {header[:60]!r}. "
            "Add a line of names above it."
        )
    repeated = {name for name in names if name and names.count(name) > 1}
    if repeated:
        raise InputError(f"{file}, line 1: column {min(repeated)!r} stands there twice. Rename one of them.")


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", text) is not None


def _check_rows(data: bytes, file: str, separator: str, width: int) -> None:
    """Raise InputError for the first line whose number of fields is not the header's."""
    reader = csv.reader(io.StringIO(data.decode().removeprefix("\ufeff"), newline=""), delimiter=separator)
    for fields in reader:
        if fields and len(fields) != width:
            raise InputError(
                f"{file}, line {reader.line_num}: {len(fields)} fields where the header has {width} "
                f"({separator.join(fields)[:60]!r}). Mend that line, or put quotes around a value that holds "
                f"{separator!r}."
            )


def _without_blank_end(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame without the rows of nulls that blank lines at the end of a file make."""
    filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return frame.head(int(filled[-1]) + 1 if len(filled) else 0)
