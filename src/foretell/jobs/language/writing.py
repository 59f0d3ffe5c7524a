"""Text that a model writes: token by token, whole characters only, up to where it is told to stop."""

import codecs
from collections.abc import Iterator, Sequence

import numpy as np

from foretell.errors import InputError, require
from foretell.jobs.language.sampling import Sampling
from foretell.jobs.language.stepper import Stepper
from foretell.sequences.tokens import Tokenizer


def write(
    stepper: Stepper,
    tokenizer: Tokenizer,
    prompt: str,
    length: int,
    sampling: Sampling,
    stop: Sequence[str],
    seed: int | None,
) -> Iterator[str]:
    """The continuation of a prompt in pieces, of at most `length` tokens; it ends before the first stop string.

    A piece is held back while it may be the beginning of a stop string.
    """
    require(isinstance(length, int) and length >= 1, "generate", "length", "a whole number of at least 1", length)
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(stops):
        raise InputError("generate: a stop string is empty; leave it out.")
    there = np.zeros(tokenizer.size, bool)
    for token in tokenizer.encode(prompt).tolist() if prompt else ():
        stepper.step(token)
        there[token] = True
    generator = np.random.default_rng(seed)
    return _until_stop(_pieces(stepper, tokenizer, length, sampling, there, generator), stops)


def _pieces(
    stepper: Stepper,
    tokenizer: Tokenizer,
    length: int,
    sampling: Sampling,
    there: np.typing.NDArray[np.bool_],
    generator: np.random.Generator,
) -> Iterator[str]:
    """What each token adds: nothing while a character is not whole."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    texts = [tokenizer.to_bytes(token) for token in range(tokenizer.size)]
    for _ in range(length):
        token = sampling.draw(stepper.log_probabilities(), there, generator)
        stepper.step(token)
        there[token] = True
        if piece := decoder.decode(texts[token]):
            yield piece


def _until_stop(pieces: Iterator[str], stops: tuple[str, ...]) -> Iterator[str]:
    """The pieces up to the first stop string, wherever the borders between them lie."""
    held = ""
    for piece in pieces:
        held += piece
        places = [place for stop in stops if (place := held.find(stop)) >= 0]
        if places:
            if min(places):
                yield held[: min(places)]
            return
        keep = max((_overlap(held, stop) for stop in stops), default=0)
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text may begin the stop string."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
