"""One line of progress on stderr, updated in place: epoch, losses, time left."""

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from foretell.training.loop import Epoch, Plan


class ProgressLine:
    """For the networks of a training, `seed` that of the first; silent where stderr is no terminal."""

    def __init__(self, members: int, seed: int) -> None:
        self._members, self._seed = members, seed
        screen = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(16), TimeRemainingColumn(compact=True))
        self._line = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
        self._task = self._line.add_task("fitting the linear start", total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.stop()

    def start(self) -> None:
        """Show the line: once nothing else is to be said."""
        self._line.start()

    def __call__(self, epoch: "Epoch", plan: "Plan") -> None:
        """After every epoch."""
        done = (plan.seed - self._seed) * plan.epochs + epoch.epoch
        total = self._members * plan.epochs
        words = f"epoch {done}/{total}  loss {epoch.train:.4f}  validation {epoch.validation:.4f}"
        self._line.update(self._task, description=words, completed=done, total=total)
