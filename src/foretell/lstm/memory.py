"""Large tensors in memory that is used again: fresh pages cost about as much as filling them."""

import math

import torch
from torch import Tensor

from foretell import native

LARGE = 128 << 10  # bytes from which the C library may ask the system anew every time


def empty(like: Tensor, *shape: int) -> Tensor:
    """As like.new_empty(*shape), on the CPU in memory that the compiled core keeps when a tensor goes."""
    size = math.prod(shape) * like.itemsize
    if size < LARGE or not like.is_cpu or (core := native.load()) is None:
        return like.new_empty(*shape)
    return torch.frombuffer(core.Memory(size), dtype=like.dtype).view(shape)
