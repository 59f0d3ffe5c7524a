"""What one process of Foretell takes, printed as JSON: `python ours.py epoch|step|latency TABLE`."""

import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl
import torch

import foretell
from foretell.training.loop import Epoch, Plan, Progress

HORIZON, HIDDEN = 24, 64
CONTEXT = 2 * HORIZON  # as the peer's
SECONDS = 3.0  # of repetitions, for a median
ROUNDS = 3  # of epochs, each followed by the layer alone


def main() -> None:
    """Answer the question on the table and print the answer."""
    question, table = sys.argv[1], Path(sys.argv[2])
    print(json.dumps({"epoch": epoch, "step": step, "latency": latency}[question](pl.read_parquet(table))))


def epoch(table: pl.DataFrame) -> dict[str, float]:
    """Seconds of a pass over the table and of the whole `fit`, and the peak memory of the process."""
    began = time.perf_counter()
    model = fit(table)
    whole = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"epoch_s": float(model.training_["seconds"].sum()), "fit_s": whole, "peak_mib": peak}


def step(table: pl.DataFrame) -> dict[str, Any]:
    """A whole training step beside the layer alone, forward and backward as the step asks for them, in turn."""
    whole, alone = [], []
    for _ in range(ROUNDS):
        taken, shape, options = epoch_of_steps(table)
        whole.append(taken)
        alone.append(layer_alone(shape, options))
    return {"step_ms": median(whole), "layer_ms": median(alone), "shape": ",".join(map(str, (*shape, HIDDEN, 1)))}


def epoch_of_steps(table: pl.DataFrame) -> tuple[float, tuple[int, ...], dict[str, Any]]:
    """Milliseconds a step of an epoch, and the [T,B,I] and options that its steps give the LSTM."""
    calls: list[tuple[tuple[int, ...], dict[str, Any]]] = []
    plans: list[Plan] = []

    def note(module: torch.nn.Module, arguments: tuple[Any, ...], options: dict[str, Any], _: object) -> None:
        if isinstance(module, foretell.LSTM) and module.training:
            calls.append((tuple(arguments[0].shape), options))

    def progress(_: Epoch, plan: Plan) -> None:
        plans.append(plan)

    with torch.nn.modules.module.register_module_forward_hook(note, with_kwargs=True):
        model = fit(table, progress)
    return 1e3 * float(model.training_["seconds"].sum()) / plans[0].steps, *calls[0]


def layer_alone(shape: tuple[int, ...], options: dict[str, Any]) -> float:
    """The median of forward and backward of a layer, in milliseconds."""
    layer = foretell.LSTM(shape[-1], HIDDEN)
    x, dy = torch.randn(shape, requires_grad=True), torch.randn(*shape[:-1], HIDDEN)

    def call() -> None:
        layer.zero_grad()
        x.grad = None
        torch.autograd.backward(layer(x, **options)[0], dy)

    return timed(call, SECONDS / ROUNDS) / 1e3


def latency(table: pl.DataFrame) -> dict[str, float]:
    """Medians of a warm `predict` and of a step of `stream` with its forecast, in microseconds."""
    model = fit(table)
    stream, values = model.stream(), cycle(table["y"].to_list())
    return {"predict_us": timed(model.predict), "step_us": timed(lambda: stream.step(next(values)))}


def fit(table: pl.DataFrame, progress: Progress | None = None) -> foretell.Forecaster:
    """One epoch with the default network of 64 units; a small tail is left for validation."""
    sizes = {"horizon": HORIZON, "hidden": HIDDEN, "context": CONTEXT}
    model = foretell.Forecaster(**sizes, epochs=1, windows=0, validation=10 * HORIZON)
    return model.fit(table, time="ds", target="y", progress=progress)


def timed(call: Callable[[], object], seconds: float = SECONDS) -> float:
    """The median time of a call in microseconds, after some to warm up."""
    for _ in range(10):
        call()
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e6 * median(times)


if __name__ == "__main__":
    main()
