"""How numbers and tables look."""

from datetime import datetime

import polars as pl
import pytest

from foretell.cli.explaining import memory_in_words
from foretell.cli.printing import decimals, number, plain, print_forecast, print_scores


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([12345.6], "12,346"),
        ([123.456], "123.5"),
        ([0.95111], "0.951"),
        ([0.0123456], "0.0123"),
        ([-0.0001, 5], "0.000"),
    ],
)
def test_numbers_show_three_or_four_digits(values, text):
    assert number(values[0], decimals(values)) == text


def test_what_is_no_number_is_a_dash():
    assert number(float("nan"), 2) == number(None, 2) == "-"


def test_json_has_no_words_for_nan_and_dates():
    assert plain({"a": [float("inf"), datetime(2024, 1, 2)]}) == {"a": [None, "2024-01-02T00:00:00"]}


def scores(levels):
    row = {"mae": 12.5, "rmse": 15.25, "smape": 21.5, "mase": 0.951, "crps": 1.25}
    row |= {f"{kind}-{level}": 0.75 for level in levels for kind in ("coverage", "width")}
    return [{"model": name, **row} for name in ("foretell", "seasonal naive")]


def test_scores_fit_into_80_columns(capsys):
    print_scores(scores((80, 95)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == [
        "MAE",
        "RMSE",
        "sMAPE",
        "MASE",
        "CRPS",
        "in",
        "80%",
        "width",
        "in",
        "95%",
        "width",
    ]


def test_forecast_of_many_series_names_them_and_stops_somewhere(capsys):
    frame = pl.DataFrame(
        {
            "unique_id": ["[a]"] * 50 + ["b"] * 50,
            "ds": [*range(50)] * 2,
            "y_hat": 1.0,
            "lo-80": 0.0,
            "hi-80": 2.0,
        }
    )
    print_forecast(frame)
    out = capsys.readouterr().out
    assert "[a]" in out
    assert "40 rows more" in out


def test_half_lives_in_the_unit_of_the_table():
    rows = [{"layer": 0, "unit": unit, "steps": steps} for unit, steps in enumerate([0.5, 2.0, 48.0])]
    assert memory_in_words(rows, "15min") == [
        "Half of the 3 cells let go of half their content within 30 minutes; the one that holds on longest "
        "takes 720 minutes."
    ]
