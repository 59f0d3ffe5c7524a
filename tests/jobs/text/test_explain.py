"""What the units carry: on features made by hand, and on a model that must have learnt one of them."""

import numpy as np
import polars as pl
import pytest

from foretell.jobs.language.features import NAMES, token_features


def feature(text, name):
    names, values = token_features([one.encode() for one in text])
    return values[:, names.index(name)].tolist()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("how far into the line", "ab\nc", [1, 2, 0, 1]),
        ("how far into the word", "ab c", [1, 2, 0, 1]),
        ("how far into the sentence", "a.bc", [1, 0, 1, 2]),
        ("how far into the paragraph", "a\n\nb", [1, 2, 0, 1]),
        ("inside quotation marks", 'a"b"c', [0, 1, 1, 0, 0]),
        ("inside quotation marks", 'a"\n\nb', [0, 1, 1, 0, 0]),
        ("inside quotation marks", "“a”", [1, 1, 0]),
        ("inside brackets", "(a[b])", [1, 1, 1, 1, 1, 0]),
        ("a capital letter", "aB", [0, 1]),
        ("a mark between words", "a, b", [0, 1, 0, 0]),
    ],
)
def test_features_of_characters(name, text, expected):
    assert feature(text, name) == expected


def test_features_of_longer_tokens_are_those_of_their_last_character():
    names, values = token_features([b"the", b" cat", b"\xc3", b"\xa4", b"\n"])
    assert values.shape == (5, len(NAMES))
    assert values[:, names.index("how far into the line")].tolist() == [3, 7, 7, 8, 0]


def test_explain_finds_units_that_follow_the_line(sentence):
    found = sentence.explain()
    strongest = found.units.row(0, named=True)
    assert abs(strongest["correlation"]) > 0.4
    assert found.units["correlation"].abs().is_between(0, 1.0001).all()
    assert "inside brackets" not in found.units["feature"].to_list()  # there are none
    assert found.half_life.height == 32
    assert (found.half_life["tokens"] > 0).all()


def test_the_states_shown_are_those_of_the_correlation(sentence):
    found = sentence.explain(text="the cat sat on the mat.\n" * 12)
    strongest = found.units.row(0, named=True)
    own = found.cells.filter(pl.col("layer") == strongest["layer"], pl.col("unit") == strongest["unit"])
    text = "".join(own["token"])
    names, values = token_features([one.encode() for one in text])
    column = values[:, names.index(strongest["feature"])]
    assert np.corrcoef(column, own["value"])[0, 1] == pytest.approx(strongest["correlation"], abs=1e-4)


def test_surprise_is_the_score(sentence):
    text = "the cat sat on the nat."
    found = sentence.explain(text=text)
    scored = sentence.score(text)
    np.testing.assert_allclose(found.surprise["nats"], -scored["log_probability"], atol=1e-5)
    assert found.surprise["token"][int(found.surprise["nats"].arg_max())] == "n"


def test_the_report_escapes_what_users_wrote(tiny, tmp_path):
    from foretell.jobs.text import LanguageModel

    model = LanguageModel(**tiny | {"epochs": 1}).fit(text="<script>alert(1)</script> & \n" * 150)
    page = model.report(tmp_path / "report.html").read_text()
    assert "<script>alert" not in page
    for words in ("What surprises it", "What it writes", "5-gram", "heat-"):
        assert words in page
