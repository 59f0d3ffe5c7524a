"""How fast is the layer, beside torch.nn.LSTM and the other peers?

python benchmarks/speed/lstm.py --cpu NAME [--only train infer ragged heap variants trace stacks step bf16 memory time]
prints tables and writes benchmarks/results/speed-lstm-<NAME>-<instruction set>.json; peers that are not installed are
named as not run.
Competitors are first checked in outputs and gradients against float64: an error above `TOLERANCE` ends the program, but
of torch in bfloat16, which is then named as not run.
Then they take turns; the peers of whole sequences, and ours beside them, each in a fresh process of its own, with a
heap that keeps its pages, or in `heap` with the C library's own. In training x wants its gradient too, and the
gradient of y stands ready.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import lstm_cells
import lstm_memory
import lstm_peers
import lstm_steps
import lstm_variants
import torch
from lstm_peers import Case, Shape, make_case, truth
from lstm_processes import Entry, compare
from lstm_timing import OURS, TOLERANCE, alternate, check, gigaflops, medians, summary

from foretell import native
from foretell.lstm.operators import use_backend

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results
import tables

HERE = Path(__file__).parent
SHAPES = (
    Shape(1000, 1, 8, 64, 1),
    Shape(100, 1, 1, 64, 1),
    Shape(100, 32, 8, 64, 1),
    Shape(100, 32, 64, 128, 2),
    Shape(50, 64, 128, 256, 1),
    Shape(100, 32, 256, 256, 2),
    Shape(35, 20, 650, 650, 2),
    Shape(200, 16, 512, 512, 1),
    Shape(28, 256, 28, 128, 1),
    Shape(64, 128, 128, 128, 1),
    Shape(400, 4, 128, 256, 2),
    Shape(100, 64, 1024, 1024, 1),
)
MIDDLE = Shape(100, 32, 64, 128, 2)  # of the variants and of trace
STACKS = (Shape(1000, 1, 8, 64, 2), Shape(1000, 1, 64, 64, 4), Shape(200, 4, 64, 64, 2))  # small enough for a wave
MEMORY_SHAPES = (Shape(200, 16, 512, 512, 1), Shape(100, 32, 256, 256, 2), Shape(1000, 64, 128, 128, 1))
MEMORY_RUNS = 3
SINGLE = f"{OURS}, float32"
WIDE = 256  # units from which bfloat16 is asked for
STEP_SIZES = (32, 64, 128)
LONG, SHORT = Shape(10_000, 1, 8, 64, 1), Shape(100, 1, 8, 64, 1)


def main() -> None:
    """Answer the chosen questions, each written as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS), metavar="QUESTION")
    parser.add_argument(
        "--shapes", nargs="+", type=read_shape, metavar="T,B,I,H,L", help="only these, and nothing is written"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every competitor")
    results.add_cpu(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = os.environ["NPROC"] = str(arguments.threads)  # of the processes started; of JAX
    found = {}
    for question in arguments.only:
        entry = QUESTIONS[question](arguments.shapes or SHAPES)
        found[question] = {"threads": arguments.threads} | entry | circumstances()
        if not arguments.shapes:
            results.update(f"speed-lstm-{arguments.cpu}-{native.active()}", {question: found[question]})
    print(tables.speed_lstm(found))


def train(shapes: Sequence[Shape]) -> dict[str, Any]:
    """A forward and a backward call of the layer."""
    return beside_peers("train", shapes)


def infer(shapes: Sequence[Shape]) -> dict[str, Any]:
    """A forward call of the layer without gradients."""
    return beside_peers("infer", shapes)


def beside_peers(question: str, shapes: Sequence[Shape]) -> dict[str, Any]:
    """Every shape against every peer, and the share of the machine's own sgemm rate."""
    training = question == "train"
    rows: dict[str, Any] = {}
    not_run: dict[str, str] = {}
    for shape in announced(question, shapes):
        builds = (lstm_peers.foretell_lstm, *lstm_peers.PEERS)
        entries = [Entry(partial(build, training=training), shape) for build in builds]
        row = compare(entries, training, f"{question} ({shape})")
        not_run |= row.pop("not_run")
        rate = gigaflops(shape.products * (3 if training else 1), row["ms"][OURS])
        rows[str(shape)] = row | {"gflops": rate, "share": rate / row["sgemm_gflops"]}
    return over_shapes(rows) | {"not_run": not_run}


def ragged(shapes: Sequence[Shape]) -> dict[str, Any]:
    """Training on rows of unequal length: ours with `lengths`, torch's on a PackedSequence packed beforehand."""
    rows = {}
    for shape in announced("ragged", shapes):
        builds = (partial(lstm_peers.foretell_lstm, training=True), lstm_peers.packed_lstm)
        rows[str(shape)] = compare([Entry(build, shape, ragged=True) for build in builds], True, f"ragged ({shape})")
    return over_shapes(rows)


def heap(shapes: Sequence[Shape]) -> dict[str, Any]:
    """Training beside torch.nn.LSTM where the C library does with freed pages as it likes."""
    rows = {}
    builds = [partial(build, training=True) for build in (lstm_peers.foretell_lstm, lstm_peers.torch_lstm)]
    for shape in announced("heap", shapes):
        entries = [Entry(build, shape) for build in builds]
        rows[str(shape)] = compare(entries, True, f"heap ({shape})", keep_pages=False)
    return over_shapes(rows)


def variants(_: Sequence[Shape]) -> dict[str, Any]:
    """Training with each option against our plain layer and against a hand-written loop of the same cell."""
    found = {}
    for name in lstm_cells.VARIANTS:
        say(f"variants: {name}")
        found[name] = lstm_variants.measure(name, MIDDLE)
    return {"shape": str(MIDDLE), "variants": found, "tolerance": TOLERANCE[torch.float32]}


def trace(_: Sequence[Shape]) -> dict[str, Any]:
    """Inference that returns all gates and cells, over inference that does not."""
    (case,) = cases("trace", [MIDDLE])
    plain, traced = lstm_peers.foretell_lstm(case, training=False), lstm_peers.traced_lstm(case)
    exact = lstm_peers.traced_lstm(lstm_peers.exactly(case))
    with use_backend("definition"):
        gates = exact.read(exact.call())
    tolerance = TOLERANCE[torch.float32]
    errors = {
        plain.name: check(plain, truth(case, training=False), tolerance, "trace"),
        traced.name: check(traced, truth(case, training=False) | gates, tolerance, "trace"),
    }
    found = medians(alternate([plain, traced]))
    ratio = found["ms"]["trace"] / found["ms"][OURS]
    return found | {"shape": str(MIDDLE), "errors": errors, "ratio": ratio, "tolerance": tolerance}


def stacks(_: Sequence[Shape]) -> dict[str, Any]:
    """Stacks whose layers run at once, each on a thread, beside the peers."""
    return {question: beside_peers(question, STACKS) for question in ("train", "infer")}


def step(_: Sequence[Shape]) -> dict[str, Any]:
    """One step from Python, B = 1 and I = 8."""
    sizes: dict[str, Any] = {}
    not_run: dict[str, str] = {}
    for hidden in STEP_SIZES:
        say(f"step: H = {hidden}")
        sizes[str(hidden)], skipped = lstm_steps.measure(hidden)
        not_run |= skipped
    return {"hidden": sizes, "not_run": not_run, "tolerance": TOLERANCE[torch.float32]}


def bf16(shapes: Sequence[Shape]) -> dict[str, Any]:
    """Training in bfloat16 against our own float32 and against torch's bfloat16, on the wide shapes."""
    rows = {}
    not_run: dict[str, str] = {}
    wide = [shape for shape in shapes if shape.hidden >= WIDE]
    if not wide:
        sys.exit(f"bf16: none of the shapes has an H of at least {WIDE}.")
    for shape in announced("bf16", wide):
        single = Entry(partial(lstm_peers.foretell_lstm, training=True, name=SINGLE), shape)
        ours, torchs = (
            Entry(partial(build, training=True), shape, torch.bfloat16, may_miss=may_miss)
            for build, may_miss in ((lstm_peers.foretell_lstm, False), (lstm_peers.torch_lstm, True))
        )
        row = compare([ours, torchs], True, f"bf16 ({shape})", [single])
        not_run |= row.pop("not_run")
        rows[str(shape)] = row | {"over_float32": row["ms"][SINGLE] / row["ms"][OURS]}
    over = summary(row["over_float32"] for row in rows.values())
    return over_shapes(rows, torch.bfloat16) | {"over_float32": over, "not_run": not_run}


def memory(_: Sequence[Shape]) -> dict[str, Any]:
    """How far a training step raises the peak memory of a fresh process, ours over torch.nn.LSTM's."""
    rows = {}
    for shape in MEMORY_SHAPES:
        say(f"memory: {shape}")
        runs: dict[str, list[float]] = {kind: [] for kind in lstm_memory.MAKERS}
        for kind in MEMORY_RUNS * list(runs):
            runs[kind].append(raised_memory(kind, shape))
        mib = {kind: median(found) for kind, found in runs.items()}
        rows[str(shape)] = {"mib": mib, "ratios": {kind: mib[kind] / mib["torch"] for kind in mib if kind != "torch"}}
    return {"shapes": rows}


def time(_: Sequence[Shape]) -> dict[str, Any]:
    """The time per step of a long sequence over that of a short one, with torch.nn.LSTM beside it."""
    return {"long": str(LONG), "short": str(SHORT)} | {question: per_step(question) for question in ("infer", "train")}


def per_step(question: str) -> dict[str, Any]:
    """Microseconds a step of both sequences, and their ratio."""
    training, competitors = question == "train", []
    builders = {OURS: lstm_peers.foretell_lstm, "torch.nn.LSTM": lstm_peers.torch_lstm}
    for case in cases(f"time, {question}", (SHORT, LONG)):
        true, steps = truth(case, training), case.shape.time
        for name, build in builders.items():
            competitors.append(build(case, training, f"{name} {steps}"))
            check(competitors[-1], true, TOLERANCE[torch.float32], f"time, {question} ({case.shape})")
    found = medians(alternate(competitors))["ms"]
    us = {name: 1e3 * taken / int(name.split()[1]) for name, taken in found.items()}
    ratios = {name: us[f"{name} {LONG.time}"] / us[f"{name} {SHORT.time}"] for name in builders}
    return {"us_per_step": us, "ratio": ratios}


QUESTIONS = {
    "train": train,
    "infer": infer,
    "ragged": ragged,
    "heap": heap,
    "variants": variants,
    "trace": trace,
    "stacks": stacks,
    "step": step,
    "bf16": bf16,
    "memory": memory,
    "time": time,
}


def announced(question: str, shapes: Sequence[Shape]) -> Iterator[Shape]:
    """The shapes one after the other."""
    for shape in shapes:
        say(f"{question}: {shape}")
        yield shape


def cases(question: str, shapes: Sequence[Shape]) -> Iterator[Case]:
    """The cases of the shapes, one after the other."""
    return map(make_case, announced(question, shapes))


def over_shapes(rows: dict[str, Any], dtype: torch.dtype = torch.float32) -> dict[str, Any]:
    """The rows with the geometric mean and the minimum of their ratios, if any, and the tolerance they were held to."""
    ratios = [row["ratio"] for row in rows.values() if "ratio" in row]
    return {"shapes": rows, "tolerance": TOLERANCE[dtype]} | (summary(ratios) if ratios else {})


def raised_memory(kind: str, shape: Shape) -> float:
    """MiB, from a process of its own."""
    command = [sys.executable, str(HERE / "lstm_memory.py"), kind, *map(str, shape)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["mib"])


def circumstances() -> dict[str, Any]:
    """Where, when and with which versions, of the peers too, and the instruction set of our kernels."""
    peers = [name for name in ("jax", "onnxruntime") if find_spec(name)]
    return results.circumstances("foretell", "torch", *peers) | {"instructions": native.active()}


def read_shape(text: str) -> Shape:
    """T,B,I,H,L as a shape."""
    return Shape(*map(int, text.split(",")))


def say(text: str) -> None:
    """What is going on, to whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
