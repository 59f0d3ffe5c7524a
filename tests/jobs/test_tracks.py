"""Local scaling against loops that take one row at a time and look only back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.jobs.forecasting.covariates import ahead_numbers, scaled_numbers, scaled_present
from foretell.jobs.forecasting.settings import Scaling
from foretell.jobs.forecasting.tracks import (
    LINEAR_LIMIT,
    LOG_FLOOR,
    MIN_HISTORY,
    SPREAD_FLOOR,
    fill,
    inverse,
    linear_at,
    linear_inputs,
    make_tracks,
    moments,
    transform,
)
from foretell.sequences import Covariates, Frequency, Panel

VALUES = st.one_of(st.just(np.nan), st.floats(-100, 100).map(lambda value: round(value, 3)))
SERIES = st.lists(st.lists(VALUES, min_size=1, max_size=30), min_size=1, max_size=4)


def make_panel(series: list[list[float]], past: list[float] | None = None) -> Panel:
    lengths = [len(values) for values in series]
    rows = sum(lengths)
    none = Covariates(np.zeros((rows, 0)), np.zeros((rows, 0), np.int64))
    return Panel(
        ids=tuple(f"s{number}" for number in range(len(series))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        start=np.zeros(len(series), np.int64),
        frequency=Frequency.parse("1i"),
        y=np.concatenate(series)[:, None].astype(float),
        past=none if past is None else Covariates(np.array(past)[:, None], none.codes),
        known=none,
        static=Covariates(np.zeros((len(series), 0)), np.zeros((len(series), 0), np.int64)),
    )


def tracks_of(series, context=6, how="none"):
    panel = make_panel(series)
    return make_tracks(panel, Scaling(context=context, transform=(how,)), np.zeros((len(panel.y), 0), np.float32))


def by_hand(values, context, log=False):
    """(value, gap, spread, usable, roughness, reach) of each row of one series, by the definitions, in float64."""
    seen = [v for v in values if np.isfinite(v)]
    origin = seen[0] if seen else 0.0
    history, count, gap, rows = [], 0, 0, []
    for value in values:
        count += np.isfinite(value)
        gap = 0 if np.isfinite(value) else gap + 1
        history.append(value - origin if np.isfinite(value) else (history[-1] if history else 0.0))
        window = np.array(history[-context:])
        spread = window.std() + SPREAD_FLOOR * np.std(history) + LOG_FLOOR * log
        usable = count >= MIN_HISTORY and spread > 1e-6
        roughness = np.abs(np.diff(window)).mean() if len(window) > 1 else 0.0
        rows.append((history[-1], gap, spread, usable, roughness, np.mean(history) - history[-1]))
    return origin, rows


@given(SERIES, st.integers(2, 12))
def test_every_row_of_every_series(series, context):
    tracks = tracks_of(series, context)
    row = 0
    for number, values in enumerate(series):
        origin, rows = by_hand(values, context)
        assert tracks.origin[0, number] == origin
        for given_value, (value, gap, spread, usable, roughness, reach) in zip(values, rows, strict=True):
            assert tracks.observed[0, row] == np.isfinite(given_value)
            assert tracks.gap[0, row] == gap
            assert tracks.values[0, row] == pytest.approx(value, abs=1e-4)
            assert tracks.spread[0, row] == pytest.approx(spread, abs=1e-5, rel=1e-4)
            if usable:  # elsewhere rounding may stand for a spread, and nothing is learned there
                assert tracks.usable[0, row]
                expected = np.clip(np.array([roughness, reach]) / spread, -LINEAR_LIMIT, LINEAR_LIMIT)
                assert tracks.linear[0, row] == pytest.approx(expected, abs=1e-2)
            row += 1


@given(SERIES)
def test_gaps_repeat_the_last_value(series):
    panel = make_panel(series)
    filled, origin = fill(panel.y[:, 0], np.isfinite(panel.y[:, 0]), panel.offsets)
    for number, values in enumerate(series):
        seen = [v for v in values if np.isfinite(v)]
        last = origin[number] if seen else 0.0
        assert origin[number] == (seen[0] if seen else 0.0)
        for value, found in zip(values, filled[panel.offsets[number] :], strict=False):
            last = value if np.isfinite(value) else last
            assert found == last


def test_the_calendar_of_some_rows_is_that_of_all():
    values = np.random.default_rng(0).normal(size=60).cumsum()
    panel = make_panel([values.tolist()])
    waves = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32) * 3
    tracks = make_tracks(panel, Scaling(context=6, transform=("none",)), waves)
    so_far, rows = values - values[0], np.array([20, 21, 47, 59])
    _, found = by_hand(values, 6)
    spread, roughness = (np.array([found[row][place] for row in rows]) for place in (2, 4))
    mean, deviation = (np.array([moment(so_far[: row + 1]) for row in rows]) for moment in (np.mean, np.std))
    expected = linear_inputs(so_far[rows], spread, roughness, mean, deviation, waves[rows])
    assert linear_at(tracks, 0, rows) == pytest.approx(expected, abs=1e-4)
    assert np.abs(expected[:, 2:]).max() == LINEAR_LIMIT


def test_an_old_outlier_leaves_the_window_without_a_trace():
    values = np.random.default_rng(0).normal(size=80)
    values[3] = 1e9
    tracks = tracks_of([values.tolist()], context=6)
    _, deviation = moments(values, np.maximum(0, np.arange(80) - 5), np.array([0, 80]))
    for t in range(20, 80):
        window = values[t - 5 : t + 1]
        assert deviation[t] == pytest.approx(window.std(), rel=1e-3)
        assert tracks.spread[0, t] == pytest.approx(window.std() + SPREAD_FLOOR * values[: t + 1].std(), rel=1e-3)


def test_a_neighbour_of_another_size_changes_nothing():
    rng = np.random.default_rng(0)
    small, giant = rng.normal(size=40).tolist(), (1e12 * rng.normal(size=40)).tolist()
    alone, beside = tracks_of([small]), tracks_of([giant, small, giant])
    assert beside.spread[0, 40:80] == pytest.approx(alone.spread[0], rel=1e-5)


def test_a_long_way_from_the_origin_the_spread_is_still_that_of_the_window():
    noise = np.random.default_rng(0).normal(size=3000)
    values = 1e5 * np.arange(3000.0) + noise
    flat = np.concatenate([[0.0], np.full(2999, 1e8) + noise[1:]])
    for series in (values, flat):
        _, deviation = moments(series, np.maximum(0, np.arange(3000) - 9), np.array([0, 3000]))
        assert deviation[-1] == pytest.approx(series[-10:].std(), rel=1e-2)


def test_too_little_history_is_not_usable():
    tracks = tracks_of([np.arange(20.0).tolist(), np.full(20, 3.0).tolist()])
    assert tracks.usable[0, :20].tolist() == [False] * (MIN_HISTORY - 1) + [True] * (21 - MIN_HISTORY)
    assert not tracks.usable[0, 20:].any()  # a constant has no scale


def test_the_logarithm_and_back():
    values = np.array([1e-3, 1.0, 50.0])
    assert inverse(transform(values, "log"), "log") == pytest.approx(values)
    assert np.isnan(transform(np.array([0.0, -1.0, np.nan]), "log")).all()
    assert transform(values, "none") is values


def test_a_log_track_has_at_least_the_floor_of_relative_change():
    tracks = tracks_of([[5.0] * 20], how="log")
    assert tracks.spread[0] == pytest.approx(np.full(20, LOG_FLOOR))


def zscores(column):
    """Each present value in units of the gap-filled column up to it."""
    seen = [v for v in column if np.isfinite(v)]
    history, found = [], []
    for value in column:
        history.append(value if np.isfinite(value) else (history[-1] if history else seen[0] if seen else 0.0))
        mean, deviation = np.mean(history), np.std(history)
        there = np.isfinite(value)
        found.append(np.clip((value - mean) / deviation, -8, 8) if there and deviation > 1e-3 else 0.0)
    return found


@given(st.lists(VALUES, min_size=1, max_size=30))
def test_covariates_in_units_of_their_own_past(column):
    panel = make_panel([[1.0] * len(column)], past=column)
    scaled = scaled_numbers(panel.past.numbers, panel)
    assert scaled[:, 1].tolist() == np.isfinite(column).astype(float).tolist()
    for t, expected in enumerate(zscores(column)):
        if np.std([v for v in column[: t + 1] if np.isfinite(v)] or [0.0]) > 0.1:
            assert scaled[t, 0] == pytest.approx(expected, abs=1e-3)


def sums_of(column):
    """Rows, sum, sum of squares, origin and last value, as the memory keeps them."""
    values = np.asarray(column) - column[0]
    return np.array([[len(column), values.sum(), (values**2).sum(), column[0], column[-1]]])


def test_one_more_row_is_scaled_as_it_would_be_in_the_whole_column():
    column = np.random.default_rng(0).normal(size=30)
    column[11] = np.nan
    panel = make_panel([[1.0] * 30], past=column.tolist())
    whole = scaled_numbers(panel.past.numbers, panel)
    sums = sums_of(column[:10])
    for t in range(10, 30):
        scaled, sums = scaled_present(sums, column[t : t + 1])
        assert scaled == pytest.approx(whole[t], abs=1e-5)


def test_a_column_that_begins_late_is_scaled_alike_row_by_row():
    column = np.concatenate([np.full(10, np.nan), 50 + np.random.default_rng(0).normal(size=20)])
    panel = make_panel([[1.0] * 30], past=column.tolist())
    whole = scaled_numbers(panel.past.numbers, panel)
    sums = np.array([[10.0, 0.0, 0.0, 0.0, np.nan]])  # ten rows without a value
    for t in range(10, 30):
        scaled, sums = scaled_present(sums, column[t : t + 1])
        assert scaled == pytest.approx(whole[t], abs=1e-4)


def test_known_values_ahead_are_scaled_as_they_were_in_training():
    """Training reads column t + k scaled by the rows up to t + k; so must predicting."""
    column = np.arange(24.0) ** 1.5  # grows: every later row changes the scale
    panel = make_panel([[1.0] * 24], past=column.tolist())
    whole = scaled_numbers(panel.past.numbers, panel)
    ahead = ahead_numbers(sums_of(column[:20]), column[20:, None])
    assert ahead == pytest.approx(whole[20:], abs=1e-5)
