"""Competitors in turn, checked before they are timed."""

import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

SECONDS = 1.0  # of calls for each competitor
MOST_SECONDS = 30.0  # after these a competitor sits out the rounds that are left
ROUNDS = 5
SHORT = 0.05  # calls below this many seconds come in groups, each after a call to warm up
SETTLE = 0.02  # seconds between competitors: the idle threads of the one before spin for a while
SGEMM = 1024  # the square product that tells the machine's own rate
OURS = "Foretell"

# The largest error allowed, as a share of the largest true value of the same tensor. In float32 the plain layer,
# torch's own too, was off by up to 2e-6, and by 1.3e-5 without a forget gate, where the cell grows; in bfloat16,
# which rounds by up to 4e-3, torch's was off by 6e-3, but by 2e-2 to 4e-2 where the CPU has no instructions for it.
TOLERANCE = {torch.float32: 5e-5, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Competitor:
    """A call to time, and how to read its answer."""

    name: str
    call: Callable[[], Any]
    read: Callable[[Any], dict[str, Tensor]]  # the answer by torch's names, for the check
    prepare: Callable[[], None] = lambda: None  # before every call, not timed


@dataclass(frozen=True)
class Skipped:
    """A competitor that could not take part, and why."""

    name: str
    why: str


def check(competitor: Competitor, truth: Mapping[str, Tensor], tolerance: float, where: str) -> float:
    """The largest error as a share of the largest true value of its tensor; the program ends if it is too large."""
    worst, complaint = judge(competitor, truth, tolerance)
    if complaint:
        sys.exit(f"{where}: {complaint}.")
    return worst


def judge(competitor: Competitor, truth: Mapping[str, Tensor], tolerance: float) -> tuple[float, str]:
    """The largest error and "", or the first that is too large and a sentence on it."""
    competitor.prepare()
    found = competitor.read(competitor.call())
    worst = 0.0
    for name, true in truth.items():
        error = _error(found[name], true)
        if not error <= tolerance:  # not >, which a NaN would pass
            return error, f"{name} of {competitor.name} is off by {error:.2g}; the tolerance is {tolerance:.2g}"
        worst = max(worst, error)
    return worst, ""


def _error(found: Tensor, true: Tensor) -> float:
    if found.shape != true.shape:
        return math.inf
    exact = true.double()
    return float((found.double() - exact).abs().max() / exact.abs().max().clamp(min=1e-30))


class Turns:
    """The turns of a competitor in this process, after two calls that tell how long one takes."""

    def __init__(self, competitor: Competitor) -> None:
        self.name, self.times = competitor.name, list[float]()
        self._competitor = competitor
        self._once = min(_timed(competitor), _timed(competitor))

    def take(self) -> None:
        """One round of calls: their seconds join `times`."""
        if self.times and sum(self.times) + self._once > MOST_SECONDS:
            return
        if self._once < SHORT:
            _timed(self._competitor)
        calls = max(1, round(SECONDS / ROUNDS / self._once))
        self.times += [_timed(self._competitor) for _ in range(calls)]


def take_turns(turns: Sequence[Any]) -> None:
    """All rounds, each of them a turn of everybody, so that a slow moment meets them all."""
    for _ in range(ROUNDS):
        for one in turns:
            time.sleep(SETTLE)
            one.take()


def alternate(competitors: Sequence[Competitor]) -> dict[str, list[float]]:
    """Name -> seconds of every call, all competitors in turn in this process."""
    turns = [Turns(one) for one in competitors]
    take_turns(turns)
    return {one.name: one.times for one in turns}


def _timed(competitor: Competitor) -> float:
    competitor.prepare()
    began = time.perf_counter()
    answer = competitor.call()
    taken = time.perf_counter() - began
    del answer  # freeing it is not timed
    return taken


def medians(times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """What an entry keeps of the times: the medians in milliseconds and the numbers of calls."""
    return {
        "ms": {name: 1e3 * median(taken) for name, taken in times.items()},
        "calls": {name: len(taken) for name, taken in times.items()},
    }


def sgemm() -> Competitor:
    """torch.mm of two square float32 matrices: what this machine can reach, asked in the same rounds."""
    a, b, out = torch.randn(SGEMM, SGEMM), torch.randn(SGEMM, SGEMM), torch.empty(SGEMM, SGEMM)
    return Competitor("sgemm", lambda: torch.mm(a, b, out=out), lambda _: {})


def gigaflops(multiply_adds: float, milliseconds: float) -> float:
    """GF/s; a multiply-add is two operations."""
    return 2e-6 * multiply_adds / milliseconds


def summary(ratios: Iterable[float]) -> dict[str, float]:
    """The geometric mean and the smallest of some ratios."""
    found = list(ratios)
    return {"geometric_mean": math.exp(sum(map(math.log, found)) / len(found)), "minimum": min(found)}
