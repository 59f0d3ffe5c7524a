"""A table from wherever the user keeps it, as a polars frame that remembers its name and its kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import polars as pl

from foretell.errors import InputError, require, require_known
from foretell.sequences.database import is_database, read_database
from foretell.sequences.files import read_file

Kind = Literal["polars", "pandas", "pyarrow"]


@dataclass(frozen=True)
class Table:
    """Rows and columns, the kind of frame they came as, and the name to call them in messages."""

    frame: pl.DataFrame
    kind: Kind
    name: str
    first_line: int | None = None  # the line of a text file on which row 1 stands

    def where(self, row: int, column: str | None = None) -> str:
        """The place of a cell in a message: "sales.csv, row 5 (line 6), column 'y'". `row` counts from 0."""
        line = "" if self.first_line is None else f" (line {row + self.first_line})"
        return f"{self.name}, row {row + 1}{line}" + (f", column {column!r}" if column else "")

    def column(self, name: str) -> pl.Series:
        """A column by name; categorical text as plain text.

        Raises:
            InputError: there is no such column; the message suggests the nearest.
        """
        require_known(self.name, "column", [name], self.frame.columns)
        column = self.frame[name]
        return column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum) else column


def read_table(source: Any, *, query: str | None = None) -> Table:
    """Read a file, a query, a frame (pandas, polars, Arrow, ...), a dict of columns or a list of dicts.

    Files are CSV (.csv, .tsv, .txt, also .gz), Parquet and JSON lines (.jsonl, .ndjson). A database is
    `sqlite:///file.db` or `postgresql://...`, with `query=`.

    Raises:
        InputError: the source cannot be read, or has no rows; the message names the place.
    """
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path) and is_database(str(source)):
        frame, name = read_database(str(source), query)
        table = Table(frame, "polars", name)
    else:
        require(query is None, "read_table", "query", "given only with a database", query)
        table = _from_file(Path(source)) if isinstance(source, str | Path) else _from_memory(source)
    if table.frame.width == 0:
        raise InputError(f"{table.name}: the table has no columns. Give one with a time and a number to predict.")
    if table.frame.height == 0:
        raise InputError(f"{table.name}: the table has column names but no rows. Give at least a few rows of data.")
    return table


def _from_file(path: Path) -> Table:
    frame, first_line = read_file(path)
    return Table(frame, "polars", path.name, first_line)


def _from_memory(source: Any) -> Table:
    if isinstance(source, dict | list):
        name = "dict of columns" if isinstance(source, dict) else "list of rows"
        try:
            return Table(pl.DataFrame(source, infer_schema_length=None), "polars", name)
        except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
            raise InputError(
                f"{name}: not a table ({_first_line(error)}). Give columns of one length, each of one kind of value."
            ) from error
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if nw.dependencies.is_pandas_dataframe(source):
        return Table(_polars(_plain(_with_index(source)), "pandas frame"), "pandas", "pandas frame")
    kind: Kind = "pyarrow" if nw.dependencies.is_pyarrow_table(source) else "polars"
    name = "Arrow table" if kind == "pyarrow" else f"{type(source).__module__.partition('.')[0]} frame"
    return Table(_polars(source, name), kind, name)


def _polars(source: Any, name: str) -> pl.DataFrame:
    try:
        frame = nw.from_native(source)
        return (frame.collect() if isinstance(frame, nw.LazyFrame) else frame).to_polars()
    except ImportError as error:
        raise InputError(f"{name}: reading it needs one more package: pip install pyarrow.") from error
    except (TypeError, ValueError, pl.exceptions.PolarsError, nw.exceptions.NarwhalsError) as error:
        raise InputError(
            f"read_table: the source must be a file, a database address or a frame (pandas, polars, Arrow) "
            f"whose columns each hold one kind of value; got {type(source).__name__}: {_first_line(error)}."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _with_index(frame: Any) -> Any:
    """A pandas frame whose index, where it carries data, is columns, and whose column names are text."""
    index = frame.index
    carries_time = type(index).__name__ in ("DatetimeIndex", "PeriodIndex")
    if carries_time and index.name is None:
        frame = frame.rename_axis(next(name for name in ("ds", "time", "index") if name not in frame.columns))
    if carries_time or any(name is not None for name in index.names):
        frame = frame.reset_index()
    return frame.set_axis([str(name) for name in frame.columns], axis=1)


def _plain(frame: Any) -> Any:
    """A pandas frame with periods as the times they start, and mixed values as text."""
    plain = {}
    for name in frame.columns if frame.columns.is_unique else ():
        column = frame[name]
        if str(column.dtype).startswith("period"):
            plain[name] = column.dt.to_timestamp()
        elif column.dtype == object and len({type(value) for value in column.dropna()}) > 1:
            plain[name] = column.map(str, na_action="ignore")
    return frame.assign(**plain)


def to_native(frame: pl.DataFrame, kind: Kind) -> Any:
    """The frame as the kind the user came with."""
    if kind == "polars":
        return frame
    native = nw.from_native(frame)
    return native.to_pandas() if kind == "pandas" else native.to_arrow()
