"""From frames to the data a chart carries: numbers for times, a list for a line, nothing JSON cannot say."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import polars.selectors as cs

from foretell.charts.contents import ReportContents

SIGNIFICANT_DIGITS = 7  # finer than any screen, and half the size of a float64 in text


def is_calendar(times: pl.Series) -> bool:
    """Whether times are dates, as opposed to integer time."""
    return times.dtype.is_temporal()


def as_numbers(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Turn dates into milliseconds since 1970 of their own wall clock; integers stay.

    Charts read them as UTC, so no reader's time zone or summer time moves or folds an hour.
    """
    dates = [name for name in columns if is_calendar(frame[name])]
    zoned = [name for name in dates if getattr(frame.schema[name], "time_zone", None)]
    naive = frame.with_columns(pl.col(zoned).dt.replace_time_zone(None)) if zoned else frame
    return naive.with_columns(pl.col(dates).cast(pl.Datetime("ms")).dt.timestamp("ms")) if dates else naive


def with_keys(contents: ReportContents, frame: pl.DataFrame) -> pl.DataFrame:
    """Replace unique_id and target by the number `key` of `contents.series`."""
    ids = ["unique_id", "target"]
    named = frame.with_columns(pl.col(ids).cast(pl.String))
    return named.join(contents.series.drop("label"), on=ids, how="left", maintain_order="left").drop(ids)


def packed(frame: pl.DataFrame, by: Sequence[str]) -> dict[str, Any]:
    """Inline chart data with one record a group and the other columns as lists, for `transform_flatten`.

    A plain dict: Altair would check every value of an InlineData against the schema, which takes minutes.
    """
    return inline(rounded(frame).group_by(by, maintain_order=True).agg(pl.all()))


def inline(frame: pl.DataFrame) -> dict[str, Any]:
    """Inline chart data with one record a row."""
    return {"values": rounded(frame).to_dicts()}


def rounded(frame: pl.DataFrame) -> pl.DataFrame:
    """Floats shortened, and null where JSON has no word for them (NaN, infinity)."""
    finite = pl.when(cs.float().is_finite()).then(cs.float().round_sig_figs(SIGNIFICANT_DIGITS))
    return frame.with_columns(finite)


def step_name(times: pl.Series) -> str:
    """The plural name of the step between neighbouring times: "hours", "steps of 15 minutes", "steps"."""
    steps = times.unique().sort().diff().drop_nulls()
    if steps.is_empty() or not is_calendar(times):
        return "steps"
    seconds = steps.dt.total_seconds().to_list()
    middle = sorted(seconds)[len(seconds) // 2]
    if middle == 86_400 and max(seconds) == 3 * 86_400:
        return "business days"
    return _duration_name(middle)


def _duration_name(seconds: int) -> str:
    days = seconds / 86_400
    for name, shortest, longest in (
        ("years", 365, 366),
        ("quarters", 90, 92),
        ("months", 28, 31),
        ("weeks", 7, 7),
    ):
        if shortest <= days <= longest:
            return name
    for name, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return name if count == 1 else f"steps of {count} {name}"
    return "seconds" if seconds == 1 else f"steps of {seconds} seconds"
