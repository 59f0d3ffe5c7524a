"""Kneser-Ney against a plain implementation by the book, and against the laws of probability."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from foretell.jobs.language.ngrams import FALLBACK, NGrams

V = 3


def discounts(counts):
    n1, n2, n3, n4 = (sum(count == times for count in counts) for times in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return FALLBACK
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if min(found) > 0 else FALLBACK


def documents(tokens):
    parts, part = [], []
    for token in tokens:
        if token == V:
            parts.append(part)
            part = []
        else:
            part.append(token)
    return [*parts, part]


def tables(tokens, order):
    """Counts at the top, continuation counts below: one table of n-gram -> count for each length."""
    raw = [Counter() for _ in range(order)]
    for text in documents(tokens):
        for length in range(1, order + 1):
            raw[length - 1].update(tuple(text[at : at + length]) for at in range(len(text) - length + 1))
    below = [Counter(gram[1:] for gram in raw[length]) for length in range(1, order)]
    return [*below, raw[-1]]


def probability(counts, context, token):
    """p(token | context) by the highest table whose context is long enough, mixed down to the uniform."""
    p = 1 / V
    for length, table in enumerate(counts, 1):
        if length - 1 > len(context):
            break
        before = tuple(context[len(context) - length + 1 :])
        taken = (0.0, *discounts(list(table.values())))
        after = {gram: count for gram, count in table.items() if gram[:-1] == before}
        total = sum(after.values())
        if not total:
            continue
        off = {gram: min(taken[min(count, 3)], count) for gram, count in after.items()}
        gram = (*before, token)
        own = after.get(gram, 0) - off.get(gram, 0.0)
        p = (own + sum(off.values()) * p) / total
    return p


streams = st.lists(st.integers(0, V), min_size=12, max_size=80).filter(lambda one: any(token < V for token in one))


@settings(max_examples=60)
@given(streams, st.lists(st.integers(0, V), min_size=1, max_size=12))
def test_every_order_agrees_with_the_book(tokens, text):
    model = NGrams(np.array(tokens, np.int32), V)
    found = model.log_probabilities(np.array(text, np.int32), 0)
    for order in range(1, 6):
        counts, context = tables(tokens, order), []
        for place, token in enumerate(text):
            if token == V:
                assert found[order - 1, place] == 0
                context = []
            else:
                expected = probability(counts, context, token)
                assert np.exp(found[order - 1, place]) == pytest.approx(expected, rel=1e-9)
                context.append(token)


def test_probabilities_sum_to_one_after_any_context():
    generator = np.random.default_rng(0)
    text = generator.choice(6, 3000, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04]).astype(np.int32)
    text[[0, 1000]] = 6
    model = NGrams(text, 6)
    for length in range(6):
        context = generator.integers(0, 6, length)
        rows = [model.log_probabilities(np.array([*context, token], np.int32), length)[:, 0] for token in range(6)]
        np.testing.assert_allclose(np.exp(rows).sum(axis=0), 1.0, rtol=1e-12)


def test_counts_of_every_size_are_discounted_by_chen_and_goodman():
    text = np.array([*[0] * 40, *[1] * 12, 0, 2, 0, 1, 2, 1, 1, 0], np.int32)
    model = NGrams(text, V, orders=1)
    counts = np.bincount(text)
    taken = np.array(FALLBACK)[np.minimum(counts, 3) - 1]
    expected = (counts - taken + taken.sum() / V) / counts.sum()
    np.testing.assert_allclose(np.exp([model.log_probabilities(np.array([t]), 0)[0, 0] for t in range(V)]), expected)


def test_a_longer_order_is_better_on_a_text_with_longer_habits():
    text = np.tile(np.array([0, 1, 2, 0, 2, 1], np.int32), 100)
    found = NGrams(text, V).log_probabilities(text, 5).mean(axis=1)
    assert (np.diff(found[:3]) > 0).all()
