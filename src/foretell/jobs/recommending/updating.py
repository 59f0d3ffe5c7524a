"""New events taken into the histories of a trained model, without training."""

from dataclasses import dataclass, replace

from foretell.jobs.recommending.growing import grow
from foretell.jobs.recommending.model import Model
from foretell.sequences.events import Events, joined
from foretell.sequences.features import Features


@dataclass(frozen=True)
class Update:
    """What `update` took in."""

    events: int
    users: tuple[str, ...]  # whose they are
    new_users: tuple[str, ...]
    new_items: tuple[str, ...]

    def __str__(self) -> str:
        parts = [_counted(self.events, "event")]
        for names, what in ((self.new_users, "new user"), (self.new_items, "new item")):
            if names:
                more = ", ..." if len(names) > 3 else ""
                parts.append(f"{_counted(len(names), what)} ({', '.join(names[:3])}{more})")
        return f"Took in {', '.join(parts)}."


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def take_in(model: Model, new: Events) -> tuple[Model, Update]:
    """The model with the new events behind the old, and with their new users and items.

    Raises:
        InputError: a new event is earlier than the last known one of its user.
    """
    events = joined(model.events, new)
    known = len(model.events.items)
    network = model.network
    if len(events.items) > known:
        network = grow(model, events, Features.missing(len(events.items), model.catalogue)).eval()
    update = Update(len(new.item), new.users, events.users[len(model.events.users) :], events.items[known:])
    return replace(model, events=events, network=network), update
