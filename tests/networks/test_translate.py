"""The translator's network against torch.nn.LSTM and softmax attention written out, and against itself in parts."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from foretell.networks.translate import TranslateConfig, TranslateNetwork

TOKENS = 11


def make(**sizes):
    torch.manual_seed(0)
    config = {"source": TOKENS, "target": TOKENS, "joint": True, "hidden": 8, "heads": 2} | sizes
    return TranslateNetwork(TranslateConfig(**config)).double().eval()


def sentences(*lengths):
    """Random tokens [S,B], 0 beyond each end, and the lengths."""
    generator = torch.Generator().manual_seed(len(lengths))
    tokens = torch.randint(3, TOKENS, (max(lengths), len(lengths)), generator=generator)
    lengths = torch.tensor(lengths)
    return tokens * (torch.arange(len(tokens))[:, None] < lengths), lengths


def written_out(network, source, before):
    """One sentence [S] and its target [T] through torch.nn.LSTM -> features [T,H]."""
    hidden, heads = network.config.hidden, network.config.heads
    scale = hidden**0.5
    table = network.target_embedding if network.source_embedding is None else network.source_embedding
    x = table.weight[source] * scale
    for number, layer in enumerate(network.encoder):
        y, (h, _) = layer.to_torch()(x)
        x = y + x if number else y
    start = network.bridge(h.flatten())
    h1, c1, h2, c2 = (part[None] for part in start.chunk(4))
    y, _ = network.first.to_torch()(network.target_embedding.weight[before] * scale, (h1.tanh(), c1))
    found = []
    parts = (part.chunk(heads, -1) for part in (network.query(y), network.keys(x), network.values(x)))
    for q, k, v in zip(*parts, strict=True):
        found.append((q @ k.T / (hidden / heads) ** 0.5).softmax(-1) @ v)
    context = torch.cat(found, -1)
    z, _ = network.second.to_torch()(torch.cat((y, context), -1), (h2.tanh(), c2))
    return torch.tanh(network.output(torch.cat((z + y, context), -1)))


@pytest.mark.parametrize("sizes", [{}, {"layers": 3, "heads": 1}, {"joint": False, "source": 20}])
def test_against_torch(sizes):
    network = make(**sizes)
    source, lengths = sentences(5, 3, 1)
    before, _ = sentences(4, 4, 4)
    features, _ = network.decode(before, *network.encode(source, lengths))
    for row, length in enumerate(lengths):
        wanted = written_out(network, source[:length, row], before[:, row])
        torch.testing.assert_close(features[:, row], wanted, rtol=1e-10, atol=1e-10)


def test_step_by_step_is_the_whole():
    network = make()
    source, state = network.encode(*sentences(5, 2))
    before, _ = sentences(6, 6)
    whole, _ = network.decode(before, source, state)
    steps = []
    for tokens in before:
        features, state = network.decode(tokens[None], source, state)
        steps.append(features)
    torch.testing.assert_close(torch.cat(steps), whole, rtol=1e-10, atol=1e-10)


def test_the_loss_is_that_of_the_scores():
    network = make()
    source, lengths = sentences(5, 2)
    before, _ = sentences(4, 4)
    after = torch.tensor([[4, 5], [6, 2], [2, -1], [-1, -1]])
    loss, count = network.loss(source, lengths, before, after, 0.2)
    features, _ = network.decode(before, *network.encode(source, lengths))
    scores = network.scores(features)
    wanted = cross_entropy(scores.flatten(0, 1), after.flatten(), ignore_index=-1, label_smoothing=0.2)
    assert count == 5
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(4, 2).double())


def test_gradients():
    network = make(hidden=4, heads=1)
    source, lengths = sentences(3, 2)
    before, _ = sentences(3, 3)
    after = torch.tensor([[4, 5], [6, 2], [2, -1]])
    parameters = dict(network.named_parameters())

    def loss(*values):
        given = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(network, given, (source, lengths, before, after, 0.1))[0]

    network.forward = network.loss
    assert torch.autograd.gradcheck(loss, tuple(parameters.values()), fast_mode=True)


def test_attention_is_what_the_decoder_used():
    network = make(heads=1)
    source, lengths = sentences(5, 2)
    before, _ = sentences(4, 4)
    encoded = network.encode(source, lengths)
    features, weights = network.attention(before, *encoded)
    torch.testing.assert_close(features, network.decode(before, *encoded)[0])
    assert weights.shape == (4, 2, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 2).double())
    assert (weights[:, 1, 2:] == 0).all()


def test_dropout_has_one_mask_a_row_and_only_in_training():
    network = make(dropout=0.5)
    x = torch.ones(6, 3, 8).double()
    assert torch.equal(network._dropped(x), x)
    dropped = network.train()._dropped(x)
    assert torch.equal(dropped, dropped[:1].expand_as(x))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_vocabularies_are_shared_or_not():
    assert (
        sum(p.numel() for p in make(joint=False).parameters()) - sum(p.numel() for p in make().parameters())
        == TOKENS * 8
    )
