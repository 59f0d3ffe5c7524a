"""What must be learnt when the answer is known: copying, reversing, other words in another order."""

import numpy as np
import pytest

from foretell.jobs.translate import Translator
from foretell.jobs.translating.dictionary import WORD, Dictionary, learn_dictionary


def share_exact(model):
    """Of held-out sentences."""
    found = model.evaluate().translations
    return (found["foretell"] == found["reference"]).mean()


def test_reversing(reversing):
    found = reversing.evaluate()
    assert share_exact(reversing) > 0.95
    assert found.headline.startswith("BLEU 9") or found.headline.startswith("BLEU 100")
    assert "more than the best baseline" in found.headline


@pytest.fixture(scope="module")
def copying(make_pairs, learning):
    return Translator(**learning).fit(make_pairs(1500, lambda words: words))


def test_copying_looks_along_the_diagonal(copying):
    assert share_exact(copying) > 0.95
    found = [copying.explain(text) for text in copying.evaluate().translations["source"][:20]]
    right = [one.attention[:-1].argmax(axis=1) == np.arange(len(one.target) - 1) for one in found]
    assert np.concatenate(right).mean() > 0.9


def test_other_words_in_another_order(make_pairs, learning):
    """Neighbours change places, and every word becomes another."""

    def rule(words):
        swapped = [words[place ^ 1] if place ^ 1 < len(words) else words[place] for place in range(len(words))]
        return [word.upper()[::-1] for word in swapped]

    assert share_exact(Translator(**learning).fit(make_pairs(1500, rule))) > 0.95


def test_the_classic_dictionary():
    """das Haus, das Buch, ein Buch (Knight 1999): each word is told apart by where it recurs."""
    words = learn_dictionary(["das Haus", "das Buch", "ein Buch"], ["the house", "the book", "a book"]).words
    assert words == {"das": "the", "Haus": "house", "Buch": "book", "ein": "a"}


def test_expectation_maximisation_step_by_step():
    """Against the textbook's loops (Koehn 2010, figure 4.3), with a word for none."""
    source, target = ["a b", "b c", "a c c"], ["x y", "y z z", "x z"]
    pairs = [(["", *one.split()], other.split()) for one, other in zip(source, target, strict=True)]
    chance = {(e, f): 1.0 for fs, es in pairs for f in fs for e in es}
    for _ in range(6):
        count = dict.fromkeys(chance, 0.0)
        for fs, es in pairs:
            for e in es:
                for f in fs:
                    count[e, f] += chance[e, f] / sum(chance[e, one] for one in fs)
        total = {f: sum(number for (_, one), number in count.items() if one == f) for _, f in count}
        chance = {(e, f): number / total[f] for (e, f), number in count.items()}
    wanted = {f: max("xyz", key=lambda e: chance.get((e, f), 0.0)) for f in "abc"}
    assert learn_dictionary(source, target).words == wanted


def test_word_by_word():
    words = Dictionary({"A": "Ein", "dog": "Hund", "runs": "rennt", ".": "."})
    assert words.translate("A dog runs.") == "Ein Hund rennt."
    assert words.translate("dog Rex (runs)") == "Hund Rex ( rennt)"
    assert words.translate("") == ""
    assert Dictionary.from_text(words.to_text()) == words
    assert WORD.findall("T-shirt, größer!") == ["T", "-", "shirt", ",", "größer", "!"]
