"""Events, who did what when, as one sequence of items a user: from a log of events or a file of one user a line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from foretell.errors import InputError, require_known
from foretell.sequences.database import is_database
from foretell.sequences.features import Features, FeatureSchema, infer_features, read_features
from foretell.sequences.table import Table, read_table
from foretell.sequences.times import read_times

USERS = ("user", "customer", "session", "visitor", "account", "client", "member")
ITEMS = ("item", "product", "sku", "article", "movie", "track", "song", "book", "video")
USER_NAMES, ITEM_NAMES = (tuple(what + end for what in kinds for end in ("", "_id", "id")) for kinds in (USERS, ITEMS))
TIME_NAMES = ("time", "timestamp", "date", "datetime", "ts", "ds", "created_at", "event_time", "step")
Integers = NDArray[np.int64]
LINE_SUFFIX = ".txt"  # of a file that may hold one user a line
SEPARATORS = ",;\t|"  # a line with one of these is a row of a table


class EventSchema(BaseModel):
    """What the columns of an event log are for, kept with a model so that new events are read alike."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    user: str
    item: str
    time: str | None  # None: the rows are in order already
    time_format: str | None = None
    context: FeatureSchema = FeatureSchema()

    def describe(self) -> str:
        """Two lines for people."""
        order = "the rows are taken to be in order" if self.time is None else f"ordered by {self.time!r}"
        features = f"; features of an event: {', '.join(self.context.names)}" if self.context.names else ""
        return (
            f"{self.source}: users in {self.user!r}, items in {self.item!r}, {order}{features}.\n"
            "Not so? Say user=, item=, time= or features=."
        )


@dataclass(frozen=True)
class Events:
    """N events of U users on V items, by user and, within a user, in order."""

    users: tuple[str, ...]  # U names, in the order of their first appearance
    items: tuple[str, ...]  # V names; an item's code is its place here
    item: Integers  # [N]  codes
    offsets: Integers  # [U+1]
    times: Integers | None  # [N]  microseconds, or whatever whole numbers the column counts in
    context: Features  # [N]
    repeated: int = 0  # rows left out as they repeat another's user, item and time

    @property
    def lengths(self) -> Integers:
        """How many events each user has, [U]."""
        return np.diff(self.offsets)

    def of_user(self, user: int) -> slice:
        """The events of a user by number."""
        return slice(int(self.offsets[user]), int(self.offsets[user + 1]))


def read_events(
    source: Any,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    features: Sequence[str] = (),
    *,
    query: str | None = None,
    schema: EventSchema | None = None,
) -> tuple[Events, EventSchema]:
    """Read a log with one event a row, or a .txt with one user a line: the user, then the items in order.

    Columns that are not named are told by their names; `schema` is that of an earlier log, to be read alike.
    Without a time column the rows are in order already. Rows that repeat another's user, item and time are left
    out and counted.

    Raises:
        InputError: no such column, an empty cell, a time that cannot be read; the message names the place.
    """
    if isinstance(source, str | Path) and not is_database(str(source)) and is_user_a_line(Path(source)):
        return _read_lines(Path(source), schema)
    table = read_table(source, query=query)
    if schema is None:
        schema = _infer(table, user, item, time, features)
    return _read_log(table, schema)


def is_user_a_line(path: Path) -> bool:
    """Whether a file looks like one user a line: a .txt whose first line is words apart by spaces alone."""
    if path.suffix.lower() != LINE_SUFFIX or not path.is_file():
        return False
    with path.open("rb") as file:
        line = file.readline().decode(errors="replace")
    return not any(mark in line.strip() for mark in SEPARATORS) and len(line.split()) >= 2


def _infer(table: Table, user: str | None, item: str | None, time: str | None, features: Sequence[str]) -> EventSchema:
    columns = table.frame.columns
    require_known(table.name, "column", [name for name in (user, item, time) if name is not None], columns)
    user = user or _named(table, "user", USER_NAMES, {item, time})
    item = item or _named(table, "item", ITEM_NAMES, {user, time})
    time = time or first_of(columns, TIME_NAMES, {user, item})
    if len({user, item, time}) < 3:
        raise InputError(f"{table.name}: user, item and time must be different columns; got {user}, {item}, {time}.")
    return EventSchema(source=table.name, user=user, item=item, time=time, context=infer_features(table, features))


def _named(table: Table, what: str, names: Sequence[str], taken: set[str | None]) -> str:
    found = first_of(table.frame.columns, names, taken)
    if found is None:
        raise InputError(
            f"{table.name}: no column is named like a {what} ({', '.join(names[:4])}, ...); say {what}=. "
            f"The columns are {', '.join(table.frame.columns)}."
        )
    return found


def first_of(columns: Sequence[str], names: Sequence[str], taken: set[str | None]) -> str | None:
    fitting = [name for name in columns if name.lower() in names and name not in taken]
    return min(fitting, key=lambda name: names.index(name.lower()), default=None)


def _read_log(table: Table, schema: EventSchema) -> tuple[Events, EventSchema]:
    frame = pl.DataFrame({"user": identities(table, schema.user), "item": identities(table, schema.item)})
    if schema.time is not None:
        times, written = read_times(table, schema.time, schema.time_format)
        schema = schema.model_copy(update={"time_format": written})
        frame = frame.with_columns(time=pl.Series(times.astype(np.int64)))
    context = read_features(table, schema.context)
    rows = frame.with_row_index("row")
    if schema.time is not None:  # without times, the same item again is a second event
        rows = rows.unique(["user", "item", "time"], keep="first", maintain_order=True)
    first = rows.group_by("user").agg(pl.col("row").min().alias("first"))
    order = [pl.col("first"), *([pl.col("time")] if schema.time is not None else []), pl.col("row")]
    rows = rows.join(first, on="user").sort(order)
    counts = rows.group_by("first", "user").len().sort("first")
    items = rows.sort("row")["item"].unique(maintain_order=True)
    events = Events(
        users=tuple(counts["user"].to_list()),
        items=tuple(items.to_list()),
        item=codes_of(rows["item"], items),
        offsets=np.concatenate([[0], np.cumsum(counts["len"].to_numpy())]).astype(np.int64),
        times=rows["time"].to_numpy() if schema.time is not None else None,
        context=context.rows(rows["row"].to_numpy()),
        repeated=frame.height - rows.height,
    )
    return events, schema


def identities(table: Table, name: str) -> pl.Series:
    """A column of names or whole numbers as text; InputError for an empty cell or any other number."""
    column = table.column(name)
    if column.has_nulls():
        row = int(column.is_null().arg_true()[0])
        raise InputError(f"{table.where(row, name)}: the cell is empty. Fill it in, or remove the row.")
    if column.dtype.is_float():
        broken = (column != column.floor()).arg_true()
        if len(broken):
            row = int(broken[0])
            raise InputError(
                f"{table.where(row, name)}: {column[row]!r} is neither a name nor a whole number. Name another column."
            )
        column = column.cast(pl.Int64)
    return column.cast(pl.String)


def codes_of(column: pl.Series, names: Iterable[str]) -> Integers:
    """The place of each value among the names, -1 where it is not among them."""
    old = pl.Series(names, dtype=pl.String)
    new = pl.int_range(0, len(old), eager=True)
    return column.replace_strict(old, new, default=-1, return_dtype=pl.Int64).to_numpy(writable=True)


def _read_lines(path: Path, schema: EventSchema | None) -> tuple[Events, EventSchema]:
    users: dict[str, int] = {}
    rows: list[list[str]] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        words = _decoded(path, number, line).split()
        if not words:
            continue
        if len(words) == 1:
            raise InputError(
                f"{path.name}, line {number}: user {words[0]!r} has no items. Put them on the line, or remove it."
            )
        if words[0] in users:
            raise InputError(
                f"{path.name}, line {number}: user {words[0]!r} stands on line {users[words[0]]} already. "
                "Join the lines."
            )
        users[words[0]] = number
        rows.append(words[1:])
    flat = pl.Series([item for row in rows for item in row], dtype=pl.String)
    items = flat.unique(maintain_order=True)
    schema = schema or EventSchema(source=path.name, user="user", item="item", time=None)
    events = Events(
        users=tuple(users),
        items=tuple(items.to_list()),
        item=codes_of(flat, items),
        offsets=np.cumsum([0, *map(len, rows)]),
        times=None,
        context=Features.missing(len(flat), schema.context),
    )
    return events, schema


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name}, line {number}: byte {line[error.start]:#04x} is not UTF-8 text. Save the file as UTF-8."
        ) from None


def recoded(events: Events, items: tuple[str, ...], users: tuple[str, ...] = ()) -> Events:
    """The same events with codes that begin with these items and users; names not among them come behind."""
    items = (*items, *_new(events.items, items))
    users = (*users, *_new(events.users, users))
    code = codes_of(pl.Series(events.items, dtype=pl.String), items)
    place = codes_of(pl.Series(events.users, dtype=pl.String), users)
    lengths = np.zeros(len(users), np.int64)
    lengths[place] = events.lengths
    rows = np.argsort(np.repeat(place, events.lengths), kind="stable")
    return replace(
        events,
        users=users,
        items=items,
        item=code[events.item][rows],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        times=None if events.times is None else events.times[rows],
        context=events.context.rows(rows),
    )


def without_strangers(events: Events, items: int) -> tuple[Events, Integers]:
    """The events on the first `items` items alone, and where each event stands among them, -1 where it does not."""
    kept = events.item < items
    place = np.where(kept, np.cumsum(kept) - 1, -1)
    offsets = np.concatenate([[0], np.cumsum(kept)])[events.offsets]
    few = replace(
        events,
        items=events.items[:items],
        item=events.item[kept],
        offsets=offsets,
        times=None if events.times is None else events.times[kept],
        context=events.context.rows(kept),
    )
    return few, place


def joined(old: Events, new: Events) -> Events:
    """The old events of each user, then the new ones; new users and items come behind the old.

    Raises:
        InputError: a new event is earlier than the last old one of its user.
    """
    new = recoded(new, old.items, old.users)
    lengths = np.concatenate([old.lengths, np.zeros(len(new.users) - len(old.users), np.int64)])
    if old.times is not None and new.times is not None:
        _check_later(old, new, lengths, old.times, new.times)
    user = np.concatenate([np.repeat(np.arange(len(lengths)), part) for part in (lengths, new.lengths)])
    rows = np.argsort(user, kind="stable")
    both = old.times is not None and new.times is not None
    return Events(
        users=new.users,
        items=new.items,
        item=np.concatenate([old.item, new.item])[rows],
        offsets=np.concatenate([[0], np.cumsum(lengths + new.lengths)]),
        times=np.concatenate([old.times, new.times])[rows] if both else None,
        context=Features.joined([old.context, new.context]).rows(rows),
        repeated=old.repeated + new.repeated,
    )


def _check_later(old: Events, new: Events, lengths: Integers, old_times: Integers, new_times: Integers) -> None:
    both = np.flatnonzero((lengths > 0) & (new.lengths > 0))
    early = both[new_times[new.offsets[both]] < old_times[old.offsets[both + 1] - 1]]
    if len(early):
        raise InputError(
            f"The first of the new events of user {new.users[early[0]]!r} is earlier than the last one known. "
            "Give only events after those."
        )


def _new(names: tuple[str, ...], known: tuple[str, ...]) -> list[str]:
    there = set(known)
    return [name for name in names if name not in there]
