"""How accurate are Foretell's forecasts beside those of its peers, on the same splits, in one run?

FORETELL_DATA=... python benchmarks/accuracy/forecast.py --peers-python PATH
prints a table a task and writes benchmarks/results/accuracy-forecast.json; the environment of PATH needs what
requirements-peers.txt names.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from competitors import NoForecastsError, Run, random_walk, run_foretell, run_peer
from scores import score
from tasks import TASKS, Task

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results
from tables import measure_name

LEAK = 0.97  # Theil's U of prices below this is too good to be true


def main() -> None:
    """Run the tasks one after the other, each written as soon as it is complete."""
    arguments = parse()
    failed = False
    for name in arguments.only:
        entry = run(TASKS[name], arguments)
        results.update("accuracy-forecast", {name: entry})
        print(f"\n{entry['title']}\n{entry['verdict']}\n{table(entry)}", flush=True)
        failed |= any("error" in found for found in entry["competitors"].values())
    sys.exit(int(failed))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--peers-python", type=Path, metavar="PATH", help="Python of the peers' environment")
    parser.add_argument("--no-peers", action="store_true", help="Foretell and the random walk alone")
    parser.add_argument(
        "--peers-cache",
        type=Path,
        metavar="FOLDER",
        help="keep the peers' forecasts here; reuse those of the same split and settings",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every competitor")
    arguments = parser.parse_args()
    if not (arguments.no_peers or arguments.peers_python or arguments.peers_cache):
        parser.error("say where the peers are with --peers-python, or leave them out with --no-peers")
    return arguments


def run(task: Task, arguments: argparse.Namespace) -> dict[str, Any]:
    """The entry of one task: what was run, where, and every competitor's seconds and scores."""
    entry = {
        "title": task.title,
        "measures": task.measures,
        "split": {
            "series": task.history["unique_id"].n_unique(),
            "horizon": task.horizon,
            "windows": task.windows,
            "step": task.step,
            "checksum": task.checksum,
        },
        "note": task.note,
        "threads": arguments.threads,
    } | results.circumstances("foretell", "torch", "polars")
    with tempfile.TemporaryDirectory() as empty:
        folder = (arguments.peers_cache or Path(empty)).resolve() / task.name
        runs = {"Foretell": partial(run_foretell, task, arguments.threads)}
        for name in () if arguments.no_peers else task.peers:
            runs[name] = partial(run_peer, name, task, folder, arguments.peers_python, arguments.threads)
        runs["random walk"] = partial(random_walk, task)
        entry["competitors"] = {name: compete(name, task, start) for name, start in runs.items()}
    return entry | {"verdict": verdict(entry["measures"], entry["competitors"])}


def compete(name: str, task: Task, start: Callable[[], Run]) -> dict[str, Any]:
    """One competitor's cost and scores, or why it has none."""
    print(f"{task.name}: {name}", file=sys.stderr, flush=True)
    try:
        found = start().checked(task)
    except NoForecastsError as error:
        return {"error": str(error)}
    scores = score(found.forecasts, task.history.drop("time"), task.scale_season, task.naive2)
    return found.record | {"scores": {measure: float(f"{value:.5g}") for measure, value in scores.items()}}


def verdict(measures: Sequence[str], competitors: Mapping[str, Any]) -> str:
    """The first line under the title: whether Foretell is ahead, or that the random walk is not beaten."""
    scores = {name: found["scores"] for name, found in competitors.items() if "scores" in found}
    if "Foretell" not in scores:
        return f"Foretell has no score: {competitors['Foretell']['error']}."
    own = scores.pop("Foretell")
    if "theils_u" in measures:
        return about_prices(own["theils_u"])
    measure = measures[0]
    best = min(scores, key=lambda name: scores[name][measure])
    change = 100 * (own[measure] / scores[best][measure] - 1)
    side = "below" if change < 0 else "above"
    return f"Foretell's {measure_name(measure)} is {abs(change):.1f} % {side} that of the best other, {best}."


def about_prices(u: float) -> str:
    """What Theil's U says of a forecast of prices."""
    if u < LEAK:
        return f"SUSPECTED LEAK: Theil's U is {u:.3f}, too far below the random walk's 1 for prices."
    if round(u, 3) >= 1:
        return f"The random walk is not beaten: Theil's U is {u:.3f}."
    return f"The random walk is beaten by {100 * (1 - u):.1f} %: Theil's U is {u:.3f}."


def table(entry: Mapping[str, Any]) -> str:
    """One row a competitor with the measures that the task is judged by, best first."""
    measures = entry["measures"]
    found = {name: run for name, run in entry["competitors"].items() if "scores" in run}
    rows = [["", *map(measure_name, measures), "seconds", ""]]
    for name in sorted(found, key=lambda name: found[name]["scores"][measures[0]]):
        scores, cached = found[name]["scores"], found[name].get("cached")
        shown = (f"{scores[measure]:.4g}" if measure in scores else "" for measure in measures)
        rows.append([name, *shown, f"{found[name]['seconds']:.0f}", f"of {found[name]['date']}" if cached else ""])
    for name, run in entry["competitors"].items():
        if "error" in run:
            rows.append([name, *[""] * len(measures), "", run["error"]])
    return results.as_table(rows)


if __name__ == "__main__":
    main()
