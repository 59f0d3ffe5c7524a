"""A language model's report: what it writes, what surprises it, what its units carry."""

from dataclasses import dataclass
from html import escape

import altair as alt
import polars as pl

from foretell.charts.accuracy import training_chart
from foretell.charts.data import inline
from foretell.charts.outline import Page, Section, section
from foretell.charts.table import score_table
from foretell.charts.theme import BASELINE_COLOURS, BLUE, FAINT, INK, layered

SHADES = 8  # of the page's classes heat-0 to heat-7
NATS_A_SHADE = 0.9
PASSAGE = 1500  # tokens of the text that is coloured
WIDE = 160  # tokens along a chart
HEIGHT = 220


@dataclass(frozen=True)
class TextContents:
    """What the report shows: numbers, frames and texts only."""

    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    scores: pl.DataFrame  # model, nats, perplexity, bits_per_...: "foretell" first; no rows if unmeasured
    samples: dict[float, str]  # what was written at each temperature
    training: pl.DataFrame  # epoch, train, validation
    surprise: pl.DataFrame  # place, token, nats
    units: pl.DataFrame  # feature, layer, unit, correlation, half_life: strongest first
    cells: pl.DataFrame  # feature, layer, unit, place, token, value


def text_page(contents: TextContents) -> Page:
    """The whole report."""
    sections = [_scores(contents), _samples(contents), _training(contents), _surprise(contents)]
    if not contents.units.is_empty():
        sections.append(_units(contents))
    return Page(contents.title, contents.headline, tuple(sections), contents.facts)


def _scores(contents: TextContents) -> Section:
    heading = "The model beside the baselines"
    if contents.scores.is_empty():
        return Section("models", heading, "No text was held out, so nothing could be measured.")
    text = (
        "Nats a token, the perplexity they amount to, and bits of text, all on text that training has not seen: lower "
        "is better. The n-gram models are interpolated, with modified Kneser-Ney smoothing, of the same training text; "
        "where the LSTM alone is listed, Foretell is a mixture of it and the longest n-grams."
    )
    return section("models", heading, text, _scores_chart(contents.scores), html=score_table(contents.scores))


def _scores_chart(scores: pl.DataFrame) -> alt.LayerChart:
    measure = scores.columns[-1]
    title = measure.replace("_", " ").replace("per", "a")
    rows = scores.select("model", pl.col(measure).alias("value"))
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(tickCount=6)),
        y=alt.Y("model:N", title=None, sort=scores["model"].to_list(), axis=alt.Axis(grid=False)),
    )
    fill = alt.condition("datum.model === 'foretell'", alt.value(BLUE), alt.value(FAINT))
    labels = base.mark_text(align="left", dx=4, fontSize=12, color=INK).encode(text=alt.Text("value:Q", format=".3f"))
    return layered([base.mark_bar(height=16).encode(color=fill), labels], HEIGHT)


def _samples(contents: TextContents) -> Section:
    text = "Written by the model from nothing. The lower the temperature, the more it keeps to what is likeliest."
    blocks = [
        f"<h3>Temperature {temperature:g}</h3>\n<div class='text'>{escape(sample)}</div>"
        for temperature, sample in contents.samples.items()
    ]
    return Section("samples", "What it writes", text, html="\n".join(blocks))


def _training(contents: TextContents) -> Section:
    text = "Nats a token of the LSTM alone; the weights are those of the lowest validation loss. Dropout is off there."
    return section("training", "Training", text, training_chart(contents.training))


def _surprise(contents: TextContents) -> Section:
    passage = contents.surprise.head(PASSAGE)
    spans = [_span(token, nats / NATS_A_SHADE) for token, nats in passage.select("token", "nats").iter_rows()]
    text = (
        "The darker a token, the less the model expected it: the lightest had more than four chances in ten, "
        "the darkest fewer than one in five hundred."
    )
    return Section("surprise", "What surprises it", text, html=f"<div class='text'>{''.join(spans)}</div>")


def _span(token: str, shade: float) -> str:
    return f"<span class='heat-{min(SHADES - 1, max(0, int(shade)))}'>{escape(token)}</span>"


def _units(contents: TextContents) -> Section:
    strongest = contents.units.row(0, named=True)
    text = (
        f"Unit {strongest['unit']} of layer {strongest['layer']} follows “{strongest['feature']}” best: its state and "
        f"that correlate by {strongest['correlation']:.2f}. Here are the text in its colours, darkest where its state "
        "is highest, then what else there is a unit for, and how many tokens it takes to let go of half its content, "
        "and the states of the units that carry most, from -1 to 1, along the beginning of the text."
    )
    own = contents.cells.filter((pl.col("layer") == strongest["layer"]) & (pl.col("unit") == strongest["unit"]))
    spans = [_span(token, (value + 1) / 2 * SHADES) for token, value in own.select("token", "value").iter_rows()]
    html = f"<div class='text'>{''.join(spans)}</div>\n{_unit_table(contents.units)}"
    return section("units", "What its units carry", text, _cells_chart(contents.cells), html=html)


def _unit_table(units: pl.DataFrame) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("what", "layer", "unit", "correlation", "half-life"))
    rows = "\n".join(
        f"<tr><td>{escape(row['feature'])}</td><td>{row['layer']}</td><td>{row['unit']}</td>"
        f"<td>{row['correlation']:.2f}</td><td>{row['half_life']:.3g}</td></tr>"
        for row in units.iter_rows(named=True)
    )
    return f"<div class='scroll'><table>\n<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>\n</table></div>"


def _cells_chart(cells: pl.DataFrame) -> alt.LayerChart:
    """One line a unit, the tokens themselves under the axis."""
    shown = cells.filter(pl.col("place") < WIDE).with_columns(
        name=pl.format("{}: unit {}", "feature", "unit"),
        shown=pl.col("token").replace({"\n": "¶", " ": "·"}),
    )
    names = shown["name"].unique(maintain_order=True).to_list()
    places = alt.Scale(nice=False, domain=[0, max(1, shown["place"].n_unique() - 1)])
    x = alt.X("place:Q", title=None, axis=None, scale=places)
    y = alt.Y("value:Q", title="cell state", scale=alt.Scale(domain=[-1, 1]))
    colors = [BLUE, *BASELINE_COLOURS][: len(names)]
    color = alt.Color("name:N", title=None, scale=alt.Scale(domain=names, range=colors))
    tooltip = [alt.Tooltip("shown:N", title="token"), alt.Tooltip("value:Q", format=".2f")]
    lines = (
        alt.Chart(inline(shown))
        .mark_line(strokeWidth=1.6, point=alt.OverlayMarkDef(size=14))
        .encode(x=x, y=y, color=color, tooltip=tooltip)
    )
    first = shown.filter(pl.col("name") == names[0])
    letters = (
        alt.Chart(inline(first))
        .mark_text(fontSize=9, color=INK, baseline="bottom")
        .encode(x=x, y=alt.value(HEIGHT + 14), text="shown:N")
    )
    return layered([lines, letters], HEIGHT)
