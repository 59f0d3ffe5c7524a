"""The arguments of a layer and of a call, checked: one sentence for each thing that can be wrong."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from foretell.errors import InputError, require, require_shape
from foretell.lstm.definition import State
from foretell.lstm.options import Options
from foretell.lstm.transforms import is_transformed


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
        require(_is_whole(value) and value >= 1, caller, name, "a whole number of at least 1", value)
    fits = _is_whole(proj_size) and 0 <= proj_size < hidden_size
    require(fits, caller, "proj_size", f"0 (no projection) or below hidden_size={hidden_size}", proj_size)
    number = isinstance(dropout, int | float) and not isinstance(dropout, bool)
    require(number and 0 <= dropout <= 1, caller, "dropout", "between 0 and 1", dropout)


def check_input(caller: str, x: Any, input_size: int, weight: Tensor, dimensions: tuple[int, int]) -> None:
    """x must be a tensor of one of two ranks with the layer's features, number type and device."""
    if not isinstance(x, Tensor):
        raise InputError(f"{caller}: the input must be a tensor; got {type(x).__name__!r}.")
    shape = x.shape
    if len(shape) not in dimensions:
        allowed = f"{dimensions[0]}-D (unbatched) or {dimensions[1]}-D (batched)"
        raise InputError(f"{caller}: the input must be {allowed}; got '{len(shape)}-D'.")
    if shape[-1] != input_size:
        wanted = f"input_size={input_size} wide in its last dimension"
        raise InputError(f"{caller}: the input must be {wanted}; got {tuple(shape)}.")
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise InputError(f"{caller}: the input is {x.dtype} but the weights are {weight.dtype}; convert one of them.")
    if x.device != weight.device:
        raise InputError(f"{caller}: the input must be on the weights' device {weight.device}; got '{x.device}'.")


def check_data(caller: str, data: Any, input_size: int) -> tuple[int, int]:
    """Begin and end of a slice of the features; (0, 0) for none."""
    if data is None:
        return 0, 0
    plain = isinstance(data, slice) and data.step in (None, 1)
    plain = plain and all(end is None or _is_whole(end) for end in (data.start, data.stop))
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
        same = part.dtype == like.dtype or torch.is_autocast_enabled(like.device.type)
        allowed, got = (f"{values.dtype} on {values.device}" for values in (like, part))
        require(same and part.device == like.device, caller, f"{name} of hx", allowed, got)
    return tuple(hx)


def check_lengths(caller: str, lengths: Tensor | Sequence[int], time: int, batch: int, device: torch.device) -> Tensor:
    """lengths, on any device, as whole numbers [B] between 0 and T on the given device."""
    found = torch.as_tensor(lengths)
    whole = not found.is_floating_point() and not found.is_complex() and found.dtype != torch.bool
    require(whole or not found.numel(), caller, "lengths", "whole numbers", str(found.dtype))
    require_shape(caller, "lengths", found.shape, B=batch)
    if not is_transformed():  # else the values cannot be looked at; the operators look when they run
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
    return torch.as_tensor(reset, device=x.device)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any) -> int:
    return len(value) if isinstance(value, tuple | list | Tensor) else 1
