"""Remakes the tables of README.md and docs/, between `<!-- table: NAME -->` and `<!-- end -->`, from the results."""

import re
import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import results

PAGES = (results.ROOT / "README.md", *sorted((results.ROOT / "docs").glob("*.md")))
MARKED = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PEERS = ("LSTM", "NHITS", "AutoETS", "Theta", "SeasonalNaive", "random walk")
LSTM_COLUMNS = {
    "train": ["train", "times", "best peer", "GF/s", "of sgemm"],
    "heap": ["its own heap", "times"],
    "infer": ["infer", "times", "best peer"],
    "ragged": ["ragged training", "times"],
}
MEASURES = {"smape": "sMAPE", "theils_u": "Theil's U"}  # the others are written in capitals


def main() -> None:
    """Replace every marked table; a mark without results is an error."""
    made = {page: MARKED.sub(partial(_remade, page.name), page.read_text()) for page in PAGES}
    for page, text in made.items():
        page.write_text(text)


def _remade(page: str, mark: re.Match[str]) -> str:
    return f"{mark[1]}{_section(page, mark['name'])}\n{mark[3]}"


def _section(page: str, name: str) -> str:
    if name not in TABLES or not (entries := results.read(name)):
        sys.exit(f"{page}: no results for the table {name!r}; there are {', '.join(TABLES)}.")
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
        rows += FORECAST_ROWS[name](entry)
    return results.as_table(rows)


def _epoch(entry: Mapping[str, Any]) -> list[list[str]]:
    ours, peer = entry["foretell"], entry.get("neuralforecast LSTM")
    row = [
        f"an epoch of {entry['points']:,} points, 64 units, horizon 24",
        f"{ours['epoch_s']:.2f} s",
        "",
        "",
    ]
    if peer:
        part = f", from 1/{round(1 / peer['share'])} of it" if peer["share"] < 1 else ""
        row[2:] = [f"neuralforecast LSTM {peer['epoch_s']:.0f} s{part}", f"{entry['ratio']:.0f} times"]
    return [row]


def _training_step(entry: Mapping[str, Any]) -> list[list[str]]:
    layer = f"its LSTM alone {entry['layer_ms']:.1f} ms"
    return [
        [
            "a training step, 64 units, horizon 24",
            f"{entry['step_ms']:.1f} ms",
            layer,
            f"{entry['ratio']:.2f} times as long",
        ]
    ]


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


FORECAST_ROWS = {
    "epoch": _epoch,
    "step": _training_step,
    "memory": _memory,
    "latency": _latency,
    "imports": _imports,
    "demo": _demo,
}


def speed_lstm(entries: Mapping[str, Any]) -> str:
    """Training, inference and ragged rows, variants, single figures: a table for each that there is something of."""
    found = [_lstm_shapes(entries, questions) for questions in (("train", "heap"), ("infer", "ragged"))]
    found += [_lstm_variants(entries), _lstm_figures(entries)]
    missing = [
        f"{name} in {question} ({why})"
        for question, entry in entries.items()
        for name, why in entry.get("not_run", {}).items()
    ]
    notes = [f"Not run: {', '.join(missing)}."] if missing else []
    return "\n\n".join([results.as_table(rows) for rows in found if len(rows) > 1] + notes)


def _lstm_shapes(entries: Mapping[str, Any], questions: tuple[str, ...]) -> list[list[str]]:
    """One row a shape: for every question our time, and how many times the best peer's."""
    there = {name: entries[name] for name in questions if name in entries}
    rows = [["T, B, I, H, layers"]]
    for name in there:
        rows[0] += LSTM_COLUMNS[name]
    for shape in dict.fromkeys(shape for entry in there.values() for shape in entry["shapes"]):
        rows.append([shape.replace(",", ", ")])
        for name, entry in there.items():
            rows[-1] += _lstm_cells(entry["shapes"].get(shape), name)
    for label, key in (("geometric mean", "geometric_mean"), ("smallest", "minimum")) if there else ():
        rows.append([label])
        for name, entry in there.items():
            rows[-1] += [f"{entry[key]:.2f}" if column == "times" else "" for column in LSTM_COLUMNS[name]]
    return rows


def _lstm_cells(row: Mapping[str, Any] | None, question: str) -> list[str]:
    if row is None:
        return [""] * len(LSTM_COLUMNS[question])
    shown = [milliseconds(row["ms"]["Foretell"]), f"{row['ratio']:.2f}"]
    if question not in ("ragged", "heap"):  # which have a single peer
        shown.append(row["best_peer"])
    return [*shown, f"{row['gflops']:.0f}", f"{row['share']:.0%}"] if question == "train" else shown


def _lstm_variants(entries: Mapping[str, Any]) -> list[list[str]]:
    """One row an option: training time and operations over the plain layer's, and the loop's time over ours."""
    entry = entries.get("variants", {"variants": {}})
    rows = [["option", "train", "over plain", "operations", "quotient", "a loop takes", "times"]]
    for name, found in entry["variants"].items():
        rows.append([name, milliseconds(found["ms"]["Foretell"])])
        rows[-1] += [f"{found[key]:.2f}" for key in ("over_vanilla", "operations", "quotient")]
        rows[-1] += [milliseconds(found["ms"]["loop"]), f"{found['loop_over_ours']:.0f}"]
    return rows


def _lstm_figures(entries: Mapping[str, Any]) -> list[list[str]]:
    """One row a figure, with what it is measured against."""
    makers = {"trace": _trace, "stacks": _stacks, "step": _step, "bf16": _bf16, "memory": _lstm_memory, "time": _time}
    rows = [["", "Foretell", "beside it", ""]]
    for name, make in makers.items():
        rows += make(entries[name]) if name in entries else []
    return rows


def _trace(entry: Mapping[str, Any]) -> list[list[str]]:
    with_gates, without = entry["ms"]["trace"], entry["ms"]["Foretell"]
    beside = f"without {milliseconds(without)}"
    return [["inference with all gates", milliseconds(with_gates), beside, f"{entry['ratio']:.2f} times as long"]]


def _stacks(entry: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for question, label in (("infer", "inference"), ("train", "training")):
        for shape, found in entry[question]["shapes"].items():
            ours, times = milliseconds(found["ms"]["Foretell"]), f"{found['ratio']:.1f} times as fast"
            rows.append([f"a stack, {shape.replace(',', ', ')}: {label}", ours, _best(found), times])
    return rows


def _step(entry: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for hidden, found in entry["hidden"].items():
        us, best = found["us"], found["best_peer"]
        label = f"a step, B = 1, I = 8, H = {hidden}; numpy {us['Foretell, numpy']:.1f} us"
        beside = f"{best} {us[best]:.1f} us"
        rows.append([label, f"{us['Foretell']:.1f} us", beside, f"{found['ratio']:.1f} times as fast"])
    return rows


def _bf16(entry: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            f"bfloat16 training, {shape}",
            milliseconds(found["ms"]["Foretell"]),
            ", ".join([f"our float32 {milliseconds(found['ms']['Foretell, float32'])}", *_bests(found)]),
            f"{found['over_float32']:.2f} times as fast",
        ]
        for shape, found in entry["shapes"].items()
    ]


def _bests(found: Mapping[str, Any]) -> list[str]:
    return [_best(found)] if "best_peer" in found else []


def _best(found: Mapping[str, Any]) -> str:
    return f"{found['best_peer']} {milliseconds(found['ms'][found['best_peer']])}"


def milliseconds(value: float) -> str:
    """Three digits, and never an exponent."""
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def _lstm_memory(entry: Mapping[str, Any]) -> list[list[str]]:
    return [
        [
            f"memory of a training step, {shape}" + (", checkpoint=True" if kind == "checkpoint" else ""),
            f"{found['mib'][kind]:.0f} MiB",
            f"torch.nn.LSTM {found['mib']['torch']:.0f} MiB",
            f"{ratio:.2f} times as much",
        ]
        for shape, found in entry["shapes"].items()
        for kind, ratio in found["ratios"].items()
    ]


def _time(entry: Mapping[str, Any]) -> list[list[str]]:
    long, short = (entry[key].split(",")[0] for key in ("long", "short"))
    rows = []
    for name, label in (("infer", "inference"), ("train", "training")):
        us, ratio = entry[name]["us_per_step"], entry[name]["ratio"]["Foretell"]
        label = f"{label}, a step of T = {int(long):,}"
        beside = f"of T = {short}: {us[f'Foretell {short}']:.2f} us"
        rows.append([label, f"{us[f'Foretell {long}']:.2f} us", beside, f"{ratio:.2f} times as long"])
    return rows


def origin(name: str, entries: Mapping[str, Any]) -> str:
    """The command that remakes a table, and where, when and from which commit its figures are."""
    kind, job, *cpu = name.split("-")
    option = f" --cpu {'-'.join(cpu[:-1])}" if cpu else ""
    machines = sorted({f"{entry['machine']['cpu']}, {entry['threads']} threads" for entry in entries.values()})
    commits = sorted({f"{entry['commit']} of {entry['date']}" for entry in entries.values()})
    return f"`python benchmarks/{kind}/{job}.py{option}`, {'; '.join(machines)}; commit {', '.join(commits)}."


def accuracy_of(job: str, entries: Mapping[str, Any]) -> str:
    """What each run of benchmarks/accuracy/<job>.py prints, one after the other."""
    sys.path.insert(0, str(Path(__file__).parent / "accuracy"))
    shown = import_module(job).table
    return "\n\n".join(f"{entry['title']}:\n\n{shown(entry)}" for entry in entries.values())


TABLES = {
    "accuracy-forecast": accuracy_forecast,
    **{f"accuracy-{job}": partial(accuracy_of, job) for job in ("recommend", "text", "translate")},
    # One for each CPU and instruction set.
    **{path.stem: speed_forecast for path in results.FOLDER.glob("speed-forecast-*.json")},
    **{path.stem: speed_lstm for path in results.FOLDER.glob("speed-lstm-*.json")},
}

if __name__ == "__main__":
    main()
