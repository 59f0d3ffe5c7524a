"""Tables laid on a grid: gaps, order, covariates, and new tables read by an old schema."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import InputError
from foretell.sequences.grid import build_panel, future_covariates
from foretell.sequences.schema import infer_schema
from foretell.sequences.table import Table, read_table, to_native


def table(columns, name="t.csv"):
    return Table(pl.DataFrame(columns), "polars", name, 2)


# Series b comes first and lacks 2 January; series a lacks a value.
COLUMNS = {
    "id": ["b", "b", "a", "a", "a"],
    "ds": ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-06", "2024-01-07"],
    "y": [1.0, 3.0, 5.0, None, 7.0],
    "wind": [10.0, 30.0, 50.0, 60.0, 70.0],
    "sky": ["sun", "rain", None, "rain", "sun"],
    "promo": [1, 0, 0, 1, 0],
    "size": [4.0, None, 8.0, 8.0, 8.0],
    "city": ["Rome", "Rome", "Oslo", "Oslo", None],
}
ROLES = {"series": "id", "past": ["wind", "sky"], "known": ["promo"], "static": ["size", "city"], "freq": "D"}
SCHEMA = infer_schema(table(COLUMNS), target="y", **ROLES)
NAN = np.nan


def equal(actual, expected):
    np.testing.assert_array_equal(actual, np.array(expected))


def test_the_panel_of_two_series():
    panel = build_panel(table(COLUMNS), SCHEMA)
    assert panel.ids == ("b", "a")
    equal(panel.offsets, [0, 3, 6])
    equal(panel.lengths, [3, 3])
    equal(panel.start, np.array(["2024-01-01", "2024-01-05"], "M8[us]"))
    equal(panel.times(0, 1, 5), np.array(["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"], "M8[us]"))
    equal(panel.y, [[1], [NAN], [3], [5], [NAN], [7]])
    equal(panel.past.numbers, [[10], [NAN], [30], [50], [60], [70]])
    equal(panel.past.codes, [[2], [0], [1], [0], [1], [2]])  # rain 1, sun 2
    equal(panel.known.numbers, [[1], [NAN], [0], [0], [1], [0]])
    equal(panel.static.numbers, [[4], [8]])
    equal(panel.static.codes, [[2], [1]])  # Oslo 1, Rome 2
    assert SCHEMA.gaps == 1


def assert_same(first, second):
    for one, other in zip(dataclasses.astuple(first), dataclasses.astuple(second), strict=True):
        np.testing.assert_equal(one, other)


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 999),
    freq=st.sampled_from(["1h", "1d", "1mo", "1b"]),
    data=st.data(),
)
def test_the_order_of_rows_does_not_matter(lengths, seed, freq, data):
    rng = np.random.default_rng(seed)
    rows = pl.concat(
        pl.DataFrame({"id": [f"s{s}"] * length, "k": np.sort(rng.choice(12, length, replace=False))})
        for s, length in enumerate(lengths)
    )
    step = {"1h": "1h", "1d": "1d", "1mo": "1mo", "1b": "1bd"}[freq]
    start = pl.datetime(2024, 1, 1)
    when = (
        start.dt.add_business_days(pl.col("k")) if freq == "1b" else start.dt.offset_by(pl.format("{}" + step[1:], "k"))
    )
    frame = rows.select("id", ds=when, y=pl.col("k") * 2.0, x=pl.Series(rng.normal(size=len(rows))))
    schema = infer_schema(Table(frame, "polars", "t"), series="id", target="y", past="x", freq=freq)
    order = data.draw(st.permutations(range(frame.height)))
    shuffled = frame[order]
    panel = build_panel(Table(frame, "polars", "t"), schema)
    other = build_panel(Table(shuffled, "polars", "t"), schema)
    assert sorted(other.ids) == sorted(panel.ids)
    assert list(other.ids) == shuffled["id"].unique(maintain_order=True).to_list()
    for number, name in enumerate(panel.ids):
        place = other.ids.index(name)
        here = slice(*panel.offsets[number : number + 2])
        there = slice(*other.offsets[place : place + 2])
        np.testing.assert_equal(panel.y[here], other.y[there])
        np.testing.assert_equal(panel.past.numbers[here], other.past.numbers[there])
        assert panel.start[number] == other.start[place]


def test_the_frame_kinds_give_one_panel():
    frame = pl.DataFrame(COLUMNS)
    panels = [build_panel(read_table(to_native(frame, kind)), SCHEMA) for kind in ("polars", "pandas", "pyarrow")]
    assert_same(panels[0], panels[1])
    assert_same(panels[0], panels[2])


def test_a_new_table():
    new = {name: values[2:] for name, values in COLUMNS.items()} | {
        "sky": ["snow", "rain", "sun"],
        "more": ["x"] * 3,
    }
    panel = build_panel(table(new), SCHEMA)
    assert panel.ids == ("a",)
    equal(panel.past.codes, [[0], [1], [2]])
    assert panel.past.numbers.shape == (3, 1)


def test_counted_rows():
    columns = {"v": [3.0, 1.0, 2.0]}
    schema = infer_schema(table(columns))
    panel = build_panel(table(columns), schema)
    assert panel.ids == ("series",)
    equal(panel.y, [[3], [1], [2]])
    equal(panel.times(0, 2, 4), [2, 3])


def test_no_covariates_have_no_columns():
    columns = {"ds": ["2024-01-01", "2024-01-02"], "y": [1.0, 2.0]}
    panel = build_panel(table(columns), infer_schema(table(columns)))
    shapes = [(role.numbers.shape, role.codes.shape) for role in (panel.past, panel.known, panel.static)]
    assert shapes == [((2, 0), (2, 0)), ((2, 0), (2, 0)), ((1, 0), (1, 0))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wind": None}, r"new\.csv: the schema of t\.csv has a column 'wind', which is not here"),
        ({"wind": None, "Wind": [1.0] * 5}, r"Did you mean 'Wind'\?"),
        ({"id": None}, r"has a column 'id'"),
        ({"y": ["1", "2", "x", "4", "5"]}, r"new\.csv, row 3 \(line 4\), column 'y': 'x' is not a number"),
        (
            {"ds": [1, 2, 3, 4, 5]},
            r"new\.csv, row 1 .*'ds': the times are whole numbers, but in t\.csv they are dates",
        ),
        (
            {"ds": ["2024-01-01"] * 5},
            r"row 2 .* time 2024-01-01 of series 'b' stands already in row 1 \(3 such",
        ),
        (
            {"ds": ["2024-01-01", "2024-01-02 06:00", *COLUMNS["ds"][2:]]},
            r"row 2 .*'2024-01-02 06:00' cannot be read",
        ),
        (
            {"size": [4.0, 5.0, 8.0, 8.0, 8.0]},
            r"row 2 .*'size': 5\.0 differs from earlier rows of series 'b'.*past=",
        ),
        ({"city": ["Rome", "Oslo", None, None, None]}, r"row 2 .*'city': 'Oslo' differs"),
    ],
)
def test_new_tables_that_do_not_fit(change, message):
    columns = {name: values for name, values in (COLUMNS | change).items() if values is not None}
    with pytest.raises(InputError, match=message):
        build_panel(table(columns, "new.csv"), SCHEMA)


FUTURE = {
    "id": ["a", "c", "b", "b", "a", "a"],
    "ds": ["2024-01-09", "2024-01-09", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-10"],
    "promo": [2.0, 99.0, 3.0, None, 1.0, 99.0],
}


def test_what_is_known_of_the_future():
    known = future_covariates(table(FUTURE), SCHEMA, build_panel(table(COLUMNS), SCHEMA), 2)
    equal(known.numbers, [[3], [NAN], [1], [2]])
    assert known.codes.shape == (4, 0)


def test_a_missing_future_row():
    short = {name: values[:4] for name, values in FUTURE.items()}
    panel = build_panel(table(COLUMNS), SCHEMA)
    with pytest.raises(InputError, match=r"known\.csv: no row for series 'a' at 2024-01-08 \(1 of 4 .*promo"):
        future_covariates(table(short, "known.csv"), SCHEMA, panel, 2)


def test_a_doubled_future_row():
    doubled = {name: [*values, values[0]] for name, values in FUTURE.items()}
    with pytest.raises(InputError, match=r"row 1 .*'ds': another row has this time and series"):
        future_covariates(table(doubled), SCHEMA, build_panel(table(COLUMNS), SCHEMA), 2)


def test_the_future_of_counted_rows():
    columns = {"v": [3.0, 1.0, 2.0], "promo": [1.0, 0.0, 1.0]}
    schema = infer_schema(table(columns), target="v", known="promo")
    panel = build_panel(table(columns), schema)
    equal(future_covariates(table({"promo": [5.0, 6.0, 7.0]}), schema, panel, 2).numbers, [[5], [6]])


@pytest.mark.parametrize(("clock", "said"), [("{:02}:00:00+02:00", True), ("{:02}:00:00", False)])
def test_times_with_an_offset_are_said_to_be_utc(clock, said):
    times = [f"2024-05-01T{clock.format(hour)}" for hour in range(5)]
    schema = infer_schema(table({"ds": times, "y": [1.0, 3.0, 2.0, 5.0, 4.0]}))
    assert ("in UTC" in schema.describe()) is said


def test_the_format_of_times_is_remembered():
    # Day first is certain in training (the 13th); a short new table alone would read as month first.
    old = {"ds": [f"{day:02}/02/2024" for day in range(10, 16)], "y": [1.0, 3.0, 2.0, 5.0, 4.0, 6.0]}
    schema = infer_schema(table(old))
    assert "day first" in schema.describe()
    panel = build_panel(table({"ds": ["05/03/2024", "06/03/2024"], "y": [1.0, 2.0]}), schema)
    equal(panel.start, np.array(["2024-03-05"], "M8[us]"))
    equal(panel.lengths, [2])
