"""The translator's report: scores, scores by length, translations beside their references, attention, training."""

import json
from dataclasses import dataclass
from html import escape

import altair as alt
import polars as pl

from foretell.charts.accuracy import training_chart
from foretell.charts.contents import MODEL
from foretell.charts.data import inline
from foretell.charts.outline import Figure, Page, Section, section
from foretell.charts.table import label, score_table
from foretell.charts.theme import BLUE, FAINT, INK, layered

HIGHER = frozenset({"bleu", "chrf"})
SHADES = 8  # heat-0 to heat-7 of the page's style
CELL = 24  # height of a row of the attention, in pixels
JOINT = "·"  # before a piece that goes on with the word before it


@dataclass(frozen=True)
class Sample:
    """A held-out sentence."""

    source: str
    reference: str
    pieces: tuple[str, ...]  # of the translation
    probabilities: tuple[float, ...]  # of each piece
    word_by_word: str


@dataclass(frozen=True)
class Attention:
    """How one translation looked at its source; tokens are pieces of words."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    weights: list[list[float]]  # [target][source]


@dataclass(frozen=True)
class TranslateContents:
    """One report. Frames without rows and empty tuples stand for what is not known."""

    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    scores: pl.DataFrame  # model, bleu, chrf
    signatures: tuple[tuple[str, str], ...]  # measure and sacreBLEU's signature
    by_length: pl.DataFrame  # words, pairs, model, bleu
    samples: tuple[Sample, ...]
    attentions: tuple[Attention, ...]
    training: pl.DataFrame  # epoch, train, validation


def translate_page(contents: TranslateContents) -> Page:
    """All sections, the held-out scores first."""
    sections = (
        _scores(contents),
        _samples(contents),
        _attention(contents),
        _length(contents),
        section("training", "Training", TRAINING, training_chart(contents.training), narrow=True),
    )
    return Page(contents.title, contents.headline, sections, contents.facts)


TRAINING = (
    "Nats a token, on the pairs trained on (with dropout and smoothed targets, hence higher) and on pairs held back to "
    "choose the weights by."
)


def _scores(contents: TranslateContents) -> Section:
    heading = "How good the translations are"
    if contents.scores.is_empty():
        return Section("scores", heading, "No pairs were held out, so this was not measured.")
    text = (
        "On pairs that no part of the training saw; higher is better. Word by word puts the likeliest translation of "
        "each word in the source's order (IBM model 1 of the same pairs); the source copied is what doing nothing "
        "scores."
    )
    lines = "".join(f"<dt>{escape(label(name))}</dt><dd>{escape(value)}</dd>" for name, value in contents.signatures)
    return Section("scores", heading, text, html=f"{score_table(contents.scores, HIGHER)}\n<dl>{lines}</dl>")


def _samples(contents: TranslateContents) -> Section:
    heading = "Translations"
    if not contents.samples:
        return Section("samples", heading, "No pairs were held out to show.")
    text = (
        "Held-out sentences, drawn at random. The darker a piece of the translation, the less sure the model was of it."
    )
    return Section("samples", heading, text, html="\n".join(map(_sample, contents.samples)))


def _sample(sample: Sample) -> str:
    rows = {
        "source": escape(sample.source),
        "reference": escape(sample.reference),
        MODEL: _shaded(sample),
        "word by word": escape(sample.word_by_word),
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{content}</dd>' for name, content in rows.items())}</dl>"


def _shaded(sample: Sample) -> str:
    spans = []
    for piece, probability in zip(sample.pieces, sample.probabilities, strict=True):
        shade = min(SHADES - 1, int((1 - probability) * SHADES))
        spans.append(f'<span class="heat-{shade}" title="{probability:.0%}">{escape(piece)}</span>')
    return "".join(spans)


def _attention(contents: TranslateContents) -> Section:
    heading = "Where it looked"
    if not contents.attentions:
        return Section("attention", heading, "No sentence was traced.")
    text = (
        "Each row is a piece of the translation, each column one of the source: the darker a field, the more the "
        f"decoder looked there. {JOINT} goes on with the word before it; </s> is the end."
    )
    figures = [
        Figure(f"attention-{place}", _plain(one.source), _plain(one.target), attention_chart(one))
        for place, one in enumerate(contents.attentions, 1)
    ]
    return Section("attention", heading, text, tuple(figures))


def attention_chart(attention: Attention) -> alt.LayerChart:
    """A heat-map: target tokens down, source tokens across."""
    records = [
        {"x": x, "y": y, "source": source, "target": target, "weight": round(attention.weights[y][x], 4)}
        for y, target in enumerate(map(_shown, attention.target))
        for x, source in enumerate(map(_shown, attention.source))
    ]
    x = alt.X("x:O", title=None, axis=_labels(attention.source, -45))
    y = alt.Y("y:O", title=None, axis=_labels(attention.target, 0))
    color = alt.Color("weight:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None)
    tooltip = [alt.Tooltip("target:N"), alt.Tooltip("source:N"), alt.Tooltip("weight:Q", format=".2f")]
    chart = alt.Chart({"values": records}).mark_rect().encode(x=x, y=y, color=color, tooltip=tooltip)
    return layered([chart], CELL * len(attention.target))


def _labels(tokens: tuple[str, ...], angle: int) -> alt.Axis:
    names = json.dumps([_shown(token) for token in tokens])
    return alt.Axis(labelExpr=f"{names}[datum.value]", labelAngle=angle, labelOverlap=False, ticks=False, domain=False)


def _shown(piece: str) -> str:
    """Without the blank that begins a word; a piece within a word is marked."""
    if piece.startswith(" ") and piece.strip():
        return piece[1:]
    return JOINT + piece if piece[:1].isalnum() else piece


def _plain(pieces: tuple[str, ...]) -> str:
    return "".join(pieces[:-1]).strip()


def _length(contents: TranslateContents) -> Section:
    heading = "Short and long sentences"
    if contents.by_length.is_empty():
        return Section("length", heading, "No pairs were held out, so this was not measured.", narrow=True)
    text = "BLEU by the number of words of the source, beside word by word; in brackets the number of pairs."
    return section("length", heading, text, length_chart(contents.by_length), narrow=True)


def length_chart(by_length: pl.DataFrame) -> alt.LayerChart:
    """Two bars for each group of lengths."""
    rows = by_length.with_columns(group=pl.format("{} ({})", "words", "pairs"))
    names = by_length["model"].unique(maintain_order=True).to_list()
    chart = alt.Chart(inline(rows))
    x = alt.X("group:N", sort=None, title="words of the source (pairs)", axis=alt.Axis(labelAngle=-30, ticks=False))
    y = alt.Y("bleu:Q", title="BLEU (higher is better)")
    side = alt.XOffset("model:N", sort=names)
    color = alt.Color("model:N", scale=alt.Scale(domain=names, range=[BLUE, FAINT]), title=None)
    bars = chart.mark_bar(cornerRadiusEnd=2).encode(x=x, y=y, xOffset=side, color=color)
    numbers = chart.mark_text(dy=-7, fontSize=11, color=INK).encode(
        x=x, y=y, xOffset=side, text=alt.Text("bleu:Q", format=".0f")
    )
    return layered([bars, numbers], 240)
