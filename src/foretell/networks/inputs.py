"""Inputs of many rows, scaled where they are used."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from foretell.lstm.transforms import is_transformed

CLIP = 10.0  # scaled inputs beyond this are outliers


class Inputs(NamedTuple):
    """K inputs of each of N rows: as they lie, or each row in a scale of its own and at most `CLIP` away from 0.

    The windows over a series overlap, so as a view they take no room, and scaled, each step in another scale, L times
    that of the series.
    """

    values: Tensor  # [K,N]
    level: Tensor | None = None  # [N]
    spread: Tensor | None = None  # [N]; there if level is

    def scaled(self, rows: slice = slice(None)) -> Tensor:
        """The inputs of some rows, [K,n]."""
        values = self.values[:, rows]
        if self.level is None or self.spread is None:
            return values
        return ((values - self.level[rows]) / self.spread[rows]).clamp(-CLIP, CLIP)

    @property
    def is_watched(self) -> bool:
        """Is somebody to learn what is done with them: autograd, or a compiler?"""
        return is_transformed() or any(part is not None and part.requires_grad for part in self)

    def fit(self, kind: torch.dtype, rows: int) -> bool:
        """Are they in the memory, of the number type and of the sizes that the kernels take?"""
        parts = [part for part in self if part is not None]
        return (
            all(part.dtype == kind and part.device.type == "cpu" for part in parts)
            and (self.level is None) == (self.spread is None)
            and self.values.shape[1:] == (rows,)
            and all(part.shape == (rows,) for part in parts[1:])
        )

    @property
    def for_kernels(self) -> tuple[Any, ...]:
        """In the order of native/bindings/inputs.h."""
        level, spread = (None if part is None else part.contiguous() for part in self[1:])
        return self.values, level, spread, CLIP
