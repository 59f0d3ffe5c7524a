"""Made-up languages whose translations are known, and a translator that has learnt one of them."""

from collections.abc import Callable

import numpy as np
import pytest

from foretell.jobs.translate import Translator

WORDS = [consonant + vowel for consonant in "bdgk" for vowel in "aeou"]
Rule = Callable[[list[str]], list[str]]
Pairs = list[tuple[str, str]]


def _make_pairs(count: int, rule: Rule, longest: int = 5, seed: int = 0) -> Pairs:
    rng = np.random.default_rng(seed)
    sources = [rng.choice(WORDS, rng.integers(2, longest + 1), replace=False).tolist() for _ in range(count)]
    return [(" ".join(source), " ".join(rule(source))) for source in sources]


def _reverse(words: list[str]) -> list[str]:
    return words[::-1]


@pytest.fixture(scope="session")
def make_pairs() -> Callable[..., Pairs]:
    """Sentences of 2 to `longest` words, none twice in a sentence, and what a rule makes of their words."""
    return _make_pairs


@pytest.fixture(scope="session")
def learning() -> dict[str, object]:
    """Settings with which such a language is learnt in seconds."""
    network = {"hidden": 64, "dropout": 0.0, "vocabulary": 320}
    return network | {"epochs": 12, "batch": 100, "learning_rate": 5e-3, "test": 100}


@pytest.fixture(scope="session")
def tiny() -> dict[str, object]:
    """Settings with which hardly anything is learnt, at once."""
    return {"hidden": 8, "batch": 200, "epochs": 2, "vocabulary": 300, "test": 10, "validation": 10}


@pytest.fixture(scope="session")
def reversing(learning) -> Translator:
    """Has learnt to turn sentences around. Not to be changed by a test."""
    return Translator(**learning).fit(_make_pairs(1500, _reverse))


@pytest.fixture(scope="session")
def few() -> Pairs:
    return _make_pairs(120, _reverse)


@pytest.fixture
def small(tiny, few) -> Translator:
    """Hardly trained, and free to be changed."""
    return Translator(**tiny).fit(few)
