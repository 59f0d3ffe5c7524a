"""The seam: the layer asks `run` for a stack of layers and never knows which backend answers.

A request goes whole to the first backend that supports it. If none does, it is cut into its layers, a layer
into its directions, and each part goes through `run` again; so a new backend need only say what it supports.
A request for one layer in one direction always runs forward in time: the reversal is done here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from foretell.errors import InputError, require_known
from foretell.lstm.backends import BACKENDS, is_transformed
from foretell.lstm.definition import Activity, Masks, State, Weights, lstm_step, project_input, state_after
from foretell.lstm.options import Options
from foretell.lstm.request import Answer, Request

_forced: ContextVar[str | None] = ContextVar("forced_backend", default=None)


def backend_names() -> tuple[str, ...]:
    """The names of the backends, best first."""
    return tuple(backend.name for backend in BACKENDS)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Let only this backend answer the layers in the block; what it cannot do is then an InputError."""
    require_known("use_backend", "backend", [name], backend_names())
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def run(request: Request) -> Answer:
    """Outputs, final state and, on request, the activity of all layers and directions."""
    forced = None if torch.compiler.is_compiling() else _forced.get()  # compilers cannot read a ContextVar
    for backend in BACKENDS:
        if forced in (None, backend.name) and backend.supports(request):
            return backend.run(request)
    if request.layers > 1:
        return _layer_by_layer(request)
    if request.directions > 1:
        return _both_directions(request)
    raise InputError(f"LSTM: the backend {_forced.get()!r} cannot run this layer on this input; leave use_backend.")


def step(x: Tensor, state: State, weights: Weights, options: Options, masks: Masks) -> State:
    """One step of one layer: x [B,I] and the state before it -> the state after it. Masks have no T."""
    plain = options.is_plain_cell and masks == Masks() and weights.weight_hr is None
    if plain and not is_transformed() and _forced.get() != "definition":
        return torch.lstm_cell(x, state, *weights[:4])
    return state_after(lstm_step(project_input(x, weights), state, weights, options, masks), options)


def reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x [T,B,...] backward in time, each row within its own length; what lies beyond it stays there."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(len(x), device=x.device)[:, None]
    source = torch.where(steps < lengths, lengths - 1 - steps, steps)  # [T,B]
    return x[source, torch.arange(x.shape[1], device=x.device)]


def _layer_by_layer(request: Request) -> Answer:
    x, answers = request.x, []
    for layer in range(request.layers):
        fed = functional.dropout(x, request.dropout) if layer and request.dropout else x
        answer = run(request.part(layer * request.directions, request.directions, request.directions, fed))
        x = answer.y + x if request.options.residual and layer else answer.y
        answers.append(answer)
    return Answer(x, *_join(answers))


def _both_directions(request: Request) -> Answer:
    """The backward direction is a forward one over the reversed rows, turned back afterwards."""
    lengths = request.lengths
    forward = run(request.part(0, 1, 1, request.x))
    backward = run(_turned(request.part(1, 1, 1, reverse(request.x, lengths))))
    activity = tuple(Activity(*(reverse(part, lengths) for part in one)) for one in backward.activity)
    backward = Answer(reverse(backward.y, lengths), backward.state, activity)
    return Answer(torch.cat([forward.y, backward.y], dim=-1), *_join([forward, backward]))


def _turned(request: Request) -> Request:
    """Move the resets to where a sequence begins for a reader from the end.

    A reset at t is a border between t - 1 and t, which that reader meets at t - 1.
    """
    if request.reset is None:
        return request
    border = torch.cat([request.reset[1:], torch.zeros_like(request.reset[:1])])
    if request.lengths is not None:
        steps = torch.arange(1, len(border) + 1, device=border.device)[:, None]
        border = border & (steps < request.lengths)
    return replace(request, reset=reverse(border, request.lengths))


def _join(answers: list[Answer]) -> tuple[State, tuple[Activity, ...]]:
    state = tuple(map(torch.cat, zip(*(answer.state for answer in answers), strict=True)))
    return state, tuple(chain.from_iterable(answer.activity for answer in answers))
