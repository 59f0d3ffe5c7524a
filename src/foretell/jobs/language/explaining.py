"""What the units of a model carry: their cell states along a text, beside what stands in it at every place."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from foretell.jobs.language.features import token_features
from foretell.jobs.language.model import Model
from foretell.sequences.tokens import token_text

MOST = 4096  # tokens that are looked at
SHOWN = 400  # of them, whose cell states are kept
UNITS = 3  # of the units that carry most, whose cell states are kept
AT_ONCE = 512

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextExplanation:
    """What `explain` found; layers are counted from 1, units from 0."""

    units: pl.DataFrame  # feature, layer, unit, correlation, half_life: whose cell state follows it best
    half_life: pl.DataFrame  # layer, unit, tokens: how long a cell's content takes to fade to half
    surprise: pl.DataFrame  # place, token, nats: -ln p of every token
    cells: pl.DataFrame  # feature, layer, unit, place, token, value (tanh c, -1 to 1): of the units that carry most


def explain(model: Model, tokens: NDArray[np.int32]) -> TextExplanation:
    """Look at the first 4,096 tokens of a text; correlations are over all of these."""
    ids = tokens[:MOST]
    cells, forget = _trace(model, ids)
    kept = ids != model.network.config.start
    names, features = token_features([model.tokenizer.to_bytes(token) for token in ids[kept].tolist()])
    half_life = np.log(2) / -np.log(np.clip(forget, 1e-6, 1 - 1e-6))
    units = _carriers(names, features, cells[kept], half_life, model.network.config.hidden)
    texts = [token_text(model.tokenizer, token) for token in ids[kept].tolist()]
    surprise = _surprise(model, ids, kept, texts)
    return TextExplanation(units, _half_lives(half_life, model), surprise, _shown(model, units, cells[kept], texts))


@torch.inference_mode()
def _trace(model: Model, ids: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """tanh of every cell after every token, [T,layers * H], and the mean forget gate of each."""
    network = model.network
    tokens = torch.from_numpy(ids.astype(np.int64))[:, None]
    reset = tokens == network.config.start
    x, cells, forget = network.embed(tokens), [], []
    for layer in network.layers:
        state, parts = None, []
        for low in range(0, len(x), AT_ONCE):
            trace = layer.trace(x[low : low + AT_ONCE], state, reset=reset[low : low + AT_ONCE])
            state, activity = trace.state, trace.layers[0][0]
            parts.append((trace.y, activity.c[:, 0].tanh(), activity.f[:, 0]))
        x, c, f = (torch.cat(part) for part in zip(*parts, strict=True))
        cells.append(c.numpy())
        forget.append(f.mean(0).numpy())
    return np.concatenate(cells, axis=1), np.concatenate(forget)


def _carriers(names: tuple[str, ...], features: Floats, cells: Floats, half_life: Floats, hidden: int) -> pl.DataFrame:
    """For every feature [T,F] that varies, the unit whose state follows it best, strongest first."""
    there = features.std(axis=0) > 0
    correlation = _standard(features[:, there]).T @ _standard(cells) / len(cells)  # [F,U]
    best = np.abs(correlation).argmax(axis=1)
    rows = {
        "feature": [name for name, kept in zip(names, there, strict=True) if kept],
        "layer": best // hidden + 1,
        "unit": best % hidden,
        "correlation": correlation[np.arange(len(best)), best].astype(np.float64),
        "half_life": half_life[best].astype(np.float64),
    }
    return pl.DataFrame(rows).sort(pl.col("correlation").abs(), descending=True, maintain_order=True)


def _standard(values: Floats) -> Floats:
    """Mean 0 and deviation 1 in every column; one that never moves becomes 0."""
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    scaled: Floats = centred / np.where(deviation > 1e-6, deviation, np.inf)
    return scaled


def _half_lives(half_life: Floats, model: Model) -> pl.DataFrame:
    """ln 2 / -ln f of each unit at its mean forget gate f, longest first."""
    layers, hidden = model.network.config.layers, model.network.config.hidden
    columns = {
        "layer": np.repeat(np.arange(1, layers + 1), hidden),
        "unit": np.tile(np.arange(hidden), layers),
        "tokens": half_life.astype(np.float64),
    }
    return pl.DataFrame(columns).sort("tokens", descending=True, maintain_order=True)


def _surprise(model: Model, ids: NDArray[np.int32], kept: NDArray[np.bool_], texts: list[str]) -> pl.DataFrame:
    start = np.array([model.network.config.start], np.int32)
    whole = ids if ids[0] == start[0] else np.concatenate([start, ids])
    scores = model.log_probabilities(whole, lanes=1)
    nats = -np.concatenate([np.zeros(len(ids) - len(scores), np.float32), scores])[kept]
    return pl.DataFrame({"place": np.arange(len(texts)), "token": texts, "nats": nats.astype(np.float64)})


def _shown(model: Model, units: pl.DataFrame, cells: Floats, texts: list[str]) -> pl.DataFrame:
    """The cell states of the units that carry most, each for the first feature that it follows."""
    best = units.unique(["layer", "unit"], maintain_order=True).head(UNITS)
    count = min(SHOWN, len(texts))
    frames = [
        pl.DataFrame({"place": np.arange(count), "token": texts[:count], "value": cells[:count, column]}).select(
            pl.lit(row["feature"]).alias("feature"),
            pl.lit(row["layer"]).alias("layer"),
            pl.lit(row["unit"]).alias("unit"),
            "place",
            "token",
            pl.col("value").cast(pl.Float64),
        )
        for row in best.iter_rows(named=True)
        for column in [(row["layer"] - 1) * model.network.config.hidden + row["unit"]]
    ]
    return pl.concat(frames) if frames else pl.DataFrame()
