"""Remakes the tables of README.md, between `<!-- table: NAME -->` and `<!-- end -->`, from the results."""

import re
import sys
from collections.abc import Mapping
from typing import Any

import results

README = results.ROOT / "README.md"
MARKED = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PEERS = ("LSTM", "NHITS", "AutoETS", "Theta", "SeasonalNaive", "random walk")
MEASURES = {"smape": "sMAPE", "theils_u": "Theil's U"}  # the others are written in capitals


def main() -> None:
    """Replace every marked table; a mark without results is an error."""
    text = README.read_text()
    README.write_text(MARKED.sub(lambda mark: mark[1] + _section(mark["name"]) + "\n" + mark[3], text))


def _section(name: str) -> str:
    if name not in TABLES or not (entries := results.read(name)):
        sys.exit(f"{README.name}: no results for the table {name!r}; there are {', '.join(TABLES)}.")
    return f"\n{TABLES[name](entries)}\n\n{origin(name, entries)}\n"


def accuracy_forecast(entries: Mapping[str, Any]) -> str:
    """One row a task and measure, one column a competitor."""
    rows = [["", "", "Foretell", *PEERS, "80 % covers", "seconds"]]
    for entry in entries.values():
        found, own = entry["competitors"], entry["competitors"]["Foretell"]
        shown = [measure for measure in entry["measures"] if not measure.startswith("coverage-")]
        for place, measure in enumerate(shown[: 2 if "theils_u" in shown else 1]):
            rows.append([entry["title"] if place == 0 else "", measure_name(measure)])
            rows[-1] += [_score(found.get(name, {}), measure) for name in ("Foretell", *PEERS)]
            rows[-1] += [_score(own, "coverage-80"), f"{own.get('seconds', 0):.0f}"]
    return results.as_table(rows)


def _score(run: Mapping[str, Any], measure: str) -> str:
    scores = run.get("scores", {})
    return f"{scores[measure]:.3g}" if measure in scores else ""


def measure_name(measure: str) -> str:
    """The measure as the tables write it."""
    if measure.startswith("coverage-"):
        return f"{measure.removeprefix('coverage-')} % covers"
    return MEASURES.get(measure, measure.upper())


def speed_forecast(entries: Mapping[str, Any]) -> str:
    """One row a figure, with what it is measured against."""
    rows = [["", "Foretell", "beside it", ""]]
    for name, entry in entries.items():
        rows += {"epoch": _epoch, "memory": _memory, "latency": _latency, "imports": _imports, "demo": _demo}[name](
            entry
        )
    return results.as_table(rows)


def _epoch(entry: Mapping[str, Any]) -> list[list[str]]:
    ours, peer = entry["foretell"], entry.get("neuralforecast LSTM")
    row = [
        f"an epoch of {entry['points']:,} points, 64 units, horizon 24",
        f"{ours['epoch_s']:.1f} s",
        "",
        "",
    ]
    if peer:
        part = f", from 1/{round(1 / peer['share'])} of it" if peer["share"] < 1 else ""
        row[2:] = [f"neuralforecast LSTM {peer['epoch_s']:.0f} s{part}", f"{entry['ratio']:.0f} times"]
    return [row]


def _memory(entry: Mapping[str, Any]) -> list[list[str]]:
    return [
        [f"peak memory, an epoch of {int(points):,} points", f"{peak:,.0f} MiB", "", ""]
        for points, peak in entry["peak_mib"].items()
    ]


def _latency(entry: Mapping[str, Any]) -> list[list[str]]:
    return [
        ["predict, one series, warm", f"{entry['predict_us'] / 1000:.2f} ms", "", ""],
        ["a step of stream", f"{entry['step_us']:.0f} us", "", ""],
    ]


def _imports(entry: Mapping[str, Any]) -> list[list[str]]:
    seconds = entry["seconds"]
    torch = seconds["import torch"]
    return [
        [name, f"{seconds[name]:.2f} s", f"import torch {torch:.2f} s", f"{seconds[name] / torch:.2f} times"]
        for name in seconds
        if "foretell" in name
    ]


def _demo(entry: Mapping[str, Any]) -> list[list[str]]:
    return [["foretell demo", f"{entry['seconds']:.0f} s", "", ""]]


def origin(name: str, entries: Mapping[str, Any]) -> str:
    """The command that remakes a table, and where, when and from which commit its figures are."""
    script = "/".join(name.split("-", 1))
    machines = sorted({f"{entry['machine']['cpu']}, {entry['threads']} threads" for entry in entries.values()})
    commits = sorted({f"{entry['commit']} of {entry['date']}" for entry in entries.values()})
    return f"`python benchmarks/{script}.py`, {'; '.join(machines)}; commit {', '.join(commits)}."


TABLES = {"accuracy-forecast": accuracy_forecast, "speed-forecast": speed_forecast}

if __name__ == "__main__":
    main()
