"""The chunks that training sees, put side by side with whole series; and the calendar's columns."""

import numpy as np
import pytest
import torch

from foretell.jobs.forecasting import calendars
from foretell.jobs.forecasting.calendars import calendar, calendar_columns, panel_calendar
from foretell.jobs.forecasting.task import ForecastTask
from foretell.networks.quantiles import pinball
from foretell.sequences import build_panel, infer_schema, read_table


@pytest.fixture(scope="module")
def task(rich, rows):
    panel = build_panel(read_table(rows), rich.schema_)
    _, data = rich._model.scale(panel)
    train, stop = panel.offsets[1:] - 40, panel.offsets[1:] - 20
    return ForecastTask(rich._model.networks[0], data, train, stop, seed=0, weight_decay=0.0)


def whole_series(task):
    """Sum and number of the losses over every series from its first row, the state carried to its end."""
    total, count = 0.0, 0.0
    for track, (start, length, stop) in enumerate(zip(task.start, task.lengths, task.train, strict=True)):
        tracks, first = torch.tensor([track]), torch.tensor([int(start)])
        length = int(length)
        steps, goal = task.data.steps_and_goal(tracks, first, first + length, length, torch.tensor([int(stop)]))
        quantiles, _ = task.network(steps)
        target, mask = goal.scaled()
        loss, known = pinball(quantiles, target, mask, task.probabilities)
        total, count = total + loss.item(), count + known.item()
    return total, count


@torch.no_grad()
def test_chunks_with_the_state_carried_are_the_whole_series(task):
    """With lanes enough no series is cut, so an epoch must add up to one pass over each."""
    task.network.eval()
    task.lanes, task.time = 3, 16
    total, count, carried = 0.0, 0.0, None
    for batch in task.batches(1):
        loss, carried = task.loss(batch, carried)
        known = batch.goal.scaled()[1].sum().item()
        total, count = total + loss.item() * known, count + known
    expected, number = whole_series(task)
    assert count == number > 500
    assert total == pytest.approx(expected, rel=1e-4)


def test_the_same_epoch_has_the_same_batches(task):
    one, again, other = (list(task.batches(epoch)) for epoch in (1, 1, 2))
    first, second, third = ([batch.goal.values for batch in batches] for batches in (one, again, other))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, third, strict=False))


def test_no_target_of_a_training_row_lies_in_the_validation_rows(task):
    """Targets are in units of their step; the mask alone says which are learned from."""
    train = torch.from_numpy(task.train)
    tracks = torch.arange(len(train))
    _, mask = task.data.steps_and_goal(tracks, train - 6, train, 6, train)[1].scaled()
    horizon = task.data.horizon
    for step in range(6):
        for ahead in range(1, horizon + 1):
            if step - 6 + ahead >= 0:
                assert not mask[step, :, ahead - 1].any()


def test_validation_targets_are_the_validation_rows_alone(task):
    seen = 0
    for tracks, first, time in task.validation_blocks():
        _, mask = task.validation_batch(tracks, first, time)[1].scaled()
        for lane, track in enumerate(tracks.tolist()):
            for step, ahead in mask[:, lane].nonzero().tolist():
                row = int(first[lane]) + step + ahead + 1
                assert task.train[track] <= row < task.stop[track]
                seen += 1
    assert seen > 100


def test_the_last_step_of_training_is_the_one_before_the_last_row(task):
    assert (task.lengths == task.train - task.start - 1).all()


@pytest.mark.parametrize(
    ("step", "count", "phases"),
    [
        (np.timedelta64(1, "h"), 400, 2),  # day and week
        (np.timedelta64(12, "h"), 400, 2),
        (np.timedelta64(1, "D"), 100, 1),  # week: a year has not come round twice
        (np.timedelta64(1, "D"), 800, 2),
        (np.timedelta64(7, "D"), 120, 1),
    ],
)
def test_a_phase_is_used_once_it_has_come_round_twice(step, count, phases):
    times = np.datetime64("2023-01-02", "us") + np.arange(count) * step
    table = read_table({"ds": times, "y": np.arange(count) % 5 + 0.5})
    panel = build_panel(table, infer_schema(table, time="ds", target="y"))
    known = panel.frequency.calendar(times).shape[1] // 2  # phases of that step: a sine and a cosine each
    columns = calendar(panel, 0, np.arange(count), None).shape[1]
    assert len(calendar_columns(panel, None)) == phases * columns // known


def test_the_calendar_does_not_depend_on_its_blocks(monkeypatch):
    times = np.datetime64("2023-01-02", "us") + np.arange(800) * np.timedelta64(1, "D")
    table = read_table({"ds": times, "y": np.arange(800) % 5 + 0.5})
    panel = build_panel(table, infer_schema(table, time="ds", target="y"))
    columns = calendar_columns(panel, None)
    whole = panel_calendar(panel, None, columns)
    assert np.array_equal(whole, calendar(panel, 0, np.arange(800), None)[:, columns])
    monkeypatch.setattr(calendars, "BLOCK", 37)
    assert calendar_columns(panel, None) == columns
    assert np.array_equal(panel_calendar(panel, None, columns), whole)
