"""The fused loss against the plain one in float64: value and every gradient, on the kernel and in PyTorch."""

import importlib.util
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from foretell import native
from foretell.networks import head_chunks, head_kernel
from foretell.networks.goal import Goal
from foretell.networks.head import Dropout, Head, make_dropout
from foretell.networks.head_loss import head_loss
from foretell.networks.inputs import Inputs
from foretell.networks.quantiles import pinball, spread_out

BUILT = importlib.util.find_spec("foretell._native") is not None
needs_core = pytest.mark.skipif(not BUILT, reason="the compiled core was not built: no C++ compiler")
PATHS = [pytest.param("native", marks=needs_core), "torch"]


@pytest.fixture(params=PATHS)
def path(request) -> Iterator[str]:
    """Let the kernel do all the work, or PyTorch."""
    with pytest.MonkeyPatch.context() as patch:
        take(patch, request.param)
        yield request.param


def take(patch, path):
    """Leave but one path; the other one fails."""
    if path == "native":
        patch.delattr(head_chunks, "run")
    else:
        patch.setattr(head_kernel, "fits", lambda *_: False)
        patch.delattr(head_kernel, "run")


def make(time, lanes, horizon, quantiles, missing, seed, dtype=torch.float64, units=6, inputs=4, scaled=True):
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
        numbers(time, lanes, units),
        numbers(horizon * quantiles, units),
        numbers(horizon * quantiles),
        numbers(horizon, inputs),
        numbers(horizon, time * lanes),
    ]
    probabilities = torch.linspace(0.05, 0.95, quantiles, dtype=dtype)
    rows = time * lanes
    scale = (numbers(rows), (numbers(rows) - 2).exp()) if scaled else ()  # which takes some beyond the limit
    return [leaf.requires_grad_() for leaf in leaves], Inputs(numbers(inputs, rows), *scale), goal, probabilities


def plain(leaves, inputs, goal, probabilities, dropout):
    hidden, weight, bias, skip, beside = leaves
    if dropout is not None:
        kept = dropout.keep(slice(0, inputs.values.shape[1]), hidden.flatten(0, 1))
        hidden = hidden * (dropout.growth * kept).view_as(hidden)
    out = nn.functional.linear(hidden, weight, bias)
    seen = inputs.values
    if inputs.level is not None:
        seen = ((seen - inputs.level) / inputs.spread).clamp(-10, 10)
    straight = (skip @ seen + beside).T.view(*out.shape[:2], goal.horizon)
    raw = out[..., goal.horizon :].unflatten(-1, (goal.horizon, -1))
    total, count = pinball(spread_out(out[..., : goal.horizon] + straight, raw), *goal.scaled(), probabilities)
    return total / count.clamp(min=1), count


def fused(leaves, inputs, goal, probabilities, dropout):
    hidden, weight, bias, skip, beside = leaves
    return head_loss(hidden, Head(weight, bias, ((skip, inputs),), beside), goal, probabilities, dropout)


def check(shape, path, least, chunk=head_chunks.CHUNK, **sizes):
    """Value and gradients on a path are those of the plain loss."""
    leaves, inputs, goal, probabilities = make(*shape, **sizes)
    dropout = Dropout(shape[-1] << 40 | 7, least) if least else None
    with pytest.MonkeyPatch.context() as patch:
        take(patch, path)
        patch.setattr(head_chunks, "CHUNK", chunk)
        loss, count = fused(leaves, inputs, goal, probabilities, dropout)
    expected, known = plain(leaves, inputs, goal, probabilities, dropout)
    assert count == known
    torch.testing.assert_close(loss, expected)
    grads = torch.autograd.grad(3 * loss, leaves)
    torch.testing.assert_close(grads, torch.autograd.grad(3 * expected, leaves))


@pytest.mark.parametrize("path", PATHS)
@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(
        st.integers(1, 9),  # steps
        st.integers(1, 4),  # lanes
        st.integers(1, 5),  # horizon
        st.sampled_from([1, 3, 5, 7]),  # quantiles
        st.sampled_from([0.0, 0.3, 1.0]),  # missing
        st.integers(0, 99),  # seed
    ),
    least=st.sampled_from([0, 51, 255]),
    chunk=st.sampled_from([1, 50, 10**6]),
    units=st.sampled_from([1, 2, 7, 8, 17]),
    inputs=st.sampled_from([1, 3, 9]),
    scaled=st.booleans(),
)
def test_equals_the_plain_loss_and_its_gradients(path, shape, least, chunk, units, inputs, scaled):
    check(shape, path, least, chunk, units=units, inputs=inputs, scaled=scaled)


@needs_core
@pytest.mark.parametrize("units", [1, 15, 16, 33, 64, 70, 100])
@pytest.mark.parametrize("quantiles", [1, 3, 5])
def test_the_kernel_in_panels_blocks_and_groups(units, quantiles):
    check((31, 37, 7, quantiles, 0.1, units), "native", 51, units=units, inputs=2 * units - 1)


def test_single_precision_is_as_close_as_the_plain_loss(path):
    shape = (16, 8, 12, 5, 0.1, 0)
    leaves, *rest = make(*shape)
    expected = torch.autograd.grad(plain(leaves, *rest, None)[0], leaves)
    single = [leaf.detach().float().requires_grad_() for leaf in leaves]
    inputs, goal, probabilities = rest
    goal = Goal(goal.values.float(), goal.known.float(), goal.learn.float(), goal.spread.float())
    loss, _ = fused(single, Inputs(*(part.float() for part in inputs)), goal, probabilities.float(), None)
    for gradient, wanted in zip(torch.autograd.grad(loss, single), expected, strict=True):
        torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.fixture
def on_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_gives_the_same_bits_on_any_number_of_threads(on_threads, dtype):
    leaves, *rest = make(70, 33, 12, 5, 0.1, 3, dtype, units=40, inputs=30)
    found = []
    for threads in (1, 2, 3, 7):
        on_threads(threads)
        loss, _ = fused(leaves, *rest, Dropout(5, 51))
        found.append((loss.detach(), *torch.autograd.grad(loss, leaves)))
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@needs_core
def test_inputs_of_any_strides_and_several_skips():
    leaves, inputs, goal, probabilities = make(20, 9, 4, 3, 0.1, 0, units=10, inputs=5)
    hidden, weight, bias, skip, _ = leaves
    first, second = (Inputs(part.T.contiguous().T, *inputs[1:]) for part in inputs.values.split([2, 3]))
    whole, _ = head_loss(hidden, Head(weight, bias, ((skip, inputs),), None), goal, probabilities)
    parts, _ = head_loss(
        hidden.transpose(0, 1).contiguous().transpose(0, 1),
        Head(weight, bias, ((skip[:, :2], first), (skip[:, 2:], second)), None),
        goal,
        probabilities,
    )
    assert native.load() is not None
    assert whole == parts
    grads = [torch.autograd.grad(loss, leaves[:4]) for loss in (whole, parts)]
    assert all(map(torch.equal, *grads))


def test_an_unknown_number_is_unknown_in_the_gradients_it_touches(path):
    leaves, *rest = make(3, 2, 2, 3, 0.0, 1)
    leaves[0].data[1, 1, 2] = torch.nan
    loss, _ = fused(leaves, *rest, None)
    by_hidden, by_weight, by_bias, _, by_beside = torch.autograd.grad(loss, leaves)
    assert loss.isnan()
    touched = torch.zeros(3, 2, dtype=torch.bool)
    touched[1, 1] = True
    assert by_hidden.isnan().any(-1).eq(touched).all()
    assert by_weight[:, 2].isnan().all()
    assert by_bias[2:].isnan().all()
    assert not by_beside.isnan().any()


@needs_core
def test_what_does_not_fit_the_kernel_is_left_to_torch():
    (hidden, weight, bias, skip, beside), inputs, goal, probabilities = make(4, 2, 3, 5, 0.2, 0)
    head = Head(weight, bias, ((skip, inputs),), beside)
    rows = hidden.flatten(0, 1)
    assert head_kernel.fits(rows, head, goal, probabilities)
    assert not head_kernel.fits(rows.float(), head, goal, probabilities)
    assert not head_kernel.fits(rows.half(), head, goal, probabilities)
    assert not head_kernel.fits(rows[1:], head, goal, probabilities)
    assert not head_kernel.fits(rows, head, goal, probabilities[1:])
    assert not head_kernel.fits(
        rows, Head(weight, bias, ((skip, Inputs(inputs.values[1:])),), beside), goal, probabilities
    )
    assert not head_kernel.fits(
        rows, Head(weight, bias, ((skip, Inputs(inputs.values.float())),), beside), goal, probabilities
    )
    short = Inputs(inputs.values, inputs.level[1:], inputs.spread)
    assert not head_kernel.fits(rows, Head(weight, bias, ((skip, short),), beside), goal, probabilities)
    assert not head_kernel.fits(rows, Head(weight.to("meta"), bias, (), beside), goal, probabilities)


def test_dropout_keeps_its_share_and_grows_the_rest():
    torch.manual_seed(0)
    dropout = make_dropout(0.2)
    assert dropout is not None
    kept = dropout.keep(slice(0, 4000), torch.empty(4000, 50))
    assert abs(kept.mean() * dropout.growth - 1) < 0.005
    assert torch.equal(kept[7:9], dropout.keep(slice(7, 9), torch.empty(2, 50)))
    assert make_dropout(0.2) != dropout
    assert make_dropout(0.0) is None


@pytest.mark.parametrize("bias", [-200.0, -30.0, 30.0, 79.0, 81.0, 200.0, 1e6])
def test_distances_of_any_size_are_exact_and_finite(bias, path):
    leaves, inputs, goal, probabilities = make(3, 2, 2, 3, 0.0, 1, torch.float32)
    leaves[2].data.fill_(bias)
    loss, _ = fused(leaves, inputs, goal, probabilities, None)
    expected, _ = plain(leaves, inputs, goal, probabilities, None)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves))


@needs_core
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-6), (torch.float64, 1e-15)])
def test_small_distances_are_as_exact_as_large_ones(dtype, most):
    one, none = torch.ones(2, 1, dtype=dtype), torch.zeros(2, 1, dtype=dtype)
    goal = Goal(none, one, one[1:], one[1:])
    for raw in torch.linspace(-80, 80, 333, dtype=dtype):
        bias = torch.stack([none[0, 0], raw, raw]).requires_grad_()
        head = Head(torch.zeros(3, 1, dtype=dtype), bias, (), None)
        loss, _ = head_loss(none[1:].unsqueeze(-1), head, goal, torch.tensor([0.25, 0.5, 0.75], dtype=dtype))
        (gradient,) = torch.autograd.grad(loss, bias)
        exact = raw.double()
        distance = exact.clamp(min=0) + torch.log1p(torch.exp(-exact.abs()))  # the median is right: they are the errors
        assert abs(3 * loss.double() / distance - 1) <= most
        assert abs(6 * gradient[1:].double() / torch.sigmoid(exact) - 1).max() <= most


def test_without_gradients_it_is_the_same_number(path):
    leaves, *rest = make(5, 3, 2, 3, 0.2, 0)
    with torch.no_grad():
        assert fused(leaves, *rest, None)[0] == fused(leaves, *rest, None)[0]
        alone = fused(leaves, *rest, None)[0]
    assert alone == fused(leaves, *rest, None)[0].detach()


def test_a_head_without_skips(path):
    (hidden, weight, bias, _, _), _, goal, probabilities = make(4, 2, 3, 5, 0.2, 0)
    loss, count = head_loss(hidden, Head(weight, bias, (), None), goal, probabilities)
    out = nn.functional.linear(hidden, weight, bias)
    total, _ = pinball(spread_out(out[..., :3], out[..., 3:].unflatten(-1, (3, -1))), *goal.scaled(), probabilities)
    torch.testing.assert_close(loss, total / count)


def test_a_second_derivative_is_refused(path):
    leaves, *rest = make(4, 2, 3, 5, 0.0, 0)
    (gradient,) = torch.autograd.grad(fused(leaves, *rest, None)[0].square(), leaves[1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
