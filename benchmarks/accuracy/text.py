"""How well does Foretell learn a text, how fast, and how fast does it write? Tiny Shakespeare, by characters.

FORETELL_DATA=... python benchmarks/accuracy/text.py [--only fast long]
The published split: the last 10 % of the text is read once, after training, with the state carried through it; the
weights are chosen on the end of the first 90 %. Prints a table and writes benchmarks/results/accuracy-text.json.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from foretell.jobs.text import LanguageModel
from foretell.sequences.datasets import files

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results

SHARED: dict[str, Any] = {"tokens": "characters", "held_out": 0.1, "validation": 0.02, "seed": 0}
RUNS: dict[str, dict[str, Any]] = {
    "fast": {
        "title": "3 minutes",
        "settings": {"hidden": 512, "layers": 1, "epochs": 3, "lanes": 16, "steps": 64, "dropout": 0.3},
        "bars": {"nats": 1.65, "seconds": 180, "characters_a_second": 2000},
    },
    "long": {
        "title": "30 minutes",
        "settings": {
            "hidden": 384,
            "layers": 2,
            "epochs": 19,
            "lanes": 16,
            "steps": 128,
            "dropout": 0.35,
            "input_dropout": 0.1,
            "weight_drop": 0.2,
        },
        "bars": {"nats": 1.50, "seconds": 1800},
        "aim": 1.45,
    },
}
# Validation loss of the same split in nats a character, as their authors give it; none was run here.
PUBLISHED = {
    "nanoGPT, 0.8 M weights, CPU recipe": (1.88, "karpathy/nanoGPT, README: about 3 minutes on a MacBook"),
    "nanoGPT, 10.7 M weights, GPU recipe": (1.4697, "karpathy/nanoGPT, README: about 3 minutes on an A100"),
    "minLSTM, 3 layers of 384": (1.555, "Feng et al. 2024, at second hand"),
}
WRITTEN = 4000  # characters, to time the writing


def main() -> None:
    """Make the runs one after the other, each written as soon as it is complete."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS), metavar="RUN")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="keep the models here, and checkpoints to resume")
    arguments = parser.parse_args()
    if not os.environ.get("FORETELL_DATA"):
        parser.error("set FORETELL_DATA to the folder of the public data sets")
    torch.set_num_threads(arguments.threads)
    for name in arguments.only:
        entry = run(name, arguments.models) | {"threads": arguments.threads}
        results.update("accuracy-text", {name: entry})
        print(f"\n{entry['title']}: {entry['headline']}\n{table(entry)}", flush=True)


def run(name: str, models: Path | None) -> dict[str, Any]:
    """Train, read the held-out text once, write; the entry of one run."""
    plan = RUNS[name]
    (path,) = files("tinyshakespeare")
    model = LanguageModel(**SHARED, **plan["settings"])
    began = time.perf_counter()
    model.fit(path, progress=show, checkpoint=models / name / "checkpoint" if models else None)
    seconds = time.perf_counter() - began
    if models:
        model.save(models / name)
    found = model.evaluate(lanes=1)
    scores = {row["model"]: {key: row[key] for key in row if key != "model"} for row in found.summary.to_dicts()}
    return {
        "title": f"Tiny Shakespeare, characters, {plan['title']}",
        "settings": SHARED | plan["settings"],
        "weights": sum(parameter.numel() for parameter in model._fitted().network.parameters()),
        "bars": plan["bars"] | ({"aim": plan["aim"]} if "aim" in plan else {}),
        "headline": found.headline,
        "scores": scores,
        "published": {label: {"nats": nats, "source": source} for label, (nats, source) in PUBLISHED.items()},
        "training": model.training_.to_dicts(),
        "seconds": round(seconds, 1),
        "characters_a_second": round(writing_speed(model)),
    } | results.circumstances("foretell", "torch")


def show(epoch: Any, plan: Any) -> None:
    """A line an epoch."""
    words = f"epoch {epoch.epoch}/{plan.epochs}  loss {epoch.train:.4f}  validation {epoch.validation:.4f}"
    print(f"{words}  {epoch.seconds:.0f} s", file=sys.stderr, flush=True)


def writing_speed(model: LanguageModel) -> float:
    """Characters a second of one text, the fastest of three."""
    best = float("inf")
    for seed in range(3):
        began = time.perf_counter()
        count = sum(map(len, model.generate("\n", WRITTEN, temperature=0.8, seed=seed)))
        best = min(best, (time.perf_counter() - began) / count)
    return 1 / best


def table(entry: Mapping[str, Any]) -> str:
    """A row a model: nats and bits a character; ours and the baselines measured, the others as published."""
    bars = entry["bars"]
    rows = [["", "nats", "bits", "seconds", "bar", ""]]
    for name, row in entry["scores"].items():
        own = name == "foretell"
        cells = [f"{row['nats']:.4f}", f"{row['bits_per_character']:.3f}"]
        rows.append([name, *cells, f"{entry['seconds']:.0f}" if own else "", f"{bars['nats']}" if own else "", ""])
    for name, row in entry["published"].items():
        rows.append([name, f"{row['nats']:.4f}", "", "", "", f"published: {row['source']}"])
    epochs = len(entry["training"]) - 1
    speed = f"{entry['weights']:,} weights, {epochs} epochs, threads: {entry['threads']}; "
    speed += f"writes {entry['characters_a_second']:,} characters a second"
    bar = bars.get("characters_a_second")
    return results.as_table(rows) + f"\n\n{speed}" + (f" (bar: {bar:,})" if bar else "")


if __name__ == "__main__":
    main()
