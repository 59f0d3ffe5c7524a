"""checkpoint=True: the same layer, which keeps less of a training step and runs forward twice."""

import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from foretell.lstm import LSTM

TIME, BATCH = 11, 8  # so many that chunks have three steps, and the last two


def ragged():
    reset = torch.zeros(TIME, BATCH, dtype=torch.bool)
    reset[4] = reset[6, 1] = reset[3, 3] = True  # among them where a chunk begins
    return {"lengths": [11, 0, 3, 9, 1, 8, 6, 7], "reset": reset}


def train(layer, x, **arguments):
    """Outputs and all gradients of a training step, with the same noise at every call."""
    x = x.clone().requires_grad_()
    torch.manual_seed(5)
    y, state = layer(x, **arguments)
    y = y.data if isinstance(y, PackedSequence) else y
    y.square().sum().add(sum(part.sin().sum() for part in state)).backward()
    return y, *state, x.grad, *(parameter.grad for parameter in layer.parameters())


@pytest.fixture
def x():
    torch.manual_seed(8)
    return torch.randn(TIME, BATCH, 3, dtype=torch.float64)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("arguments", [{}, ragged()], ids=["dense", "ragged"])
def test_training_is_the_same(bidirectional, arguments, options, make, x):
    layers = 2 if "residual" in options else 1
    plain, twice = (
        make(3, 5, layers, bidirectional=bidirectional, checkpoint=chosen, **options).train()
        for chosen in (False, True)
    )
    # Layer norm of five units makes more of rounding errors than the tests of single steps allow.
    torch.testing.assert_close(train(twice, x, **arguments), train(plain, x, **arguments), rtol=1e-10, atol=1e-10)


def test_packed_rows_dropout_and_batch_first(make, x, assert_near):
    settings = {"bidirectional": True, "dropout": 0.4, "batch_first": True}
    plain, twice = (make(3, 5, 2, checkpoint=chosen, **settings).train() for chosen in (False, True))
    rows = x.transpose(0, 1)
    assert_near(train(twice, rows), train(plain, rows))

    def packed(layer):
        values = rows.clone().requires_grad_()
        torch.manual_seed(5)
        y = layer(pack_padded_sequence(values, [11, 9, 8, 7, 6, 4, 3, 1], batch_first=True))[0].data
        return y, *torch.autograd.grad(y.square().sum(), [values, *layer.parameters()])

    assert_near(packed(twice), packed(plain))


def test_gradients_of_gradients(make, x, assert_near):
    def second(layer):
        values = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(layer(values)[0].square().sum(), values, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [values, *layer.parameters()])

    assert_near(second(make(3, 5, checkpoint=True)), second(make(3, 5)))


def test_transforms_see_the_whole_layer(make, x, assert_near):
    plain, twice = make(3, 5), make(3, 5, checkpoint=True)

    def of_rows(layer):
        weights = {name: part.detach() for name, part in layer.named_parameters()}

        def loss(weights, row):
            return functional_call(layer, weights, (row,))[0].square().sum()

        return tuple(vmap(grad(loss), in_dims=(None, 1))(weights, x).values())

    assert_near(of_rows(twice), of_rows(plain))


def test_short_sequences_and_those_without_gradients(make, x, assert_near):
    plain, twice = make(3, 5), make(3, 5, checkpoint=True)
    assert twice(x[:0])[0].shape == (0, BATCH, 5)
    for time in (1, 2):
        assert_near(train(twice, x[:time]), train(plain, x[:time]))
    with torch.no_grad():
        assert torch.equal(twice(x)[0], plain(x)[0])
    assert torch.equal(twice.trace(x).y, plain.trace(x).y)


def test_torch_takes_its_weights():
    layer = LSTM(3, 4, checkpoint=True)
    assert torch.equal(layer.to_torch().weight_hh_l0, layer.weight_hh_l0)
    assert repr(layer) == "LSTM(3, 4, checkpoint=True)"
