"""The translator's report: every section there or its absence said, what comes from users escaped."""

import polars as pl

from foretell.charts.page import render
from foretell.charts.translate import Attention, Sample, TranslateContents, attention_chart, translate_page

LENGTHS = {"words": ["1-5", "1-5"], "pairs": [3, 3], "model": ["foretell", "word by word"], "bleu": [30.0, 10.0]}
SAMPLE = Sample("<i>source", "reference &", (" trans", "lation", "<b>"), (1.0, 0.55, 0.0), "word")
ATTENTION = Attention((" a", "b", "</s>"), (" x", "</s>"), [[0.9, 0.1, 0.0], [0.0, 0.25, 0.75]])


def contents(**values):
    whole = {
        "title": "Translating pairs.tsv",
        "headline": "BLEU 30.0",
        "facts": (("Source", "pairs.tsv"),),
        "scores": pl.DataFrame({"model": ["foretell", "word by word"], "bleu": [30.0, 10.0], "chrf": [50.0, 60.0]}),
        "signatures": (("bleu", "nrefs:1|tok:13a"),),
        "by_length": pl.DataFrame(LENGTHS),
        "samples": (SAMPLE,),
        "attentions": (ATTENTION,),
        "training": pl.DataFrame({"epoch": [0, 1], "train": [None, 2.0], "validation": [3.0, 2.5]}),
    }
    return TranslateContents(**(whole | values))


def test_the_held_out_scores_come_first_and_higher_is_better():
    page = translate_page(contents())
    assert [one.name for one in page.sections] == ["scores", "samples", "attention", "length", "training"]
    html = page.sections[0].html
    assert "<td class=best>30.00</td><td>50.00</td>" in html
    assert "<td class=best>60.00</td>" in html
    assert "nrefs:1|tok:13a" in html
    assert "<h1>Translating pairs.tsv</h1>" in render(page)


def test_what_comes_from_users_is_escaped_and_shaded_by_doubt():
    html = translate_page(contents()).sections[1].html
    assert "&lt;i&gt;source" in html
    assert "reference &amp;" in html
    assert '<span class="heat-0" title="100%"> trans</span><span class="heat-3" title="55%">lation</span>' in html
    assert '<span class="heat-7" title="0%">&lt;b&gt;</span>' in html


def test_the_heat_map_holds_every_weight():
    chart = attention_chart(ATTENTION).to_dict()
    (records,) = chart["datasets"].values()
    assert len(records) == 6
    assert {"x": 2, "y": 1, "source": "</s>", "target": "</s>", "weight": 0.75} in records
    assert {"x": 1, "y": 0, "source": "·b", "target": "x", "weight": 0.1} in records


def test_what_is_missing_is_said():
    nothing = pl.DataFrame()
    page = translate_page(contents(scores=nothing, signatures=(), by_length=nothing, samples=(), attentions=()))
    missing = [one for one in page.sections if not one.figures]
    assert [one.name for one in missing] == ["scores", "samples", "attention", "length"]
    assert all("not measured" in one.text or "No " in one.text for one in missing)
    assert "<section id='training'>" in render(page)
