"""Competitors in turn, each in a process of its own, so that none's memory or threads serve or disturb another's.

It matters: whether the C library keeps the pages of large tensors from call to call, or gives them back and has
them cleared anew, depends on what else lies on its heap; torch.nn.LSTM may then take twice as long. Here it is told
to keep them all, which is the best that each competitor can have, unless the library's own way is asked for.
"""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from lstm_peers import Case, Shape, make_case, truth
from lstm_timing import (
    OURS,
    SGEMM,
    TOLERANCE,
    Competitor,
    Skipped,
    Turns,
    gigaflops,
    judge,
    medians,
    sgemm,
    take_turns,
)
from torch import Tensor

KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}  # read by glibc's malloc


@dataclass(frozen=True)
class Entry:
    """A competitor, by what makes it of a case; the case is the same wherever it is made."""

    build: Callable[[Case], Competitor | Skipped]
    shape: Shape
    dtype: torch.dtype = torch.float32
    ragged: bool = False
    may_miss: bool = False  # too inexact, it is named as not run; others then end the program

    def make(self) -> Competitor | Skipped:
        """The competitor, in the process that asks."""
        return self.build(make_case(self.shape, self.dtype, self.ragged))


def compare(
    entries: Sequence[Entry], training: bool, where: str, beside: Sequence[Entry] = (), keep_pages: bool = True
) -> dict[str, Any]:
    """Check all, then time them: medians, errors, our ratio to the best peer, the sgemm rate of the same rounds.

    Those beside are not among the peers. `not_run`: who could not take part, and why. Without any peer there is no
    ratio.
    """
    errors, not_run, running = {}, {}, []
    for entry in (*entries, *beside):
        made = entry.make()
        if isinstance(made, Skipped):
            not_run[made.name] = made.why
            continue
        true = _truth(entry.shape, entry.dtype, entry.ragged, training)
        error, complaint = judge(made, true, TOLERANCE[entry.dtype])
        if complaint and not entry.may_miss:
            sys.exit(f"{where}: {complaint}.")
        if complaint:
            not_run[made.name] = f"inexact, {where}: {complaint}"
            continue
        errors[made.name] = error
        running.append((made.name, entry))
    found = medians(_time(running, keep_pages))
    others = {entry: name for name, entry in running if entry in entries and name != OURS}
    row = found | {
        "errors": errors,
        "not_run": not_run,
        "sgemm_gflops": gigaflops(SGEMM**3, found["ms"]["sgemm"]),
    }
    if not others:
        return row
    best = min(others.values(), key=lambda name: found["ms"][name])
    return row | {"best_peer": best, "ratio": found["ms"][best] / found["ms"][OURS]}


@functools.lru_cache(maxsize=1)
def _truth(shape: Shape, dtype: torch.dtype, ragged: bool, training: bool) -> dict[str, Tensor]:
    return truth(make_case(shape, dtype, ragged), training)


def _time(running: Sequence[tuple[str, Entry]], keep_pages: bool) -> dict[str, list[float]]:
    with ExitStack() as open_ones:
        with _environment(KEEP_PAGES if keep_pages else {}):
            remotes = [open_ones.enter_context(closing(Remote(name, entry))) for name, entry in running]
        for remote in remotes:
            remote.wait()
        turns = [*remotes, Turns(sgemm())]
        take_turns(turns)
        return {one.name: one.times for one in turns}


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    """With these variables, for the processes that are started in the block."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Remote:
    """The turns of an entry in a process of its own."""

    def __init__(self, name: str, entry: Entry) -> None:
        self.name, self.times = name, list[float]()
        self._connection, other = multiprocessing.Pipe()
        arguments = (other, entry, torch.get_num_threads())
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()

    def wait(self) -> None:
        """Until the process has made its competitor."""
        self._connection.recv()

    def take(self) -> None:
        """One round of calls."""
        self._connection.send(None)
        self.times = self._connection.recv()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join()


def _serve(connection: Connection, entry: Entry, threads: int) -> None:
    torch.set_num_threads(threads)
    made = entry.make()
    assert isinstance(made, Competitor)
    connection.send(None)
    turns: Turns | None = None  # made in its turn, for that already takes calls
    while _is_asked(connection):
        turns = turns or Turns(made)
        turns.take()
        connection.send(turns.times)


def _is_asked(connection: Connection) -> bool:
    try:
        connection.recv()
    except EOFError:
        return False
    return True
