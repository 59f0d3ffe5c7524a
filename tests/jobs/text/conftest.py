"""Texts with a known answer, and models fitted on them once for all tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from foretell.jobs.text import LanguageModel

TINY: dict[str, Any] = {
    "hidden": 16,
    "lanes": 8,
    "steps": 32,
    "epochs": 4,
    "learning_rate": 0.02,
    "dropout": 0.0,
}
TRANSITIONS = np.array([[0.8, 0.15, 0.05], [0.1, 0.1, 0.8], [0.3, 0.6, 0.1]])


@pytest.fixture(scope="session")
def transitions() -> np.ndarray:
    """From which symbol of `chain` to which: probabilities."""
    return TRANSITIONS


@pytest.fixture(scope="session")
def chain() -> Callable[[int], str]:
    """A text of so many characters by a Markov chain over a, b and c."""

    def write(length: int) -> str:
        steps, limits = np.random.default_rng(0).random(length), TRANSITIONS.cumsum(axis=1)
        state, found = 0, []
        for step in steps:
            state = min(int(np.searchsorted(limits[state], step)), 2)
            found.append("abc"[state])
        return "".join(found)

    return write


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """Settings that make training a matter of a second."""
    return TINY


@pytest.fixture(scope="session")
def sentence_text() -> str:
    return "the cat sat on the mat.\n" * 300


@pytest.fixture(scope="session")
def sentence(sentence_text: str) -> LanguageModel:
    """A model of one sentence over and over. Not to be changed by a test."""
    return LanguageModel(**TINY | {"hidden": 32, "epochs": 6}).fit(text=sentence_text)
