"""Held-out loss against what theory says it must be."""

import numpy as np
import pytest

from foretell.jobs.text import LanguageModel


def entropy_rate(transitions):
    """Nats a symbol of the chain: the entropy of each row, weighted by how often the chain is there."""
    values, vectors = np.linalg.eig(transitions.T)
    often = np.real(vectors[:, np.argmax(np.real(values))])
    often = often / often.sum()
    return float(-(often[:, None] * transitions * np.log(transitions)).sum())


@pytest.mark.parametrize(
    "settings",
    [{}, {"tokens": "bytes"}, {"softmax": "sampled", "samples": 50}, {"softmax": "adaptive"}, {"tied": True}],
    ids=str,
)
def test_the_held_out_loss_of_a_markov_chain_is_its_entropy_rate(chain, transitions, tiny, settings):
    found = LanguageModel(**tiny | settings, held_out=0.4).fit(text=chain(50_000)).evaluate()
    assert found.tokens == 20_000
    assert found.summary["nats"][0] == pytest.approx(entropy_rate(transitions), rel=0.02)


def test_what_a_model_of_a_chain_says_next_are_the_chances_of_the_chain(chain, transitions, tiny):
    model = LanguageModel(**tiny).fit(text=chain(50_000))
    answer = model.stream().step("abcbca")
    found = dict(zip(answer.tokens, answer.probabilities, strict=True))
    np.testing.assert_allclose([found[name] for name in "abc"], transitions[0], atol=0.05)
