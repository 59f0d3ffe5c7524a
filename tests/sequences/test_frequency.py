"""Frequencies against dates that anyone can check on a calendar."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import InputError
from foretell.sequences.frequency import PLURAL, Frequency, infer_frequency


def days(*texts):
    return np.array(texts, "M8[us]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(text, Frequency(1, "d")) for text in ("D", "1d", "daily", "day", "d", "Daily", "1 day")],
        *[(text, Frequency(1, "h")) for text in ("h", "H", "1h", "hourly", "hour")],
        *[(text, Frequency(1, "mo")) for text in ("M", "MS", "ME", "1mo", "monthly")],
        *[(text, Frequency(1, "min")) for text in ("T", "min", "1m", "minute")],
        *[(text, Frequency(1, "b")) for text in ("B", "business", "business day")],
        *[(text, Frequency(1, "w")) for text in ("W", "W-SUN", "1w", "weekly")],
        *[(text, Frequency(1, "q")) for text in ("Q", "QS", "QE-DEC", "1q", "quarterly")],
        *[(text, Frequency(1, "y")) for text in ("Y", "YE", "A", "1y", "yearly", "annual")],
        *[(text, Frequency(1, "s")) for text in ("s", "S", "1s", "second")],
        ("15min", Frequency(15, "min")),
        ("12 hours", Frequency(12, "h")),
        ("2W", Frequency(2, "w")),
        ("10", Frequency(10, "i")),
        ("1i", Frequency(1, "i")),
    ],
)
def test_names_that_people_write(text, expected):
    assert Frequency.parse(text) == expected


@pytest.mark.parametrize("unit", PLURAL)
@pytest.mark.parametrize("count", [1, 7])
def test_the_name_is_read_back(unit, count):
    assert Frequency.parse(Frequency(count, unit).name) == Frequency(count, unit)


@pytest.mark.parametrize("text", ["dayly", "", "-1d", "1.5h", "fortnight"])
def test_an_unknown_name(text):
    with pytest.raises(InputError, match="is not a frequency"):
        Frequency.parse(text)


def test_an_unknown_name_has_a_suggestion():
    with pytest.raises(InputError, match="Did you mean 'hourly'"):
        Frequency.parse("hourley")


def test_no_step_of_zero():
    with pytest.raises(InputError, match="count must be at least 1; got 0"):
        Frequency.parse("0d")


@pytest.mark.parametrize(
    ("name", "seasons"),
    [
        ("15min", (96, 672, 35064)),
        ("1h", (24, 168, 8766)),
        ("1d", (7, 365)),
        ("1b", (5, 261)),
        ("1w", (52,)),
        ("1mo", (12,)),
        ("1q", (4,)),
        ("1y", ()),
        ("1i", ()),
        ("7h", (24, 1252)),  # a week is 24 steps of seven hours; a day is no whole number of them
    ],
)
def test_seasons(name, seasons):
    assert Frequency.parse(name).seasons == seasons


@pytest.mark.parametrize(
    ("name", "start", "expected"),
    [
        ("1mo", "2023-12-31", ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ("1mo", "2024-02-29", ["2024-02-29", "2024-03-31", "2024-04-30"]),
        ("1mo", "2024-01-30", ["2024-01-30", "2024-02-29", "2024-03-30"]),
        ("1mo", "2024-01-01T06", ["2024-01-01T06", "2024-02-01T06"]),
        ("1q", "2023-12-31", ["2023-12-31", "2024-03-31", "2024-06-30"]),
        ("1y", "2024-02-29", ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("1b", "2024-02-29", ["2024-02-29", "2024-03-01", "2024-03-04"]),
        ("2b", "2024-02-29T17", ["2024-02-29T17", "2024-03-04T17"]),
        ("1w", "2024-02-29", ["2024-02-29", "2024-03-07"]),
        ("90min", "2024-02-28T23", ["2024-02-28T23:00", "2024-02-29T00:30"]),
    ],
)
def test_the_grid_on_the_calendar(name, start, expected):
    frequency, start, expected = Frequency.parse(name), np.datetime64(start, "us"), days(*expected)
    places = np.arange(len(expected))
    np.testing.assert_array_equal(frequency.times(start, places), expected)
    np.testing.assert_array_equal(frequency.positions(expected, start), places)


@pytest.mark.parametrize(
    ("name", "start", "stranger"),
    [
        ("1h", "2024-01-01", "2024-01-01T00:30"),
        ("1d", "2024-01-01", "2024-01-02T01"),
        ("1d", "2024-01-02", "2024-01-01"),  # before the start
        ("1mo", "2024-01-31", "2024-02-28"),
        ("1b", "2024-01-01", "2024-01-06"),  # a Saturday
        ("2w", "2024-01-01", "2024-01-08"),
        ("1q", "2024-01-01", "2024-02-01"),
    ],
)
def test_a_time_off_the_grid(name, start, stranger):
    position = Frequency.parse(name).positions(days(stranger), np.datetime64(start, "us"))
    np.testing.assert_array_equal(position, [-1])


@given(
    unit=st.sampled_from(sorted(set(PLURAL) - {"i"})),
    count=st.integers(1, 40),
    start=st.datetimes(min_value=np.datetime64("1950-01-01", "us").item()),
    places=st.lists(st.integers(0, 500), min_size=1, max_size=20),
)
def test_times_and_positions_are_inverse(unit, count, start, places):
    frequency = Frequency(count, unit)
    start = (
        np.datetime64(start.replace(year=1950 + start.year % 100), "us") if start.day < 29 else days("1999-12-31")[0]
    )
    if unit == "b" and not np.is_busday(start.astype("M8[D]")):
        start = start + np.timedelta64(2, "D")
    times = frequency.times(start, np.array(places))
    np.testing.assert_array_equal(frequency.positions(times, start), places)


def test_integer_time():
    frequency = Frequency(5, "i")
    np.testing.assert_array_equal(frequency.times(3, np.arange(3)), [3, 8, 13])
    np.testing.assert_array_equal(frequency.positions(np.array([3, 13, 14, -2]), 3), [0, 2, -1, -1])
    assert frequency.calendar(np.arange(4)).shape == (4, 0)


def test_one_start_for_each_time():
    frequency = Frequency(1, "mo")
    start = days("2024-01-31", "2024-01-01")
    np.testing.assert_array_equal(frequency.positions(days("2024-02-29", "2024-03-01"), start), [1, 2])
    np.testing.assert_array_equal(frequency.times(start, np.array([1, 2])), days("2024-02-29", "2024-03-01"))


def test_the_calendar_of_an_hour():
    # Monday 2024-01-01 06:00: a quarter of the day, the start of the week, 6 of 366 x 24 hours into the year.
    columns = Frequency(1, "h").calendar(days("2024-01-01T06"))
    year = 2 * np.pi * 6 / (366 * 24)
    np.testing.assert_allclose(columns, [[1, 0, 0, 1, np.sin(year), np.cos(year)]], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "width"),
    [("1s", 6), ("1d", 4), ("1b", 4), ("2d", 2), ("1w", 2), ("1mo", 2), ("1q", 0), ("1y", 0)],
)
def test_which_phases_a_step_can_see(name, width):
    assert Frequency.parse(name).calendar(days("2024-07-01", "2024-10-01")).shape == (2, width)


def test_a_year_later_the_phase_of_the_year_is_the_same():
    first, later = Frequency(1, "mo").calendar(days("2023-01-01", "2024-01-01"))
    np.testing.assert_array_equal(first, later)


def infer(times, series=None):
    series = np.zeros(len(times), np.int64) if series is None else np.array(series)
    return infer_frequency(np.asarray(times), series, lambda row: f"t.csv, row {row + 1}")


@pytest.mark.parametrize(
    "name", ["1s", "15min", "1h", "6h", "1d", "1b", "1w", "2w", "1mo", "2mo", "1q", "2q", "1y", "5y"]
)
@pytest.mark.parametrize("start", ["2024-01-31", "2024-01-01", "2024-01-15T12"])
def test_regular_times_give_their_frequency(name, start):
    frequency = Frequency.parse(name)
    times = frequency.times(np.datetime64(start, "us"), np.arange(12))
    assert infer(times) == frequency


def test_gaps_are_no_obstacle():
    times = Frequency(1, "mo").times(np.datetime64("2023-12-31", "us"), np.array([0, 1, 2, 5, 6, 12]))
    assert infer(times) == Frequency(1, "mo")
    assert infer(days("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-06")) == Frequency(1, "d")
    assert infer([10, 20, 30, 70]) == Frequency(10, "i")


def test_steps_between_series_do_not_count():
    times = days("2024-01-01", "2024-01-02", "2024-01-03", "2020-06-06T12", "2020-06-07T12")
    assert infer(times, [0, 0, 0, 1, 1]) == Frequency(1, "d")


def test_a_mixed_frequency_names_the_row_and_the_remedy():
    times = days("2024-01-01T00", "2024-01-01T01", "2024-01-01T02", "2024-01-01T02:30", "2024-01-01T03:30")
    with pytest.raises(InputError, match=r"t\.csv, row 4: time 2024-01-01T02:30 comes 30 minutes .* 1 hour .* freq="):
        infer(times)


def test_the_last_business_days_of_months_are_no_grid():
    with pytest.raises(InputError, match=r"row 4: .*For months, give the first or the last day of each"):
        infer(days("2024-01-31", "2024-02-29", "2024-03-29", "2024-04-30"))


def test_one_row_a_series_has_no_step():
    with pytest.raises(InputError, match=r"t\.csv, row 1: no series has two rows.*freq='1d'"):
        infer(days("2024-01-01", "2024-01-02"), [0, 1])
