"""All weights of a network in one array, so that an optimizer passes over them as over one."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FlatWeights:
    """The parameters, in the order given, become views of one array; so do their gradients.

    `average` is a copy of the network in evaluation mode whose weights are views of `averaged`.
    """

    def __init__(self, network: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
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

    def release(self) -> None:
        """Give every parameter an array of its own again, and no gradient."""
        for parameter in self.parameters:
            parameter.data, parameter.grad = parameter.data.clone(), None


def _views(flat: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    parts = torch.split(flat, [parameter.numel() for parameter in parameters])
    return [part.view(parameter.shape) for part, parameter in zip(parts, parameters, strict=True)]


def _point(parameters: Sequence[nn.Parameter], flat: Tensor) -> None:
    for parameter, view in zip(parameters, _views(flat, parameters), strict=True):
        parameter.data = view
