"""What people read in the terminal: tables, forecasts and sentences, at 80 columns and wider."""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 60  # of a forecast in the terminal
WHOLE = 10_000  # wider than any table: a file cuts nothing off
STRIP = 24  # width of the drawing of an interval


def console() -> Console:
    """stdout for people, as it is now. Words are printed as they are; only a terminal limits the width."""
    width = None if sys.stdout.isatty() else WHOLE
    return Console(width=width, highlight=False, markup=False, emoji=False)


def say(*lines: str) -> None:
    """Plain lines, wrapped between words in a terminal."""
    out = console()
    for line in lines:
        out.print(line)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object, the whole of stdout."""
    sys.stdout.write(json.dumps(plain(content), allow_nan=False, ensure_ascii=False) + "\n")


def print_error(sentence: str, as_json: bool) -> None:
    """One sentence on stderr, and for programs also on stdout."""
    if as_json:
        print_json({"error": sentence})
    sys.stderr.write(sentence + "\n")


def plain(value: Any) -> Any:
    """The value as JSON can say it: times as text, what is no number as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date | datetime) else value


def decimals(values: Iterable[float | None]) -> int | None:
    """So many that the largest value shows three or four digits that count; None where it takes an exponent."""
    largest = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    power = math.floor(math.log10(largest)) if largest else 0
    if not -7 <= power < 15:
        return None
    return max(0, 3 - max(power, 0)) if power >= -1 else 2 - power


def number(value: float | None, places: int | None) -> str:
    """With thousands apart, or with an exponent; a missing one is a dash."""
    if value is None or not math.isfinite(value):
        return "-"
    if places is None:
        return f"{value:.2e}"
    return f"{round(value, places) + 0.0:,.{places}f}"  # + 0.0: no minus before a zero


def print_training(found: Mapping[str, Any]) -> None:
    """What a training has come to: the headline first, then the scores and where things are."""
    say(found["headline"], "")
    if found["scores"]:
        print_scores(found["scores"])
        say("")
    say(f"Trained in {found['seconds']:.1f} s.", f"  model     {found['model']}")
    say(found["problem"] or f"  report    {found['report']}")


def print_evaluation(found: Any, frames: Sequence[str], as_json: bool, **more: Any) -> None:
    """The headline and the scores of an evaluation; for programs, its other frames and `more` too."""
    if as_json:
        rows = {name: getattr(found, name).to_dicts() for name in ("summary", *frames)}
        print_json({"headline": found.headline, **more, **rows})
    else:
        say(found.headline, "")
        print_scores(found.summary.to_dicts())


def print_scores(summary: Sequence[Mapping[str, Any]]) -> None:
    """The model beside the baselines: errors, then the share inside each interval and its width."""
    measures = [name for name in summary[0] if name != "model"]
    table = _score_table(summary, measures)
    if not _fits(table):  # coverage says more than width
        table = _score_table(summary, [name for name in measures if not name.startswith("width-")])
    console().print(table)


def _score_table(summary: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> Table:
    table = _table("")
    for name in measures:
        table.add_column(_heading(name), justify="right", no_wrap=True)
    places = {name: decimals(row[name] for row in summary) for name in measures}
    for row in summary:
        cells = [_score(name, row[name], places[name]) for name in measures]
        table.add_row(row["model"], *cells, style="bold" if row["model"] == "foretell" else "")
    return table


def _heading(measure: str) -> str:
    from foretell.charts.table import label

    kind, _, level = measure.partition("-")
    if level:
        return f"in {level}%" if kind == "coverage" else "width"
    return label(measure)


def _score(measure: str, value: float | None, places: int | None) -> str:
    if measure.startswith("coverage-") and value is not None:
        return f"{100 * value:.1f}%"
    return number(value, places)


def print_forecast(frame: "pl.DataFrame") -> None:
    """One row a step: time, median, intervals, and, of a single series, a drawing of the narrowest."""
    ends = [name for name in frame.columns if name.startswith(("lo-", "hi-"))]
    shown = frame.head(MOST_ROWS)
    table = _forecast_table(shown, ends)
    console().print(table if _fits(table) else _forecast_table(shown, ends[:2]))
    if frame.height > MOST_ROWS:
        say(f"... and {frame.height - MOST_ROWS:,} rows more; -o forecast.csv writes them all.")


def _forecast_table(frame: "pl.DataFrame", ends: Sequence[str]) -> Table:
    names = [name for name in ("unique_id", "target") if name in frame.columns and frame[name].n_unique() > 1]
    places = decimals(value for name in ("y_hat", *ends) for value in frame[name])
    table = _table(*("series" if name == "unique_id" else name for name in names), "time")
    for heading in ("forecast", *(f"{low.removeprefix('lo-')} %" for low in ends[::2])):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    strips = [""] * frame.height if names else _strips(frame, ends)
    for row, strip in zip(frame.iter_rows(named=True), strips, strict=True):
        bounds = [[number(row[end], places) for end in pair] for pair in zip(ends[::2], ends[1::2], strict=True)]
        cells = [*(str(row[name]) for name in names), _time(row["ds"]), number(row["y_hat"], places)]
        table.add_row(*cells, *(" … ".join(pair) for pair in bounds), strip)
    return table


def _time(value: Any) -> str:
    text = str(value)
    return text.removesuffix(":00") if isinstance(value, datetime) else text


def _strips(frame: "pl.DataFrame", ends: Sequence[str]) -> list[str]:
    """The narrowest interval of each row as a line with a point, all on one scale."""
    low, high = frame[ends[0]].to_list(), frame[ends[1]].to_list()
    least, most = min(low), max(high)
    scale = (STRIP - 1) / (most - least) if most > least else 0.0
    strips = []
    for values in zip(low, frame["y_hat"].to_list(), high, strict=True):
        first, middle, last = (round((value - least) * scale) for value in values)
        strips.append(" " * first + "─" * (middle - first) + "●" + "─" * (last - middle))
    return strips


def print_inputs(rows: Sequence[Mapping[str, Any]]) -> None:
    """What each input is worth: how much larger the loss gets without it."""
    table = _table("without")
    table.add_column("loss", justify="right")
    table.add_column("worse by", justify="right")
    places = decimals(row["loss_without"] for row in rows)
    for row in rows:
        table.add_row(row["input"], number(row["loss_without"], places), f"{number(100 * row['increase'], 1)} %")
    console().print(table)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line."""
    facts = tuple(facts)
    width = max(len(name) for name, _ in facts)
    say(*(f"  {name:<{width}}  {value}" for name, value in facts))


def _table(*headings: str) -> Table:
    """A table that begins with columns of words."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    return table


def _fits(table: Table) -> bool:
    return Console(width=WHOLE).measure(table).maximum <= console().width
