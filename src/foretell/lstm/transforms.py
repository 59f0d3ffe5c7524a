"""Is anything looking on while the layer runs? Who looks on sees torch operators, and nothing else."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

Called = TypeVar("Called", bound=Callable[..., Any])


def is_transformed() -> bool:
    """Is the call being compiled, traced or intercepted, or inside torch.func or forward-mode differentiation?"""
    return (
        torch.compiler.is_compiling()
        or is_functional()
        or is_forward_mode()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._get_tracing_state() is not None
    )


def is_functional() -> bool:
    """Are transforms of torch.func at work?"""
    return torch._C._are_functorch_transforms_active()


def is_forward_mode() -> bool:
    """Are tangents carried along (torch.func.jvp, jacfwd, torch.autograd.forward_ad)?"""
    return forward_ad._current_level >= 0


def is_plain(values: Tensor | None) -> bool:
    """Does nobody stand behind this tensor, as the members of a vmap or a subclass that intercepts operators do?"""
    if values is None:
        return True
    return type(values).__torch_dispatch__ is Tensor.__torch_dispatch__ and torch._C._has_storage(values)


def constant_in_graphs(function: Called) -> Called:
    """As torch.compiler.assume_constant_result: compilers call the function once, and do not look into it.

    That one imports the compiler, which takes two seconds.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
