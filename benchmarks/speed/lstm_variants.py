"""Each option of the layer against the plain layer and against a loop written by hand."""

import copy
from typing import Any

import lstm_cells
import torch
from lstm_peers import Shape, make_case, of_module
from lstm_timing import OURS, TOLERANCE, Competitor, alternate, check, medians
from torch import Tensor

import foretell

VANILLA, LOOP = "vanilla", "loop"
GAIN = 0.2  # of the norms over the gates: at 1 a random layer is chaotic, and float32 soon shares no digit with float64


def measure(name: str, shape: Shape) -> dict[str, Any]:
    """Training times of one option, of the plain layer and of the loop, and what follows from them.

    Checked in evaluation, where nothing is random, with every gradient: the layer and the loop in float32 against
    the loop in float64. Timed in training.
    """
    case, variant = make_case(shape), lstm_cells.VARIANTS[name]
    layer = make_layer(shape, variant)
    plain = foretell.LSTM.from_torch(case.module)
    reset = torch.rand(shape.time, shape.batch) < variant.resets if variant.resets else None
    dy = torch.randn_like(layer(case.x, reset=reset)[0])
    loop = by_hand(layer, variant, case.x, dy, reset)
    ours = of_module(OURS, layer, lambda x: layer(x, reset=reset), case.x, dy, training=True)
    vanilla = of_module(VANILLA, plain, plain, case.x, case.dy, training=True)
    layer.eval()
    exact = by_hand(copy.deepcopy(layer).double(), variant, case.x.double(), dy.double(), reset)
    true = exact.read(exact.call())
    errors = {one.name: check(one, true, TOLERANCE[torch.float32], name) for one in (ours, loop)}
    layer.train()
    found = medians(alternate([ours, vanilla, loop]))
    over = found["ms"][OURS] / found["ms"][VANILLA]
    sizes = shape.time, shape.batch
    operations = lstm_cells.multiply_adds(layer, *sizes) / lstm_cells.multiply_adds(plain, *sizes)
    return found | {
        "errors": errors,
        "over_vanilla": over,
        "operations": operations,
        "quotient": over / operations,
        "loop_over_ours": found["ms"][LOOP] / found["ms"][OURS],
    }


def make_layer(shape: Shape, variant: lstm_cells.Variant) -> foretell.LSTM:
    """The layer with its own starting weights, but for the gains of the norms."""
    layer = foretell.LSTM(shape.inputs, shape.hidden, shape.layers, **variant.arguments)
    for name, parameter in layer.named_parameters():
        if name.startswith(("norm_ih", "norm_hh")):
            torch.nn.init.constant_(parameter, GAIN)
    return layer


def by_hand(layer: Any, variant: lstm_cells.Variant, x: Tensor, dy: Tensor, reset: Tensor | None) -> Competitor:
    """The loop over the layer's own parameters."""

    def forward(x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return lstm_cells.loop(layer, x, variant.step, reset), ()

    return of_module(LOOP, layer, forward, x, dy, training=True)
