"""Memory that is used again: kept for the next call, and never given away while somebody holds it."""

import gc
import weakref

import pytest
import torch

from foretell.lstm import LSTM, kernels, memory

pytestmark = pytest.mark.usefixtures("native_only")

SIZES = (64, 16, 32)  # T, B, H: outputs and gradients of 128 KiB


def test_large_tensors_come_back_to_the_same_place_and_small_ones_are_torchs():
    like = torch.empty(0)
    count = memory.LARGE // like.itemsize
    first = memory.empty(like, count, 1)
    assert first.shape == (count, 1)
    place = first.data_ptr()
    held = memory.empty(like, count)
    assert held.data_ptr() != place
    del first
    assert memory.empty(like, count).data_ptr() == place
    assert memory.empty(like, count - 1).untyped_storage().resizable()
    assert memory.empty(like.to(torch.float64), 0).numel() == 0


def test_later_calls_leave_what_is_held_alone():
    layer, x = LSTM(SIZES[-1], SIZES[-1]), torch.randn(*SIZES, requires_grad=True)

    def call(scale):
        y, _ = layer(scale * x)
        return [y.detach(), *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]

    held = call(1.0)
    assert min(part.numel() for part in held[:2]) * x.itemsize >= memory.LARGE
    copies = [part.clone() for part in held]
    for scale in (2.0, 3.0):
        call(scale)
    assert all(map(torch.equal, held, copies))
    assert all(map(torch.equal, call(1.0), copies))


def test_with_checkpoint_only_one_chunk_is_saved_at_a_time(monkeypatch):
    steps, saved = [], []

    def note(request, run):
        steps.append(request.time)
        room = allocate(request, run)
        saved.append(weakref.ref(room))
        return room

    def alive():
        gc.collect()
        return sum(room() is not None for room in saved)

    allocate = kernels.allocate_saved
    monkeypatch.setattr(kernels, "allocate_saved", note)
    y, _ = LSTM(3, 5, checkpoint=True)(torch.randn(11, 4, 3))
    assert steps == [3, 3, 3, 2]
    assert alive() == 0
    found_alive = []
    y.register_hook(lambda _: found_alive.append(alive()))
    y.sum().backward()
    assert steps == [3, 3, 3, 2, 2, 3, 3, 3]
    assert alive() == 0
    assert found_alive == [0]
