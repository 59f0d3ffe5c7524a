"""What the gates did: the record that `LSTM.trace` returns."""

from dataclasses import dataclass

from torch import Tensor

from foretell.lstm.definition import Activity, State


@dataclass(frozen=True)
class Trace:
    """Every gate after its activation, the cell state and the output of every step.

    `trace.layers[0][0].f` is the forget gate [T,B,H] of the first layer, forward; `layers[0][1]` is the
    backward direction, in the order of time. Time comes first whatever `batch_first` says, and unbatched
    input has B = 1. Beyond a row's length everything is 0. A gate that is off is 1 throughout.
    """

    y: Tensor  # as the layer returns it
    state: State  # as the layer returns it
    layers: tuple[tuple[Activity, ...], ...]  # [layer][direction], each with i, f, g, o, c [T,B,H] and h [T,B,R]
