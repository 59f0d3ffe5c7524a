"""The seasons of a panel: their lengths, and the calendar's phases that the data are long enough to show."""

import numpy as np
from numpy.typing import NDArray

from foretell.sequences import Frequency, Panel
from foretell.sequences.panel import Times

Float32 = NDArray[np.float32]
BLOCK = 65_536  # rows whose calendar is computed at a time: the way there is wider than the result
CYCLES = 2  # a phase seen less often is a trend in disguise, and would be extrapolated as one


def calendar_columns(panel: Panel, season: tuple[int, ...] | None) -> tuple[int, ...]:
    """Which columns of `calendar` go round at least twice within the longest series."""
    longest = int(np.argmax(panel.lengths))
    length, cycles = int(panel.lengths[longest]), np.zeros(0)
    for first in range(0, length, BLOCK):  # each block begins with the last row of the one before
        positions = np.arange(max(first - 1, 0), min(first + BLOCK, length))
        found = _cycles(calendar(panel, longest, positions, season))
        cycles = found if not len(cycles) else cycles + found
    return tuple(4 * phase + column for phase in np.flatnonzero(cycles >= CYCLES).tolist() for column in range(4))


def calendar(panel: Panel, series: int, positions: NDArray[np.int64], season: tuple[int, ...] | None) -> Float32:
    """Sine and cosine of every phase at grid positions of one series; they may lie in the future, [n, F].

    Integer time knows no calendar: there, the given seasons make the phases.
    """
    times = panel.frequency.times(panel.start[series], positions)
    return calendar_at(panel.frequency, times, season)


def calendar_at(frequency: Frequency, times: Times, season: tuple[int, ...] | None) -> Float32:
    """The same at given times, [n, F]: each phase's wave and, twice as fast, its first overtone."""
    if frequency.unit != "i":
        waves = frequency.calendar(times)
    else:
        steps = times.astype(np.int64) // frequency.count
        angles = [2 * np.pi * (steps % length) / length for length in season or ()]
        found = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
        waves = np.stack(found, axis=1).astype(np.float32) if found else np.zeros((len(times), 0), np.float32)
    sine, cosine = waves[:, 0::2], waves[:, 1::2]
    parts = np.stack([sine, cosine, 2 * sine * cosine, cosine**2 - sine**2], axis=2)  # [n, phases, 4]
    return parts.reshape(len(waves), -1)


def panel_calendar(panel: Panel, season: tuple[int, ...] | None, columns: tuple[int, ...]) -> Float32:
    """The chosen columns at every row of the panel, [N, F]."""
    rows = np.empty((int(panel.offsets[-1]), len(columns)), np.float32)
    for series, length in enumerate(panel.lengths.tolist()):
        for first in range(0, length, BLOCK):
            positions = np.arange(first, min(first + BLOCK, length))
            rows[panel.offsets[series] + positions] = calendar(panel, series, positions, season)[:, columns]
    return rows


def seasons(panel: Panel, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Season lengths in steps, shortest first, that fit at least twice into the longest series."""
    lengths = given if given is not None else panel.frequency.seasons
    longest = int(panel.lengths.max(initial=0))
    return tuple(length for length in sorted(lengths) if CYCLES * length <= longest)


def _cycles(waves: Float32) -> NDArray[np.float64]:
    """How often each phase goes round, [n, 4 x phases] -> [phases]."""
    angles = np.arctan2(waves[:, 0::4], waves[:, 1::4]).astype(np.float64)
    return np.asarray(np.mod(np.diff(angles, axis=0), 2 * np.pi).sum(axis=0) / (2 * np.pi))  # time only goes forward
