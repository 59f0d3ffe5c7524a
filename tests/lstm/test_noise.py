"""Training's random masks: what they do to the state, how often, and what evaluation does instead."""

import pytest
import torch

from foretell.lstm import LSTM, LSTMCell
from foretell.lstm.noise import DRAWN, drop
from foretell.lstm.philox import philox

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


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(0, 3), (7, 5), (2 * DRAWN + 1,)])
def test_dropout_is_torchs_for_the_same_seed(shape, kind, share):
    values = torch.randn(shape).to(kind).requires_grad_()
    found = []
    for dropout in (torch.nn.functional.dropout, drop):
        torch.manual_seed(3)
        dropped = dropout(values, share)
        (gradient,) = torch.autograd.grad(dropped.sum(), values)
        found.append((dropped, gradient, torch.get_rng_state()))
    assert all(map(torch.equal, *found))


def test_zoneout_keeps_the_given_share_of_units(make, x):
    layer = make(3, 50, zoneout=(0.2, 0.6)).train()
    steps = layer.trace(x).layers[0][0]
    for values, chance in ((steps.h, 0.2), (steps.c, 0.6)):
        kept = (values[1:] == values[:-1]).double().mean().item()
        assert abs(kept - chance) < 0.03  # 10,000 draws: six standard deviations


def kept(seed, sequence, step, row, width, chances):
    """Which units of h and which of c keep their old value, by the docstring of `Noise`."""
    numbers = (torch.arange(width), torch.tensor(row), torch.tensor(step), torch.tensor(sequence))
    words = philox(numbers, (seed % 2**32, seed // 2**32))
    return tuple((word >> 8).double() / 2**24 < chance for word, chance in zip(words, chances, strict=False))


def test_zoneout_is_counted_by_unit_row_true_step_and_sequence(make):
    chances, lengths = (0.3, 0.6), [5, 0, 3, 1]
    layer = make(3, 8, 2, proj_size=5, bidirectional=True, zoneout=chances).train()
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    torch.manual_seed(6)
    seed = torch.randint(2**62, ())
    torch.manual_seed(6)
    found = layer.trace(x, lengths=lengths).layers
    for sequence in range(4):
        part = found[sequence // 2][sequence % 2]
        for row, length in enumerate(lengths):
            order = range(length) if sequence % 2 == 0 else range(length - 1, -1, -1)
            h, c = torch.zeros(5), torch.zeros(8)
            for step in order:
                old_h, old_c = kept(seed, sequence, step, row, 8, chances)
                assert torch.equal(part.h[step, row] == h, old_h[:5])
                assert torch.equal(part.c[step, row] == c, old_c)
                h, c = part.h[step, row], part.c[step, row]


def test_the_cell_draws_a_new_step_zero_each_call():
    cell, x = LSTMCell(3, 8, zoneout=(0.3, 0.6)), torch.randn(2, 3)
    torch.manual_seed(6)
    seeds = torch.randint(2**62, ()), torch.randint(2**62, ())
    torch.manual_seed(6)
    state = torch.zeros(2, 8), torch.zeros(2, 8)
    for seed in seeds:
        before, state = state, cell(x, state)
        for row in range(2):
            for old, new, expected in zip(before, state, kept(seed, 0, 0, row, 8, (0.3, 0.6)), strict=True):
                assert torch.equal(old[row] == new[row], expected)


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
