"""The parameters of an LSTM: their names, shapes and starting values."""

import math

import torch
from torch import Tensor, nn

from foretell.errors import InputError
from foretell.lstm.definition import Weights
from foretell.lstm.options import Options

DEFAULT_LONGEST_LAG = 100


def shapes(options: Options, inputs: int, hidden: int, bias: bool, proj: int = 0) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the parameters of one layer in one direction, torch's own first, in torch's order."""
    rows, gates, output = len(options.blocks) * hidden, len(options.gates) * hidden, proj or hidden
    found: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, output)}
    if bias:
        found |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if proj:
        found["weight_hr"] = (proj, hidden)
    if options.peepholes:
        found["peephole"] = (gates,)
    if options.gate_recurrence:
        found["weight_gate"] = (gates, gates)
    if options.layer_norm:
        found |= {"norm_ih": (rows,), "norm_hh": (rows,), "norm_c": (hidden,)}
        if bias:
            found["bias_c"] = (hidden,)
    return found


def check_bias(caller: str, options: Options, bias: bool) -> None:
    """InputError for options that set biases where there are none."""
    if not bias and (options.forget_bias is not None or options.init == "chrono"):
        raise InputError(f"{caller}: forget_bias and init='chrono' set biases, but bias is False.")


@torch.no_grad()
def initialise(layers: list[Weights], options: Options, hidden: int) -> None:
    """Fill the weights of all layers and directions.

    The plain weights come first, in torch's order, so that the same seed gives torch.nn.LSTM's weights.
    init="torch": uniform within 1 / sqrt(H). "keras": Glorot-uniform input weights, orthogonal recurrent
    ones, bias 0, and 1 in the forget gate (Glorot & Bengio 2010; Saxe et al. 2014; Jozefowicz et al. 2015).
    "chrono": as "torch", with biases that spread the memory over 1 to `longest_lag` steps (Tallec & Ollivier
    2018).
    """
    bound = 1 / math.sqrt(hidden)
    for weights in layers:
        for values in filter(torch.is_tensor, weights[:5]):
            nn.init.uniform_(values, -bound, bound)
    for weights in layers:
        for values in filter(torch.is_tensor, (weights.peephole, weights.weight_gate)):
            nn.init.uniform_(values, -bound, bound)
        for values in filter(torch.is_tensor, (weights.norm_ih, weights.norm_hh, weights.norm_c)):
            nn.init.ones_(values)
        if weights.bias_c is not None:
            nn.init.zeros_(weights.bias_c)
        if options.init == "keras":
            _initialise_as_keras(weights, options)
        if options.init == "chrono":
            _spread_memory(weights, options, hidden)
        if options.forget_bias is not None:
            _set_bias(weights, options, "f", torch.tensor(options.forget_bias))


def _initialise_as_keras(weights: Weights, options: Options) -> None:
    for values in filter(torch.is_tensor, (weights.weight_ih, weights.weight_hr, weights.weight_gate)):
        nn.init.xavier_uniform_(values)
    nn.init.orthogonal_(weights.weight_hh)
    for values in filter(torch.is_tensor, (weights.bias_ih, weights.bias_hh)):
        nn.init.zeros_(values)
    if weights.bias_ih is not None and "f" in options.gates:
        _set_bias(weights, options, "f", torch.tensor(1.0))


def _spread_memory(weights: Weights, options: Options, hidden: int) -> None:
    longest = options.longest_lag or DEFAULT_LONGEST_LAG
    lag = torch.empty(hidden, device=weights.weight_ih.device).uniform_(1, longest - 1).log()
    for name, values in (("f", lag), ("i", -lag)):
        if name in options.gates:
            _set_bias(weights, options, name, values)


def _set_bias(weights: Weights, options: Options, name: str, values: Tensor) -> None:
    """Make the two biases of a block add up to `values`."""
    block = options.blocks.index(name)
    for bias, wanted in ((weights.bias_ih, values), (weights.bias_hh, torch.zeros_like(values))):
        if bias is not None:
            bias.chunk(len(options.blocks))[block].copy_(wanted)
