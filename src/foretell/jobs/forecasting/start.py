"""Before the network: choose the context and the transform by the linear start's validation error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.forecasting.calendars import Float32
from foretell.jobs.forecasting.linear import Linear, fit_linear
from foretell.jobs.forecasting.settings import Scaling, Settings, Transform
from foretell.jobs.forecasting.splits import Split
from foretell.jobs.forecasting.tracks import Tracks, make_tracks
from foretell.sequences.panel import Panel

LONGEST = 512  # rows of context at most: the skip's cost grows with it
SHARE = 0.4  # of the median training series: a longer window would mostly be padding


@dataclass(frozen=True)
class Start:
    """The scaling that won, the panel in it, and its linear solution."""

    scaling: Scaling
    tracks: Tracks
    linear: Linear


def choose_start(panel: Panel, settings: Settings, split: Split, seasons: tuple[int, ...], calendar: Float32) -> Start:
    """Fit the linear model under every transform and keep the best on the validation rows."""
    contexts = _contexts(panel, settings, split, seasons)
    starts = []
    lowest = lowest_seen(panel, split.stop)
    for transform in _transforms(lowest):
        scaling = Scaling(context=contexts[0], transform=transform)
        tracks = make_tracks(panel, scaling, calendar)
        linear = fit_linear(tracks, contexts, settings.horizon, split.train, split.stop, bool((lowest > 0).all()))
        starts.append(Start(scaling, tracks, linear))
    return min(starts, key=lambda start: start.linear.error)


def _contexts(panel: Panel, settings: Settings, split: Split, seasons: tuple[int, ...]) -> list[int]:
    """The user's, or several up to LONGEST, longest first: whole seasons, and a season and a horizon."""
    if settings.context is not None:
        return [settings.context]
    trained = split.train - panel.offsets[:-1]
    most = int(np.clip(SHARE * np.median(trained), 4, LONGEST))
    horizon = settings.horizon
    wanted = {horizon, 2 * horizon, 4 * horizon, 91 if not seasons else 13 * seasons[0]}
    wanted |= {times * season for season in seasons for times in (2, 3, 4)}
    wanted |= {season + horizon for season in seasons}
    fitting = sorted({min(max(size, 4), most) for size in wanted})
    return _thinned(fitting)


def _thinned(sizes: list[int], ratio: float = 1.4) -> list[int]:
    """Sizes at least `ratio` apart, the largest first."""
    kept = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        if kept[-1] >= ratio * size:
            kept.append(size)
    return kept


def lowest_seen(panel: Panel, stop: NDArray[np.int64]) -> NDArray[np.float64]:
    """The lowest value of each target before row `stop` [S], [C]; infinite where there is none."""
    seen = np.concatenate([np.arange(a, b) for a, b in zip(panel.offsets[:-1], stop, strict=True)])
    return np.asarray(np.nanmin(panel.y[seen], axis=0, initial=np.inf))


def _transforms(lowest: NDArray[np.float64]) -> list[tuple[Transform, ...]]:
    """As they are, and with the logarithm of every target that is above zero wherever it is seen."""
    plain: list[Transform] = ["none"] * len(lowest)
    logs: list[Transform] = ["log" if low > 0 else "none" for low in lowest]
    return [tuple(plain)] if logs == plain else [tuple(plain), tuple(logs)]
