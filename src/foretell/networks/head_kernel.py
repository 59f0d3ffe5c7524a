"""The compiled kernel for the head and its loss: what it takes is settled here, before C++ is entered."""

import torch
from torch import Tensor

from foretell import native
from foretell.networks.goal import Goal
from foretell.networks.head import Dropout, Head


def fits(hidden: Tensor, head: Head, goal: Goal, probabilities: Tensor) -> bool:
    """Is there a kernel, and are these tensors of the sizes, of the number type and in the memory that it takes?"""
    kind = hidden.dtype
    skips = [skip for skip, _ in head.skips]
    return (
        native.load() is not None
        and kind in (torch.float32, torch.float64)
        and all(part.dtype == kind and part.device.type == "cpu" for part in _read(hidden, head, goal, probabilities))
        and all(part.dtype == kind and part.device.type == "cpu" for part in skips)
        and all(inputs.fit(kind, len(hidden)) for _, inputs in head.skips)
        and _has_sizes(hidden, head, goal, len(probabilities))
    )


def run(
    hidden: Tensor, head: Head, goal: Goal, probabilities: Tensor, dropout: Dropout | None, wants_gradients: bool
) -> tuple[Tensor, Tensor, tuple[Tensor | None, ...]]:
    """The loss, the number of targets, and if wanted the gradients by hidden, beside, weight, bias and skips."""
    time, lanes = goal.learn.shape
    learned = (hidden, head.beside, head.weight, head.bias, *(skip for skip, _ in head.skips))
    found = [None if part is None or not wants_gradients else _room(part) for part in learned]
    by_hidden, by_beside, by_weight, by_bias, *by_skips = found
    parts = [part.contiguous() for part in _read(hidden, head, goal, probabilities)]
    skips = [(skip.contiguous(), inputs.for_kernels) for skip, inputs in head.skips]
    loss, count = native.load().head_loss(  # type: ignore[union-attr]
        hidden.dtype == torch.float64,
        [time * lanes, lanes, goal.horizon, len(probabilities), hidden.shape[1]],
        parts if head.beside is not None else [*parts, None],
        (by_hidden, by_weight, by_bias, by_beside),
        [(*skip, gradient) for skip, gradient in zip(skips, by_skips, strict=True)],
        dropout.seed if dropout else 0,
        dropout.least if dropout else 0,
        torch.get_num_threads(),
    )
    return hidden.new_tensor(loss), hidden.new_tensor(count), tuple(found) if wants_gradients else ()


def _read(hidden: Tensor, head: Head, goal: Goal, probabilities: Tensor) -> list[Tensor]:
    """What the kernel reads beside the skips, in its order."""
    parts = [goal.values, goal.known, goal.learn, goal.spread, probabilities, hidden, head.weight, head.bias]
    return parts if head.beside is None else [*parts, head.beside]


def _has_sizes(hidden: Tensor, head: Head, goal: Goal, quantiles: int) -> bool:
    (time, lanes), horizon = goal.learn.shape, goal.horizon
    rows, lines = time * lanes, horizon * quantiles
    return (
        rows > 0
        and horizon > 0
        and quantiles % 2 == 1
        and goal.values.shape == goal.known.shape == (time + horizon, lanes)
        and goal.spread.shape == (time, lanes)
        and hidden.shape[0] == rows
        and head.weight.shape == (lines, hidden.shape[1])
        and head.bias.shape == (lines,)
        and (head.beside is None or head.beside.shape == (horizon, rows))
        and all(skip.shape == (horizon, len(inputs.values)) for skip, inputs in head.skips)
    )


def _room(part: Tensor) -> Tensor:
    return torch.empty_like(part, memory_format=torch.contiguous_format)
