"""Forecasts one split with one peer, inside the peers' own environment: `python peers.py FOLDER NAME`.

FOLDER holds history.parquet (unique_id, ds, y; ds counts the rows of a series from 1) and split.json.
NAME.parquet (unique_id, cutoff, ds, y_hat, and lo-80, hi-80, ... where the peer has intervals) and NAME.json
are written there, the second last and as the sign that the run is complete.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/
import results


def main() -> None:
    """Read the split, run the peer in an empty folder, write its forecasts and what was run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    history = pd.read_parquet(folder / "history.parquet")
    split = json.loads((folder / "split.json").read_text())
    settings = split["peers"][arguments.name]
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        forecasts, record = run(arguments.name, settings, history, split)
    forecasts.to_parquet(folder / f"{arguments.name}.parquet", index=False)
    record |= {"checksum": split["checksum"], "settings": settings} | results.moment()
    (folder / f"{arguments.name}.json").write_text(json.dumps(record, indent=1) + "\n")


def run(
    name: str, settings: Mapping[str, Any], history: pd.DataFrame, split: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Forecasts at every cutoff of the split, and the seconds, threads and versions they took.

    The seconds are those of fitting and forecasting; imports are not counted.
    """
    warnings.filterwarnings("ignore")
    package = "neuralforecast" if name in ("LSTM", "NHITS") else "statsforecast"
    forecast = neural if package == "neuralforecast" else statistical
    cutoffs = {"test_size": split["test"], "step_size": split["step"], "n_windows": None, "refit": False}
    found, seconds = forecast(name, settings, history, split, cutoffs)
    found = found.rename(columns={name: "y_hat"} | _interval_names(name, split["level"])).drop(columns="y")
    record = {
        "seconds": round(seconds, 1),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "versions": {package: version(package)} | ({"torch": version("torch")} if forecast is neural else {}),
    }
    return found.astype(dict.fromkeys(found.columns[3:], "float32")), record


def neural(
    name: str,
    settings: Mapping[str, Any],
    history: pd.DataFrame,
    split: Mapping[str, Any],
    cutoffs: Mapping[str, Any],
) -> tuple[pd.DataFrame, float]:
    """One network over all series, trained once on the rows before the first cutoff."""
    from neuralforecast import NeuralForecast, models

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    arguments = {key: value for key, value in settings.items() if key != "val_size"}
    model = getattr(models, name)(h=split["horizon"], accelerator="cpu", **arguments, **dict.fromkeys(quiet, False))
    began = time.perf_counter()
    found = NeuralForecast(models=[model], freq=1).cross_validation(
        history, val_size=settings.get("val_size", 0), **cutoffs
    )
    return found, time.perf_counter() - began


def statistical(
    name: str,
    settings: Mapping[str, Any],
    history: pd.DataFrame,
    split: Mapping[str, Any],
    cutoffs: Mapping[str, Any],
) -> tuple[pd.DataFrame, float]:
    """One model a series, fitted once before the first cutoff and carried on to the others."""
    from statsforecast import StatsForecast, models

    model = getattr(models, name)(season_length=settings["season_length"])
    forecaster = StatsForecast(models=[model], freq=1, n_jobs=1)
    began = time.perf_counter()
    found = forecaster.cross_validation(
        h=split["horizon"], df=history, input_size=settings.get("input_size"), level=split["level"], **cutoffs
    )
    return found, time.perf_counter() - began


def _interval_names(name: str, levels: list[int]) -> dict[str, str]:
    return {f"{name}-{side}-{level}": f"{side}-{level}" for level in levels for side in ("lo", "hi")}


if __name__ == "__main__":
    main()
