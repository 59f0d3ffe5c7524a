"""One step from Python with the state carried: the stream, and what the peers offer for it."""

from collections.abc import Callable, Sequence
from typing import Any

import lstm_graphs
import torch
from lstm_peers import Case, Shape, make_case, onnx_session, truth
from lstm_timing import OURS, TOLERANCE, Competitor, Skipped, alternate, check, medians
from torch import Tensor, nn

import foretell

STEPS = 100  # in one timed call
FROM_NUMPY = f"{OURS}, numpy"


def measure(hidden: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Microseconds of a step with B = 1, I = 8, and the peers that were not run with the reason."""
    case = make_case(Shape(STEPS, 1, 8, hidden, 1))
    case.module.eval()
    made = [build(case) for build in (from_torch, from_numpy, torch_lstm, torch_cell, onnx_runtime)]
    competitors = [one for one in made if isinstance(one, Competitor)]
    true = {"y": truth(case, training=False)["y"]}
    with torch.no_grad():
        errors = {one.name: check(one, true, TOLERANCE[torch.float32], f"a step, H={hidden}") for one in competitors}
        found = medians(alternate(competitors))
    microseconds = {name: 1e3 * taken / STEPS for name, taken in found["ms"].items()}
    peers = {name: taken for name, taken in microseconds.items() if not name.startswith(OURS)}
    best = min(peers, key=lambda name: peers[name])
    entry = {"us": microseconds, "errors": errors, "best_peer": best, "ratio": peers[best] / microseconds[OURS]}
    return entry, {one.name: one.why for one in made if isinstance(one, Skipped)}


def from_torch(case: Case) -> Competitor:
    """The stream, fed with tensors."""
    stream = foretell.LSTM.from_torch(case.module).stream()
    return stepped(OURS, stream.step, list(case.x[:, 0]), stream.reset)


def from_numpy(case: Case) -> Competitor:
    """The stream, fed with arrays."""
    stream = foretell.LSTM.from_torch(case.module).stream()
    return stepped(FROM_NUMPY, stream.step, list(case.x[:, 0].numpy()), stream.reset)


def torch_lstm(case: Case) -> Competitor:
    """torch's layer on a sequence of one step."""
    module, state = case.module, Carried()

    def step(x: Tensor) -> Tensor:
        y: Tensor
        y, state.now = module(x, state.now)
        return y

    return stepped("torch.nn.LSTM", step, list(case.x[:, None]), state.forget)


def torch_cell(case: Case) -> Competitor:
    """torch's cell."""
    cell, state = nn.LSTMCell(case.shape.inputs, case.shape.hidden), Carried()
    cell.load_state_dict({name: case.module.get_parameter(f"{name}_l0") for name in cell.state_dict()})

    def step(x: Tensor) -> Tensor:
        state.now = cell(x, state.now)
        y: Tensor = state.now[0]
        return y

    return stepped("LSTMCell", step, list(case.x), state.forget)


def onnx_runtime(case: Case) -> Competitor | Skipped:
    """ONNX Runtime on a sequence of one step, the states in and out."""
    if why := lstm_graphs.missing("onnx", "onnxruntime"):
        return Skipped("ONNX Runtime", why)
    run, state = onnx_session(case, carried=True).run, Carried()
    zeros = torch.zeros(1, 1, case.shape.hidden).numpy()

    def step(x: Any) -> Any:
        h, c = state.now or (zeros, zeros)
        y, *state.now = run(None, {"x": x, "start_h_0": h, "start_c_0": c})
        return y

    return stepped("ONNX Runtime", step, list(case.x[:, None].numpy()), state.forget)


class Carried:
    """The state between two steps; None where a sequence begins."""

    now: Any = None

    def forget(self) -> None:
        self.now = None


def stepped(name: str, step: Callable[[Any], Any], inputs: Sequence[Any], forget: Callable[[], None]) -> Competitor:
    """All inputs in turn, from a fresh state."""

    def call() -> None:
        for x in inputs:
            step(x)

    def read(_: None) -> dict[str, Tensor]:
        forget()
        return {"y": torch.stack([torch.tensor(step(x).tolist()).reshape(1, -1) for x in inputs])}

    return Competitor(name, call, read, forget)
