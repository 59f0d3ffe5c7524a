"""Many series on one regular time grid, laid end to end: what readers make and jobs consume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.sequences.frequency import Frequency

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Times = NDArray[np.datetime64] | NDArray[np.int64]


@dataclass(frozen=True)
class Covariates:
    """Columns of one role over the rows of a grid. Numbers: NaN is missing. Codes: 0 is missing or never seen."""

    numbers: Floats  # [N, numeric columns]
    codes: Codes  # [N, categorical columns], into the schema's categories, first category = 1


@dataclass(frozen=True)
class Panel:
    """S series, N grid points in all, C targets. Series s is rows offsets[s]:offsets[s + 1]."""

    ids: tuple[str, ...]  # S
    offsets: NDArray[np.int64]  # [S + 1]
    start: Times  # [S] time of each series' first row: datetime64[us], or int64 for integer time
    frequency: Frequency
    y: Floats  # [N, C], NaN is missing; a gap in the grid is a row of NaN
    past: Covariates  # [N, ...]
    known: Covariates  # [N, ...]
    static: Covariates  # [S, ...] one row a series

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of grid points of each series, [S]."""
        return np.diff(self.offsets)

    def times(self, series: int, first: int, last: int) -> Times:
        """Times of the grid points first..last-1 of a series; may run past its end, into the future."""
        return self.frequency.times(self.start[series], np.arange(first, last))
