"""The layer: torch.nn.LSTM's signature, names, shapes, defaults and results, with the options on top."""

import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from foretell import native
from foretell.errors import InputError, require
from foretell.lstm import arguments, convert, operators, parameters
from foretell.lstm.autocast import autocast_kind
from foretell.lstm.definition import State, Weights
from foretell.lstm.noise import draw_locked, draw_noise, drop_weights
from foretell.lstm.options import Options, OptionValues
from foretell.lstm.request import Answer, Request
from foretell.lstm.stream import Stream
from foretell.lstm.trace import Trace


class LSTM(nn.Module):
    """A stack of LSTM layers over a sequence; a drop-in for torch.nn.LSTM.

    Arguments, parameter names, gate order (i, f, g, o), shapes, defaults, starting weights and results are
    torch.nn.LSTM's. The options (see `Options`) are keywords, and `variant` names one of Greff et al.'s nine
    presets (V, NIG, NFG, NOG, NIAF, NOAF, CIFG, NP, FGR); an option given beside it wins. A gate that is off,
    or f when it is coupled, has no rows in the weights. The state is (h, c); with gate_recurrence (h, c,
    gates).

    On the CPU a layer is one compiled call, and one node of the graph under torch.compile and torch.export, for
    any T. torch.func takes the same kernels. The definition runs, step by step, for forward-mode and second
    derivatives, for torch.func within a compiled function, and where the compiled core is missing.
    """

    weight_ih_l0: nn.Parameter
    initial_h: nn.Parameter  # [S,R], with learn_initial_state only
    initial_c: nn.Parameter  # [S,H]
    mode = "LSTM"  # as torch.nn.LSTM's

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        variant: str | None = None,
        **options: Unpack[OptionValues],
    ) -> None:
        super().__init__()
        native.load()  # the one warning where the compiled core is missing comes at the first use, not at import
        arguments.check_sizes("LSTM", input_size, hidden_size, num_layers, proj_size, dropout)
        for name, flag in (("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional)):
            require(isinstance(flag, bool), "LSTM", name, "True or False", flag)
        self.options = Options.of("LSTM", variant, options)
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self._directions, self._output = 2 if bidirectional else 1, proj_size or hidden_size
        self._sequences = num_layers * self._directions
        self._widths = arguments.state_widths(self.options, hidden_size, self._output)
        self._check_together()
        self._create_parameters({"device": device, "dtype": dtype})
        self.reset_parameters()
        self.flatten_parameters()

    @classmethod
    def from_torch(cls, module: nn.LSTM) -> Self:
        """A layer with the same weights (copied), settings, mode, device and dtype as a torch.nn.LSTM."""
        return convert.from_torch(cls, module)

    def to_torch(self) -> nn.LSTM:
        """A torch.nn.LSTM with the same weights (copied); InputError naming options it cannot express."""
        return convert.to_torch(self)

    def forward(
        self,
        x: Tensor | PackedSequence,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        data: slice | None = None,
    ) -> tuple[Any, State]:
        """x [T,B,I], [B,T,I] if batch_first, [T,I] or packed; hx (h [S,B,R], c [S,B,H]) -> y, (h, c).

        S = num_layers * directions, R = proj_size or hidden_size; y has R * directions features, laid out as
        x. `lengths` [B]: row b ends after lengths[b] steps, 0 allowed; y is 0 beyond, the state that of the
        end. `reset`: a mask of x's shape without the features; where true a new sequence begins, from the
        state that a missing `hx` means. `data`: these features of x are data among learned ones; their
        gradient is 0, and the compiled kernels do not compute it. InputError for arguments that do not fit.
        """
        constant = arguments.check_data("LSTM", data, self.input_size)
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, hx, lengths, reset, constant)
        return self._layout(self._answer(x, hx, lengths, reset, constant), x)

    def trace(
        self,
        x: Tensor,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
    ) -> Trace:
        """As `forward` on dense x, with every gate, cell state and output of every layer and direction."""
        answer = self._answer(x, hx, lengths, reset, record=True)
        starts = range(0, self._sequences, self._directions)
        layers = tuple(answer.activity[first : first + self._directions] for first in starts)
        return Trace(*self._layout(answer, x), layers)

    def stream(self, batch: int = 1) -> Stream:
        """The layer one step at a time, with `batch` rows of state carried along. See `Stream`."""
        if self.bidirectional:
            raise InputError("LSTM: a bidirectional layer cannot stream, for its backward half starts at the end.")
        require(arguments.is_whole(batch) and batch >= 1, "LSTM", "batch", "a whole number of at least 1", batch)
        weights = [self._weights(sequence) for sequence in range(self._sequences)]
        return Stream(weights, self.options, self._start(batch, weights[0].weight_ih))

    def reset_parameters(self) -> None:
        """Draw the starting weights anew."""
        weights = [self._weights(sequence) for sequence in range(self._sequences)]
        parameters.initialise(weights, self.options, self.hidden_size)
        if self.options.learn_initial_state:
            nn.init.zeros_(self.initial_h)
            nn.init.zeros_(self.initial_c)

    def flatten_parameters(self) -> None:
        """On a GPU, lay the plain weights out as one block, which cuDNN wants; elsewhere nothing."""
        convert.flatten_parameters(self)

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of every layer and direction, as torch.nn.LSTM lists them."""
        return [[getattr(self, name) for name in names if name] for names in self._names]

    def extra_repr(self) -> str:
        return convert.describe(self)

    def _check_together(self) -> None:
        if self.options.residual and self.num_layers == 1:
            raise InputError("LSTM: residual=True adds to the layers above the first, but num_layers is 1.")
        parameters.check_bias("LSTM", self.options, self.bias)
        if self.dropout and self.num_layers == 1:
            text = f"LSTM: dropout acts between layers; dropout={self.dropout} does nothing with num_layers=1."
            warnings.warn(text, stacklevel=3)

    def _create_parameters(self, kind: dict[str, Any]) -> None:
        self._names: list[list[str | None]] = []  # of each sequence, as `Weights` has them up to the last there is
        self._shapes: dict[str, torch.Size] = {}
        for sequence in range(self._sequences):
            layer, direction = divmod(sequence, self._directions)
            inputs = self._output * self._directions if layer else self.input_size
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            shapes = parameters.shapes(self.options, inputs, self.hidden_size, self.bias, self.proj_size)
            last = Weights._fields.index(next(reversed(shapes)))
            self._names.append([name + suffix if name in shapes else None for name in Weights._fields[: last + 1]])
            self._shapes |= {name + suffix: torch.Size(shape) for name, shape in shapes.items()}
        if self.options.learn_initial_state:
            self._shapes["initial_h"] = torch.Size([self._sequences, self._output])
            self._shapes["initial_c"] = torch.Size([self._sequences, self.hidden_size])
        for name, shape in self._shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, **kind)))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.flatten_parameters()
        return self

    def _parameter(self, name: str) -> Tensor:
        """The attribute of this name, wherever it lies; a parameter is found without a search."""
        found = self._parameters.get(name)
        return getattr(self, name) if found is None else found

    def _checked(self, names: Collection[str | None]) -> list[Any]:
        """Attributes of these names, which others may have put there, fit for the kernels; None for None."""
        known = self._parameters
        found = [name and (known[name] if name in known else getattr(self, name)) for name in names]
        arguments.check_parameters("LSTM", names, found, self._shapes, self._parameter("weight_ih_l0"))
        return found

    def _weights(self, sequence: int) -> Weights:
        return Weights(*self._checked(self._names[sequence]))

    def _start(self, batch: int, like: Tensor) -> State:
        """The state of a sequence that comes with none, [S,B,...]."""
        # Nobody writes to it, so parts of the same width are one tensor.
        count, output = self._sequences, self._output
        h = like.new_zeros(count, batch, output)
        widths = self._widths.values()
        zeros = [h if width == output else like.new_zeros(count, batch, width) for width in widths]
        if self.options.learn_initial_state:
            learned = self._checked(("initial_h", "initial_c"))
            zeros[:2] = [part[:, None].expand(-1, batch, -1) for part in learned]
        return tuple(zeros)

    def _answer(
        self,
        x: Tensor,
        hx: State | None,
        lengths: Tensor | Sequence[int] | None,
        reset: Tensor | None,
        data: tuple[int, int] = (0, 0),
        record: bool = False,
    ) -> Answer:
        """Check the arguments, bring them to [T,B,...] and run."""
        arguments.check_input("LSTM", x, self.input_size, self._parameter("weight_ih_l0"), (2, 3))
        if reset is not None:
            reset = self._time_first(arguments.check_reset("LSTM", reset, x), unbatched=x.dim() == 2)
        if hx is not None:
            batch = {} if x.dim() == 2 else {"B": x.shape[0 if self.batch_first else 1]}
            hx = arguments.check_state("LSTM", hx, self._widths, x, S=self._sequences, **batch)
            hx = tuple(part[:, None] for part in hx) if x.dim() == 2 else hx
        if lengths is not None and x.dim() == 2:
            raise InputError("LSTM: lengths belong to batched input; cut the unbatched input to its length instead.")
        x = self._time_first(x, unbatched=x.dim() == 2)
        if lengths is not None:
            lengths = arguments.check_lengths("LSTM", lengths, x.shape[0], x.shape[1], x.device)
        return self._run(x, x.shape[1], hx, lengths, reset=reset, data=data, record=record)

    def _run(
        self,
        x: Tensor,
        batch: int,
        hx: State | None,
        lengths: Tensor | None,
        *,
        batch_sizes: Tensor | None = None,
        reset: Tensor | None = None,
        data: tuple[int, int] = (0, 0),
        record: bool = False,
    ) -> Answer:
        options, training = self.options, self.training
        weights = [self._weights(sequence) for sequence in range(self._sequences)]
        locked: list[Tensor | None] = [None] * len(weights)
        if training:
            weights = [drop_weights(one, options) for one in weights]
            locked = [draw_locked(options, x, (batch, self._output)) for _ in weights]
        request = Request(
            x=x,
            state=self._start(batch, x) if hx is None else hx,
            weights=tuple(weights),
            locked=tuple(locked),
            noise=draw_noise(options) if training else None,
            options=options,
            directions=self._directions,
            dropout=self.dropout if training else 0.0,
            lengths=lengths,
            batch_sizes=batch_sizes,
            reset=reset,
            start=None if reset is None else self._start(batch, x),
            data=data,
            record=record,
        )
        return operators.run(request)

    def _forward_packed(
        self, x: PackedSequence, hx: State | None, lengths: Any, reset: Tensor | None, data: tuple[int, int]
    ) -> tuple[PackedSequence, State]:
        if lengths is not None or reset is not None:
            raise InputError("LSTM: a PackedSequence has its own lengths and no reset; give lengths= with dense input.")
        arguments.check_input("LSTM", x.data, self.input_size, self._parameter("weight_ih_l0"), (2, 2))
        arguments.check_packed("LSTM", x)
        batch = int(x.batch_sizes[0])
        if hx is not None:
            hx = arguments.check_state("LSTM", hx, self._widths, x.data, S=self._sequences, B=batch)
            hx = _permute(hx, x.sorted_indices)
        rows = torch.arange(batch, device=x.batch_sizes.device)
        lengths = (len(x.batch_sizes) - torch.searchsorted(x.batch_sizes.flip(0), rows, right=True)).to(x.data.device)
        answer = self._run(x.data, batch, hx, lengths, batch_sizes=x.batch_sizes, data=data)
        y, state = _as_autocast(answer)
        packed = PackedSequence(y, x.batch_sizes, x.sorted_indices, x.unsorted_indices)
        return packed, _permute(state, x.unsorted_indices)

    def _time_first(self, values: Tensor, unbatched: bool) -> Tensor:
        """[T,...], [T,B,...] or [B,T,...] -> [T,B,...]."""
        if unbatched:
            return values[:, None]
        return values.transpose(0, 1) if self.batch_first else values

    def _layout(self, answer: Answer, x: Tensor) -> tuple[Tensor, State]:
        """y and the state, in the layout of x."""
        y, state = _as_autocast(answer)
        if x.dim() == 2:
            return y[:, 0], tuple(part[:, 0] for part in state)
        # y lies in memory as x does, but without batch_first the user may count on [T,B,...], as torch.nn.LSTM's is.
        return y.transpose(0, 1) if self.batch_first else y.contiguous(), state


def _permute(state: State, order: Tensor | None) -> State:
    return state if order is None else tuple(part.index_select(1, order) for part in state)


def _as_autocast(answer: Answer) -> tuple[Tensor, State]:
    """Under autocast, y and the state in its number type, as torch.nn.LSTM gives them; inside, c stays exact."""
    kind = autocast_kind(answer.y)
    if kind is None:
        return answer.y, answer.state
    return answer.y.to(kind), tuple(part.to(kind) for part in answer.state)
