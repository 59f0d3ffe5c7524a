"""The backtest: forecasts from several cutoffs, each from what was known then, beside the baselines."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.jobs.forecasting.baselines import BASELINES, ahead, baseline_quantiles, best_season
from foretell.jobs.forecasting.dataset import Dataset
from foretell.jobs.forecasting.model import Model
from foretell.jobs.forecasting.predicting import interval_columns, readable_times, unscale
from foretell.jobs.forecasting.running import run
from foretell.jobs.forecasting.scores import Scores, mase_scale
from foretell.jobs.forecasting.tracks import MIN_HISTORY, Tracks, fill
from foretell.sequences import Panel

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
AT_ONCE = 2048  # cutoffs answered at a time
MODEL = "foretell"


@dataclass(frozen=True)
class Evaluation:
    """What a backtest found. Frames are of the kind that the table came in."""

    headline: str  # one sentence: by how much the model beats, or loses to, the best baseline
    summary: pl.DataFrame  # model, mae, rmse, smape, mase, crps, coverage-80, width-80, ...
    windows: pl.DataFrame  # unique_id, (target,) cutoff, ds, y, y_hat, lo-80, hi-80, ..., one column a baseline
    by_horizon: pl.DataFrame  # model, step, mae


@dataclass(frozen=True)
class _Track:
    """One target of one series with its cutoffs, in the user's units."""

    series: int
    target: int
    cutoffs: Rows  # positions in the series
    truth: Floats  # [n]
    values: Floats  # [n] the same, gaps filled
    season: int


def cutoff_positions(panel: Panel, horizon: int, windows: int, step: int, earliest: Rows) -> list[Rows]:
    """The last `windows` positions of each series to forecast from, `step` apart, the last a horizon from its end.

    None lies before `earliest` [S], nor before MIN_HISTORY rows have been observed of every target.
    """
    positions = []
    for series, first in enumerate(earliest.tolist()):
        observed = np.isfinite(panel.y[panel.offsets[series] : panel.offsets[series + 1]])
        ready = observed.cumsum(axis=0).min(axis=1) >= MIN_HISTORY
        found = len(observed) - 1 - horizon - step * np.arange(windows)[::-1]
        found = found[found >= max(first, 0)].astype(np.int64)
        positions.append(found[ready[found]])
    return positions


def evaluate(model: Model, panel: Panel, positions: list[Rows], seen: Rows, source: str) -> Evaluation:
    """Forecast from the given positions of each series; `seen` [S] counts the rows the model was fitted on."""
    if not any(map(len, positions)):
        raise InputError(
            f"{source}: no series has rows enough for one window of {model.settings.horizon} steps that the model "
            "has not seen; give data= with more rows, or fit with windows= of at least 1."
        )
    forecasts = _forecasts(model, panel, positions)
    names = [MODEL, *BASELINES]
    scores = {name: Scores(model.settings.quantiles, model.settings.levels, model.settings.horizon) for name in names}
    frames = []
    for (series, target), quantiles in forecasts.items():
        track = _track(model, panel, series, target, positions[series])
        frames.append(_score_track(model, panel, track, quantiles, scores))
    summary = pl.DataFrame([{"model": name, **score.means()} for name, score in scores.items()])
    windows = readable_times(pl.concat(frames), panel.frequency)
    if len(model.schema.targets) == 1:
        windows = windows.drop("target")
    by_horizon = pl.concat([score.by_step(name) for name, score in scores.items()])
    headline = _headline(summary, max(map(len, positions)), _known_windows(positions, seen))
    return Evaluation(headline, summary, windows, by_horizon)


def _forecasts(model: Model, panel: Panel, positions: list[Rows]) -> dict[tuple[int, int], Floats]:
    """Quantiles [n,H,Q] at the cutoffs of every (series, target), from one pass over the data."""
    tracks, data = model.scale(panel)
    wanted = [begin + found for begin, found in zip(panel.offsets[:-1], positions, strict=True)]
    done = run(model, data, wanted)
    parts = []
    for first in range(0, len(done.row), AT_ONCE):
        block = slice(first, first + AT_ONCE)
        parts.append(_answers(model, data, tracks, done.track[block], done.row[block], [h[block] for h in done.hidden]))
    together = np.concatenate(parts)
    bounds = np.flatnonzero(np.diff(done.track)) + 1
    series = len(panel.ids)
    first_of = np.concatenate([[0], bounds])
    return {
        (int(done.track[at] % series), int(done.track[at] // series)): part
        for at, part in zip(first_of, np.split(together, bounds), strict=True)
    }


@torch.inference_mode()
def _answers(model: Model, data: Dataset, tracks: Tracks, track: Rows, row: Rows, hidden: list[torch.Tensor]) -> Floats:
    steps = data.steps(torch.from_numpy(track), torch.from_numpy(row), 1)
    quantiles = model.quantiles(steps, [h[None] for h in hidden])[0].numpy()
    target, series = track // data.series, track % data.series
    level, spread = tracks.values[target, row], tracks.spread[target, row]
    values = np.empty(quantiles.shape)
    for number in np.unique(target):
        mine = target == number
        values[mine] = unscale(
            model, quantiles[mine], level[mine], spread[mine], tracks.origin[target, series][mine], (number,)
        )
    return values


def _track(model: Model, panel: Panel, series: int, target: int, cutoffs: Rows) -> _Track:
    rows = slice(panel.offsets[series], panel.offsets[series + 1])
    truth = panel.y[rows, target]
    values, _ = fill(truth, np.isfinite(truth), np.array([0, len(truth)]))
    season = best_season(values, model.fitted.seasons, model.settings.horizon, int(cutoffs[0]) + 1)
    return _Track(series, target, cutoffs, truth, values, season)


def _score_track(
    model: Model, panel: Panel, track: _Track, quantiles: Floats, scores: dict[str, Scores]
) -> pl.DataFrame:
    """Add one track to the scores; returns its rows of the windows frame."""
    horizon = model.settings.horizon
    actual = ahead(track.truth, track.cutoffs, horizon)
    scale = mase_scale(track.truth[: int(track.cutoffs[0]) + 1], track.season)
    scores[MODEL].add(quantiles, actual, scale)
    points = []
    for name, method in BASELINES.items():
        rival = baseline_quantiles(
            method, track.values, track.truth, track.cutoffs, horizon, track.season, model.settings.quantiles
        )
        scores[name].add(rival, actual, scale)
        points.append(pl.Series(name, rival[..., rival.shape[-1] // 2].reshape(-1)))
    start = panel.start[track.series]
    steps = track.cutoffs[:, None] + np.arange(1, horizon + 1)
    size = actual.size
    frame = pl.DataFrame(
        {
            "unique_id": [panel.ids[track.series]] * size,
            "target": [model.schema.targets[track.target]] * size,
            "cutoff": np.repeat(panel.frequency.times(start, track.cutoffs), horizon),
            "ds": panel.frequency.times(start, steps.reshape(-1)),
            "y": actual.reshape(-1),
        }
    ).with_columns(pl.col("y").fill_nan(None))
    flat = quantiles.reshape(-1, quantiles.shape[-1])
    return frame.with_columns([*interval_columns(model.settings.levels, flat), *points])


def _known_windows(positions: list[Rows], seen: Rows) -> int:
    """The most windows of a series that begin before its unseen rows do."""
    return max(int((found + 1 < rows).sum()) for found, rows in zip(positions, seen, strict=True))


def _headline(summary: pl.DataFrame, windows: int, known: int) -> str:
    """Skill first, and plainly: the mean absolute error (scaled, MASE) against the best baseline's."""
    errors = dict(zip(summary["model"].to_list(), summary["mase"].to_list(), strict=True))
    mine = errors.pop(MODEL)
    rival = min(errors, key=lambda name: errors[name])
    change = (mine - errors[rival]) / max(errors[rival], 1e-12 * max(mine, 1.0)) * 100
    naive = "the random walk (naive)" if rival == "naive" else rival
    unseen = "unseen window" if windows == 1 else "unseen windows"
    where = f"{windows} {unseen}" if not known else f"{windows} windows, {known} of which it was fitted on"
    figures = f"MASE {mine:.3g} against {errors[rival]:.3g}, {where}"
    if abs(change) < 0.5:
        return f"Foretell does no better or worse than the best baseline, {naive} ({figures})."
    if change < 0:
        return f"Foretell beats the best baseline, {naive}, by {-change:.1f} % ({figures})."
    # Of a baseline that is all but exact the rest has no meaning.
    size = f"{change:.1f} % larger" if change < 900 else "more than ten times as large"
    return f"Foretell does not beat {naive}: its error is {size} ({figures})."
