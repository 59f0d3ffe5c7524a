"""Runs one competitor on one task: the random walk, Foretell, or a peer in the peers' own environment."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tasks import LEVELS, Task

import foretell

PEERS = ("LSTM", "NHITS", "SeasonalNaive", "AutoETS", "Theta")


class NoForecastsError(RuntimeError):
    """A competitor did not forecast every row of the split; the message says why."""


@dataclass(frozen=True)
class Run:
    """Forecasts and their cost.

    The columns are unique_id, cutoff, ds, y_hat, lo-80, hi-80, ...; cutoff and ds count rows from 1.
    """

    forecasts: pl.DataFrame
    record: dict[str, Any]

    def checked(self, task: Task) -> "Run":
        """This run, if it forecasts a number for exactly the rows of the split."""
        keys = ["unique_id", "cutoff", "ds"]
        asked = random_walk(task).forecasts.select(keys)
        answered = self.forecasts.filter(pl.col("y_hat").is_finite())
        missing, unasked = (
            asked.join(answered, on=keys, how="anti"),
            answered.join(asked, on=keys, how="anti"),
        )
        if len(missing) or len(unasked) or len(answered) != len(asked):
            raise NoForecastsError(f"{len(missing)} of {len(asked)} forecasts missing, {len(unasked)} not asked for")
        return self


def random_walk(task: Task) -> Run:
    """The last known value, at every step of every window."""
    began = time.perf_counter()
    windows = pl.DataFrame({"start": range(0, task.windows * task.step, task.step)})
    steps = pl.DataFrame({"step": range(1, task.horizon + 1)})
    last = task.history.group_by("unique_id", maintain_order=True).agg(pl.col("ds").max())
    cutoffs = last.join(windows, how="cross").select("unique_id", cutoff=pl.col("ds") - task.test + pl.col("start"))
    known = task.history.select("unique_id", cutoff="ds", y_hat="y")
    forecasts = cutoffs.join(known, on=["unique_id", "cutoff"], maintain_order="left").join(steps, how="cross")
    forecasts = forecasts.select("unique_id", "cutoff", "y_hat", ds=pl.col("cutoff") + pl.col("step"))
    return Run(forecasts, {"seconds": round(time.perf_counter() - began, 1)})


def run_foretell(task: Task, threads: int) -> Run:
    """Foretell with its defaults: fitted on the rows before the test, then one forecast a cutoff."""
    import torch

    torch.set_num_threads(threads)
    began = time.perf_counter()
    model = foretell.Forecaster(
        horizon=task.horizon, level=LEVELS, windows=0, validation=task.validation, season=task.seasons
    ).fit(task.training_table, time=task.time, target=list(task.targets), series=task.series)
    fitted = time.perf_counter()
    if task.windows == 1:
        found = model.predict()
    else:
        found = model.evaluate(task.table, windows=task.windows, step=task.step).windows
    seconds = {"fit": round(fitted - began, 1), "forecast": round(time.perf_counter() - fitted, 1)}
    forecasts = _numbered(found, task)
    return Run(forecasts, {"seconds": round(sum(seconds.values()), 1), "parts": seconds, "threads": threads})


def _numbered(found: pl.DataFrame, task: Task) -> pl.DataFrame:
    """Foretell's forecasts with row numbers for times, and targets as series."""
    if "target" in found.columns:
        found = found.with_columns(unique_id=pl.col("target"))
    elif task.series is None:
        found = found.with_columns(unique_id=pl.lit(task.targets[0]))
    rows = task.history.select("unique_id", pl.col("time").alias("ds"), pl.col("ds").alias("row"))
    found = found.with_columns(pl.col("ds").cast(rows.schema["ds"])).join(rows, on=["unique_id", "ds"])
    # The rows of a window are consecutive, so its cutoff is the row before its first.
    window = ["unique_id", "cutoff"] if "cutoff" in found.columns else ["unique_id"]
    intervals = [f"{side}-{level}" for level in LEVELS for side in ("lo", "hi")]
    return found.select(
        "unique_id",
        pl.col("row").min().over(window).alias("cutoff") - 1,
        pl.col("row").alias("ds"),
        "y_hat",
        *intervals,
    )


def run_peer(name: str, task: Task, folder: Path, python: Path | None, threads: int) -> Run:
    """A peer's forecasts: those in the folder if split and settings are the same, else made now."""
    forecasts, record = folder / f"{name}.parquet", folder / f"{name}.json"
    cached = record.exists() and _same_split(json.loads(record.read_text()), name, task)
    if not cached:
        if python is None:
            raise NoForecastsError("not in the cache, and no --peers-python")
        record.unlink(missing_ok=True)
        task.write(folder)
        command = [str(python), str(Path(__file__).parent / "peers.py"), str(folder), name]
        done = subprocess.run(
            command, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, capture_output=True, text=True
        )
        if done.returncode:
            raise NoForecastsError(done.stderr.strip().splitlines()[-1])
    found = json.loads(record.read_text()) | {"cached": cached}
    return Run(pl.read_parquet(forecasts), {key: value for key, value in found.items() if key != "checksum"})


def _same_split(record: dict[str, Any], name: str, task: Task) -> bool:
    return bool(record["checksum"] == task.checksum and record["settings"] == task.peers[name])
