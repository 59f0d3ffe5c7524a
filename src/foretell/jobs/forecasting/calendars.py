"""The seasons of a panel: their lengths, and the calendar's phases that the data are long enough to show."""

import numpy as np
from numpy.typing import NDArray

from foretell.sequences import Frequency, Panel
from foretell.sequences.panel import Times

Float32 = NDArray[np.float32]
CYCLES = 2  # a phase seen less often is a trend in disguise, and would be extrapolated as one


def calendar_columns(panel: Panel, season: tuple[int, ...] | None) -> tuple[int, ...]:
    """Which columns of `calendar` go round at least twice within the longest series."""
    longest = int(np.argmax(panel.lengths))
    waves = calendar(panel, longest, np.arange(panel.lengths[longest]), season)
    return tuple(
        column
        for pair in range(0, waves.shape[1], 2)
        if _cycles(waves[:, pair : pair + 2]) >= CYCLES
        for column in (pair, pair + 1)
    )


def calendar(panel: Panel, series: int, positions: NDArray[np.int64], season: tuple[int, ...] | None) -> Float32:
    """Sine and cosine of every phase at grid positions of one series; they may lie in the future, [n, F].

    Integer time knows no calendar: there, the given seasons make the phases.
    """
    times = panel.frequency.times(panel.start[series], positions)
    return calendar_at(panel.frequency, times, season)


def calendar_at(frequency: Frequency, times: Times, season: tuple[int, ...] | None) -> Float32:
    """The same at given times, [n, F]."""
    if frequency.unit != "i":
        return frequency.calendar(times)
    steps = times.astype(np.int64) // frequency.count
    angles = [2 * np.pi * (steps % length) / length for length in season or ()]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1).astype(np.float32) if waves else np.zeros((len(times), 0), np.float32)


def panel_calendar(panel: Panel, season: tuple[int, ...] | None, columns: tuple[int, ...]) -> Float32:
    """The chosen columns at every row of the panel, [N, F]."""
    parts = [
        calendar(panel, series, np.arange(length), season)[:, columns] for series, length in enumerate(panel.lengths)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(columns)), np.float32)


def seasons(panel: Panel, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Season lengths in steps, shortest first, that fit at least twice into the longest series."""
    lengths = given if given is not None else panel.frequency.seasons
    longest = int(panel.lengths.max(initial=0))
    return tuple(length for length in sorted(lengths) if CYCLES * length <= longest)


def _cycles(wave: Float32) -> float:
    """How often a (sine, cosine) pair goes round."""
    angle = np.unwrap(np.arctan2(wave[:, 0], wave[:, 1]))
    return float(abs(angle[-1] - angle[0]) / (2 * np.pi)) if len(angle) else 0.0
