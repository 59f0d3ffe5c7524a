"""The recommender's report: every section there, what comes from users escaped."""

import polars as pl

from foretell.charts.recommend import Example, RecommendContents, examples_table, recommend_page

SCORES = pl.DataFrame(
    {"model": ["foretell", "popularity"], "hr@10": [0.2, 0.1], "ndcg@10": [0.1, 0.05], "popularity": [0.7, 0.9]}
)
GROUPS = {"model": ["foretell", "foretell", "popularity", "popularity"], "cases": [3, 4] * 2, "hr": [0.1, 0.3, 0, 0.2]}
EXAMPLE = Example("<u>", ("a", "b"), ("c", "<i>"), (("a",), ()), "<i>")


def contents(**values):
    whole = {
        "title": "What comes next",
        "headline": "better",
        "measure": "hr@10",
        "scores": SCORES,
        "by_length": pl.DataFrame(GROUPS | {"events": ["2", "3-4"] * 2}),
        "by_popularity": pl.DataFrame(GROUPS | {"decile": ["1", "10"] * 2}),
        "popularity": 0.6,
        "training": pl.DataFrame({"epoch": [0, 1], "train": [None, 2.0], "validation": [3.0, 2.5]}),
        "recency": pl.DataFrame({"steps_ago": [1, 2], "change": [0.5, 0.1], "histories": [5, 4]}),
        "examples": (EXAMPLE,),
        "facts": (("Source", "log.csv"),),
    }
    return RecommendContents(**(whole | values))


def test_the_held_out_result_comes_first():
    page = recommend_page(contents())
    names = ["models", "length", "popularity", "bias", "examples", "memory", "training"]
    assert [section.name for section in page.sections] == names
    assert "<td class=best>" in page.sections[0].html
    for section in page.sections:
        for figure in section.figures:
            assert figure.chart.to_dict()["config"]


def test_without_an_evaluation_nothing_is_claimed():
    page = recommend_page(contents(scores=pl.DataFrame(), examples=()))
    assert [section.name for section in page.sections] == ["memory", "training"]


def test_names_from_users_are_escaped_and_what_came_is_bold():
    table = examples_table([EXAMPLE])
    assert "<td>&lt;u&gt;</td>" in table
    assert "c (because of a)<br><b>&lt;i&gt;</b>" in table
