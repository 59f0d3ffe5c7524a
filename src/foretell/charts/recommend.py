"""The recommender's report: how often it was right, for whom, and what it recommends to whom and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import altair as alt
import polars as pl

from foretell.charts.accuracy import training_chart
from foretell.charts.contents import MODEL
from foretell.charts.data import inline
from foretell.charts.outline import Page, Section, section
from foretell.charts.table import score_table
from foretell.charts.theme import BLUE, FAINT, INK, layered, line_layers

HEIGHT = 240
PERCENT = alt.Axis(labelExpr="format(datum.value, '.3~p')", tickCount=5)
BESIDE = "#b8c2cc"


@dataclass(frozen=True)
class Example:
    """One user: what came last, and what is recommended because of which items."""

    user: str
    history: tuple[str, ...]  # the last items, oldest first
    items: tuple[str, ...]
    because: tuple[tuple[str, ...], ...]  # an item's
    came: str | None  # what came next, if that was held out


@dataclass(frozen=True)
class RecommendContents:
    """Everything that the report shows. Frames as `Evaluation` and `Explanation` have them, empty without one."""

    title: str
    headline: str
    measure: str  # that the models are compared by: "hr@10", "hr@10 of all"
    scores: pl.DataFrame
    by_length: pl.DataFrame
    by_popularity: pl.DataFrame
    popularity: float  # of what came
    training: pl.DataFrame  # epoch, train, validation
    recency: pl.DataFrame
    examples: tuple[Example, ...]
    facts: tuple[tuple[str, str], ...]


def recommend_page(contents: RecommendContents) -> Page:
    """Every section, in the order of the page: what was held out first."""
    measured = () if contents.scores.is_empty() else _measured(contents)
    sections = (*measured, *_examples(contents), *_memory(contents), _training(contents))
    return Page(contents.title, contents.headline, sections, contents.facts)


def _measured(contents: RecommendContents) -> tuple[Section, ...]:
    k = contents.measure.removeprefix("hr@").removesuffix(" of all")
    better = frozenset(name for name in contents.scores.columns if name not in ("model", "popularity"))
    table = score_table(contents.scores.drop("popularity"), better)
    text = (
        f"How often what came next stood among the first {k} of all items that the user had not had before (HR), "
        f"and how far up (NDCG, MRR); coverage is the share of all items that were recommended to somebody. "
        f"Columns 'of all' rank the items had before too."
    )
    return (
        section("models", "The model beside the baselines", text, bars(contents.scores, contents.measure), html=table),
        section(
            "length",
            "By length of history",
            f"The share of users hit in {k}, by how many events were known of them.",
            lines(contents.by_length, "events", "events in the history"),
            narrow=True,
        ),
        section(
            "popularity",
            "By popularity of what came",
            f"The share hit in {k}, by tenths of the catalogue: 1 the rarest items, 10 the most popular.",
            lines(contents.by_popularity, "decile", "popularity of the item that came"),
            narrow=True,
        ),
        section(
            "bias",
            "Does it recommend only what everybody has?",
            "The mean popularity of what is recommended, as the share of items that are less popular. The dashed line "
            "is that of what users took: right of it, popular items are recommended more than they are wanted.",
            bias(contents.scores, contents.popularity),
        ),
    )


def bars(scores: pl.DataFrame, measure: str) -> alt.LayerChart:
    """One bar a model."""
    frame = scores.select("model", score=measure).with_columns(own=pl.col("model") == MODEL)
    chart = alt.Chart(inline(frame))
    y = alt.Y("model:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelFontSize=12))
    x = alt.X("score:Q", title=f"{measure.replace('hr', 'HR')} (higher is better)", axis=PERCENT)
    colour = alt.condition("datum.own", alt.value(BLUE), alt.value(BESIDE))
    shapes = chart.mark_bar(size=22, cornerRadiusEnd=2).encode(x=x, y=y, color=colour)
    text = alt.Text("score:Q", format=".2%")
    numbers = chart.mark_text(align="left", dx=5, fontSize=12, color=INK).encode(x=x, y=y, text=text)
    return layered([shapes, numbers], 34 * len(frame))


def lines(frame: pl.DataFrame, column: str, title: str) -> alt.LayerChart:
    """The hit rate of each model over groups of cases, in the order of the frame."""
    order = frame[column].unique(maintain_order=True).to_list()
    names = frame["model"].unique(maintain_order=True).to_list()
    chart = alt.Chart(inline(frame))
    x = alt.X(f"{column}:O", sort=order, title=title, axis=alt.Axis(labelAngle=0, grid=False))
    y = alt.Y("hr:Q", title="hit rate", axis=PERCENT, scale=alt.Scale(zero=True))
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip(f"{column}:O", title=title),
        alt.Tooltip("hr:Q", title="hit rate", format=".2%"),
        alt.Tooltip("cases:Q", format=","),
    ]
    points = chart.mark_point(opacity=0, size=90).encode(x=x, y=y, tooltip=tooltip)
    return layered([*line_layers(chart, names, dots=True, x=x, y=y), points], HEIGHT)


def bias(scores: pl.DataFrame, came: float) -> alt.LayerChart:
    """The mean popularity of what each model recommends, beside that of what came."""
    frame = scores.select("model", "popularity").with_columns(own=pl.col("model") == MODEL)
    chart = alt.Chart(inline(frame))
    x = alt.X("popularity:Q", title="items that are less popular", axis=PERCENT, scale=alt.Scale(domain=[0, 1]))
    y = alt.Y("model:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelFontSize=12))
    colour = alt.condition("datum.own", alt.value(BLUE), alt.value(BESIDE))
    dots = chart.mark_circle(size=130, opacity=1).encode(x=x, y=y, color=colour)
    rule = alt.Chart({"values": [{"popularity": came}]}).mark_rule(color=FAINT, strokeDash=[4, 3]).encode(x=x)
    return layered([rule, dots], 34 * len(frame))


def recency_chart(recency: pl.DataFrame) -> alt.LayerChart:
    """How much the best item's log-probability moves when an event is left out, by how long ago it was."""
    x = alt.X("steps_ago:O", title="events ago", axis=alt.Axis(labelAngle=0))
    y = alt.Y("change:Q", title="change of log-probability (nats)")
    tooltip = [alt.Tooltip("steps_ago:O"), alt.Tooltip("change:Q", format=".3~g"), alt.Tooltip("histories:Q")]
    chart = alt.Chart(inline(recency)).mark_bar(color=BLUE, cornerRadiusEnd=2)
    return layered([chart.encode(x=x, y=y, tooltip=tooltip)], HEIGHT)


def _examples(contents: RecommendContents) -> tuple[Section, ...]:
    if not contents.examples:
        return ()
    text = (
        "Some users: the last items each had, what is recommended now, and because of which items. An item in bold is "
        "what came next, where that was held out."
    )
    return (Section("examples", "What is recommended to whom", text, html=examples_table(contents.examples)),)


def examples_table(examples: Sequence[Example]) -> str:
    """One row a user, everything from the user's data escaped."""
    rows = []
    for one in examples:
        items = "<br>".join(
            _item(item, because, one.came) for item, because in zip(one.items, one.because, strict=True)
        )
        rows.append(f"<tr><td>{escape(one.user)}</td><td>{escape(', '.join(one.history))}</td><td>{items}</td></tr>")
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("user", "had last", "recommended"))
    body = "\n".join(rows)
    return f"<div class='scroll'><table>\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>\n</table></div>"


def _item(item: str, because: tuple[str, ...], came: str | None) -> str:
    name = f"<b>{escape(item)}</b>" if item == came else escape(item)
    return name + (f" (because of {escape(', '.join(because))})" if because else "")


def _memory(contents: RecommendContents) -> tuple[Section, ...]:
    if contents.recency.is_empty():
        return ()
    text = "How much leaving one event out of the history moves the probability of the item recommended first."
    return (section("memory", "How far back it looks", text, recency_chart(contents.recency), narrow=True),)


def _training(contents: RecommendContents) -> Section:
    text = "Cross-entropy in nats an item, of the events trained on and of those held back to choose the weights."
    return section("training", "Training", text, training_chart(contents.training), narrow=True)
