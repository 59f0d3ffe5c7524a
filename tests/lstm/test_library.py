"""The kernels as operators: in compiled and exported graphs, and for whoever else looks on."""

import io
import os
import subprocess
import sys

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.aot_autograd import make_boxed_func
from torch.func import functional_call, grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from foretell import native
from foretell.errors import InputError
from foretell.lstm import LSTM, kernels, use_backend

pytestmark = [
    pytest.mark.usefixtures("native_only"),
    # Notices of torch about itself, while it compiles.
    pytest.mark.filterwarnings("ignore:.torch.jit.script.* is deprecated:DeprecationWarning"),
]
FORWARD, BACKWARD = (
    operator.default for operator in (torch.ops.foretell.lstm_forward, torch.ops.foretell.lstm_backward)
)


def random_input(*shape):
    torch.manual_seed(4)
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def ragged(time, batch, batch_first=False):
    """Rows of T, 0, T - 1, ... steps, and sequences that begin in between."""
    torch.manual_seed(5)
    lengths = torch.arange(time, time - batch, -1).clamp(min=1)
    lengths[1] = 0
    return {"lengths": lengths, "reset": torch.rand((batch, time) if batch_first else (time, batch)) < 0.3}


def results(module, layer, x, **arguments):
    """y, the final state and the gradients of x and all parameters, with the same noise at every call."""
    torch.manual_seed(3)
    y, state = module(x, **arguments)
    loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sum() + sum(map(torch.sum, state))
    return [y, *state, *torch.autograd.grad(loss, [x, *layer.parameters()])]


def graphs_of(module, seen, dynamic=None):
    """The module compiled in one graph; `seen` gathers what the compiler sees, forward and backward."""

    def gather(graph, inputs):
        seen.append(graph)
        return make_boxed_func(graph.forward)

    torch.compiler.reset()
    backend = aot_autograd(fw_compiler=gather, bw_compiler=gather)
    return torch.compile(module, backend=backend, fullgraph=True, dynamic=dynamic)


def count(graph, operator):
    return sum(node.target is operator for node in graph.graph.nodes)


# --- the operators themselves


@pytest.mark.parametrize("settings", [{"bidirectional": True}, {"variant": "FGR", "zoneout": 0.3, "proj_size": 2}])
def test_torchs_own_checks(settings, make, monkeypatch, onlooker):
    original = kernels.allocate_room  # not all of it is written to, and checks compare two runs
    monkeypatch.setattr(kernels, "allocate_room", lambda *arguments: original(*arguments).zero_())
    layer, x = make(2, 3, **settings).train(), random_input(2, 2, 2)
    with onlooker() as seen:
        results(layer, layer, x, **(ragged(2, 2) if layer.bidirectional else {}))
    assert [function for function, _ in seen.calls] == [FORWARD, BACKWARD]
    for function, arguments in seen.calls:
        torch.library.opcheck(function, torch.utils._pytree.tree_map(as_leaf, arguments))


def as_leaf(value):
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().clone().requires_grad_(value.is_floating_point())


def test_results_are_those_of_a_plain_call_bit_for_bit(options, make, onlooker):
    layer = make(2, 5, 2, bidirectional=True, **options).train()
    x, arguments = random_input(4, 3, 2), ragged(4, 3)
    expected = results(layer, layer, x, **arguments)
    with onlooker():
        found = results(layer, layer, x, **arguments)
    assert all(map(torch.equal, found, expected))


def test_gradients_twice_over(settings, make, onlooker):
    layer, x = make(2, 3, **settings), random_input(3, 2, 2)
    parameters = {name: value.detach().requires_grad_() for name, value in layer.named_parameters()}

    def call(x, *values):
        y, state = functional_call(layer, dict(zip(parameters, values, strict=True)), (x,))
        return (y, *state)

    with onlooker() as seen:
        assert torch.autograd.gradgradcheck(call, (x, *parameters.values()), fast_mode=True)
    assert BACKWARD in [function for function, _ in seen.calls]


def test_without_a_backward_pass_nothing_is_saved(make, onlooker):
    with onlooker() as seen, torch.no_grad():
        make(2, 3)(random_input(3, 2, 2))
    ((_, arguments),) = seen.calls
    assert arguments[-1] == 0
    assert FORWARD(*arguments)[-1].numel() == 0


ROOM = """
import itertools, torch
from foretell import native
from foretell.lstm import LSTM, kernels
from foretell.lstm.request import Request
kinds = [torch.float32, torch.float64] + [torch.bfloat16] * native.multiplies_bfloat16()
for kind, width, hidden, odd in itertools.product(kinds, (1, 5), (1, 15, 17, 33), (0, 1, 2)):
    settings = [{}, {"layer_norm": True, "zoneout": 0.3}, {"input_gate": False, "forget_gate": False}][odd]
    layer = LSTM(width, hidden, dtype=kind, gate_recurrence=odd > 0, **settings)
    for time, batch in ((1, 1), (7, 9), (13, 5)):
        x = torch.zeros(time, batch, width, dtype=kind)
        weights = tuple(layer._weights(n) for n in range(1))
        state = layer._start(batch, x)
        request = kernels.dense(Request(x=x, state=state, weights=weights, locked=(None,), options=layer.options))
        room = kernels.room_of_pairs(request)
        saved = kernels.allocate_saved(request, kernels.begin(request))
        assert kernels.allocate_room(request, room).numel() >= saved.numel()
        print(kind, room)
"""


def test_too_little_room_is_refused(make, onlooker):
    with onlooker() as seen:
        make(2, 3)(random_input(3, 2, 2))
    ((_, arguments),) = seen.calls
    with pytest.raises(InputError, match="room of a compiled graph must be"):
        FORWARD(*arguments[:-1], arguments[-1] - 1)


def test_room_is_enough_and_the_same_on_every_instruction_set():
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", ROOM], env={**os.environ, "FORETELL_CPU": variant}, stdout=subprocess.PIPE, text=True
        )
        for variant in native.variants()
    ]
    sizes = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs)
    longest = max(sizes, key=len).splitlines()
    without = [line for line in longest if "bfloat16" not in line]  # which some instruction sets do not multiply
    assert without
    assert all(size.splitlines() in (longest, without) for size in sizes)


def test_bad_lengths_are_refused_where_only_the_operator_can_see_them(make):
    layer = make(2, 3)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    x = random_input(3, 2, 2)
    for lengths, text in (([4, 1], "at most T=3"), ([-1, 1], "at least 0")):
        with pytest.raises(InputError, match=text):
            compiled(x, lengths=torch.tensor(lengths))
        with pytest.raises(InputError, match=text):
            vmap(lambda x, lengths: layer(x, lengths=lengths)[0])(x[None], torch.tensor([lengths]))


# --- torch.compile


def test_compiled_training_step(settings, make, assert_near):
    layer = make(2, 4, 2, **settings).train()
    x = random_input(4, 4, 2)
    arguments = ragged(4, 4)
    seen = []
    found = results(graphs_of(layer, seen), layer, x, **arguments)
    assert_near(found, results(layer, layer, x, **arguments))
    forward, backward = seen
    assert (count(forward, FORWARD), count(backward, BACKWARD)) == (2, 2)


def test_compiled_inference_saves_nothing(make):
    seen = []
    with torch.no_grad():
        graphs_of(make(2, 4), seen)(random_input(3, 2, 2))
    ((call,),) = ([node for node in graph.graph.nodes if node.target is FORWARD] for graph in seen)
    assert call.args[-1] == 0


def test_graphs_do_not_grow_with_time(make):
    layer = make(2, 4, 2, bidirectional=True, peepholes=True)
    sizes = []
    for time in (3, 300):
        seen = []
        results(graphs_of(layer, seen), layer, random_input(time, 2, 2), lengths=torch.tensor([time, 1]))
        sizes.append([len(graph.graph.nodes) for graph in seen])
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_graph_for_all_lengths_and_batches(batch_first, make, assert_near):
    layer, seen = make(2, 4, bidirectional=True, batch_first=batch_first), []
    compiled = graphs_of(layer, seen)
    for time, batch in ((5, 3), (7, 4), (9, 2), (70, 5), (6, 11), (33, 3)):
        x = random_input(*((batch, time) if batch_first else (time, batch)), 2)
        arguments = ragged(time, batch, batch_first)
        assert_near(results(compiled, layer, x, **arguments), results(layer, layer, x, **arguments))
    assert len(seen) <= 4  # forward and backward, for the first sizes and for all


def test_one_graph_where_the_state_is_given(make, assert_near):
    layer, seen = make(2, 5, proj_size=3), []
    compiled = graphs_of(lambda x, hx: layer(x, hx), seen, dynamic=True)
    for time, batch in ((3, 2), (5, 4)):
        x, hx = random_input(time, batch, 2), layer(random_input(1, batch, 2))[1]
        hx = tuple(part.detach() for part in hx)
        assert_near(results(compiled, layer, x, hx=hx), results(layer, layer, x, hx=hx))
    assert len(seen) <= 4


def test_compiled_training_draws_new_noise_at_every_call(make):
    layer, x = make(2, 8, zoneout=0.5).train(), random_input(4, 3, 2)
    compiled = graphs_of(layer, [])
    assert not torch.equal(compiled(x)[0], compiled(x)[0])


def test_inductor_keeps_every_bit(make):
    layer, x = make(2, 4, 2, bidirectional=True, layer_norm=True), random_input(4, 3, 2)
    torch.compiler.reset()
    found = results(torch.compile(layer, fullgraph=True), layer, x)
    assert torch.equal(found[0], layer(x)[0])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_compiled_in_fewer_bits(kind, assert_near):
    torch.manual_seed(0)
    layer, x = LSTM(2, 4, dtype=kind), torch.randn(3, 2, 2, dtype=kind, requires_grad=True)
    assert_near(results(graphs_of(layer, []), layer, x), results(layer, layer, x))


def test_a_graph_of_bfloat16_may_come_to_a_machine_that_computes_it_in_float32(settings, assert_near, monkeypatch):
    if not native.multiplies_bfloat16():
        pytest.skip("this machine has no fast products of bfloat16")
    torch.manual_seed(0)
    layer, x = LSTM(2, 5, dtype=torch.bfloat16, **settings), torch.randn(3, 2, 2).bfloat16().requires_grad_()
    compiled = graphs_of(layer, [])

    def found():
        torch.manual_seed(1)
        return results(compiled, layer, x)

    expected = found()
    monkeypatch.setattr(native, "multiplies_bfloat16", lambda: False)
    there = found()
    assert [part.dtype for part in there] == [part.dtype for part in expected]
    assert_near(there, expected)


def test_an_exported_graph_of_bfloat16_may_be_compiled_on_such_a_machine(assert_near, monkeypatch):
    if not native.multiplies_bfloat16():
        pytest.skip("this machine has no fast products of bfloat16")
    layer, x = LSTM(2, 5, dtype=torch.bfloat16), torch.randn(3, 2, 2).bfloat16()
    program = torch.export.export(layer, (x,))
    monkeypatch.setattr(native, "multiplies_bfloat16", lambda: False)
    torch.compiler.reset()
    y, state = torch.compile(program.module(), backend="aot_eager")(x)
    assert y.dtype == torch.bfloat16
    assert_near((y, state), layer(x))


def test_torch_func_within_a_compiled_function(make, assert_near):
    layer, x = make(2, 3), random_input(3, 2, 2).detach()

    def slope(x):
        return grad(lambda x: layer(x)[0].square().sum())(x)

    torch.compiler.reset()
    with use_backend("definition"):
        assert_near(torch.compile(slope, backend="aot_eager", fullgraph=True)(x), slope(x))


# --- torch.export


@pytest.mark.parametrize("strict", [False, True])
def test_exports_one_operator_for_a_layer(strict, settings, make, assert_near):
    layer, x, sizes = make(2, 4, 2, **settings), random_input(4, 3, 2).detach(), torch.export.Dim.DYNAMIC
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: sizes, 1: sizes},), strict=strict)
    stored = io.BytesIO()
    torch.export.save(program, stored)
    stored.seek(0)
    loaded = torch.export.load(stored)
    assert count(loaded, FORWARD) == 2
    other = random_input(9, 25, 2).detach()
    assert_near(loaded.module()(other), layer(other))


def test_an_exported_layer_can_be_trained(make, assert_near):
    layer, x = make(2, 4, bidirectional=True), random_input(4, 3, 2)
    module = torch.export.export(layer, (x.detach(),)).module()
    assert_near(results(module, module, x), results(layer, layer, x))


def test_exports_plain_operators_on_request(make, assert_near):
    layer, x = make(2, 4, peepholes=True), random_input(3, 2, 2).detach()
    with use_backend("definition"):
        program = torch.export.export(layer, (x,))
    assert all("foretell" not in str(node.target) for node in program.graph.nodes)
    assert_near(program.module()(x), layer(x))


def test_an_exported_graph_says_what_it_is_missing(make, monkeypatch):
    layer, x = make(2, 4), random_input(3, 2, 2).detach()
    module = torch.export.export(layer, (x,)).module()
    monkeypatch.setattr(native, "load", lambda: None)
    with pytest.raises(InputError, match="compiled core, which is missing here"):
        module(x)


def test_traces_with_make_fx(make, assert_near):
    layer = make(2, 4, bidirectional=True)
    traced = make_fx(lambda x: layer(x)[0])(random_input(4, 3, 2).detach())
    assert count(traced, FORWARD) == 1
    other = torch.randn(4, 3, 2, dtype=torch.float64)
    assert_near(traced(other), layer(other)[0])
