"""The layer one observation at a time: constant time and memory a step, the state carried along."""

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from foretell.errors import InputError
from foretell.lstm.arguments import check_state
from foretell.lstm.definition import Masks, State, Weights, lstm_step, project_input, state_after
from foretell.lstm.options import Options


class Stream:
    """An LSTM that takes one step at a time; made by `LSTM.stream`.

    The numbers are those of the whole-sequence call in evaluation: no dropout, and zoneout by its expected
    value. No gradient is kept. The weights are copied and packed at creation, so a later change of the layer
    does not show here: make a new stream. A plain layer's step is nine torch operations on buffers made once.
    """

    def __init__(self, weights: Sequence[Weights], options: Options, start: State) -> None:
        """One `Weights` for each layer, and the state (h [L,B,R], c [L,B,H], ...) to start from."""
        self._options = options
        self._batch, self._input = start[0].shape[1], weights[0].weight_ih.shape[1]
        plain = options.is_plain_cell and not (options.zoneout_h or options.zoneout_c)
        kind = _PlainLayer if plain else _AnyLayer
        with torch.inference_mode(False):  # buffers made in inference mode could not be written to outside it
            self._start = tuple(part.detach().clone() for part in start)
            self._layers = [kind(_own(layer), options, self._batch) for layer in weights]
        self.reset()

    def step(self, x: Tensor) -> Tensor:
        """x [B,I], or [I] when B = 1 -> the output [B,R], or [R], after it."""
        self._check(x)
        y = x.detach() if x.requires_grad else x
        for number, layer in enumerate(self._layers):
            output = layer.step(y)
            y = output + y if number and self._options.residual else output
        return y.clone() if x.dim() == 2 else y[0].clone()

    def save(self) -> State:
        """A copy of the state, as the layer returns it: (h [L,B,R], c [L,B,H]), perhaps with the gates."""
        return tuple(map(torch.stack, zip(*(layer.state() for layer in self._layers), strict=True)))

    def restore(self, state: State) -> None:
        """Go on from a state that `save` or the layer's whole-sequence call returned; it is copied."""
        widths = {name: part.shape[-1] for name, part in zip(("h", "c", "gates"), self._start, strict=False)}
        state = check_state("Stream.restore", state, widths, self._start[0], L=len(self._layers), B=self._batch)
        for number, layer in enumerate(self._layers):
            layer.set_state(tuple(part[number].detach() for part in state))

    def reset(self) -> None:
        """Go back to the state that the layer starts a sequence with."""
        self.restore(self._start)

    def copy(self) -> Self:
        """Another stream in the same state that goes its own way; the packed weights are shared."""
        twin = copy.copy(self)
        with torch.inference_mode(False):
            twin._layers = [layer.twin() for layer in self._layers]
        twin.restore(self.save())
        return twin

    def _check(self, x: Tensor) -> None:
        right = x.shape == (self._batch, self._input) or (self._batch == 1 and x.shape == (self._input,))
        if not right:
            raise InputError(
                f"Stream.step: x must have shape (B={self._batch}, I={self._input}); got {tuple(x.shape)}."
            )
        if x.dtype != self._start[0].dtype:
            raise InputError(f"Stream.step: x must be {self._start[0].dtype}, as the weights are; got {x.dtype}.")


def _own(weights: Weights) -> Weights:
    own = {name: values.detach().clone() for name, values in weights._asdict().items() if values is not None}
    return Weights(**own)


def _gate_last(rows: Tensor) -> Tensor:
    """Blocks i, f, g, o -> i, f, o, g."""
    i, f, g, o = rows.chunk(4)
    return torch.cat([i, f, o, g])


class _PlainLayer:
    """torch's own cell in few operations. Packed weights go i, f, o, g: one sigmoid serves three gates."""

    def __init__(self, weights: Weights, options: Options, batch: int) -> None:
        hidden, inputs = weights.weight_ih.shape[0] // 4, weights.weight_ih.shape[1]
        self._sizes = batch, inputs, hidden
        rows = torch.cat([weights.weight_ih, weights.weight_hh], dim=1)  # [4H,I+R]
        self._packed = _gate_last(rows).t().contiguous()  # [I+R,4H]
        self._bias = rows.new_zeros(4 * hidden)
        if weights.bias_ih is not None and weights.bias_hh is not None:
            self._bias = _gate_last(weights.bias_ih + weights.bias_hh)
        self._projection = None if weights.weight_hr is None else weights.weight_hr.t()
        self._allocate()

    def _allocate(self) -> None:
        batch, inputs, hidden = self._sizes
        self._joined = self._packed.new_zeros(batch, len(self._packed))
        self._x, self._h = self._joined[:, :inputs], self._joined[:, inputs:]
        self._c = self._packed.new_zeros(batch, hidden)
        self._total = self._packed.new_empty(batch, 4 * hidden)
        self._sigmoids, self._g = self._total[:, : 3 * hidden], self._total[:, 3 * hidden :]
        self._i, self._f, self._o = self._sigmoids.chunk(3, dim=1)
        self._output = torch.empty_like(self._c)

    def step(self, x: Tensor) -> Tensor:
        self._x.copy_(x)
        torch.addmm(self._bias, self._joined, self._packed, out=self._total)
        self._sigmoids.sigmoid_()
        self._g.tanh_()
        self._c.mul_(self._f).addcmul_(self._i, self._g)
        torch.tanh(self._c, out=self._output)
        if self._projection is None:
            torch.mul(self._o, self._output, out=self._h)
        else:
            self._h.copy_(self._output.mul_(self._o) @ self._projection)
        return self._h

    def state(self) -> State:
        return self._h, self._c

    def set_state(self, state: State) -> None:
        self._h.copy_(state[0])
        self._c.copy_(state[1])

    def twin(self) -> Self:
        """A layer with the same packed weights and buffers of its own."""
        twin = copy.copy(self)
        twin._allocate()
        return twin


class _AnyLayer:
    """Every other cell, by its definition."""

    def __init__(self, weights: Weights, options: Options, batch: int) -> None:
        self._weights, self._options = weights, options
        self._state: State = ()
        chances = weights.weight_ih.new_tensor([options.zoneout_h, options.zoneout_c])
        self._masks = Masks(None, *(chance if chance else None for chance in chances))

    def step(self, x: Tensor) -> Tensor:
        inputs = project_input(x.expand(len(self._state[0]), -1), self._weights)
        self._state = state_after(
            lstm_step(inputs, self._state, self._weights, self._options, self._masks), self._options
        )
        return self._state[0]

    def state(self) -> State:
        return self._state

    def set_state(self, state: State) -> None:
        self._state = tuple(part.clone() for part in state)

    def twin(self) -> Self:
        return copy.copy(self)
