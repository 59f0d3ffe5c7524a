"""Event logs whose truth is known, and a recommender trained on one in a second."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from foretell.jobs.recommend import Recommender

SMALL = {"hidden": 8, "epochs": 2, "batch": 256}


@dataclass(frozen=True)
class Chain:
    """Events that a Markov chain over items i0, i1, ... has made."""

    frame: pl.DataFrame
    transition: NDArray[np.float64]  # [V,V]

    def loss(self, last: list[str], came: list[str]) -> float:
        """The mean cross-entropy of what came, given the last items, under the chain itself."""
        rows, columns = ([int(name[1:]) for name in names] for names in (last, came))
        return float(-np.log(self.transition[rows, columns]).mean())


def make_chain(items: int, users: int, events: int, sharpness: float) -> Chain:
    generator = np.random.default_rng(0)
    transition = generator.dirichlet(np.full(items, sharpness), size=items)
    cumulated = transition.cumsum(axis=1)
    state = generator.integers(items, size=users)
    rows = []
    for time in range(events):
        rows += [(f"u{user}", f"i{item}", time) for user, item in enumerate(state.tolist())]
        state = (generator.random(users)[:, None] < cumulated[state]).argmax(axis=1)
    return Chain(pl.DataFrame(rows, schema=["user", "item", "time"], orient="row"), transition)


@pytest.fixture(scope="session")
def chain() -> Chain:
    return make_chain(items=8, users=300, events=40, sharpness=0.5)


@pytest.fixture(scope="session")
def log() -> pl.DataFrame:
    """60 users of 30 items, histories of 3 to 12."""
    generator = np.random.default_rng(1)
    rows = [
        (f"u{user}", f"i{item}", place)
        for user in range(60)
        for place, item in enumerate(generator.permutation(30)[: generator.integers(3, 13)].tolist())
    ]
    return pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")


@pytest.fixture(scope="session")
def model(log: pl.DataFrame) -> Recommender:
    """Not to be changed by a test."""
    return Recommender(**SMALL).fit(log)
