"""The layer and its peers on the same weights and the same numbers: whole sequences, forward and backward."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import lstm_graphs
import torch
from lstm_timing import OURS, Competitor, Skipped
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import foretell

Forward = Callable[[Any], tuple[Any, tuple[Tensor, ...]]]


class Shape(NamedTuple):
    """The sizes of a case: steps, rows, inputs, units, layers."""

    time: int
    batch: int
    inputs: int
    hidden: int
    layers: int

    def __str__(self) -> str:
        return ",".join(map(str, self))

    @property
    def products(self) -> int:
        """The multiply-adds of the matrix products of a forward pass; backward takes twice as many."""
        inputs = self.inputs + (self.layers - 1) * self.hidden  # of all layers together
        return self.time * self.batch * 4 * self.hidden * (inputs + self.layers * self.hidden)


@dataclass(frozen=True)
class Case:
    """One shape with its weights and numbers, which all competitors share."""

    shape: Shape
    module: nn.LSTM
    x: Tensor  # [T,B,I]
    dy: Tensor  # [T,B,H], the gradient that comes back to y
    lengths: Tensor | None = None  # [B]


def make_case(shape: Shape, dtype: torch.dtype = torch.float32, ragged: bool = False) -> Case:
    """torch.nn.LSTM's own starting weights and normal numbers, the same on every run; lengths uniform in T/4..T."""
    torch.manual_seed(0)
    module = nn.LSTM(shape.inputs, shape.hidden, shape.layers).to(dtype)
    x = torch.randn(shape.time, shape.batch, shape.inputs, dtype=dtype)
    dy = torch.randn(shape.time, shape.batch, shape.hidden, dtype=dtype)
    lengths = torch.randint(max(1, shape.time // 4), shape.time + 1, (shape.batch,)) if ragged else None
    return Case(shape, module, x, dy, lengths)


def truth(case: Case, training: bool) -> dict[str, Tensor]:
    """What torch.nn.LSTM computes in float64 from the case's weights: y, h, c, or y and every gradient."""
    exact = exactly(case)
    competitor = packed_lstm(exact) if case.lengths is not None else torch_lstm(exact, training)
    return competitor.read(competitor.call())


def exactly(case: Case) -> Case:
    """The same numbers in float64."""
    return replace(case, module=copy.deepcopy(case.module).double(), x=case.x.double(), dy=case.dy.double())


def foretell_lstm(case: Case, training: bool, name: str = OURS) -> Competitor:
    """The layer; ragged rows come as `lengths`."""
    layer = foretell.LSTM.from_torch(case.module)
    return of_module(name, layer, lambda x: layer(x, lengths=case.lengths), case.x, case.dy, training)


def traced_lstm(case: Case) -> Competitor:
    """The layer in inference with all gates and cell states; read as y, h, c and "l0 i", "l0 f", ..."""
    layer = foretell.LSTM.from_torch(case.module).eval()

    def call() -> Any:
        with torch.no_grad():
            return layer.trace(case.x)

    def read(found: Any) -> dict[str, Tensor]:
        (h, c), layers = found.state, enumerate(found.layers)
        activity = {f"l{n} {name}": part for n, (one,) in layers for name, part in one._asdict().items()}
        return activity | {"y": found.y, "h": h, "c": c}

    return Competitor("trace", call, read)


def torch_lstm(case: Case, training: bool, name: str = "torch.nn.LSTM") -> Competitor:
    """torch's layer on dense input."""
    module = copy.deepcopy(case.module)
    return of_module(name, module, module, case.x, case.dy, training)


def packed_lstm(case: Case) -> Competitor:
    """torch's layer in training on a PackedSequence; the packing of x and dy is not timed."""
    if case.lengths is None:
        raise ValueError("a packed sequence needs the lengths of its rows")
    module, time = copy.deepcopy(case.module), case.shape.time
    x, dy = (pack_padded_sequence(values, case.lengths, enforce_sorted=False) for values in (case.x, case.dy))
    leaf = x.data.clone().requires_grad_()
    leaves = {"x": leaf, **dict(module.named_parameters())}

    def call() -> PackedSequence:
        y: PackedSequence = module(x._replace(data=leaf))[0]
        torch.autograd.backward(y.data, dy.data)
        return y

    def read(y: PackedSequence) -> dict[str, Tensor]:
        found = gradients(leaves)
        packed = {"y": y.data.detach(), "d x": found["d x"]}
        dense = {name: pad_packed_sequence(x._replace(data=data), total_length=time) for name, data in packed.items()}
        return found | {name: padded for name, (padded, _) in dense.items()}

    return Competitor("torch.nn.LSTM, packed", call, read, lambda: forget_gradients(leaves))


def cell_loop(case: Case, training: bool) -> Competitor:
    """A Python loop over torch.nn.LSTMCell, layer by layer."""
    hidden, cells = case.shape.hidden, nn.ModuleList()
    for layer in range(case.shape.layers):
        cell = nn.LSTMCell(hidden if layer else case.shape.inputs, hidden)
        cell.load_state_dict({name: case.module.get_parameter(f"{name}_l{layer}") for name in cell.state_dict()})
        cells.append(cell)

    def forward(x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        ends = []
        for cell in cells:
            state = (x.new_zeros(x.shape[1], hidden),) * 2
            outputs = []
            for step in x.unbind(0):
                state = cell(step, state)
                outputs.append(state[0])
            x = torch.stack(outputs)
            ends.append(state)
        return x, tuple(map(torch.stack, zip(*ends, strict=True)))

    def named(name: str) -> str:
        layer, parameter = name.split(".")  # "0.weight_ih" -> "weight_ih_l0"
        return f"{parameter}_l{layer}"

    return of_module("LSTMCell loop", cells, forward, case.x, case.dy, training, named)


def jax_scan(case: Case, training: bool) -> Competitor | Skipped:
    """JAX's lax.scan under jit: the value, or the value and its vector-Jacobian product."""
    if why := lstm_graphs.missing("jax"):
        return Skipped("JAX scan", why)
    weights = {name: values.detach().numpy() for name, values in case.module.named_parameters()}
    call = lstm_graphs.jax_call(weights, case.shape.layers, case.x.numpy(), case.dy.numpy(), training)
    if training:
        return Competitor("JAX scan", call, lambda found: from_arrays({"y": found[0]} | _prefixed(found[1])))
    return Competitor("JAX scan", call, lambda found: from_arrays(dict(zip("yhc", found, strict=True))))


def onnx_runtime(case: Case, training: bool) -> Competitor | Skipped:
    """ONNX Runtime's LSTM operator, one for each layer."""
    name = "ONNX Runtime"
    if training:
        return Skipped(name, "inference only")
    if why := lstm_graphs.missing("onnx", "onnxruntime"):
        return Skipped(name, why)
    session, x = onnx_session(case), {"x": case.x.numpy()}

    def read(found: list[Any]) -> dict[str, Tensor]:
        y, *ends = from_arrays(dict(enumerate(found))).values()
        return {"y": y, "h": torch.cat(ends[::2]), "c": torch.cat(ends[1::2])}

    return Competitor(name, lambda: session.run(None, x), read)


def onnx_session(case: Case, carried: bool = False) -> Any:
    """A session with the case's weights on torch's number of threads."""
    weights = {name: values.detach().numpy() for name, values in case.module.named_parameters()}
    return lstm_graphs.onnx_session(weights, case.shape.layers, carried, torch.get_num_threads())


PEERS: tuple[Callable[[Case, bool], Competitor | Skipped], ...] = (torch_lstm, cell_loop, jax_scan, onnx_runtime)


def of_module(
    name: str,
    module: nn.Module,
    forward: Forward,
    x: Tensor,
    dy: Tensor,
    training: bool,
    named: Callable[[str], str] = str,
) -> Competitor:
    """A competitor that torch differentiates: y and all gradients in training, else y, h and c without gradients."""
    if not training:
        module.eval()

        def infer() -> Any:
            with torch.no_grad():
                return forward(x)

        return Competitor(name, infer, lambda found: {"y": found[0], "h": found[1][0], "c": found[1][1]})
    x = x.clone().requires_grad_()
    leaves = {"x": x} | {named(parameter): values for parameter, values in module.named_parameters()}

    def train() -> Tensor:
        y: Tensor = forward(x)[0]
        torch.autograd.backward(y, dy)
        return y

    return Competitor(name, train, lambda y: {"y": y.detach()} | gradients(leaves), lambda: forget_gradients(leaves))


def gradients(leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradients that the leaves hold, under the names "d x", "d weight_ih_l0", ..."""
    return _prefixed({name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None})


def forget_gradients(leaves: Mapping[str, Tensor]) -> None:
    """Let the next backward call write its gradients, not add them."""
    for leaf in leaves.values():
        leaf.grad = None


def from_arrays(arrays: Mapping[Any, Any]) -> dict[Any, Tensor]:
    """Tensors of arrays that numpy can read."""
    return {name: torch.tensor(array.__array__()) for name, array in arrays.items()}


def _prefixed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"d {name}": value for name, value in values.items()}
