"""The language network against torch's own layers, and its options."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from foretell.networks.language import LanguageConfig, LanguageNetwork, penalties

CONFIG = LanguageConfig(
    tokens=7,
    embedding=5,
    hidden=6,
    layers=2,
    tied=False,
    softmax="full",
    samples=0,
    dropout=0.0,
    input_dropout=0.0,
    weight_drop=0.0,
    recurrent_dropout=0.0,
)
FREQUENCIES = torch.tensor([5, 0, 9, 1, 3, 2, 7])


def network(**changed):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LanguageNetwork(replace(CONFIG, **changed), FREQUENCIES)


@pytest.fixture
def tokens():
    return torch.randint(7, (9, 3), generator=torch.Generator().manual_seed(1))


def test_it_is_torchs_lstm_between_an_embedding_and_a_softmax(tokens):
    ours = network().eval()
    x = functional.embedding(tokens, ours.embedding.weight)
    for layer in ours.layers:
        x, _ = layer.to_torch()(x)
    y, raw, _ = ours(tokens)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(raw, x)


def test_the_state_carries_on_and_a_start_begins_anew(tokens):
    ours = network().eval()
    whole, _, _ = ours(tokens)
    first, _, state = ours(tokens[:4])
    second, _, _ = ours(tokens[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    tokens[4] = CONFIG.start
    begun, _, _ = ours(tokens)
    torch.testing.assert_close(begun[4:], ours(tokens[4:])[0])


@pytest.mark.parametrize(
    "changed", [{}, {"tied": True}, {"tied": True, "embedding": 6}, {"softmax": "adaptive"}], ids=str
)
def test_loss_and_probabilities_are_those_of_the_softmax(tokens, changed):
    ours = network(**changed).eval()
    target = torch.randint(-1, 7, (27,), generator=torch.Generator().manual_seed(2))
    x = ours(tokens)[0].flatten(0, 1)
    every = ours.head.all_log_probabilities(x)
    torch.testing.assert_close(every.exp().sum(1), torch.ones(27))
    expected = functional.nll_loss(every, target, ignore_index=-1)
    torch.testing.assert_close(ours.head.loss(x, target), expected)
    chosen = every.gather(1, target.clamp(min=0)[:, None])[:, 0].masked_fill(target < 0, 0)
    torch.testing.assert_close(ours.head.log_probabilities(x, target), chosen)
    found, _ = ours.log_probabilities(tokens, target.view(9, 3), None)
    torch.testing.assert_close(found.flatten(), chosen)


def test_the_sampled_loss_comes_near_the_full_one_with_many_samples(tokens):
    ours = network(softmax="sampled", samples=20_000).train()
    x, target = ours(tokens)[0].flatten(0, 1), tokens.flatten()
    sampled = ours.head.loss(x, target)
    torch.testing.assert_close(sampled, ours.eval().head.loss(x, target), rtol=0.02, atol=0.0)


def test_tied_weights_are_one_parameter():
    ours = network(tied=True)
    assert ours.head.weight is ours.embedding.weight
    assert sum("weight" in name and p.shape == (8, 5) for name, p in ours.named_parameters()) == 1


def test_dropout_is_locked_in_time_and_off_in_evaluation(tokens):
    ours = network(dropout=0.5, layers=1).train()
    y = ours(tokens)[0]
    zero = (y == 0).all(0)
    assert zero.any()
    assert not zero.all()
    assert ((y == 0) == zero).all()
    torch.testing.assert_close(ours.eval()(tokens)[0], network(layers=1).eval()(tokens)[0])


def test_penalties_by_hand():
    x, raw = torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[[2.0]], [[5.0]]])
    assert penalties(x, raw, 2.0, 0.0).item() == 2 * (1 + 9) / 2
    assert penalties(x, raw, 0.0, 3.0).item() == 3 * 9
    assert penalties(x[:1], raw[:1], 0.0, 3.0).item() == 0
