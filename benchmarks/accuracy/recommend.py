"""How well does Foretell's recommender foretell the next purchase, beside baselines and published figures?

FORETELL_DATA=... python benchmarks/accuracy/recommend.py
trains on amazon_beauty, ranks each user's last item among all items, prints a table, and writes
benchmarks/results/accuracy-recommend.json. With --keep the model stays in a folder, and a training that was killed
goes on.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from foretell import Recommender
from foretell.sequences import datasets
from foretell.store import CHECKPOINT, RUN, SETTINGS
from foretell.training.loop import Epoch, Plan

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results

MINUTES = 20.0  # that training may take on two cores
BARS = {"hr@10": (0.055, 0.068), "ndcg@10": (0.030, 0.038)}  # to reach, and to aim at
SECONDS_FOR_ALL, MS_FOR_ONE = 10.0, 5.0
# On the same file and split, ranked among the items a user has not had; quoted at second hand
PUBLISHED = {
    "GRU4Rec (Hidasi et al.)": {"hr@10": 0.0283, "ndcg@10": 0.0137},
    "SASRec (Kang & McAuley)": {"hr@10": 0.0605, "ndcg@10": 0.0318},
}
WARM_CALLS = 200


def main() -> None:
    """Train, evaluate, time, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--settings", type=json.loads, default={}, metavar="JSON", help="of the Recommender")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the model and its checkpoint")
    parser.add_argument("--dry", action="store_true", help="write no results")
    arguments = parser.parse_args()
    if not os.environ.get("FORETELL_DATA"):
        parser.error("set FORETELL_DATA to the folder of the data sets (it holds amazon_beauty/Beauty.txt)")
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as empty:
        model = trained(arguments.keep or Path(empty), arguments.settings)
    entry = run(model, arguments.threads)
    if not arguments.dry:
        results.update("accuracy-recommend", {"amazon_beauty": entry})
    print(f"\n{entry['title']}\n{entry['verdict']}\n{table(entry)}")


def trained(folder: Path, settings: dict[str, Any]) -> Recommender:
    """The model in the folder; one whose training goes on there, or begins, where there is none."""
    if (folder / SETTINGS).is_file():
        return Recommender.load(folder)
    if (folder / CHECKPOINT / RUN).is_file():
        model = Recommender.resume(folder / CHECKPOINT, progress=progress)
    else:
        (path,) = datasets.files("amazon_beauty")
        model = Recommender(**settings).fit(path, checkpoint=folder / CHECKPOINT, progress=progress)
    model.save(folder)
    return model


def progress(line: Epoch, plan: Plan) -> None:
    words = f"epoch {line.epoch}/{plan.epochs} train {line.train:.3f} validation {line.validation:.3f}"
    print(f"{words} {line.seconds:.1f} s", file=sys.stderr, flush=True)


def run(model: Recommender, threads: int) -> dict[str, Any]:
    """What training and evaluation gave, with the circumstances."""
    found = model.evaluate()
    seconds = sum(model.training_["seconds"])
    entry = {
        "title": f"amazon_beauty, {len(model.users):,} users, {len(model.items):,} items, leave-one-out, all items",
        "settings": model.settings.model_dump(),
        "threads": threads,
        "seconds": round(seconds, 1),
        "epochs": model.training_.height - 1,
        "best_epoch": int(model.training_.sort("validation")["epoch"][0]),
        "verdict": found.headline,
        "standard_error": found.standard_error,
        "popularity_of_what_came": found.popularity,
        "models": {row.pop("model"): row for row in found.summary.to_dicts()},
        "bars": {name: {"bar": bar, "aim": aim} for name, (bar, aim) in BARS.items()},
        "published": PUBLISHED,
    }
    return entry | timed(model) | results.circumstances("foretell", "torch", "polars")


def timed(model: Recommender) -> dict[str, Any]:
    """Seconds for all users' ten best, milliseconds for one user's, warm: the median."""
    began = time.perf_counter()
    model.recommend_all(k=10)
    everybody = time.perf_counter() - began
    users, calls = model.users, []
    for number in range(WARM_CALLS):
        began = time.perf_counter()
        model.recommend(users[number])
        calls.append(time.perf_counter() - began)
    return {"all_users_s": round(everybody, 2), "one_user_ms": round(1000 * sorted(calls)[WARM_CALLS // 2], 3)}


def table(entry: dict[str, Any]) -> str:
    """One row a model, then what others have published, then the bars."""
    measures = list(next(iter(entry["models"].values())))
    rows = [["", *measures]]
    rows += [[name, *(f"{found[one]:.4f}" for one in measures)] for name, found in entry["models"].items()]
    others = {f"{name}, published": found for name, found in entry["published"].items()}
    for kind in ("bar", "aim"):
        others[kind] = {name: bars[kind] for name, bars in entry["bars"].items()}
    rows += [
        [name, *(f"{found[one]:.4f}" if one in found else "" for one in measures)] for name, found in others.items()
    ]
    return f"{results.as_table(rows)}\n\n{speeds(entry)}"


def speeds(entry: dict[str, Any]) -> str:
    """What it cost, with the bars."""
    return (
        f"Trained in {entry['seconds']:.0f} s (bar {60 * MINUTES:.0f}) on {entry['threads']} threads, "
        f"{entry['epochs']} epochs, the best {entry['best_epoch']}; all users' top ten in {entry['all_users_s']} s "
        f"(bar {SECONDS_FOR_ALL:.0f}); one user, warm, in {entry['one_user_ms']} ms (bar {MS_FOR_ONE:.0f})."
    )


if __name__ == "__main__":
    main()
