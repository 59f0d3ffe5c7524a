"""torch.autocast: which numbers it rounds, and to what."""

import torch
from torch import Tensor

ROUNDED = frozenset({torch.float32, torch.float16, torch.bfloat16})


def autocast_kind(values: Tensor) -> torch.dtype | None:
    """The number type in which autocast wants such values; None where it is off, or leaves them as they are."""
    if not torch._C._is_any_autocast_enabled():
        return None
    device = values.device.type
    if values.dtype not in ROUNDED or not torch.amp.is_autocast_available(device):
        return None
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def same_kind(values: Tensor, like: Tensor) -> bool:
    """Are these of one number type, as far as autocast does not bring them to one?"""
    if values.dtype is like.dtype:
        return True
    return autocast_kind(values) is not None and autocast_kind(like) is not None
