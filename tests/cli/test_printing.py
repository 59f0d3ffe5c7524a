"""How numbers and tables look."""

from datetime import datetime

import polars as pl
import pytest
from rich.console import Console

from foretell.cli import printing
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
        ([1.234e-7, 3e-7], "0.000000123"),
        ([1.234e-12, 5e-12], "1.23e-12"),
        ([4e-12, 5e-12], "4.00e-12"),
        ([6.022e23, 1.0], "6.02e+23"),
        ([1.5e14], "150,000,000,000,000"),
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


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setattr(printing, "console", lambda: Console(width=80, highlight=False, markup=False))


@pytest.mark.parametrize(
    ("levels", "last"), [((80, 95), "MAE RMSE sMAPE MASE CRPS in 80% width in 95% width"), ((50, 80, 95), "in 95%")]
)
def test_scores_fit_into_80_columns(capsys, narrow, levels, last):
    print_scores(scores(levels))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[0].split()).endswith(last)
    assert lines[3].startswith("seasonal naive ")


def test_a_forecast_too_wide_keeps_the_narrowest_interval(capsys, narrow):
    ends = {f"{end}-{level}": [value] for level in (50, 80, 95) for end, value in (("lo", 100.0), ("hi", 200.0))}
    print_forecast(pl.DataFrame({"unique_id": ["a"], "ds": [datetime(2024, 1, 2, 3)], "y_hat": [150.0], **ends}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["time", "forecast", "50", "%"]
    assert lines[2].split()[:6] == ["2024-01-02", "03:00", "150.0", "100.0", "…", "200.0"]


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
