"""The tolerances of the cell's tests, and the variants that most of them go through."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from foretell.lstm import LSTM, use_backend

# Largest error allowed, as a share of the largest true value. Two programs that add the same products in
# another order differ by a few units in the last place at each of the T steps: eps is 2e-16, 1e-7 and 8e-3.
# In bfloat16 the worst measured is 4.5e-2: layer norm divides rounded numbers by their own small spread.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6, torch.bfloat16: 6e-2}

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"bias": False},
    "peepholes": {"peepholes": True},
    "coupled": {"coupled": True, "peepholes": True},
    "no input gate": {"variant": "NIG"},
    "no forget gate": {"variant": "NFG"},
    "no output gate": {"variant": "NOG"},
    "no input activation": {"variant": "NIAF"},
    "no output activation": {"variant": "NOAF"},
    "gate recurrence": {"variant": "FGR"},
    "layer norm": {"layer_norm": True},
    "projection": {"proj_size": 3},
    "zoneout": {"zoneout": (0.2, 0.4)},
    "residual": {"residual": True},
    "learned start": {"learn_initial_state": True},
    "everything": {
        "variant": "FGR",
        "coupled": True,
        "layer_norm": True,
        "proj_size": 3,
        "zoneout": 0.3,
        "learn_initial_state": True,
        "residual": True,
        "recurrent_dropout": 0.3,
        "weight_drop": 0.3,
    },
}


# A few, for tests that take long.
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "both directions": {"bidirectional": True, "layer_norm": True, "peepholes": True},
    "noise": {"variant": "FGR", "zoneout": (0.2, 0.4), "recurrent_dropout": 0.3, "proj_size": 2, "batch_first": True},
}


def near(actual: Any, expected: Any) -> None:
    """Fail unless tensors, or nested tuples of them, agree within the tolerance of the actual's type."""
    if isinstance(actual, torch.Tensor):
        assert actual.shape == expected.shape
        if actual.numel():
            error = (actual.double() - expected.double()).abs().max()
            assert error <= TOLERANCE[actual.dtype] * max(1e-3, expected.double().abs().max().item())
        return
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        near(one, other)


@pytest.fixture(scope="session")
def assert_near() -> Callable[[Any, Any], None]:
    return near


@pytest.fixture(scope="module")
def native_only() -> Iterator[None]:
    """Let the compiled kernels answer everything in a module of tests, or fail where they do not."""
    if importlib.util.find_spec("foretell._native") is None:
        pytest.skip("the compiled core was not built: no C++ compiler")
    with use_backend("native"):
        yield


class Onlooker(TorchDispatchMode):
    """Writes down the calls of the package's operators."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.namespace == "foretell":
            self.calls.append((function, args))
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="session")
def onlooker() -> type[Onlooker]:
    return Onlooker


@pytest.fixture(params=SETTINGS.values(), ids=SETTINGS.keys())
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture(scope="session")
def make() -> Callable[..., LSTM]:
    """A float64 layer in evaluation mode whose every parameter, gains and biases too, is random."""

    def build(*sizes: int, seed: int = 0, **settings: Any) -> LSTM:
        torch.manual_seed(seed)
        layer = LSTM(*sizes, dtype=torch.float64, **settings).eval()
        for parameter in layer.parameters():
            torch.nn.init.uniform_(parameter, -0.8, 0.8)
        return layer

    return build
