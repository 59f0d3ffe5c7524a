"""How long do training, predicting, importing and the demo take, beside the peers where they do the same?

python benchmarks/speed/forecast.py --cpu NAME --peers-python PATH
prints a table and writes benchmarks/results/speed-forecast-<NAME>-<instruction set>.json; the environment of PATH needs
what requirements-peers.txt names.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from foretell import native

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results
import tables

HERE = Path(__file__).parent
POINTS = 1_000_000
MEMORY_POINTS = (250_000, 1_000_000, 4_000_000)
SHARE = 1 / 20  # of the peer's epoch that is run, unless --full
EPOCHS = 5  # fresh processes of ours, the one in the middle counts: an epoch is so short that the host decides
IMPORTS = 11  # fresh processes of each kind


def main() -> None:
    """Answer the chosen questions, each written as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS), metavar="QUESTION")
    parser.add_argument("--peers-python", type=Path, metavar="PATH", help="Python of the peers' environment")
    parser.add_argument("--full", action="store_true", help="run the peer's whole epoch, not a twentieth of it")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every competitor")
    results.add_cpu(parser)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    file = f"speed-forecast-{arguments.cpu}-{native.active()}"
    for question in arguments.only:
        print(question, file=sys.stderr, flush=True)
        found = QUESTIONS[question](arguments)
        entry = {"threads": arguments.threads} | found | results.circumstances("foretell", "torch", "polars")
        results.update(file, {question: entry})
    found = results.read(file)
    print(tables.speed_forecast({name: found[name] for name in arguments.only}))


def epoch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of one pass over a million points, each a forecast origin once; 64 units, horizon 24."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_series(Path(folder), POINTS)
        runs = [ask(sys.executable, "ours.py", "epoch", path) for _ in range(EPOCHS)]
        runs.sort(key=lambda run: run["epoch_s"])
        entry: dict[str, Any] = {"points": POINTS, "foretell": runs[EPOCHS // 2]}
        if arguments.peers_python:
            share = 1.0 if arguments.full else SHARE
            entry["neuralforecast LSTM"] = ask(arguments.peers_python, "peers.py", path, share) | {"share": share}
            entry["ratio"] = entry["neuralforecast LSTM"]["epoch_s"] / entry["foretell"]["epoch_s"]
    return entry


def step(arguments: argparse.Namespace) -> dict[str, Any]:
    """A training step of the same network, with loss, clipping and optimizer, beside its LSTM alone."""
    with tempfile.TemporaryDirectory() as folder:
        found = ask(sys.executable, "ours.py", "step", write_series(Path(folder), POINTS))
    return found | {"ratio": found["step_ms"] / found["layer_ms"]}


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of a process that reads a table and trains one epoch on it, by the number of points."""
    peaks = {}
    for points in MEMORY_POINTS:
        with tempfile.TemporaryDirectory() as folder:
            peaks[str(points)] = ask(sys.executable, "ours.py", "epoch", write_series(Path(folder), points))
    return {"peak_mib": {points: found["peak_mib"] for points, found in peaks.items()}}


def latency(arguments: argparse.Namespace) -> dict[str, Any]:
    """A warm `predict` of one series, and a step of `stream`."""
    with tempfile.TemporaryDirectory() as folder:
        return ask(sys.executable, "ours.py", "latency", write_series(Path(folder), 5_000))


def imports(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fresh processes in turn, so that a slow moment of the machine meets all of them."""
    programs = {
        "python": "pass",
        "import torch": "import torch",
        "import foretell": "import foretell",
        "foretell.Forecaster": "import foretell; foretell.Forecaster",
        "foretell --help": command_line("--help"),
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(IMPORTS):
        for name, program in programs.items():
            times[name].append(wall(sys.executable, "-c", program))
    return {"seconds": {name: median(taken) for name, taken in times.items()}}


def demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """`foretell demo` from start to end, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        return {"seconds": wall(sys.executable, "-c", command_line("demo"), cwd=folder)}


QUESTIONS = {"epoch": epoch, "step": step, "memory": memory, "latency": latency, "imports": imports, "demo": demo}


def command_line(argument: str) -> str:
    """What the console script `foretell` does."""
    return f"import sys; sys.argv = ['foretell', {argument!r}]; from foretell.cli import main; sys.exit(main())"


def write_series(folder: Path, points: int) -> Path:
    """An hourly series with a day's season, a slow walk and noise, as Parquet."""
    random = np.random.default_rng(0)
    hours = np.arange(points)
    walk = np.cumsum(random.normal(size=points)) / 10
    values = 10 * np.sin(2 * np.pi * hours / 24) + walk + random.normal(size=points)
    first = datetime(1800, 1, 1)  # four million hours later is still a date that pandas knows in nanoseconds
    times = pl.datetime_range(first, first + timedelta(hours=points - 1), "1h", eager=True)
    path = folder / "series.parquet"
    pl.DataFrame({"unique_id": "series", "ds": times, "y": values}).write_parquet(path)
    return path


def ask(python: str | Path, script: str, *arguments: object) -> dict[str, Any]:
    """Run one of the scripts beside this one in a process of its own; its last line is the answer."""
    command = [str(python), str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def wall(*command: str, cwd: str | None = None) -> float:
    """Seconds from the start of a process to its end."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=cwd)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
