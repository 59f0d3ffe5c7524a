"""One array for all weights: the network, its gradients and its average are views of it, and are let go of again."""

import pytest
import torch
from torch import nn

from foretell.training.flat import FlatWeights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def groups_of(network):
    """Not in the order of the network."""
    return [{"params": list(network[2].parameters()), "weight_decay": 0.1}, {"params": list(network[0].parameters())}]


def test_the_network_answers_as_before_and_follows_the_array(network):
    x = torch.randn(5, 3)
    before = network(x)
    flat = FlatWeights(network, groups_of(network))
    assert torch.equal(network(x), before)
    flat.weights.zero_()
    assert not network(x).any()


def test_gradients_gather_in_the_array(network):
    x = torch.randn(5, 3)
    expected = torch.autograd.grad(network(x).square().sum(), list(network.parameters()))
    flat = FlatWeights(network, groups_of(network))
    for times in (1, 2):
        network(x).square().sum().backward()
        order = [expected[2], expected[3], expected[0], expected[1]]
        torch.testing.assert_close(flat.gradients, times * torch.cat([part.flatten() for part in order]))


def test_groups_keep_their_options(network):
    flat = FlatWeights(network, groups_of(network))
    first, second = flat.groups(groups_of(network))
    assert first["weight_decay"] == 0.1
    assert "weight_decay" not in second
    assert first["params"][0].data_ptr() == flat.weights.data_ptr() == network[2].weight.data_ptr()
    assert second["params"][0].data_ptr() == network[0].weight.data_ptr()
    assert second["params"][0].grad.data_ptr() == network[0].weight.grad.data_ptr()


@pytest.mark.parametrize("most", [0.5, 1e9])
def test_clip_is_pytorchs(network, most):
    flat = FlatWeights(network, groups_of(network))
    flat.gradients.copy_(torch.randn_like(flat.gradients))
    before = flat.gradients.clone()
    free = nn.Parameter(torch.zeros_like(before))
    free.grad = before
    nn.utils.clip_grad_norm_([free], most)
    flat.clip(most)
    torch.testing.assert_close(flat.gradients, free.grad)


def test_the_average_moves_by_its_share(network):
    flat = FlatWeights(network, groups_of(network))
    begin = network[2].weight.clone()
    assert torch.equal(flat.average[2].weight, begin)
    flat.weights.add_(1.0)
    flat.add_to_average(0.25)
    torch.testing.assert_close(flat.average[2].weight, begin + 0.25)
    assert not flat.average.training


def test_released_parameters_are_their_own(network):
    flat = FlatWeights(network, groups_of(network))
    flat.release()
    before = network[0].weight.clone()
    flat.weights.zero_()
    assert torch.equal(network[0].weight, before)
    assert all(parameter.grad is None for parameter in network.parameters())
