"""How ragged sequences run through a fixed batch: lanes that carry their state from chunk to chunk.

Every sequence is cut into segments; segments are laid end to end on the lanes; all lanes advance together by
one chunk (truncated back-propagation through time, Williams & Peng 1990). A new segment begins at the start
of a chunk, with a fresh state. So every step of every sequence is trained on once an epoch, at O(steps).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Chunks:
    """N steps of all lanes, in order: lane b reads `sequence[n, b]` from `first[n, b]` up to, not including, `last`."""

    sequence: NDArray[np.int64]  # [N,B]
    first: NDArray[np.int64]  # [N,B]
    last: NDArray[np.int64]  # [N,B]  first == last: the lane is idle
    fresh: NDArray[np.bool_]  # [N,B]  a new segment begins: the carried state does not belong to it


def chunks(lengths: NDArray[np.int64], lanes: int, steps: int, generator: np.random.Generator) -> Chunks:
    """One epoch over sequences of these lengths, in an order drawn from the generator."""
    rows = _fill_lanes(_segments(lengths, lanes, steps, generator), lanes, steps, generator)
    count = max(map(len, rows))
    idle = (0, 0, 0, True)
    table = np.array([row + [idle] * (count - len(row)) for row in rows], np.int64).reshape(lanes, count, 4)
    sequence, first, last, fresh = np.ascontiguousarray(table.transpose(2, 1, 0))
    return Chunks(sequence, first, last, fresh.astype(bool))


def count_chunks(lengths: NDArray[np.int64], lanes: int, steps: int) -> int:
    """About how many chunks an epoch has: the schedule's unit."""
    return max(1, -(-int((-(-lengths // steps)).sum()) // lanes))


def _segments(
    lengths: NDArray[np.int64], lanes: int, steps: int, generator: np.random.Generator
) -> list[tuple[int, int, int]]:
    """(sequence, first, last); long sequences are cut so that the lanes can share them, elsewhere each epoch."""
    longest = max(steps, -(-int(lengths.sum()) // lanes))
    segments = []
    for sequence, length in enumerate(lengths.tolist()):
        if length <= 1.5 * longest:
            cuts = [0, length]
        else:
            offset = int(generator.integers(1, longest + 1))
            cuts = [0, *range(offset, length, longest), length]
        segments += [(sequence, a, b) for a, b in pairwise(cuts) if b > a]
    return segments


def _fill_lanes(
    segments: list[tuple[int, int, int]], lanes: int, steps: int, generator: np.random.Generator
) -> list[list[tuple[int, int, int, bool]]]:
    """Longest segment first to the emptiest lane; then each lane's segments in random order, chunk by chunk."""
    loads = np.zeros(lanes, np.int64)
    members: list[list[tuple[int, int, int]]] = [[] for _ in range(lanes)]
    shuffled = [segments[number] for number in generator.permutation(len(segments))]
    for segment in sorted(shuffled, key=lambda segment: segment[1] - segment[2]):
        lane = int(np.argmin(loads))
        members[lane].append(segment)
        loads[lane] += -(-(segment[2] - segment[1]) // steps)
    rows = []
    for parts in members:
        order = [parts[number] for number in generator.permutation(len(parts))]
        rows.append([(s, at, min(at + steps, b), at == a) for s, a, b in order for at in range(a, b, steps)])
    return rows
