"""The plain layer against torch.nn.LSTM: weights, outputs, states and all gradients, over random settings."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from foretell.lstm import LSTM, backend_names, use_backend

SIZES = st.sampled_from([1, 2, 3, 5, 8, 9])
FLAG = st.booleans()


@dataclass(frozen=True)
class Case:
    layer: LSTM
    module: nn.LSTM
    x: torch.Tensor
    hx: tuple[torch.Tensor, torch.Tensor] | None
    seed: int


@st.composite
def cases(draw: st.DrawFn, **fixed: bool) -> Case:
    seed = draw(st.integers(0, 2**31))
    hidden, inputs, layers = draw(SIZES) + 1, draw(SIZES), draw(st.integers(1, 3))
    values = {name: draw(FLAG) for name in ("bias", "batch_first", "bidirectional", "unbatched")} | fixed
    unbatched = values.pop("unbatched")
    proj = draw(st.integers(0, hidden - 1))
    dropout = draw(st.sampled_from([0.0, 0.4])) if layers > 1 else 0.0
    torch.manual_seed(seed)
    module = nn.LSTM(inputs, hidden, layers, proj_size=proj, dropout=dropout, dtype=torch.float64, **values)
    layer = LSTM.from_torch(module)
    time, batch = draw(st.integers(3, 6)), draw(st.integers(1, 4))
    first = (batch, time) if values["batch_first"] else (time, batch)
    x = torch.randn(*((time,) if unbatched else first), inputs, dtype=torch.float64, requires_grad=True)
    rows = layers * (2 if values["bidirectional"] else 1)
    state = (rows,) if unbatched else (rows, batch)
    hx = (
        torch.randn(*state, proj or hidden, dtype=torch.float64, requires_grad=True),
        torch.randn(*state, hidden, dtype=torch.float64, requires_grad=True),
    )
    return Case(layer, module, x, hx if draw(FLAG) else None, seed)


def results(module, case, call):
    """Outputs and the gradients of everything, with the dropout's random numbers fixed."""
    torch.manual_seed(case.seed)
    y, state = call(module)
    outputs = [y, *state]
    loss = sum((part * torch.linspace(-1, 1, part.numel()).view(part.shape).to(part)).sum() for part in outputs)
    inputs = [case.x, *(case.hx or ()), *module.parameters()]
    return [*outputs, *torch.autograd.grad(loss, inputs)]


@given(case=cases())
@settings(max_examples=40)
def test_dense_input_agrees(case, assert_near):
    def call(module):
        return module(case.x, case.hx)

    assert_near(results(case.layer, case, call), results(case.module, case, call))


@given(case=cases())
@settings(max_examples=40)
def test_the_definition_agrees(case, assert_near):
    case.layer.dropout = case.module.dropout = 0.0  # the two draw their random numbers in another order
    expected = results(case.module, case, lambda module: module(case.x, case.hx))
    with use_backend("definition"):
        actual = results(case.layer, case, lambda module: module(case.x, case.hx))
    assert_near(actual, expected)


@given(case=cases(batch_first=False, unbatched=False), backend=st.sampled_from(backend_names()), data=st.data())
@settings(max_examples=40)
def test_packed_input_agrees(case, backend, data, assert_near):
    case.layer.dropout = case.module.dropout = 0.0
    x, hx = case.x, case.hx
    length = st.integers(1, len(x))
    lengths = data.draw(st.lists(length, min_size=x.shape[1], max_size=x.shape[1]))

    def call(module):
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        y, state = module(packed, hx)
        assert torch.equal(y.batch_sizes, packed.batch_sizes)
        assert torch.equal(y.unsorted_indices, packed.unsorted_indices)
        return y.data, state

    expected = results(case.module, case, call)
    with use_backend(backend):
        assert_near(results(case.layer, case, call), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", backend_names())
def test_single_precision_stays_near_the_exact_numbers(backend, dtype, assert_near):
    torch.manual_seed(0)
    exact = nn.LSTM(7, 33, 2, dtype=torch.float64)
    x = torch.randn(31, 4, 7, dtype=torch.float64)
    with use_backend(backend):
        assert_near(LSTM.from_torch(exact).to(dtype)(x.to(dtype))[0], exact(x)[0])


def test_the_comparison_has_teeth(assert_near):
    torch.manual_seed(0)
    module = nn.LSTM(4, 5, dtype=torch.float64)
    swapped = LSTM.from_torch(module)
    with torch.no_grad():
        i, f, g, o = swapped.weight_hh_l0.chunk(4)
        swapped.weight_hh_l0.copy_(torch.cat([i, g, f, o]))
    x = torch.randn(3, 2, 4, dtype=torch.float64)
    with pytest.raises(AssertionError):
        assert_near(swapped(x)[0], module(x)[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("proj", [0, 3])
def test_same_seed_gives_torchs_weights(proj, bias):
    torch.manual_seed(5)
    expected = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=proj, bias=bias)
    torch.manual_seed(5)
    actual = LSTM(3, 4, 2, bidirectional=True, proj_size=proj, bias=bias)
    assert list(dict(actual.named_parameters())) == list(dict(expected.named_parameters()))
    assert all(map(torch.equal, actual.parameters(), expected.parameters()))
    torch.manual_seed(5)
    more = LSTM(3, 4, 2, bidirectional=True, proj_size=proj, bias=bias, layer_norm=True, peepholes=True)
    assert all(torch.equal(more.get_parameter(name), values) for name, values in expected.named_parameters())


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_state_dicts_interchange(assert_near):
    module, layer = (
        nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
        LSTM(3, 4, 2, bidirectional=True, proj_size=2),
    )
    x = torch.randn(5, 2, 3)
    layer.load_state_dict(module.state_dict())
    assert_near(layer(x)[0], module(x)[0])
    layer.reset_parameters()
    module.load_state_dict(layer.state_dict())
    assert_near(layer(x)[0], module(x)[0])


def test_there_and_back(assert_near):
    module = nn.LSTM(3, 4, 2, batch_first=True, dropout=0.2, bias=False).eval().requires_grad_(False)
    layer = LSTM.from_torch(module)
    back = layer.to_torch()
    assert not back.training
    assert not layer.weight_ih_l0.requires_grad
    assert repr(back) == repr(module) == repr(layer)
    assert [list(map(id, row)) for row in layer.all_weights] != [list(map(id, row)) for row in module.all_weights]
    x = torch.randn(2, 5, 3)
    assert_near(back(x)[0], layer(x)[0])


def test_torch_dropout_between_layers_draws_torchs_numbers(assert_near):
    module = nn.LSTM(3, 4, 3, dropout=0.5)
    layer = LSTM.from_torch(module)
    x = torch.randn(5, 2, 3)
    torch.manual_seed(1)
    expected = module(x)[0]
    torch.manual_seed(1)
    assert_near(layer(x)[0], expected)
