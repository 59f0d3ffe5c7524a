"""Which LSTM: the options of the cell and the layer, checked, and Greff et al.'s nine variants by name."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict

from foretell.errors import InputError, require, require_known

INITS = ("torch", "keras", "chrono")


class OptionValues(TypedDict, total=False):
    """The fields of `Options`, for the keyword arguments of the layers."""

    peepholes: bool
    coupled: bool
    input_gate: bool
    forget_gate: bool
    output_gate: bool
    input_activation: bool
    output_activation: bool
    gate_recurrence: bool
    layer_norm: bool
    recurrent_dropout: float
    weight_drop: float
    zoneout: float | tuple[float, float]
    forget_bias: float | None
    init: str
    longest_lag: int | None
    learn_initial_state: bool
    residual: bool
    checkpoint: bool


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything beyond torch.nn.LSTM's own arguments; the defaults are torch's LSTM. All combine."""

    peepholes: bool = False  # i and f see c of the step before, o sees c of this one
    coupled: bool = False  # f = 1 - i (CIFG)
    input_gate: bool = True  # False: i = 1 (NIG)
    forget_gate: bool = True  # False: f = 1 (NFG)
    output_gate: bool = True  # False: o = 1 (NOG)
    input_activation: bool = True  # False: no tanh on g (NIAF)
    output_activation: bool = True  # False: no tanh on the cell state (NOAF)
    gate_recurrence: bool = False  # the gates see the gates of the step before (FGR)
    layer_norm: bool = False
    recurrent_dropout: float = 0.0  # of h on its way into the gates, one mask for the whole sequence
    weight_drop: float = 0.0  # of the recurrent weights, one mask for each call
    zoneout: float | tuple[float, float] = 0.0  # chance that a unit keeps its old h and c; one number or (h, c)
    forget_bias: float | None = None  # the starting bias of the forget gate; None leaves it to `init`
    init: str = "torch"  # "torch", "keras" or "chrono"
    longest_lag: int | None = None  # T_max of init="chrono" in steps; None: 100
    learn_initial_state: bool = False  # the state used when none is given is a parameter
    residual: bool = False  # every layer above the first adds its input to its output
    checkpoint: bool = False  # training keeps less and runs forward twice; results are the same

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(field.default, bool):
                value = getattr(self, field.name)
                require(isinstance(value, bool), "LSTM", field.name, "True or False", value)
        for name in ("recurrent_dropout", "weight_drop"):
            require(_is_chance(getattr(self, name)), "LSTM", name, "at least 0 and below 1", getattr(self, name))
        pair = self.zoneout if isinstance(self.zoneout, tuple | list) else (self.zoneout, self.zoneout)
        fine = len(pair) == 2 and all(map(_is_chance, pair))
        require(fine, "LSTM", "zoneout", "at least 0 and below 1, or such a pair for h and c", self.zoneout)
        if isinstance(self.zoneout, list):  # as JSON has it; options are keys of what is made for them once
            object.__setattr__(self, "zoneout", tuple(self.zoneout))
        self._check_gates()
        self._check_init()

    def _check_gates(self) -> None:
        if self.coupled and not (self.input_gate and self.forget_gate):
            raise InputError("LSTM: coupled=True sets f = 1 - i and so needs input_gate=True and forget_gate=True.")
        for name in ("peepholes", "gate_recurrence"):
            if getattr(self, name) and not self.gates:
                raise InputError(f"LSTM: {name}=True acts on the gates, but all of them are off; switch one on.")

    def _check_init(self) -> None:
        require_known("LSTM", "init", [self.init], INITS)
        if self.longest_lag is not None:
            require(
                self.init == "chrono",
                "LSTM",
                "longest_lag",
                "left out unless init='chrono'",
                self.longest_lag,
            )
            require(self.longest_lag >= 2, "LSTM", "longest_lag", "at least 2 steps", self.longest_lag)
        if self.init == "chrono":
            require(self.forget_bias is None, "LSTM", "forget_bias", "left to init='chrono'", self.forget_bias)
            if "i" not in self.gates and "f" not in self.gates:
                raise InputError("LSTM: init='chrono' sets the biases of the input and forget gates; both are off.")
        if self.forget_bias is not None and "f" not in self.gates:
            raise InputError("LSTM: forget_bias needs a forget gate of its own; it is off or coupled.")

    @classmethod
    def of(cls, caller: str, variant: str | None, values: Mapping[str, Any]) -> Self:
        """The options of a preset with `values` over them; InputError with a suggestion for unknown names."""
        require_known(caller, "option", values, (field.name for field in fields(cls)))
        if variant is not None:
            require_known(caller, "variant", [variant], VARIANTS)
            values = {**VARIANTS[variant], **values}
        return cls(**values)

    @property
    def blocks(self) -> str:
        """The rows of the weights: one block of H rows for each letter, in torch's order i, f, g, o."""
        return "".join(name for name in "ifgo" if name == "g" or name in self.gates)

    @property
    def gates(self) -> str:
        """The gates computed from weights of their own, in the order i, f, o."""
        there = {"i": self.input_gate, "f": self.forget_gate and not self.coupled, "o": self.output_gate}
        return "".join(name for name in "ifo" if there[name])

    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != field.default}

    @property
    def zoneout_h(self) -> float:
        return self.zoneout[0] if isinstance(self.zoneout, tuple) else self.zoneout

    @property
    def zoneout_c(self) -> float:
        return self.zoneout[1] if isinstance(self.zoneout, tuple) else self.zoneout

    @property
    def is_plain_cell(self) -> bool:
        """Are the cell's equations torch's own, whatever noise training adds?"""
        odd = self.peepholes or self.coupled or self.gate_recurrence or self.layer_norm
        return not odd and self.gates == "ifo" and self.input_activation and self.output_activation


def _is_chance(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


# Greff et al. 2015, section 3: their vanilla LSTM has peepholes, and each other variant changes one thing
# about it; so torch.nn.LSTM is "NP".
VARIANTS: dict[str, OptionValues] = {
    "V": {"peepholes": True},
    "NIG": {"peepholes": True, "input_gate": False},
    "NFG": {"peepholes": True, "forget_gate": False},
    "NOG": {"peepholes": True, "output_gate": False},
    "NIAF": {"peepholes": True, "input_activation": False},
    "NOAF": {"peepholes": True, "output_activation": False},
    "CIFG": {"peepholes": True, "coupled": True},
    "NP": {},
    "FGR": {"peepholes": True, "gate_recurrence": True},
}
