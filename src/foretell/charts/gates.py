"""The cell at work: every gate and the cell state over the recent past, as heat-maps of time and unit."""

import json
import math
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from foretell.charts.contents import ReportContents
from foretell.charts.data import as_numbers, packed, with_keys
from foretell.charts.theme import BLUE, themed, time_axis, time_tooltip, when

LAYER_SPACE = 0.04  # of the height, between two layers
OVERLAP = 0.1  # of a cell under the next one, drawn later, so that the page does not show between them
EDGE = 44  # width kept for the vertical axis, so that all heat-maps stand in line


@dataclass(frozen=True)
class Gate:
    """How one gate is shown."""

    name: str
    title: str
    caption: str
    signed: bool


# In the order of the equations: c = forget * c + input * candidate, h = output * tanh(c)
GATES = (
    Gate("forget", "Forget gate", "1 keeps the memory, 0 drops it.", False),
    Gate("input", "Input gate", "1 writes what is new into the memory, 0 ignores it.", False),
    Gate("candidate", "Candidate", "What would be written: up (+1) or down (-1).", True),
    Gate(
        "cell",
        "Cell state",
        "The conveyor belt: what each unit carries from step to step, above or below 0.",
        True,
    ),
    Gate("output", "Output gate", "1 passes the memory on to the output, 0 keeps it silent.", False),
)


STRIP = ("What it read", "The series over the same time.")  # title and caption


@dataclass(frozen=True)
class _Grid:
    """The frame of gates laid out: one record a time, lists over units in the order they are drawn."""

    times: pl.Series
    domain: tuple[int, int]
    values: dict[str, Any]  # ds, end and one list a gate, over U units
    units: pl.DataFrame  # index, row, layer, unit: [U], a layer below another, the slowest memory first


def gates_chart(contents: ReportContents) -> alt.VConcatChart:
    """The series that was read and, below it, every heat-map, in one picture."""
    grid = _grid(contents.gates)
    strip = _strip(contents, grid)
    parts = [(*STRIP, strip)] if strip else []
    parts += [(gate.title, gate.caption, _heat_map(grid, gate)) for gate in _gates(grid)]
    rows = [chart.properties(width=680, title=alt.Title(name, subtitle=text)) for name, text, chart in parts]
    stack: alt.VConcatChart = alt.vconcat(*rows, spacing=18).resolve_scale(color="independent")
    return themed(stack)


def heat_maps(contents: ReportContents) -> list[tuple[Gate, alt.Chart]]:
    """One heat-map a gate that `contents.gates` holds, in the order of the cell's equations."""
    grid = _grid(contents.gates)
    return [(gate, themed(_heat_map(grid, gate))) for gate in _gates(grid)]


def input_chart(contents: ReportContents) -> alt.Chart | None:
    """The series over the time that the heat-maps show; None where `history` does not reach it."""
    strip = _strip(contents, _grid(contents.gates))
    return themed(strip) if strip else None


def _grid(gates: pl.DataFrame) -> _Grid:
    layers = pl.col("layer").rank("dense").cast(pl.Int64)  # from 1, however they were counted
    numbers = as_numbers(gates, "ds").with_columns(layers)
    units = _ordered_units(numbers)
    times = _columns(numbers)
    wide = numbers.pivot("gate", index=["ds", "layer", "unit"], values="value")
    whole = times.join(units.select("layer", "unit"), how="cross", maintain_order="left_right")
    values = whole.join(wide, on=["ds", "layer", "unit"], how="left", maintain_order="left")
    records = packed(values.drop("layer", "unit"), ["ds", "end"])
    return _Grid(gates["ds"], (times["ds"][0], times["end"][-1]), records, units)


def _columns(gates: pl.DataFrame) -> pl.DataFrame:
    """Where the column of each time begins, `ds`, and ends: at the next time; the last is as wide as most."""
    times = gates.select(pl.col("ds").unique().sort())
    usual = int(times["ds"].diff().median() or 1)  # type: ignore[arg-type]
    return times.with_columns(end=pl.col("ds").shift(-1).fill_null(pl.col("ds").max() + usual))


def _ordered_units(gates: pl.DataFrame) -> pl.DataFrame:
    """Units of each layer by their mean forget gate, so that the slow memory stands apart at the top."""
    memory = pl.col("value").filter(pl.col("gate") == "forget").mean().fill_null(0.0)
    units = gates.group_by("layer", "unit").agg(memory=memory)
    ordered = units.sort("layer", "memory", "unit", descending=[False, True, False]).with_row_index("index")
    space = max(1, round(LAYER_SPACE * len(ordered)))
    row = pl.col("index").cast(pl.Int64) + space * (pl.col("layer") - 1)
    return ordered.select("index", "layer", "unit", row=row)


def _gates(grid: _Grid) -> list[Gate]:
    return [gate for gate in GATES if gate.name in grid.values["values"][0]]


def _heat_map(grid: _Grid, gate: Gate) -> alt.Chart:
    tooltip = [
        time_tooltip(grid.times),
        alt.Tooltip("layer:N"),
        alt.Tooltip("unit:N"),
        alt.Tooltip(f"{gate.name}:Q", format=".3f"),
    ]
    places = alt.InlineData(grid.units.to_dicts())
    table = alt.LookupData(places, key="index", fields=["row", "layer", "unit"])
    chart: alt.Chart = (
        alt.Chart(grid.values)
        .transform_calculate(index=f"sequence(length(datum['{gate.name}']))", when=when(grid.times))
        .transform_flatten(["index", gate.name])
        .transform_lookup("index", from_=table)
        .transform_calculate(
            right=f"min(datum.end + {OVERLAP} * (datum.end - datum.ds), {grid.domain[1]})",
            bottom=f"datum.row + {1 + OVERLAP}",
        )
        .mark_rect()
        .encode(
            x=time_axis(grid.times),
            x2="right:Q",
            y=_unit_axis(grid.units),
            y2="bottom:Q",
            color=_gate_colour(grid, gate),
            tooltip=tooltip,
        )
        .properties(height=_height(grid.units))
    )
    return chart


def _unit_axis(units: pl.DataFrame) -> alt.Y:
    """Rows from the top; a label in the middle of each layer."""
    bottom = int(units["row"].max()) + 1  # type: ignore[arg-type]
    middles = units.group_by("layer").agg(pl.col("row").mean() + 0.5).sort("layer")
    names = [f"layer {layer}" for layer in middles["layer"]] if len(middles) > 1 else [f"{len(units)} units"]
    places = {f"{place:g}": name for place, name in zip(middles["row"], names, strict=True)}
    axis = alt.Axis(
        title=None,
        values=list(middles["row"]),
        labelExpr=f"{json.dumps(places)}[toString(datum.value)]",
        labelAngle=-90,
        labelAlign="center",
        ticks=False,
        domain=False,
        grid=False,
        minExtent=EDGE,
        maxExtent=EDGE,
    )
    return alt.Y("row:Q", scale=alt.Scale(domain=[0, bottom], reverse=True, nice=False), axis=axis)


def _gate_colour(grid: _Grid, gate: Gate) -> alt.Color:
    limit = _limit(grid, gate) if gate.signed else 1.0
    # A slow unit may carry thirty times what a quick one does: the logarithm shows both
    scale = alt.Scale(scheme="redblue", domain=[-limit, limit], domainMid=0, type="symlog")
    marks = [-limit, 0.0, limit]
    if not gate.signed:
        scale, marks = alt.Scale(scheme="viridis", domain=[0, 1]), [0.0, 0.5, 1.0]
    legend = alt.Legend(values=marks, format="~r", gradientLength=160, gradientThickness=10, title=None)
    return alt.Color(f"{gate.name}:Q", scale=scale, legend=legend)


def _limit(grid: _Grid, gate: Gate) -> float:
    """Where the colours end: 1 for a candidate in its usual range, else the largest size, rounded up."""
    values = (value for record in grid.values["values"] for value in record[gate.name])
    largest = max((abs(value) for value in values if value is not None), default=0.0) or 1.0
    if gate.name == "candidate" and largest <= 1:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(largest)) - 1)
    return float(f"{math.ceil(largest / unit) * unit:.2g}")


def _height(units: pl.DataFrame) -> int:
    """Of one heat-map, in pixels: three a unit, within what a screen shows at a glance."""
    return min(max(3 * len(units), 110), 260)


def _strip(contents: ReportContents, grid: _Grid) -> alt.Chart | None:
    """The first series over the same time; None where `history` has no row there."""
    if contents.history.is_empty():
        return None
    history = with_keys(contents, as_numbers(contents.history, "ds"))
    first = history.filter(pl.col("key") == history["key"][0], pl.col("ds").is_between(*grid.domain))
    if first.is_empty():
        return None
    axis = alt.Axis(title=None, tickCount=3, minExtent=EDGE, maxExtent=EDGE)
    y = alt.Y("y:Q", axis=axis, scale=alt.Scale(zero=False))
    line = alt.Chart(packed(first, ["key"])).transform_flatten(["ds", "y"]).mark_line(color=BLUE, strokeWidth=1.4)
    chart: alt.Chart = line.encode(x=time_axis(grid.times, domain=grid.domain), y=y).properties(height=90)
    return chart
