"""What the documentation promises to the last bit, on one instruction set.

Forward does not depend on who else is in the batch, on the number of threads, on where time is cut, on whether
gradients, a checkpoint or the trace are wanted, or on coming step by step; backward does not depend on the number of
threads. Nor does either depend on whether the layers of a stack run one by one or at once.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from foretell.lstm import LSTM, fused

pytestmark = pytest.mark.usefixtures("native_only")

EXACT = [torch.float32, torch.float64]  # a state of these is handed on as it is
DTYPES = [*EXACT, torch.bfloat16]
LARGE = {"plain": {}, "layer norm": {"layer_norm": True, "bidirectional": True}, "odd": {"variant": "FGR"}}


@pytest.fixture(params=DTYPES, ids=str)
def layer(request, options, make) -> LSTM:
    return make(9, 17, 2, **options).to(request.param)


@pytest.fixture(params=DTYPES, ids=str)
def large(request) -> Callable[..., tuple[LSTM, torch.Tensor]]:
    """A layer and a batch, as large as it takes for several threads to share the work."""

    def build(**settings: Any) -> tuple[LSTM, torch.Tensor]:
        torch.manual_seed(0)
        layer = LSTM(40, 130, 2, dtype=request.param, **settings)
        return layer, torch.randn(24, 37, 40, dtype=request.param)

    return build


@pytest.fixture
def on_threads() -> Iterator[Callable[..., Any]]:
    """on_threads(count, call): what the call returns on so many threads."""
    before = torch.get_num_threads()

    def run(count: int, call: Callable[[], Any]) -> Any:
        torch.set_num_threads(count)
        return call()

    yield run
    torch.set_num_threads(before)


def same(actual: Any, expected: Any) -> bool:
    """Are tensors, or nested tuples of them, equal in every bit that counts?"""
    if isinstance(actual, torch.Tensor):
        return torch.equal(actual, expected)
    return len(actual) == len(expected) and all(map(same, actual, expected))


def rows(state: tuple[torch.Tensor, ...], first: int, end: int) -> tuple[torch.Tensor, ...]:
    return tuple(part[:, first:end] for part in state)


def random(layer: LSTM, *shape: int) -> torch.Tensor:
    torch.manual_seed(8)
    return torch.randn(*shape, layer.input_size, dtype=layer.weight_ih_l0.dtype)


def test_a_row_alone_equals_a_row_of_a_batch(layer):
    x = random(layer, 6, 7)
    y, state = layer(x)
    for first, end in [(0, 1), (3, 4), (6, 7), (1, 4), (2, 7)]:
        assert same(layer(x[:, first:end]), (y[:, first:end], rows(state, first, end)))


def test_a_row_alone_equals_a_row_of_a_ragged_batch(layer):
    x, lengths = random(layer, 6, 5), [3, 6, 0, 1, 6]
    y, state = layer(x, lengths=lengths)
    for row, length in enumerate(lengths):
        if length:
            alone, after = layer(x[:length, row : row + 1])
            assert same((y[:length, row : row + 1], rows(state, row, row + 1)), (alone, after))


@pytest.mark.parametrize("settings", LARGE.values(), ids=LARGE.keys())
def test_a_row_alone_equals_a_row_of_a_large_batch(settings, large):
    layer, x = large(**settings)
    y, state = layer.eval()(x)
    for row in (0, 15, 16, 36):
        assert same(layer(x[:, row : row + 1]), (y[:, row : row + 1], rows(state, row, row + 1)))


def test_the_order_of_time_and_batch_in_memory_does_not_matter(layer):
    x = random(layer, 6, 7)
    assert same(layer(x), layer(x.transpose(0, 1).contiguous().transpose(0, 1)))


@pytest.mark.parametrize("layer", EXACT, indirect=True, ids=str)
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_time_can_be_cut_anywhere(cut, layer):
    x = random(layer, 6, 3)
    y, end = layer(x)
    first, state = layer(x[:cut])
    second, state = layer(x[cut:], state)
    assert same((torch.cat([first, second]), state), (y, end))


@pytest.mark.parametrize("large", EXACT, indirect=True, ids=str)
def test_a_large_layer_can_be_cut(large):
    layer, x = large()
    y, end = layer.eval()(x)
    state, parts = None, []
    for chunk in x.split([1, 7, 16]):
        part, state = layer(chunk, state)
        parts.append(part)
    assert same((torch.cat(parts), state), (y, end))


@pytest.mark.parametrize("batch", [1, 3])
def test_step_by_step_equals_the_whole(batch, layer):
    x = random(layer, 6, batch)
    stream = layer.stream(batch)
    y, state = layer(x)
    assert same((torch.stack([stream.step(one) for one in x]), stream.save()), (y, state))


def test_gradients_and_the_trace_change_no_output(layer):
    x = random(layer, 6, 3)
    expected = layer(x)
    with torch.no_grad():
        assert same(layer(x), expected)
        trace = layer.trace(x)
        assert same((trace.y, trace.state), expected)
    with torch.inference_mode():
        assert same(layer(x), expected)


def test_a_large_ragged_layer_gives_the_same_without_gradients(large, on_threads):
    layer, x = large()
    layer.eval()
    for _ in range(20):  # threads whose rows end at different steps do not come to the same chunk of time together
        lengths = torch.randint(1, len(x) + 1, (x.shape[1],))
        expected = layer(x, lengths=lengths)
        with torch.no_grad():
            assert same(on_threads(2, lambda lengths=lengths: layer(x, lengths=lengths)), expected)


def outputs_and_gradients(layer, x, **arguments):
    torch.manual_seed(1)  # the same noise
    y, state = layer(x, **arguments)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    loss = (y * weights).sum() + sum(part.sum() for part in state)
    return (y, *state, *torch.autograd.grad(loss, [x, *layer.parameters()]))


def test_the_number_of_threads_changes_nothing(layer, on_threads):
    x, lengths = random(layer, 6, 7).requires_grad_(), [6, 0, 3, 6, 1, 5, 2]
    layer.train()
    one, two, three = (
        on_threads(count, lambda: outputs_and_gradients(layer, x, lengths=lengths)) for count in (1, 2, 3)
    )
    assert same(two, one)
    assert same(three, one)


@pytest.mark.parametrize("settings", LARGE.values(), ids=LARGE.keys())
@pytest.mark.parametrize("batch", [1, 3, 37])
def test_the_number_of_threads_changes_nothing_in_a_large_layer(batch, settings, large, on_threads):
    layer, x = large(**settings)
    x = x[:, :batch].contiguous().requires_grad_()
    one, two, three = (on_threads(count, lambda: outputs_and_gradients(layer, x)) for count in (1, 2, 3))
    assert same(two, one)
    assert same(three, one)


def test_the_number_of_threads_changes_nothing_in_few_rows_of_many_units(on_threads):
    """Threads then share units, also where backward goes to a unit for matrices."""
    torch.manual_seed(0)
    layer, x = LSTM(9, 260), torch.randn(7, 13, 9, requires_grad=True)
    one, two, three = (on_threads(count, lambda: outputs_and_gradients(layer, x)) for count in (1, 2, 3))
    assert same(two, one)
    assert same(three, one)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "settings",
    [{}, {"layer_norm": True, "proj_size": 9}, {"variant": "FGR", "zoneout": 0.2, "recurrent_dropout": 0.3}],
    ids=["plain", "layer norm", "noise"],
)
def test_layers_at_once_are_layers_one_by_one(settings, dtype, on_threads, monkeypatch):
    """Long rows of few units: on several threads, each layer has one of its own and follows the one before."""
    torch.manual_seed(0)
    layer = LSTM(8, 24, 3, dtype=dtype, **settings)
    x = torch.randn(500, 3, 8, dtype=dtype, requires_grad=True)
    arguments = {"lengths": [500, 0, 321], "reset": torch.rand(500, 3) < 0.01}
    at_once = [on_threads(count, lambda: outputs_and_gradients(layer, x, **arguments)) for count in (1, 2, 3)]
    with torch.no_grad():
        traced = on_threads(2, lambda: layer.eval().trace(x, **arguments))
    monkeypatch.setattr(fused, "runs_whole", lambda request: request.layers == 1)
    one_by_one = on_threads(1, lambda: outputs_and_gradients(layer.train(), x, **arguments))
    assert all(same(found, one_by_one) for found in at_once)
    with torch.no_grad():
        expected = layer.eval().trace(x, **arguments)
    assert same((traced.layers, traced.state), (expected.layers, expected.state))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_rounded_after_every_layer_of_any_stack(dtype, on_threads):
    torch.manual_seed(0)
    layer = LSTM(8, 24, 3, dtype=dtype)
    x = torch.randn(500, 3, 8, dtype=dtype)
    members = torch.func.vmap(lambda one: layer(one)[0])(x[None])
    with torch.no_grad():
        assert same(on_threads(2, lambda: layer(x)[0]), members[0])


def test_outputs_with_checkpoint_are_those_without(options, make):
    arguments = {"lengths": [11, 0, 6], "reset": torch.rand(11, 3) < 0.2}

    def train(checkpoint):
        layer = make(9, 17, 2, checkpoint=checkpoint, **options).train()
        return layer(torch.randn(11, 3, 9, dtype=torch.float64), **arguments)

    assert same(train(True), train(False))


def test_the_same_call_twice_is_the_same(large, on_threads):
    layer, x = large()
    x.requires_grad_()
    first = on_threads(2, lambda: outputs_and_gradients(layer, x))
    assert same(on_threads(2, lambda: outputs_and_gradients(layer, x)), first)


def test_packed_rows_are_the_rows_of_a_padded_batch(layer):
    torch.manual_seed(0)
    lengths = torch.tensor([7, 5, 5, 2, 1])  # falling, so that both number their pairs of step and row alike
    x = torch.randn(7, 5, 9, dtype=layer.weight_ih_l0.dtype)

    def outcome(feed: Callable[[torch.Tensor], Any]) -> Any:
        torch.manual_seed(1)
        leaf = x.clone().requires_grad_()
        y, state = feed(leaf)
        sum((part * part).sum() for part in (y, *state)).backward()
        gradients = [parameter.grad for parameter in layer.parameters() if parameter.grad is not None]
        layer.zero_grad()
        return y, state, leaf.grad, gradients

    def padded(leaf: torch.Tensor) -> Any:
        y, state = layer(leaf, lengths=lengths)
        return pack_padded_sequence(y, lengths).data, state

    def packed(leaf: torch.Tensor) -> Any:
        y, state = layer(pack_padded_sequence(leaf, lengths))
        return y.data, state

    for training in (False, True):
        layer.train(training)
        assert same(outcome(packed), outcome(padded))
