"""Which events are trained on, which choose the weights, and which are held out: each user's in this order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.jobs.recommending.settings import Settings
from foretell.sequences.events import Events

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The first `train` events of a user are trained on, those up to `validation` choose, those up to `stop` test."""

    train: Integers  # [U]
    validation: Integers  # [U]
    stop: Integers  # [U]

    @property
    def parts(self) -> tuple[Integers, Integers, Integers]:
        """In the order of the fields."""
        return self.train, self.validation, self.stop


@dataclass(frozen=True)
class Cases:
    """n events to be foretold, each from the events of its user before it."""

    user: Integers  # [n]  rising
    row: Integers  # [n]  of the event among all events, rising


def split(events: Events, settings: Settings, source: str) -> Split:
    """By the settings' rule: the last event of each user and the one before it, or the latest of all.

    Raises:
        InputError: no user has two events to learn from, or there are no times to split by.
    """
    lengths = events.lengths
    if settings.split == "time":
        found = _by_time(events, settings, source)
    else:
        enough = lengths >= 3
        found = Split(lengths - 2 * enough, lengths - enough, lengths)
    if not (found.train >= 2).any():
        raise InputError(
            f"{source}: no user has two events to learn from beside those held out; give a longer log "
            f"({int(lengths.sum())} events of {len(lengths)} users)."
        )
    return found


def _by_time(events: Events, settings: Settings, source: str) -> Split:
    if events.times is None:
        raise InputError(f"{source}: a split by time needs a column of times; name it with time=.")
    ordered = np.sort(events.times)
    count = len(ordered)
    borders = [ordered[int(count * (1 - held * settings.share))] for held in (2, 1)]
    user = np.repeat(np.arange(len(events.users)), events.lengths)
    train, validation = (np.bincount(user[events.times < border], minlength=len(events.users)) for border in borders)
    return Split(train, validation, events.lengths)


def cases(events: Events, first: Integers, stop: Integers) -> Cases:
    """The events from `first` [U] up to `stop` [U] of each user that have an event before them."""
    first = np.minimum(np.maximum(first, 1), stop)
    counts = stop - first
    user = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return Cases(user, events.offsets[user] + first[user] + within)


def held_out(events: Events, settings: Settings, source: str) -> Cases:
    """The events of a log not trained on that the settings' rule tests: the last of each user, or the latest."""
    if settings.split == "time":
        return cases(events, _by_time(events, settings, source).validation, events.lengths)
    return cases(events, events.lengths - 1, events.lengths)
