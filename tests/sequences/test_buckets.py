"""Batches of like length: nothing lost, little padding, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.sequences.buckets import bucket_batches, pad


@given(
    lengths=st.lists(st.integers(1, 60), max_size=200),
    tokens=st.integers(1, 500),
    seed=st.none() | st.integers(0, 9),
)
def test_every_sequence_is_in_one_batch_within_the_limit(lengths, tokens, seed):
    sizes = np.array(lengths, np.int64)
    batches = bucket_batches(sizes, tokens, None if seed is None else np.random.default_rng(seed))
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    assert all(len(batch) == 1 or len(batch) * sizes[batch].max() <= tokens for batch in batches)


@pytest.mark.parametrize("seed", [None, 3])
def test_little_padding(seed):
    sizes = np.random.default_rng(0).integers(5, 40, 5000)
    batches = bucket_batches(sizes, 2000, None if seed is None else np.random.default_rng(seed))
    padded = sum(len(batch) * sizes[batch].max() for batch in batches)
    assert padded < 1.2 * sizes.sum()


def test_shuffled_by_the_generator_alone():
    sizes = np.random.default_rng(0).integers(5, 40, 300)
    first, same, other = (bucket_batches(sizes, 200, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in same]
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in other]


def test_pad():
    padded, lengths = pad([np.array([1, 2, 3]), np.array([4]), np.array([], np.int64)], fill=-1)
    assert padded.T.tolist() == [[1, 2, 3], [4, -1, -1], [-1, -1, -1]]
    assert lengths.tolist() == [3, 1, 0]
