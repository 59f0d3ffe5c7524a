"""The recommender: from a log of who took what when to the items that come next, in order of probability."""

import time as clock
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl
import torch

from foretell.errors import InputError, require, require_known
from foretell.jobs.recommending import folder
from foretell.jobs.recommending.evaluation import Evaluation, evaluate
from foretell.jobs.recommending.explaining import Explanation, explain
from foretell.jobs.recommending.fitting import fit_model
from foretell.jobs.recommending.model import Model
from foretell.jobs.recommending.picking import (
    Allowed,
    History,
    Recommendations,
    allowed_codes,
    history_of,
    history_of_user,
    pick,
    pick_for_all,
    read,
)
from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import Cases, cases, held_out, split
from foretell.jobs.recommending.streaming import Stream
from foretell.jobs.recommending.task import draws
from foretell.jobs.recommending.updating import Update, take_in
from foretell.jobs.runs import curve_rows, end_run, read_run, running, without_password
from foretell.jobs.trained import TrainedJob
from foretell.sequences.catalogue import read_catalogue
from foretell.sequences.events import Events, EventSchema, read_events, recoded, without_strangers
from foretell.sequences.features import Features, FeatureSchema
from foretell.sequences.table import read_table
from foretell.store import CHECKPOINT
from foretell.training.loop import Progress

By = Literal["leave-one-out", "time"]


class Recommender(TrainedJob[Model, folder.Record]):
    """Recommends the next items to every user of an event log, and to anybody with a history.

    Args:
        settings: see `Settings`: split, share, hidden, width, layers, context, dropout, embedding_dropout,
            item_dropout, smoothing, negatives, epochs, batch, learning_rate, weight_decay, seed.

    After `fit`: `schema_` (what each column is for), `training_` (the training curve), `seconds_`; after `update`:
    `updated_` (what was taken in).
    """

    updated_: Update | None = None

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings.of(**settings)
        self._model: Model | None = None

    def fit(
        self,
        data: Any,
        user: str | None = None,
        item: str | None = None,
        time: str | None = None,
        features: str | Sequence[str] = (),
        catalogue: Any = None,
        *,
        query: str | None = None,
        warm: bool = False,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
        announce: Callable[[EventSchema], None] | None = None,
    ) -> Self:
        """Train on an event log: a path, a database address with `query`, or a frame, with one event a row; or a
        .txt file with one user a line, the user's name first, then the items in order.

        Columns that are not named are told by their names; without a `time` column the rows are in order already.
        `features` are columns that say more about an event, `catalogue` is a table of features with one row an
        item. `announce` is called with the schema before training, `progress` after each epoch. `warm` fine-tunes
        the weights there are: items are added, and users and histories are those of the new log. With a
        `checkpoint` folder the run can be killed and resumed, see `resume`.

        Raises:
            InputError: the log cannot be read or used; the message names the place and the remedy.
        """
        require(not (warm and checkpoint), "fit", "checkpoint", "left out when warm=True", checkpoint)
        before = self._fitted() if warm else None
        names = (features,) if isinstance(features, str) else tuple(features)
        schema = before.schema if before and not (user or item or time or names) else None
        events, schema = read_events(data, user, item, time, names, query=query, schema=schema)
        if announce:
            announce(schema)
        return self._train(events, schema, _place(data), query, catalogue, checkpoint, progress, before)

    @classmethod
    def resume(
        cls, checkpoint: str | Path, data: Any = None, catalogue: Any = None, *, progress: Progress | None = None
    ) -> Self:
        """Go on with a training run that was killed; it ends with the weights it would have ended with.

        `data` and `catalogue` are needed if the run was fitted on frames. InputError if they have changed since.
        """
        run = read_run(Path(checkpoint), folder.Run)
        if data is None and run.source is None:
            raise InputError(f"{checkpoint}: the run was fitted on a frame in memory; give the same frame as data=.")
        query = run.query if data is None else None
        events, schema = read_events(run.source if data is None else data, query=query, schema=run.data)
        self = cls.__new__(cls)
        self.settings, self._model = run.settings, None
        catalogue = run.catalogue if catalogue is None else catalogue
        return self._train(events, schema, run.source, run.query, catalogue, checkpoint, progress)

    def _train(
        self,
        events: Events,
        schema: EventSchema,
        source: str | None,
        query: str | None,
        catalogue: Any,
        checkpoint: str | Path | None,
        progress: Progress | None,
        warm: Model | None = None,
    ) -> Self:
        if warm is not None:
            _check_alike(schema, warm.schema)
            events = recoded(events, warm.events.items)
        split(events, self.settings, schema.source)  # refuses what is too short, before anything is written,
        draws(self.settings, len(events.items))  # and what does not go together
        described = _described(events, schema, catalogue, warm)

        def run() -> folder.Run:
            return folder.Run(
                settings=self.settings,
                data=schema,
                source=source,
                query=query,
                catalogue=_place(catalogue),
                checksum=folder.checksum(events, described[1]),
            )

        place = Path(checkpoint) if checkpoint is not None else None
        with running(place, run):
            began = clock.perf_counter()
            model, curve = fit_model(
                events, schema, described, self.settings, warm=warm, checkpoint=place, progress=progress
            )
        self._model = model
        self._record = folder.Record(
            settings=self.settings,
            data=schema,
            catalogue=model.catalogue,
            **_sizes(model),
            source=source,
            query=query,
            training=curve_rows(curve),
            seconds=clock.perf_counter() - began,
            headline=None,
            scores=[],
        )
        return self

    @property
    def schema_(self) -> EventSchema:
        """What each column of the log is for."""
        return self._fitted().schema

    @property
    def users(self) -> tuple[str, ...]:
        """The users whose histories the model holds."""
        return self._fitted().events.users

    @property
    def items(self) -> tuple[str, ...]:
        """The items that the model knows."""
        return self._fitted().events.items

    @property
    def is_testable(self) -> bool:
        """Whether events were held out that `evaluate` can test."""
        return len(self._held_out(self._fitted()).row) > 0

    def recommend(
        self,
        who: Any,
        k: int = 10,
        *,
        exclude_seen: bool = True,
        filter: Allowed = None,
        reasons: bool = False,
    ) -> Recommendations:
        """The k items most probable to come next for a user (a name) or after a history (a sequence of items).

        `filter` is the set of items that may be recommended, or a function of an item. With `reasons`, each item
        comes with the events of the history that raised its probability.

        Raises:
            InputError: an unknown user, an empty history, or one of unknown items only.
        """
        model = self._fitted()
        _check_count("recommend", k)
        history = self._history(who, "recommend")
        h = read(model.network, history)
        return pick(model, h, history, k, exclude_seen, allowed_codes(model, filter), reasons)

    def recommend_all(
        self, k: int = 10, users: Sequence[Any] | None = None, *, exclude_seen: bool = True, filter: Allowed = None
    ) -> pl.DataFrame:
        """The k best items of all users, or of some: a frame of user, item, rank, probability."""
        model = self._fitted()
        _check_count("recommend_all", k)
        numbers = np.arange(len(model.events.users))
        if users is not None:
            require(len(users) > 0, "recommend_all", "users", "at least one user, or left out", users)
            numbers = np.unique([self._number(user, "recommend_all") for user in users]).astype(np.int64)
        numbers = numbers[model.events.lengths[numbers] > 0]
        return pick_for_all(model, numbers, k, exclude_seen, allowed_codes(model, filter))

    def evaluate(self, data: Any = None, by: By | None = None, k: int = 10) -> Evaluation:
        """Rank held-out events among all items, beside popularity, a Markov chain and nearest neighbours.

        Without `data`, those that `fit` held out; `by` is then the settings' split. With it, of a log that the
        model has not seen: by "leave-one-out" the last event of each user, by "time" the latest share of them.
        """
        model = self._fitted()
        _check_count("evaluate", k)
        require(by in (None, "leave-one-out", "time"), "evaluate", "by", "'leave-one-out' or 'time'", by)
        if data is None:
            return self._evaluate_own(model, by, k)
        settings = self.settings.model_copy(update={"split": by or self.settings.split})
        events, schema = read_events(data, schema=model.schema)
        chosen = held_out(events, settings, schema.source)
        events, place = without_strangers(recoded(events, model.events.items), len(model.events.items))
        row = place[chosen.row]
        known = (row > events.offsets[chosen.user]) & (row >= 0)  # what is left has a known event before it
        unknown = int((row < 0).sum())
        return evaluate(model, events, Cases(chosen.user[known], row[known]), k, unknown, schema.source)

    def _evaluate_own(self, model: Model, by: By | None, k: int) -> Evaluation:
        if by not in (None, self.settings.split):
            raise InputError(
                f"evaluate: the model was fitted with split={self.settings.split!r}, so events that by={by!r} would "
                f"test were trained on; fit with split={by!r}, or give data=."
            )
        found = evaluate(model, model.events, self._held_out(model), k, 0, model.schema.source)
        self._record.headline, self._record.scores = found.headline, found.summary.to_dicts()
        return found

    def explain(self, items: Sequence[Any] | None = None, k: int = 5) -> Explanation:
        """Neighbours of items (default: the most frequent), and how far back the network looks."""
        model = self._fitted()
        _check_count("explain", k)
        codes = None
        if items is not None:
            names = [str(name) for name in items]
            require_known("explain", "item", names, model.places)
            codes = np.array([model.places[name] for name in names], np.int64)
        return explain(model, codes, k, self.settings.seed)

    def stream(self, user: Any = None, k: int = 10, *, exclude_seen: bool = True, filter: Allowed = None) -> Stream:
        """The model at the end of a user's history, or of an empty one, to be fed one event at a time."""
        model = self._fitted()
        _check_count("stream", k)
        history = None if user is None else history_of_user(model, self._number(user, "stream"))
        return Stream(model, history, k, exclude_seen, filter)

    def update(self, data: Any, *, query: str | None = None) -> Self:
        """Take in new events of known and new users, without training; `updated_` says what came.

        New items are added: each begins as the mean of the known items it was taken with.
        """
        model = self._fitted()
        events, _ = read_events(data, query=query, schema=model.schema)
        self._model, self.updated_ = take_in(model, events)
        self._record = self._record.model_copy(update=_sizes(self._model))
        return self

    def report(self, path: str | Path, *, png: bool = False) -> Path:
        """Write report.html, which opens without a network, and on request a PNG of each chart beside it."""
        from foretell.charts import write_report
        from foretell.charts.recommend import recommend_page
        from foretell.jobs.recommending.reporting import report_contents

        evaluation = self.evaluate() if self.is_testable else None
        page = recommend_page(report_contents(self._fitted(), self._record, evaluation))
        return write_report(page, Path(path), png=png)

    def save(self, path: str | Path) -> Path:
        """Write the model folder (weights.safetensors, model.json); checkpoints in it are no longer needed."""
        folder.save(Path(path), self._record, self._fitted())
        end_run(Path(path) / CHECKPOINT)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model folder. InputError if it is cut short, changed, or from another version."""
        record, model = folder.load(Path(path))
        self = cls.__new__(cls)
        self.settings, self._model, self._record = record.settings, model, record
        return self

    def facts(self) -> tuple[tuple[str, str], ...]:
        """The same, a few lines for people."""
        from foretell.jobs.recommending.reporting import facts

        return facts(self._fitted(), self._record)

    @staticmethod
    def _held_out(model: Model) -> Cases:
        cut = model.whole_split()
        return cases(model.events, cut.validation, cut.stop)

    def _history(self, who: Any, caller: str) -> History:
        model = self._fitted()
        if isinstance(who, Sequence | np.ndarray | pl.Series | torch.Tensor) and not isinstance(who, str):
            return history_of(model, list(who))
        return history_of_user(model, self._number(who, caller))

    def _number(self, user: Any, caller: str) -> int:
        model = self._fitted()
        name = str(user)
        if name not in model.numbers:
            raise InputError(
                f"{caller}: the model knows no user {name!r}; for a new one give the items of its history as a list."
            )
        return model.numbers[name]


def _described(
    events: Events, schema: EventSchema, catalogue: Any, warm: Model | None
) -> tuple[FeatureSchema, Features]:
    """The features of all items."""
    known = warm.catalogue if warm else None
    if catalogue is None:
        empty = known or FeatureSchema()
        return empty, Features.missing(len(events.items), empty)
    return read_catalogue(read_table(catalogue), events.items, schema.item, known)


def _check_alike(schema: EventSchema, before: EventSchema) -> None:
    if schema.context != before.context:
        raise InputError(
            f"{schema.source}: the features of its events are not those this model was fitted on "
            f"({', '.join(before.context.names) or 'none'}), so its weights cannot be fine-tuned; leave warm=True out."
        )


def _check_count(caller: str, k: int) -> None:
    require(isinstance(k, int) and k >= 1, caller, "k", "a whole number of at least 1", k)


def _place(data: Any) -> str | None:
    return without_password(str(data)) if isinstance(data, str | Path) else None


def _sizes(model: Model) -> dict[str, Any]:
    """What the record says of the network and of the events the model holds."""
    events = model.events
    return {
        "config": model.network.config,
        "users": len(events.users),
        "items": len(events.items),
        "events": len(events.item),
        "repeated": events.repeated,
    }
