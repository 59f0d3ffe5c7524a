"""The arguments of a layer and of a call, checked: one sentence for each thing that can be wrong."""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from foretell.errors import InputError, require, require_shape
from foretell.lstm.autocast import same_kind
from foretell.lstm.definition import State
from foretell.lstm.options import Options
from foretell.lstm.transforms import is_transformed

WHOLE = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})


def check_sizes(
    caller: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    proj_size: int = 0,
    dropout: float = 0.0,
) -> None:
    """The sizes of a layer, as torch.nn.LSTM allows them."""
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        require(is_whole(value) and value >= 1, caller, name, "a whole number of at least 1", value)
    fits = is_whole(proj_size) and 0 <= proj_size < hidden_size
    require(fits, caller, "proj_size", f"0 (no projection) or below hidden_size={hidden_size}", proj_size)
    number = isinstance(dropout, Real) and not isinstance(dropout, bool)
    require(number and 0 <= dropout <= 1, caller, "dropout", "between 0 and 1", dropout)


def check_input(caller: str, x: Any, input_size: int, weight: Tensor, dimensions: tuple[int, int]) -> None:
    """x must be a tensor of one of two ranks with the layer's features, number type and device."""
    if not isinstance(x, Tensor):
        raise InputError(f"{caller}: the input must be a tensor; got {type(x).__name__!r}.")
    if x.layout is not torch.strided or x.is_nested:
        raise InputError(f"{caller}: the input must be dense, which sparse and nested tensors are not.")
    shape = x.shape
    if len(shape) not in dimensions:
        allowed = f"{dimensions[0]}-D (unbatched) or {dimensions[1]}-D (batched)"
        raise InputError(f"{caller}: the input must be {allowed}; got '{len(shape)}-D'.")
    if shape[-1] != input_size:
        wanted = f"input_size={input_size} wide in its last dimension"
        raise InputError(f"{caller}: the input must be {wanted}; got {tuple(shape)}.")
    if not same_kind(x, weight):
        raise InputError(f"{caller}: the input is {x.dtype} but the weights are {weight.dtype}; convert one of them.")
    if x.device != weight.device:
        raise InputError(f"{caller}: the input must be on the weights' device {weight.device}; got '{x.device}'.")


def check_parameters(
    caller: str, names: Iterable[str | None], found: Iterable[Any], shapes: Mapping[str, torch.Size], like: Tensor
) -> None:
    """What stands in the parameters' places must have their shapes, and one number type and device.

    Where there is no name nothing is wanted.
    """
    kind, device = like.dtype, like.device
    for name, value in zip(names, found, strict=True):
        if name is None:
            continue
        if value is None or value.shape != shapes[name]:
            got = None if value is None else tuple(value.shape)
            require(False, caller, name, f"of shape {tuple(shapes[name])}", got)
        if value.dtype is not kind or value.device != device:
            require(_is_alike(value, like), caller, name, f"{_kind_of(like)}, as weight_ih_l0 is", _kind_of(value))


def check_packed(caller: str, packed: PackedSequence) -> None:
    """The sizes of a PackedSequence must be those of its rows: at least 1, never rising, all of the data."""
    if is_transformed():  # values cannot be looked at, and what unpacks the sequence looks
        return
    sizes, count = packed.batch_sizes, len(packed.data)
    plain = sizes.dim() == 1 and len(sizes) > 0 and sizes.dtype == torch.int64
    falling = plain and int(sizes[-1]) >= 1 and bool((sizes[1:] <= sizes[:-1]).all())
    allowed = "whole numbers of at least 1, one for each step and none above the one before"
    require(falling, caller, "batch_sizes of a PackedSequence", allowed, sizes)
    total = int(sizes.sum())
    require(total == count, caller, "batch_sizes of a PackedSequence", f"{count} in sum, as its data has rows", total)


def check_data(caller: str, data: Any, input_size: int) -> tuple[int, int]:
    """Begin and end of a slice of the features; (0, 0) for none."""
    if data is None:
        return 0, 0
    plain = isinstance(data, slice) and data.step in (None, 1)
    plain = plain and all(end is None or is_whole(end) for end in (data.start, data.stop))
    require(plain, caller, "data", "a slice of features side by side, as slice(3, 9), or None", data)
    begin, end, _ = data.indices(input_size)
    return (begin, end) if begin < end else (0, 0)


def state_widths(options: Options, hidden: int, output: int) -> dict[str, int]:
    """Name -> width of the parts of a state: h, c and, with gate recurrence, the gates of the last step."""
    widths = {"h": output, "c": hidden}
    return widths | {"gates": len(options.gates) * hidden} if options.gate_recurrence else widths


def check_state(caller: str, hx: Any, widths: dict[str, int], like: Tensor, **sizes: int) -> State:
    """hx as a tuple of the parts that `widths` names, each [*sizes, width] and of the same kind as `like`."""
    names = f"({', '.join(widths)})"
    right = isinstance(hx, tuple | list) and len(hx) == len(widths) and all(isinstance(part, Tensor) for part in hx)
    require(right, caller, "hx", f"the tensors {names}", f"{type(hx).__name__} of {_count(hx)}")
    for (name, width), part in zip(widths.items(), hx, strict=True):
        require_shape(caller, f"{name} of hx", part.shape, **sizes, width=width)
        if not _is_alike(part, like):
            require(False, caller, f"{name} of hx", _kind_of(like), _kind_of(part))
    return tuple(hx)


def check_lengths(caller: str, lengths: Tensor | Sequence[int], time: int, batch: int, device: torch.device) -> Tensor:
    """lengths, on any device, as whole numbers [B] between 0 and T on the given device."""
    try:
        found = torch.as_tensor(lengths, device=None if isinstance(lengths, Tensor) else "cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(f"{caller}: lengths must be whole numbers, one for each row; got {lengths!r:.60}.") from None
    whole = found.dtype in WHOLE or not found.numel()
    require(whole, caller, "lengths", "whole numbers, such as int64", str(found.dtype))
    require_shape(caller, "lengths", found.shape, B=batch)
    _check_values(caller, "lengths", found, device)
    if not is_transformed() and not found.is_meta:  # else nobody can look; the operators look when they run
        check_length_values(caller, found, time)
    return found.to(device, torch.int64)


def check_length_values(caller: str, lengths: Tensor, time: int) -> None:
    """Every one of lengths [B] must lie between 0 and T."""
    if not lengths.numel():
        return
    low, high = (int(value) for value in lengths.aminmax())
    require(low >= 0, caller, "every length", "at least 0", low)
    require(high <= time, caller, "every length", f"at most T={time}, the steps of the input", high)


def check_reset(caller: str, reset: Any, x: Tensor) -> Tensor:
    """reset as a mask over x's first dimensions, all but its features."""
    boolean = isinstance(reset, Tensor) and reset.dtype == torch.bool
    require(boolean, caller, "reset", "a tensor of True and False", getattr(reset, "dtype", type(reset).__name__))
    allowed = f"of the input's shape {tuple(x.shape[:-1])}"
    require(reset.shape == x.shape[:-1], caller, "reset", allowed, tuple(reset.shape))
    _check_values(caller, "reset", reset, x.device)
    return torch.as_tensor(reset, device=x.device)


def is_whole(value: Any) -> bool:
    """Is this a whole number, and not a truth?"""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_alike(values: Tensor, like: Tensor) -> bool:
    return same_kind(values, like) and values.device == like.device


def _kind_of(values: Tensor) -> str:
    return f"{values.dtype} on {values.device}"


def _check_values(caller: str, name: str, values: Tensor, device: torch.device) -> None:
    """Values that go to this device must be dense, and be there at all."""
    require(values.layout is torch.strided, caller, name, "dense", str(values.layout))
    there = not values.is_meta or device.type == "meta"
    require(there, caller, name, f"on a device that holds values, as the input's {device} does", str(values.device))


def _count(value: Any) -> int:
    return len(value) if isinstance(value, tuple | list | Tensor) else 1
