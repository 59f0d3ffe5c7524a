"""The random masks of training, drawn from torch's generator; in evaluation their expected values."""

import torch
from torch import Tensor
from torch.nn import functional

from foretell.lstm.definition import Masks, Weights
from foretell.lstm.options import Options


def draw_masks(options: Options, training: bool, x: Tensor, hidden: int, output: int) -> Masks:
    """The masks of one layer in one direction for x [T,B,...], H cells and R outputs."""
    time, batch = x.shape[:2]
    locked = None
    if training and options.recurrent_dropout:
        locked = functional.dropout(x.new_ones(batch, output), options.recurrent_dropout)
    return Masks(
        hidden=locked,
        zoneout_h=_keep(options.zoneout_h, training, x, (time, batch, output)),
        zoneout_c=_keep(options.zoneout_c, training, x, (time, batch, hidden)),
    )


def drop_weights(weights: Weights, options: Options, training: bool) -> Weights:
    """The weights with dropout on the recurrent ones: DropConnect, one mask for the whole call."""
    if not (training and options.weight_drop):
        return weights
    return weights._replace(weight_hh=functional.dropout(weights.weight_hh, options.weight_drop))


def _keep(chance: float, training: bool, x: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    if not chance:
        return None
    if not training:
        return x.new_full((), chance).expand(shape)
    return (torch.rand(shape, device=x.device) < chance).to(x.dtype)
