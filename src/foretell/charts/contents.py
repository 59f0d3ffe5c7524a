"""What a report shows: numbers and frames only, so that any job can fill it and any chart can read it."""

from dataclasses import dataclass

import polars as pl

MODEL = "foretell"  # the model's own name in `scores`, `by_horizon` and every legend
WINDOW_COLUMNS = ("unique_id", "target", "cutoff", "ds", "y", "y_hat")


@dataclass(frozen=True)
class ReportContents:
    """One report. `ds` and `cutoff` are Date, Datetime or integers; a frame may have no rows.

    Interval columns are named `lo-{level}` and `hi-{level}`, e.g. `lo-80`; coverage is a fraction, 0 to 1.
    """

    title: str  # "temp_max, 14 days ahead"
    headline: str  # by how much the model beats, or loses to, the best baseline
    facts: tuple[tuple[str, str], ...]  # name and value: schema, sizes, settings, training time
    history: pl.DataFrame  # unique_id, target, ds, y: the recent past of a few series
    forecast: pl.DataFrame  # unique_id, target, ds, y_hat, lo-.., hi-..
    windows: pl.DataFrame  # unique_id, target, cutoff, ds, y, y_hat, lo-.., hi-.., and one column a baseline
    scores: pl.DataFrame  # model, mae, rmse, smape, mase, crps, coverage-.., width-..: MODEL, then the baselines
    by_horizon: pl.DataFrame  # model, step (from 1), mae
    training: pl.DataFrame  # epoch, train, validation: losses
    gates: pl.DataFrame  # ds, layer, gate, unit, value: of the first series of `history`

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the baselines in their order, the same in every chart."""
        scored = self.scores["model"].to_list() if "model" in self.scores.columns else []
        drawn = [name for name in self.windows.columns if not _is_window_column(name)]
        return tuple(dict.fromkeys(name for name in [*scored, *drawn] if name != MODEL))

    @property
    def series(self) -> pl.DataFrame:
        """Every series and target shown, with its number `key` and a `label` no longer than needed."""
        ids = ["unique_id", "target"]
        frames = [frame.select(pl.col(ids).cast(pl.String)) for frame in self._series_frames()]
        if not frames:
            return pl.DataFrame(
                schema={"unique_id": pl.String, "target": pl.String, "key": pl.Int64, "label": pl.String}
            )
        pairs = pl.concat(frames).unique(maintain_order=True)
        varying = [name for name in ids if pairs[name].n_unique() > 1] or ["target"]
        return pairs.with_columns(
            pl.int_range(pl.len()).alias("key"), pl.concat_str(varying, separator=" · ").alias("label")
        )

    def _series_frames(self) -> list[pl.DataFrame]:
        return [frame for frame in (self.forecast, self.windows, self.history) if not frame.is_empty()]


def levels(frame: pl.DataFrame, prefix: str = "lo-") -> list[str]:
    """The interval levels that a frame has columns for, widest first: ["95", "80"]."""
    names = [name.removeprefix(prefix) for name in frame.columns if name.startswith(prefix)]
    return sorted(names, key=float, reverse=True)


def _is_window_column(name: str) -> bool:
    return name in WINDOW_COLUMNS or name.startswith(("lo-", "hi-"))
