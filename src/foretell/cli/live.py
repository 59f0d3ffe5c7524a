"""Rows from a pipe, one a line, and a forecast for each: JSON lines or CSV in, JSON lines out."""

import csv
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from foretell.errors import InputError

if TYPE_CHECKING:
    from foretell.jobs import Forecaster

Row = dict[str, Any]


def read_rows(lines: Iterable[str], texts: frozenset[str]) -> Iterator[tuple[int, Row | float | None]]:
    """Line numbers and rows; blank lines are passed over.

    A first line that is no JSON is the header of a CSV, whose cells are numbers but for the columns in `texts`;
    an empty cell is a gap. InputError names the line that cannot be read.
    """
    filled = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    for number, line in filled:
        if _is_json(line):
            yield number, _json_row(number, line)
            yield from ((number, _json_row(number, line)) for number, line in filled)
        else:
            header = [name.strip() for name in next(csv.reader([line]))]
            yield from ((number, _csv_row(number, line, header, texts)) for number, line in filled)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return line.lstrip().startswith("{")  # meant as JSON: say what is wrong with it
    return True


def _json_row(number: int, line: str) -> Row | float | None:
    try:
        row = json.loads(line)
    except ValueError:
        row = line
    if row is None or isinstance(row, dict) or (isinstance(row, int | float) and not isinstance(row, bool)):
        return row
    raise InputError(
        f"stdin, line {number}: {line.strip()[:60]!r} is no row; give a JSON object such as "
        '{"y": 3.5}, a number, or null for a gap.'
    )


def _csv_row(number: int, line: str, header: list[str], texts: frozenset[str]) -> Row:
    cells = next(csv.reader([line]))
    if len(cells) != len(header):
        raise InputError(f"stdin, line {number}: {len(cells)} fields where the header has {len(header)}.")
    return {
        name: _cell(number, name, cell.strip(), is_text=name in texts) for name, cell in zip(header, cells, strict=True)
    }


def _cell(number: int, name: str, cell: str, *, is_text: bool) -> str | float | None:
    if not cell or is_text:
        return cell or None
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"stdin, line {number}, column {name!r}: {cell!r} is not a number.") from None


class Feed:
    """The streams of a model's series, each made when its first row comes."""

    def __init__(self, model: "Forecaster", series: str | None) -> None:
        self.model, self.series, self.schema = model, series, model.schema_
        self._followed: dict[str | None, Followed] = {}

    @property
    def texts(self) -> frozenset[str]:
        """The columns that are not read as numbers."""
        schema = self.schema
        names = (*schema.categories, *schema.ignored, schema.time, schema.series)
        return frozenset(name for name in names if name)

    def take(self, row: Row | float | None) -> Row:
        """Take in a row; returns the forecast after it, for JSON. Times that a row skips are gaps."""
        name, column = self.series, self.schema.series
        if isinstance(row, dict) and column in row:
            name = str(row[column])
        if name not in self._followed:
            self._followed[name] = Followed(self.model, name)
        return self._followed[name].take(row)


class Followed:
    """One series: its stream, and where on its grid the next row lies."""

    def __init__(self, model: "Forecaster", series: str | None) -> None:
        from foretell.jobs.forecasting.predicting import start_time
        from foretell.sequences import Frequency

        self.stream, self.schema, self.horizon = model.stream(series), model.schema_, model.settings.horizon
        self.frequency = Frequency.parse(self.schema.frequency)
        memory = self.stream.save()
        self.start, self.position = start_time(self.frequency, memory.start[0]), int(memory.length[0])

    def take(self, row: Row | float | None) -> Row:
        """See `Feed.take`."""
        if isinstance(row, dict):
            for _ in range(self._skipped(row)):
                self.stream.step(None, forecast=False)
                self.position += 1
            row = {name: value for name, value in row.items() if name not in self.schema.ignored}
        forecast = self.stream.step(row)
        assert forecast is not None  # it is made unless declined
        self.position += 1
        answer: Row = {"unique_id": self.stream.series, "ds": self._times(self.horizon)}
        if len(forecast.targets) > 1:
            answer["target"] = list(forecast.targets)  # the order of the lists that follow
        answer["y_hat"] = forecast.y_hat.tolist()
        for level in forecast.levels:
            low, high = forecast.interval(level)
            answer |= {f"lo-{level:g}": low.tolist(), f"hi-{level:g}": high.tolist()}
        return answer

    def _times(self, count: int) -> list[str]:
        """Times of the rows that come next."""
        import numpy as np

        from foretell.sequences.frequency import show_time

        return [show_time(time) for time in self.frequency.times(self.start, self.position + np.arange(count))]

    def _skipped(self, row: Row) -> int:
        """How many rows of the grid lie between the last row and this one, by its time."""
        from foretell.sequences import read_table
        from foretell.sequences.times import read_times

        column = self.schema.time
        if column is None or row.get(column) is None:
            return 0
        times, _ = read_times(read_table([{column: row[column]}]), column, self.schema.time_format)
        skipped = int(self.frequency.positions(times, self.start)[0]) - self.position
        if skipped < 0:
            raise InputError(
                f"the time {row[column]} is no step after the rows so far; expected {self._times(1)[0]} or a "
                f"later one, {self.frequency.words}."
            )
        return skipped
