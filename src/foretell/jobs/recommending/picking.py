"""From a history to the items recommended next, with the events of the history that spoke for each."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.errors import InputError
from foretell.jobs.recommending.batches import Histories, histories, outputs
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.ranking import parts, seen
from foretell.jobs.recommending.splits import Cases
from foretell.networks.recommend import RecommendNetwork
from foretell.sequences.features import Features

Allowed = Callable[[str], bool] | Collection[str] | None
WEIGHED = 50  # of the last events of a history, those that reasons are looked for among


@dataclass(frozen=True)
class History:
    """What is known of one user, oldest first."""

    item: NDArray[np.int64]  # [n]  codes, all known
    context: Features  # [n]
    unknown: tuple[str, ...] = ()  # items that the model does not know, passed over


@dataclass(frozen=True)
class Reason:
    """An event of a history, and by how much it raised an item's log-probability."""

    item: str
    steps_ago: int  # 1 is the last event
    gain: float  # nats


@dataclass(frozen=True)
class Recommendations:
    """The items recommended next, the most probable first."""

    items: tuple[str, ...]
    probability: tuple[float, ...]  # of being the next item, among all items
    reasons: tuple[tuple[Reason, ...], ...] | None  # an item's, the strongest first; None where not asked for
    unknown: tuple[str, ...]  # items of the history that the model does not know, passed over

    @property
    def frame(self) -> pl.DataFrame:
        """rank, item, probability and, if reasons were asked for, because: the items that spoke for it."""
        rows = {"rank": range(1, len(self.items) + 1), "item": self.items, "probability": self.probability}
        schema = {"rank": pl.Int64, "item": pl.String, "probability": pl.Float64}
        frame = pl.DataFrame({name: list(values) for name, values in rows.items()}, schema=schema)
        if self.reasons is None:
            return frame
        because = [[reason.item for reason in found] for found in self.reasons]
        return frame.with_columns(because=pl.Series(because, dtype=pl.List(pl.String)))


def history_of(model: Model, items: Sequence[Any]) -> History:
    """Items by name as codes; those the model does not know are passed over and named.

    Raises:
        InputError: no items, or none that the model knows.
    """
    names = [str(item) for item in items]
    if not names:
        raise InputError("recommend: the history is empty; give at least one item.")
    place = model.places
    codes = np.array([place.get(name, -1) for name in names], np.int64)
    known = codes >= 0
    unknown = tuple(dict.fromkeys(name for name, there in zip(names, known, strict=True) if not there))
    if not known.any():
        raise InputError(
            f"recommend: the model knows none of the history's items ({', '.join(unknown[:5])}); update() adds new "
            "items from events that hold them together with known ones."
        )
    return History(codes[known], Features.missing(int(known.sum()), model.schema.context), unknown)


def history_of_user(model: Model, user: int) -> History:
    """All events of a user by number."""
    rows = model.events.of_user(user)
    return History(model.events.item[rows], model.events.context.rows(rows))


def allowed_codes(model: Model, allowed: Allowed) -> Tensor | None:
    """Which items may be recommended, [V]; None for all.

    Raises:
        InputError: an item that the model does not know, or none that may be recommended.
    """
    if allowed is None:
        return None
    names = model.events.items
    if callable(allowed):
        mask = torch.tensor([bool(allowed(name)) for name in names])
    else:
        wanted = [str(name) for name in allowed]
        strangers = [name for name in wanted if name not in model.places]
        if strangers:
            raise InputError(f"recommend: filter has the item {strangers[0]!r}, which the model does not know.")
        mask = torch.zeros(len(names), dtype=torch.bool)
        mask[[model.places[name] for name in wanted]] = True
    if not mask.any():
        raise InputError("recommend: the filter lets no item through; give a wider one.")
    return mask


@torch.inference_mode()
def read(network: RecommendNetwork, history: History) -> Tensor:
    """What the network says after a history, [D]."""
    one = histories(history.item, history.context, np.zeros(1, np.int64), np.array([len(history.item)]))
    y, _ = network(_inputs(network, one))
    last: Tensor = y[-1, 0]
    return last


@torch.inference_mode()
def pick(
    model: Model, h: Tensor, history: History, k: int, exclude_seen: bool, mask: Tensor | None, reasons: bool
) -> Recommendations:
    """The k best items after a history whose output is h [D]; fewer where fewer may be recommended."""
    scores = model.network.scores(h[None])[0]
    total = torch.logsumexp(scores, 0)
    if mask is not None:
        scores.masked_fill_(~mask, -torch.inf)
    if exclude_seen:
        scores[torch.from_numpy(history.item)] = -torch.inf
    best = scores.topk(min(k, len(scores)))
    there = best.values > -torch.inf
    codes, logs = best.indices[there], best.values[there] - total
    return Recommendations(
        items=tuple(model.events.items[code] for code in codes.tolist()),
        probability=tuple(logs.exp().tolist()),
        reasons=_reasons(model, history, codes) if reasons else None,
        unknown=history.unknown,
    )


@torch.inference_mode()
def influence(network: RecommendNetwork, history: History, codes: Tensor) -> NDArray[np.float32]:
    """By how much each of the last events raised the log-probability of items `codes` [k], [events,k].

    Measured by leaving the event out of the history, all of them in one batch. That of an only event is against
    the items' popularity, which is what a history without events leaves.
    """
    first = max(0, len(history.item) - WEIGHED)
    item, context = history.item[first:], history.context.rows(slice(first, None))
    count = len(item)
    whole = _log_probabilities(network, read(network, History(item, context))[None], codes)
    if count == 1:
        nothing = torch.zeros(1, network.config.width)
        return (whole - _log_probabilities(network, nothing, codes)).numpy()
    kept = np.stack([np.delete(np.arange(count), one) for one in range(count)])  # [events, events-1]
    rows, starts = kept.reshape(-1), np.arange(count) * (count - 1)
    left = histories(item[rows], context.rows(rows), starts, np.full(count, count - 1))
    h = network(_inputs(network, left))[0][-1]
    return (whole - _log_probabilities(network, h, codes)).numpy()


def _log_probabilities(network: RecommendNetwork, h: Tensor, codes: Tensor) -> Tensor:
    return torch.log_softmax(network.scores(h), 1)[:, codes]


def _reasons(model: Model, history: History, codes: Tensor) -> tuple[tuple[Reason, ...], ...]:
    """For each item the events that spoke for it, the strongest first."""
    gains = influence(model.network, history, codes)  # [events,k]
    count = len(gains)
    names = [model.events.items[code] for code in history.item[-count:].tolist()]
    return tuple(
        tuple(
            Reason(names[event], count - event, float(gains[event, place]))
            for event in np.argsort(-gains[:, place], kind="stable").tolist()
            if gains[event, place] > 0
        )
        for place in range(len(codes))
    )


def _inputs(network: RecommendNetwork, read: Histories) -> Tensor:
    return network.inputs(read.items, read.numbers, read.codes)


@torch.inference_mode()
def pick_for_all(
    model: Model, users: NDArray[np.int64], k: int, exclude_seen: bool, mask: Tensor | None
) -> pl.DataFrame:
    """user, item, rank, probability: the k best items of each of these users, numbers rising."""
    events, network = model.events, model.network
    ends = Cases(users, events.offsets[users + 1])
    h = outputs(network, events, ends.row, ends.user)
    found = []
    for part in parts(len(users), network.config.items):
        scores = network.scores(h[part])
        total = torch.logsumexp(scores, 1, keepdim=True)
        if mask is not None:
            scores.masked_fill_(~mask, -torch.inf)
        if exclude_seen:
            scores[seen(events, Cases(ends.user[part], ends.row[part]))] = -torch.inf
        best = scores.topk(min(k, scores.shape[1]))
        found.append((best.indices, (best.values - total).exp()))
    codes, probability = (torch.cat(one).numpy() for one in zip(*found, strict=True))
    width = codes.shape[1]
    names = pl.Series(events.items, dtype=pl.String)
    columns = {
        "user": pl.Series(events.users, dtype=pl.String).gather(np.repeat(users, width)),
        "item": names.gather(codes.reshape(-1)),
        "rank": np.tile(np.arange(1, width + 1), len(users)),
        "probability": probability.reshape(-1).astype(np.float64),
    }
    return pl.DataFrame(columns).filter(pl.col("probability") > 0)
