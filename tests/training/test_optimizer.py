"""A step of the optimizer beside PyTorch's clipping, its AdamW and an average by hand; compiled, and as defined."""

import pytest
import torch
from torch import nn

from foretell import native
from foretell.training.optimizer import AdamW, Group, decay_matrices

STEPS, RATE = 5, 0.05


@pytest.fixture(params=["compiled", "defined"])
def way(request, monkeypatch):
    """Through the compiled kernel, or through the definition."""
    if request.param == "defined":
        monkeypatch.setattr(native, "load", lambda: None)
    elif native.load() is None:
        pytest.skip("the compiled core was not built")


def make_network(kind):
    """Groups of 8,200, 41 and 3 numbers: more than a stretch, and not whole vectors."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.ParameterList([torch.randn(200, 41), torch.randn(41), torch.randn(3)]).to(kind)


def make_optimizer(network, clip_norm=1.0, share=0.25):
    matrix, vector, slow = network.parameters()
    groups = [*decay_matrices([vector, matrix], 0.1), Group([slow], rate=0.3)]
    return AdamW(network, groups, clip_norm, share)


def gradients(number, kind, size):
    """At most 1 is their norm at the last step, and far more before."""
    generator = torch.Generator().manual_seed(number)
    return torch.randn(size, generator=generator, dtype=torch.float64).mul_(1e-4 if number == STEPS - 1 else 1).to(kind)


def beside_pytorch(network, clip_norm, share):
    """The weights and their average after the steps, by PyTorch."""
    matrix, vector, slow = network.parameters()
    optimizer = torch.optim.AdamW(
        [
            {"params": [matrix], "weight_decay": 0.1, "lr": RATE},
            {"params": [vector], "weight_decay": 0.0, "lr": RATE},
            {"params": [slow], "weight_decay": 0.0, "lr": 0.3 * RATE},
        ]
    )
    average = [parameter.detach().clone() for parameter in network.parameters()]
    for number in range(STEPS):
        flat = gradients(number, matrix.dtype, sum(parameter.numel() for parameter in network.parameters()))
        parts = flat.split([parameter.numel() for parameter in network.parameters()])
        for parameter, part in zip(network.parameters(), parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()
        nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        optimizer.step()
        for kept, parameter in zip(average, network.parameters(), strict=True):
            kept.lerp_(parameter.detach(), share)
    return [parameter.detach() for parameter in network.parameters()], average


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("clip_norm", [1.0, 1e9])
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_a_step_is_pytorchs(kind, tolerance, clip_norm):
    network = make_network(kind)
    expected, average = beside_pytorch(make_network(kind), clip_norm, 0.25)
    optimizer = make_optimizer(network, clip_norm)
    for number in range(STEPS):
        optimizer.flat.gradients.copy_(gradients(number, kind, len(optimizer.flat.gradients)))
        optimizer.step(RATE)
        assert not optimizer.flat.gradients.any()
    for found, wanted in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=tolerance, atol=tolerance)
    for found, wanted in zip(optimizer.flat.average.parameters(), average, strict=True):
        torch.testing.assert_close(found.detach(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_is_not_hidden(value):
    optimizer = make_optimizer(make_network(torch.float32))
    optimizer.flat.gradients.fill_(0.1)[7] = value
    optimizer.step(RATE)
    assert optimizer.flat.weights[7].isnan()
    assert optimizer.flat.averaged[7].isnan()


def test_threads_do_not_change_a_bit():
    found = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            network = nn.ParameterList([torch.linspace(-1, 1, 300_001)])
            optimizer = AdamW(network, decay_matrices(network.parameters(), 0.1), 1.0, 0.5)
            optimizer.flat.gradients.copy_(gradients(0, torch.float32, 300_001))
            optimizer.step(RATE)
        finally:
            torch.set_num_threads(before)
        found.append(optimizer)
    one, two = found
    assert torch.equal(one.flat.weights, two.flat.weights)
    assert torch.equal(one.second, two.second)
    assert torch.equal(one.flat.averaged, two.flat.averaged)


def test_matrices_decay_and_biases_do_not():
    layer = nn.Linear(3, 2)
    matrices, others = decay_matrices(layer.parameters(), 0.1)
    assert (matrices.parameters, matrices.weight_decay) == ([layer.weight], 0.1)
    assert (others.parameters, others.weight_decay) == ([layer.bias], 0.0)
    assert (matrices.count, others.count) == (6, 2)
