"""The compiled kernels against the definition in float64: all options, sizes, layouts, states and gradients."""

import copy
import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from foretell import native
from foretell.lstm import LSTM, use_backend

pytestmark = pytest.mark.usefixtures("native_only")

SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100]  # vector lanes, and one more and one less
DTYPES = [torch.float32, torch.float64, torch.bfloat16]

# Largest error, relative to the larger of 1 (what the terms of a sum are like) and the largest true value. Layer
# norm over few numbers multiplies a rounding error by up to 300, which float32 shows: so there the definition's own
# error in float32, four times, comes on top.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 5e-6, torch.bfloat16: 2e-2}

SWITCHES: dict[str, Any] = {
    "bias": False,
    "peepholes": True,
    "coupled": True,
    "input_gate": False,
    "forget_gate": False,
    "output_gate": False,
    "input_activation": False,
    "output_activation": False,
    "gate_recurrence": True,
    "layer_norm": True,
    "recurrent_dropout": 0.5,
    "weight_drop": 0.5,
    "zoneout": (0.3, 0.6),
    "learn_initial_state": True,
    "residual": True,
    "dropout": 0.5,
}
OF_STACKS = {"residual", "dropout"}
IMPOSSIBLE = [{"coupled", "input_gate"}, {"coupled", "forget_gate"}]


def dense(values: Tensor) -> Tensor:
    return values


def every_second(values: Tensor) -> Tensor:
    return torch.stack([values, torch.full_like(values, torch.nan)], dim=-1).flatten(-2)[..., ::2]


def inside(values: Tensor) -> Tensor:
    """A part of a larger tensor with NaN around it."""
    return torch.nn.functional.pad(values, (1, 2, 1, 2), value=torch.nan)[..., 1:-2, 1:-2]


def transposed(values: Tensor) -> Tensor:
    return values.transpose(0, 1).contiguous().transpose(0, 1)


def expanded(values: Tensor) -> Tensor:
    return values[:, :1].expand(values.shape)


LAYOUTS = {layout.__name__: layout for layout in (dense, every_second, inside, transposed, expanded)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A layer and a call of it; what is random in it follows from the seed."""

    settings: dict[str, Any] = field(default_factory=dict)
    inputs: int = 3
    hidden: int = 5
    layers: int = 1
    time: int = 4
    batch: int = 3
    dtype: torch.dtype = torch.float64
    training: bool = True
    layout: str = "dense"
    gradient_layout: str = "dense"
    lengths: list[int] | None = None
    packed: bool = False
    reset: bool = False
    given: bool = False  # is hx given?
    used: tuple[int, ...] = (0, 1, 2)  # which of y, h and c have a gradient
    frozen: str = ""  # what wants none: "x" or "weights"
    data: slice | None = None  # features of x that get none
    seed: int = 0

    def layer(self) -> LSTM:
        """Weights near 1 / sqrt(their row's length), so that neither zeros nor chaos hide an error."""
        torch.manual_seed(self.seed)
        layer = LSTM(self.inputs, self.hidden, self.layers, dtype=self.dtype, **self.settings)
        for parameter in layer.parameters():
            bound = 0.8 if parameter.dim() == 1 else 1.5 / parameter.shape[1] ** 0.5
            torch.nn.init.uniform_(parameter, -bound, bound)
        return layer.train(self.training).requires_grad_(self.frozen != "weights")

    def random(self, *shape: int, dtype: torch.dtype) -> Tensor:
        return torch.randn(shape, dtype=self.dtype).to(dtype)  # the same numbers for the float64 twin


def call(case: Case, layer: LSTM, x: Tensor, hx: tuple[Tensor, ...] | None) -> list[Tensor]:
    """y, h, c and perhaps the gates."""
    lengths = None if case.lengths is None else torch.tensor(case.lengths, dtype=torch.int32).repeat(2, 1).T[:, 0]
    reset = (torch.rand(case.batch, case.time) < 0.3).T if case.reset else None
    torch.manual_seed(case.seed + 1)  # the noise of training
    if case.packed:
        y, state = layer(pack_padded_sequence(x, lengths.long(), enforce_sorted=False), hx, data=case.data)
        return [y.data, *state]
    y, state = layer(x, hx, lengths=lengths, reset=reset, data=case.data)
    return [y, *state]


def results(case: Case, layer: LSTM) -> dict[str, Tensor]:
    """Name -> the outputs of a call, the final state and the gradients of all that goes in."""
    dtype = layer.weight_ih_l0.dtype
    torch.manual_seed(case.seed)
    leaf = case.random(case.time, case.batch, case.inputs, dtype=dtype).requires_grad_(case.frozen != "x")
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = [layer.proj_size or case.hidden, case.hidden]
    if layer.options.gate_recurrence:
        widths.append(len(layer.options.gates) * case.hidden)
    hx = tuple(case.random(rows, case.batch, width, dtype=dtype).requires_grad_() for width in widths)
    layout, gradient_layout = LAYOUTS[case.layout], LAYOUTS[case.gradient_layout]
    outputs = call(case, layer, layout(leaf), tuple(map(layout, hx)) if case.given else None)
    used = [outputs[number] for number in case.used]
    upstream = [gradient_layout(case.random(*part.shape, dtype=dtype)) for part in used]
    wanted = {"dx": leaf, **{f"dhx {n}": part for n, part in enumerate(hx)}, **dict(layer.named_parameters())}
    wanted = {name: values for name, values in wanted.items() if values.requires_grad}
    gradients = torch.autograd.grad(used, list(wanted.values()), upstream, materialize_grads=True)
    names = ["y", "h", "c", "gates"][: len(outputs)] + [f"gradient of {name}" for name in wanted]
    return dict(zip(names, [*outputs, *gradients], strict=True))


def check(case: Case) -> None:
    layer = case.layer()
    exact = copy.deepcopy(layer).double()
    with use_backend("definition"):
        truth, plain = results(case, exact), results(case, layer)
    found = results(case, layer)
    assert list(found) == list(truth)
    for name, true in truth.items():
        assert found[name].dtype == case.dtype
        assert found[name].shape == true.shape
        error, unavoidable = ((values[name] - true).abs().max().item() for values in (found, plain))
        allowed = TOLERANCE[case.dtype] * max(1.0, true.abs().max().item()) + 4 * unavoidable
        assert error <= allowed, f"{name}: {error} > {allowed}"


def with_switches(names: set[str] | frozenset[str], **settings: Any) -> dict[str, Any]:
    return {name: SWITCHES[name] for name in sorted(names)} | settings


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [*SWITCHES, "proj_size", "nothing"])
def test_every_option(name, dtype):
    settings = {"nothing": {}, "proj_size": {"proj_size": 7}}.get(name) or with_switches({name} & set(SWITCHES))
    case = Case(
        settings=settings | {"bidirectional": True},
        inputs=9,
        hidden=17,
        layers=2 if name in OF_STACKS else 1,
        time=6,
        batch=4,
        dtype=dtype,
        lengths=[4, 0, 6, 1],
        reset=True,
        given=name != "learn_initial_state",
    )
    check(case)
    check(Case(settings=settings, inputs=3, hidden=8, layers=2, dtype=dtype, training=False))


PAIRS = [pair for pair in itertools.combinations([*SWITCHES, "proj_size"], 2) if set(pair) not in IMPOSSIBLE]


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_every_pair_of_options(pair):
    proj = 4 if "proj_size" in pair else 0
    case = Case(
        settings=with_switches(set(pair) & set(SWITCHES), proj_size=proj, bidirectional=True),
        hidden=9,
        layers=2 if set(pair) & OF_STACKS else 1,
        lengths=[2, 4, 3],
        reset=True,
    )
    check(case)
    check(replace(case, training=False, given=True))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("number", range(len(SIZES)), ids=map(str, SIZES))
def test_every_size(number, dtype):
    hidden, inputs = SIZES[number], SIZES[-1 - number]
    check(Case(inputs=inputs, hidden=hidden, batch=1 + number % 9, dtype=dtype))
    everything = with_switches(set(SWITCHES) - OF_STACKS - {"coupled", "bias"}, bidirectional=True)
    everything |= {"input_gate": True, "output_gate": True, "proj_size": hidden // 2}
    check(Case(settings=everything, inputs=hidden, hidden=hidden, batch=9 - number % 9, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("odd", [False, True], ids=["plain", "odd"])
@pytest.mark.parametrize(("time", "batch"), [(300, 1), (90, 7), (20, 37), (3, 300)])
def test_every_shape(time, batch, odd, dtype):
    """As many steps and rows as it takes for kernels to cut their work into parts."""
    torch.manual_seed(0)
    settings = {"variant": "FGR", "layer_norm": True, "zoneout": 0.3, "proj_size": 9} if odd else {}
    lengths = torch.randint(time + 1, (batch,)).tolist() if batch > 1 else None
    settings |= {"bidirectional": True}
    check(Case(settings=settings, inputs=8, hidden=17, time=time, batch=batch, dtype=dtype, lengths=lengths, reset=odd))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = draw(st.sets(st.sampled_from(list(SWITCHES)), max_size=3))
    assume(not any(pair <= names for pair in IMPOSSIBLE))
    assume(not {"input_gate", "forget_gate", "output_gate"} <= names)
    layers = 2 if names & OF_STACKS else draw(st.sampled_from([1, 1, 2]))
    hidden, time, batch = draw(st.sampled_from(SIZES)), draw(st.integers(3, 6)), draw(st.integers(1, 9))
    proj = draw(st.sampled_from([0, 0, hidden // 2]))
    inputs = draw(st.sampled_from(SIZES))
    place = st.integers(0, inputs)
    ending = draw(st.sampled_from(["dense", "lengths", "packed"]))
    length = st.integers(1 if ending == "packed" else 0, time)
    return Case(
        settings=with_switches(names, proj_size=proj, bidirectional=draw(st.booleans())),
        inputs=inputs,
        hidden=hidden,
        layers=layers,
        time=time,
        batch=batch,
        dtype=draw(st.sampled_from(DTYPES)),
        training=draw(st.booleans()),
        layout=draw(st.sampled_from(list(LAYOUTS))),
        gradient_layout=draw(st.sampled_from(list(LAYOUTS))),
        lengths=None if ending == "dense" else draw(st.lists(length, min_size=batch, max_size=batch)),
        packed=ending == "packed",
        reset=ending != "packed" and draw(st.booleans()),
        given=draw(st.booleans()),
        used=draw(st.sampled_from([(0, 1, 2), (0,), (1,), (2,), (0, 2)])),
        frozen=draw(st.sampled_from(["", "", "x", "weights"])),
        data=draw(st.none() | st.builds(slice, place, place)),
        seed=draw(st.integers(0, 2**31)),
    )


@given(case=cases())
@settings(max_examples=150)
def test_random_options_layouts_and_gradients(case):
    check(case)


@torch.no_grad()  # a trace with gradients is the definition's
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_trace_shows_the_same_gates_and_states(options, dtype, make, assert_near):
    layer = make(3, 9, 2, bidirectional=True, **options).to(dtype)
    x = torch.randn(5, 4, 3, dtype=dtype)
    reset = torch.rand(5, 4) < 0.3
    with use_backend("definition"):
        expected = layer.trace(x, lengths=[5, 0, 3, 1], reset=reset)
    found = layer.trace(x, lengths=[5, 0, 3, 1], reset=reset)
    assert_near((found.y, found.state, found.layers), (expected.y, expected.state, expected.layers))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_rounded_at_the_door_alone(dtype):
    if dtype == torch.bfloat16 and native.multiplies_bfloat16():
        pytest.skip("here bfloat16 is multiplied as it is")
    torch.manual_seed(0)
    layer, x = LSTM(9, 33, layer_norm=True).to(dtype), torch.randn(6, 4, 9).to(dtype)
    y, state = layer(x)
    expected, expected_state = copy.deepcopy(layer).float()(x.float())
    assert all(map(torch.equal, (y, *state), (part.to(dtype) for part in (expected, *expected_state))))


def test_where_bfloat16_is_multiplied_h_alone_is_rounded_at_every_step(make):
    if not native.multiplies_bfloat16():
        pytest.skip("this machine has no fast products of bfloat16")
    layer = make(9, 33).bfloat16()
    x = torch.randn(20, 50, 9).bfloat16()
    found, (_, c) = layer(x)

    def by_steps(rounds: bool) -> tuple[Tensor, Tensor]:
        exact, state, outputs = copy.deepcopy(layer).double(), None, []
        with use_backend("definition"):
            for one in x.double():
                y, (h, cell) = exact(one[None], state)
                state = (h.bfloat16().double() if rounds else h, cell)
                outputs.append(y)
        return torch.cat(outputs).bfloat16(), cell.bfloat16()

    def agreement(rounds: bool) -> list[float]:
        pairs = zip((found, c), by_steps(rounds), strict=True)
        return [(one == other).double().mean().item() for one, other in pairs]

    assert min(agreement(rounds=True)) > 0.99  # float32 may fall to another side of a border
    assert max(agreement(rounds=False)) < 0.8


def change_in_place(layer: LSTM) -> None:
    with torch.no_grad():
        layer.weight_hh_l0.mul_(0.5)


def change_data(layer: LSTM) -> None:
    layer.weight_hh_l0.data = layer.weight_hh_l0.data * 0.5


def change_behind_the_version(layer: LSTM) -> None:
    layer.weight_hh_l0.data.mul_(0.5)


def load_other_weights(layer: LSTM) -> None:
    layer.load_state_dict({name: values * 0.5 for name, values in layer.state_dict().items()})


def step_of_an_optimizer(layer: LSTM) -> None:
    torch.optim.SGD(layer.parameters(), lr=0.1).step()


def another_type(layer: LSTM) -> None:
    layer.float().double()


CHANGES = [
    change_in_place,
    change_data,
    change_behind_the_version,
    load_other_weights,
    step_of_an_optimizer,
    another_type,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changed_weights_are_seen(change, make, assert_near):
    """Whatever is kept from call to call may not outlive the weights it was made from."""
    layer, x = make(3, 9), torch.randn(4, 2, 3, dtype=torch.float64)
    layer(x)[0].sum().backward()
    before = layer(x)[0]
    change(layer)
    with use_backend("definition"):
        expected = layer(x)[0]
    assert_near(layer(x)[0], expected)
    assert not torch.equal(layer(x)[0], before)
