"""Which rows train, which stop and calibrate, and which are kept for the backtest: always in time order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.jobs.forecasting.settings import Settings
from foretell.jobs.forecasting.tracks import MIN_HISTORY
from foretell.sequences.panel import Panel

LARGEST = 1e30  # what single precision still squares
HELD_OUT = 0.25  # the most of a series that the backtest takes
VALIDATION = 0.15  # of what is left, unless the user says how many rows
MOST_VALIDATION = 0.4


@dataclass(frozen=True)
class Split:
    """Row numbers in the panel, [S] each: start <= train <= stop <= end."""

    train: NDArray[np.int64]  # targets before this row train
    stop: NDArray[np.int64]  # targets from `train` to before this row validate; those after it are never seen
    windows: int  # horizons between `stop` and the end of the longest series
    validation: int  # rows between `train` and `stop` of the longest series


def split(panel: Panel, settings: Settings, source: str) -> Split:
    """Cut every series; InputError if not even the longest has rows enough for the horizon."""
    lengths, horizon = panel.lengths, settings.horizon
    check_size(panel, source)
    longest = int(lengths.max(initial=0))
    needed = 3 * horizon + MIN_HISTORY
    if longest < needed:
        most = (longest - MIN_HISTORY) // 3
        shorter = f" or a horizon of at most {most}" if most >= 1 else ""
        raise InputError(
            f"{source}: the longest series has {longest} rows, too few for horizon={horizon}; "
            f"give at least {needed} rows{shorter}."
        )
    windows = min(settings.windows, int(HELD_OUT * longest) // horizon)
    held_out = np.minimum(windows * horizon, (HELD_OUT * lengths).astype(np.int64) // horizon * horizon)
    stop = panel.offsets[1:] - held_out
    left = lengths - held_out
    wanted = settings.validation or max(2 * horizon, int(VALIDATION * (longest - windows * horizon)))
    validation = np.minimum(wanted, (MOST_VALIDATION * left).astype(np.int64))
    return Split(stop - validation, stop, windows, int(validation.max(initial=0)))


def check_size(panel: Panel, source: str) -> None:
    """InputError for a target too large for single precision."""
    largest = float(np.nanmax(np.abs(panel.y), initial=0.0))
    if largest > LARGEST:
        raise InputError(
            f"{source}: the target reaches {largest:.3g}; give it in units that keep it below {LARGEST:g}."
        )
