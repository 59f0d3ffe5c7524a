"""Tensors that are not just numbers side by side: what torch.nn.LSTM takes is taken, the rest gets a sentence."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.utils._pytree import tree_map_only

from foretell.errors import InputError
from foretell.lstm import LSTM

SHAPES = [{}, {"num_layers": 2}, {"num_layers": 2, "bidirectional": True}]


def pair(*sizes, **settings):
    torch.manual_seed(0)
    module = nn.LSTM(*sizes, **settings)
    return module, LSTM.from_torch(module)


class Wrapper(torch.Tensor):
    """Stands for another tensor, and has no memory of its own."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, strides=inner.stride())
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), options=None):
        unwrapped = tree_map_only(cls, lambda one: one.inner, (arguments, options or {}))
        return tree_map_only(torch.Tensor, cls, function(*unwrapped[0], **unwrapped[1]))


def negative_view(*shape):
    """The imaginary part of a conjugate: its memory holds the opposite of what it reads."""
    values = torch.complex(torch.zeros(shape), torch.randn(shape)).conj().imag
    assert values.is_neg()
    return values


@pytest.mark.parametrize("settings", SHAPES)
@pytest.mark.parametrize("rows", [1, 2])
def test_signs_to_come_are_read(settings, rows, assert_near):
    module, layer = pair(1, 4, **settings)
    x, hx = negative_view(5, rows, 1), (negative_view(*layer(torch.zeros(5, rows, 1))[1][0].shape),) * 2
    expected, state = module(x, hx)
    y, after = layer(x, hx)
    assert_near((y, after), (expected, state))
    slope = torch.complex(torch.zeros(y.shape), torch.randn(y.shape))
    outcomes = ((y, layer), (expected, module))
    slopes = [torch.autograd.grad(found, one.weight_hh_l0, slope.conj().imag) for found, one in outcomes]
    assert_near(*slopes)


def test_a_weight_with_signs_to_come_is_read(assert_near):
    module, layer = pair(1, 1)
    weights = {"weight_ih_l0": negative_view(4, 1), "bias_ih_l0": negative_view(4)}
    found, expected = (torch.func.functional_call(one, weights, (torch.ones(3, 2, 1),)) for one in (layer, module))
    assert_near(found, expected)


def test_a_stream_reads_signs_to_come(assert_near):
    layer, x = LSTM(1, 4), negative_view(1)
    assert_near(layer.stream().step(x), layer(x[None])[0][0])


@pytest.mark.parametrize(
    "settings",
    [*SHAPES, {"zoneout": 0.4}, {"zoneout": 0.4, "bidirectional": True, "checkpoint": True, "num_layers": 2}],
    ids=str,
)
@pytest.mark.parametrize("packed", [False, True])
def test_tensors_that_stand_for_others(packed, settings, assert_near):
    layer, x = LSTM(3, 5, dtype=torch.float64, **settings), torch.randn(9, 4, 3, dtype=torch.float64)
    given = pack_padded_sequence(x, [9, 6, 6, 2]) if packed else x
    stands = given._replace(data=Wrapper(given.data)) if packed else Wrapper(x)
    outputs = []
    for one in (given, stands):
        torch.manual_seed(5)  # the same zoneout
        y = layer(one)[0]
        outputs.append(y.data if packed else y)
    assert_near(outputs[1].inner, outputs[0])


@pytest.mark.parametrize("settings", [*SHAPES, {"batch_first": True}])
def test_complex_numbers(settings):
    module, layer = pair(3, 4, dtype=torch.complex128, **settings)
    x = torch.randn(5, 2, 3, dtype=torch.complex128)
    torch.testing.assert_close(layer(x), module(x))
    if not layer.bidirectional:
        first, y = ((part[:, 0] if layer.batch_first else part[0]) for part in (x, layer(x)[0]))
        torch.testing.assert_close(layer.stream(len(first)).step(first), y)


@pytest.mark.parametrize("settings", [*SHAPES, {"zoneout": 0.1, "peepholes": True, "learn_initial_state": True}])
def test_the_meta_device_gives_shapes(settings):
    layer = LSTM(3, 4, device="meta", **settings)
    x = torch.empty(5, 2, 3, device="meta")
    real = LSTM(3, 4, **settings)(torch.zeros(5, 2, 3))
    for lengths in (None, [5, 2], torch.tensor([5, 2], device="meta")):
        y, state = layer(x, lengths=lengths, reset=None if lengths is None else x[..., 0] > 0)
        assert (y.shape, y.is_meta) == (real[0].shape, True)
        assert [part.shape for part in state] == [part.shape for part in real[1]]
    if not layer.bidirectional:
        assert layer.stream(2).step(x[0]).shape == (2, 4)


def test_a_default_device_does_not_reach_the_arguments():
    layer, x = LSTM(3, 4, zoneout=0.1).train(), torch.zeros(5, 2, 3)
    with torch.device("meta"):
        assert layer(x, lengths=[5, 2])[0].device.type == "cpu"


@pytest.mark.parametrize("settings", [*SHAPES, {"num_layers": 2, "peepholes": True}])
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor:UserWarning")
def test_fake_tensors_outside_their_mode(settings):
    mode, layer = FakeTensorMode(allow_non_fake_inputs=True), LSTM(3, 4, **settings)
    x = mode.from_tensor(torch.randn(5, 2, 3))
    for training in (True, False):
        with torch.set_grad_enabled(training):
            y, state = layer(x)
        assert all(isinstance(part, FakeTensor) for part in (y, *state))
        assert y.shape == layer(torch.zeros(5, 2, 3))[0].shape


def test_the_output_without_batch_first_can_be_viewed():
    module, layer = pair(3, 4, 2)
    x = torch.randn(2, 5, 3).transpose(0, 1)  # batch first in memory
    y = layer(x)[0]
    torch.testing.assert_close(y.view(-1, 4), module(x)[0].view(-1, 4))
    y.sum().backward()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_leaves_float64_alone(half, assert_near):
    module, layer = pair(3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.autocast("cpu", half):
        y, state = layer(x)
    assert_near((y, state), module(x))


@pytest.mark.parametrize("kind", [torch.float64, torch.int64])
def test_autocast_does_not_mix_all_types(kind):
    layer, x = LSTM(3, 4), torch.zeros(5, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(InputError, match=r"the input is .* but the weights are torch.float32; convert one"):
            layer(x.to(kind))
        with pytest.raises(InputError, match=r"h of hx must be torch\.float32 on cpu"):
            layer(x, (torch.zeros(1, 2, 4, dtype=kind),) * 2)


def test_hooks_on_saved_tensors(assert_near):
    layer, x = LSTM(3, 4), torch.randn(5, 2, 3).transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    (expected,) = torch.autograd.grad(layer(x)[0].square().sum(), x)
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, torch.Tensor.contiguous):
        y = layer(x)[0]
    assert_near(torch.autograd.grad(y.square().sum(), x)[0], expected)
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept.to(torch.bfloat16)):
        y = layer(x)[0]
    with pytest.raises(InputError, match="what a hook on saved tensors gives back must be"):
        y.sum().backward()


def test_a_stream_can_be_copied_but_not_pickled():
    stream = LSTM(3, 4).stream()
    stream.step(torch.ones(3))
    for twin in (copy.copy(stream), copy.deepcopy({"of a user": stream})["of a user"]):
        before = stream.save()
        twin.step(torch.ones(3))
        assert all(map(torch.equal, stream.save(), before))
        assert not torch.equal(twin.save()[0], before[0])
    with pytest.raises(InputError, match=r"a stream cannot be pickled; keep what save\(\) returns"):
        pickle.dumps(stream)


@pytest.mark.parametrize("sizes", [[4, 4, 4], [3, 3], [1, 2, 3], [6, 0], [7, -1], []])
def test_packed_sequences_must_hold_together(sizes):
    packed = PackedSequence(torch.zeros(6, 3), torch.tensor(sizes, dtype=torch.int64))
    if sizes == [3, 3]:
        assert LSTM(3, 4)(packed)[0].data.shape == (6, 4)
        return
    with pytest.raises(InputError, match="batch_sizes of a PackedSequence must be"):
        LSTM(3, 4)(packed)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bias_hh_l0", torch.zeros(4), r"of shape \(16,\); got \(4,\)"),
        ("bias_ih_l0", None, r"of shape \(16,\); got None"),
        ("weight_hh_l0", torch.zeros(1), r"of shape \(16, 4\); got \(1,\)"),
        ("weight_hh_l0", torch.zeros(16, 4, device="meta"), "torch.float32 on cpu, as weight_ih_l0 is; got"),
        ("weight_hh_l0", torch.zeros(16, 4, dtype=torch.float64), "torch.float32 on cpu, as weight_ih_l0 is; got"),
        ("norm_c_l0", torch.zeros(3), r"of shape \(4,\); got \(3,\)"),
        ("initial_c", torch.zeros(1, 3), r"of shape \(1, 4\); got \(1, 3\)"),
    ],
)
def test_parameters_that_others_put_there_must_fit(name, value, message, training):
    layer = LSTM(3, 4, layer_norm=True, learn_initial_state=True)
    setattr(layer, name, None if value is None else nn.Parameter(value))
    with torch.set_grad_enabled(training), pytest.raises(InputError, match=f"LSTM: {name} must be {message}"):
        layer(torch.zeros(5, 2, 3))
    with pytest.raises(InputError, match=f"LSTM: {name} must be {message}"):
        layer.stream()


@pytest.mark.parametrize(
    "lengths",
    ["ab", [None, 2], {1: 2}, {3, 4}, (n for n in (1, 2)), [[1], [1, 2]], [2**70, 1], 3]
    + [torch.tensor([1, 2]).to(kind) for kind in (torch.uint64, torch.bool, torch.float32)]
    + [torch.tensor([1, 2]).to_sparse(), torch.tensor([1, 2], device="meta")],
)
def test_odd_lengths_get_a_sentence(lengths):
    with pytest.raises(InputError, match="LSTM: lengths must"):
        LSTM(3, 4)(torch.zeros(5, 2, 3), lengths=lengths)


def test_odd_inputs_get_a_sentence():
    layer, x = LSTM(3, 4), torch.zeros(5, 2, 3)
    for odd in (x.to_sparse(), torch.nested.nested_tensor([x[0], x[1]], layout=torch.jagged)):
        with pytest.raises(InputError, match="LSTM: the input must be dense"):
            layer(odd)
    with pytest.raises(InputError, match="LSTM: reset must be on a device that holds values"):
        layer(x, reset=torch.zeros(5, 2, dtype=torch.bool, device="meta"))
    with pytest.raises(InputError, match="LSTM: batch must be a whole number of at least 1; got True"):
        layer.stream(True)
