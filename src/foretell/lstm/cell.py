"""One step of an LSTM as a module: torch.nn.LSTMCell's signature, names and results, and the options."""

from typing import Unpack

import torch
from torch import Tensor, nn

from foretell.errors import InputError, require
from foretell.lstm import arguments, operators, parameters
from foretell.lstm.definition import Masks, State, Weights
from foretell.lstm.noise import draw_noise, zoneout_masks
from foretell.lstm.options import Options, OptionValues

OF_SEQUENCES = ("recurrent_dropout", "weight_drop", "learn_initial_state", "residual", "checkpoint")


class LSTMCell(nn.Module):
    """A single step of a single layer; a drop-in for torch.nn.LSTMCell, with the cell's options of `LSTM`.

    InputError for the options that only a whole sequence has: recurrent_dropout and weight_drop, whose masks
    stay the same from step to step, learn_initial_state, residual and checkpoint.
    """

    weight_ih: nn.Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: str | None = None,
        **options: Unpack[OptionValues],
    ) -> None:
        super().__init__()
        arguments.check_sizes("LSTMCell", input_size, hidden_size)
        require(isinstance(bias, bool), "LSTMCell", "bias", "True or False", bias)
        self.options = Options.of("LSTMCell", variant, options)
        for name in OF_SEQUENCES:
            if getattr(self.options, name):
                raise InputError(f"LSTMCell: {name} belongs to whole sequences; use LSTM for it.")
        parameters.check_bias("LSTMCell", self.options, bias)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        shapes = parameters.shapes(self.options, input_size, hidden_size, bias)
        self._names = tuple(shapes)
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def forward(self, x: Tensor, hx: State | None = None) -> State:
        """x [B,I] or [I]; hx (h [B,H], c [B,H]) -> the new (h, c), with gate_recurrence (h, c, gates)."""
        arguments.check_input("LSTMCell", x, self.input_size, self.weight_ih, (1, 2))
        widths = arguments.state_widths(self.options, self.hidden_size, self.hidden_size)
        batched = x.dim() == 2
        if hx is not None:
            hx = arguments.check_state("LSTMCell", hx, widths, x, **({"B": len(x)} if batched else {}))
            hx = hx if batched else tuple(part[None] for part in hx)
        x = x if batched else x[None]
        state = hx or tuple(x.new_zeros(len(x), width) for width in widths.values())
        noise = draw_noise(self.options) if self.training else None
        zoneout = zoneout_masks(self.options, noise, x[None], self.hidden_size, self.hidden_size)
        masks = Masks(None, *(None if mask is None else mask[0] for mask in zoneout))
        state = operators.step(x, state, self._weights(), self.options, masks)
        return state if batched else tuple(part[0] for part in state)

    def reset_parameters(self) -> None:
        """Draw the starting weights anew."""
        parameters.initialise([self._weights()], self.options, self.hidden_size)

    def extra_repr(self) -> str:
        shown = {} if self.bias else {"bias": False}
        return ", ".join(
            [
                str(self.input_size),
                str(self.hidden_size),
                *(f"{n}={v}" for n, v in (shown | self.options.changed()).items()),
            ]
        )

    def _weights(self) -> Weights:
        return Weights(**{name: getattr(self, name) for name in self._names})
