"""What one epoch reads."""

import numpy as np
import pytest

from foretell.jobs.language.corpus import make_corpus, make_tokenizer
from foretell.jobs.language.fitting import choose_config, new_network
from foretell.jobs.language.settings import Settings
from foretell.jobs.language.task import FRESH, TextTask
from foretell.sequences.documents import as_documents


def task(text, **settings):
    settings = Settings.of(**{"hidden": 4, "lanes": 4, "steps": 16, "held_out": 0.1} | settings)
    documents = as_documents(text)
    tokenizer = make_tokenizer(documents, settings)
    corpus = make_corpus(documents, tokenizer, settings)
    return TextTask(new_network(choose_config(tokenizer.size, settings), corpus, 0), corpus, settings)


def windows(found, epoch):
    return [(inputs.numpy(), target.numpy()) for inputs, target in found.batches(epoch)]


def test_an_epoch_reads_the_text_once_and_every_target_follows_its_input(chain):
    found = task(chain(2001))
    batches = windows(found, 1)
    assert len(batches) == found.steps_an_epoch
    inputs, target = (np.concatenate(parts).T for parts in zip(*batches, strict=True))  # [lanes, length]
    start = found.network.config.start
    goes_on = (inputs[:, 1:] != start) & (target[:, :-1] >= 0)
    np.testing.assert_array_equal(inputs[:, 1:][goes_on], target[:, :-1][goes_on])
    assert target.size >= len(found.tokens) - 2 * found.lanes
    np.testing.assert_allclose(
        np.bincount(target[target >= 0]), np.bincount(found.tokens[found.tokens < start]), atol=2 * found.lanes
    )


def test_epochs_differ_and_come_again_the_same(chain):
    found = task(chain(2001))
    one, again, other = (windows(found, epoch)[0][0] for epoch in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_some_lanes_begin_anew(chain):
    found = task(chain(40_000))
    first = np.concatenate([inputs[0] for inputs, _ in windows(found, 1)])
    assert np.mean(first == found.network.config.start) == pytest.approx(FRESH, rel=0.3)


def test_what_begins_a_document_is_no_target(chain):
    found = task([chain(50) for _ in range(60)])
    start = found.network.config.start
    target = np.concatenate([target for _, target in windows(found, 3)])
    assert (target != start).all()
    assert (target == -1).sum() == pytest.approx(54 * 0.95, abs=3)
