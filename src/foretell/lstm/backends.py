"""Who can answer a request, best first: the compiled kernels, torch's own, then the definition."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from foretell import native
from foretell.lstm import fused
from foretell.lstm.parts import run_definition, run_layers
from foretell.lstm.request import Answer, Request
from foretell.lstm.transforms import constant_in_graphs, is_forward_mode, is_functional, is_transformed


@dataclass(frozen=True)
class Backend:
    """A way to answer requests. What it does not support goes to the next one, or is cut up."""

    name: str
    supports: Callable[[Request], bool]
    run: Callable[[Request], Answer]


def _native_supports(request: Request) -> bool:
    """The kernels run every option on the CPU; what autograd is to record of the gates, the definition tells."""
    if _asks_for_definition() or not _has_core() or not request.x.is_cpu or not request.x.numel():
        return False
    if not request.x.is_floating_point():  # complex numbers
        return False
    turned = request.noise is not None and request.noise.ends is not None
    if (request.batch_sizes is not None or turned) and is_transformed():  # of which graphs know nothing
        return False
    return not (request.record and (is_transformed() or fused.needs_gradients(request)))


def _asks_for_definition() -> bool:
    """Tangents have no kernels; and compilers cannot look into what the kernels do under torch.func."""
    return is_forward_mode() or (torch.compiler.is_compiling() and is_functional())


@constant_in_graphs
def _has_core() -> bool:
    return native.load() is not None


def _native_run(request: Request) -> Answer:
    return fused.run(request) if fused.runs_whole(request) else run_layers(request, _native_run)


def _torch_supports(request: Request) -> bool:
    """torch's kernels know the plain cell alone, and have no rules for vmap and forward-mode gradients."""
    odd = request.record or request.reset is not None or request.has_masks or request.has_residual
    odd = odd or (request.lengths is not None and request.x.is_meta)  # its packed kernel looks at the lengths
    return not odd and request.options.is_plain_cell and request.x.numel() > 0 and not is_transformed()


def _torch_run(request: Request) -> Answer:
    request = request.with_data_detached()
    state = tuple(part.contiguous() for part in request.state)  # which cuDNN wants
    if request.batch_sizes is not None:
        y, h, c = torch.lstm(request.x, request.batch_sizes, state, *_torch_arguments(request))
        return Answer(y, (h, c))
    if request.lengths is not None:
        return _torch_run_ragged(request, request.lengths)
    y, h, c = torch.lstm(request.x, state, *_torch_arguments(request), False)
    return Answer(y, (h, c))


def _torch_run_ragged(request: Request, lengths: Tensor) -> Answer:
    """Through torch's packed kernel; it wants lengths of at least 1, so empty rows run a step for nothing."""
    there = lengths > 0
    x = torch.where(there[:, None], request.x, 0)
    order = lengths.argsort(descending=True, stable=True)
    back = order.argsort()
    packed = pack_padded_sequence(x[:, order], lengths[order].clamp(min=1).cpu())
    state = tuple(part[:, order] for part in request.state)
    data, *after = torch.lstm(packed.data, packed.batch_sizes, state, *_torch_arguments(request))
    y, _ = pad_packed_sequence(packed._replace(data=data), total_length=len(x))
    final = [torch.where(there[:, None], new[:, back], old) for new, old in zip(after, request.state, strict=True)]
    return Answer(torch.where(there[:, None], y[:, back], 0), tuple(final))


def _torch_arguments(request: Request) -> tuple[list[Tensor], bool, int, float, bool, bool]:
    """Weights, has biases, layers, dropout, training, bidirectional. Only training has dropout."""
    weights = [values for values in chain.from_iterable(request.weights) if values is not None]
    has_bias = request.weights[0].bias_ih is not None
    return weights, has_bias, request.layers, request.dropout, request.dropout > 0, request.directions == 2


def _definition_supports(request: Request) -> bool:
    return len(request.weights) == 1 and request.batch_sizes is None


BACKENDS = (
    Backend("native", _native_supports, _native_run),
    Backend("torch", _torch_supports, _torch_run),
    Backend("definition", _definition_supports, run_definition),
)
