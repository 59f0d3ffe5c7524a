"""The recommender on the command line."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foretell.cli.command import as_typed
from foretell.cli.events import Feed, print_recommendations
from foretell.cli.fitting import address, begin_anew, summary
from foretell.cli.options import DATA, NETWORK, Columns, Words, option, said, split
from foretell.cli.printing import print_evaluation, print_json, say
from foretell.cli.progress import ProgressLine
from foretell.cli.writing import check_ending, write_frame
from foretell.errors import InputError
from foretell.store import CHECKPOINT, REPORT

if TYPE_CHECKING:
    from foretell.jobs.recommend import Recommender
    from foretell.sequences.events import EventSchema

LOG = f"Recommendations: {DATA[0].lower()}{DATA[1:]}"
RECOMMEND = f"Recommendations: {NETWORK[0].lower()}{NETWORK[1:]}"
PANEL = "Recommendations"
ROLES = ("user", "item", "features", "catalogue")


@dataclass(frozen=True)
class TrainOptions:
    """The columns of an event log, and the settings of a recommender."""

    user: Annotated[str | None, option(LOG, "Who.", "COLUMN")] = None
    item: Annotated[str | None, option(LOG, "Took what.", "COLUMN")] = None
    features: Annotated[Words, option(LOG, "That say more of an event.", "COLUMNS")] = None
    catalogue: Annotated[str | None, option(LOG, "Features of items, one row an item.", "FILE")] = None
    split: Annotated[str | None, option(RECOMMEND, "Hold out by leave-one-out or by time.")] = None
    share: Annotated[float | None, option(RECOMMEND, "Of the events, held out by time.")] = None
    width: Annotated[int | None, option(RECOMMEND, "Components of an item's vector.")] = None
    embedding_dropout: Annotated[float | None, option(RECOMMEND, "Share of components dropped.")] = None
    item_dropout: Annotated[float | None, option(RECOMMEND, "Share of a history's events dropped.")] = None
    smoothing: Annotated[float | None, option(RECOMMEND, "Of the target, over all items.")] = None
    negatives: Annotated[int | None, option(RECOMMEND, "Items of a sampled softmax.")] = None

    def settings(self) -> dict[str, Any]:
        """Those that were said, as `Recommender` takes them."""
        return {name: value for name, value in said(self).items() if name not in ROLES}


@dataclass(frozen=True)
class StreamOptions:
    """How many to answer with, and of which."""

    k: Annotated[int | None, option(PANEL, "How many (default 10).", None, "-k")] = None
    include_seen: Annotated[bool | None, option(PANEL, "Items had before too.", None, "--include-seen")] = None

    def how(self) -> dict[str, Any]:
        """As the verbs of `Recommender` take them."""
        chosen: dict[str, Any] = {"exclude_seen": not self.include_seen}
        return chosen if self.k is None else chosen | {"k": self.k}


@dataclass(frozen=True)
class PredictOptions(StreamOptions):
    """And for whom; for everybody where nobody is named."""

    user_id: Annotated[Words, option(PANEL, "For these users.", "USERS")] = None
    history: Annotated[Words, option(PANEL, "After these items, oldest first.", "ITEMS")] = None


@dataclass(frozen=True)
class EvaluateOptions:
    """How to measure."""

    by: Annotated[str | None, option(PANEL, "leave-one-out or time; else as trained.")] = None
    k: Annotated[int | None, option(PANEL, "How many are recommended (default 10).", None, "-k")] = None


@dataclass(frozen=True)
class ExplainOptions:
    """Of what."""

    items: Annotated[Words, option(PANEL, "Whose neighbours; else the most frequent items.", "ITEMS")] = None


def looks_like(data: list[str]) -> bool:
    """A table with a column of users and one of items, or one user a line in names that are mostly numbers."""
    from foretell.cli.guessing import column_names, is_mostly_numbers
    from foretell.sequences.events import ITEM_NAMES, USER_NAMES, is_user_a_line

    if len(data) != 1 or not Path(data[0]).is_file():
        return False
    if is_user_a_line(Path(data[0])):
        return is_mostly_numbers(Path(data[0]))
    names = {name.strip().lower() for name in column_names(Path(data[0]))}
    return bool(names & set(USER_NAMES)) and bool(names & set(ITEM_NAMES))


def train(
    data: list[str], folder: Path, columns: Columns, options: TrainOptions, settings: dict[str, Any], *, quiet: bool
) -> "Recommender":
    """Train on an event log, saying what its columns are taken for; checkpoints go below the model's folder."""
    from foretell.jobs.recommend import Recommender

    if len(data) != 1:
        raise InputError(f"{', '.join(data)}: name one event log.")

    def announce(schema: "EventSchema") -> None:
        if not quiet:
            say(as_typed(schema.describe()), "")
        begin_anew(folder)  # not before the log is found to be good
        progress.start()

    model = Recommender(**settings, **options.settings())
    with ProgressLine() as progress:
        return model.fit(
            address(data[0]),
            options.user,
            options.item,
            columns.time,
            split(options.features) or (),
            None if options.catalogue is None else address(options.catalogue),
            query=columns.query,
            checkpoint=folder / CHECKPOINT,
            progress=progress,
            announce=announce,
        )


def finish(model: "Recommender", folder: Path, report: Path, *, png: bool) -> dict[str, Any]:
    """Evaluate, save and report a model that has been trained; returns what there is to say of it."""
    found = model.evaluate() if model.is_testable else None
    more = {"users": len(model.users), "items": len(model.items), "schema": model.schema_.model_dump(mode="json")}
    return summary(model, folder, report, found, nothing="Not evaluated: no events were held out.", png=png) | more


def predict(model: "Recommender", data: str | None, options: PredictOptions, output: str | None, as_json: bool) -> None:
    """What to recommend to the users named, after a history, to the users of new events, or to everybody."""
    path = None if output is None else check_ending(output)
    how = options.how()
    if options.history:
        if options.user_id or data:
            raise InputError("--history is a new user's; leave out --user-id and DATA.")
        found = model.recommend(split(options.history) or [], **how, reasons=True)
        frame = found.frame
    else:
        users = split(options.user_id)
        if data is not None:
            taken_in = model.update(data).updated_
            users = users or (list(taken_in.users) if taken_in else None)
        frame = model.recommend_all(users=users, **how)
    if path:
        write_frame(frame.with_columns(because=frame["because"].list.join(" ")) if "because" in frame else frame, path)
    if as_json:
        print_json({"recommendations": frame.to_dicts(), "file": output})
    elif path:
        say(f"{frame.height:,} rows are in {output}")
    else:
        print_recommendations(frame)
        if options.history and found.unknown:
            say(f"Not known, and passed over: {', '.join(found.unknown)}")


def evaluate(model: "Recommender", data: str | None, options: EvaluateOptions, as_json: bool) -> None:
    """Rank held-out events beside the baselines."""
    found = model.evaluate(data, **said(options))
    print_evaluation(found, ("by_length", "by_popularity"), as_json)


def explain(model: "Recommender", data: str | None, options: ExplainOptions, folder: Path, as_json: bool) -> None:
    """Items that are alike, and how far back the network looks."""
    if data is not None:
        raise InputError("explain: a recommender explains the events it was trained on; leave DATA out.")
    found = model.explain(split(options.items))
    if as_json:
        frames = {name: getattr(found, name).to_dicts() for name in ("neighbours", "recency", "half_life")}
        print_json(frames)
        return
    for (item,), group in found.neighbours.group_by("item", maintain_order=True):
        say(f"  {item}: like {', '.join(group['neighbour'])}")
    say("", *(f"  {row['steps_ago']:>2} events ago: {row['change']:.3f} nats" for row in found.recency.to_dicts()))
    if (folder / REPORT).is_file():
        say("", f"More is in {folder / REPORT}")


def update(model: "Recommender", data: str) -> str:
    """Take in new events; returns what there is to say."""
    return str(model.update(data).updated_)


def stream(model: "Recommender", options: StreamOptions, as_json: bool) -> None:
    """Lines are events, {"user": ..., "item": ...} or CSV with a header; answers are lines of JSON."""
    from foretell.cli.live import read_rows

    feed = Feed(model, options.how())
    for number, row in read_rows(sys.stdin, feed.texts):
        try:
            print_json(feed.take(row))
        except InputError as error:
            raise InputError(f"stdin, line {number}: {error}") from None
        sys.stdout.flush()
