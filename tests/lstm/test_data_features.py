"""Features that are data among learned ones: no gradient goes to them, and nothing else changes."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from foretell import InputError
from foretell.lstm import LSTM, backend_names, use_backend

SLICES = [slice(0, 3), slice(5, None), slice(2, -2), slice(None), slice(16, 17), slice(4, 4), slice(0)]


def run(layer, x, data):
    """y's sum in random proportions, and its gradients by x and the parameters."""
    y, (h, c) = layer(x, data=data)
    torch.manual_seed(2)
    total = sum((part * torch.randn_like(part)).sum() for part in (y, h, c))
    return total, torch.autograd.grad(total, [x, *layer.parameters()])


def make(features=20, **settings):
    torch.manual_seed(1)
    layer = LSTM(features, 7, dtype=torch.float64, **settings)
    return layer, torch.randn(5, 3, features, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize("data", SLICES, ids=str)
def test_data_gets_no_gradient(data, backend, assert_near):
    if backend == "native":
        pytest.importorskip("foretell._native", reason="the compiled core was not built: no C++ compiler")
    layer, x = make(num_layers=2, bidirectional=True)
    twin = nn.LSTM(20, 7, 2, bidirectional=True, dtype=torch.float64)
    twin.load_state_dict(layer.state_dict())
    torch.manual_seed(2)
    y, (h, c) = twin(x)
    total = sum((part * torch.randn_like(part)).sum() for part in (y, h, c))
    by_x, *by_weights = torch.autograd.grad(total, [x, *twin.parameters()])
    by_x[..., data] = 0
    with use_backend(backend):
        found = run(layer, x, data)
    assert_near(found[0], total)
    assert_near(found[1], (by_x, *by_weights))


@pytest.mark.parametrize("features", [1, 15, 16, 17, 40, 70, 200])
def test_any_number_of_features(features, assert_near):
    layer, x = make(features)
    for data in (slice(features // 3, features - features // 4), slice(features // 2), slice(features // 2, None)):
        _, (by_x, *others) = run(layer, x, None)
        by_x[..., data] = 0
        assert_near(run(layer, x, data)[1], (by_x, *others))


def test_a_wide_layer_whose_inputs_are_few(assert_near):
    layer = LSTM(9, 300)
    x = torch.randn(4, 3, 9, requires_grad=True)
    _, (by_x, *others) = run(layer, x, None)
    by_x[..., 2:5] = 0
    assert_near(run(layer, x, slice(2, 5))[1], (by_x, *others))


def test_packed_and_ragged_rows(assert_near):
    layer, x = make()
    lengths = [5, 2, 4]
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    y, _ = layer(packed, data=slice(3, 9))
    (by_packed,) = torch.autograd.grad(y.data.square().sum(), x)
    y, _ = layer(x, lengths=lengths, data=slice(3, 9))
    (by_ragged,) = torch.autograd.grad(y.square().sum(), x)
    assert_near(by_packed, by_ragged)
    assert not by_ragged[..., 3:9].any()
    assert by_ragged[..., 9:].any()


@pytest.mark.filterwarnings("ignore:.torch.jit.script.* is deprecated:DeprecationWarning")  # torch's own jvp
def test_second_derivatives_and_transforms(assert_near):
    layer, x = make()
    data = slice(2, 12)

    def loss(x):
        return layer(x, data=data)[0].square().sum()

    (by_x,) = torch.autograd.grad(loss(x), x)
    (graph,) = torch.autograd.grad(loss(x), x, create_graph=True)
    assert_near(graph.detach(), by_x)
    (second,) = torch.autograd.grad(graph.square().sum(), x)
    assert not second[..., data].any()
    assert second[..., 12:].any()
    assert_near(torch.func.grad(loss)(x.detach()), by_x)
    ones = torch.ones_like(by_x)
    assert_near(torch.func.jvp(loss, (x.detach(),), (ones,))[1], by_x.sum())
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert_near(torch.autograd.grad(compiled(x), x)[0], by_x)


@pytest.mark.parametrize("data", [3, "all", slice(0, 9, 2), slice(0, 9, 0), slice("a"), slice(1.5), (0, 3)])
def test_what_is_no_slice_of_features_is_an_input_error(data):
    layer, x = make()
    with pytest.raises(InputError, match="data must be"):
        layer(x, data=data)
