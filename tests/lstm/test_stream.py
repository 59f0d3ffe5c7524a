"""Step by step is the same as all at once."""

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from foretell import native
from foretell.errors import InputError
from foretell.lstm import LSTM


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_streaming_equals_the_whole(batch, dtype, options, make, assert_near):
    layer = make(3, 5, 2, **options).to(dtype).train()
    x = torch.randn(9, batch, 3, dtype=dtype)
    stream = layer.stream(batch)
    y = torch.stack([stream.step(one) for one in x])
    expected, state = layer.eval()(x)
    assert_near(y, expected)
    assert_near(stream.save(), state)


def test_one_row_may_come_without_its_batch(make, assert_near):
    layer, x = make(3, 5, 2), torch.randn(4, 3, dtype=torch.float64)
    stream = layer.stream()
    assert_near(torch.stack([stream.step(one) for one in x]), layer(x)[0])


@pytest.fixture(params=["native", "definition"])
def backend(request, monkeypatch):
    if request.param == "definition":
        monkeypatch.setattr(native, "load", lambda: None)
    return request.param


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_layers_of_16_bits_take_arrays_of_32(dtype, backend, make):
    layer, x = make(3, 5, 2, residual=True).to(dtype), torch.randn(4, 2, 3).to(dtype)
    stream, of_arrays = layer.stream(2), layer.stream(2)
    twin = of_arrays.copy()
    for one in x:
        expected = stream.step(one).float()
        assert torch.equal(torch.from_numpy(of_arrays.step(one.float().numpy())), expected)
        assert torch.equal(torch.from_numpy(twin.step(one.float().numpy())), expected)
    array = x[0].float().numpy()
    for wrong in (x[0].double().numpy(), array[::-1], array.repeat(2, axis=0)[::2]):
        with pytest.raises(InputError, match="at least 32 bits"):
            stream.step(wrong)


@pytest.fixture(params=[{}, {"variant": "FGR", "zoneout": 0.3}], ids=["plain", "by definition"])
def layer(request, make):
    return make(3, 5, 2, **request.param)


def test_a_saved_state_can_be_restored(layer):
    x = torch.randn(8, 2, 3, dtype=torch.float64)
    stream = layer.stream(2)
    for one in x[:3]:
        stream.step(one)
    saved = stream.save()
    first = [stream.step(one) for one in x[3:]]
    stream.restore(saved)
    assert all(map(torch.equal, first, [stream.step(one) for one in x[3:]]))


def test_a_copy_goes_its_own_way(layer):
    x = torch.randn(8, 1, 3, dtype=torch.float64)
    stream = layer.stream()
    stream.step(x[0])
    twin = stream.copy()
    before = twin.save()
    first = [stream.step(one) for one in x[1:]]
    assert all(map(torch.equal, twin.save(), before))
    assert all(map(torch.equal, first, [twin.step(one) for one in x[1:]]))


def test_a_stream_goes_on_from_a_whole_sequence_and_back(layer, assert_near):
    x = torch.randn(8, 2, 3, dtype=torch.float64)
    whole, end = layer(x)
    stream = layer.stream(2)
    stream.restore(layer(x[:3])[1])
    assert_near(torch.stack([stream.step(one) for one in x[3:6]]), whole[3:6])
    assert_near(layer(x[6:], stream.save()), (whole[6:], end))


def test_reset_goes_back_to_the_start(make):
    stream = make(3, 5, learn_initial_state=True).stream()
    x = torch.randn(1, 3, dtype=torch.float64)
    first = stream.step(x)
    stream.step(x)
    stream.reset()
    assert torch.equal(stream.step(x), first)


def test_outputs_stay_and_no_gradient_is_kept(layer):
    stream = layer.stream()
    x = torch.randn(3, 1, 3, dtype=torch.float64, requires_grad=True)
    first = stream.step(x[0])
    value = first.clone()
    stream.step(x[1])
    assert torch.equal(first, value)
    assert not first.requires_grad


def test_outputs_are_tensors_of_their_own(make, assert_near):
    layer, x = make(3, 5), torch.randn(100, 1, 3, dtype=torch.float64)
    stream = layer.stream()
    kept = [stream.step(one) for one in x]
    assert_near(torch.stack(kept), layer(x)[0])
    factor = torch.ones((), dtype=torch.float64, requires_grad=True)
    kept[1].mul_(2 * factor)  # which autograd refuses for views made without a gradient
    assert_near(torch.stack([kept[0], kept[1] / 2, *kept[2:]]), layer(x)[0])


@pytest.mark.filterwarnings("ignore:Accessing the data pointer")  # a step looks for x's memory, which is not there
@pytest.mark.parametrize("is_fake", [True, False])
def test_a_step_that_fails_under_a_mode_leaves_the_stream_as_it_was(is_fake, make):
    if native.load() is None:
        pytest.skip("the compiled core was not built: no C++ compiler")
    layer, x = make(3, 5), torch.randn(1, 3, dtype=torch.float64)
    stream = layer.stream()
    with FakeTensorMode() as mode, pytest.raises(InputError, match="memory of their own"):
        stream.step(mode.from_tensor(x) if is_fake else x)
    assert torch.equal(stream.step(x), layer.stream().step(x))


LAYOUTS = {
    "a parameter": torch.nn.Parameter,
    "between others": lambda x: x.repeat_interleave(2, dim=-1)[..., ::2],
    "features first": lambda x: x.t().contiguous().t(),
    "one row for all": lambda x: x[:1].expand(2, -1),
    "inside another": lambda x: torch.nn.functional.pad(x, (1, 2, 1, 2), value=torch.nan)[1:-2, 1:-2],
    "signs to come": lambda x: torch.complex(x, -x).conj().imag,
    "signs to come, dense": torch._neg_view,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("lay", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_step_takes_tensors_however_they_lie(lay, dtype, make):
    if lay is LAYOUTS["signs to come"] and dtype is torch.bfloat16:
        dtype = torch.float32  # there are no complex numbers of two bfloat16
    layer = make(3, 5, 2).to(dtype)
    stream, other = layer.stream(2), layer.stream(2)
    for one in torch.randn(3, 2, 3).to(dtype):
        x = lay(one)
        assert torch.equal(stream.step(x), other.step(x.detach().resolve_neg().clone()))


@pytest.mark.parametrize("batch", [1, 1000])
def test_a_kept_output_keeps_little_memory(batch, make):
    y = make(3, 5).stream(batch).step(torch.randn(batch, 3, dtype=torch.float64))
    assert y.untyped_storage().nbytes() <= max(16 << 10, y.nbytes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_step_in_a_compiled_function(dtype, make):
    layer, x = make(3, 5, 2).to(dtype), torch.randn(4, 2, 3).to(dtype)
    stream, other = layer.stream(2), layer.stream(2)
    compiled = torch.compile(lambda one: stream.step(one * 2) + 1, backend="eager")
    for one in x:
        assert torch.equal(compiled(one), other.step(one * 2) + 1)


def test_streams_cross_inference_mode(layer, assert_near):
    x = torch.randn(4, 1, 3, dtype=torch.float64)
    with torch.inference_mode():
        stream = layer.stream()
        outputs = [stream.step(x[0])]
        stream = stream.copy()
    outputs.append(stream.step(x[1]))
    with torch.inference_mode():
        outputs += [stream.step(one) for one in x[2:]]
    assert_near(torch.stack(outputs), layer(x)[0])


def test_later_weights_need_a_new_stream(make):
    layer, x = make(3, 5), torch.randn(1, 3, dtype=torch.float64)
    stream, twin = layer.stream(), layer.stream()
    torch.nn.init.zeros_(layer.weight_ih_l0)
    assert torch.equal(stream.step(x), twin.step(x))
    assert not torch.equal(layer.stream().step(x), twin.copy().step(x))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 3), r"Stream\.step: x must have shape \(B=2, I=3\); got \(1, 3\)\."),
        (torch.zeros(3), r"Stream\.step: x must have shape \(B=2, I=3\); got \(3,\)\."),
        (
            torch.zeros(2, 3, dtype=torch.int64),
            r"x must be torch\.float32, as the weights are; got torch\.int64\.",
        ),
        (torch.zeros(2, 3, device="meta"), r"x must be cpu, as the weights are; got meta\."),
        ([[0.0] * 3] * 2, r"x must be a tensor or a dense numpy array .*; got list\."),
    ],
)
def test_wrong_steps_are_refused(x, message, backend):
    with pytest.raises(InputError, match=message):
        LSTM(3, 4).stream(2).step(x)


def test_a_default_device_does_not_reach_the_arrays(make, backend):
    stream = make(3, 5).to(torch.bfloat16).stream()
    with torch.device("meta"):
        assert stream.step(np.zeros(3, np.float32)).shape == (5,)


def test_wrong_streams_and_states_are_refused():
    with pytest.raises(InputError, match="a bidirectional layer cannot stream"):
        LSTM(3, 4, bidirectional=True).stream()
    with pytest.raises(InputError, match="LSTM: batch must be a whole number of at least 1; got 0"):
        LSTM(3, 4).stream(0)
    with pytest.raises(InputError, match=r"Stream\.restore: h of hx must have shape \(L=1, B=1, width=4\)"):
        LSTM(3, 4).stream().restore((torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)))
