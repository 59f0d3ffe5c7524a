"""How good the forecasts are: beside the baselines, step by step, in their intervals, and in training."""

import altair as alt
import polars as pl

from foretell.charts.contents import MODEL, ReportContents, levels
from foretell.charts.data import inline, step_name
from foretell.charts.theme import BLUE, FAINT, INK, layered, line_layers

HEIGHT = 240


def models_chart(contents: ReportContents) -> alt.LayerChart:
    """One bar a model: MAE, or MASE where several targets have scales of their own."""
    measure = compared_measure(contents)
    scores = contents.scores.select("model", score=measure).with_columns(own=pl.col("model") == MODEL)
    chart = alt.Chart(inline(scores))
    y = alt.Y("model:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelFontSize=12))
    x = alt.X("score:Q", title=f"{measure.upper()} (lower is better)", axis=alt.Axis(tickCount=5))
    bars = chart.mark_bar(size=22, cornerRadiusEnd=2).encode(
        x=x, y=y, color=alt.condition("datum.own", alt.value(BLUE), alt.value("#b8c2cc"))
    )
    numbers = chart.mark_text(align="right", dx=-6, fontSize=12).encode(
        x=x,
        y=y,
        text=alt.Text("score:Q", format=".3~r"),
        color=alt.condition("datum.own", alt.value("white"), alt.value(INK)),
    )
    return layered([bars, numbers], 34 * len(scores))


def compared_measure(contents: ReportContents) -> str:
    """The error that the bars compare: "mae" in the target's own unit, or "mase" without one."""
    several = contents.series["target"].n_unique() > 1
    return "mase" if several and contents.scores["mase"].is_not_null().all() else "mae"


def horizon_chart(contents: ReportContents) -> alt.LayerChart:
    """Mean absolute error at each step ahead, for the model and the baselines."""
    times = contents.forecast["ds"] if "ds" in contents.forecast.columns else pl.Series([0])
    names = contents.by_horizon["model"].unique(maintain_order=True).to_list()
    chart = alt.Chart(inline(contents.by_horizon))
    x = alt.X(
        "step:Q",
        title=f"{step_name(times)} ahead",
        scale=alt.Scale(nice=False, zero=False),
        axis=alt.Axis(grid=False, format="d", tickMinStep=1),
    )
    y = alt.Y("mae:Q", title="MAE", scale=alt.Scale(zero=True))
    tooltip = [alt.Tooltip("step:Q"), alt.Tooltip("model:N"), alt.Tooltip("mae:Q", format=".4~g")]
    points = chart.mark_point(opacity=0, size=90).encode(x=x, y=y, tooltip=tooltip)
    one_step = contents.by_horizon["step"].n_unique() == 1
    return layered([*line_layers(chart, names, dots=one_step, x=x, y=y), points], HEIGHT)


def coverage_chart(contents: ReportContents) -> alt.LayerChart:
    """Measured against nominal coverage, a point a level, with the line on which they agree."""
    measured = coverage(contents)
    lowest = min(measured["nominal"].min(), measured["measured"].min())  # type: ignore[type-var]
    floor = max(0.0, round(float(lowest) - 0.15, 1))  # type: ignore[arg-type]
    scale = alt.Scale(domain=[floor, 1], nice=False)
    axis = alt.Axis(labelExpr="round(datum.value * 100) + ' %'", tickCount=5)
    x = alt.X("nominal:Q", title="nominal coverage", scale=scale, axis=axis)
    y = alt.Y("measured:Q", title="measured coverage", scale=scale, axis=axis)
    ends = alt.Chart({"values": [{"nominal": at, "measured": at} for at in (floor, 1.0)]})
    points = alt.Chart(inline(measured))
    outside = alt.ExprRef("datum.measured < datum.nominal ? 16 : -14")
    layers = [
        ends.mark_line(color=FAINT, strokeDash=[4, 3], strokeWidth=1.2).encode(x=x, y=y),
        points.mark_rule(color=BLUE, strokeWidth=1.2).encode(x=x, y=y, y2="nominal:Q"),
        points.mark_circle(color=BLUE, size=90, opacity=1).encode(x=x, y=y),
        points.mark_text(dy=outside, fontSize=12, color=INK).encode(x=x, y=y, text="label:N"),
    ]
    return layered(layers, HEIGHT)


def coverage(contents: ReportContents) -> pl.DataFrame:
    """Nominal and measured coverage of the model's intervals, as fractions; no rows if unmeasured."""
    own = contents.scores.filter(pl.col("model") == MODEL)
    names = levels(contents.scores, "coverage-")
    return (
        pl.DataFrame(
            {
                "nominal": [float(name) / 100 for name in names],
                "measured": [value for name in names for value in own[f"coverage-{name}"].cast(pl.Float64)],
            },
            schema={"nominal": pl.Float64, "measured": pl.Float64},
        )
        .drop_nulls()
        .with_columns(label=pl.format("{} %", (pl.col("measured") * 100).round_sig_figs(3)))
    )


def training_chart(training: pl.DataFrame) -> alt.LayerChart:
    """Training and validation loss by epoch, with the epoch of the lowest validation loss.

    `training` has the columns epoch, train, validation.
    """
    wide = training.select("epoch", pl.col("train", "validation").cast(pl.Float64))
    losses = wide.unpivot(index="epoch", variable_name="loss", value_name="value").drop_nulls()
    best = (
        wide.drop_nulls("validation")
        .sort("validation")
        .head(1)
        .with_columns(label=pl.format("lowest at epoch {}", "epoch"))
    )
    x = alt.X(
        "epoch:Q",
        title="epoch",
        axis=alt.Axis(grid=False, format="d", tickMinStep=1),
        scale=alt.Scale(nice=False, zero=False),
    )
    y = alt.Y("value:Q", title="loss", scale=alt.Scale(zero=False))
    names, colours, dashes = ["train", "validation"], [FAINT, BLUE], [[5, 3], [1, 0]]
    color = alt.Color("loss:N", scale=alt.Scale(domain=names, range=colours), title=None)
    dash = alt.StrokeDash("loss:N", scale=alt.Scale(domain=names, range=dashes), title=None)
    curves = alt.Chart(inline(losses)).mark_line(strokeWidth=2).encode(x=x, y=y, color=color, strokeDash=dash)
    kept = alt.Chart(inline(best)).encode(x=x)
    rule = kept.mark_rule(color=FAINT, strokeDash=[2, 3])
    late = bool((best["epoch"] > losses["epoch"].mean()).any())
    label = kept.mark_text(align="right" if late else "left", dx=-5 if late else 5, dy=8, fontSize=12, color=INK)
    return layered([rule, curves, label.encode(text="label:N", y=alt.value(0))], HEIGHT)
