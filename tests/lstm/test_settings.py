"""Options and starting weights: what each does, and the sentence for each that cannot be."""

import math
from dataclasses import asdict, fields

import pytest
import torch
from torch import nn

from foretell.errors import InputError
from foretell.lstm import LSTM, VARIANTS, LSTMCell, Options, backend_names, use_backend
from foretell.lstm.options import OptionValues


def test_the_keywords_are_the_options():
    assert list(OptionValues.__annotations__) == [field.name for field in fields(Options)]


def test_options_survive_a_dict():
    options = Options(zoneout=(0.1, 0.2), peepholes=True)
    assert Options(**asdict(options)) == options
    assert Options(zoneout=[0.1, 0.2]).zoneout_c == 0.2


def test_a_pair_may_be_a_list_as_json_has_it():
    assert Options(zoneout=[0.1, 0.2]) == Options(zoneout=(0.1, 0.2))
    layer = LSTM(3, 4, zoneout=[0.1, 0.2]).eval()
    same = LSTM(3, 4, zoneout=(0.1, 0.2)).eval()
    same.load_state_dict(layer.state_dict())
    x = torch.randn(5, 2, 3)
    assert torch.equal(layer(x)[0], same(x)[0])


def test_the_nine_variants_differ():
    assert set(VARIANTS) == {"V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR"}
    assert len({Options.of("LSTM", name, {}) for name in VARIANTS}) == 9


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4 * 5 * (3 + 5 + 2)),
        ({"coupled": True}, 3 * 5 * (3 + 5 + 2)),
        ({"variant": "NIG"}, 3 * 5 * (3 + 5 + 2) + 2 * 5),
        ({"variant": "FGR"}, 4 * 5 * (3 + 5 + 2) + 3 * 5 + 9 * 25),
    ],
)
def test_only_gates_that_exist_have_weights(options, count):
    assert sum(parameter.numel() for parameter in LSTM(3, 5, **options).parameters()) == count


def test_every_parameter_learns(options):
    layer = LSTM(3, 5, 2, bidirectional=True, dtype=torch.float64, **options)
    y, state = layer(torch.randn(6, 4, 3, dtype=torch.float64))
    (y.square().sum() + state[1].square().sum()).backward()
    assert all((parameter.grad != 0).any() for parameter in layer.parameters())


def test_forget_bias_is_the_sum_of_both_biases():
    layer = LSTM(3, 4, forget_bias=2.0)
    torch.testing.assert_close((layer.bias_ih_l0 + layer.bias_hh_l0)[4:8], torch.full((4,), 2.0))
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[:4].abs().max() <= 1.0


def test_keras_start():
    layer = LSTM(3, 4, init="keras")
    torch.testing.assert_close(layer.weight_hh_l0.T @ layer.weight_hh_l0, torch.eye(4))
    assert layer.weight_ih_l0.abs().max() <= math.sqrt(6 / (3 + 16))
    bias = layer.bias_ih_l0 + layer.bias_hh_l0
    assert torch.equal(bias, torch.tensor([0.0] * 4 + [1.0] * 4 + [0.0] * 8))
    assert (LSTM(3, 4, init="keras", forget_bias=0.5).bias_ih_l0[4:8] == 0.5).all()


def test_chrono_start_spreads_the_memory():
    torch.manual_seed(0)
    layer = LSTM(3, 400, init="chrono", longest_lag=50)
    i, f, *_ = (layer.bias_ih_l0 + layer.bias_hh_l0).chunk(4)
    assert torch.equal(i, -f)
    assert 0 <= f.min() < f.max() <= math.log(49)
    assert abs(f.exp().mean() - 25) < 3


def test_dtype_device_and_printing():
    layer = LSTM(3, 4, 2, dtype=torch.float64, device="meta", batch_first=True, peepholes=True)
    assert all(parameter.is_meta and parameter.dtype == torch.float64 for parameter in layer.parameters())
    assert repr(layer) == "LSTM(3, 4, num_layers=2, batch_first=True, peepholes=True)"
    assert repr(LSTMCell(3, 4, zoneout=0.1)) == "LSTMCell(3, 4, zoneout=0.1)"


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match=r"dropout=0\.5 does nothing with num_layers=1"):
        LSTM(3, 4, dropout=0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peephole": True}, "LSTM: unknown option 'peephole'. Did you mean 'peepholes'?"),
        ({"variant": "CFIG"}, "LSTM: unknown variant 'CFIG'. Did you mean 'CIFG'?"),
        ({"init": "kears"}, "LSTM: unknown init 'kears'. Did you mean 'keras'?"),
        ({"input_size": 0}, "LSTM: input_size must be a whole number of at least 1; got 0."),
        ({"hidden_size": 2.5}, "LSTM: hidden_size must be a whole number of at least 1; got 2.5."),
        ({"num_layers": 0}, "LSTM: num_layers must be a whole number of at least 1; got 0."),
        ({"proj_size": 4}, "LSTM: proj_size must be 0 (no projection) or below hidden_size=4; got 4."),
        ({"dropout": 1.5}, "LSTM: dropout must be between 0 and 1; got 1.5."),
        ({"bias": 1}, "LSTM: bias must be True or False; got 1."),
        ({"coupled": 1}, "LSTM: coupled must be True or False; got 1."),
        ({"weight_drop": 1.0}, "LSTM: weight_drop must be at least 0 and below 1; got 1.0."),
        ({"recurrent_dropout": -0.1}, "LSTM: recurrent_dropout must be at least 0 and below 1; got -0.1."),
        (
            {"zoneout": (0.1, 1.0)},
            "LSTM: zoneout must be at least 0 and below 1, or such a pair for h and c;",
        ),
        ({"coupled": True, "forget_gate": False}, "coupled=True sets f = 1 - i and so needs input_gate=True"),
        ({"coupled": True, "forget_bias": 1.0}, "forget_bias needs a forget gate of its own"),
        (
            {"bias": False, "forget_bias": 1.0},
            "LSTM: forget_bias and init='chrono' set biases, but bias is False.",
        ),
        ({"init": "chrono", "forget_bias": 1.0}, "forget_bias must be left to init='chrono'; got 1.0."),
        (
            {"init": "chrono", "input_gate": False, "forget_gate": False},
            "input and forget gates; both are off.",
        ),
        ({"longest_lag": 9}, "longest_lag must be left out unless init='chrono'; got 9."),
        ({"init": "chrono", "longest_lag": 1}, "longest_lag must be at least 2 steps; got 1."),
        ({"residual": True}, "residual=True adds to the layers above the first, but num_layers is 1."),
        (
            {"peepholes": True, "input_gate": False, "forget_gate": False, "output_gate": False},
            "peepholes=True acts on the gates, but all of them are off; switch one on.",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError) as error:
        LSTM(**{"input_size": 3, "hidden_size": 4} | settings)
    assert message in str(error.value)


X = torch.zeros(5, 2, 3)
STATE = torch.zeros(1, 2, 4)
PACKED = nn.utils.rnn.pack_sequence([torch.zeros(2, 3)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0]}, "LSTM: the input must be a tensor; got 'list'."),
        ({"x": X[0, 0]}, "LSTM: the input must be 2-D (unbatched) or 3-D (batched); got '1-D'."),
        (
            {"x": X[..., :2]},
            "LSTM: the input must be input_size=3 wide in its last dimension; got (5, 2, 2).",
        ),
        (
            {"x": X.double()},
            "LSTM: the input is torch.float64 but the weights are torch.float32; convert one",
        ),
        ({"x": X.to("meta")}, "LSTM: the input must be on the weights' device cpu; got 'meta'."),
        ({"hx": STATE}, "LSTM: hx must be the tensors (h, c); got 'Tensor of 1'."),
        ({"hx": (STATE, STATE[:, :1])}, "LSTM: c of hx must have shape (S=1, B=2, width=4); got (1, 1, 4)."),
        (
            {"x": X[:, 0], "hx": (STATE, STATE)},
            "LSTM: h of hx must have shape (S=1, width=4); got (1, 2, 4).",
        ),
        (
            {"hx": (STATE, STATE.double())},
            "c of hx must be torch.float32 on cpu; got 'torch.float64 on cpu'.",
        ),
        ({"lengths": [5, 6]}, "LSTM: every length must be at most T=5, the steps of the input; got 6."),
        ({"lengths": [5, -1]}, "LSTM: every length must be at least 0; got -1."),
        ({"lengths": [5]}, "LSTM: lengths must have shape (B=2); got (1,)."),
        ({"lengths": [5.0, 2.0]}, "LSTM: lengths must be whole numbers, such as int64; got 'torch.float32'."),
        ({"x": X[:, 0], "lengths": [5]}, "LSTM: lengths belong to batched input; cut the unbatched input"),
        ({"reset": X[..., 0]}, "LSTM: reset must be a tensor of True and False; got torch.float32."),
        (
            {"reset": X[..., 0].T > 0},
            "LSTM: reset must be of the input's shape (5, 2); got (2, 5).",
        ),
        ({"x": PACKED, "lengths": [2]}, "LSTM: a PackedSequence has its own lengths and no reset"),
        (
            {"x": PACKED, "hx": (STATE, STATE)},
            "LSTM: h of hx must have shape (S=1, B=1, width=4); got (1, 2, 4).",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        LSTM(3, 4)(**{"x": X} | arguments)
    assert message in str(error.value)


def test_the_gates_belong_to_the_state_of_gate_recurrence():
    layer = LSTM(3, 4, gate_recurrence=True)
    assert layer(X)[1][2].shape == (1, 2, 12)
    with pytest.raises(InputError, match=r"hx must be the tensors \(h, c, gates\); got 'tuple of 2'"):
        layer(X, (STATE, STATE))


def test_what_torch_cannot_express_is_named():
    layer = LSTM(3, 4, peepholes=True, zoneout=0.1, forget_bias=1.0)
    with pytest.raises(InputError, match=r"LSTM\.to_torch: torch\.nn\.LSTM has no peepholes, zoneout; this layer"):
        layer.to_torch()
    assert isinstance(LSTM(3, 4, forget_bias=1.0, init="keras").to_torch(), nn.LSTM)
    with pytest.raises(InputError, match=r"LSTM\.from_torch: the module must be a torch\.nn\.LSTM; got 'GRU'"):
        LSTM.from_torch(nn.GRU(3, 4))


def test_a_forced_backend_does_all_or_says_so():
    assert backend_names() == ("native", "torch", "definition")
    with use_backend("torch"):
        assert LSTM(3, 4, 2, residual=True)(X)[0].shape == (5, 2, 4)
        with pytest.raises(InputError, match="LSTM: the backend 'torch' cannot run this layer"):
            LSTM(3, 4, peepholes=True)(X)
    with (
        pytest.raises(InputError, match="unknown backend 'troch'"),
        use_backend("troch"),
    ):
        pass
