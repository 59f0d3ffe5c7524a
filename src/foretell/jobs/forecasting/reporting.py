"""The forecaster's report: what is known of a model, gathered for the charts."""

import polars as pl

from foretell.charts import ReportContents
from foretell.jobs.forecasting.evaluation import Evaluation
from foretell.jobs.forecasting.explaining import gate_frame
from foretell.jobs.forecasting.folder import Record
from foretell.jobs.forecasting.model import Model
from foretell.jobs.forecasting.predicting import readable_times
from foretell.sequences import Panel
from foretell.sequences.schema import counted_gaps

SHOWN_SERIES = 12
GATE_ROWS = 96  # the most steps of the heat-maps
GATE_UNITS = 64


def report_contents(
    model: Model, record: Record, panel: Panel, evaluation: Evaluation | None, forecast: pl.DataFrame
) -> ReportContents:
    """Everything a report shows. Without an evaluation its sections say that there is none."""
    ids = panel.ids[:SHOWN_SERIES]
    targets = model.schema.targets
    nothing = pl.DataFrame()
    _, data = model.scale(panel)
    gates = gate_frame(model, panel, data, 0, min(GATE_ROWS, max(3 * model.settings.horizon, 28)))
    return ReportContents(
        title=f"{', '.join(targets)}, {model.settings.horizon} steps ahead",
        headline=evaluation.headline if evaluation else "Not evaluated: no rows were held out.",
        facts=facts(model, record),
        history=_history(model, panel, len(ids)),
        forecast=_of_series(forecast, targets, ids),
        windows=_of_series(evaluation.windows, targets, ids) if evaluation else nothing,
        scores=evaluation.summary if evaluation else nothing,
        by_horizon=evaluation.by_horizon if evaluation else nothing,
        training=_training(record),
        gates=gates.filter(pl.col("unit") < GATE_UNITS),
    )


def facts(model: Model, record: Record) -> tuple[tuple[str, str], ...]:
    """Name and value of what a reader asks first."""
    schema, settings, fitted = model.schema, model.settings, model.fitted
    weights = sum(p.numel() for network in model.networks for p in network.parameters())
    logs = [name for name, how in zip(schema.targets, fitted.scaling.transform, strict=True) if how == "log"]
    listed = {
        "Source": schema.source,
        "Rows": f"{schema.rows:,} in {schema.n_series:,} series, {counted_gaps(schema.gaps)}",
        "Target": ", ".join(schema.targets),
        "Past covariates": ", ".join(schema.past) or "none",
        "Known covariates": ", ".join(schema.known) or "none",
        "Static covariates": ", ".join(schema.static) or "none",
        "Frequency": schema.frequency,
        "Seasons": ", ".join(map(str, fitted.seasons)) + " steps" if fitted.seasons else "none",
        "Looks back": f"{fitted.scaling.context} rows for its scale, and by its memory further",
        "Logarithm of": ", ".join(logs) or "nothing",
        "Network": f"{settings.members} x LSTM of {settings.layers} x {settings.hidden} cells, {weights:,} weights",
        "Validation": f"{fitted.validation} rows a series; held out: {fitted.windows} windows",
        "Training": f"{record.seconds:.1f} s",
    }
    return tuple(listed.items())


def _history(model: Model, panel: Panel, series: int) -> pl.DataFrame:
    """The recent past of the first series: four horizons, or two seasons if that is more."""
    wanted = max(4 * model.settings.horizon, 2 * next(iter(model.fitted.seasons), 1), 60)
    frames = []
    for number in range(series):
        length = int(panel.lengths[number])
        first = max(0, length - wanted)
        times = panel.times(number, first, length)
        rows = slice(panel.offsets[number] + first, panel.offsets[number + 1])
        for target, name in enumerate(model.schema.targets):
            size = length - first
            columns = {
                "unique_id": [panel.ids[number]] * size,
                "target": [name] * size,
                "ds": times,
                "y": panel.y[rows, target],
            }
            frames.append(pl.DataFrame(columns))
    return readable_times(pl.concat(frames), panel.frequency).with_columns(pl.col("y").fill_nan(None))


def _training(record: Record) -> pl.DataFrame:
    """The first network's curve."""
    rows = [line for line in record.training if line["network"] == 0]
    types = {"epoch": pl.Int64, "train": pl.Float64, "validation": pl.Float64}
    return pl.DataFrame({name: [line[name] for line in rows] for name in types}, schema=types)


def _of_series(frame: pl.DataFrame, targets: tuple[str, ...], ids: tuple[str, ...]) -> pl.DataFrame:
    """The rows of these series; a frame of one target gains the column that frames of several have."""
    if frame.is_empty():
        return frame
    if "target" not in frame.columns:
        frame = frame.with_columns(pl.lit(targets[0]).alias("target"))
    return frame.filter(pl.col("unique_id").is_in(ids))
