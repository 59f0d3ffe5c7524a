"""The step between two rows of a series: its name, its grid, its seasons and its calendar."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Unit = Literal["us", "ms", "s", "min", "h", "d", "b", "w", "mo", "q", "y", "i"]  # b business day, i integer time


@dataclass(frozen=True)
class Frequency:
    """`count` steps of `unit` between neighbouring grid points, e.g. Frequency(15, "min")."""

    count: int
    unit: Unit

    @classmethod
    def parse(cls, name: str) -> "Frequency": ...

    @property
    def name(self) -> str: ...

    @property
    def seasons(self) -> tuple[int, ...]:
        """Season lengths in steps, shortest first: hourly (24, 168, 8766), daily (7, 365), ..."""
        ...

    def positions(self, times: NDArray[Any], start: Any) -> NDArray[np.int64]:
        """Grid positions of `times` counted from `start`; -1 where a time is off the grid."""
        ...

    def times(self, start: Any, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Times at the given grid positions counted from `start`."""
        ...

    def calendar(self, times: NDArray[Any]) -> NDArray[np.float32]:
        """Sine and cosine of every season's phase that the calendar knows at `times`, [len(times), 2 x seasons]."""
        ...
