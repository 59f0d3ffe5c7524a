"""Between foretell.LSTM and torch.nn.LSTM."""

from itertools import chain
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import Tensor, nn

from foretell.errors import InputError, require

if TYPE_CHECKING:
    from foretell.lstm.layer import LSTM

Layer = TypeVar("Layer", bound="LSTM")
SETTINGS = (
    "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size"
)  # fmt: skip
WITHOUT_TRACE = ("forget_bias", "init", "longest_lag", "checkpoint")  # in what a layer computes with its weights


def from_torch(kind: type[Layer], module: nn.LSTM) -> Layer:
    """A layer of the given class with the weights and settings of a torch.nn.LSTM."""
    require(isinstance(module, nn.LSTM), "LSTM.from_torch", "the module", "a torch.nn.LSTM", type(module).__name__)
    weight = cast(Tensor, module.weight_ih_l0)
    layer = kind(**{name: getattr(module, name) for name in SETTINGS}, device=weight.device, dtype=weight.dtype)
    _copy(module, layer)
    return layer


def to_torch(layer: "LSTM") -> nn.LSTM:
    """A torch.nn.LSTM with the weights and settings of the layer; InputError for options torch has not."""
    lost = [name for name in layer.options.changed() if name not in WITHOUT_TRACE]
    if lost:
        raise InputError(f"LSTM.to_torch: torch.nn.LSTM has no {', '.join(lost)}; this layer cannot be expressed.")
    weight = layer.weight_ih_l0
    module = nn.LSTM(**{name: getattr(layer, name) for name in SETTINGS}, device=weight.device, dtype=weight.dtype)
    _copy(layer, module)
    return module


def describe(layer: "LSTM") -> str:
    """The settings of the layer that differ from their defaults, as torch.nn.LSTM prints them."""
    defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
    settings = {name: getattr(layer, name) for name in (*defaults, "proj_size")}
    shown = {name: value for name, value in settings.items() if value != defaults.get(name, 0)}
    shown |= layer.options.changed()
    return ", ".join(
        [str(layer.input_size), str(layer.hidden_size), *(f"{name}={value}" for name, value in shown.items())]
    )


def flatten_parameters(layer: "LSTM") -> None:
    """Lay the plain weights of a layer on a GPU out as one block, as cuDNN wants them."""
    weights: list[Tensor] = list(chain.from_iterable(layer.all_weights))
    first = weights[0]
    acceptable = first.is_cuda and torch.backends.cudnn.is_acceptable(first)  # type: ignore[no-untyped-call]
    if not (acceptable and layer.options.is_plain_cell):
        return
    if len({weight.data_ptr() for weight in weights}) < len(weights):  # shared weights cannot lie in one block
        return
    from torch.backends.cudnn import rnn

    with torch.no_grad(), torch.cuda.device(first.device):
        torch._cudnn_rnn_flatten_weight(
            weights,
            len(layer.all_weights[0]),
            layer.input_size,
            rnn.get_cudnn_mode("LSTM"),  # type: ignore[no-untyped-call]
            layer.hidden_size,
            layer.proj_size,
            layer.num_layers,
            layer.batch_first,
            layer.bidirectional,
        )


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(source.state_dict())
    target.train(source.training)
    for name, parameter in target.named_parameters():
        parameter.requires_grad_(source.get_parameter(name).requires_grad)
