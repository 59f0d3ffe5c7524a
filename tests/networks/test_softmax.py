"""The categorical head against PyTorch's own cross-entropy in float64."""

import math

import pytest
import torch
from torch.nn import functional

from foretell.networks import softmax
from foretell.networks.softmax import cross_entropy, log_likelihood, sampled_cross_entropy

N, H, V = 50, 8, 31


@pytest.fixture
def given(monkeypatch):
    """h, weight, bias, target; few rows a chunk, so that there are many chunks and a shorter last one."""
    monkeypatch.setattr(softmax, "CHUNK", 7 * V)
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    return draw(N, H), draw(V, H), draw(V), torch.randint(0, V, (N,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("ignored", [0, 5, N])
def test_loss_and_gradients(given, smoothing, biased, ignored):
    h, weight, bias, target = given
    target = target.clone()
    target[:ignored] = -1
    loss, count = cross_entropy(h, weight, bias if biased else None, target, smoothing)
    assert count == N - ignored
    if not count:
        assert loss.item() == 0
        return
    wanted = functional.cross_entropy(
        functional.linear(h, weight, bias if biased else None), target, ignore_index=-1, label_smoothing=smoothing
    )
    torch.testing.assert_close(loss, wanted)
    inputs = [h, weight, bias] if biased else [h, weight]
    for one, other in zip(torch.autograd.grad(3 * loss, inputs), torch.autograd.grad(3 * wanted, inputs), strict=True):
        torch.testing.assert_close(one, other)


def test_the_gradient_is_not_differentiated_again(given):
    h, weight, bias, target = given
    (gradient,) = torch.autograd.grad(cross_entropy(h, weight, bias, target)[0], h, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()


def test_the_graph_can_be_used_twice(given):
    h, weight, bias, target = given
    loss, _ = cross_entropy(h, weight, bias, target)
    first, second = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_without_gradients(given):
    h, weight, bias, target = given
    with torch.no_grad():
        loss, _ = cross_entropy(h, weight, bias, target)
    torch.testing.assert_close(loss, -log_likelihood(h, weight, bias, target).mean())


def test_log_likelihood(given):
    h, weight, bias, target = given
    wanted = torch.log_softmax(h @ weight.T + bias, dim=1)[torch.arange(N), target]
    torch.testing.assert_close(log_likelihood(h, weight, bias, target), wanted.detach())
    assert log_likelihood(h[:0], weight, bias, target[:0]).shape == (0,)


def test_every_class_once_is_the_full_softmax(given):
    """With uniform log_q the draws stand for all classes; each row's own is among them and is left out there."""
    h, weight, bias, target = given
    everything = torch.arange(V)
    log_q = torch.full((V,), -math.log(V), dtype=torch.float64)
    loss = sampled_cross_entropy(h, weight, bias, target, everything, log_q)
    torch.testing.assert_close(loss, functional.cross_entropy(h @ weight.T + bias, target))


def test_many_draws_come_near_the_full_softmax(given):
    h, weight, bias, target = given
    q = torch.softmax(torch.randn(V, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), 0)
    drawn = torch.multinomial(q, 200_000, replacement=True, generator=torch.Generator().manual_seed(2))
    loss = sampled_cross_entropy(h, weight, bias, target, drawn, q.log())
    # A draw of the target itself is left out, and its share of the sum is the target's own term.
    wanted = functional.cross_entropy(h @ weight.T + bias, target)
    torch.testing.assert_close(loss, wanted, rtol=0.01, atol=0.01)
