"""The window's linear encoding: in the compiled kernel, which scales the window as it goes, or in PyTorch."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from foretell import native
from foretell.networks.inputs import Inputs


def encode(inputs: Inputs, weight: Tensor, bias: Tensor, *parts: Tensor) -> Tensor:
    """The encoding [T*B,E] of inputs [K,T*B] by weight [E,K] and bias [E], then parts [T,B,..], side by side [T,B,I].

    Differentiable once, and by the inputs only where they ask for a gradient.
    """
    if inputs.is_watched:
        encoded = torch.addmm(bias, inputs.scaled().T, weight.T)
        return torch.cat([encoded.view(*parts[0].shape[:2], len(weight)), *parts], dim=-1)
    x: Tensor = _Encode.apply(inputs, weight, bias, *parts)  # type: ignore[no-untyped-call]
    return x


class _Encode(torch.autograd.Function):
    """Every part is written once, to where it belongs."""

    @staticmethod
    def forward(ctx: Any, inputs: Inputs, weight: Tensor, bias: Tensor, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        ctx.widths = [len(weight), *(part.shape[-1] for part in parts)]
        x = weight.new_empty(*parts[0].shape[:2], sum(ctx.widths))
        encoded, *places = torch.split(x, ctx.widths, dim=-1)
        _run(inputs, weight, bias, encoded.flatten(0, 1))
        for place, part in zip(places, parts, strict=True):
            place.copy_(part)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_x: Tensor) -> tuple[Tensor | None, ...]:
        encoded, *parts = torch.split(d_x, ctx.widths, dim=-1)
        wanted = zip(parts, ctx.needs_input_grad[3:], strict=True)
        by_weight, by_bias = _differentiate(Inputs(*ctx.saved_tensors), encoded.flatten(0, 1))
        return None, by_weight, by_bias, *(part if is_wanted else None for part, is_wanted in wanted)


def _run(inputs: Inputs, weight: Tensor, bias: Tensor, encoded: Tensor) -> None:
    """Fill encoded [N,E]."""
    if not (_fits(inputs, encoded) and _is_map(weight, bias, inputs, encoded)):
        torch.addmm(bias, inputs.scaled().T, weight.T, out=encoded)
        return
    is_double, threads = weight.dtype == torch.float64, torch.get_num_threads()
    weight, bias = weight.detach().contiguous(), bias.detach().contiguous()
    native.load().encode(is_double, inputs.for_kernels, weight, bias, encoded, threads)  # type: ignore[union-attr]


def _differentiate(inputs: Inputs, d_encoded: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of weight [E,K] and bias [E] by that of encoded [N,E]."""
    if not _fits(inputs, d_encoded):
        # transposed: a product that is short on both sides is twice as fast this way round
        return (inputs.scaled() @ d_encoded).T, d_encoded.sum(0)
    is_double, threads = d_encoded.dtype == torch.float64, torch.get_num_threads()
    d_encoded = d_encoded if d_encoded.stride(1) == 1 else d_encoded.contiguous()
    by_weight, by_bias = (d_encoded.new_empty(d_encoded.shape[1], *rest) for rest in ((len(inputs.values),), ()))
    native.load().encode_backward(is_double, inputs.for_kernels, d_encoded, by_weight, by_bias, threads)  # type: ignore[union-attr]
    return by_weight, by_bias


def _fits(inputs: Inputs, encoded: Tensor) -> bool:
    """Is there a kernel for these tensors?"""
    known = encoded.dtype in (torch.float32, torch.float64) and encoded.device.type == "cpu"
    return known and inputs.fit(encoded.dtype, len(encoded)) and inputs.values.numel() > 0 and native.load() is not None


def _is_map(weight: Tensor, bias: Tensor, inputs: Inputs, encoded: Tensor) -> bool:
    """Are weight and bias of the kind and of the sizes that lead from the inputs to what is encoded?"""
    alike = all(part.dtype == encoded.dtype and part.device == encoded.device for part in (weight, bias))
    outputs = encoded.shape[1]
    return alike and weight.shape == (outputs, len(inputs.values)) and bias.shape == (outputs,)
