"""What comes next, and how the same model did where the answer is known."""

import altair as alt
import polars as pl

from foretell.charts.contents import MODEL, ReportContents, levels
from foretell.charts.data import as_numbers, packed, with_keys
from foretell.charts.theme import (
    ACTUAL,
    FAINT,
    choice,
    interval_name,
    layered,
    line_layers,
    shade,
    time_axis,
    time_tooltip,
    value_title,
    when,
)


def forecast_chart(contents: ReportContents) -> alt.LayerChart:
    """The forecast with its intervals, after the recent past."""
    frames = [frame.select("ds") for frame in (contents.history, contents.forecast) if not frame.is_empty()]
    times = pl.concat(frames, how="vertical_relaxed")["ds"]
    future = with_keys(contents, as_numbers(contents.forecast, "ds")).with_columns(cutoff=0)
    lines = [_line(future, MODEL, "y_hat")]
    borders = future.group_by("key", maintain_order=True).agg(pl.col("ds").min())
    if not contents.history.is_empty():
        past = with_keys(contents, as_numbers(contents.history, "ds")).with_columns(cutoff=0)
        lines = [_line(past, ACTUAL, "y"), *lines]
        borders = past.group_by("key", maintain_order=True).agg(pl.col("ds").max())
    return _fan(contents, times, pl.concat(lines), _bands(future), borders, [ACTUAL, MODEL])


def windows_chart(contents: ReportContents) -> alt.LayerChart:
    """Every backtest window on one axis: forecasts with intervals over the actual values, baselines thin."""
    windows = with_keys(contents, as_numbers(contents.windows, "ds", "cutoff"))
    baselines = [name for name in contents.baselines if name in windows.columns]
    lines = [
        _actual_line(windows),
        *(_line(windows, name, name) for name in baselines),
        _line(windows, MODEL, "y_hat"),
    ]
    borders = windows.select("key", ds="cutoff").unique(maintain_order=True)
    names = [ACTUAL, MODEL, *baselines]
    return _fan(contents, contents.windows["ds"], pl.concat(lines), _bands(windows), borders, names)


def _line(frame: pl.DataFrame, model: str, column: str) -> pl.DataFrame:
    return frame.select("key", "cutoff", "ds", model=pl.lit(model), value=pl.col(column).cast(pl.Float64))


def _actual_line(windows: pl.DataFrame) -> pl.DataFrame:
    """The actual values once each, however the windows overlap, broken where no window looked."""
    step = windows.select(pl.col("ds").diff().over("key", "cutoff").max()).item()
    actual = _line(windows, ACTUAL, "y").unique(["key", "ds"], keep="first").sort("key", "ds")
    run = (pl.col("ds").diff().fill_null(0) > (step or 0)).cum_sum()
    return actual.with_columns(cutoff=run.over("key").cast(windows.schema["cutoff"]))


def _bands(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Intervals below one another, the widest first so that it is drawn first."""
    bands = [
        frame.select("key", "cutoff", "ds", level=pl.lit(interval_name(level)), lo=f"lo-{level}", hi=f"hi-{level}")
        for level in levels(frame)
    ]
    return pl.concat(bands, how="vertical_relaxed") if bands else None


def _fan(
    contents: ReportContents,
    times: pl.Series,
    lines: pl.DataFrame,
    bands: pl.DataFrame | None,
    borders: pl.DataFrame,
    names: list[str],
) -> alt.LayerChart:
    """Bands below lines, with a rule where the known past ends and, for several series, a drop-down."""
    parameters = choice(contents, lines["key"])
    x, y = time_axis(times), _value_axis(contents, "value")
    dots = _is_one_step(lines)
    drawn = _shown(packed(lines, ["key", "model", "cutoff"]), parameters).transform_flatten(["ds", "value"])
    tooltip = [time_tooltip(times), alt.Tooltip("model:N"), alt.Tooltip("value:Q", format=".4~g")]
    rules = _shown(packed(borders, ["key"]), parameters).transform_flatten(["ds"])
    layers: list[alt.Chart] = [
        rules.mark_rule(color=FAINT, strokeDash=[2, 3], strokeWidth=0.8).encode(x=x),
        *line_layers(drawn, names, dots=dots, x=x, y=y, detail="cutoff:N"),
        drawn.transform_calculate(when=when(times)).mark_point(opacity=0, size=90).encode(x=x, y=y, tooltip=tooltip),
    ]
    if bands is not None:
        shown = _shown(packed(bands, ["key", "level", "cutoff"]), parameters).transform_flatten(["ds", "lo", "hi"])
        marks = shown.mark_bar(size=7) if dots else shown.mark_area()
        fill = shade(list(dict.fromkeys(bands["level"])))
        band = marks.encode(x=x, y=_value_axis(contents, "lo"), y2="hi:Q", detail="cutoff:N", fill=fill)
        layers.insert(0, band)
    return layered(layers, 300, parameters)


def _value_axis(contents: ReportContents, field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=value_title(contents), scale=alt.Scale(zero=False))


def _is_one_step(lines: pl.DataFrame) -> bool:
    """Whether every forecast is a single point, which neither a line nor an area can show."""
    forecasts = lines.filter(pl.col("model") == MODEL)
    return bool(forecasts.group_by("key", "cutoff").len()["len"].max() == 1)


def _shown(data: dict[str, object], parameters: list[alt.Parameter]) -> alt.Chart:
    """A chart of the series that the drop-down shows; of everything where there is no drop-down."""
    chart = alt.Chart(data)
    return chart.transform_filter("datum.key === shown") if parameters else chart
