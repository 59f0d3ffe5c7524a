"""Which events are trained on, and which are tested from what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import InputError
from foretell.jobs.recommending.batches import pieces
from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import cases, held_out, split
from foretell.sequences.events import read_events

ROWS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.integers(0, 30)), min_size=12, max_size=60
)


def read(rows):
    return read_events({name: [row[place] for row in rows] for place, name in enumerate(("user", "item", "time"))})[0]


def test_the_last_event_is_tested_and_the_one_before_chooses():
    events = read([("a", "x", time) for time in range(5)] + [("b", "y", time) for time in range(2)])
    cut = split(events, Settings.of(), "test")
    assert [part.tolist() for part in cut.parts] == [[3, 2], [4, 2], [5, 2]]  # two events are too few to hold out
    tested = cases(events, cut.validation, cut.stop)
    assert (tested.user.tolist(), tested.row.tolist()) == ([0], [4])


@given(ROWS)
def test_a_split_by_time_trains_on_nothing_later_than_what_it_tests(rows):
    events = read(rows)
    ordered = np.sort(events.times)
    border = ordered[int(len(ordered) * 0.8)]
    user = np.repeat(np.arange(len(events.users)), events.lengths)
    early = np.bincount(user[events.times < border], minlength=len(events.users))
    if early.max() < 2:
        with pytest.raises(InputError, match="no user has two events"):
            split(events, Settings.of(split="time"), "test")
        return
    cut = split(events, Settings.of(split="time"), "test")
    within = np.arange(len(events.item)) - events.offsets[user]
    trained, tested = within < cut.train[user], within >= cut.validation[user]
    assert not tested.any() or events.times[trained].max() < events.times[tested].min()
    assert (cut.stop == events.lengths).all()
    chosen = cases(events, cut.validation, cut.stop)
    assert chosen.row.tolist() == [row for row in np.flatnonzero(tested) if within[row] > 0]
    assert (events.offsets[chosen.user] < chosen.row).all()


def test_a_split_by_time_needs_times():
    events, _ = read_events({"user": list("aaab"), "item": list("xyzx")})
    with pytest.raises(InputError, match="needs a column of times"):
        split(events, Settings.of(split="time"), "log")


def test_too_short_a_log_is_refused():
    with pytest.raises(InputError, match=r"log: no user has two events to learn from .*\(3 events of 1 users\)"):
        split(read([("a", "x", time) for time in range(3)]), Settings.of(), "log")


def test_of_a_log_not_trained_on_the_last_event_of_each_user_is_tested():
    events = read([("a", "x", time) for time in range(5)] + [("b", "y", time) for time in range(2)] + [("c", "z", 0)])
    tested = held_out(events, Settings.of(), "log")
    assert tested.row.tolist() == [4, 6]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(2, 9), st.integers(0, 5))
def test_pieces_hold_every_step_once_and_are_short_enough(lengths, longest, seed):
    counts = np.array(lengths)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    first, steps = pieces(offsets, counts, longest, np.random.default_rng(seed))
    found = sorted(row for a, n in zip(first, steps, strict=True) for row in range(a, a + n))
    assert found == [row for a, n in zip(offsets, counts, strict=False) for row in range(a, a + max(n - 1, 0))]
    assert ((steps >= 1) & (steps <= longest)).all()
