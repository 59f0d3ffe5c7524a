"""The layer composes: gradients of gradients, torch.func, compilation, export, copies, autocast."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vmap

from foretell import native
from foretell.lstm import LSTM, LSTMCell, use_backend

# Notices of torch about itself: jvp compiles a script, and oneDNN has no projection.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning", "ignore:LSTM with projections:UserWarning"
)
NOISE = ("recurrent_dropout", "weight_drop")


def as_function(layer, lengths=None, reset=None):
    """The layer as a function of x and all its parameters, with the same random masks at every call."""
    names = [name for name, _ in layer.named_parameters()]

    def call(x, *values):
        torch.manual_seed(3)
        y, state = functional_call(
            layer, dict(zip(names, values, strict=True)), (x,), {"lengths": lengths, "reset": reset}
        )
        return (y, *state)

    return call, tuple(parameter.detach().clone().requires_grad_() for parameter in layer.parameters())


def random_input(time=3, batch=2):
    torch.manual_seed(4)
    return torch.randn(time, batch, 2, dtype=torch.float64, requires_grad=True)


def test_gradients_of_every_option(options, make):
    layer = make(2, 4, 2 if "residual" in options else 1, **options).train()
    call, parameters = as_function(
        layer, lengths=torch.tensor([3, 2]), reset=torch.tensor([[0, 0], [0, 1], [1, 0]]) > 0
    )
    assert torch.autograd.gradcheck(call, (random_input(), *parameters), fast_mode=True)


@pytest.mark.parametrize("name", NOISE)
def test_gradients_through_noise(name, make):
    call, parameters = as_function(make(2, 3, **{name: 0.4}).train())
    assert torch.autograd.gradcheck(call, (random_input(), *parameters), fast_mode=True)


def test_gradients_through_the_trace(options, make, assert_near):
    """What a trace holds can be trained on: every gate and state of every layer."""
    layer, x = make(2, 4, 2, bidirectional=True, **options), random_input()

    def slopes():
        found = [values for one in layer.trace(x, lengths=[3, 2]).layers for part in one for values in part]
        loss = sum((values * torch.linspace(-1, 1, values.numel()).view(values.shape)).sum() for values in found)
        return torch.autograd.grad(loss, [x, *layer.parameters()])

    with use_backend("definition"):
        expected = slopes()
    assert_near(slopes(), expected)


def test_gradients_of_gradients(options, make):
    layer = make(2, 4, 2 if "residual" in options else 1, **options)
    call, parameters = as_function(layer)
    assert torch.autograd.gradgradcheck(call, (random_input(), *parameters), fast_mode=True)


def test_many_gradients_at_once_equal_one_after_the_other(options, make, assert_near):
    """is_grads_batched, and with it torch.autograd.functional.jacobian(vectorize=True)."""
    layer = make(2, 4, 2, bidirectional=True, **options)
    x, parameters = random_input(), list(layer.parameters())
    y, _ = layer(x, lengths=[3, 2])
    outer = torch.randn(5, *y.shape, dtype=y.dtype)

    def slopes(outer, **settings):
        return torch.autograd.grad(y, [x, *parameters], outer, retain_graph=True, **settings)

    expected = [torch.stack(found) for found in zip(*map(slopes, outer), strict=True)]
    assert_near(slopes(outer, is_grads_batched=True), expected)
    assert_near(vmap(slopes)(outer), expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_vectorised_jacobians_and_hessians(layers, make, assert_near):
    layer, x = make(2, 3, layers), random_input().detach()
    whole = torch.autograd.functional
    calls = {whole.jacobian: lambda x: layer(x)[0], whole.hessian: lambda x: layer(x)[0].tanh().sum()}
    for derivative, call in calls.items():
        assert_near(derivative(call, x, vectorize=True), derivative(call, x))
    x = random_input()
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], x, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x, check_batched_grad=True)


def test_double_backward_in_float32_agrees_with_float64(assert_near):
    exact = LSTM(2, 8, dtype=torch.float64)
    x = random_input(5)

    def penalty(layer, x):
        (slope,) = torch.autograd.grad(layer(x)[0].tanh().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), list(layer.parameters()))

    single = copy.deepcopy(exact).float()
    assert_near(penalty(single, x.detach().float().requires_grad_()), penalty(exact, x))


def test_forward_mode_agrees_with_reverse_mode(options, make, assert_near):
    layer = make(2, 4, 2 if "residual" in options else 1, **options)
    call, parameters = as_function(layer)
    x = random_input()
    along = torch.randn_like(x)
    _, (slope, *_) = jvp(lambda x: call(x, *parameters), (x,), (along,))
    weights = torch.randn_like(slope)
    (reverse,) = torch.autograd.grad((call(x, *parameters)[0] * weights).sum(), x)
    assert_near((slope * weights).sum(), (reverse * along).sum())


def test_forward_mode_without_functions(assert_near):
    layer, x = LSTM(2, 3), random_input().detach().float()
    with torch.autograd.forward_ad.dual_level():
        y = layer(torch.autograd.forward_ad.make_dual(x, torch.ones_like(x)))[0]
        slope = torch.autograd.forward_ad.unpack_dual(y).tangent
    assert_near(slope, jvp(lambda x: layer(x)[0], (x,), (torch.ones_like(x),))[1])


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_traced_graph_serves_all_sizes(settings, make, assert_near):
    layer = make(2, 4, 2, **settings).eval()

    def sizes(time, batch):
        x = torch.randn(batch, time, 2) if layer.batch_first else torch.randn(time, batch, 2)
        return x.double(), torch.randint(0, time + 1, (batch,)), torch.rand(x.shape[:2]) > 0.6

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, lengths, reset):
            return self.layer(x, lengths=lengths, reset=reset)

    traced = torch.jit.trace(Whole(), sizes(5, 2))
    given = sizes(9, 3)
    found, expected = traced(*given), Whole()(*given)
    assert_near(found, expected)
    parameters = list(layer.parameters())
    slopes = (torch.autograd.grad(y.square().sum(), parameters) for y, _ in (found, expected))
    assert_near(*slopes)


def test_vmap_over_inputs_equals_a_loop(options, make, assert_near):
    layer = make(2, 4, 2 if "residual" in options else 1, bidirectional=True, **options)
    x = torch.randn(3, 5, 2, 2, dtype=torch.float64)
    lengths = torch.tensor([[5, 2], [0, 3], [1, 5]])
    y = vmap(lambda x, lengths: layer(x, lengths=lengths)[0])(x, lengths)
    assert_near(y, torch.stack([layer(one, lengths=length)[0] for one, length in zip(x, lengths, strict=True)]))


def test_vmap_over_weights_runs_an_ensemble(make, assert_near):
    layers = [make(2, 4, seed=seed, peepholes=True) for seed in range(3)]
    stacked, _ = torch.func.stack_module_state(layers)
    x = random_input().detach()
    y = vmap(lambda weights: functional_call(layers[0], weights, (x,))[0])(stacked)
    assert_near(y, torch.stack([layer(x)[0] for layer in layers]))


def test_random_masks_under_vmap_differ_on_request(make):
    layer = make(2, 4, zoneout=0.5, recurrent_dropout=0.3, weight_drop=0.3).train()
    x = random_input().detach().expand(3, -1, -1, -1)
    y = vmap(lambda x: layer(x)[0], randomness="different")(x)
    assert not torch.equal(y[0], y[1])


def test_gradients_for_each_sample(make, assert_near):
    layer = make(2, 4)
    parameters, x = dict(layer.named_parameters()), random_input(4, 3).detach()

    def loss(parameters, row):
        return functional_call(layer, parameters, (row[:, None],))[0].square().sum()

    found = vmap(grad(loss), in_dims=(None, 1))(parameters, x)
    for row in range(3):
        expected = torch.autograd.grad(loss(parameters, x[:, row]), list(parameters.values()))
        assert_near([values[row] for values in found.values()], expected)


COMPILED = [{}, {"bidirectional": True, "variant": "FGR", "layer_norm": True}]


@pytest.mark.parametrize("settings", COMPILED, ids=["plain", "both directions of a variant"])
def test_compiles_in_one_graph(settings, make, assert_near):
    layer, x, lengths = make(2, 4, **settings), random_input(), torch.tensor([3, 1])
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)

    def results(module):
        y, state = module(x, lengths=lengths)
        return [y, *state, *torch.autograd.grad(y.sum() + state[1].sum(), [x, *layer.parameters()])]

    assert_near(results(compiled), results(layer))


def test_the_cell_compiles_in_one_graph(assert_near):
    cell, x = LSTMCell(2, 4), torch.randn(3, 2)
    assert_near(torch.compile(cell, backend="eager", fullgraph=True)(x), cell(x))


def test_exports(make, assert_near):
    layer, x = make(2, 4, peepholes=True), random_input().detach()
    program = torch.export.export(layer, (x,), strict=True)
    assert_near(program.module()(x), layer(x))


def test_without_the_compiled_core_all_of_it_composes(make, assert_near, monkeypatch):
    layer, x = make(2, 4, peepholes=True), random_input().detach()
    expected, slopes = layer(x), grad(lambda x: layer(x)[0].sum())(x)
    monkeypatch.setattr(native, "load", lambda: None)
    torch.compiler.reset()
    assert_near(torch.compile(layer, backend="eager", fullgraph=True)(x), expected)
    program = torch.export.export(layer, (x,))
    assert not any("foretell" in str(node.target) for node in program.graph.nodes)
    assert_near(program.module()(x), expected)
    assert_near(grad(lambda x: layer(x)[0].sum())(x), slopes)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_are_independent(duplicate, options, make):
    layer, x = make(2, 4, 2, **options), random_input()
    twin = duplicate(layer)
    assert torch.equal(twin(x)[0], layer(x)[0])
    before = layer(x)[0]
    nn.init.zeros_(twin.weight_ih_l0)
    assert torch.equal(layer(x)[0], before)
    assert not torch.equal(twin(x)[0], before)


def test_autocast_gives_torchs_number_type(options, assert_near):
    torch.manual_seed(0)
    layer, x = LSTM(2, 4, 2, **options).eval(), torch.randn(5, 3, 2)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = layer(x)
    # torch.nn.LSTM gives these too, where it does not fail: oneDNN's refuses bfloat16 on a CPU that has AVX2 alone.
    assert [y.dtype, *(part.dtype for part in state[:2])] == [torch.bfloat16] * 3
    assert_near((y, state), expected)


def test_the_cell_under_vmap_equals_a_loop(assert_near):
    cell, x = LSTMCell(2, 4), torch.randn(3, 5, 2)
    assert_near(vmap(lambda x: cell(x))(x), tuple(map(torch.stack, zip(*map(cell, x), strict=True))))
