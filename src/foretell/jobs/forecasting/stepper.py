"""One step of one network on numpy arrays: ForecastNetwork at T = 1 without PyTorch's cost per operation.

A live step is some twenty operations on small arrays, each of which costs PyTorch microseconds whatever its
size. The LSTM itself steps through its own stream; the rest is here, on the network's own weights, and answers
to `ForecastNetwork` (a test holds the two together).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foretell.networks.forecast import ForecastNetwork, Steps
from foretell.networks.quantiles import outward

Floats = NDArray[np.float32]


class Stepper:
    """A network and its LSTM's state for the C targets of one series."""

    def __init__(self, network: ForecastNetwork, present: Steps, h: Floats, c: Floats) -> None:
        """`present` is any step of the series, for what stays the same; h and c [layers,C,hidden] its state."""
        self.horizon, self._encoding = network.config.horizon, network.config.encoding
        encode, self._encode_bias = _affine(network.encode)
        self._window = np.concatenate([encode, _numpy(network.skip.weight).T], axis=1)
        self._beside = _numpy(network.skip_beside.weight).T
        self._head = _affine(network.head)
        self._past = [_numpy(one.weight) for one in network.past_embeddings]  # type: ignore[arg-type]
        self._known = [_numpy(one.weight) for one in network.known_embeddings]  # type: ignore[arg-type]
        self._ahead = network.ahead and (
            _affine(network.ahead.from_hidden),
            _numpy(network.ahead.from_known.weight).T,
            _affine(network.ahead.out),
        )
        self._inputs = network.inputs(present)[0].detach().clone().numpy()  # [C,I], the static part already in place
        self._lstm = network.lstm.stream(len(self._inputs))
        self._lstm.restore((torch.from_numpy(h), torch.from_numpy(c)))

    def state(self) -> tuple[Floats, Floats]:
        """The LSTM's state (h, c), each [layers,C,hidden]."""
        h, c = self._lstm.save()
        return h.numpy(), c.numpy()

    def step(
        self,
        window: Floats,
        gap: Floats,
        linear: Floats,
        calendar: Floats,
        past: Floats,
        past_codes: NDArray[np.int64],
        known: Floats,
        known_codes: NDArray[np.int64],
    ) -> tuple[Floats, Floats]:
        """Scaled window [C,L], gap [C], linear [C,E] and the series' other inputs -> centre, raw widths.

        The covariates known ahead are taken to stay as they are. Centre [C,H], widths [C,H*(Q-1)].
        """
        seen = window @ self._window  # [C, encoding + H]
        seen[:, : self._encoding] += self._encode_bias
        ahead = _with_embedded(known, self._known, known_codes)
        self._fill(
            seen[:, : self._encoding],
            np.log1p(gap)[:, None],
            (gap == 0)[:, None],
            linear,
            calendar,
            _with_embedded(past, self._past, past_codes),
            ahead,
        )
        hidden = self._lstm.step(self._inputs)
        out = hidden @ self._head[0]
        out += self._head[1]
        centre = out[:, : self.horizon]
        centre += seen[:, self._encoding :]
        centre += linear @ self._beside
        if self._ahead:
            from_hidden, from_known, last = self._ahead
            mixed = np.maximum(hidden @ from_hidden[0] + from_hidden[1] + ahead @ from_known, 0.0)
            centre += mixed @ last[0] + last[1]
        return centre, out[:, self.horizon :]

    def _fill(self, *parts: Floats) -> None:
        """Write the inputs that change into their columns, in `ForecastNetwork.inputs`' order."""
        at = 0
        for part in parts:
            width = part.shape[-1]
            if width:
                self._inputs[:, at : at + width] = part
            at += width


class Quantiles:
    """Calibrated quantiles from a centre and raw widths, as `quantiles.spread_out` and `widen` make them."""

    def __init__(self, shifts: Floats) -> None:
        """`shifts` [H,Q]: how far calibration moves each quantile."""
        self._shifts = shifts
        self._outward = outward(shifts.shape[1] - 1).numpy()
        self._may_cross = bool((np.diff(shifts, axis=1) < 0).any())

    def __call__(self, centre: Floats, widths: Floats) -> Floats:
        """centre [C,H], widths [C,H*(Q-1)] -> [C,H,Q]."""
        steps = np.logaddexp(0.0, widths).reshape(*centre.shape, -1)
        quantiles: Floats = steps @ self._outward
        quantiles += centre[..., None]
        quantiles += self._shifts
        if self._may_cross:
            middle = quantiles.shape[-1] // 2
            above, below = quantiles[..., middle:], quantiles[..., middle::-1]
            np.maximum.accumulate(above, axis=-1, out=above)
            np.minimum.accumulate(below, axis=-1, out=below)
        return quantiles


def _with_embedded(numbers: Floats, tables: list[Floats], codes: NDArray[np.int64]) -> Floats:
    """The numbers of a row, then the embeddings of its categories."""
    if not tables:
        return numbers
    return np.concatenate([numbers, *(table[code] for table, code in zip(tables, codes, strict=True))])


def _numpy(weight: Tensor) -> Floats:
    values: Floats = weight.detach().numpy()
    return values


def _affine(layer: nn.Linear) -> tuple[Floats, Floats]:
    """Weight [in,out] and bias [out]."""
    return np.ascontiguousarray(_numpy(layer.weight).T), _numpy(layer.bias)
