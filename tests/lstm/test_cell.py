"""LSTMCell: against torch.nn.LSTMCell, and every variant against the layer."""

import pytest
import torch
from torch import nn

from foretell.errors import InputError
from foretell.lstm import LSTMCell, use_backend

OF_SEQUENCES = {
    "learn_initial_state": True,
    "residual": True,
    "checkpoint": True,
    "recurrent_dropout": 0.1,
    "weight_drop": 0.1,
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("backend", ["torch", "definition"])
def test_it_agrees_with_torch(bias, backend, assert_near):
    torch.manual_seed(0)
    module = nn.LSTMCell(3, 4, bias, dtype=torch.float64)
    torch.manual_seed(0)
    cell = LSTMCell(3, 4, bias, dtype=torch.float64)
    assert repr(cell) == repr(module)
    assert all(map(torch.equal, cell.parameters(), module.parameters()))
    cell.load_state_dict(module.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)

    def run(one):
        state = None
        for x_t in x:
            state = one(x_t, state)
        return [*state, *torch.autograd.grad(state[0].sum() + state[1].sum(), list(one.parameters()))]

    with use_backend(backend):
        assert_near(run(cell), run(module))
        assert_near(cell(x[0, 0]), module(x[0, 0]))


def test_every_variant_agrees_with_the_layer(options, make, assert_near):
    options = {name: value for name, value in options.items() if name not in OF_SEQUENCES and name != "proj_size"}
    layer = make(3, 4, **options)
    cell = LSTMCell(3, 4, dtype=torch.float64, **options).eval()
    cell.load_state_dict({name.removesuffix("_l0"): values for name, values in layer.state_dict().items()})
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    state = None
    for x_t in x:
        state = cell(x_t, state)
    assert_near(state, tuple(part[0] for part in layer(x)[1]))


def test_zoneout_is_random_in_training():
    cell, x = LSTMCell(3, 4, zoneout=0.5), torch.randn(2, 3)
    assert not torch.equal(cell(x)[0], cell(x)[0])
    assert torch.equal(cell.eval()(x)[0], cell(x)[0])


@pytest.mark.parametrize("name", OF_SEQUENCES)
def test_options_of_sequences_are_refused(name):
    with pytest.raises(InputError, match=f"LSTMCell: {name} belongs to whole sequences; use LSTM for it"):
        LSTMCell(3, 4, **{name: OF_SEQUENCES[name]})
