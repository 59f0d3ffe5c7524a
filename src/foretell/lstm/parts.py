"""A request cut into its layers, a layer into its directions, and a direction answered by the definition."""

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from foretell.lstm.definition import Activity, Masks, State, lstm_sequence
from foretell.lstm.noise import drop, zoneout_masks
from foretell.lstm.request import Answer, Request

Run = Callable[[Request], Answer]


def run_layers(request: Request, run: Run) -> Answer:
    """Layer by layer, with dropout and the residual connection between them."""
    x, answers = request.x, []
    for layer in range(request.layers):
        # Time first in memory, so that the same seed drops what it drops in torch.nn.LSTM.
        fed = drop(x.contiguous(), request.dropout) if layer and request.dropout else x
        part = request.part(layer * request.directions, request.directions, request.directions, fed)
        answer = run(part._replace(data=(0, 0)) if layer else part)
        x = answer.y + x if request.options.residual and layer else answer.y
        answers.append(answer)
    return Answer(x, *_join(answers))


def run_both(request: Request, run: Run) -> Answer:
    """The backward direction is a forward one over the reversed rows, turned back afterwards."""
    lengths = request.lengths
    forward = run(request.part(0, 1, 1, request.x))
    backward = run(_turned(request.part(1, 1, 1, _reverse(request.x, lengths))))
    activity = tuple(Activity(*(_reverse(part, lengths) for part in one)) for one in backward.activity)
    backward = Answer(_reverse(backward.y, lengths), backward.state, activity)
    return Answer(torch.cat([forward.y, backward.y], dim=-1), *_join([forward, backward]))


def run_padded(request: Request, run: Run) -> Answer:
    """A packed request as one with `lengths`, its outputs packed again."""
    assert request.batch_sizes is not None
    x, lengths = pad_packed_sequence(PackedSequence(request.x, request.batch_sizes))
    answer = run(request._replace(x=x, batch_sizes=None))
    return answer._replace(y=pack_padded_sequence(answer.y, lengths).data)


def run_definition(request: Request) -> Answer:
    """One layer in one direction, in plain PyTorch; where x alone is in a narrower type, in that of all else."""
    kind, wide = request.x.dtype, request.state[0].dtype
    if kind is not wide:
        answer = run_definition(request._replace(x=request.x.to(wide)))
        return answer._replace(y=answer.y.to(kind))
    request = request.with_data_detached()
    state = tuple(part[0] for part in request.state)
    start = None if request.start is None else tuple(part[0] for part in request.start)
    widths = state[1].shape[-1], state[0].shape[-1]
    zoneout = zoneout_masks(request.options, request.noise, request.x, *widths)
    y, state, activity = lstm_sequence(
        request.x,
        state,
        request.weights[0],
        request.options,
        Masks(request.locked[0], *zoneout),
        lengths=request.lengths,
        reset=request.reset,
        start=start,
        record=request.record,
    )
    return Answer(y, tuple(part[None] for part in state), () if activity is None else (activity,))


def _reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x [T,B,...] backward in time, each row within its own length; what lies beyond it stays there."""
    if lengths is None:
        return x.flip(0)
    steps = torch.arange(len(x), device=x.device)[:, None]
    source = torch.where(steps < lengths, lengths - 1 - steps, steps)  # [T,B]
    return x[source, torch.arange(x.shape[1], device=x.device)]


def _join(answers: list[Answer]) -> tuple[State, tuple[Activity, ...]]:
    """The states and activities of several parts of a request, as those of the whole."""
    state = tuple(map(torch.cat, zip(*(answer.state for answer in answers), strict=True)))
    return state, tuple(chain.from_iterable(answer.activity for answer in answers))


def _turned(request: Request) -> Request:
    """Tell the noise, and move the resets to where a sequence begins for a reader from the end.

    A reset at t is a border between t - 1 and t, which that reader meets at t - 1.
    """
    if request.noise is not None:
        whole = torch.full((request.batch,), request.time, device=request.x.device)
        ends = whole if request.lengths is None else request.lengths
        request = request._replace(noise=request.noise._replace(ends=ends))
    if request.reset is None:
        return request
    border = torch.cat([request.reset[1:], torch.zeros_like(request.reset[:1])])
    if request.lengths is not None:
        steps = torch.arange(1, len(border) + 1, device=border.device)[:, None]
        border = border & (steps < request.lengths)
    return request._replace(reset=_reverse(border, request.lengths))
