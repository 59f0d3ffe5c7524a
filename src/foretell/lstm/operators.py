"""The seam: the layer asks `run` for a stack of layers and never knows which backend answers.

A request goes whole to the first backend that supports it. If none does, it is cut into its layers, packed rows are
padded, a layer is cut into its directions, and each part goes through `run` again; so a new backend need only say
what it supports. So it goes for training with checkpoint=True, down to chunks of steps.
A request for one layer in one direction always runs forward in time: the reversal is done here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from foretell.errors import InputError, require_known
from foretell.lstm.backends import BACKENDS
from foretell.lstm.chunks import run_in_chunks
from foretell.lstm.definition import Masks, State, Weights, lstm_step, project_input, state_after
from foretell.lstm.fused import needs_gradients
from foretell.lstm.options import Options
from foretell.lstm.parts import run_both, run_layers, run_padded
from foretell.lstm.request import Answer, Request
from foretell.lstm.transforms import constant_in_graphs, is_transformed

_forced: ContextVar[str | None] = ContextVar("forced_backend", default=None)


def backend_names() -> tuple[str, ...]:
    """The names of the backends, best first."""
    return tuple(backend.name for backend in BACKENDS)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Let only this backend answer the layers in the block; what it cannot do is then an InputError.

    A graph that is compiled or exported in the block keeps to it: one exported with "definition" holds torch's own
    operators alone, one for every product of every step, and runs where Foretell is not installed.
    """
    require_known("use_backend", "backend", [name], backend_names())
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


@constant_in_graphs
def _forced_now() -> str | None:
    """As it is when a graph is compiled or exported, for that graph."""
    return _forced.get()


def run(request: Request) -> Answer:
    """Outputs, final state and, on request, the activity of all layers and directions."""
    forced, runs_twice = _forced_now(), _runs_twice(request)
    for backend in BACKENDS:
        if not runs_twice and forced in (None, backend.name) and backend.supports(request):
            return backend.run(request)
    if request.layers > 1:
        return run_layers(request, run)
    if request.batch_sizes is not None:
        return run_padded(request, run)
    if request.directions > 1:
        return run_both(request, run)
    if runs_twice:
        return run_in_chunks(request, run)
    raise InputError(f"LSTM: the backend {forced!r} cannot run this layer on this input; leave use_backend.")


def _runs_twice(request: Request) -> bool:
    """Is backward to run forward again? Transforms, which saved tensors are no matter of, see the layer whole."""
    return request.options.checkpoint and not request.record and needs_gradients(request) and not is_transformed()


def step(x: Tensor, state: State, weights: Weights, options: Options, masks: Masks) -> State:
    """One step of one layer: x [B,I] and the state before it -> the state after it. Masks have no T."""
    plain = options.is_plain_cell and masks == Masks() and weights.weight_hr is None
    if plain and not is_transformed() and _forced.get() != "definition":
        return torch.lstm_cell(x, state, *weights[:4])
    return state_after(lstm_step(project_input(x, weights), state, weights, options, masks), options)
