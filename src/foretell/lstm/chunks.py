"""Training in less memory: backward runs every chunk of steps anew, from the state before it (Chen et al. 2016)."""

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch.utils.checkpoint import checkpoint

from foretell.lstm.parts import Run
from foretell.lstm.request import Answer, Request

KEPT = 5  # numbers of a unit and step that a run keeps for backward: i, f, g, o, c


def run_in_chunks(request: Request, run: Run) -> Answer:
    """Of one layer in one direction, backward keeps x, y and the state before each chunk.

    It then has what a run keeps of one chunk alone.
    """
    request = request._replace(options=dataclasses.replace(request.options, checkpoint=False))
    state, ys = request.state, []
    for chunk in _chunks(request):
        answer = checkpoint(run, chunk._replace(state=state), use_reentrant=False, preserve_rng_state=False)
        state = answer.state
        ys.append(answer.y)
    return Answer(torch.cat(ys), state)


def _chunks(request: Request) -> Iterator[Request]:
    """The request in parts of about sqrt(T) steps, or as many as keep no less than the weights take up."""
    weights = sum(part.numel() for part in request.weights[0] if part is not None)
    kept = KEPT * request.state[1].numel()
    steps = max(math.isqrt(request.time), weights // max(kept, 1), 1)
    for number, x in enumerate(torch.split(request.x, steps)):  # one node, lest each adds a gradient of x's size
        first = number * steps
        yield request._replace(
            x=x,
            noise=None if request.noise is None else request.noise._replace(first_step=first),
            lengths=None if request.lengths is None else (request.lengths - first).clamp(0, len(x)),
            reset=None if request.reset is None else request.reset[first : first + steps],
        )
