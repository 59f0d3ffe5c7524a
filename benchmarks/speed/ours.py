"""What one process of Foretell takes, printed as JSON: `python ours.py epoch|latency TABLE`."""

import json
import resource
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median

import polars as pl

import foretell

HORIZON, HIDDEN = 24, 64
CONTEXT = 2 * HORIZON  # as the peer's
SECONDS = 3.0  # of repetitions, for a median


def main() -> None:
    """Answer the question on the table and print the answer."""
    question, table = sys.argv[1], Path(sys.argv[2])
    print(json.dumps({"epoch": epoch, "latency": latency}[question](pl.read_parquet(table))))


def epoch(table: pl.DataFrame) -> dict[str, float]:
    """Seconds of a pass over the table and of the whole `fit`, and the peak memory of the process."""
    began = time.perf_counter()
    model = fit(table)
    whole = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"epoch_s": float(model.training_["seconds"].sum()), "fit_s": whole, "peak_mib": peak}


def latency(table: pl.DataFrame) -> dict[str, float]:
    """Medians of a warm `predict` and of a step of `stream` with its forecast, in microseconds."""
    model = fit(table)
    stream, values = model.stream(), cycle(table["y"].to_list())
    return {"predict_us": timed(model.predict), "step_us": timed(lambda: stream.step(next(values)))}


def fit(table: pl.DataFrame) -> foretell.Forecaster:
    """One epoch with the default network of 64 units; a small tail is left for validation."""
    sizes = {"horizon": HORIZON, "hidden": HIDDEN, "context": CONTEXT}
    model = foretell.Forecaster(**sizes, epochs=1, windows=0, validation=10 * HORIZON)
    return model.fit(table, time="ds", target="y")


def timed(call: Callable[[], object]) -> float:
    """The median time of a call in microseconds, after some to warm up."""
    for _ in range(10):
        call()
    times, until = [], time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e6 * median(times)


if __name__ == "__main__":
    main()
