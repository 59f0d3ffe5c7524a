"""The LSTM for JAX and ONNX Runtime, from the parameters of a torch.nn.LSTM; imported only where they are there."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

Weights = Mapping[str, np.ndarray[Any, Any]]  # by torch's names: weight_ih_l0 [4H,I], ...


def missing(*packages: str) -> str:
    """Why a peer cannot run, or nothing."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"{' and '.join(absent)} not installed" if absent else ""


def jax_call(weights: Weights, layers: int, x: Any, dy: Any, training: bool) -> Callable[[], Any]:
    """A compiled call: (y, h, c), or in training y and the gradients of x and of every parameter by name."""
    import jax
    from jax import numpy as jnp

    def run(parameters: Any, x: Any) -> Any:
        ends = []
        for layer in range(layers):
            x, end = _jax_layer({name: parameters[f"{name}_l{layer}"] for name in _NAMES}, x)
            ends.append(end)
        return x, *(jnp.stack(parts) for parts in zip(*ends, strict=True))

    def differentiate(parameters: Any, x: Any, dy: Any) -> Any:
        y, pull_back = jax.vjp(lambda parameters, x: run(parameters, x)[0], parameters, x)
        of_parameters, of_x = pull_back(dy)
        return y, {"x": of_x} | of_parameters

    values = jax.tree.map(jnp.asarray, (dict(weights), x, dy) if training else (dict(weights), x))
    compiled = jax.jit(differentiate if training else run)
    return lambda: jax.block_until_ready(compiled(*values))  # type: ignore[no-untyped-call]


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _jax_layer(weights: Any, x: Any) -> Any:
    """The product with the input is done for all steps at once, before the scan."""
    from jax import lax, nn
    from jax import numpy as jnp

    def step(state: Any, inputs: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(inputs + h @ weights["weight_hh"].T, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[1], weights["weight_hh"].shape[1]), x.dtype)
    inputs = x @ weights["weight_ih"].T + (weights["bias_ih"] + weights["bias_hh"])
    end, y = lax.scan(step, (zeros, zeros), inputs)
    return y, end


def onnx_session(weights: Weights, layers: int, carried: bool, threads: int) -> Any:
    """x -> y [T,B,H], h_0, c_0, h_1, ... [1,B,H]; with `carried` the states also go in, as start_h_0, ..."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 3)

    nodes, constants = [], [numpy_helper.from_array(np.array([1]), "directions")]
    inputs: list[Any] = [value("x")]
    outputs: list[Any] = []
    fed = "x"
    for layer in range(layers):
        packed = _onnx_weights(weights, layer)
        constants += [numpy_helper.from_array(array, f"{name}_{layer}") for name, array in packed.items()]
        starts = [f"start_h_{layer}", f"start_c_{layer}"] if carried else []
        ends = [f"h_{layer}", f"c_{layer}"]
        taken = [fed, *(f"{name}_{layer}" for name in packed), "", *starts]  # "": no lengths
        hidden = packed["R"].shape[2]
        nodes += [
            helper.make_node("LSTM", taken, [f"all_{layer}", *ends], hidden_size=hidden),
            helper.make_node("Squeeze", [f"all_{layer}", "directions"], [f"y_{layer}"]),
        ]
        inputs, outputs, fed = [*inputs, *map(value, starts)], [*outputs, *map(value, ends)], f"y_{layer}"
    graph = helper.make_graph(nodes, "lstm", inputs, [value(fed), *outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _onnx_weights(weights: Weights, layer: int) -> dict[str, np.ndarray[Any, Any]]:
    """torch's blocks i, f, g, o in ONNX's order i, o, f, c, with a leading axis for the direction."""

    def turned(name: str) -> np.ndarray[Any, Any]:
        i, f, g, o = np.split(weights[f"{name}_l{layer}"], 4)
        return np.concatenate([i, o, f, g])[None]

    biases = np.concatenate([turned("bias_ih"), turned("bias_hh")], axis=1)
    return {"W": turned("weight_ih"), "R": turned("weight_hh"), "B": biases}
