"""How well held-out events are foretold, ranked against all items, beside the baselines."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.jobs.recommending.baselines import baselines
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.ranking import (
    Ranking,
    loss,
    network_scorer,
    percentiles,
    rank,
    seen,
    standard_error,
)
from foretell.jobs.recommending.splits import Cases
from foretell.sequences.events import Events

MODEL = "foretell"
LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)  # of histories: where a group begins
DECILES = 10
Hits = dict[str, NDArray[np.bool_]]  # of each model: whether each case was among the first k
MANY_REPEATS = 0.05  # share of repeats from which the headline ranks all items


@dataclass(frozen=True)
class Evaluation:
    """What ranking the held-out events found; k is how many are recommended."""

    headline: str  # one sentence: by how much the model beats, or loses to, the best baseline
    measure: str  # what the headline goes by: "hr@k", or "hr@k of all" where items come again
    summary: pl.DataFrame  # model, hr@k, ndcg@k, mrr, coverage@k, popularity, and hr@k, ndcg@k "of all"
    by_length: pl.DataFrame  # model, events (in the history), cases, hr
    by_popularity: pl.DataFrame  # model, decile (of the items that came, 10 the most popular), cases, hr
    standard_error: float  # of the model's hr@k
    repeats: float  # the share of what came that the user had had before, which a hit rate of the others misses
    popularity: float  # of what came: the mean share of items that are less popular
    loss: float  # of the model, nats an item that it knows
    cases: int
    unknown: int  # of the cases: events whose item the model does not know, which count as missed


def evaluate(model: Model, events: Events, cases: Cases, k: int, unknown: int, source: str) -> Evaluation:
    """Rank every case's item among all items; `unknown` further ones are missed by every model.

    `hr`, `ndcg` and `mrr` rank the items that the user has not had before; those "of all" rank all items.
    """
    if not len(cases.row):
        raise InputError(
            f"{source}: no event is held out, of an item that the model knows and with an event of its user before "
            "it; give a longer log as data=."
        )
    scorers = {MODEL: network_scorer(model.network, events, cases)}
    scorers |= baselines(model.events, model.whole_split(), events, cases)
    popularity = percentiles(model.counts())
    rankings = {name: _with_unknown(rank(score, events, cases, k), unknown) for name, score in scorers.items()}
    summary = pl.DataFrame([{"model": name, **one.measures(k, popularity)} for name, one in rankings.items()])
    came = popularity[events.item[cases.row]]
    count = len(cases.row) + unknown
    again = repeats(events, cases)
    measure = f"hr@{k} of all" if again > MANY_REPEATS else f"hr@{k}"
    error = standard_error(summary[measure][0], count)
    hit = {
        name: (one.rank_of_all if again > MANY_REPEATS else one.rank)[: len(cases.row)] <= k
        for name, one in rankings.items()
    }
    return Evaluation(
        headline=headline(summary, measure, error, count, unknown),
        measure=measure,
        summary=summary,
        by_length=_by_length(hit, cases.row - events.offsets[cases.user]),
        by_popularity=_by_popularity(hit, came),
        repeats=again,
        standard_error=error,
        popularity=float(came.mean()),
        loss=loss(model.network, events, cases),
        cases=count,
        unknown=unknown,
    )


def headline(summary: pl.DataFrame, measure: str, error: float, count: int, unknown: int) -> str:
    """By how much the model beats, or loses to, the baseline with the best hit rate."""
    second = measure.replace("hr", "ndcg")
    own, *others = summary.select("model", measure, second).rows()
    name, best, _ = max(others, key=lambda row: row[1])
    new = f", {unknown:,} of them of items it does not know" if unknown else ""
    hit, gain = (one.replace("hr", "HR").replace("ndcg", "NDCG") for one in (measure, second))
    found = f"{hit} is {own[1]:.4f} ± {error:.4f} and {gain} {own[2]:.4f} over {count:,} held-out events{new}: "
    if best == 0:
        return found + ("no baseline hits any." if own[1] else "neither it nor any baseline hits any.")
    change = 100 * (own[1] / best - 1)
    if abs(own[1] - best) <= error:
        return found + f"no better and no worse than the best baseline, {name} ({best:.4f})."
    if change < 0:
        return found + f"{-change:.0f} % below the best baseline, {name} ({best:.4f}), which does better here."
    return found + f"{change:.0f} % above the best baseline, {name} ({best:.4f})."


def repeats(events: Events, cases: Cases) -> float:
    """The share of cases whose item the user had had before."""
    row, item = (one.numpy() for one in seen(events, cases))
    again = np.zeros(len(cases.row), bool)
    again[row[item == events.item[cases.row][row]]] = True
    return float(again.mean())


def _with_unknown(ranking: Ranking, unknown: int) -> Ranking:
    """The ranking with cases behind every rank."""
    last = np.full(unknown, np.iinfo(np.int64).max // 2)
    return Ranking(np.append(ranking.rank, last), np.append(ranking.rank_of_all, last), ranking.top)


def _by_length(hit: Hits, lengths: NDArray[np.int64]) -> pl.DataFrame:
    group = np.searchsorted(LENGTHS, lengths, side="right") - 1
    names = [str(a) if b == a + 1 else f"{a}-{b - 1}" for a, b in pairwise(LENGTHS)]
    return _grouped(hit, group, [*names, f"{LENGTHS[-1]}+"], "events")


def _by_popularity(hit: Hits, came: NDArray[np.float64]) -> pl.DataFrame:
    group = np.minimum((came * DECILES).astype(np.int64), DECILES - 1)
    return _grouped(hit, group, [str(number + 1) for number in range(DECILES)], "decile")


def _grouped(hit: Hits, group: NDArray[np.int64], names: list[str], column: str) -> pl.DataFrame:
    """The hit rate of each model in each group that has cases."""
    rows = [
        {"model": model, column: names[number], "cases": int(mine.sum()), "hr": float(found[mine].mean())}
        for model, found in hit.items()
        for number in np.unique(group).tolist()
        for mine in [group == number]
    ]
    return pl.DataFrame(rows)
