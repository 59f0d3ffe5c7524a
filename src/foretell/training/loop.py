"""The training loop: epochs of carried state, one-cycle schedule, the best network by validation, exact resume."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from foretell.training.checkpoint import Checkpoint
from foretell.training.optimizer import AdamW, Group

WARM_UP = 0.15  # share of the steps over which the learning rate rises
AVERAGED = 0.1  # share of the steps that the running average of the weights reaches back


class Task(Protocol):
    """What a job hands to the loop: batches, a loss and a score on unseen data."""

    def batches(self, epoch: int) -> Iterable[Any]:
        """The epoch's batches, the same whenever the same epoch is asked for."""

    def loss(self, batch: Any, carried: Any) -> tuple[Tensor, Any]:
        """The batch's mean loss, and the state to carry into the next batch (None before the first)."""

    def validate(self, network: Any) -> float:
        """The validation loss of a network of the task's kind."""

    def parameter_groups(self) -> list[Group]:
        """All parameters that are to learn."""


@dataclass(frozen=True)
class Plan:
    """How to train."""

    epochs: int
    steps: int  # batches an epoch, about: the schedule's length
    learning_rate: float
    seed: int
    threads: int | None = None  # None: as many as PyTorch has
    clip_norm: float = 1.0


@dataclass(frozen=True)
class Epoch:
    """One line of the training curve."""

    epoch: int
    train: float
    validation: float
    seconds: float


Progress = Callable[[Epoch, Plan], None]


def train(
    network: nn.Module,
    task: Task,
    plan: Plan,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> list[Epoch]:
    """Train in place; returns the curve, epoch 0 (the start) first.

    The network is left at the best validation score that the running average of its weights reached (Polyak &
    Juditsky 1992): the average is far less noisy than any step, and cannot leave a good start at once.
    """
    share = 1 / (1 + AVERAGED * plan.steps * plan.epochs)
    optimizer = AdamW(network, task.parameter_groups(), plan.clip_norm, share)
    average = optimizer.flat.average
    resumed = checkpoint.load(network, average, optimizer) if checkpoint else None
    if resumed:
        best, counters = resumed
        curve, optimizer.steps = [Epoch(**line) for line in counters["curve"]], counters["step"]
    else:
        best, curve = _copy(average), [Epoch(0, math.nan, _score(task, average, plan), 0.0)]
    for number in range(len(curve), plan.epochs + 1):
        started = time.perf_counter()
        loss = _epoch(network, task, plan, optimizer, number)
        score = _score(task, average, plan)
        if _is_best(score, curve):
            best = _copy(average)
        curve.append(Epoch(number, loss, score, time.perf_counter() - started))
        if checkpoint:
            counters = {"curve": [asdict(line) for line in curve], "step": optimizer.steps}
            checkpoint.save(network, average, best, optimizer, counters)
        if progress:
            progress(curve[-1], plan)
    network.load_state_dict(best)
    optimizer.flat.release()
    network.eval()
    return curve


def _is_best(score: float, curve: list[Epoch]) -> bool:
    """Better than every score before; without any score yet (no validation rows, say) the newest is."""
    scores = [line.validation for line in curve if math.isfinite(line.validation)]
    return score < min(scores) if scores else math.isfinite(score) or math.isnan(curve[0].validation)


def _score(task: Task, average: nn.Module, plan: Plan) -> float:
    with own_threads(plan.threads):
        return task.validate(average)


def _epoch(network: nn.Module, task: Task, plan: Plan, optimizer: AdamW, number: int) -> float:
    """One pass over the data; returns its mean loss."""
    network.train()
    losses: list[Tensor] = []
    carried = None
    with own_randomness(plan.seed, number), own_threads(plan.threads):
        for batch in task.batches(number):
            rate = plan.learning_rate * one_cycle(optimizer.steps / max(1, plan.steps * plan.epochs))
            loss, carried = task.loss(batch, carried)
            torch.autograd.backward(loss)
            optimizer.step(rate)
            losses.append(loss.detach())
    network.eval()
    return torch.stack(losses).mean().item() if losses else math.nan


def one_cycle(progress: float) -> float:
    """Share of the peak learning rate after a share of the training (Smith & Topin 2018), cosine down."""
    if progress < WARM_UP:
        return 0.1 + 0.9 * progress / WARM_UP
    return 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1 - WARM_UP))))


@contextmanager
def own_randomness(seed: int, epoch: int) -> Iterator[None]:
    """Random numbers that depend on seed and epoch alone; the caller's generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed((seed * 1_000_003 + epoch) % 2**63)
        yield


@contextmanager
def own_threads(threads: int | None) -> Iterator[None]:
    """At most so many threads within the block: small batches cost less on one than on two that wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, threads or before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
