"""Numbers that break arithmetic, in the compiled kernels: NaN, infinities, denormals, dirty memory, large sums."""

import numpy as np
import pytest
import torch

from foretell.lstm import LSTM, memory, use_backend

pytestmark = pytest.mark.usefixtures("native_only")

EXACT = [torch.float32, torch.float64]  # the definition in other types is too coarse to tell
DTYPES = [*EXACT, torch.bfloat16]
HIDDEN = [1, 5, 9, 33]
NAN, INF = torch.nan, torch.inf


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request) -> torch.dtype:
    return request.param


def by_definition(call):
    with use_backend("definition"):
        return call()


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("settings", [{}, {"layer_norm": True}, {"variant": "FGR"}], ids=["plain", "norm", "odd"])
def test_nan_stays_in_its_row_and_its_future(settings, hidden, dtype, make):
    layer = make(3, hidden, **settings).to(dtype)
    x = torch.randn(5, 4, 3, dtype=dtype)
    clean, state = layer(x)
    broken = x.clone()
    broken[2, 1, 0] = NAN
    broken.requires_grad_()
    y, after = layer(broken)
    assert y[2:, 1].isnan().all()
    assert all(part[:, 1].isnan().all() for part in after)
    others = torch.ones(5, 4, dtype=torch.bool)
    others[2:, 1] = False
    assert torch.equal(y[others], clean[others])
    assert all(torch.equal(part[:, [0, 2, 3]], old[:, [0, 2, 3]]) for part, old in zip(after, state, strict=True))
    (gradient,) = torch.autograd.grad(y[:, [0, 2, 3]].sum(), broken)
    expected = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(layer(expected)[0][:, [0, 2, 3]].sum(), expected)
    assert torch.equal(gradient[:, [0, 2, 3]], wanted[:, [0, 2, 3]])


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_what_comes_back_broken_to_one_row_stays_in_its_row_and_its_past(value, dtype, make):
    """In layers of every size, whatever multiplies there."""
    for batch, hidden in [(4, 9), (20, 130)]:
        layer, x = make(3, hidden).to(dtype), torch.randn(5, batch, 3, dtype=dtype, requires_grad=True)
        y, dy = layer(x)[0], torch.randn(5, batch, hidden, dtype=dtype)
        (clean,) = torch.autograd.grad(y, x, dy, retain_graph=True)
        dy[2, 1, 0] = value
        (broken,) = torch.autograd.grad(y, x, dy)
        touched = torch.zeros(5, batch, dtype=torch.bool)
        touched[:3, 1] = True
        assert torch.equal(broken[~touched], clean[~touched])
        assert not torch.isclose(broken[touched], clean[touched]).any()


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "h", "c"])
def test_nan_in_weights_and_states_comes_out(name, dtype, make):
    layer = make(3, 9).to(dtype)
    state = tuple(torch.randn(1, 4, 9, dtype=dtype) for _ in range(2))
    if name in "hc":
        state["hc".index(name)][0, 2] = NAN
    else:
        torch.nn.init.constant_(layer.get_parameter(name), NAN)
    y, _ = layer(torch.randn(5, 4, 3, dtype=dtype), state)
    assert y[:, 2].isnan().all()
    assert y[:, [0, 1, 3]].isnan().all() == (name not in "hc")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_nan_beyond_a_rows_end_reaches_nothing(bidirectional, dtype, options, make):
    layer = make(3, 9, 2, bidirectional=bidirectional, **options).to(dtype)
    lengths = torch.tensor([5, 0, 3, 1])
    beyond = torch.arange(5)[:, None] >= lengths
    clean = torch.randn(5, 4, 3, dtype=dtype).requires_grad_()
    dirty = clean.detach().masked_fill(beyond[..., None], NAN).requires_grad_()
    found = []
    for x in (clean, dirty):
        y, state = layer(x, lengths=lengths)
        upstream = torch.ones_like(y)
        if x is dirty:
            upstream[beyond] = NAN  # y is a constant there
        gradients = torch.autograd.grad([y, *state], [x, *layer.parameters()], [upstream, *map(torch.ones_like, state)])
        found.append((y, *state, *gradients))
        assert not y[beyond].any()
        assert not gradients[0][beyond].any()
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("value", [INF, -INF, 1e30, -1e30])
def test_infinities_saturate(value, dtype, make):
    layer = make(1, 9).to(dtype)
    x = torch.full((4, 3, 1), value, dtype=dtype)
    y, state = layer(x)
    expected, expected_state = by_definition(lambda: layer(x))
    assert y.isfinite().all()
    torch.testing.assert_close((y, *state), (expected, *expected_state))


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@pytest.mark.parametrize("value", [INF, -INF, 1e30])
@pytest.mark.parametrize("name", ["h", "c"])
def test_infinite_and_huge_states_act_as_in_the_definition(name, value, dtype, make):
    layer, x = make(3, 9).to(dtype), torch.randn(4, 3, 3, dtype=dtype)
    state = tuple(torch.randn(1, 3, 9, dtype=dtype) for _ in range(2))
    state["hc".index(name)][0, 1, 4] = value
    expected = by_definition(lambda: layer(x, state))
    torch.testing.assert_close(layer(x, state), expected, equal_nan=True)


@pytest.mark.parametrize(("batch", "hidden"), [(3, 9), (17, 130)])
def test_huge_inputs_have_finite_gradients(batch, hidden, dtype, make):
    layer = make(3, hidden).to(dtype)
    x = (torch.randn(4, batch, 3, dtype=dtype) * 1e15).requires_grad_()
    found = torch.autograd.grad(layer(x)[0].sum(), [x, *layer.parameters()])
    expected = by_definition(lambda: torch.autograd.grad(layer(x)[0].sum(), [x, *layer.parameters()]))
    torch.testing.assert_close(found, expected)


def test_denormals_give_finite_results_and_leave_the_processor_as_it_was(dtype, make, assert_near):
    tiny = torch.finfo(dtype).tiny / 8
    layer, x = make(3, 9).to(dtype), torch.full((5, 4, 3), tiny, dtype=dtype, requires_grad=True)
    torch.nn.init.constant_(layer.weight_hh_l0, tiny)

    def results():
        y, state = layer(x)
        return [y, *state, *torch.autograd.grad(y.sum(), [x, *layer.parameters()])]

    assert_near(results(), by_definition(results))
    assert (torch.full((1_000_000,), tiny, dtype=dtype) * 0.5).all()  # on this thread, and those of the pool


@pytest.mark.parametrize("large", [memory.LARGE, 1], ids=["the system's", "the pool's"])
def test_what_memory_held_before_is_never_read(large, dtype, options, make, assert_near, monkeypatch):
    monkeypatch.setattr(memory, "LARGE", large)
    layer = make(3, 9, 2, bidirectional=True, **options).to(dtype).train()
    x, lengths = torch.randn(6, 5, 3, dtype=dtype, requires_grad=True), [6, 0, 3, 1, 6]

    def leave(value):
        """In freed memory of all sizes that the call may ask for."""
        sizes = [2**power + more for power in range(3, 15) for more in (0, 2 ** (power - 1))]
        held = [memory.empty(x, size).fill_(value) for size in sizes for _ in range(3)]
        held.clear()

    def results(left=NAN):
        torch.manual_seed(2)
        leave(left)
        y, state = layer(x, lengths=lengths)
        leave(left)
        return [y, *state, *torch.autograd.grad(y.sum(), [x, *layer.parameters()])]

    if dtype in EXACT:
        assert_near(results(), by_definition(results))
    assert all(map(torch.equal, results(), results(left=1.0)))


# Up to where the sigmoid of float32 is still a normal number; its neighbourhood of 0 on a logarithmic scale.
SIDE = np.concatenate([np.linspace(0, 87, 20_001), np.logspace(-30, 1.9, 3_001)])
GRID = np.concatenate([SIDE, -SIDE, [100.0, 300.0, 1e30]])


def units_in_the_last_place(found: torch.Tensor, true: np.ndarray) -> float:
    """The largest error in units of the last place of the true values, which are long doubles."""
    values = found.detach().numpy().ravel()
    unit = np.spacing(np.abs(true).astype(values.dtype)).astype(np.longdouble)
    return float((np.abs(values.astype(np.longdouble) - true) / unit).max())


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@torch.no_grad()
def test_activations_are_good_to_a_few_units_in_the_last_place(dtype):
    """One unit without recurrence, all of whose gates see x itself."""
    layer = LSTM(1, 1, bias=False, dtype=dtype)
    torch.nn.init.ones_(layer.weight_ih_l0)
    torch.nn.init.zeros_(layer.weight_hh_l0)
    x = torch.from_numpy(GRID).to(dtype)
    exact = x.numpy().astype(np.longdouble)
    step = layer.trace(x.view(1, -1, 1)).layers[0][0]
    for gate in (step.i, step.f, step.o):
        assert units_in_the_last_place(gate, 1 / (1 + np.exp(-exact))) <= 4
    assert units_in_the_last_place(step.g, np.tanh(exact)) <= 4


@torch.no_grad()
def test_a_sigmoid_too_small_for_its_type_is_nothing_or_next_to_nothing(dtype):
    layer = LSTM(1, 1, bias=False, dtype=dtype)
    torch.nn.init.ones_(layer.weight_ih_l0)
    x = torch.tensor([-710.0, -1e3, -1e30, -INF], dtype=dtype)
    step = layer.trace(x.view(1, -1, 1)).layers[0][0]
    assert ((step.i >= 0) & (step.i <= 2 * torch.finfo(dtype).tiny)).all()
    assert (step.g == -1).all()


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@torch.no_grad()
def test_the_output_activation_is_as_good(dtype):
    """Without gates and with weights of zero, h is the tanh of the given cell state."""
    layer = LSTM(1, 1, bias=False, dtype=dtype, forget_gate=False, output_gate=False)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    c = torch.from_numpy(GRID).to(dtype).view(1, -1, 1)
    h, _ = layer(torch.zeros(1, c.shape[1], 1, dtype=dtype), (torch.zeros_like(c), c))
    assert units_in_the_last_place(h, np.tanh(c.numpy().ravel().astype(np.longdouble))) <= 4
