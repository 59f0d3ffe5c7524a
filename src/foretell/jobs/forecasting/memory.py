"""From a panel that has been read to the end to the memory that predicting and streaming go on from."""

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.forecasting.dataset import Dataset
from foretell.jobs.forecasting.model import Memory, Model
from foretell.jobs.forecasting.running import Run, run
from foretell.jobs.forecasting.tracks import Tracks, fill
from foretell.sequences import Panel

Floats = NDArray[np.float64]


def remember(model: Model, panel: Panel, scaled: tuple[Tracks, Dataset] | None = None) -> Memory:
    """Read the whole panel and keep its present; `scaled` is what `Model.scale` gives of it."""
    tracks, data = scaled or model.scale(panel)
    nothing = [np.zeros(0, np.int64)] * len(panel.ids)
    return make_memory(model, panel, tracks, data, run(model, data, nothing))


def make_memory(model: Model, panel: Panel, tracks: Tracks, data: Dataset, done: Run) -> Memory:
    """The present after a run over the panel."""
    last = panel.offsets[1:] - 1
    targets = len(tracks.values)
    values = tracks.values.astype(np.float64)
    return Memory(
        length=panel.lengths.astype(np.int64),
        start=panel.start.astype(np.int64),
        window=_windows(tracks, panel, model.fitted.scaling.context),
        origin=tracks.origin.reshape(-1),
        gap=tracks.gap[:, last].reshape(-1),
        count=_per_series(tracks.observed.astype(np.float64), panel).astype(np.int64).reshape(-1),
        sums=np.stack(
            [
                np.tile(panel.lengths.astype(np.float64), targets),
                *(_per_series(values**k, panel).reshape(-1) for k in (1, 2)),
            ],
            axis=1,
        ),
        past=data.past.numpy()[last],
        past_codes=panel.past.codes[last],
        past_sums=_covariate_sums(panel.past.numbers, panel),
        known=data.known.numpy()[last],
        known_codes=panel.known.codes[last],
        known_sums=_covariate_sums(panel.known.numbers, panel),
        static=data.static.numpy(),
        static_codes=panel.static.codes,
        identity=data.identity.numpy(),
        h=done.h.numpy(),
        c=done.c.numpy(),
    )


def _windows(tracks: Tracks, panel: Panel, context: int) -> NDArray[np.float32]:
    """The last `context` values of every track, [R,L]; before its first row stands its first value."""
    rows = (panel.offsets[1:] - 1)[:, None] + np.arange(1 - context, 1)
    rows = np.maximum(rows, panel.offsets[:-1, None])
    return tracks.values[:, rows].reshape(-1, context)


def _per_series(values: Floats, panel: Panel) -> Floats:
    """Sums over the rows of each series, [...,S]."""
    return np.asarray(np.add.reduceat(values, panel.offsets[:-1], axis=-1))


def _covariate_sums(numbers: Floats, panel: Panel) -> Floats:
    """Rows, sum, sum of squares (of the gap-filled column minus its origin), origin and last value, [S,P,5].

    The last value is NaN while none has been seen.
    """
    columns = []
    for column in numbers.T:
        present = np.isfinite(column)
        filled, origin = fill(column, present, panel.offsets)
        values = filled - np.repeat(origin, panel.lengths)
        seen = _per_series(present.astype(np.float64), panel) > 0
        last = np.where(seen, filled[panel.offsets[1:] - 1], np.nan)
        parts = [panel.lengths, _per_series(values, panel), _per_series(values**2, panel), origin, last]
        columns.append(np.stack(parts, axis=1))
    return np.stack(columns, axis=1) if columns else np.zeros((len(panel.ids), 0, 5))
