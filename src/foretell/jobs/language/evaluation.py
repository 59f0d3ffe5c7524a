"""How well a model knows a text it has not seen, beside n-gram models of the text it was trained on."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from foretell.jobs.language.corpus import Part
from foretell.jobs.language.model import Model
from foretell.jobs.language.ngrams import ORDERS, NGrams
from foretell.jobs.language.scoring import log_probabilities, log_probabilities_after
from foretell.jobs.language.stepper import Context
from foretell.sequences.tokens import token_text

NETWORK = "LSTM alone"
MOST = 20_000_000  # of the tokens before the held-out text: what the n-grams are fitted on


@dataclass(frozen=True)
class TextEvaluation:
    """What `evaluate` found.

    `summary` has a row a model, Foretell first, then its network without the n-grams' say: nats a token, perplexity
    (e to their power), and bits a character, or a byte where the tokens are bytes. `tokens` were scored.
    """

    headline: str
    summary: pl.DataFrame
    tokens: int


def evaluate(
    model: Model, part: Part, seen: NDArray[np.int32] | None, is_held_out: bool, *, lanes: int | None = None
) -> TextEvaluation:
    """Score a part of a text; `seen`, the text before it, is what the n-grams are fitted on, if it is there.

    Held-out text goes on where `seen` ended. `lanes` as in `log_probabilities`.
    """
    start = model.network.config.start
    before = seen[-MOST:] if seen is not None and is_held_out else np.full(1, start, np.int32)
    tokens = np.concatenate([before, part.tokens])
    counted = int((part.tokens != start).sum())
    own = log_probabilities(model.network, tokens, len(before), lanes=lanes)
    totals = {"foretell": _total(model.mixed(own, tokens, len(before)))}
    if model.mixture is not None:
        totals[NETWORK] = _total(own)
    grams = _ngrams(model, seen)
    if grams is not None:
        begin = max(0, len(before) - grams.orders)
        found = grams.log_probabilities(tokens[begin:], len(before) - begin)
        totals |= {f"{order}-gram": _total(found[order - 1]) for order in range(grams.orders, 0, -1)}
    totals["uniform"] = counted * math.log(start)
    summary = _summary(totals, counted, _units(model, part), model.unit)
    return TextEvaluation(_headline(summary, part, model, is_held_out), summary, counted)


def score_text(model: Model, context: Context, text: str) -> pl.DataFrame:
    """Every token of a text with its ln p in a context and after the tokens before it: token, log_probability."""
    ids = model.tokenizer.encode(text)
    own = log_probabilities_after(model.network, context.state, ids)
    tokens = np.concatenate([np.array(context.recent, np.int32), ids])
    names = {token: token_text(model.tokenizer, token) for token in np.unique(ids).tolist()}
    found = model.mixed(own, tokens, len(context.recent))
    return pl.DataFrame({"token": [names[token] for token in ids.tolist()], "log_probability": found})


def _ngrams(model: Model, seen: NDArray[np.int32] | None) -> NGrams | None:
    """Those of the model if they were counted on all of the text that is not held out, else others."""
    mixture = model.mixture
    if mixture is not None and (seen is None or len(seen) == len(mixture.tokens)):
        return mixture.ngrams
    if seen is None:
        return None
    return NGrams(seen[-MOST:], model.network.config.start, max(ORDERS, mixture.order if mixture else 0))


def _total(logs: NDArray[np.floating]) -> float:
    return -float(logs.sum(dtype=np.float64))


def _units(model: Model, part: Part) -> int:
    """Characters or bytes of the part."""
    return int((part.tokens != model.network.config.start).sum()) if model.unit == "byte" else part.characters


def _summary(totals: dict[str, float], tokens: int, units: int, unit: str) -> pl.DataFrame:
    nats = np.array(list(totals.values()))
    return pl.DataFrame(
        {
            "model": list(totals),
            "nats": nats / tokens,
            "perplexity": np.exp(nats / tokens),
            f"bits_per_{unit}": nats / math.log(2) / units,
        }
    )


def _headline(summary: pl.DataFrame, part: Part, model: Model, is_held_out: bool) -> str:
    measure = f"bits_per_{model.unit}"
    own = summary[measure][0]
    others = summary.slice(1).filter(pl.col("model") != NETWORK).sort(measure)
    best, name = others[measure][0], others["model"][0]
    text = f"{part.characters:,} characters of {'held-out ' if is_held_out else ''}text"
    if name == "uniform":
        return f"On {text}: {own:.3f} bits a {model.unit}; the training text is not there to fit n-grams on."
    share = abs(1 - own / best)
    side = f"{share:.1%} fewer than" if own < best else f"{share:.1%} MORE than" if own > best else "as many as"
    return f"On {text}: {own:.3f} bits a {model.unit}, {side} the best baseline, the {name} model ({best:.3f})."
