"""The variants as a user writes them by hand, a Python loop of torch operations; and how much work each one is.

Nothing here calls Foretell: the loops read a layer's parameters by name and are checked against the layer.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, ...]
Weights = dict[str, Tensor]  # of one layer and direction: weight_ih [GH,I], weight_hh [GH,R], ...


class Step(Protocol):
    """One step of a cell: x [B,I] and the state (h [B,R], c [B,H], ...) -> the state after it."""

    def __call__(self, x: Tensor, state: State, w: Weights, training: bool) -> State: ...


def _sums(x: Tensor, h: Tensor, w: Weights, blocks: int) -> tuple[Tensor, ...]:
    both = F.linear(x, w["weight_ih"], w["bias_ih"]) + F.linear(h, w["weight_hh"], w["bias_hh"])
    return both.chunk(blocks, dim=1)


def vanilla(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, f, g, o = _sums(x, state[0], w, 4)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def peepholes(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, f, g, o = _sums(x, state[0], w, 4)
    to_i, to_f, to_o = w["peephole"].chunk(3)
    c = torch.sigmoid(f + to_f * state[1]) * state[1] + torch.sigmoid(i + to_i * state[1]) * torch.tanh(g)
    return torch.sigmoid(o + to_o * c) * torch.tanh(c), c


def coupled(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, g, o = _sums(x, state[0], w, 3)
    i = torch.sigmoid(i)
    c = (1 - i) * state[1] + i * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def no_input_gate(x: Tensor, state: State, w: Weights, training: bool) -> State:
    f, g, o = _sums(x, state[0], w, 3)
    c = torch.sigmoid(f) * state[1] + torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def no_forget_gate(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, g, o = _sums(x, state[0], w, 3)
    c = state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def no_output_gate(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, f, g = _sums(x, state[0], w, 3)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.tanh(c), c


def no_input_activation(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, f, g, o = _sums(x, state[0], w, 4)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * g
    return torch.sigmoid(o) * torch.tanh(c), c


def no_output_activation(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, f, g, o = _sums(x, state[0], w, 4)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * c, c


def gate_recurrence(x: Tensor, state: State, w: Weights, training: bool) -> State:
    i, f, g, o = _sums(x, state[0], w, 4)
    more_i, more_f, more_o = F.linear(state[2], w["weight_gate"]).chunk(3, dim=1)
    i, f, o = torch.sigmoid(i + more_i), torch.sigmoid(f + more_f), torch.sigmoid(o + more_o)
    c = f * state[1] + i * torch.tanh(g)
    return o * torch.tanh(c), c, torch.cat([i, f, o], dim=1)


def layer_norm(x: Tensor, state: State, w: Weights, training: bool) -> State:
    of_x = F.layer_norm(F.linear(x, w["weight_ih"]), w["norm_ih"].shape, w["norm_ih"])
    of_h = F.layer_norm(F.linear(state[0], w["weight_hh"]), w["norm_hh"].shape, w["norm_hh"])
    i, f, g, o = (of_x + of_h + w["bias_ih"] + w["bias_hh"]).chunk(4, dim=1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(F.layer_norm(c, w["norm_c"].shape, w["norm_c"], w["bias_c"])), c


def projection(x: Tensor, state: State, w: Weights, training: bool) -> State:
    h, c = vanilla(x, state, w, training)
    return F.linear(h, w["weight_hr"]), c


ZONEOUT = 0.1


def zoneout(x: Tensor, state: State, w: Weights, training: bool) -> State:
    after = vanilla(x, state, w, training)
    if not training:
        return tuple(ZONEOUT * old + (1 - ZONEOUT) * new for old, new in zip(state, after, strict=True))
    kept = [torch.rand_like(old) < ZONEOUT for old in state]
    return tuple(torch.where(*parts) for parts in zip(kept, state, after, strict=True))


@dataclass(frozen=True)
class Variant:
    """The arguments of the layer, and the step of the loop that does the same."""

    arguments: dict[str, Any] = field(default_factory=dict)
    step: Step = vanilla
    resets: float = 0.0  # the share of the steps at which a sequence begins


VARIANTS = {
    "peepholes": Variant({"peepholes": True}, peepholes),
    "coupled gates (CIFG)": Variant({"coupled": True}, coupled),
    "no input gate (NIG)": Variant({"input_gate": False}, no_input_gate),
    "no forget gate (NFG)": Variant({"forget_gate": False}, no_forget_gate),
    "no output gate (NOG)": Variant({"output_gate": False}, no_output_gate),
    "no input activation (NIAF)": Variant({"input_activation": False}, no_input_activation),
    "no output activation (NOAF)": Variant({"output_activation": False}, no_output_activation),
    "full gate recurrence (FGR)": Variant({"gate_recurrence": True}, gate_recurrence),
    "layer norm": Variant({"layer_norm": True}, layer_norm),
    "projection to 64": Variant({"proj_size": 64}, projection),
    "zoneout .1, .1": Variant({"zoneout": (ZONEOUT, ZONEOUT)}, zoneout),
    "recurrent dropout .3": Variant({"recurrent_dropout": 0.3}),
    "weight drop .3": Variant({"weight_drop": 0.3}),
    "reset at 2 % of the steps": Variant(resets=0.02),
    "learned initial state": Variant({"learn_initial_state": True}),
    "bidirectional": Variant({"bidirectional": True}),
    "dropout .2 between layers": Variant({"dropout": 0.2}),
    "residual": Variant({"residual": True}),
}


def loop(layer: Any, x: Tensor, step: Step, reset: Tensor | None = None) -> Tensor:
    """x [T,B,I], reset [T,B] -> y: the layer's stack with its own parameters, one step after the other."""
    directions = ("", "_reverse") if layer.bidirectional else ("",)
    for number in range(layer.num_layers):
        fed = F.dropout(x, layer.dropout, layer.training) if number and layer.dropout else x
        outputs = []
        for place, direction in enumerate(directions):
            start = _start(layer, number * len(directions) + place, x.shape[1])
            read = fed.flip(0) if direction else fed
            y = _loop_layer(layer, read, _weights(layer, f"_l{number}{direction}"), step, start, reset)
            outputs.append(y.flip(0) if direction else y)
        y = torch.cat(outputs, dim=-1) if layer.bidirectional else outputs[0]
        x = y + x if layer.options.residual and number else y
    return x


def _loop_layer(layer: Any, x: Tensor, weights: Weights, step: Step, start: State, reset: Tensor | None) -> Tensor:
    options, state, outputs = layer.options, start, []
    if options.weight_drop:
        dropped = F.dropout(weights["weight_hh"], options.weight_drop, layer.training)
        weights = weights | {"weight_hh": dropped}
    locked = F.dropout(torch.ones_like(start[0]), options.recurrent_dropout, layer.training)
    for t, inputs in enumerate(x.unbind(0)):  # not x[t], whose backward costs O(T) at every step
        if reset is not None:
            state = tuple(torch.where(reset[t, :, None], a, b) for a, b in zip(start, state, strict=True))
        seen = (state[0] * locked, *state[1:]) if options.recurrent_dropout else state
        state = step(inputs, seen, weights, layer.training)
        outputs.append(state[0])
    return torch.stack(outputs)


def _weights(layer: nn.Module, suffix: str) -> Weights:
    return {name.removesuffix(suffix): one for name, one in layer.named_parameters() if name.endswith(suffix)}


def _start(layer: Any, sequence: int, batch: int) -> State:
    like = layer.weight_ih_l0
    widths = [layer.proj_size or layer.hidden_size, layer.hidden_size]
    if layer.options.learn_initial_state:
        return tuple(part[sequence].expand(batch, -1) for part in (layer.initial_h, layer.initial_c))
    if layer.options.gate_recurrence:
        widths.append(3 * layer.hidden_size)
    return tuple(like.new_zeros(batch, width) for width in widths)


def multiply_adds(layer: Any, time: int, batch: int) -> int:
    """How many multiply-adds a training step of the layer takes, by the equations of `foretell.lstm.definition`.

    Forward, a matrix product costs rows x columns, and a product of two vectors one for each element; the sum
    that it goes into comes with it. Backward, each costs two more, one for the gradient of either factor. So the
    whole is three times the forward pass. Activations, roots, random numbers and selections are no multiply-adds
    and count as nothing, which is hard on the variants that add some.
    """
    directions = 2 if layer.bidirectional else 1
    options, hidden, output = layer.options, layer.hidden_size, layer.proj_size or layer.hidden_size
    dropped = len(options.blocks) * hidden * output * bool(options.weight_drop)  # once a call
    forward: int = directions * layer.num_layers * dropped
    for number in range(layer.num_layers):
        inputs = output * directions if number else layer.input_size
        step = directions * _of_step(layer, inputs, hidden, output)
        between = bool(number) * (inputs * bool(layer.dropout) + output * directions * options.residual)
        forward += time * batch * (step + between)
    return 3 * forward


def _of_step(layer: Any, inputs: int, hidden: int, output: int) -> int:
    """Of one step of one row in one direction."""
    options = layer.options
    rows, gates = len(options.blocks) * hidden, len(options.gates) * hidden
    count: int = rows * (inputs + output)  # W x + R h, where the bias is the sum's start
    count += hidden * output * bool(layer.proj_size)
    count += gates * gates * options.gate_recurrence
    count += gates * options.peepholes
    products = options.input_gate + options.forget_gate
    count += hidden * (max(1, products) + options.coupled)  # f * c + i * g, and 1 - i
    count += hidden * ("o" in options.gates)  # o * tanh(c)
    if options.layer_norm:  # of W x, R h and c: the mean, the variance, the scale with its shift, the gain
        count += 4 * (2 * rows + hidden)
    count += 2 * (output * bool(options.zoneout_h) + hidden * bool(options.zoneout_c))
    count += output * bool(options.recurrent_dropout)
    return count
