"""The translator's report: what is known of a model, gathered for the charts."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from foretell.jobs.translating.evaluation import WORDS, Evaluation
from foretell.jobs.translating.explaining import explain
from foretell.jobs.translating.folder import Record
from foretell.jobs.translating.model import Model
from foretell.jobs.translating.predicting import translate

if TYPE_CHECKING:
    from foretell.charts.outline import Page
    from foretell.charts.translate import Attention, Sample

SAMPLES, MAPS = 8, 2
MAPPED = 14  # words of a source whose attention is drawn, at most


def report_page(model: Model, record: Record, evaluation: Evaluation | None) -> "Page":
    """Everything a report shows. Without an evaluation its sections say that there is none."""
    from foretell.charts.translate import TranslateContents, translate_page  # Altair takes half a second to import

    shown = _drawn(evaluation.translations, record.settings.seed) if evaluation else pl.DataFrame()
    types = {"epoch": pl.Int64, "train": pl.Float64, "validation": pl.Float64}
    contents = TranslateContents(
        title=f"Translating {record.origin.name}",
        headline=evaluation.headline if evaluation else "Not evaluated: no pairs were held out.",
        facts=facts(model, record),
        scores=evaluation.summary if evaluation else pl.DataFrame(),
        signatures=tuple(evaluation.signatures.items()) if evaluation else (),
        by_length=evaluation.by_length if evaluation else pl.DataFrame(),
        samples=_samples(model, shown),
        attentions=_attentions(model, shown),
        training=pl.DataFrame({name: [line[name] for line in record.training] for name in types}, schema=types),
    )
    return translate_page(contents)


def facts(model: Model, record: Record) -> tuple[tuple[str, str], ...]:
    """Name and value of what a reader asks first."""
    settings, pairs = record.settings, record.pairs
    weights = sum(parameter.numel() for parameter in model.network.parameters())
    sides = "both languages" if settings.joint else f"the source, {model.target.size:,} of the target"
    listed = {
        "Source": record.origin.name,
        "Pairs": f"{pairs.train:,} to train on, {pairs.validation:,} for validation, {pairs.test:,} held out",
        "Left out": f"{pairs.too_long:,} with over {settings.longest} tokens in a sentence, {pairs.blank:,} blank",
        "Tokens": f"{model.source.size:,} pieces of words of {sides}",
        "Network": f"encoder of {settings.layers} and decoder of 2 LSTM layers of {settings.hidden} cells, "
        f"attention of {settings.heads} head{'s' * (settings.heads > 1)}; {weights:,} weights",
        "Search": f"beam of {settings.beam}, length penalty {settings.length_penalty:g}",
        "Training": f"{len(record.training) - 1} epochs in {record.seconds:.1f} s",
    }
    return tuple(listed.items())


def _drawn(translations: pl.DataFrame, seed: int) -> pl.DataFrame:
    order = np.random.default_rng(seed).permutation(translations.height)[:SAMPLES]
    drawn: pl.DataFrame = translations[order.tolist()]
    return drawn


def _samples(model: Model, shown: pl.DataFrame) -> "tuple[Sample, ...]":
    from foretell.charts.translate import Sample

    if shown.is_empty():
        return ()
    settings = model.settings
    found = translate(model, shown["source"].to_list(), settings.beam, settings.length_penalty)
    return tuple(
        Sample(row["source"], row["reference"], best[0].tokens[:-1], best[0].probabilities[:-1], row[WORDS])
        for row, best in zip(shown.iter_rows(named=True), found, strict=True)
    )


def _attentions(model: Model, shown: pl.DataFrame) -> "tuple[Attention, ...]":
    from foretell.charts.translate import Attention

    sources = [] if shown.is_empty() else shown["source"].to_list()
    short = [text for text in sources if len(text.split()) <= MAPPED] or sources
    found = [explain(model, text, None, model.settings.beam) for text in short[:MAPS]]
    return tuple(Attention(one.source, one.target, one.attention.tolist()) for one in found)
