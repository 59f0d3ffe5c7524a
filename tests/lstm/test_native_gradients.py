"""Gradients of the compiled kernels: by differences, twice over, beside torch.nn.LSTM's, and kept apart."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence

from foretell.lstm import LSTM

pytestmark = pytest.mark.usefixtures("native_only")

NOISY = {
    "zoneout in training": {"zoneout": (0.2, 0.4)},
    "recurrent dropout": {"recurrent_dropout": 0.4},
    "weight drop": {"weight_drop": 0.4},
    "dropout": {"dropout": 0.4},
}


def as_function(layer, time=3, batch=3, **arguments):
    """The layer as a function of x, h, c and all its parameters, and such inputs."""
    torch.manual_seed(4)
    names = [name for name, _ in layer.named_parameters()]
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    if layer.options.gate_recurrence:
        widths.append(len(layer.options.gates) * layer.hidden_size)
    x = torch.randn(time, batch, layer.input_size, dtype=torch.float64)
    given = [torch.randn(rows, batch, width, dtype=torch.float64) for width in widths]

    def call(x, *values):
        torch.manual_seed(3)  # the same noise at every call
        hx, weights = values[: len(given)], dict(zip(names, values[len(given) :], strict=True))
        y, state = functional_call(layer, weights, (x, hx), arguments)
        return (y, *state)

    values = [x, *given, *(parameter.detach().clone() for parameter in layer.parameters())]
    return call, [part.requires_grad_() for part in values]


def ragged(time, batch):
    torch.manual_seed(5)
    lengths = torch.arange(batch).flip(0).clamp(max=time)  # the last row is empty
    return {"lengths": lengths, "reset": torch.rand(time, batch) < 0.3}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_by_differences(bidirectional, options, make):
    layer = make(2, 4, 2 if "residual" in options else 1, bidirectional=bidirectional, **options)
    assert torch.autograd.gradcheck(*as_function(layer), fast_mode=True)
    assert torch.autograd.gradcheck(*as_function(layer.train(), 4, 4, **ragged(4, 4)), fast_mode=True)


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("noise", NOISY.values(), ids=NOISY.keys())
def test_gradients_through_noise(noise, checkpoint, make):
    layer = make(2, 9, 2, bidirectional=True, checkpoint=checkpoint, **noise).train()
    assert torch.autograd.gradcheck(*as_function(layer, **ragged(3, 3)), fast_mode=True)


def test_gradients_of_gradients(options, make):
    layer = make(2, 4, 2 if "residual" in options else 1, **options)
    assert torch.autograd.gradgradcheck(*as_function(layer, 3, 2), fast_mode=True)


@pytest.mark.parametrize("settings", [{}, {"variant": "FGR", "layer_norm": True, "zoneout": 0.3}], ids=["plain", "odd"])
def test_gradients_of_gradients_of_ragged_rows_in_both_directions(settings, make):
    layer = make(2, 3, bidirectional=True, **settings).train()
    assert torch.autograd.gradgradcheck(*as_function(layer, 3, 3, **ragged(3, 3)), fast_mode=True)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_of_gradients_of_packed_rows(bidirectional, make):
    layer = make(2, 3, 2, bidirectional=bidirectional)
    call, (x, *values) = as_function(layer, 4, 3)
    lengths = torch.tensor([2, 4, 1])

    def packed(x, *values):
        rows = pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, *state = call(rows, *values)
        return (y.data, *state)

    assert torch.autograd.gradcheck(packed, (x, *values), fast_mode=True)
    assert torch.autograd.gradgradcheck(packed, (x, *values), fast_mode=True)


SHAPES = [(100, 1, 1, 16), (30, 4, 8, 32), (20, 9, 17, 33), (12, 16, 100, 100), (8, 5, 64, 200), (20, 17, 40, 150)]


def sequence_and_gradients(module, x, weights):
    """y and the gradients of x and all parameters, for a loss with the given weights [T,B,H]."""
    x = x.to(module.weight_ih_l0.dtype).requires_grad_()
    y = module(x)[0]
    loss = (y * weights.to(y.dtype)).sum()
    return [y, *torch.autograd.grad(loss, [x, *module.parameters()])]


def largest_errors(shape, bidirectional, dtype, seed):
    """The largest error of every result, [results, 2] for torch and us, and the scale of each, at least 1."""
    time, batch, inputs, hidden = shape
    torch.manual_seed(seed)
    exact = nn.LSTM(inputs, hidden, bidirectional=bidirectional, dtype=torch.float64)
    exact.load_state_dict({name: values.to(dtype).double() for name, values in exact.state_dict().items()})
    x = torch.randn(time, batch, inputs).to(dtype)
    weights = torch.randn(time, batch, hidden * (2 if bidirectional else 1)).to(dtype)
    rounded = copy.deepcopy(exact).to(dtype)
    modules = exact, rounded, LSTM.from_torch(rounded)
    truth, *found = (sequence_and_gradients(module, x, weights) for module in modules)
    errors = [[(part - true).abs().max().item() for part, true in zip(parts, truth, strict=True)] for parts in found]
    return torch.tensor(errors).T, torch.tensor([max(1.0, true.abs().max().item()) for true in truth])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("dtype", "luck"), [(torch.float32, 1e-7), (torch.bfloat16, 1e-4)], ids=str)
def test_precision_is_no_worse_than_torchs(dtype, luck, shape, bidirectional):
    """The largest error, on average over a few layers, for one alone is a matter of luck."""
    errors, scales = zip(*(largest_errors(shape, bidirectional, dtype, seed) for seed in range(4)), strict=True)
    torchs, ours = torch.stack(errors).mean(0).unbind(-1)
    assert (ours <= 1.5 * torchs + luck * torch.stack(scales).mean(0)).all()


def gradients(layer, y):
    return torch.autograd.grad(y.square().sum(), list(layer.parameters()), retain_graph=True)


def test_calls_do_not_share_what_backward_reads(make):
    layer = make(3, 9, 2, bidirectional=True)
    first, second = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    alone = gradients(layer, layer(first)[0])
    y = layer(first)[0]
    other = layer(second)[0]
    gradients(layer, other)
    assert all(map(torch.equal, gradients(layer, y), alone))
    assert all(map(torch.equal, gradients(layer, y), alone))  # and backward leaves it as it was


@pytest.mark.parametrize("learning", [(2,), (0,), (1, 2), (0, 2)], ids=str)
@pytest.mark.parametrize("from_x", [False, True])
def test_some_layers_of_a_stack_may_be_frozen(learning, from_x, assert_near):
    torch.manual_seed(0)
    theirs = nn.LSTM(4, 6, 3, dtype=torch.float64)
    ours = LSTM.from_torch(theirs)
    x = torch.randn(7, 2, 4, dtype=torch.float64, requires_grad=from_x)
    found = []
    for module in (theirs, ours):
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(int(name[-1]) in learning)
        leaves = [*([x] if from_x else []), *(part for part in module.parameters() if part.requires_grad)]
        y, (h, c) = module(x)
        found.append(torch.autograd.grad(y.square().sum() + h.sum() + c.square().sum(), leaves))
    assert_near(found[1], found[0])


@pytest.mark.parametrize("name", ["x", "weight_ih_l0", "weight_hh_l0", "lengths", "reset"])
def test_a_change_before_backward_is_noticed(name, make):
    layer = make(3, 9)
    x = torch.randn(5, 4, 3, dtype=torch.float64, requires_grad=True)
    given = {"x": x * 1, "lengths": torch.tensor([5, 2, 4, 1]), "reset": torch.rand(5, 4) < 0.3}
    y = layer(given["x"], lengths=given["lengths"], reset=given["reset"])[0]
    with torch.no_grad():
        (given[name] if name in given else layer.get_parameter(name)).fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
