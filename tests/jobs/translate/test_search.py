"""Beam search against one written with lists, one sentence and one hypothesis at a time."""

import math

import numpy as np
import pytest
import torch

from foretell.jobs.translating.model import BEGIN, END, PAD, source_batch, target_batch
from foretell.jobs.translating.searching import MORE, search
from foretell.networks.translate import TranslateConfig, TranslateNetwork

TOKENS = 9


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    config = TranslateConfig(source=TOKENS, target=TOKENS, joint=True, hidden=8, heads=2)
    made = TranslateNetwork(config).double().eval()  # single precision would round some into ties
    with torch.no_grad():
        made.target_embedding.weight.mul_(4)  # so that some tokens are much likelier than others
        made.bias[END] = -1.0
    return made


@pytest.fixture(scope="module")
def sentences():
    rng = np.random.default_rng(0)
    return [rng.integers(3, TOKENS, length).astype(np.int32) for length in (1, 4, 2, 7, 3, 3, 6)]


@torch.no_grad()
def log_probabilities(network, sentence, target):
    """Of the target's tokens and its end, by teacher forcing."""
    before, after = target_batch([np.array(target, np.int32)])
    features, _ = network.decode(before, *network.encode(*source_batch([sentence])))
    return network.scores(features)[:, 0].gather(1, after)[:, 0]


@torch.no_grad()
def next_scores(network, sentence, prefix):
    tokens = torch.tensor([BEGIN, *prefix])[:, None]
    features, _ = network.decode(tokens, *network.encode(*source_batch([sentence])))
    scores = network.scores(features[-1, 0])
    scores[[PAD, BEGIN]] = -math.inf
    return scores.tolist()


def plain_search(network, sentence, beam, penalty):
    limit, growing, found = 2 * (len(sentence) + 1) + MORE, [((), 0.0)], []
    for step in range(1, limit + 1):
        grown = []
        for prefix, total in growing:
            scores = next_scores(network, sentence, prefix)
            allowed = [END] if step == limit else range(TOKENS)
            grown += [((*prefix, token), total + scores[token]) for token in allowed]
        grown = sorted(grown, key=lambda one: -one[1])[: 2 * beam]
        found += [(tokens[:-1], total / len(tokens) ** penalty) for tokens, total in grown[:beam] if tokens[-1] == END]
        growing = [one for one in grown if one[0][-1] != END][:beam]
        if len(found) >= beam:
            break
    return sorted(found, key=lambda one: -one[1])[:beam]


@pytest.mark.parametrize(("beam", "penalty"), [(1, 1.0), (2, 1.0), (5, 1.0), (3, 0.0), (12, 0.6)])
def test_against_lists(network, sentences, beam, penalty):
    for sentence, found in zip(sentences, search(network, sentences, beam, penalty), strict=True):
        wanted = plain_search(network, sentence, beam, penalty)
        assert [one.tokens for one in found] == [tokens for tokens, _ in wanted]
        assert [one.score for one in found] == pytest.approx([score for _, score in wanted], abs=1e-10)


def test_scores_are_those_of_teacher_forcing(network, sentences):
    for sentence, found in zip(sentences, search(network, sentences, 3, 1.0), strict=True):
        for one in found:
            wanted = log_probabilities(network, sentence, one.tokens)
            np.testing.assert_allclose(one.log_probabilities, wanted, atol=1e-10)


@pytest.mark.parametrize("beam", [1, 4])
def test_batches_make_no_difference(network, sentences, beam):
    together = search(network, sentences, beam, 1.0)
    alone = [search(network, [sentence], beam, 1.0)[0] for sentence in sentences]
    turned = search(network, sentences[::-1], beam, 1.0)[::-1]
    for other in (alone, turned):
        assert [[one.tokens for one in best] for best in other] == [[one.tokens for one in best] for best in together]


def test_a_translation_that_never_ends_is_ended(network, sentences):
    with torch.no_grad():
        bias = network.bias[END].item()
        network.bias[END] = -100.0
        found = search(network, sentences, 2, 1.0)
        network.bias[END] = bias
    lengths = [len(one.tokens) for best in found for one in best[:1]]
    assert lengths == [2 * (len(sentence) + 1) + MORE - 1 for sentence in sentences]


def test_no_sentences(network):
    assert search(network, [], 5, 1.0) == []
