"""The report's files: one page that needs nothing else, and a picture of every chart."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from foretell.charts import write_png, write_report
from foretell.charts.forecast_page import forecast_page
from foretell.charts.outline import pictures
from foretell.charts.table import label, score_table, significant

HOSTILE = "</script><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>'\"&"
FIGURES = {"forecast", "models", "windows", "horizon", "coverage", "training", "input-series"}
GATES = {"gate-forget", "gate-input", "gate-candidate", "gate-cell", "gate-output"}


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and the text inside each kind."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self._open = [], {}, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open:
            self.text.setdefault(self._open[-1], []).append(data)

    def ids(self):
        return {attrs["id"] for _, attrs in self.elements if "id" in attrs}

    def charts(self):
        return json.loads(next(text for text in self.text["script"] if text.startswith('{"datasets"')))


def page_of(contents, folder):
    write_report(forecast_page(contents), folder / "report.html")
    return Page((folder / "report.html").read_text())


def test_page_loads_nothing(contents, tmp_path):
    page = page_of(contents, tmp_path)
    loading = {"src", "href", "srcset", "data", "action", "poster", "background"}
    assert [(tag, attrs) for tag, attrs in page.elements if loading & set(attrs)] == []
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.elements}
    assert "@import" not in "".join(page.text["style"])
    assert "url(" not in "".join(page.text["style"])
    policy = next(attrs["content"] for _, attrs in page.elements if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")


def test_page_has_the_libraries_once_and_every_chart(contents, tmp_path):
    page = page_of(contents, tmp_path)
    assert len(page.text["script"]) == 2
    assert set(page.charts()["specs"]) == {f"chart-{name}" for name in FIGURES | GATES}
    assert {f"chart-{name}" for name in FIGURES | GATES} <= page.ids()


def test_page_says_the_headline_first_and_holds_every_number_once(contents, tmp_path):
    page = page_of(contents, tmp_path)
    assert page.text["p"][0] == contents.headline
    charts = page.charts()
    used = [name for spec in charts["specs"].values() for name in spec["datasets"]]
    assert set(used) == set(charts["datasets"])
    assert len(used) > len(charts["datasets"]), "the heat-maps share one dataset"


def test_hostile_names_stay_text(contents, make_contents, tmp_path):
    plain = page_of(contents, tmp_path)
    hostile = make_contents(series=(HOSTILE, "b"), targets=(HOSTILE, "y"))
    hostile = replace(
        hostile,
        title=HOSTILE,
        headline=HOSTILE,
        facts=((HOSTILE, HOSTILE),),
        windows=hostile.windows.rename({"naive": HOSTILE}),
        scores=hostile.scores.with_columns(pl.col("model").replace("naive", HOSTILE)),
        by_horizon=hostile.by_horizon.with_columns(pl.col("model").replace("naive", HOSTILE)),
    )
    page = page_of(hostile, tmp_path)
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in plain.elements}
    assert len(page.text["script"]) == 2
    assert page.text["p"][0] == HOSTILE
    labels = page.charts()["specs"]["chart-forecast"]["params"][0]["bind"]["labels"]
    assert labels[0] == f"{HOSTILE} · {HOSTILE}"


@pytest.mark.parametrize(
    ("frame", "lost", "sentence"),
    [
        ("forecast", {"forecast"}, "No forecast was made."),
        ("windows", {"windows"}, "There are no backtest windows to show."),
        ("scores", {"models", "coverage"}, "No data was held out, so nothing could be measured."),
        ("by_horizon", {"horizon"}, "The error at each step ahead was not measured."),
        ("training", {"training"}, "No training losses were recorded."),
        ("gates", {"input-series"} | GATES, "The gates were not recorded."),
        ("history", {"input-series"}, None),
    ],
)
@pytest.mark.parametrize("columns", [True, False], ids=["with columns", "without columns"])
def test_empty_frame_leaves_its_charts_out_with_a_sentence(contents, tmp_path, frame, lost, sentence, columns):
    empty = getattr(contents, frame).clear() if columns else pl.DataFrame()
    page = page_of(replace(contents, **{frame: empty}), tmp_path)
    assert set(page.charts()["specs"]) == {f"chart-{name}" for name in (FIGURES | GATES) - lost}
    assert sentence is None or sentence in page.text["p"]


def test_model_without_intervals_has_no_coverage(make_contents, tmp_path):
    page = page_of(make_contents(levels=()), tmp_path)
    assert set(page.charts()["specs"]) == {f"chart-{name}" for name in (FIGURES | GATES) - {"coverage"}}
    assert "The coverage of the intervals was not measured." in page.text["p"]


def test_report_of_nothing_is_still_a_page(contents, tmp_path):
    frames = ("history", "forecast", "windows", "scores", "by_horizon", "training", "gates")
    page = page_of(replace(contents, facts=(), **dict.fromkeys(frames, pl.DataFrame())), tmp_path)
    assert page.charts() == {"datasets": {}, "specs": {}}


def test_table_marks_the_best_of_each_column(contents):
    scores = contents.scores.with_columns(mase=pl.Series([2.0, 1.0, None, float("nan")]))
    table = score_table(scores)
    rows = [row for row in table.split("<tr") if "<td" in row]
    assert "<td class=best>1.000</td>" in rows[0]
    assert "<td class=best>78.0 %</td>" in rows[0]
    assert "<td class=best>1.000</td>" in rows[1]
    assert table.count("class=best") == 4 + 1 + 2  # four errors, MASE, two coverages, no width
    assert table.count("&ndash;") == 3 * 4 + 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.14159, "3.142"),
        (0.012345, "0.01235"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (-2.5, "-2.500"),
        (1e-7, "1e-07"),
    ],
)
def test_numbers_have_four_significant_digits(value, text):
    assert significant(value) == text


def test_pictures_are_png_and_named(contents, tmp_path):
    paths = write_png(forecast_page(contents), tmp_path)
    assert {path.stem for path in paths} == {
        "forecast",
        "models",
        "windows",
        "horizon",
        "coverage",
        "training",
        "gates",
    }
    for path in paths:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert int.from_bytes(data[16:20]) > 1200, "twice the width on a screen"
        assert len(data) > 5000


def test_pictures_of_several_series_name_the_one_they_show(make_contents):
    titles = {name: chart.title.text for name, chart in pictures(forecast_page(make_contents(series=("a", "b"))))}
    assert titles["forecast"] == "Forecast: a"
    assert titles["windows"] == "Backtest windows: a"
    assert titles["training"] == "Training"


def test_pictures_of_several_series_with_integer_time(make_contents, tmp_path):
    several = make_contents(series=("a", "b"), integer_time=True, levels=(90,))
    empty = several.gates.clear()
    assert len(write_png(forecast_page(replace(several, gates=empty)), tmp_path)) == 6


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mae", "MAE"),
        ("smape", "sMAPE"),
        ("hr@10 of all", "HR@10 of all"),
        ("bits_per_character", "bits per character"),
    ],
)
def test_labels(name, words):
    assert label(name) == words


def test_the_best_of_a_measure_that_should_be_high():
    scores = pl.DataFrame({"model": ["foretell", "other"], "bleu": [30.0, 20.0], "loss": [2.0, 1.0]})
    cells = re.findall(r"<td class=best>([^<]*)</td>", score_table(scores, frozenset({"bleu"})))
    assert cells == ["30.00", "1.000"]
