"""The random masks of training, and what evaluation has in place of zoneout's: their expected values.

Dropout draws from torch's generator. Zoneout has a mask for every step, too much to store, so its numbers are
counted out (`philox`) from one seed a call: whoever needs a number can compute it, and all find the same.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from foretell.lstm.definition import Weights
from foretell.lstm.options import Options
from foretell.lstm.philox import WORD, philox
from foretell.lstm.transforms import is_plain, is_transformed

SEEDS = 2**62
DRAWN = 1 << 16  # numbers at once, which stay in the cache


class Noise(NamedTuple):
    """Where a request finds the zoneout of training.

    Unit u of row b at step t of sequence s has the words philox(counter=(u, b, t, s), key=seed). It keeps its
    old h if (word 0 >> 8) / 2^24 is below zoneout_h, its old c if (word 1 >> 8) / 2^24 is below zoneout_c. t is
    the true time, in a backward direction too.
    """

    seed: Tensor  # [], int64 in [0, 2^62)
    sequence: int = 0  # s of the request's first sequence: layer * directions + direction
    first_step: int = 0  # how many steps came before the request's first
    ends: Tensor | None = None  # of one backward direction, whose rows are turned around: [B], how long they are

    def dense(self) -> Self:
        """The same with `ends` as the kernels read them."""
        return self if self.ends is None else self._replace(ends=self.ends.contiguous())


def drop(values: Tensor, share: float) -> Tensor:
    """torch.nn.functional.dropout(values, share): the same for the same seed, in two thirds of the time on the CPU.

    Each number stays if a double, uniform in [0, 1), is below its chance; torch draws these faster by themselves.
    """
    if not values.is_cpu or share in (0, 1) or is_transformed() or not is_plain(values):
        return functional.dropout(values, share)
    keep = torch.empty_like(values, memory_format=torch.contiguous_format)
    drawn = torch.empty(min(DRAWN, keep.numel()), dtype=torch.float64, device="cpu")
    for part in torch.split(keep.view(-1), DRAWN):
        torch.lt(drawn[: len(part)].uniform_(), 1 - share, out=part)
    return values * keep.div_(1 - share)


def draw_noise(options: Options) -> Noise | None:
    """The seed of a call in training, from torch's generator; None where zoneout draws nothing."""
    if not (options.zoneout_h or options.zoneout_c):
        return None
    return Noise(torch.randint(SEEDS, (), device="cpu"))


def draw_locked(options: Options, x: Tensor, shape: tuple[int, int]) -> Tensor | None:
    """The recurrent dropout [B,R] of one sequence in training, the same for all steps, of x's kind."""
    if not options.recurrent_dropout:
        return None
    return drop(x.new_ones(shape), options.recurrent_dropout)


def drop_weights(weights: Weights, options: Options) -> Weights:
    """The weights in training, with dropout on the recurrent ones: DropConnect, one mask for the whole call."""
    if not options.weight_drop:
        return weights
    return weights._replace(weight_hh=drop(weights.weight_hh, options.weight_drop))


def zoneout_masks(
    options: Options, noise: Noise | None, x: Tensor, hidden: int, output: int
) -> tuple[Tensor | None, Tensor | None]:
    """The share of its old h [T,B,R] and c [T,B,H] that every unit of one sequence keeps, for x [T,B,...].

    With noise it is 0 or 1, without noise the chance of 1, and None where there is no zoneout.
    """
    words = (None, None) if noise is None else _words(noise, x, hidden)  # R is at most H
    return _kept(options.zoneout_h, words[0], x, output), _kept(options.zoneout_c, words[1], x, hidden)


def _kept(chance: float, words: Tensor | None, x: Tensor, width: int) -> Tensor | None:
    if not chance:
        return None
    if words is None:
        return x.new_full((), chance).expand(*x.shape[:2], width)
    return (words[..., :width] >> 8 < math.ceil(chance * 2**24)).to(x.dtype)


def _words(noise: Noise, x: Tensor, hidden: int) -> tuple[Tensor, ...]:
    """The random words of every unit of every row at every step, each [T,B,H]."""
    time, batch = x.shape[:2]
    unit, row, step = (torch.arange(size, device=x.device) for size in (hidden, batch, time))
    steps = noise.first_step + step[:, None]
    if noise.ends is not None:  # beyond a row's end, where the state stands still, any word will do
        steps = (noise.ends - 1 - steps) & WORD
    counter = unit, row[:, None], steps[..., None], unit.new_full((), noise.sequence)
    return philox(counter, (noise.seed & WORD, noise.seed >> 32))
