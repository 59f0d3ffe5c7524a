"""The look of every chart: colours that the colour-blind can tell apart, axes of time, legends, sizes."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, TypeVar

import altair as alt
import polars as pl

from foretell.charts.contents import MODEL, ReportContents
from foretell.charts.data import is_calendar

INK = "#1f2933"
FAINT = "#8a94a0"
GRID = "#e9ecf0"
BLUE = "#0072b2"
SHADES = ("#d3e5f2", "#a3cbe5", "#74b0d7", "#4a95c8")  # intervals, widest first
# Okabe and Ito, "Color Universal Design" (2008); their blue is the model's
BASELINE_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
BASELINE_DASHES = ((5, 3), (2, 2), (8, 2, 2, 2), (1, 3), (10, 3))
ACTUAL = "actual"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
DAY = 86_400

C = TypeVar("C", alt.Chart, alt.LayerChart, alt.VConcatChart)


def themed(chart: C) -> C:
    """Give a finished chart the project's fonts, axes and legends."""
    dressed: C = (
        chart.configure(font=FONT, background="white")
        .configure_view(stroke=None)
        .configure_axis(
            domainColor=FAINT,
            tickColor=FAINT,
            gridColor=GRID,
            labelColor=INK,
            titleColor=INK,
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
        )
        .configure_legend(
            orient="top",
            direction="horizontal",
            title=None,
            labelFontSize=12,
            labelColor=INK,
            labelLimit=200,
            symbolSize=160,
            symbolStrokeWidth=2,
        )
        .configure_title(
            anchor="start", fontSize=16, color=INK, subtitleFontSize=12, subtitleColor="#52606d", offset=12
        )
    )
    return dressed


def layered(layers: Sequence[alt.Chart], height: int, parameters: Sequence[alt.Parameter] = ()) -> alt.LayerChart:
    """A finished chart of layers, the first at the back, `height` pixels high."""
    chart: alt.LayerChart = alt.LayerChart(layer=layers, height=height).add_params(*parameters)
    return themed(chart)


def time_axis(times: pl.Series, domain: tuple[int, int] | None = None) -> alt.X:
    """The horizontal axis `ds` of `times`, which the chart's data holds as `data.as_numbers` makes them."""
    shared: dict[str, Any] = {"grid": False, "tickCount": alt.ExprRef("width / 110")}
    limits: dict[str, Any] = {"domain": list(domain)} if domain else {}
    if not is_calendar(times):
        scale = alt.Scale(zero=False, nice=False, **limits)
        axis = alt.Axis(title="time step", format="d", tickMinStep=1, **shared)
        return alt.X("ds:Q", scale=scale, axis=axis)
    scale = alt.Scale(type="utc", nice=False, **limits)
    return alt.X("ds:T", scale=scale, axis=alt.Axis(title=None, labelExpr=_date_label(times), **shared))


def _date_label(times: pl.Series) -> str:
    """A Vega expression: what changes from tick to tick above, and below it, once, what stays."""
    last, first = times.max(), times.min()
    span = (last - first).total_seconds() / DAY  # type: ignore[operator, union-attr]
    first_of_year = "utcmonth(datum.value) === 0 && utcdate(datum.value) <= 7"
    if span > 3 * 366:
        return "utcFormat(datum.value, '%Y')"
    if span > 150:
        above, below, when = "%b", "%Y", "utcmonth(datum.value) === 0"
    elif span > 3:
        above, below, when = "%b %-d", "%Y", first_of_year
    else:
        above, below, when = (
            "%H:%M",
            "%b %-d, %Y",
            "utchours(datum.value) === 0 && utcminutes(datum.value) === 0",
        )
    label = f"[utcFormat(datum.value, '{above}'), utcFormat(datum.value, '{below}')]"
    return f"datum.index === 0 || ({when}) ? {label} : utcFormat(datum.value, '{above}')"


def time_tooltip(times: pl.Series) -> alt.Tooltip:
    """What a tooltip says of the field `when`, derived by the expression that `when` gives."""
    return alt.Tooltip("when:N", title="time" if is_calendar(times) else "time step")


def when(times: pl.Series) -> str:
    """A Vega expression for the time of a datum in words; tooltips would use the reader's own time zone."""
    if not is_calendar(times):
        return "format(datum.ds, 'd')"
    whole_days = times.dtype == pl.Date or bool((times == times.dt.truncate("1d")).all())
    return f"utcFormat(datum.ds, '{'%Y-%m-%d' if whole_days else '%Y-%m-%d %H:%M'}')"


def line_layers(lines: alt.Chart, names: list[str], *, dots: bool, **encoding: Any) -> list[alt.Chart]:
    """Lines by `model`, with one legend in the order of `names`: the baselines thin, the model above."""
    own = {ACTUAL: (INK, (1, 0)), MODEL: (BLUE, (1, 0))}
    baselines = zip(cycle(BASELINE_COLOURS), cycle(BASELINE_DASHES), strict=False)
    colours, dashes = zip(*(own.get(name) or next(baselines) for name in names), strict=True)
    legend = alt.Legend(title=None, columns=alt.ExprRef("width < 420 ? 3 : 8"))
    color = alt.Color("model:N", scale=alt.Scale(domain=names, range=colours), legend=legend)
    dash = alt.StrokeDash("model:N", scale=alt.Scale(domain=names, range=dashes), legend=legend)
    widths = {f"datum.model !== '{MODEL}'": 1.3, f"datum.model === '{MODEL}'": 2.2}
    return [
        lines.transform_filter(condition)
        .mark_line(strokeJoin="round", strokeWidth=width, point=dots)
        .encode(color=color, strokeDash=dash, **encoding)
        for condition, width in widths.items()
    ]


def shade(names: list[str]) -> alt.Fill:
    """The fill of the intervals, the widest the lightest."""
    shades = [SHADES[min(i, len(SHADES) - 1)] for i in range(len(names))]
    return alt.Fill("level:N", scale=alt.Scale(domain=names, range=shades), title=None)


def interval_name(level: str) -> str:
    """What a legend calls an interval: "80 % interval"."""
    return f"{level} % interval"


def value_title(contents: ReportContents) -> str:
    """The title of an axis of values: the target's name, if there is but one."""
    targets = contents.series["target"].unique()
    return str(targets[0]) if len(targets) == 1 else "value"


def choice(contents: ReportContents, shown: pl.Series) -> list[alt.Parameter]:
    """A drop-down of the series numbers in `shown`, the lowest first; none without a choice."""
    options = contents.series.filter(pl.col("key").is_in(shown.unique().implode()))
    keys, labels = options["key"].to_list(), options["label"].to_list()
    if len(keys) < 2:
        return []
    bind = alt.binding_select(options=keys, labels=labels, name="Series ")
    return [alt.param(name="shown", value=keys[0], bind=bind)]
