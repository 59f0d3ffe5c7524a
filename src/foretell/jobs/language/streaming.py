"""A text that is still coming: every piece of it is answered with what may come next."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.errors import require
from foretell.jobs.language.stepper import Context, Floats, Stepper
from foretell.sequences.tokens import Tokenizer, token_text


@dataclass(frozen=True)
class LiveText:
    """What the model says after a piece of text."""

    tokens: tuple[str, ...]  # the likeliest next ones, likeliest first
    probabilities: tuple[float, ...]  # of those
    log_probabilities: Floats  # ln p of every token as the next one, [V]
    surprise: Floats  # -ln p of each token of the piece, [n], in nats


class TextStream:
    """A model in the middle of a text. `step` reads on; `save`, `restore` and `copy` keep its state."""

    def __init__(self, stepper: Stepper, tokenizer: Tokenizer) -> None:
        self._stepper, self._tokenizer = stepper, tokenizer

    def step(self, text: str, top: int = 10) -> LiveText:
        """Read a piece of text, perhaps empty, and say what may follow: the `top` likeliest tokens.

        InputError for a character that the model does not know; the state is then what it was.
        """
        require(isinstance(text, str), "step", "text", "a text", text)
        require(isinstance(top, int) and top >= 1, "step", "top", "a whole number of at least 1", top)
        ids = self._tokenizer.encode(text).tolist() if text else []
        surprise = np.zeros(len(ids), np.float32)
        for place, token in enumerate(ids):
            surprise[place] = -self._stepper.log_probabilities()[token]
            self._stepper.step(token)
        logs = self._stepper.log_probabilities()
        best = _largest(logs, top)
        names = tuple(token_text(self._tokenizer, int(token)) for token in best)
        return LiveText(names, tuple(np.exp(logs[best]).tolist()), logs, surprise)

    def save(self) -> Context:
        """A copy of where it is."""
        return self._stepper.save()

    def restore(self, context: Context) -> None:
        """Go back to where `save` was called."""
        self._stepper.restore(context)

    def copy(self) -> "TextStream":
        """An independent stream in the same state."""
        return TextStream(self._stepper.copy(), self._tokenizer)


def _largest(values: Floats, count: int) -> NDArray[np.int64]:
    return np.argsort(-values, kind="stable")[:count]
