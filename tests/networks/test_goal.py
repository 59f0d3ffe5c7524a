"""What lies ahead of every step, by hand."""

import torch

from foretell.networks.goal import Goal, slide

T, B, H = 4, 2, 3


def make_goal():
    torch.manual_seed(0)
    return Goal(
        values=torch.randn(T + H, B),
        known=(torch.rand(T + H, B) > 0.3).float(),
        learn=(torch.rand(T, B) > 0.3).float(),
        spread=torch.rand(T, B) + 0.5,
    )


def test_target_and_mask_by_hand():
    goal = make_goal()
    target, mask = goal.scaled()
    assert target.shape == mask.shape == (T, B, H)
    for t in range(T):
        for b in range(B):
            for k in range(H):
                ahead = (goal.values[t + k + 1, b] - goal.values[t, b]) / goal.spread[t, b]
                assert torch.isclose(target[t, b, k], ahead)
                assert mask[t, b, k] == goal.known[t + k + 1, b] * goal.learn[t, b]


def test_count_is_the_sum_of_the_mask():
    goal = make_goal()
    assert 0 < goal.count() == goal.scaled()[1].sum() < T * B * H


def test_the_horizon_is_what_the_rows_leave():
    assert make_goal().horizon == H


def test_slide_is_a_view_of_shifted_rows():
    rows = torch.arange(10.0).view(5, 2)
    lines = slide(rows, 3)
    assert lines.tolist() == [[0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 8, 9]]
    assert lines.data_ptr() == rows.data_ptr()
