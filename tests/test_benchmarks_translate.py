"""The translation benchmark: its table and its verdict, from figures worked out by hand."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCORES = {"bleu": 31.26, "chrf": 55.0, "bleu, lower case": 32.0}


@pytest.fixture(scope="module")
def translate():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.syspath_prepend(str(FOLDER / "accuracy"))
        yield importlib.import_module("translate")


def entry(**values):
    whole = {
        "scores": {"Foretell, beam 5": SCORES, "word by word": dict.fromkeys(SCORES, 10.0)},
        "bar": {"measure": "bleu", "at least": 30.0, "minutes": 45},
        "published": {"a transformer": {"bleu": 41.02, "source": "a page"}},
        "translating": {"100 sentences, beam 5": 1.234},
        "seconds": 1500.0,
        "weights": 4_358_211,
        "epochs": 25,
        "threads": 2,
    }
    return whole | values


def test_the_table_shows_every_competitor(translate):
    text = translate.table(entry())
    assert "| Foretell, beam 5         | 31.3 | 55.0 |             32.0 |" in text
    assert "| published: a transformer | 41.0 |      |                  |" in text
    assert text.endswith("4,358,211 weights, 25 epochs in 25 minutes, threads: 2; 100 sentences, beam 5: 1.23 s")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "Met: bleu 31.3 after 25.0 minutes"),
        ({"seconds": 2800.0}, "NOT MET: bleu 31.3 after 46.7 minutes"),
        ({"bar": {"measure": "bleu", "at least": 32.0, "minutes": 45}}, "NOT MET: bleu 31.3"),
    ],
)
def test_the_verdict(translate, values, words):
    assert translate.verdict(entry(**values)).startswith(words)
