"""Every chart: valid, with the data that the contents hold, in the form that Vega reads."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import altair as alt
import polars as pl
import pytest

from foretell.charts.accuracy import (
    compared_measure,
    coverage,
    coverage_chart,
    horizon_chart,
    models_chart,
    training_chart,
)
from foretell.charts.data import as_numbers, rounded, step_name
from foretell.charts.forecast import forecast_chart, windows_chart
from foretell.charts.gates import gates_chart, heat_maps, input_chart


def losses_chart(contents):
    return training_chart(contents.training)


CHARTS = [
    forecast_chart,
    windows_chart,
    models_chart,
    horizon_chart,
    coverage_chart,
    losses_chart,
    input_chart,
    gates_chart,
]
KINDS = {
    "plain": {},
    "integer time": {"integer_time": True},
    "hourly": {"hourly": True},
    "one level": {"levels": (90,)},
    "one step": {"horizon": 1},
    "many": {"series": ("a", "b"), "targets": ("x", "y")},
}


def records(chart, *fields):
    """All records of a chart's data that have the given fields."""
    return [row for rows in chart.to_dict()["datasets"].values() for row in rows if set(fields) <= set(row)]


def points(rows, field):
    return sum(len(row[field]) for row in rows)


@pytest.mark.parametrize("draw", CHARTS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_charts_are_valid(make_contents, draw, kind):
    contents = make_contents(**KINDS[kind])
    spec = draw(contents).to_dict()  # Altair checks it against Vega-Lite's schema
    assert spec["$schema"] == alt.SCHEMA_URL


def test_forecast_holds_past_future_and_both_intervals(contents):
    lines = records(forecast_chart(contents), "model", "value")
    assert {row["model"]: len(row["ds"]) for row in lines} == {"actual": 10, "foretell": 4}
    first = next(row for row in lines if row["model"] == "foretell")
    assert first["ds"][0] == datetime(2024, 1, 11, tzinfo=UTC).timestamp() * 1000
    assert first["value"] == [11.0, 12.0, 13.0, 14.0]
    bands = records(forecast_chart(contents), "level")
    assert [row["level"] for row in bands] == ["95 % interval", "80 % interval"]  # the wide one at the back
    assert bands[1]["lo"][0] == pytest.approx(11 - 0.8)


def test_windows_hold_the_actual_values_once_and_every_forecast_of_every_model(contents):
    lines = records(windows_chart(contents), "model", "value")
    models = {name: [row for row in lines if row["model"] == name] for name in ("actual", "foretell", "drift")}
    assert {name: points(rows, "value") for name, rows in models.items()} == {
        "actual": 12,
        "foretell": 12,
        "drift": 12,
    }
    assert len(models["actual"]) == 1, "neighbouring windows make one unbroken line"
    assert len(models["foretell"]) == 3


def test_overlapping_windows_show_each_actual_value_once(contents):
    second = contents.windows.with_columns(pl.col("cutoff") + pl.duration(days=1))
    overlapping = replace(contents, windows=pl.concat([contents.windows, second]))
    actual = [row for row in records(windows_chart(overlapping), "model") if row["model"] == "actual"]
    assert points(actual, "value") == 12


def test_actual_line_breaks_where_no_window_looked(contents):
    apart = replace(contents, windows=contents.windows.filter(pl.col("cutoff") != contents.windows["cutoff"][4]))
    actual = [row for row in records(windows_chart(apart), "model") if row["model"] == "actual"]
    assert [len(row["value"]) for row in actual] == [4, 4]


def test_several_series_bring_a_drop_down_and_one_does_not(contents, make_contents):
    assert "params" not in forecast_chart(contents).to_dict()
    several = forecast_chart(make_contents(series=("a", "b"), targets=("x", "y"))).to_dict()
    (parameter,) = several["params"]
    assert parameter["bind"]["labels"] == ["a · x", "a · y", "b · x", "b · y"]
    assert parameter["bind"]["options"] == [0, 1, 2, 3]
    assert parameter["value"] == 0


def test_labels_say_only_what_differs(make_contents):
    assert make_contents(series=("a", "b")).series["label"].to_list() == ["a", "b"]
    assert make_contents(targets=("x", "y")).series["label"].to_list() == ["x", "y"]


def test_models_are_compared_by_mase_only_where_targets_differ(contents, make_contents):
    assert compared_measure(contents) == "mae"
    assert compared_measure(make_contents(targets=("x", "y"))) == "mase"
    assert [row["score"] for row in records(models_chart(contents), "score")] == [1.0, 2.0, 3.0, 4.0]


def test_coverage_pairs_nominal_with_measured(contents):
    table = coverage(contents)
    assert table["nominal"].to_list() == [0.95, 0.8]
    assert table["measured"].to_list() == pytest.approx([0.93, 0.78])


def test_training_marks_the_lowest_validation_loss(contents):
    assert [row["label"] for row in records(training_chart(contents.training), "label")] == ["lowest at epoch 2"]


def test_training_without_validation_marks_nothing(contents):
    training = contents.training.with_columns(validation=pl.lit(None, dtype=pl.Float64))
    assert records(training_chart(training), "label") == []


def test_horizon_holds_every_model_and_step(contents):
    assert len(records(horizon_chart(contents), "model", "step", "mae")) == 4 * 4


def test_heat_maps_order_units_by_their_memory(contents):
    forget = {gate.name: chart for gate, chart in heat_maps(contents)}["forget"]
    units = records(forget, "unit", "row")
    assert [(row["layer"], row["unit"]) for row in units] == [(1, 2), (1, 1), (1, 0), (2, 2), (2, 1), (2, 0)]
    columns = records(forget, "forget")
    assert len(columns) == 10
    assert columns[0]["forget"] == pytest.approx([0.2, 0.1, 0.0] * 2)


def test_heat_maps_follow_the_equations_and_skip_gates_that_are_off(contents):
    names = [gate.name for gate, _ in heat_maps(contents)]
    assert names == ["forget", "input", "candidate", "cell", "output"]
    without = replace(contents, gates=contents.gates.filter(pl.col("gate") != "forget"))
    assert [gate.name for gate, _ in heat_maps(without)] == names[1:]


def test_gates_share_a_scale_from_zero_to_one_and_the_cell_state_is_centred(contents):
    for gate, chart in heat_maps(contents):
        low, high = chart.to_dict()["encoding"]["color"]["scale"]["domain"]
        assert (low, high) == (0, 1) if not gate.signed else low == -high


def test_times_are_the_wall_clock_whatever_the_zone():
    local = pl.Series([datetime(2024, 3, 31, 1), datetime(2024, 3, 31, 3)])
    zoned = pl.DataFrame({"ds": local.dt.replace_time_zone("Europe/Berlin")})
    assert as_numbers(zoned, "ds")["ds"].to_list() == local.dt.timestamp("ms").to_list()


@pytest.mark.parametrize(("kind", "said"), [("plain", "'%Y-%m-%d'"), ("hourly", "'%Y-%m-%d %H:%M'")])
def test_tooltips_say_the_hour_where_there_is_one(make_contents, kind, said):
    assert f"utcFormat(datum.ds, {said})" in json.dumps(forecast_chart(make_contents(**KINDS[kind])).to_dict())


def test_values_that_json_cannot_hold_become_null():
    frame = pl.DataFrame({"y": [1.0, float("nan"), float("inf"), None]})
    assert rounded(frame)["y"].to_list() == [1.0, None, None, None]


@pytest.mark.parametrize(
    ("every", "name"),
    [
        ("1d", "days"),
        ("1h", "hours"),
        ("15m", "steps of 15 minutes"),
        ("7d", "weeks"),
        ("1mo", "months"),
        ("1q", "quarters"),
        ("1y", "years"),
        ("1s", "seconds"),
    ],
)
def test_step_has_its_everyday_name(every, name):
    start = datetime(2020, 1, 1)
    times = pl.Series([start, pl.Series([start]).dt.offset_by(every).item()])
    assert step_name(times) == name


def test_business_days_and_integer_steps_have_names():
    days = pl.date_range(datetime(2024, 1, 1), datetime(2024, 1, 31), "1d", eager=True)
    assert step_name(days.filter(days.dt.weekday() < 6)) == "business days"
    assert step_name(pl.Series([1, 2, 3])) == "steps"
