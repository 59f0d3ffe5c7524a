"""What a caller did wrong, in one sentence: where, what is allowed, what came, what to do."""

import difflib
from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """The user's data or argument is wrong. The message says how to put it right."""


def require(ok: bool, caller: str, name: str, allowed: str, got: Any) -> None:
    """Raise InputError unless `ok`: `require(n > 0, "LSTM", "hidden_size", "at least 1", n)`."""
    if not ok:
        raise InputError(f"{caller}: {name} must be {allowed}; got {got!r}.")


def require_shape(caller: str, name: str, shape: Iterable[int], **sizes: int) -> None:
    """Raise InputError unless the shape is the named sizes: `require_shape("LSTM", "h0", h0.shape, B=8, H=64)`."""
    if tuple(shape) != tuple(sizes.values()):
        wanted = ", ".join(f"{letter}={size}" for letter, size in sizes.items())
        raise InputError(f"{caller}: {name} must have shape ({wanted}); got {tuple(shape)}.")


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def require_known(caller: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise InputError for the first of `names` that is not in `known`, with a suggestion."""
    known = list(known)
    for name in names:
        if name not in known:
            raise InputError(f"{caller}: unknown {what} {name!r}. {suggestion(name, known)}")
