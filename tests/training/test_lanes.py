"""Lanes: every step of every sequence once an epoch, state carried exactly where it belongs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foretell.training.lanes import Chunks, chunks, count_chunks

LENGTHS = st.lists(st.integers(0, 200), min_size=1, max_size=12)
LANES, STEPS = st.integers(1, 6), st.integers(1, 20)


def epoch(lengths, lanes, steps, seed=0):
    """The chunks one by one."""
    found = chunks(np.array(lengths, np.int64), lanes, steps, np.random.default_rng(seed))
    return [Chunks(*parts) for parts in zip(*vars(found).values(), strict=True)]


@given(LENGTHS, LANES, STEPS, st.integers(0, 5))
def test_every_step_of_every_sequence_exactly_once(lengths, lanes, steps, seed):
    seen = [np.zeros(length, int) for length in lengths]
    for chunk in epoch(lengths, lanes, steps, seed):
        for sequence, first, last in zip(chunk.sequence, chunk.first, chunk.last, strict=True):
            seen[sequence][first:last] += 1
            assert 0 <= first <= last <= lengths[sequence]
            assert last - first <= steps
    assert all((count == 1).all() for count in seen)


@given(LENGTHS, LANES, STEPS, st.integers(0, 5))
def test_a_lane_carries_its_state_only_into_the_very_next_steps(lengths, lanes, steps, seed):
    """Not fresh: the lane goes on where its last chunk, a full one, ended. Fresh: it goes on nowhere."""
    before = None
    for chunk in epoch(lengths, lanes, steps, seed):
        assert len(chunk.sequence) == lanes
        for lane in range(lanes):
            busy = chunk.first[lane] < chunk.last[lane]
            goes_on = (
                before is not None
                and busy
                and before.first[lane] < before.last[lane]
                and before.sequence[lane] == chunk.sequence[lane]
                and before.last[lane] == chunk.first[lane]
            )
            if busy and not chunk.fresh[lane]:
                assert goes_on
                assert before.last[lane] - before.first[lane] == steps
            if before is None:
                assert chunk.fresh[lane]
        before = chunk


@given(LENGTHS, LANES, STEPS)
def test_segments_begin_fresh_and_are_not_shorter_than_they_must_be(lengths, lanes, steps):
    """A sequence begins fresh at 0, and is cut at most once for each share of a lane in it, and once more."""
    longest = max(steps, -(-sum(lengths) // lanes))
    starts = [[] for _ in lengths]
    for chunk in epoch(lengths, lanes, steps):
        for lane in np.flatnonzero(chunk.fresh & (chunk.first < chunk.last)):
            starts[chunk.sequence[lane]].append(int(chunk.first[lane]))
    for length, begun in zip(lengths, starts, strict=True):
        assert (0 in begun) == (length > 0)
        assert len(begun) <= length / longest + 2


def test_the_order_depends_on_the_generator_alone():
    lengths = list(range(5, 90, 7))

    def as_lists(seed):
        return [(c.sequence.tolist(), c.first.tolist(), c.last.tolist()) for c in epoch(lengths, 3, 8, seed)]

    assert as_lists(1) == as_lists(1)
    assert as_lists(1) != as_lists(2)


def test_long_sequences_are_cut_elsewhere_each_epoch():
    def cuts(seed):
        return {int(f) for c in epoch([1000], 4, 10, seed) for f, new in zip(c.first, c.fresh, strict=True) if new}

    assert cuts(0) != cuts(1)


def test_lanes_share_one_long_sequence():
    assert len(epoch([1000], 4, 10)) < 1000 / 10 / 2


@given(LENGTHS, LANES, STEPS)
def test_the_count_of_chunks_is_about_right(lengths, lanes, steps):
    """Not below what the lanes can do at best; the schedule may end early, and holds its last rate then."""
    counted = count_chunks(np.array(lengths, np.int64), lanes, steps)
    assert 1 <= counted <= max(1, len(epoch(lengths, lanes, steps)))


def test_nothing_to_read():
    assert epoch([0, 0], 3, 8) == []
