"""Quantiles: they never cross, the loss is the textbook's, and raw widths can be set to given distances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from foretell.networks.quantiles import pinball, spread_out, widths_for

Q = 5


@given(arrays(np.float32, (3, 4, Q), elements=st.floats(-50, 50, width=32)))
def test_quantiles_never_cross(raw):
    centre, widths = torch.from_numpy(raw[..., 0].copy()), torch.from_numpy(raw[..., 1:].copy())
    quantiles = spread_out(centre, widths)
    assert quantiles.shape == (3, 4, Q)
    assert (quantiles.diff(dim=-1) >= 0).all()
    assert torch.equal(quantiles[..., Q // 2], centre)


def test_distances_between_neighbours_are_the_softplus_of_the_raw_widths():
    widths = torch.randn(2, 3, Q - 1, dtype=torch.float64)
    quantiles = spread_out(torch.randn(2, 3, dtype=torch.float64), widths)
    torch.testing.assert_close(quantiles.diff(dim=-1), torch.log1p(widths.exp()))


@given(arrays(np.float64, (4, Q - 1), elements=st.floats(1e-3, 1e3)))
def test_raw_widths_give_the_distances_asked_for(distances):
    wanted = torch.from_numpy(distances)
    quantiles = spread_out(torch.zeros(4, dtype=torch.float64), widths_for(wanted))
    torch.testing.assert_close(quantiles.diff(dim=-1), wanted, rtol=1e-6, atol=1e-9)


def test_distances_of_nothing_are_kept_above_nothing():
    quantiles = spread_out(torch.zeros(1), widths_for(torch.zeros(1, Q - 1)))
    torch.testing.assert_close(quantiles.diff(dim=-1), torch.full((1, Q - 1), 1e-3), rtol=1e-3, atol=0)


def test_pinball_by_hand():
    """Koenker & Bassett: tau * e above the quantile, (1 - tau) * -e below it."""
    quantiles = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]])
    target, known = torch.tensor([3.0, 99.0]), torch.tensor([1.0, 0.0])
    total, count = pinball(quantiles, target, known, torch.tensor([0.1, 0.5, 0.9]))
    by_hand = 2 * (0.1 * (3 - 1) + 0.5 * (3 - 2) + (1 - 0.9) * (4 - 3)) / 3
    assert total.item() == pytest.approx(by_hand)
    assert count.item() == 1


def test_pinball_is_least_at_the_true_quantile():
    sample = torch.randn(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    candidates = torch.linspace(0.5, 2.0, 61, dtype=torch.float64)
    losses = [
        pinball(c.expand(len(sample), 1), sample, torch.ones_like(sample), torch.tensor([0.9]))[0] for c in candidates
    ]
    assert candidates[int(torch.stack(losses).argmin())].item() == pytest.approx(1.2816, abs=0.03)


def test_the_medians_part_of_the_loss_is_the_absolute_error():
    target = torch.randn(50)
    total, _ = pinball(torch.zeros(50, 1), target, torch.ones(50), torch.tensor([0.5]))
    torch.testing.assert_close(total, target.abs().sum())
