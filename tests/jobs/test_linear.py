"""The linear start against normal equations solved by hand, and on series that it can predict exactly."""

import numpy as np
import pytest

from foretell.jobs.forecasting.linear import (
    CLIP,
    fit_linear,
    origins,
    scaled_targets,
    window_inputs,
)
from foretell.jobs.forecasting.settings import Scaling
from foretell.jobs.forecasting.tracks import Tracks, make_tracks
from foretell.networks import inputs
from foretell.sequences import Covariates, Frequency, Panel

HORIZON = 3


def make_panel(series: list[np.ndarray]) -> Panel:
    lengths = [len(values) for values in series]
    none = Covariates(np.zeros((sum(lengths), 0)), np.zeros((sum(lengths), 0), np.int64))
    return Panel(
        ids=tuple(f"s{number}" for number in range(len(series))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        start=np.zeros(len(series), np.int64),
        frequency=Frequency.parse("1i"),
        y=np.concatenate(series)[:, None].astype(float),
        past=none,
        known=none,
        static=Covariates(np.zeros((len(series), 0)), np.zeros((len(series), 0), np.int64)),
    )


def scaled(series, context):
    panel = make_panel(series)
    tracks = make_tracks(panel, Scaling(context=context, transform=("none",)), np.zeros((len(panel.y), 0), np.float32))
    ends = panel.offsets[1:]
    return tracks, ends - 30, ends


def fit(tracks, contexts, train, stop, are_positive=False):
    return fit_linear(tracks, contexts, HORIZON, train, stop, are_positive)


def ar2(count, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    values = np.zeros(count)
    for t in range(2, count):
        values[t] = 1.2 * values[t - 1] - 0.6 * values[t - 2] + noise * rng.normal()
    return values


def by_hand(tracks: Tracks, context: int, stop: int, penalty: float) -> np.ndarray:
    """Ridge regression with a free intercept over every usable row of one series: [L + E + 1, H].

    Of a row's horizon at least half must have been observed; its gaps hold their last value.
    """
    usable = [
        t
        for t in range(min(context // 2, stop // 4), stop - HORIZON)
        if tracks.usable[0, t] and tracks.observed[0, t + 1 : t + 1 + HORIZON].mean() >= 0.5
    ]
    inputs, goals = [], []
    for t in usable:
        window = [tracks.values[0, max(0, t - context + 1 + k)] for k in range(context)]
        window = (np.array(window, float) - tracks.values[0, t]) / tracks.spread[0, t]
        inputs.append([*np.clip(window, -CLIP, CLIP), *tracks.linear[0, t], 1.0])
        goal = (tracks.values[0, t + 1 : t + 1 + HORIZON].astype(float) - tracks.values[0, t]) / tracks.spread[0, t]
        goals.append(np.clip(goal, -CLIP, CLIP))
    x, y = np.array(inputs), np.array(goals)
    weights = np.full(x.shape[1], penalty * len(x))
    weights[-1] = 0.0
    augmented = np.concatenate([x, np.diag(np.sqrt(weights))])
    return np.linalg.lstsq(augmented, np.concatenate([y, np.zeros((x.shape[1], HORIZON))]), rcond=None)[0]


def test_ridge_is_least_squares_with_rows_of_penalty(monkeypatch):
    values = ar2(200)
    values[90:95] = np.nan
    tracks, train, stop = scaled([values], 8)
    monkeypatch.setattr("foretell.jobs.forecasting.linear.PENALTIES", (1e-2,))
    found = fit(tracks, [8], train, stop)
    expected = by_hand(tracks, 8, int(train[0]), 1e-2)
    inputs = window_inputs(tracks, 0, np.arange(100, 150), 0, 8)
    assert found(inputs) == pytest.approx(inputs @ expected[:-1] + expected[-1], abs=2e-3)
    # column L - 1 is the last value in its own scale, always 0: its weight is nothing's
    keep = [k for k in range(8) if k != 7]
    assert found.weight.T[keep] == pytest.approx(expected[keep], abs=5e-3)


def test_a_shorter_context_has_no_weight_where_it_does_not_look(monkeypatch):
    """Noise has nothing to see far back: the short window wins, and its solution is the one it has alone."""
    noise = np.random.default_rng(0).normal(size=150)
    tracks, train, stop = scaled([noise], 40)
    monkeypatch.setattr("foretell.jobs.forecasting.linear.NEAR", 0.0)
    monkeypatch.setattr("foretell.jobs.forecasting.linear.PENALTIES", (1e-4,))
    both = fit(tracks, [40, 5], train, stop)
    assert both.weight.shape == (HORIZON, 40 + tracks.linear.shape[-1])
    assert not both.weight[:, :35].any()
    assert both.weight[:, 35:].any()


def test_near_equals_are_averaged(monkeypatch):
    tracks, train, stop = scaled([ar2(300)], 8)

    def fitted(*penalties):
        monkeypatch.setattr("foretell.jobs.forecasting.linear.PENALTIES", penalties)
        return fit(tracks, [8], train, stop)

    one, other = fitted(1e-4), fitted(1e-3)
    assert max(one.error, other.error) < 0.9  # naive is not near
    assert fitted(1e-4, 1e-3).weight == pytest.approx((one.weight + other.weight) / 2)
    monkeypatch.setattr("foretell.jobs.forecasting.linear.NEAR", 9.0)  # now it is
    with_naive = fitted(1e-4, 1e-3)
    assert with_naive.weight == pytest.approx((one.weight + other.weight) / 3)
    assert with_naive.error == min(one.error, other.error)


def test_validation_picks_the_context_that_sees_the_season():
    season = np.tile(np.random.default_rng(1).normal(size=12), 40)
    values = season + 0.05 * np.random.default_rng(2).normal(size=480)
    tracks, train, stop = scaled([values], 24)
    both = fit(tracks, [24, 4], train, stop)
    long = fit(tracks, [24], train, stop)
    short = fit(tracks, [4], train, stop)
    assert long.error < 0.5 * short.error
    assert both.error == pytest.approx(long.error, rel=0.05)


def test_a_sine_is_continued_exactly():
    tracks, train, stop = scaled([np.sin(np.arange(600) * 2 * np.pi / 17)], 34)
    found = fit(tracks, [34], train, stop)
    rows = np.arange(570, 590)
    goal, known = scaled_targets(tracks, 0, rows, HORIZON, 600)
    assert known.all()
    assert np.abs(found(window_inputs(tracks, 0, rows, 0, 34)) - goal).max() < 0.02
    assert found.error < 0.02


def test_an_autoregression_is_predicted_as_well_as_its_own_equation_does():
    values = ar2(3000)
    tracks, _, stop = scaled([values], 6)
    found = fit(tracks, [6], stop - 1000, stop)
    rows = np.arange(2100, 2990)
    guess = found(window_inputs(tracks, 0, rows, 0, 6))[:, 0] * tracks.spread[0, rows] + values[rows]
    truth = 1.2 * values[rows] - 0.6 * values[rows - 1]
    noise = np.abs(values[rows + 1] - truth).mean()
    assert np.abs(values[rows + 1] - guess).mean() < 1.03 * noise


def test_on_a_random_walk_it_repeats_the_last_value():
    walk = np.cumsum(np.random.default_rng(0).normal(size=3000))
    tracks, _, stop = scaled([walk], 10)
    found = fit(tracks, [10], stop - 600, stop)
    assert found.error == pytest.approx(1.0, abs=0.03)
    assert found.error <= 1.0  # naive itself is a candidate


def test_where_naive_is_best_by_far_it_is_the_solution():
    """The swing that was fitted ends where validation begins."""
    values = np.concatenate([np.tile([0.0, 1.0], 100), np.repeat([5.0, 6.0], 15)])
    tracks, train, stop = scaled([values], 8)
    found = fit(tracks, [8], train, stop)
    assert not found.weight.any()
    assert found.error == pytest.approx(1.0)


def test_both_errors_count_where_all_values_are_positive():
    """In units of the step, and as sMAPE's; the mean of the two, each relative to naive."""
    tracks, train, stop = scaled([10 + ar2(300)], 8)
    steps_alone, both = (fit(tracks, [8], train, stop, positive).error for positive in (False, True))
    assert steps_alone != both
    assert steps_alone == pytest.approx(both, rel=0.2)


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_a_series_full_of_gaps_is_still_fitted(share):
    """Gaps hold their last value: origins are fitted while half of their horizon is there."""
    values = 5 * np.sin(np.arange(600) * 2 * np.pi / 12)
    values[np.arange(600) % 4 >= 4 * share] = np.nan
    tracks, train, stop = scaled([values], 24)
    assert fit(tracks, [24], train, stop).error < 0.6


def test_nothing_from_the_validation_rows_on_enters_the_solution(monkeypatch):
    """Where validation rules nothing out, that is: it chooses among the solutions, naive being one."""
    monkeypatch.setattr("foretell.jobs.forecasting.linear.PENALTIES", (1e-3,))
    monkeypatch.setattr("foretell.jobs.forecasting.linear.NEAR", 1e6)
    values = ar2(300)
    other = values.copy()
    other[-30:] += 1000
    found = []
    for series in (values, other):
        tracks, train, stop = scaled([series], 8)
        found.append(fit(tracks, [8], train, stop))
    assert (found[0].weight == found[1].weight).all()
    assert found[0].weight.any()
    assert found[0].error != found[1].error


def test_nothing_from_the_stop_on_enters_at_all():
    values = ar2(300)
    other = values.copy()
    other[-20:] += 1000
    found = []
    for series in (values, other):
        tracks, train, stop = scaled([series], 8)
        found.append(fit(tracks, [8, 4], train - 20, stop - 20))
    assert (found[0].weight == found[1].weight).all()
    assert found[0].error == found[1].error


def test_windows_begin_with_padding_and_equal_the_networks():
    values = ar2(40)
    tracks, _, _ = scaled([values, values * 3], 8)
    rows = np.array([2, 10, 39])
    found = window_inputs(tracks, 0, rows, 0, 8)
    for row, seen in zip(rows, found, strict=True):
        window = values[np.maximum(np.arange(row - 7, row + 1), 0)]
        expected = np.clip((window - values[row]) / tracks.spread[0, row], -CLIP, CLIP)
        assert seen[:8] == pytest.approx(expected, abs=1e-4)
    assert CLIP == inputs.CLIP


def test_targets_stop_where_they_are_told():
    tracks, _, _ = scaled([ar2(40)], 8)
    _, known = scaled_targets(tracks, 0, np.array([30, 35, 36]), HORIZON, 38)
    assert known.tolist() == [[True] * 3, [True, True, False], [True, False, False]]


def test_origins_are_usable_thinned_and_include_the_newest():
    tracks, _, _ = scaled([ar2(500), ar2(500, 1)], 8)
    begin, end = np.array([0, 500]), np.array([480, 980])
    every = [(s, row) for _, s, rows in origins(tracks, begin, end, 10_000) for row in rows.tolist()]
    assert every == [(s, row) for s in (0, 1) for row in range(500 * s, 500 * s + 480) if tracks.usable[0, row]]
    few = [(s, row) for _, s, rows in origins(tracks, begin, end, 100) for row in rows.tolist()]
    assert 80 <= len(few) <= 100
    assert (0, 479) in few
    assert set(few) <= set(every)


def test_series_without_a_usable_row_give_a_solution_of_zeros():
    tracks, train, stop = scaled([np.full(60, 2.0)], 8)
    found = fit(tracks, [8], train, stop)
    assert not found.weight.any()
    assert not found.bias.any()
