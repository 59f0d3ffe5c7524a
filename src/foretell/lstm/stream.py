"""The layer one observation at a time: constant time and memory a step, the state carried along."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from foretell import native
from foretell.errors import InputError
from foretell.lstm import kernels
from foretell.lstm.arguments import check_state
from foretell.lstm.definition import Masks, State, Weights, lstm_step, project_input, state_after
from foretell.lstm.options import Options


class Stream:
    """An LSTM that takes one step at a time; made by `LSTM.stream`.

    The numbers are those of the whole-sequence call in evaluation, bit for bit where the compiled kernels run:
    no dropout, and zoneout by its expected value. No gradient is kept. The weights are copied at creation, so a
    later change of the layer does not show here: make a new stream.
    """

    def __init__(self, weights: Sequence[Weights], options: Options, start: State) -> None:
        """One `Weights` for each layer, and the state (h [L,B,R], c [L,B,H], ...) to start from."""
        self._options = options
        self._batch, self._input = start[0].shape[1], weights[0].weight_ih.shape[1]
        with torch.inference_mode(False):  # buffers made in inference mode could not be written to outside it
            self._start = tuple(part.detach().clone() for part in start)
            self._steps = _choose([_own(layer) for layer in weights], options, self._start)
        self._tensor, self._array = self._steps.tensor, self._steps.array
        self._kind, self._device = self._start[0].dtype, self._start[0].device

    def step(self, x: Any) -> Any:
        """x [B,I], or [I] when B = 1, a tensor or a numpy array -> the output [B,R], or [R], after it, of x's kind."""
        is_tensor = isinstance(x, Tensor)
        y = self._tensor(x) if is_tensor else self._array(x)
        if y is None and is_tensor:
            y = self._steps.step(x)
        if y is None:
            raise self._refusal(x) if is_tensor else self._refusal_of_array(x)
        return y

    def save(self) -> State:
        """A copy of the state, as the layer returns it: (h [L,B,R], c [L,B,H]), perhaps with the gates."""
        return tuple(
            part.to(start.dtype, copy=True) for part, start in zip(self._steps.state, self._start, strict=True)
        )

    def restore(self, state: State) -> None:
        """Go on from a state that `save` or the layer's whole-sequence call returned; it is copied."""
        widths = {name: part.shape[-1] for name, part in zip(("h", "c", "gates"), self._start, strict=False)}
        layers = self._start[0].shape[0]
        state = check_state("Stream.restore", state, widths, self._start[0], L=layers, B=self._batch)
        for own, part in zip(self._steps.state, state, strict=True):
            own.copy_(part.detach())

    def reset(self) -> None:
        """Go back to the state that the layer starts a sequence with."""
        self.restore(self._start)

    def copy(self) -> Self:
        """Another stream in the same state that goes its own way; the packed weights are shared."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        with torch.inference_mode(False):
            twin._steps = self._steps.twin()
        twin._tensor, twin._array = twin._steps.tensor, twin._steps.array
        return twin

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def __reduce__(self) -> Any:
        raise InputError(
            "Stream: a stream cannot be pickled; keep what save() returns, and restore it into layer.stream(...)."
        )

    def _refusal(self, x: Tensor) -> InputError:
        if x.shape not in kernels.step_shapes(self._batch, self._input):
            return InputError(
                f"Stream.step: x must have shape (B={self._batch}, I={self._input}); got {tuple(x.shape)}."
            )
        wanted, got = (self._kind, x.dtype) if x.dtype != self._kind else (self._device, x.device)
        return InputError(f"Stream.step: x must be {wanted}, as the weights are; got {got}.")

    def _refusal_of_array(self, x: Any) -> InputError:
        return InputError(
            f"Stream.step: x must be a tensor or a dense numpy array of shape (B={self._batch}, I={self._input}) "
            f"and {self._kind}, as the weights are (arrays have at least 32 bits); got {_describe(x)}."
        )


def _own(weights: Weights) -> Weights:
    own = {name: values.detach().clone() for name, values in weights._asdict().items() if values is not None}
    return Weights(**own)


def _describe(x: Any) -> str:
    shape, kind = getattr(x, "shape", None), getattr(x, "dtype", None)
    return type(x).__name__ if shape is None else f"{type(x).__name__} of shape {tuple(shape)} and {kind}"


def _choose(weights: list[Weights], options: Options, start: State) -> "_NativeSteps | _PlainSteps":
    if start[0].is_cpu and start[0].is_floating_point() and native.load() is not None:
        return _NativeSteps(kernels.Stepper(weights, options, start))
    return _PlainSteps(weights, options, start)


class _NativeSteps:
    """The compiled kernels. All answer None to what they do not take; `step` is for tensors, however they lie."""

    def __init__(self, stepper: kernels.Stepper) -> None:
        self._stepper, self.state = stepper, stepper.state
        self.array = stepper.step_array
        self.tensor, self.step = stepper.step_tensor, stepper.step

    def twin(self) -> Self:
        return type(self)(self._stepper.twin())


class _PlainSteps:
    """The definition, where the kernels are missing, or the weights are not on the CPU."""

    def __init__(self, weights: list[Weights], options: Options, start: State) -> None:
        self._weights, self._options = weights, options
        self.state = tuple(part.clone() for part in start)
        chances = (options.zoneout_h, options.zoneout_c)
        self._masks = Masks(None, *(start[0].new_tensor(chance) if chance else None for chance in chances))

    @property
    def tensor(self) -> Callable[[Tensor], Tensor | None]:
        return self.step

    def step(self, x: Tensor) -> Tensor | None:
        like = self.state[0]
        return self._run(x) if self._takes(x) and x.dtype == like.dtype and x.device == like.device else None

    @torch.no_grad()
    def _run(self, x: Tensor) -> Tensor:
        y = x.expand(self.state[0].shape[1], -1)
        for number, weights in enumerate(self._weights):
            before = tuple(part[number] for part in self.state)
            step = lstm_step(project_input(y, weights), before, weights, self._options, self._masks)
            for part, after in zip(before, state_after(step, self._options), strict=True):
                part.copy_(after)
            y = step.h + y if number and self._options.residual else step.h
        return y if x.dim() == 2 else y[0]

    def array(self, x: Any) -> Any:
        kind = self.state[0].dtype
        wide = torch.promote_types(kind, torch.float32)
        if not self._takes(x) or str(x.dtype) != str(wide).removeprefix("torch.") or not x.flags.c_contiguous:
            return None
        return self._run(torch.tensor(x, dtype=kind, device=self.state[0].device)).to(wide).cpu().numpy()

    def _takes(self, x: Any) -> bool:
        """Is x of a step's shape?"""
        return getattr(x, "shape", None) in kernels.step_shapes(
            self.state[0].shape[1], self._weights[0].weight_ih.shape[1]
        )

    def twin(self) -> Self:
        twin = copy.copy(self)
        twin.state = tuple(part.clone() for part in self.state)
        return twin
