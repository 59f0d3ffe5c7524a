"""The forecaster: from a table of one or many series to the next values, with intervals that hold."""

import time as clock
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from foretell.errors import InputError, require, require_known
from foretell.jobs.forecasting import explaining, folder, reporting
from foretell.jobs.forecasting.evaluation import Evaluation, cutoff_positions, evaluate
from foretell.jobs.forecasting.explaining import Explanation
from foretell.jobs.forecasting.fitting import fit_model
from foretell.jobs.forecasting.memory import remember
from foretell.jobs.forecasting.model import Model
from foretell.jobs.forecasting.predicting import ends, forecast, forecast_frame
from foretell.jobs.forecasting.settings import Settings
from foretell.jobs.forecasting.splits import check_size, split
from foretell.jobs.forecasting.streaming import Stream
from foretell.jobs.forecasting.updating import take_in
from foretell.jobs.runs import end_run, read_run, running, without_password
from foretell.jobs.trained import TrainedJob
from foretell.sequences import (
    Panel,
    Schema,
    Table,
    build_panel,
    future_covariates,
    infer_schema,
    read_table,
    to_native,
)
from foretell.store import CHECKPOINT
from foretell.training.loop import Progress

Names = str | Sequence[str] | None
GATE_ROWS = 120
FRAMES = ("summary", "windows", "by_horizon")


class Forecaster(TrainedJob[Model, folder.Record]):
    """Forecasts the next `horizon` values of every series of a table, with intervals.

    Args:
        horizon: steps ahead.
        level: interval levels in percent.
        settings: see `Settings`: windows (horizons held out for `evaluate`), validation, season, context,
            hidden, layers, dropout, members, epochs, learning_rate, weight_decay, seed.

    After `fit`: `schema_` (what each column is for), `training_` (the training curve), `seconds_`.
    """

    def __init__(self, horizon: int, level: float | Sequence[float] = (80, 95), **settings: Any) -> None:
        levels = (level,) if isinstance(level, int | float) else tuple(level)
        self.settings = Settings.of(horizon=horizon, level=levels, **settings)
        self._model: Model | None = None

    def fit(
        self,
        data: Any,
        time: str | None = None,
        target: Names = None,
        series: str | None = None,
        past: Names = None,
        known: Names = None,
        static: Names = None,
        freq: str | None = None,
        *,
        query: str | None = None,
        warm: bool = False,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
        announce: Callable[[Schema], None] | None = None,
    ) -> Self:
        """Train on a table: a path (CSV, Parquet, JSON lines), a database address with `query`, or a frame.

        Roles of columns that are not named are inferred; `announce` is called with the schema before training,
        `progress` after each epoch. `warm` fine-tunes the weights there are instead of starting anew. With a
        `checkpoint` folder the run can be killed and resumed, see `resume`.

        Raises:
            InputError: the table cannot be read or used; the message names the place and the remedy.
        """
        table = read_table(data, query=query)
        schema = infer_schema(
            table, time=time, target=target, series=series, past=past, known=known, static=static, freq=freq
        )
        if announce:
            announce(schema)
        source = without_password(str(data)) if isinstance(data, str | Path) else None
        require(not (warm and checkpoint), "fit", "checkpoint", "left out when warm=True", checkpoint)
        return self._train(table, schema, source, query, checkpoint, progress, self._fitted() if warm else None)

    @classmethod
    def resume(cls, checkpoint: str | Path, data: Any = None, *, progress: Progress | None = None) -> Self:
        """Go on with a training run that was killed; it ends with the weights it would have ended with.

        `data` is needed if the run was fitted on a frame. InputError if the table has changed since.
        """
        run = read_run(Path(checkpoint), folder.Run)
        if data is None and run.source is None:
            raise InputError(f"{checkpoint}: the run was fitted on a frame in memory; give the same frame as data=.")
        table = read_table(run.source if data is None else data, query=run.query)
        self = cls.__new__(cls)
        self.settings, self._model = run.settings, None
        return self._train(table, run.data, run.source, run.query, checkpoint, progress)

    def _train(
        self,
        table: Table,
        schema: Schema,
        source: str | None,
        query: str | None,
        checkpoint: str | Path | None,
        progress: Progress | None,
        warm: Model | None = None,
    ) -> Self:
        panel = build_panel(table, schema)
        split(panel, self.settings, schema.source)  # refuses what is too short, before anything is written

        def run() -> folder.Run:
            checksum = folder.checksum(panel)
            return folder.Run(settings=self.settings, data=schema, source=source, query=query, checksum=checksum)

        place = Path(checkpoint) if checkpoint is not None else None
        with running(place, run):
            began = clock.perf_counter()
            model, cut, curves, scaled = fit_model(
                panel, schema, self.settings, warm=warm, checkpoint=place, progress=progress
            )
        last = zip(panel.start, cut.stop - panel.offsets[:-1] - 1, strict=True)
        until = [panel.frequency.times(start, np.array([row]))[0] for start, row in last]
        self._record = folder.Record(
            settings=self.settings,
            data=schema,
            fitted=model.fitted,
            config=model.config,
            ids=panel.ids,
            seen_until=tuple(np.array(until).astype(np.int64).tolist()),
            source=source,
            query=query,
            training=folder.curves_rows(curves),
            seconds=clock.perf_counter() - began,
            headline=None,
            scores=[],
        )
        self._model, self._kind = model, table.kind
        self._panel: Panel | None = panel
        self._ids, self._memory = panel.ids, remember(model, panel, scaled)
        return self

    @property
    def schema_(self) -> Schema:
        """What each column of the table is for."""
        return self._fitted().schema

    def predict(self, data: Any = None, known: Any = None) -> Any:
        """The next `horizon` values of every series: unique_id, ds, y_hat, lo-80, hi-80, ...

        Without `data`, from the end of the rows seen so far; with it, from the end of the table's series, which
        may be new ones. `known` is a table of the columns known ahead. Returns a frame of the kind the table
        came in, one row a series, time and target (column `target` if there are several).
        """
        model = self._fitted()
        kind, ids, memory = self._kind, self._ids, self._memory
        if data is not None:
            table = read_table(data)
            panel = _checked_panel(table, model.schema)
            kind, ids, memory = table.kind, panel.ids, remember(model, panel)
        ahead = None
        if known is not None:
            if not model.schema.known:
                raise InputError("predict: known= was given, but the model was fitted without known covariates.")
            ahead = future_covariates(read_table(known), model.schema, ends(model, memory, ids), model.settings.horizon)
        return to_native(forecast_frame(model, memory, ids, forecast(model, memory, ahead)), kind)

    def evaluate(self, data: Any = None, windows: int = 10, step: int | None = None) -> Evaluation:
        """Backtest from the last `windows` cutoffs, `step` rows apart (default: one horizon).

        Without `data`, over the rows held out by `fit`, and no further back than those; with it, over the end
        of the table's series, and the headline says how many windows training had seen. Each forecast uses
        only the rows up to its cutoff.
        """
        require(
            isinstance(windows, int) and windows >= 1,
            "evaluate",
            "windows",
            "a whole number of at least 1",
            windows,
        )
        whole = step is None or (isinstance(step, int) and step >= 1)
        require(whole, "evaluate", "step", "a whole number of at least 1", step)
        model, horizon = self._fitted(), self.settings.horizon
        panel, kind, name = self._panel_of(data, "evaluate")
        seen = self._seen(panel)
        earliest = seen - 1 if data is None else np.zeros_like(seen)
        positions = cutoff_positions(panel, horizon, windows, step or horizon, earliest)
        found = evaluate(model, panel, positions, seen, name)
        if data is None:
            self._record.headline = found.headline
            self._record.scores = found.summary.to_dicts()
        frames = {field: to_native(getattr(found, field), kind) for field in FRAMES}
        return replace(found, **frames)

    def explain(self, data: Any = None, series: str | None = None, rows: int = GATE_ROWS) -> Explanation:
        """The gates over the last `rows` rows of a series (default: the first), and what each input is worth."""
        require(rows >= 1, "explain", "rows", "at least 1", rows)
        panel, kind, name = self._panel_of(data, "explain")
        number = _series_number(panel.ids, series, f"explain: {name}") if series is not None else 0
        found = explaining.explain(self._fitted(), panel, number, rows)
        frames = {field: to_native(getattr(found, field), kind) for field in ("inputs", "gates", "half_life")}
        return replace(found, **frames)

    def stream(self, series: str | None = None) -> Stream:
        """The model at the end of a series, to be fed one row at a time; it does not change the model."""
        model = self._fitted()
        if series is None:
            names = ", ".join(self._ids[:5])
            require(len(self._ids) == 1, "stream", "series", f"one of the model's series ({names}, ...)", series)
            return Stream(model, self._memory.of_series(0), self._ids[0])
        return Stream(model, self._memory.of_series(_series_number(self._ids, series, "stream")), series)

    def update(self, data: Any) -> Self:
        """Take in new rows of known series, without training: the next `predict` starts after them."""
        model = self._fitted()
        table = read_table(data)
        take_in(model, self._memory, self._ids, _checked_panel(table, model.schema), table)
        self._panel = None  # it ends before the rows taken in
        return self

    def report(self, path: str | Path, known: Any = None, *, data: Any = None, png: bool = False) -> Path:
        """Write report.html, which opens without a network, and on request a PNG of each chart beside it.

        It shows the forecast if `known` is given or the model needs none. `data` is the table fitted on, needed
        where the model has neither it nor the file it came from.
        """
        from foretell.charts import write_report
        from foretell.charts.forecast_page import forecast_page

        model = self._fitted()
        panel, _, _ = self._panel_of(data, "report")
        evaluation = None
        if model.fitted.windows:
            found = self.evaluate(data, windows=model.fitted.windows)
            frames: dict[str, Any] = {name: read_table(getattr(found, name)).frame for name in FRAMES}
            evaluation = replace(found, **frames)
        can_forecast = known is not None or not model.schema.known
        frame = read_table(self.predict(known=known)).frame if can_forecast else pl.DataFrame()
        page = forecast_page(reporting.report_contents(model, self._record, panel, evaluation, frame))
        return write_report(page, Path(path), png=png)

    def save(self, path: str | Path) -> Path:
        """Write the model folder (weights.safetensors, model.json); checkpoints in it are no longer needed."""
        model = self._fitted()
        folder.save(Path(path), self._record, model, self._memory)
        end_run(Path(path) / CHECKPOINT)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model folder. InputError if it is cut short, changed, or from another version."""
        record, model, memory = folder.load(Path(path))
        self = cls.__new__(cls)
        self.settings, self._model, self._record = record.settings, model, record
        self._ids, self._memory, self._panel, self._kind = record.ids, memory, None, "polars"
        return self

    def facts(self) -> tuple[tuple[str, str], ...]:
        """The same, a few lines for people."""
        return reporting.facts(self._fitted(), self._record)

    def _panel_of(self, data: Any, verb: str) -> tuple[Panel, Any, str]:
        """The panel of the given table, else of the table it was fitted on; its kind and name."""
        model = self._fitted()
        if data is None and self._panel is not None:
            return self._panel, self._kind, model.schema.source
        source = self._record.source if data is None else data
        if source is None:
            raise InputError(f"{verb}: the model holds no table; give one as data=.")
        table = read_table(source, query=self._record.query if data is None else None)
        return _checked_panel(table, model.schema), table.kind, table.name

    def _seen(self, panel: Panel) -> NDArray[np.int64]:
        """How many rows of each series end no later than those of the training; 0 for one not trained on."""
        until = dict(zip(self._record.ids, self._record.seen_until, strict=True))
        counts = []
        for series, name in enumerate(panel.ids):
            times = panel.times(series, 0, int(panel.lengths[series])).astype(np.int64)
            counts.append(np.searchsorted(times, until[name], side="right") if name in until else 0)
        return np.array(counts, np.int64)


def _checked_panel(table: Table, schema: Schema) -> Panel:
    panel = build_panel(table, schema)
    check_size(panel, table.name)
    return panel


def _series_number(ids: tuple[str, ...], name: str, caller: str) -> int:
    require_known(caller, "series", [name], ids)
    return ids.index(name)
