"""How far a training step raises the memory of a process: `python lstm_memory.py KIND T B I H LAYERS`, see `MAKERS`.

Prints the peak during the step less the resident memory before it, in MiB, as JSON. A tiny step comes first,
so that libraries and thread pools are there. The peak is Linux's VmHWM, set back before the step; not
getrusage's, which a process inherits from the one that started it.
"""

import json
import os
import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn

import foretell

MAKERS = {
    "foretell": foretell.LSTM,
    "checkpoint": partial(foretell.LSTM, checkpoint=True),
    "torch": nn.LSTM,
}


def main() -> None:
    """One warm-up on the smallest shape, one measured step."""
    kind, (time, batch, inputs, hidden, layers) = sys.argv[1], map(int, sys.argv[2:])
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    make = MAKERS[kind]
    step(make(1, 8), torch.randn(2, 1, 1, requires_grad=True), torch.randn(2, 1, 8))
    layer = make(inputs, hidden, layers)
    x, dy = torch.randn(time, batch, inputs, requires_grad=True), torch.randn(time, batch, hidden)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    before = resident("VmRSS")
    step(layer, x, dy)
    print(json.dumps({"mib": resident("VmHWM") - before}))


def step(layer: nn.Module, x: torch.Tensor, dy: torch.Tensor) -> None:
    """Forward and backward; the gradients stay, as for an optimizer."""
    torch.autograd.backward(layer(x)[0], dy)


def resident(field: str) -> float:
    """A field of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
