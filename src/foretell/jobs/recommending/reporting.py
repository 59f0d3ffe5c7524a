"""The recommender's report: what is known of a model, gathered for the charts."""

import numpy as np
import polars as pl

from foretell.charts.recommend import Example, RecommendContents
from foretell.jobs.recommending.evaluation import Evaluation
from foretell.jobs.recommending.explaining import explain
from foretell.jobs.recommending.folder import Record
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.picking import History, pick, read

EXAMPLES = 8  # users shown
SHOWN = 5  # items of a history, and items recommended
REASONS = 2


def report_contents(model: Model, record: Record, evaluation: Evaluation | None) -> RecommendContents:
    """Everything a report shows; without an evaluation it says that there is none."""
    types = {"epoch": pl.Int64, "train": pl.Float64, "validation": pl.Float64}
    training = pl.DataFrame({name: [row[name] for row in record.training] for name in types}, schema=types)
    nothing = pl.DataFrame()
    return RecommendContents(
        title=f"What comes next, of {record.items:,} items",
        headline=evaluation.headline if evaluation else "Not evaluated: no events were held out.",
        measure=evaluation.measure if evaluation else "",
        scores=evaluation.summary if evaluation else nothing,
        by_length=evaluation.by_length if evaluation else nothing,
        by_popularity=evaluation.by_popularity if evaluation else nothing,
        popularity=evaluation.popularity if evaluation else 0.0,
        training=training.with_columns(pl.col("validation").fill_nan(None)),
        recency=explain(model, None, 1, record.settings.seed).recency,
        examples=_examples(model, record.settings.seed),
        facts=facts(model, record),
    )


def facts(model: Model, record: Record) -> tuple[tuple[str, str], ...]:
    """Name and value of what a reader asks first."""
    settings, schema, config = record.settings, record.data, record.config
    weights = sum(parameter.numel() for parameter in model.network.parameters())
    held = "the last event of each user" if settings.split == "leave-one-out" else f"the latest {settings.share:.0%}"
    order = f"time {schema.time}" if schema.time else "rows in order"
    listed = {
        "Source": schema.source,
        "Events": f"{record.events:,} of {record.users:,} users on {record.items:,} items",
        "Repeated rows": f"{record.repeated:,}, left out",
        "Columns": f"user {schema.user}, item {schema.item}, {order}",
        "Features": ", ".join((*schema.context.names, *record.catalogue.names)) or "none",
        "Network": f"LSTM of {config.layers} x {config.hidden} cells, vectors of {config.width}, {weights:,} weights",
        "Held out": f"{held}; the weights were chosen on those before",
        "Training": f"{record.seconds:.1f} s",
    }
    return tuple(listed.items())


def _examples(model: Model, seed: int) -> tuple[Example, ...]:
    """Some users whose last event was held out, from what came before it."""
    split, events = model.split, model.events
    users = np.flatnonzero((split.stop > split.validation) & (split.validation >= 2))
    chosen = np.random.default_rng(seed).permutation(users)[:EXAMPLES]
    found = []
    for user in np.sort(chosen).tolist():
        rows = slice(int(events.offsets[user]), int(events.offsets[user] + split.validation[user]))
        history = History(events.item[rows], events.context.rows(rows))
        best = pick(model, read(model.network, history), history, SHOWN, True, None, reasons=True)
        found.append(
            Example(
                user=events.users[user],
                history=tuple(events.items[code] for code in history.item[-SHOWN:].tolist()),
                items=best.items,
                because=tuple(tuple(one.item for one in found[:REASONS]) for found in best.reasons or ()),
                came=events.items[events.item[rows.stop]],
            )
        )
    return tuple(found)
