"""Report contents small enough to check by eye, with everything a report can hold."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from foretell.charts import ReportContents

HORIZON, WINDOWS, PAST = 4, 3, 10
START = date(2024, 1, 1)
LEVELS = (80, 95)
BASELINES = ("naive", "seasonal naive", "drift")


def make_contents(
    series: tuple[str, ...] = ("a",),
    targets: tuple[str, ...] = ("y",),
    levels: tuple[int, ...] = LEVELS,
    horizon: int = HORIZON,
    integer_time: bool = False,
    hourly: bool = False,
) -> ReportContents:
    """Contents with y = row number, forecasts one too high, and intervals level / 100 to either side."""

    def when(row: int) -> int | date:
        if integer_time:
            return row
        return datetime(2024, 1, 1) + timedelta(hours=row) if hourly else START + timedelta(days=row)

    def rows(first: int, count: int, **more: object) -> list[dict[str, object]]:
        days = range(first, first + count)
        pairs = [(one, target) for one in series for target in targets]
        return [
            {"unique_id": one, "target": target, "ds": when(day), "y": float(day), **more}
            for one, target in pairs
            for day in days
        ]

    def forecasts(frame: pl.DataFrame) -> pl.DataFrame:
        bounds = {f"lo-{level}": pl.col("y") + 1 - level / 100 for level in levels}
        bounds |= {f"hi-{level}": pl.col("y") + 1 + level / 100 for level in levels}
        return frame.with_columns(y_hat=pl.col("y") + 1, **bounds)

    windows = [row for k in range(WINDOWS) for row in rows(k * horizon, horizon, cutoff=when(k * horizon - 1))]
    models = ("foretell", *BASELINES)
    scores = {name: [1.0, 2.0, 3.0, 4.0] for name in ("mae", "rmse", "smape", "mase", "crps")}
    for level in levels:
        scores |= {f"coverage-{level}": [level / 100 - 0.02, None, None, None]}
        scores |= {f"width-{level}": [level / 50, None, None, None]}
    return ReportContents(
        title="y, 4 days ahead",
        headline="Beats the best baseline (naive, MAE 2) by 50 % on 3 unseen windows.",
        facts=(("Series", "1"), ("Training", "2 epochs in 1 s")),
        history=pl.DataFrame(rows(0, PAST)),
        forecast=forecasts(pl.DataFrame(rows(PAST, horizon))).drop("y"),
        windows=forecasts(pl.DataFrame(windows)).with_columns(
            **{name: pl.col("y") + 2 + number for number, name in enumerate(BASELINES)}
        ),
        scores=pl.DataFrame({"model": models, **scores}),
        by_horizon=pl.DataFrame(
            [{"model": m, "step": s, "mae": float(s)} for m in models for s in range(1, horizon + 1)]
        ),
        training=pl.DataFrame({"epoch": [1, 2, 3], "train": [3.0, 2.0, 1.0], "validation": [3.0, 2.0, 2.5]}),
        gates=pl.DataFrame(
            [
                {"ds": when(day), "layer": layer, "gate": gate, "unit": unit, "value": unit / 10 + day / 100}
                for day in range(PAST)
                for layer in range(2)
                for gate in ("forget", "input", "output", "cell", "candidate")
                for unit in range(3)
            ]
        ),
    )


@pytest.fixture(name="make_contents")
def _make_contents() -> Callable[..., ReportContents]:
    return make_contents


@pytest.fixture
def contents() -> ReportContents:
    return make_contents()
