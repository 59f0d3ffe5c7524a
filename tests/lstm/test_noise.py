"""Training's random masks: what they do to the state, how often, and what evaluation does instead."""

import pytest
import torch

from foretell.lstm import LSTM

NOISY = [{"zoneout": 0.4}, {"recurrent_dropout": 0.4}, {"weight_drop": 0.4}]


@pytest.fixture
def x():
    torch.manual_seed(7)
    return torch.randn(6, 40, 3, dtype=torch.float64)


@pytest.mark.parametrize("noise", NOISY)
def test_noise_is_trainings_alone_and_follows_torchs_seed(noise, make, x):
    layer = make(3, 8, **noise)
    assert torch.equal(layer(x)[0], layer(x)[0])
    layer.train()
    assert not torch.equal(layer(x)[0], layer(x)[0])
    torch.manual_seed(1)
    first = layer(x)[0]
    torch.manual_seed(1)
    assert torch.equal(layer(x)[0], first)


@pytest.mark.parametrize("name", ["recurrent_dropout", "weight_drop"])
def test_dropout_leaves_evaluation_untouched(name, make, x):
    assert torch.equal(make(3, 8, **{name: 0.4})(x)[0], make(3, 8)(x)[0])


def test_zoneout_keeps_the_given_share_of_units(make, x):
    layer = make(3, 50, zoneout=(0.2, 0.6)).train()
    steps = layer.trace(x).layers[0][0]
    for values, chance in ((steps.h, 0.2), (steps.c, 0.6)):
        kept = (values[1:] == values[:-1]).double().mean().item()
        assert abs(kept - chance) < 0.03  # 10,000 draws: six standard deviations


def test_zoneout_of_h_sees_the_cell_state_before_its_own_zoneout(make, x, assert_near):
    layer = make(3, 8, zoneout=(0.0, 0.5)).train()
    step = layer.trace(x).layers[0][0]
    before = torch.cat([torch.zeros_like(step.c[:1]), step.c[:-1]])
    assert_near(step.h, step.o * (step.f * before + step.i * step.g).tanh())


def test_recurrent_dropout_is_locked_over_time(make, x, assert_near):
    """With the other weights off, h of a step shows which units of the step before were let through."""
    layer = make(3, 8, recurrent_dropout=0.5, bias=False).train()
    torch.nn.init.zeros_(layer.weight_ih_l0)
    torch.nn.init.zeros_(layer.weight_hh_l0)
    with torch.no_grad():
        layer.weight_hh_l0[16:24] = 1e-3 * torch.eye(8, dtype=torch.float64)  # g sees h, unit by unit
    start = torch.ones(1, 40, 8, dtype=torch.float64)
    step = layer.trace(x, (start, torch.zeros_like(start))).layers[0][0]
    through = step.g != 0
    assert (through == through[0]).all()
    assert 0.4 < through[0].double().mean() < 0.6
    assert_near(step.g[0][through[0]], torch.full_like(step.g[0][through[0]], 2e-3).tanh())


def test_weight_drop_is_the_same_for_every_row_and_step(make, x, assert_near):
    layer = make(3, 8, weight_drop=0.5).train()
    torch.manual_seed(2)
    y = layer(x)[0]
    torch.manual_seed(2)
    dropped = torch.nn.functional.dropout(layer.weight_hh_l0, 0.5)
    plain = make(3, 8)
    plain.load_state_dict(layer.state_dict() | {"weight_hh_l0": dropped})
    assert_near(y, plain(x)[0])


def test_a_mean_over_masks_is_near_evaluation():
    torch.manual_seed(0)
    layer = LSTM(3, 8, zoneout=0.3, recurrent_dropout=0.2, weight_drop=0.2)
    x = torch.randn(4, 1, 3)
    mean = torch.stack([layer(x.expand(-1, 500, -1))[0].mean(1) for _ in range(20)]).mean(0)
    expected = layer.eval()(x)[0][:, 0]
    assert (mean - expected).abs().max() < 0.1 * expected.abs().max()  # a guide only: the cell is not linear
