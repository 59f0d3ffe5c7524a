"""All weights of a network in one array, so that clipping, averaging and zeroing cost one operation each."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class FlatWeights:
    """The parameters of AdamW's groups become views of one array, in the groups' order; so do their gradients.

    `average` is a copy of the network in evaluation mode whose weights `add_to_average` moves towards these.
    """

    def __init__(self, network: nn.Module, groups: list[dict[str, Any]]) -> None:
        parameters = [parameter for group in groups for parameter in group["params"]]
        self.weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.gradients, self.averaged = torch.zeros_like(self.weights), self.weights.clone()
        self.parameters = parameters
        self.average = copy.deepcopy(network).eval()
        names = {parameter: name for name, parameter in network.named_parameters()}
        copies = dict(self.average.named_parameters())
        for parameter, gradient in zip(parameters, _views(self.gradients, parameters), strict=True):
            parameter.grad = gradient
        _point(parameters, self.weights)
        _point([copies[names[parameter]] for parameter in parameters], self.averaged)

    def groups(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The groups, each with one long parameter in place of its own."""
        sizes = [sum(parameter.numel() for parameter in group["params"]) for group in groups]
        merged = []
        parts = zip(groups, torch.split(self.weights, sizes), torch.split(self.gradients, sizes), strict=True)
        for group, weights, gradients in parts:
            weights.grad = gradients
            merged.append({**group, "params": [weights]})
        return merged

    def clip(self, most: float) -> None:
        """Shrink the gradients to a norm of at most `most` (Pascanu et al. 2013)."""
        self.gradients.mul_((most / (self.gradients.norm() + 1e-6)).clamp(max=1.0))

    def add_to_average(self, share: float) -> None:
        self.averaged.lerp_(self.weights, share)

    def release(self) -> None:
        """Give every parameter an array of its own again, and no gradient."""
        for parameter in self.parameters:
            parameter.data, parameter.grad = parameter.data.clone(), None


def _views(flat: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    parts = torch.split(flat, [parameter.numel() for parameter in parameters])
    return [part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True)]


def _point(parameters: list[nn.Parameter], flat: Tensor) -> None:
    for parameter, view in zip(parameters, _views(flat, parameters), strict=True):
        parameter.data = view
