"""The fused loss against the plain one in float64: value and every gradient, in any number of chunks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foretell.networks import head_loss as module
from foretell.networks.goal import Goal
from foretell.networks.head_loss import Dropout, Head, head_loss
from foretell.networks.quantiles import pinball, spread_out

UNITS, INPUTS = 6, 4


def make(time, lanes, horizon, quantiles, missing, seed, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return torch.randn(*shape, generator=g, dtype=dtype)

    def there(*shape):
        return (torch.rand(*shape, generator=g) >= missing).to(dtype)

    goal = Goal(
        values=numbers(time + horizon, lanes).cumsum(0),
        known=there(time + horizon, lanes),
        learn=there(time, lanes),
        spread=numbers(time, lanes).exp(),
    )
    leaves = [
        numbers(time, lanes, UNITS),
        numbers(horizon * quantiles, UNITS),
        numbers(horizon * quantiles),
        numbers(horizon, INPUTS),
        numbers(horizon, time * lanes),
    ]
    probabilities = torch.linspace(0.05, 0.95, quantiles, dtype=dtype)
    return [leaf.requires_grad_() for leaf in leaves], numbers(INPUTS, time * lanes), goal, probabilities


def plain(leaves, inputs, goal, probabilities, dropout):
    hidden, weight, bias, skip, beside = leaves
    if dropout is not None:
        kept = (dropout.draws >= dropout.least).to(hidden)
        hidden = hidden * (kept * (256 / (256 - dropout.least))).view_as(hidden)
    out = nn.functional.linear(hidden, weight, bias)
    straight = (skip @ inputs + beside).T.view(*out.shape[:2], goal.horizon)
    raw = out[..., goal.horizon :].unflatten(-1, (goal.horizon, -1))
    total, count = pinball(spread_out(out[..., : goal.horizon] + straight, raw), *goal.scaled(), probabilities)
    return total / count.clamp(min=1), count


def fused(leaves, inputs, goal, probabilities, dropout):
    hidden, weight, bias, skip, beside = leaves
    return head_loss(hidden, Head(weight, bias, ((skip, inputs),), beside), goal, probabilities, dropout)


@settings(deadline=None, max_examples=60)
@given(
    time=st.integers(1, 9),
    lanes=st.integers(1, 4),
    horizon=st.integers(1, 5),
    quantiles=st.sampled_from([1, 3, 5, 7]),
    missing=st.sampled_from([0.0, 0.3, 1.0]),
    least=st.sampled_from([0, 51, 255]),
    chunk=st.sampled_from([1, 50, 10**6]),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_loss_and_its_gradients(time, lanes, horizon, quantiles, missing, least, chunk, seed):
    leaves, inputs, goal, probabilities = make(time, lanes, horizon, quantiles, missing, seed)
    draws = torch.randint(0, 256, (time * lanes, UNITS), dtype=torch.uint8)
    dropout = Dropout(draws, least) if least else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        loss, count = fused(leaves, inputs, goal, probabilities, dropout)
    expected, known = plain(leaves, inputs, goal, probabilities, dropout)
    assert count == known
    torch.testing.assert_close(loss, expected)
    grads = torch.autograd.grad(3 * loss, leaves)
    torch.testing.assert_close(grads, torch.autograd.grad(3 * expected, leaves))


def test_single_precision_is_as_close_as_the_plain_loss():
    shape = (16, 8, 12, 5, 0.1, 0)
    leaves, *rest = make(*shape)
    expected = torch.autograd.grad(plain(leaves, *rest, None)[0], leaves)
    single = [leaf.detach().float().requires_grad_() for leaf in leaves]
    inputs, goal, probabilities = rest
    goal = Goal(goal.values.float(), goal.known.float(), goal.learn.float(), goal.spread.float())
    loss, _ = fused(single, inputs.float(), goal, probabilities.float(), None)
    for gradient, wanted in zip(torch.autograd.grad(loss, single), expected, strict=True):
        torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("bias", [-200.0, -30.0, 30.0, 79.0, 81.0, 200.0, 1e6])
def test_distances_of_any_size_are_exact_and_finite(bias):
    leaves, inputs, goal, probabilities = make(3, 2, 2, 3, 0.0, 1, torch.float32)
    leaves[2].data.fill_(bias)
    loss, _ = fused(leaves, inputs, goal, probabilities, None)
    expected, _ = plain(leaves, inputs, goal, probabilities, None)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves))


def test_without_gradients_it_is_the_same_number():
    leaves, *rest = make(5, 3, 2, 3, 0.2, 0)
    with torch.no_grad():
        assert fused(leaves, *rest, None)[0] == fused(leaves, *rest, None)[0]
        alone = fused(leaves, *rest, None)[0]
    assert alone == fused(leaves, *rest, None)[0].detach()


def test_a_head_without_skips():
    (hidden, weight, bias, _, _), _, goal, probabilities = make(4, 2, 3, 5, 0.2, 0)
    loss, count = head_loss(hidden, Head(weight, bias, (), None), goal, probabilities)
    out = nn.functional.linear(hidden, weight, bias)
    total, _ = pinball(spread_out(out[..., :3], out[..., 3:].unflatten(-1, (3, -1))), *goal.scaled(), probabilities)
    torch.testing.assert_close(loss, total / count)


def test_a_second_derivative_is_refused():
    leaves, *rest = make(4, 2, 3, 5, 0.0, 0)
    (gradient,) = torch.autograd.grad(fused(leaves, *rest, None)[0].square(), leaves[1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
