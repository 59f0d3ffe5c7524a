"""A text as tokens: what is trained on, what chooses the weights, what is held out, in the order of the text."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.errors import InputError
from foretell.jobs.language.settings import Settings
from foretell.sequences.documents import Documents
from foretell.sequences.tokens import Tokenizer, train_tokenizer

Tokens = NDArray[np.int32]
LEAST = 100  # tokens to train on
PIECES = (512, 16_384)  # fewest and most tokens that byte-pair encoding is given
CHARACTERS_A_PIECE = 100  # of the text, for each such token


@dataclass(frozen=True)
class Part:
    """A stretch of the text: its tokens, with `start` before every document that begins in it."""

    tokens: Tokens
    characters: int


@dataclass(frozen=True)
class Corpus:
    """The three parts of a text. Each goes on where the one before ended."""

    train: Part
    validation: Part
    held_out: Part

    @property
    def seen(self) -> Tokens:
        """All that is not held out."""
        return np.concatenate([self.train.tokens, self.validation.tokens])


def make_tokenizer(documents: Documents, settings: Settings) -> Tokenizer:
    """A tokenizer for these texts. Characters are known from all of them; byte-pairs are learnt before the held out.

    InputError for a text of a single symbol.
    """
    if settings.vocabulary is not None and settings.tokens != "bpe":
        raise InputError(
            f"LanguageModel: vocabulary is the number of byte-pair tokens and so needs tokens='bpe'; got "
            f"tokens={settings.tokens!r}."
        )
    if len(set().union(*map(set, documents.texts))) < 2:
        raise InputError(
            f"{documents.names[0]}: the text is {documents.texts[0][0]!r} over and over, which leaves nothing to "
            "learn; give a text of several symbols."
        )
    if settings.tokens != "bpe":
        return train_tokenizer(settings.tokens, documents.texts)
    end = _cuts(documents, settings)[1]
    size = int(np.clip(end // CHARACTERS_A_PIECE, *PIECES)) if settings.vocabulary is None else settings.vocabulary
    return train_tokenizer("bpe", [text for text, _ in _pieces(documents, 0, end)], size)


def make_corpus(documents: Documents, tokenizer: Tokenizer, settings: Settings) -> Corpus:
    """The parts of the texts as tokens; InputError if there is too little of them."""
    train, seen = _cuts(documents, settings)
    edges = ((0, train), (train, seen), (seen, documents.characters))
    corpus = Corpus(*(_part(documents, tokenizer, first, last) for first, last in edges))
    parts = {"train on": corpus.train, "validate on": corpus.validation, "hold out": corpus.held_out}
    for use, part in parts.items():
        least = {"train on": LEAST, "validate on": 2, "hold out": 2 if settings.held_out else 0}[use]
        if len(part.tokens) < least:
            raise InputError(
                f"{documents.names[0]}: the text leaves {len(part.tokens)} tokens to {use}, where {least} are needed; "
                f"give more text than {documents.characters:,} characters."
            )
    return corpus


def whole(documents: Documents, tokenizer: Tokenizer) -> Part:
    """All of the texts as one part."""
    return _part(documents, tokenizer, 0, documents.characters)


def checksum(documents: Documents) -> str:
    """A fingerprint of the texts and their borders."""
    digest = hashlib.sha256()
    for text in documents.texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def _cuts(documents: Documents, settings: Settings) -> tuple[int, int]:
    """Characters before the validation part, and before the held-out part."""
    seen = int(documents.characters * (1 - settings.held_out))
    return int(seen * (1 - settings.validation)), seen


def _part(documents: Documents, tokenizer: Tokenizer, first: int, last: int) -> Part:
    start = np.array([tokenizer.size], np.int32)
    parts = [np.zeros(0, np.int32)]
    for text, begins in _pieces(documents, first, last):
        parts += [start, tokenizer.encode(text)] if begins else [tokenizer.encode(text)]
    return Part(np.concatenate(parts), last - first)


def _pieces(documents: Documents, first: int, last: int) -> Iterator[tuple[str, bool]]:
    """The texts between two characters of all of them, and whether each begins there."""
    place = 0
    for text in documents.texts:
        low, high = max(first - place, 0), min(last - place, len(text))
        if low < high:
            yield text[low:high], low == 0
        place += len(text)
