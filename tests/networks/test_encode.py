"""The window's encoding in float64 and float32 against the plain product, in the kernel and in PyTorch."""

import importlib.util
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell import native
from foretell.networks.encode import encode
from foretell.networks.goal import slide
from foretell.networks.inputs import Inputs

BUILT = importlib.util.find_spec("foretell._native") is not None
needs_core = pytest.mark.skipif(not BUILT, reason="the compiled core was not built: no C++ compiler")
PATHS = [pytest.param("native", marks=needs_core), "torch"]


def make(time, lanes, inputs, outputs, parts, seed, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return torch.randn(*shape, generator=g, dtype=dtype)

    windows = slide(numbers(inputs - 1 + time, lanes), time)  # some beyond the limit, in their scale
    seen = Inputs(windows, numbers(time * lanes), (numbers(time * lanes) - 2).exp())
    leaves = [numbers(outputs, inputs), numbers(outputs), *(numbers(time, lanes, width) for width in parts)]
    return seen, [leaf.requires_grad_() for leaf in leaves]


def plain(seen, weight, bias, *parts):
    scaled = ((seen.values - seen.level) / seen.spread).clamp(-10, 10)
    return torch.cat([(scaled.T @ weight.T + bias).view(*parts[0].shape[:2], -1), *parts], -1)


def take(patch, path):
    """Leave but one path; the other one fails."""
    if path == "native":
        patch.setattr(Inputs, "scaled", Mock(side_effect=AssertionError("the window was made")))
    else:
        patch.setattr("foretell.networks.encode._fits", lambda *_: False)


@pytest.mark.parametrize("path", PATHS)
@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(
        st.sampled_from([1, 2, 7, 33]),  # steps
        st.sampled_from([1, 3, 8, 11]),  # lanes
        st.sampled_from([1, 2, 16, 63, 70]),  # inputs
        st.sampled_from([1, 7, 16, 32, 67]),  # outputs
        st.sampled_from([(1,), (0, 2), (3, 1, 2)]),  # parts
        st.integers(0, 99),  # seed
    ),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_equals_the_plain_product_and_its_gradients(path, shape, dtype):
    seen, leaves = make(*shape, dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        take(patch, path)
        x = encode(seen, *leaves)
        outer = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
        gradients = torch.autograd.grad(x, leaves, outer)
    expected = plain(seen, *leaves)
    exact = {"rtol": 2e-5, "atol": 2e-4} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(x, expected, **exact)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, leaves, outer), **exact)


@needs_core
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_number_of_threads_changes_no_bit(dtype):
    seen, leaves = make(70, 33, 200, 40, (3,), 5, dtype)
    before, found = torch.get_num_threads(), []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        x = encode(seen, *leaves)
        found.append((x.detach(), *torch.autograd.grad(x.square().sum(), leaves)))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for others in found[1:] for one, other in zip(found[0], others, strict=True))


def test_an_unknown_number_stays_in_its_row():
    seen, leaves = make(3, 4, 5, 2, (1,), 0)
    seen.level[7] = torch.nan
    x = encode(seen, *leaves)
    assert x[1, 3, :2].isnan().all()
    assert x.isnan().sum() == 2


@needs_core
def test_what_is_not_of_the_kernel_is_left_to_torch():
    seen, leaves = make(3, 4, 5, 2, (1,), 0)
    half = Inputs(*(part.bfloat16() for part in seen)), [leaf.detach().bfloat16() for leaf in leaves]
    assert native.load() is not None
    torch.testing.assert_close(encode(half[0], *half[1]).double(), plain(seen, *leaves), rtol=0.1, atol=0.2)


def test_inputs_that_ask_for_a_gradient_get_it():
    seen, leaves = make(3, 2, 4, 3, (1,), 0)
    wanted = [part.clone().requires_grad_() for part in seen]
    x, expected = encode(Inputs(*wanted), *leaves), plain(Inputs(*wanted), *leaves)
    torch.testing.assert_close(torch.autograd.grad(x.sum(), wanted), torch.autograd.grad(expected.sum(), wanted))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda seen, weight, bias: (Inputs(seen.values[:3], *seen[1:]), weight, bias),
        lambda seen, weight, bias: (Inputs(seen.values[:, :5], *seen[1:]), weight, bias),
        lambda seen, weight, bias: (Inputs(seen.values, seen.level[:4], seen.spread), weight, bias),
        lambda seen, weight, bias: (Inputs(seen.values, seen.level, seen.spread[:4]), weight, bias),
        lambda seen, weight, bias: (seen, weight, bias[:2]),
        lambda seen, weight, bias: (seen, weight, bias.float()),
    ],
)
def test_sizes_that_do_not_fit_never_reach_the_kernel(wrong):
    seen, (weight, bias, part) = make(3, 2, 4, 3, (1,), 0)
    with pytest.raises(RuntimeError, match=r"size|shape|dtype|expand"):
        encode(*wrong(seen, weight, bias), part)


def test_inputs_that_change_before_backward_are_noticed():
    seen, leaves = make(3, 2, 4, 3, (1,), 0)
    x = encode(seen, *leaves)
    seen.level.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()


@pytest.mark.parametrize("watched", [False, True])
def test_no_steps_are_no_trouble(watched):
    seen, (weight, bias, part) = make(1, 2, 4, 3, (2,), 0)
    none = Inputs(*(values[..., :0].requires_grad_(watched) for values in seen))
    assert encode(none, weight, bias, part[:0]).shape == (0, 2, 5)
