"""The temperature against a network whose logits are known to be too large."""

import math

import pytest
import torch

from foretell.jobs.recommending.calibrating import TEMPERATURES, best_loss, calibrate, losses
from foretell.networks.recommend import RecommendConfig, RecommendNetwork


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_the_temperature_undoes_what_made_the_logits_too_large(factor):
    config = RecommendConfig(
        items=6, width=4, hidden=4, layers=1, dropout=0, embedding_dropout=0, item_dropout=0, smoothing=0
    )
    torch.manual_seed(0)
    network = RecommendNetwork(config).requires_grad_(False)
    torch.nn.init.normal_(network.items)
    h = torch.randn(20_000, 4)
    target = torch.multinomial(torch.softmax(network.logits(h), 1), 1)[:, 0]
    network.items *= factor
    calibrate(network, h, target)
    assert abs(math.log(float(network.temperature) / factor)) < math.log(1.1)
    place = TEMPERATURES.index(pytest.approx(float(network.temperature)))
    assert best_loss(network, h, target) == pytest.approx(float(losses(network, h, target)[place]))
    assert best_loss(network, h, target) == pytest.approx(-float(network.log_probability(h, target).mean()), rel=1e-4)


def test_without_events_the_temperature_stays():
    config = RecommendConfig(
        items=6, width=4, hidden=4, layers=1, dropout=0, embedding_dropout=0, item_dropout=0, smoothing=0
    )
    network = RecommendNetwork(config)
    calibrate(network, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert network.temperature == 1
    assert math.isnan(best_loss(network, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)))
