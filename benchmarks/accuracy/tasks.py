"""The data sets that the forecasters are compared on, each with the split that its published results use."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from foretell.sequences import datasets

LEVELS = (80, 95)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One data set, cut before its first test row; forecasts start at cutoffs `step` rows apart.

    `horizon`, `windows`, `step`, `validation` and `season` count rows. The last test row is the last row that
    the last window forecasts.
    """

    name: str
    title: str
    dataset: str
    horizon: int
    windows: int
    step: int
    season: int  # for the peers that ask for one
    seasons: tuple[int, ...] | None = None  # for Foretell, where time is a mere count
    scale_season: int  # the m of MASE: in-sample error of the value m rows ago
    measures: tuple[str, ...]  # shown in the table, the first decides
    validation: int | None = None  # rows before the test that belong to the published validation part
    time: str = "ds"
    targets: tuple[str, ...] = ("y",)
    series: str | None = None
    rows: int | None = None  # of the file, from its start; all where None
    standardised: int | None = None  # z-scored with the statistics of this many first rows
    naive2: tuple[float, float] | None = None  # sMAPE and MASE of the competition's benchmark, for OWA
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    note: str = ""

    @property
    def test(self) -> int:
        """Rows at the end of each series that are forecast."""
        return (self.windows - 1) * self.step + self.horizon

    @cached_property
    def table(self) -> pl.DataFrame:
        """The user's table: a time, the targets, and the name of the series where there are several."""
        frame = datasets.load(self.dataset).frame
        if self.dataset in NUMBERED:
            frame = frame.with_columns(ds=pl.int_range(1, pl.len() + 1).over("unique_id"))
        if self.rows is not None:
            frame = frame[: self.rows]
        frame = frame.select(*([self.series] if self.series else []), self.time, *self.targets)
        if self.standardised is None:
            return frame
        head = frame[: self.standardised]
        return frame.with_columns((pl.col(name) - head[name].mean()) / head[name].std(ddof=0) for name in self.targets)

    @property
    def training_table(self) -> pl.DataFrame:
        """The rows of the table before the first test row."""
        position, length = pl.int_range(pl.len()), pl.len()
        if self.series:
            position, length = position.over(self.series), length.over(self.series)
        return self.table.filter(position < length - self.test)

    @cached_property
    def history(self) -> pl.DataFrame:
        """The table as unique_id, ds (1, 2, ... in each series), y and its time; one series a target."""
        table = self.table if self.series else self.table.with_columns(unique_id=pl.lit(""))
        long = table.unpivot(index=[self.series or "unique_id", self.time], on=self.targets, variable_name="target")
        name = pl.col(self.series) if self.series else pl.col("target")
        return long.select(
            name.alias("unique_id"),
            pl.int_range(1, pl.len() + 1).over(name).alias("ds"),
            pl.col("value").cast(pl.Float64).alias("y"),
            pl.col(self.time).alias("time"),
        )

    @cached_property
    def checksum(self) -> str:
        """Of the values and the cut: the same one means the same numbers forecast from the same numbers."""
        digest = hashlib.sha256(json.dumps([self.horizon, self.test, self.step]).encode())
        digest.update("\n".join(self.history["unique_id"]).encode())
        digest.update(self.history["ds"].to_numpy().astype("<i8").tobytes())
        digest.update(self.history["y"].to_numpy().astype("<f8").tobytes())
        return digest.hexdigest()

    def write(self, folder: Path) -> None:
        """What a peer reads: history.parquet and split.json."""
        folder.mkdir(parents=True, exist_ok=True)
        self.history.drop("time").write_parquet(folder / "history.parquet")
        split = {
            "checksum": self.checksum,
            "horizon": self.horizon,
            "test": self.test,
            "step": self.step,
            "level": list(LEVELS),
            "peers": self.peers,
        }
        (folder / "split.json").write_text(json.dumps(split, indent=1) + "\n")


def _neural(horizon: int, validation: int = 0, **settings: Any) -> dict[str, dict[str, Any]]:
    """The networks with their own defaults: absolute loss, at most 1,000 steps.

    They look back as far as their documentation does: the LSTM twice, NHITS five times the horizon. With rows
    for validation they stop early, without which they overfit small data; they do not train on those rows.
    """
    if validation:
        settings |= {"val_size": validation, "val_check_steps": 50, "early_stop_patience_steps": 3}
    return {"LSTM": {"input_size": 2 * horizon} | settings, "NHITS": {"input_size": 5 * horizon} | settings}


def _statistical(season: int, **settings: Any) -> dict[str, dict[str, Any]]:
    return {name: {"season_length": season} | settings for name in ("SeasonalNaive", "AutoETS", "Theta")}


def _seattle() -> Task:
    return Task(
        name="seattle",
        title="Seattle, daily maximum temperature, 14 days",
        dataset="weather_seattle",
        horizon=14,
        windows=10,
        step=14,
        season=365,
        scale_season=1,
        measures=("mae", "rmse", "mase", "coverage-80"),
        time="date",
        targets=("temp_max",),
        peers=_neural(14, 140) | _statistical(365),
    )


def _m4(period: str, horizon: int, seasons: tuple[int, ...], scale_season: int, naive2: tuple[float, float]) -> Task:
    return Task(
        name=f"m4_{period}",
        title=f"M4 {period}, {horizon} steps",
        dataset=f"m4_{period}",
        horizon=horizon,
        windows=1,
        step=horizon,
        season=seasons[0],
        seasons=seasons,
        scale_season=scale_season,
        measures=("owa", "smape", "mase", "coverage-80"),
        series="unique_id",
        naive2=naive2,
        peers=_neural(horizon, scaler_type="robust") | _statistical(seasons[0]),
    )


def _etth1(horizon: int) -> Task:
    return Task(
        name=f"etth1_{horizon}",
        title=f"ETTh1, 7 columns, {horizon} hours",
        dataset="etth1",
        horizon=horizon,
        windows=2880 - horizon + 1,
        step=1,
        season=24,
        scale_season=24,
        measures=("mse", "mae", "coverage-80"),
        validation=2880,
        time="date",
        targets=("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"),
        rows=8640 + 2880 + 2880,
        standardised=8640,
        peers=_neural(horizon, 2880),
        note="The peers train on absolute error, their default.",
    )


def _weather() -> Task:
    return Task(
        name="weather_wth",
        title="Weather, hourly wet-bulb temperature, 24 hours",
        dataset="weather_wth",
        horizon=24,
        windows=292,
        step=24,
        season=24,
        scale_season=24,
        measures=("mae", "rmse", "mase", "coverage-80"),
        validation=3507,
        time="date",
        targets=("WetBulbCelsius",),
        peers=_neural(24, 3507) | _statistical(24, input_size=2016),
        note="The statistical peers see the last 2,016 hours before each cutoff.",
    )


def _prices(name: str, title: str, windows: int, validation: int) -> Task:
    return Task(
        name=name,
        title=title,
        dataset=name,
        horizon=5,
        windows=windows,
        step=5,
        season=5,
        scale_season=1,
        measures=("mase", "theils_u", "coverage-80"),
        validation=validation,
        series="unique_id",
        peers=_neural(5, validation, scaler_type="robust") | _statistical(5, input_size=500),
        note="Time counts the rows. The statistical peers see the last 500 days before each cutoff.",
    )


NUMBERED = {"stock_kdd17"}  # read by trading day, so that weekends and holidays are no gaps

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _seattle(),
        _m4("hourly", 48, (24, 168), 24, (18.383, 2.395)),
        _m4("weekly", 13, (52,), 1, (9.161, 2.777)),
        _etth1(96),
        _etth1(192),
        _weather(),
        _prices("exchange_rate", "Exchange rates of eight currencies, 5 days", 303, 759),
        _prices("stock_kdd17", "Prices of 50 stocks in 2016, 5 days", 50, 252),
    )
}
