"""What stands at every place of a text, as numbers: the things that a unit of a network may keep count of."""

import codecs
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

OPENING, CLOSING = "([{", ")]}"
SENTENCE_ENDS = ".!?"
VOWELS = "aeiou"

KINDS: dict[str, Callable[[str], bool]] = {
    "a space": lambda one: one == " ",
    "the end of a line": lambda one: one == "\n",
    "a capital letter": str.isupper,
    "a vowel": lambda one: one.lower() in VOWELS,
    "a digit": str.isdigit,
    "a mark between words": lambda one: not (one.isalnum() or one.isspace()),
}
COUNTERS: dict[str, Callable[[str, str], bool]] = {  # is the count begun anew after this character and the one before?
    "how far into the word": lambda one, _: not one.isalpha(),
    "how far into the line": lambda one, _: one == "\n",
    "how far into the sentence": lambda one, _: one in SENTENCE_ENDS,
    "how far into the paragraph": lambda one, before: one == before == "\n",
}
NAMES = (*KINDS, *COUNTERS, "inside quotation marks", "inside brackets")


def token_features(tokens: Sequence[bytes]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names of the features, and their values [T,F] after every token, of which the UTF-8 is given."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = [decoder.decode(token) for token in tokens]
    ends = np.cumsum([len(piece) for piece in pieces])
    values = _features("".join(pieces))
    after = values[np.maximum(ends - 1, 0)] if len(values) else np.zeros((len(tokens), len(NAMES)), np.float32)
    return NAMES, np.where((ends > 0)[:, None], after, 0).astype(np.float32)


def _features(text: str) -> NDArray[np.float32]:
    """The features after every character."""
    columns: list[Sequence[int]] = [[kind(one) for one in text] for kind in KINDS.values()]
    columns += [_count(text, begins) for begins in COUNTERS.values()]
    columns += [_quoted(text), _bracketed(text)]
    return np.array(columns, np.float32).T


def _count(text: str, begins: Callable[[str, str], bool]) -> list[int]:
    counts, count = [], 0
    for before, one in zip("\0" + text, text, strict=False):
        count = 0 if begins(one, before) else count + 1
        counts.append(count)
    return counts


def _quoted(text: str) -> list[bool]:
    """Between double quotation marks; an empty line ends what was left open."""
    inside, found, before = False, [], ""
    for one in text:
        if one == '"':
            inside = not inside
        elif one in "“”«»":
            inside = one in "“«"
        elif one == before == "\n":
            inside = False
        found.append(inside)
        before = one
    return found


def _bracketed(text: str) -> list[bool]:
    """Between brackets; an empty line ends what was left open."""
    depth, found, before = 0, [], ""
    for one in text:
        if one in OPENING:
            depth += 1
        elif one in CLOSING:
            depth = max(0, depth - 1)
        elif one == before == "\n":
            depth = 0
        found.append(depth > 0)
        before = one
    return found
