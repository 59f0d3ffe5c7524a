"""The roles that are inferred from tables small enough to judge by eye, and the mistakes that are named."""

import datetime

import numpy as np
import polars as pl
import pytest

from foretell.errors import InputError
from foretell.sequences.schema import Schema, infer_schema
from foretell.sequences.table import Table
from foretell.sequences.times import read_times

DAYS = [f"2024-01-{day:02}" for day in range(1, 13)]


def table(columns, name="t.csv", line=2):
    return Table(pl.DataFrame(columns), "polars", name, line)


def weather(**more):
    columns = {
        "date": DAYS,
        "rain": [0.0, 1.5, 0.0, 2.5] * 3,
        "label": ["sun", "rain"] * 6,
        "cold": [True, False, False] * 4,
    }
    return table(columns | more)


def shops(**more):
    columns = {
        "day": DAYS[:6] * 2,
        "shop": ["north"] * 6 + ["south"] * 6,
        "sales": [float(n % 5) for n in range(12)],
        "size": [3] * 6 + [7] * 6,
        "promo": [0, 1] * 6,
    }
    return table(columns | more)


def test_one_series():
    schema = infer_schema(weather(), target="rain")
    assert (schema.time, schema.targets, schema.series, schema.frequency) == ("date", ("rain",), None, "1d")
    assert schema.past == ("label", "cold")
    assert schema.categories == {"label": ("rain", "sun")}
    assert schema.numeric("past") == ("cold",)
    assert schema.categorical("past") == ("label",)
    assert (schema.rows, schema.n_series, schema.gaps, schema.source) == (12, 1, 0, "t.csv")


def test_many_series():
    schema = infer_schema(shops())
    assert (schema.time, schema.series, schema.targets) == ("day", "shop", ("sales",))
    assert (schema.past, schema.static, schema.known) == (("promo",), ("size",), ())
    assert infer_schema(shops(), known="promo").known == ("promo",)


def test_the_names_of_nixtla():
    schema = infer_schema(table({"z": [1.0, 2.0], "unique_id": [1, 1], "ds": [1, 2], "y": [3, 9]}))
    assert (schema.time, schema.series, schema.targets, schema.frequency) == ("ds", "unique_id", ("y",), "1i")


@pytest.mark.parametrize(
    ("columns", "target", "reason"),
    [
        ({"a": [1.0, 5.0, 2.0], "y": [1.0, 2.0, 9.0]}, "y", ""),
        ({"a": [1.0, 5.0, 2.0]}, "a", "the only column of numbers"),
        ({"a": [1, 2, 3]}, "a", "the only column of numbers"),
        ({"a": [4, 9, 2], "n": [1, 2, 3]}, "a", "the only column of numbers"),
        ({"a": [1.0, 5.0, 2.0], "Sales": [1, 7, 9]}, "Sales", "by its name"),
        ({"a": [3, 5, 2], "b": [1.0, 2.0, 9.0]}, "b", "a guess: the first column of decimals"),
        ({"a": [3, 5, 2], "b": [1, 2, 9]}, "a", "a guess: the first column of numbers"),
        ({"a": ["3", "5.5", "-1e3"]}, "a", "the only column of numbers"),
    ],
)
def test_the_target(columns, target, reason):
    schema = infer_schema(table({"ds": DAYS[:3]} | columns))
    assert (schema.targets, schema.target_reason) == ((target,), reason)
    assert reason in schema.describe()


def test_several_targets():
    schema = infer_schema(shops(), target=["sales", "promo"])
    assert schema.targets == ("sales", "promo")
    assert schema.past == ()


def test_nonnegative_targets():
    columns = {"ds": DAYS[:3], "a": [0.0, None, 2.0], "b": [-1.0, 0.0, 1.0], "c": [4.0, 4.0, 4.0]}
    assert infer_schema(table(columns), target=["a", "b", "c"]).nonnegative == ("a",)


def test_what_is_ignored():
    more = {
        "n": list(range(5, 17)),
        "same": [1.5] * 12,
        "nothing": [None] * 12,
        "note": [f"note {n}" for n in range(12)],
        "list": [[1]] * 12,
    }
    schema = infer_schema(weather(**more), target="rain")
    assert schema.ignored == {
        "n": "counts the rows",
        "same": "always the same",
        "nothing": "empty",
        "note": "text with 12 distinct values",
        "list": "neither number nor text",
    }
    assert "note (text with 12 distinct values)" in schema.describe()


def test_a_counter_within_each_series_is_ignored():
    assert infer_schema(shops(step=[*range(6), *range(6)])).ignored == {"step": "counts the rows"}


def test_naming_past_ends_the_guessing():
    schema = infer_schema(shops(), past=["size"])
    assert (schema.past, schema.static) == (("size",), ())
    assert schema.ignored == {"promo": "not named"}
    assert infer_schema(shops(), static=[]).ignored == {"size": "not named"}


@pytest.mark.parametrize(
    ("texts", "first", "second"),
    [
        (["2024-01-31", "2024-02-29"], "2024-01-31", "2024-02-29"),
        (["2024/01/31 5:00", "2024/02/29 5:00"], "2024-01-31T05", "2024-02-29T05"),
        (["2024-01-31T05:00:00Z", "2024-02-29T06:30:00+01:00"], "2024-01-31T05", "2024-02-29T05:30"),
        (["1/1/2010 0:00", "1/1/2010 13:00"], "2010-01-01", "2010-01-01T13"),
        (["1/2/2010", "1/3/2010"], "2010-01-02", "2010-01-03"),  # month first where both would do
        (["13/2/2010", "14/2/2010"], "2010-02-13", "2010-02-14"),
        (["01/12/2010", "01/01/2011"], "2010-12-01", "2011-01-01"),
        (["01-12-2010", "01-01-2011"], "2010-12-01", "2011-01-01"),
        (["1/31/10", "2/1/10"], "2010-01-31", "2010-02-01"),
        (["31.01.2024 07:15", "01.02.2024 07:15"], "2024-01-31T07:15", "2024-02-01T07:15"),
        (["1/31/2024 11:00 PM", "2/1/2024 1:00 AM"], "2024-01-31T23", "2024-02-01T01"),
        (["31 Jan 2024", "1 Feb 2024"], "2024-01-31", "2024-02-01"),
        (["January 31, 2024", "February 1, 2024"], "2024-01-31", "2024-02-01"),
        (["2024-01", "2024-02"], "2024-01-01", "2024-02-01"),
        (["Jan 2024", "Feb 2024"], "2024-01-01", "2024-02-01"),
        (["2024Q1", "2024Q2"], "2024-01-01", "2024-04-01"),
        ([20240131, 20240201], "2024-01-31", "2024-02-01"),
        ([1706659200, 1706745600], "2024-01-31", "2024-02-01"),
        ([1706659200000, 1706745600000], "2024-01-31", "2024-02-01"),
        ([datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)], "2024-01-31", "2024-02-01"),
    ],
)
def test_how_times_are_written(texts, first, second):
    times, _ = read_times(table({"date": texts, "y": [1.0, 2.0]}), "date")
    np.testing.assert_array_equal(times, np.array([first, second], "M8[us]"))
    assert infer_schema(table({"date": texts, "y": [1.0, 2.0]})).time == "date"


def test_zones():
    zoned = pl.datetime_range(datetime.datetime(2024, 3, 30), datetime.datetime(2024, 4, 2), "1d", eager=True)
    local = zoned.dt.replace_time_zone("Europe/Berlin")
    assert infer_schema(table({"ds": local, "y": [1.0, 2.0, 3.0, 4.0]})).frequency == "1d"
    hours = pl.datetime_range(datetime.datetime(2024, 10, 26, 22), datetime.datetime(2024, 10, 27, 4), "1h", eager=True)
    across = hours.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    assert infer_schema(table({"ds": across, "y": [float(n) for n in range(7)]})).frequency == "1h"


def test_whole_numbers_as_time():
    schema = infer_schema(table({"year": [1990, 1991, 1993], "size": [1.0, 3.0, 2.0]}))
    assert (schema.time, schema.frequency, schema.gaps) == ("year", "1i", 1)
    assert "rows       3, 1 gap\n" in schema.describe()


def test_rows_are_counted_where_there_is_no_time():
    schema = infer_schema(table({"a": [1.0, 3.0, 2.0], "month": [1, 1, 1]}), target="a")
    assert (schema.time, schema.frequency) == (None, "1i")
    assert "the rows, counted" in schema.describe()


def test_a_doubled_date_does_not_make_a_label_a_series():
    doubled = weather(date=[*DAYS[:11], DAYS[9]])
    with pytest.raises(
        InputError,
        match=r"t\.csv, row 12 \(line 13\), column 'date': time 2024-01-10 stands already in row 10 \(1 such",
    ):
        infer_schema(doubled)


def test_a_doubled_time_in_a_series():
    with pytest.raises(InputError, match=r"row 8 .*'day': time 2024-01-01 of series 'south' stands already in row 7"):
        infer_schema(shops(day=[*DAYS[:6], DAYS[0], *DAYS[:5]]), series="shop")


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"a": ["x", "y"]}, {}, r"t\.csv: no column holds numbers to predict \('a' holds 'x'\).*target="),
        (
            {"a": ["1", "2", "x"]},
            {},
            r"t\.csv, row 3 \(line 4\), column 'a': 'x' is not a number\. Correct it",
        ),
        ({"a": ["u", "v"]}, {"target": "a"}, r"t\.csv, row 1 \(line 2\), column 'a': 'u' is not a number"),
        ({"a": [1.0, float("inf")]}, {}, r"t\.csv, row 2 \(line 3\), column 'a': the value is infinite"),
        (
            {"y": [1.0, 2.0], "b": [0.5, float("-inf")]},
            {},
            r"row 2 .*, column 'b': the value is infinite \(-inf\)",
        ),
        ({"y": [None, None]}, {}, r"t\.csv, column 'y': the target has no value"),
        ({"y": [[1], [2]]}, {}, r"t\.csv, column 'y': the column holds List\(Int64\), not numbers"),
        (
            {"sales": [1.0, 2.0]},
            {"target": "sale"},
            r"t\.csv: unknown target column 'sale'\. Did you mean 'sales'\?",
        ),
        ({"y": [1.0, 2.0]}, {"time": "date"}, r"t\.csv: unknown time column 'date'"),
        (
            {"y": [1.0, 2.0], "b": [1, 2]},
            {"past": "b", "known": ["b"]},
            r"column 'b' is named both as past and as known",
        ),
        (
            {"y": [1.0, 2.0]},
            {"target": "y", "static": "y"},
            r"column 'y' is named both as target and as static",
        ),
        ({"y": [1.0, 2.0]}, {"freq": "1dd"}, r"'1dd' is not a frequency"),
        ({"y": [1.0, 2.0]}, {"freq": "1i"}, r"the time column holds dates, which freq='1i' .* freq='1d'"),
        (
            {"ds": [1, 2], "y": [1.0, 2.0]},
            {"freq": "1h"},
            r"holds whole numbers, which freq='1h' .* freq='1i'",
        ),
        (
            {"ds": ["2024-01-01", None], "y": [1.0, 2.0]},
            {},
            r"t\.csv, row 2 \(line 3\), column 'ds': the time is empty",
        ),
        (
            {"ds": ["2024-01-01", "soon", "2024-01-03"], "y": [1.0, 2.0, 3.0]},
            {},
            r"t\.csv, row 2 \(line 3\), column 'ds': 'soon' cannot be read as a time\. Correct it",
        ),
        (
            {"y": [1.0, 2.0], "b": [0.5, 1.5]},
            {"time": "b"},
            r"row 1 .*'b': 0\.5 is not a time\. Name a column of dates",
        ),
        (
            {
                "ds": ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 01:40", "2024-01-01 02:40"],
                "y": [1, 2, 3, 5],
            },
            {},
            r"t\.csv, row 3 \(line 4\): time 2024-01-01T01:40 comes 40 minutes after",
        ),
        (
            {"ds": ["2024-01-01", "2024-01-03"], "y": [1.0, 2.0]},
            {"freq": "W"},
            r"row 2 .*: time 2024-01-03 is not on the grid \(weekly\) that starts at 2024-01-01.*freq=",
        ),
        ({"s": ["a", None], "y": [1.0, 2.0]}, {"series": "s"}, r"row 2 .*column 's': the series has no name"),
        (
            {"ds": ["2024-01-01", "2034-01-01"], "y": [1.0, 2.0]},
            {"freq": "D"},
            r"2 rows on a grid of 3,654 steps",
        ),
    ],
)
def test_mistakes(columns, arguments, message):
    rows = len(next(iter(columns.values())))
    with pytest.raises(InputError, match=message):
        infer_schema(table({"ds": DAYS[:rows]} | columns), **arguments)


def test_the_description():
    assert infer_schema(shops(), known="promo").describe() == (
        "t.csv\n"
        "  time       day\n"
        "  target     sales (by its name)\n"
        "  series     shop (2)\n"
        "  past       -\n"
        "  known      promo\n"
        "  static     size\n"
        "  ignored    -\n"
        "  frequency  daily (1d)\n"
        "  rows       12, no gaps\n"
        "  Not so? Say time=, target=, series=, past=, known=, static= or freq=."
    )


def test_the_description_stays_short():
    many = weather(**{f"x{n}": [0.5, 1.5 + n] * 6 for n in range(10)})
    assert "and 4 more" in infer_schema(many, target="rain").describe()


def test_a_schema_survives_json():
    schema = infer_schema(shops())
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
