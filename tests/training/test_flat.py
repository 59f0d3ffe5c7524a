"""One array for all weights: the network, its gradients and its average are views of it, and are let go of again."""

import pytest
import torch
from torch import nn

from foretell.training.flat import FlatWeights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def flatten(network):
    """Not in the order of the network."""
    return FlatWeights(network, [*network[2].parameters(), *network[0].parameters()])


def test_the_network_answers_as_before_and_follows_the_array(network):
    x = torch.randn(5, 3)
    before = network(x)
    flat = flatten(network)
    assert torch.equal(network(x), before)
    assert network[2].weight.data_ptr() == flat.weights.data_ptr()
    flat.weights.zero_()
    assert not network(x).any()


def test_gradients_gather_in_the_array(network):
    x = torch.randn(5, 3)
    expected = torch.autograd.grad(network(x).square().sum(), list(network.parameters()))
    flat = flatten(network)
    for times in (1, 2):
        network(x).square().sum().backward()
        order = [expected[2], expected[3], expected[0], expected[1]]
        torch.testing.assert_close(flat.gradients, times * torch.cat([part.flatten() for part in order]))


def test_the_average_is_a_network_of_its_own_array(network):
    flat = flatten(network)
    begin = network[2].weight.clone()
    assert torch.equal(flat.average[2].weight, begin)
    flat.averaged.add_(1.0)
    torch.testing.assert_close(flat.average[2].weight, begin + 1.0)
    assert torch.equal(network[2].weight, begin)
    assert not flat.average.training


def test_released_parameters_are_their_own(network):
    flat = flatten(network)
    flat.release()
    before = network[0].weight.clone()
    flat.weights.zero_()
    assert torch.equal(network[0].weight, before)
    assert all(parameter.grad is None for parameter in network.parameters())
