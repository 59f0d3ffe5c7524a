"""Ranks, measures and baselines against the same said in plain loops."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foretell.jobs.recommending.baselines import TOGETHER, baselines
from foretell.jobs.recommending.ranking import gain, hits, percentiles, rank
from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import Cases, cases, split
from foretell.sequences.events import read_events

HISTORIES = st.lists(st.lists(st.sampled_from("abcdef"), min_size=4, max_size=9), min_size=1, max_size=6)


def read(histories):
    rows = [(user, item) for user, history in enumerate(histories) for item in history]
    return read_events({"user": [user for user, _ in rows], "item": [item for _, item in rows]})[0]


def held_out(events):
    cut = split(events, Settings.of(), "test")
    return cut, cases(events, cut.validation, cut.stop)


@given(HISTORIES, st.data())
def test_ranks_are_those_of_plain_counting(histories, data):
    events = read(histories)
    _, chosen = held_out(events)
    score = st.lists(st.integers(0, 3), min_size=len(events.items), max_size=len(events.items))
    scores = [data.draw(score) for _ in histories]  # few values: many ties
    found = rank(lambda part: torch.tensor(scores[part], dtype=torch.float32), events, chosen, 3)
    for user, (history, own) in enumerate(zip(histories, scores, strict=True)):
        by_name = dict(zip(events.items, own, strict=True))
        came, before = history[-1], set(history[:-1])
        assert found.rank_of_all[user] == sum(value >= by_name[came] for value in own)
        ahead = [name for name in events.items if name not in before and by_name[name] >= by_name[came]]
        assert found.rank[user] == (len(events.items) if came in before else len(ahead))
        shown = [events.items[code] for code in found.top[user] if code >= 0]
        new = [name for name in events.items if name not in before]
        assert len(shown) == min(3, len(new))
        assert set(shown) <= set(new)
        assert [by_name[name] for name in shown] == sorted((by_name[name] for name in new), reverse=True)[:3]


def test_a_score_that_is_no_number_counts_against_the_model():
    events = read(["abca", "bcab", "cabc"])
    _, chosen = held_out(events)
    found = rank(lambda part: torch.full((3, 3), torch.nan)[part], events, chosen, 2)
    assert found.rank_of_all.tolist() == [3, 3, 3]


def test_measures_are_those_of_their_definitions():
    events = read(["abcd", "bcda", "cdab"])
    _, chosen = held_out(events)
    scores = torch.tensor([[9.0, 9, 9, 1], [0, 9, 9, 9], [1, 5, 3, 2]])
    found = rank(lambda part: scores[part].clone(), events, chosen, 1).measures(1, np.array([0.1, 0.2, 0.3, 0.4]))
    assert found["hr@1"] == 1.0  # only what came is new to each user
    assert found["hr@1 of all"] == pytest.approx(1 / 3)
    assert found["ndcg@1 of all"] == pytest.approx(1 / 3)
    assert found["mrr"] == 1.0
    assert found["coverage@1"] == 3 / 4
    assert found["popularity"] == pytest.approx((0.4 + 0.1 + 0.2) / 3)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 12))
def test_gain_and_hits_of_ranks(ranks, k):
    array = np.array(ranks)
    assert hits(array, k) == pytest.approx(sum(one <= k for one in ranks) / len(ranks))
    expected = sum(1 / math.log2(one + 1) for one in ranks if one <= k) / len(ranks)
    assert gain(array, k) == pytest.approx(expected)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_percentiles_count_the_less_frequent_and_half_of_the_equal(counts):
    expected = [(sum(b < a for b in counts) + sum(b == a for b in counts) / 2) / len(counts) for a in counts]
    np.testing.assert_allclose(percentiles(np.array(counts)), expected)


@given(HISTORIES)
def test_baselines_are_those_of_plain_loops(histories):
    events = read(histories)
    cut, chosen = held_out(events)
    found = {name: score(slice(None)).numpy() for name, score in baselines(events, cut, events, chosen).items()}
    trained = [history[:-2] for history in histories]
    counts = Counter(item for history in trained for item in history)
    follows = Counter(pair for history in trained for pair in pairwise(history))
    together = Counter(
        (a, b)
        for history in trained
        for i, a in enumerate(history)
        for j, b in enumerate(history)
        if a != b and abs(i - j) <= TOGETHER
    )
    total = sum(counts.values())
    for user, history in enumerate(histories):
        for place, name in enumerate(events.items):
            share = counts[name] / total
            alike = sum(
                together[one, name] / math.sqrt(counts[one] * counts[name])
                for one in history[:-1]
                if together[one, name]
            )
            assert found["popularity"][user, place] == pytest.approx(share)
            assert found["Markov chain"][user, place] == pytest.approx(follows[history[-2], name] + share, rel=1e-5)
            assert found["item-kNN"][user, place] == pytest.approx(alike + 1e-6 * share, rel=1e-4)


def test_nothing_after_a_case_is_used():
    events = read(["abcabc", "bcabca"])
    cut, chosen = held_out(events)
    early = Cases(chosen.user, chosen.row - 2)
    other = read(["abcabd", "bcabce"])  # another future
    names = events.items
    for name, score in baselines(events, cut, events, early).items():
        again = baselines(other, cut, other, early)[name](slice(None))
        assert other.items[: len(names)] == names
        torch.testing.assert_close(again[:, : len(names)], score(slice(None)))
