"""The loop against a hand-written one in float64, its schedule, its choice of network and its manners."""

import math
from dataclasses import fields

import pytest
import torch
from safetensors.torch import save
from torch import nn

from foretell.errors import InputError
from foretell.training.checkpoint import Checkpoint
from foretell.training.loop import Plan, one_cycle, own_randomness, own_threads, train
from foretell.training.optimizer import Group

CHUNKS, T, B = 3, 5, 2


class NextValue(nn.Module):
    """A tiny recurrent network in float64 that predicts the next value."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.lstm = nn.LSTM(1, 4, dtype=torch.float64)
            self.out = nn.Linear(4, 1, dtype=torch.float64)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, state):
        y, state = self.lstm(x, state)
        return self.out(self.drop(y)), state


class Waves:
    """One long wave cut into chunks, the state carried between them."""

    def __init__(self, network, scores=None):
        self.network, self.scores, self.modes = network, iter(scores or ()), []
        self.asked = []
        wave = torch.sin(torch.arange(CHUNKS * T + 1, dtype=torch.float64) / 2)
        self.wave = torch.stack([wave, wave.flip(0)], dim=1).unsqueeze(-1)

    def batches(self, epoch):
        self.asked.append(epoch)
        for at in range(0, CHUNKS * T, T):
            yield self.wave[at : at + T], self.wave[at + 1 : at + T + 1]

    def loss(self, batch, carried):
        x, y = batch
        guess, state = self.network(x, carried)
        return (guess - y).square().mean(), tuple(part.detach() for part in state)

    def validate(self, network):
        self.modes.append(network.training)
        with torch.no_grad():
            network(self.wave[:T], None)
        return next(self.scores, 1.0 / (1 + len(self.modes)))

    def parameter_groups(self):
        return [
            Group(list(self.network.lstm.parameters()), weight_decay=0.1),
            Group(list(self.network.out.parameters()), rate=0.5),
        ]


def plan(**changes):
    return Plan(**{"epochs": 3, "steps": CHUNKS, "learning_rate": 0.05, "seed": 7, **changes})


def fitted(scores=None, **changes):
    network = NextValue()
    curve = train(network, Waves(network, scores), plan(**changes))
    return network.state_dict(), curve


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_equals_a_loop_written_by_hand():
    network = NextValue()
    network.drop.p = 0.0
    curve = train(network, Waves(network), plan())

    hand = NextValue()
    hand.drop.p = 0.0
    task, step = Waves(hand), 0
    rates = {id(p): 1.0 for p in hand.lstm.parameters()} | {id(p): 0.5 for p in hand.out.parameters()}
    decay = {id(p): 0.1 for p in hand.lstm.parameters()} | {id(p): 0.0 for p in hand.out.parameters()}
    average = {name: p.detach().clone() for name, p in hand.named_parameters()}
    decay_of_average = 1 - 1 / (1 + 0.1 * 3 * CHUNKS)
    first = {id(p): torch.zeros_like(p) for p in hand.parameters()}
    second = {id(p): torch.zeros_like(p) for p in hand.parameters()}
    for _ in range(3):
        state, losses = None, []
        for x, y in task.batches(0):
            progress = step / (3 * CHUNKS)
            rising = 0.1 + 0.9 * progress / 0.15
            falling = 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * (progress - 0.15) / 0.85))
            rate = 0.05 * (rising if progress < 0.15 else falling)
            guess, state = hand(x, state)
            state = tuple(part.detach() for part in state)
            loss = (guess - y).square().mean()
            losses.append(loss.item())
            grads = torch.autograd.grad(loss, list(hand.parameters()))
            norm = math.sqrt(sum(float(grad.square().sum()) for grad in grads))
            shrink = min(1.0, 1.0 / (norm + 1e-6))
            step += 1
            with torch.no_grad():  # AdamW, Loshchilov & Hutter 2019, algorithm 2
                for p, grad in zip(hand.parameters(), grads, strict=True):
                    g, lr = grad * shrink, rate * rates[id(p)]
                    first[id(p)] = 0.9 * first[id(p)] + 0.1 * g
                    second[id(p)] = 0.999 * second[id(p)] + 0.001 * g * g
                    p -= lr * decay[id(p)] * p
                    m, v = first[id(p)] / (1 - 0.9**step), second[id(p)] / (1 - 0.999**step)
                    p -= lr * m / (v.sqrt() + 1e-8)
                for name, p in hand.named_parameters():
                    average[name] = decay_of_average * average[name] + (1 - decay_of_average) * p
    for name, tensor in average.items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=1e-10, atol=1e-12)
    assert curve[-1].train == pytest.approx(sum(losses) / len(losses), rel=1e-10)


def test_the_curve_begins_before_training():
    _, curve = fitted()
    assert [line.epoch for line in curve] == [0, 1, 2, 3]
    assert math.isnan(curve[0].train)
    assert all(line.train > 0 for line in curve[1:])


def test_one_cycle():
    assert one_cycle(0.0) == pytest.approx(0.1)
    assert one_cycle(0.15) == pytest.approx(1.0)
    assert one_cycle(1.0) == pytest.approx(0.001)
    assert one_cycle(1.7) == pytest.approx(0.001)  # an epoch longer than counted holds the last rate
    rates = [one_cycle(k / 100) for k in range(101)]
    assert rates.index(max(rates)) == 15
    assert rates[15:] == sorted(rates[15:], reverse=True)


@pytest.mark.parametrize(
    ("scores", "kept"),
    [([3, 2, 1, 4], 2), ([1, 2, 3, 4], 0), ([4, 3, 2, 1], 3), ([2, 2, 2, 2], 0), ([3, 1, 1, 2], 1)],
)
def test_the_best_network_by_validation_is_kept(scores, kept):
    snapshots = snapshots_of_epochs()
    weights, _ = fitted(scores)
    assert [same(weights, snapshot) for snapshot in snapshots].index(True) == kept


@pytest.mark.parametrize(
    ("scores", "kept"), [([3, math.nan, 1, 2], 2), ([1, math.nan, 2, 3], 0), ([3, 2, 4, math.nan], 1)]
)
def test_a_network_that_scores_nan_is_never_kept(scores, kept):
    snapshots = snapshots_of_epochs()
    weights, _ = fitted(scores)
    assert [same(weights, snapshot) for snapshot in snapshots].index(True) == kept


def test_after_a_start_that_scores_nan_the_best_is_kept():
    snapshots = snapshots_of_epochs()
    weights, _ = fitted([math.nan, 1, 3, 2])
    assert [same(weights, snapshot) for snapshot in snapshots].index(True) == 1


def snapshots_of_epochs():
    """The averaged weights after each epoch of the same training."""
    network, snapshots = NextValue(), []
    task = Waves(network, [1.0, 1.0, 1.0, 1.0])
    validate = task.validate

    def spy(average):
        snapshots.append({name: tensor.clone() for name, tensor in average.state_dict().items()})
        return validate(average)

    task.validate = spy
    train(network, task, plan())
    return snapshots


def test_validation_sees_the_network_without_dropout():
    network = NextValue()
    task = Waves(network)
    train(network, task, plan())
    assert task.modes == [False] * 4
    assert not network.training


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    fitted()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_callers_random_numbers_do_not_matter():
    torch.manual_seed(1)
    one, _ = fitted()
    torch.manual_seed(2)
    other, _ = fitted()
    assert same(one, other)


def test_own_randomness_depends_on_seed_and_epoch():
    def draw(seed, epoch):
        with own_randomness(seed, epoch):
            return torch.rand(3)

    assert torch.equal(draw(1, 2), draw(1, 2))
    assert not torch.equal(draw(1, 2), draw(1, 3))
    assert not torch.equal(draw(1, 2), draw(2, 2))


@pytest.mark.parametrize(
    "change", [{"epochs": 2}, {"steps": 9}, {"learning_rate": 0.01}, {"seed": 8}, {"clip_norm": 1e-3}]
)
def test_every_field_of_a_plan_changes_the_training(change):
    improving = [4.0, 3.0, 2.0, 1.0]
    assert not same(fitted(improving)[0], fitted(improving, **change)[0])


def test_every_field_of_a_plan_is_tested():
    changed = {"epochs", "steps", "learning_rate", "seed", "clip_norm"}
    assert {field.name for field in fields(Plan)} == changed | {"threads"}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("threads", "used"), [(1, 1), (2, 2), (9, 2), (None, 2)])
def test_threads_are_limited_while_it_trains_and_no_longer(threads, used):
    network = NextValue()
    task, seen = Waves(network), []
    loss = task.loss

    def spy(batch, carried):
        seen.append(torch.get_num_threads())
        return loss(batch, carried)

    task.loss = spy
    train(network, task, plan(threads=threads))
    assert set(seen) == {used}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_come_back_after_an_error():
    with pytest.raises(Killed), own_threads(1):
        raise Killed
    assert torch.get_num_threads() == 2


def test_no_epochs_leave_the_network_as_it_was():
    weights, curve = fitted(epochs=0)
    assert same(weights, NextValue().state_dict())
    assert len(curve) == 1


def test_progress_is_told_of_every_epoch():
    told = []
    network = NextValue()
    train(network, Waves(network), plan(), progress=lambda line, plan: told.append((line.epoch, plan.epochs)))
    assert told == [(1, 3), (2, 3), (3, 3)]


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_interrupted_after_any_epoch_and_resumed_gives_the_same_weights(tmp_path, after):
    scores = [5.0, 2.0, 4.0, 1.0, 3.0]
    whole, whole_curve = fitted(scores, epochs=4)
    checkpoint = Checkpoint(tmp_path / "run.safetensors")

    def stop(line, plan):
        if line.epoch == after:
            raise Killed

    network = NextValue()
    with pytest.raises(Killed):
        train(network, Waves(network, scores), plan(epochs=4), checkpoint, stop)
    network = NextValue()
    task = Waves(network, scores[after + 1 :])
    curve = train(network, task, plan(epochs=4), checkpoint)
    assert same(network.state_dict(), whole)
    assert task.asked == list(range(after + 1, 5))
    assert [(line.epoch, line.validation) for line in curve] == [(line.epoch, line.validation) for line in whole_curve]
    assert [line.train for line in curve[1:]] == [line.train for line in whole_curve[1:]]


def test_killed_within_an_epoch_it_goes_on_from_the_last_whole_one(tmp_path):
    scores = [5.0, 4.0, 3.0, 2.0]
    whole, _ = fitted(scores)
    checkpoint = Checkpoint(tmp_path / "run.safetensors")
    network = NextValue()
    task = Waves(network, scores)
    loss, calls = task.loss, []

    def dies(batch, carried):
        calls.append(batch)
        if len(calls) == 2 * CHUNKS - 1:
            raise Killed
        return loss(batch, carried)

    task.loss = dies
    with pytest.raises(Killed):
        train(network, task, plan(), checkpoint)
    network = NextValue()
    train(network, Waves(network, scores[2:]), plan(), checkpoint)
    assert same(network.state_dict(), whole)


def test_a_checkpoint_is_one_file_and_leaves_no_other(tmp_path):
    network = NextValue()
    train(network, Waves(network), plan(), Checkpoint(tmp_path / "run.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_checkpoint_without_what_the_optimizer_knows_is_an_input_error(tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(save({f"network.{name}": part for name, part in NextValue().state_dict().items()}))
    network = NextValue()
    before = {name: part.clone() for name, part in network.state_dict().items()}
    with pytest.raises(InputError, match="of another version"):
        train(network, Waves(network), plan(), Checkpoint(path))
    assert same(network.state_dict(), before)
