"""One line of progress on stderr, updated in place: epoch, losses, time left."""

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from foretell.training.loop import Epoch, Plan


class ProgressLine:
    """For a training of so many networks, one after the other; silent where stderr is no terminal."""

    def __init__(self, members: int = 1) -> None:
        self._members, self._ended = members, 0
        self._seed: int | None = None
        screen = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(16), TimeRemainingColumn(compact=True))
        self._line = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
        self._task = self._line.add_task("getting ready", total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.stop()

    def start(self) -> None:
        """Show the line: once nothing else is to be said."""
        self._line.start()

    def __call__(self, epoch: "Epoch", plan: "Plan") -> None:
        """After every epoch."""
        if self._seed not in (None, plan.seed):
            self._ended += 1  # every network has a seed of its own
        self._seed = plan.seed
        done = self._ended * plan.epochs + epoch.epoch
        total = max(self._members, self._ended + 1) * plan.epochs
        words = f"epoch {done}/{total}  loss {epoch.train:.4f}  validation {epoch.validation:.4f}"
        self._line.update(self._task, description=words, completed=done, total=total)
