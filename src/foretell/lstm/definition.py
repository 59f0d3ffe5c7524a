r"""One layer of an LSTM over a sequence, in plain PyTorch: the definition. Every kernel must agree with it.

Sizes: T time, B batch, I input, H hidden (cell), R recurrent output (H, or the projection's size).
The gates i, f, o and the candidate g have one block of H rows each in the weights, in torch's order i, f, g,
o; a gate that is off, or f when coupled to i, has no rows. s is the sigmoid, * goes element by element.

    a_t  = W x_t + b + R (m * h_{t-1})      m: one dropout mask for all t       (Gal & Ghahramani 2016)
    a_t  = LN(W x_t) + b + LN(R (m * h_{t-1}))                  layer norm      (Ba et al. 2016)
    a_t += p * c_{t-1} in i and f, p * c~_t in o                peepholes       (Gers & Schmidhuber 2000)
    a_t += G [i, f, o]_{t-1} in i, f, o                         gate recurrence (FGR, Greff et al. 2015)
    i_t  = s(a_t[i])   1 if off (NIG)                           input gate      (Hochreiter, Schmidhuber 1997)
    f_t  = s(a_t[f])   1 if off (NFG); 1 - i_t if coupled       forget gate     (Gers et al. 2000; CIFG: 2015)
    g_t  = tanh(a_t[g])   a_t[g] if off (NIAF)                  candidate
    c~_t = f_t * c_{t-1} + i_t * g_t                            cell state, the carousel of errors (1997)
    o_t  = s(a_t[o])   1 if off (NOG)                           output gate
    h~_t = W_hr (o_t * tanh(LN(c~_t)))   no tanh if off (NOAF)  output; W_hr projects, LN only with layer norm
    c_t  = z_c * c_{t-1} + (1 - z_c) * c~_t, h_t likewise       zoneout         (Krueger et al. 2017)

In training z is 0 or 1, drawn for each unit and step; in evaluation it is the probability. Weight drop
(Merity et al. 2018) is dropout of R itself, once for each call (`noise.py`), so the equations do not show it.
Layer norm takes all rows of W x (and of R h) together, as the paper does, with a gain each; b is their bias.
The sequence starts from `state`; where `reset` is true the state goes back to `start` before the step; beyond
a row's length the state stands still and the output is 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from foretell.lstm.options import Options

State = tuple[Tensor, ...]  # (h [B,R], c [B,H]), and with gate recurrence the gates [B,nH] of the step before


class Weights(NamedTuple):
    """The parameters of one layer in one direction. G is the number of blocks, n the number of gates."""

    weight_ih: Tensor  # [GH,I]
    weight_hh: Tensor  # [GH,R]
    bias_ih: Tensor | None = None  # [GH]
    bias_hh: Tensor | None = None  # [GH]
    weight_hr: Tensor | None = None  # [R,H]
    peephole: Tensor | None = None  # [nH]
    weight_gate: Tensor | None = None  # [nH,nH]
    norm_ih: Tensor | None = None  # [GH]
    norm_hh: Tensor | None = None  # [GH]
    norm_c: Tensor | None = None  # [H]
    bias_c: Tensor | None = None  # [H]


class Masks(NamedTuple):
    """The noise of one layer in one direction, drawn beforehand: the equations stay a plain function."""

    hidden: Tensor | None = None  # [B,R], 0 or 1 / (1 - p)
    zoneout_h: Tensor | None = None  # [T,B,R]
    zoneout_c: Tensor | None = None  # [T,B,H]


NO_MASKS = Masks()


class Activity(NamedTuple):
    """What a step (or, with a leading T, a sequence) computed: the gates after activation, the new state."""

    i: Tensor  # [B,H], as f, g, o and c
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor  # [B,R]


def lstm_sequence(
    x: Tensor,
    state: State,
    weights: Weights,
    options: Options,
    masks: Masks = NO_MASKS,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start: State | None = None,
    record: bool = False,
) -> tuple[Tensor, State, Activity | None]:
    """x [T,B,I], lengths [B], reset [T,B] -> y [T,B,R], the final state, on request the activity."""
    alive = None if lengths is None else torch.arange(len(x), device=x.device)[:, None] < lengths
    if alive is not None:
        x = torch.where(alive[..., None], x, 0)  # a NaN in the padding must not reach the gradients
        reset = None if reset is None else reset & alive
    steps: list[Activity] = []
    inputs = project_input(x, weights).unbind(0)  # not inputs[t], whose backward costs O(T) at every step
    for t in range(len(x)):
        if reset is not None and start is not None:
            state = _choose(reset[t], start, state)
        step = lstm_step(inputs[t], state, weights, options, _at_step(masks, t))
        after = state_after(step, options)
        state = after if alive is None else _choose(alive[t], after, state)
        steps.append(step)
    if not steps:  # whoever gets the state may write to it
        state = tuple(part.clone() for part in state)
    h, c = state[:2]
    y = _over_time([step.h for step in steps], h, alive)
    if not record:
        return y, state, None
    gates = [_over_time([step[part] for step in steps], c, alive) for part in range(5)]
    return y, state, Activity(*[*gates, y])


def project_input(x: Tensor, weights: Weights) -> Tensor:
    """The part of a_t that needs no recurrence, for all steps at once: x [...,I] -> [...,GH]."""
    projected = _normalise(functional.linear(x, weights.weight_ih), weights.norm_ih)
    if weights.bias_ih is not None and weights.bias_hh is not None:
        projected = projected + (weights.bias_ih + weights.bias_hh)
    return projected


def lstm_step(inputs: Tensor, state: State, weights: Weights, options: Options, masks: Masks = NO_MASKS) -> Activity:
    """One step from inputs [B,GH] = project_input(x_t) and the state before it; masks without their T."""
    h, c = state[:2]
    seen = h if masks.hidden is None else h * masks.hidden
    recurrent = _normalise(functional.linear(seen, weights.weight_hh), weights.norm_hh)
    total = _split(options.blocks, inputs + recurrent)
    if weights.weight_gate is not None:
        for name, term in _split(options.gates, functional.linear(state[2], weights.weight_gate)).items():
            total[name] = total[name] + term
    peephole = {} if weights.peephole is None else _split(options.gates, weights.peephole)

    def gate(name: str, cell: Tensor) -> Tensor:
        if name not in total:
            return torch.ones_like(cell)
        return (total[name] + peephole[name] * cell if peephole else total[name]).sigmoid()

    i = gate("i", c)
    f = 1 - i if options.coupled else gate("f", c)
    g = total["g"].tanh() if options.input_activation else total["g"]
    fresh = f * c + i * g
    o = gate("o", fresh)
    output = _normalise(fresh, weights.norm_c, weights.bias_c)
    output = o * (output.tanh() if options.output_activation else output)
    if weights.weight_hr is not None:
        output = functional.linear(output, weights.weight_hr)
    return Activity(i, f, g, o, _zone(masks.zoneout_c, c, fresh), _zone(masks.zoneout_h, h, output))


def state_after(step: Activity, options: Options) -> State:
    """The state that the next step starts from."""
    if not options.gate_recurrence:
        return step.h, step.c
    gates = {"i": step.i, "f": step.f, "o": step.o}
    return step.h, step.c, torch.cat([gates[name] for name in options.gates], dim=-1)


def _normalise(values: Tensor, gain: Tensor | None, bias: Tensor | None = None) -> Tensor:
    return values if gain is None else functional.layer_norm(values, gain.shape, gain, bias)


def _zone(keep: Tensor | None, old: Tensor, new: Tensor) -> Tensor:
    return new if keep is None else keep * old + (1 - keep) * new


def _split(names: str, values: Tensor) -> dict[str, Tensor]:
    return dict(zip(names, values.chunk(len(names), dim=-1), strict=True))


def _choose(rows: Tensor, chosen: State, other: State) -> State:
    """For every row [B] of the batch, the chosen state where `rows` is true, else the other."""
    return tuple(torch.where(rows[:, None], a, b) for a, b in zip(chosen, other, strict=True))


def _at_step(masks: Masks, t: int) -> Masks:
    return Masks(masks.hidden, *(None if mask is None else mask[t] for mask in masks[1:]))


def _over_time(parts: list[Tensor], like: Tensor, alive: Tensor | None) -> Tensor:
    """T parts of the shape of `like` -> [T,...], 0 beyond each row's length."""
    stacked = torch.stack(parts) if parts else like.new_zeros(0, *like.shape)
    return stacked if alive is None else torch.where(alive[..., None], stacked, 0)
