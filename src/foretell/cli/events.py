"""A recommender's answers in the terminal: to every event from a pipe, and for people to read."""

from typing import TYPE_CHECKING, Any

from foretell.cli.printing import say
from foretell.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from foretell.jobs.recommend import Recommender

SHOWN_USERS = 5
SHOWN_REASONS = 3


class Feed:
    """Every user that events come of, each with a state of its own; one not in the model begins without a history."""

    def __init__(self, model: "Recommender", how: dict[str, Any]) -> None:
        self.model, self.schema, self.how = model, model.schema_, how
        self.texts = frozenset({"user", "item", self.schema.user, self.schema.item, *self.schema.context.categories})
        self._known = frozenset(model.users)
        self._streams: dict[str, Any] = {}

    def take(self, row: Any) -> dict[str, Any]:
        """Take in an event; returns what to recommend after it, for JSON."""
        user, item, features = self._event(row)
        if user not in self._streams:
            self._streams[user] = self.model.stream(user if user in self._known else None, **self.how)
        found = self._streams[user].step(item, **features)
        return {"user": user, "items": list(found.items), "probability": list(found.probability)}

    def _event(self, row: Any) -> tuple[str, str, dict[str, Any]]:
        """The user, the item and the features of a line."""
        values = dict(row) if isinstance(row, dict) else {}
        found = {}
        for role, column in (("user", self.schema.user), ("item", self.schema.item)):
            name = column if column in values else role
            if values.get(name) is None:
                example = f'{{"{self.schema.user}": "u1", "{self.schema.item}": "i1"}}'
                raise InputError(f"an event needs a user and an item, such as {example}; got {row!r}.")
            found[role] = str(values.pop(name))
        features = {name: value for name, value in values.items() if name in self.schema.context.names}
        return found["user"], found["item"], features


def print_recommendations(frame: "pl.DataFrame") -> None:
    """A block of lines a user; one block without a name for a history."""
    shown = frame if "user" in frame.columns else frame.with_columns(user=None)
    users = shown["user"].unique(maintain_order=True).to_list()
    for user in users[:SHOWN_USERS]:
        if user is not None:
            say(f"{user}:")
        for row in shown.filter(shown["user"].eq_missing(user)).to_dicts():
            because = f"  because of {', '.join(row['because'][:SHOWN_REASONS])}" if row.get("because") else ""
            say(f"  {row['rank']:>2}  {100 * row['probability']:6.2f} %  {row['item']}{because}")
    if len(users) > SHOWN_USERS:
        say(f"... and {len(users) - SHOWN_USERS:,} users more; -o recommendations.csv writes them all.")
