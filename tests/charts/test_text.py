"""The language model's report: what it shows, and that nothing in a text can act in a page."""

import re
from dataclasses import replace

import polars as pl
import pytest

from foretell.charts.outline import pictures
from foretell.charts.page import render
from foretell.charts.text import TextContents, text_page

NASTY = "</div><script>alert('x')</script>"


@pytest.fixture
def contents():
    tokens = list("a <b>&\n") * 40
    places = range(len(tokens))
    cells = [
        pl.DataFrame(
            {"feature": what, "layer": 1, "unit": unit, "place": places, "token": tokens, "value": [unit / 4] * 280}
        )
        for unit, what in enumerate(["the end of a line", NASTY])
    ]
    return TextContents(
        title=NASTY,
        headline="2.1 bits a character",
        facts=(("Source", NASTY),),
        scores=pl.DataFrame(
            {"model": ["foretell", "5-gram"], "nats": [1.4, 1.5], "perplexity": [4.1, 4.5], "bits_per_byte": [2.0, 2.1]}
        ),
        samples={0.5: NASTY, 0.9: "a\nb"},
        training=pl.DataFrame({"epoch": [0, 1], "train": [None, 2.0], "validation": [4.0, 2.1]}),
        surprise=pl.DataFrame({"place": places, "token": tokens, "nats": [0.1, 7.0, 100.0, 1.0, 0.0, 3.0, 2.0] * 40}),
        units=pl.DataFrame(
            {
                "feature": ["the end of a line", NASTY],
                "layer": [1, 1],
                "unit": [0, 1],
                "correlation": [0.9, -0.5],
                "half_life": [3.0, 8000.0],
            }
        ),
        cells=pl.concat(cells),
    )


def test_the_page_has_every_section_with_the_result_first(contents):
    page = text_page(contents)
    assert [section.name for section in page.sections] == ["models", "samples", "training", "surprise", "units"]


def test_texts_are_escaped_wherever_they_stand(contents):
    page = render(text_page(contents))
    assert "<script>alert" not in page
    assert "&lt;/div&gt;&lt;script&gt;" in page
    assert "<span class='heat-7'>&lt;</span>" in page


def test_surprise_is_shaded_in_eight_steps(contents):
    (section,) = (one for one in text_page(contents).sections if one.name == "surprise")
    shades = re.findall(r"<span class='heat-(\d)'>", section.html)
    assert shades == list("0771032") * 40


def test_the_figures_are_drawn(contents):
    assert [name for name, _ in pictures(text_page(contents))] == ["models", "training", "units"]


def test_what_is_missing_is_said(contents):
    page = text_page(replace(contents, scores=pl.DataFrame(), units=pl.DataFrame(), cells=pl.DataFrame()))
    assert "No text was held out" in page.sections[0].text
    assert [section.name for section in page.sections] == ["models", "samples", "training", "surprise"]
