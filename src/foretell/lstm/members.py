"""The operators under torch.func.vmap: one run for all members where they share the weights, else one for each."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from foretell.lstm.call import Call

# The dimension of the batch in what has rows: there the members can lie side by side.
ROWS = {"x": 1, "state": 1, "start": 1, "locked": 0, "lengths": 0, "reset": 1}
WIDTH = len(Call._fields)

Operator = Callable[..., Any]  # called one level further down


def forward(operator: Operator, info: Any, dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """foretell::lstm_forward. `saved` is then of all rows, and has no members."""
    members = info.batch_size
    *values, room = arguments
    call, call_dims = Call(*values), Call(*dims[:-1])
    if not _share_weights(call, call_dims):
        return _one_by_one(operator, members, arguments, dims)
    y, state, saved = operator(*_side_by_side(members, call, call_dims), room)
    y, *state = (_apart(members, part) for part in (y, *state))
    return (y, state, saved), (1, [1] * len(state), None)


def backward(operator: Operator, info: Any, dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """foretell::lstm_backward. Where gradients of weights are wanted, every member has its own and runs by itself."""
    members = info.batch_size
    call, call_dims = Call(*arguments[:WIDTH]), Call(*dims[:WIDTH])
    y, saved, *outer, wanted = arguments[WIDTH:]
    y_dim, saved_dim, *outer_dims, _ = dims[WIDTH:]
    ran_together = saved_dim is None and _share_weights(call, call_dims) and _have_rows(call_dims)
    if ran_together and any(wanted[-len(call.weights) :]):
        arguments = (*call, y, saved.new_empty(0), *outer, wanted)  # nobody saved for one member alone
    elif ran_together:
        parts = zip((y, *outer), (y_dim, *outer_dims), strict=True)
        y, *outer = (_beside(members, part, dim, 1) for part, dim in parts)
        found = operator(*_side_by_side(members, call, call_dims), y, saved, *outer, wanted)
        return [_apart(members, part) for part in found], [1] * len(found)
    return _one_by_one(operator, members, arguments, dims)


def _share_weights(call: Call, dims: Call) -> bool:
    """Zoneout counts rows, so with it members may not lie side by side."""
    return call.seed is None and all(dim is None for dim in dims.weights)


def _have_rows(dims: Call) -> bool:
    return any(dim is not None for name in ROWS for dim in pytree.tree_leaves(getattr(dims, name)))


def _side_by_side(members: int, call: Call, dims: Call) -> Call:
    def beside(name: str, axis: int) -> Any:
        parts, lie = getattr(call, name), getattr(dims, name)
        return pytree.tree_map(lambda part, dim: _beside(members, part, dim, axis), parts, lie)

    return call._replace(**{name: beside(name, axis) for name, axis in ROWS.items()})


def _beside(members: int, part: Tensor | None, dim: int | None, axis: int) -> Tensor | None:
    """The rows of all members along `axis`; the members lie in `dim`, or share the rows."""
    if part is None:
        return None
    if dim is None:
        shape = (*part.shape[:axis], members, *part.shape[axis:])
        return part.unsqueeze(axis).expand(shape).flatten(axis, axis + 1)
    return part.movedim(dim, axis).flatten(axis, axis + 1)


def _apart(members: int, part: Tensor) -> Tensor:
    """[..,members * B,..] -> [..,members,B,..], the batch in dimension 1."""
    rows = part.shape[1] // members
    return part.reshape(part.shape[0], members, rows, *part.shape[2:])


def _one_by_one(operator: Operator, members: int, arguments: tuple[Any, ...], dims: tuple[Any, ...]) -> tuple[Any, Any]:
    def run(member: int) -> Any:
        def own(part: Any, dim: int | None) -> Any:
            return part if dim is None else part.select(dim, member)

        return operator(*pytree.tree_map(own, arguments, dims))

    results, trees = zip(*(pytree.tree_flatten(run(member)) for member in range(members)), strict=True)
    stacked = [torch.stack(parts) for parts in zip(*results, strict=True)]
    return pytree.tree_unflatten(stacked, trees[0]), pytree.tree_unflatten([0] * len(stacked), trees[0])
