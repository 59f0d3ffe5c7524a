"""Ragged sequences in batches: those of like length together, so that little of a batch is padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
NOISE = 0.1  # share of a length by which a shuffled order strays from it


def bucket_batches(
    lengths: Integers, tokens: int, generator: np.random.Generator | None = None
) -> list[NDArray[np.int64]]:
    """Indices of sequences of like length, in batches of at most `tokens` steps, padding included, or one sequence.

    With a generator the batches come in random order, and neighbours in length mix from one call to the next;
    without one, in the order of length.
    """
    keys = lengths.astype(np.float64)
    if generator is not None:
        keys = keys * generator.uniform(1 - NOISE, 1 + NOISE, len(keys)) + generator.random(len(keys))
    order = np.argsort(keys, kind="stable")
    batches, first, longest = [], 0, 0
    for place, index in enumerate(order):
        longest = max(longest, int(lengths[index]))
        if place > first and longest * (place - first + 1) > tokens:
            batches.append(order[first:place])
            first, longest = place, int(lengths[index])
    if len(order):
        batches.append(order[first:])
    return [batches[place] for place in generator.permutation(len(batches))] if generator is not None else batches


def pad(rows: Sequence[Integers], fill: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequences side by side, [T,B], filled up below their ends, and their lengths [B]."""
    lengths = np.array([len(row) for row in rows], np.int64)
    padded = np.full((int(lengths.max(initial=0)), len(rows)), fill, np.int64)
    for column, row in enumerate(rows):
        padded[: len(row), column] = row
    return padded, lengths
