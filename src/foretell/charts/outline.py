"""What a report is made of, whatever its job: a headline, sections with figures, and facts."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import altair as alt

PICTURE_WIDTH = 720
Chart = alt.Chart | alt.LayerChart | alt.VConcatChart


@dataclass(frozen=True)
class Figure:
    """A chart, its name in files and in the page, and the sentence above it."""

    name: str
    heading: str
    caption: str
    chart: Chart


@dataclass(frozen=True)
class Section:
    """One question of the report. Without figures its text says what is missing."""

    name: str
    heading: str
    text: str
    figures: tuple[Figure, ...] = ()
    html: str = ""  # between text and figures, as it is: whoever makes it escapes what comes from users
    narrow: bool = False  # may stand beside its neighbours on a wide screen
    picture: Chart | None = None  # as a picture, instead of the first figure
    picture_note: str = ""  # after the heading of a picture


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    headline: str  # by how much the model beats, or loses to, the best baseline
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...]  # name and value: data, sizes, settings, training time


def section(name: str, heading: str, text: str, chart: Chart, *, narrow: bool = False, html: str = "") -> Section:
    """A section whose only figure is titled by the section."""
    return Section(name, heading, text, (Figure(name, heading, text, chart),), html, narrow)


def pictures(page: Page) -> Iterator[tuple[str, Chart]]:
    """One picture that stands alone for each section with figures, by name."""
    for one in page.sections:
        if one.figures:
            title = alt.Title(one.heading + one.picture_note, subtitle=textwrap.wrap(one.text, PICTURE_WIDTH // 6))
            chart = one.picture if one.picture is not None else one.figures[0].chart.properties(width=PICTURE_WIDTH)
            yield one.name, chart.properties(title=title)
