"""One user's events as they come: each costs one step of the network, whatever came before."""

import copy
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from foretell.errors import InputError, require_known, suggestion
from foretell.jobs.recommending.batches import histories
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.picking import Allowed, History, Recommendations, allowed_codes, pick
from foretell.sequences.features import Features, read_features
from foretell.sequences.table import read_table


@dataclass(frozen=True)
class Saved:
    """A stream's state: that of the network, and the history so far."""

    state: tuple[Tensor, ...]
    output: Tensor | None  # [D]  None before the first event
    history: History


class Stream:
    """Recommendations after every event of one user; made by `Recommender.stream`. The model is not changed."""

    def __init__(self, model: Model, history: History | None, k: int, exclude_seen: bool, allowed: Allowed) -> None:
        self._model, self._k, self._exclude_seen = model, k, exclude_seen
        self._mask = allowed_codes(model, allowed)
        self._lstm = model.network.lstm.stream()
        nothing = History(np.zeros(0, np.int64), Features.missing(0, model.schema.context))
        self._output: Tensor | None = None
        self._history = nothing
        if history is not None:
            self._take(history)

    def step(self, item: Any, **features: Any) -> Recommendations:
        """Take in an event, with what features of it are known; returns what to recommend after it.

        Raises:
            InputError: an item that the model does not know, or no such feature. The state is left as it was.
        """
        name, schema = str(item), self._model.schema.context
        if name not in self._model.places:
            raise InputError(
                f"Stream.step: the model does not know the item {name!r}. {_near(name, self._model)} "
                "Recommender.update() adds new items."
            )
        require_known("Stream.step", "feature", features, schema.names)
        context = Features.missing(1, schema)
        if features:
            context = read_features(read_table({key: [value] for key, value in features.items()}), schema)
        self._take(History(np.array([self._model.places[name]]), context))
        return self.recommend()

    def recommend(self, reasons: bool = False) -> Recommendations:
        """What to recommend now. InputError before the first event."""
        if self._output is None:
            raise InputError("Stream.recommend: no event has come yet; give one with step(item).")
        return pick(self._model, self._output, self._history, self._k, self._exclude_seen, self._mask, reasons)

    def save(self) -> Saved:
        """A copy of the state."""
        return Saved(self._lstm.save(), self._output, self._history)

    def restore(self, saved: Saved) -> None:
        """Go on from a state that `save` returned."""
        self._lstm.restore(saved.state)
        self._output, self._history = saved.output, saved.history

    def copy(self) -> Self:
        """Another stream in the same state that goes its own way."""
        twin = copy.copy(self)
        twin._lstm = self._lstm.copy()
        return twin

    @torch.inference_mode()
    def _take(self, new: History) -> None:
        network = self._model.network
        read = histories(new.item, new.context, np.zeros(1, np.int64), np.array([len(new.item)]))
        x = network.inputs(read.items, read.numbers, read.codes)[:, 0]
        for step in x:
            self._output = network.combined(step, self._lstm.step(step))
        old = self._history
        self._history = History(
            np.concatenate([old.item, new.item]), Features.joined([old.context, new.context]), new.unknown
        )


def _near(name: str, model: Model) -> str:
    few = len(model.events.items) <= 10_000  # to look for near names among more takes seconds
    said = suggestion(name, model.events.items) if few else ""
    return said if said.startswith("Did") else ""
