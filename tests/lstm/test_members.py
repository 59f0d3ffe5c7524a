"""The kernels under torch.func: gradients, jacobians, and the members of a vmap together or one by one."""

import pytest
import torch
from torch.func import functional_call, grad, jacrev, vmap

from foretell.lstm import use_backend

pytestmark = pytest.mark.usefixtures("native_only")
FORWARD, BACKWARD = (
    operator.default for operator in (torch.ops.foretell.lstm_forward, torch.ops.foretell.lstm_backward)
)


def random_input(*shape):
    torch.manual_seed(4)
    return torch.randn(*shape, dtype=torch.float64)


@pytest.fixture
def against_definition(onlooker):
    """A function of a function and its arguments: what it gives, what the definition gives, which operators ran."""

    def compare(function, *arguments):
        torch.manual_seed(2)
        with onlooker() as seen:
            found = function(*arguments)
        torch.manual_seed(2)
        with use_backend("definition"):
            expected = function(*arguments)
        leaves = [torch.utils._pytree.tree_leaves(values) for values in (found, expected)]
        return *leaves, [called for called, _ in seen.calls]

    return compare


def as_loss(layer, **arguments):
    def loss(parameters, x):
        torch.manual_seed(3)
        y, state = functional_call(layer, parameters, (x,), arguments)
        return y.square().sum() + state[1].sum()

    return dict(layer.named_parameters()), loss


def test_gradients_and_jacobians(options, make, assert_near, against_definition):
    layer = make(2, 4, 2 if "residual" in options else 1, bidirectional=True, **options).train()
    reset = torch.tensor([[0, 0], [0, 1], [1, 0]]) > 0
    parameters, loss = as_loss(layer, lengths=torch.tensor([3, 2]), reset=reset)
    outputs = jacrev(lambda parameters, x: functional_call(layer, parameters, x)[0], 1)
    for function in (grad(loss), grad(loss, 1), outputs):
        found, expected, called = against_definition(function, parameters, random_input(3, 2, 2))
        assert_near(found, expected)
        assert set(called) == {FORWARD, BACKWARD}


def test_gradients_of_gradients(settings, make, assert_near, against_definition):
    parameters, loss = as_loss(make(2, 3, **settings))

    def penalty(parameters, x):
        return sum(slope.square().sum() for slope in grad(loss)(parameters, x).values())

    found, expected, called = against_definition(grad(penalty), parameters, random_input(3, 2, 2))
    assert_near(found, expected)
    assert set(called) == {FORWARD, BACKWARD}


def test_members_of_a_vmap_run_as_one_batch(make, assert_near, against_definition):
    layer, x = make(2, 4, bidirectional=True, layer_norm=True, learn_initial_state=True), random_input(6, 4, 3, 2)
    lengths = torch.tensor([[4, 0, 2]] * 6)
    member = vmap(lambda x, lengths: layer(x, lengths=lengths)[0])
    found, expected, called = against_definition(member, x, lengths)
    assert_near(found, expected)
    assert called == [FORWARD]


def test_a_vmap_within_a_vmap(make, assert_near):
    layer, x = make(2, 4), random_input(3, 4, 5, 2)
    each = vmap(vmap(lambda row: layer(row)[0], in_dims=1, out_dims=1))
    assert_near(each(x), torch.stack([layer(one)[0] for one in x]))


def test_gradients_of_a_vmap(make, assert_near, against_definition):
    layer = make(2, 4, bidirectional=True)
    parameters, loss = as_loss(layer)
    x = random_input(5, 3, 2, 2)

    def total(parameters):
        return vmap(loss, in_dims=(None, 0))(parameters, x).sum()

    found, expected, called = against_definition(grad(total), parameters)
    assert_near(found, expected)
    assert called == [FORWARD, BACKWARD]


def test_gradients_of_every_sample(settings, make, assert_near, against_definition):
    layer = make(2, 4, **settings).train()
    parameters, loss = as_loss(layer)
    x = random_input(5, 3, 2, 2)
    each = vmap(grad(loss), in_dims=(None, 0), randomness="same")
    assert_near(*against_definition(each, parameters, x)[:2])


def test_slopes_of_the_input_for_every_sample_run_as_one_batch(make, assert_near, against_definition):
    parameters, loss = as_loss(make(2, 4, peepholes=True))
    each = vmap(grad(loss, 1), in_dims=(None, 0))
    found, expected, called = against_definition(each, parameters, random_input(5, 3, 2, 2))
    assert_near(found, expected)
    assert called == [FORWARD, BACKWARD]


def test_an_ensemble_of_weights(make, assert_near):
    layers = [make(2, 4, seed=seed, peepholes=True) for seed in range(3)]
    stacked, _ = torch.func.stack_module_state(layers)
    _, loss = as_loss(layers[0])
    x = random_input(3, 2, 2)
    found = vmap(grad(loss), in_dims=(0, None))(stacked, x)
    for number, layer in enumerate(layers):
        expected = grad(loss)(dict(layer.named_parameters()), x)
        assert_near([found[name][number] for name in expected], list(expected.values()))


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_noise_of_members(randomness, make):
    layer = make(2, 8, zoneout=0.5).train()
    x = random_input(4, 1, 2).expand(3, -1, -1, -1)
    y = vmap(lambda x: layer(x)[0], randomness=randomness)(x)
    assert torch.equal(y[0], y[1]) == (randomness == "same")
