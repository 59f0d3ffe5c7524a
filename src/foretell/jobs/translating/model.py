"""A trained translator in memory: its vocabularies, its network, and its dictionary."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foretell.jobs.translating.dictionary import Dictionary
from foretell.jobs.translating.settings import Settings
from foretell.networks.translate import TranslateNetwork
from foretell.sequences.buckets import pad
from foretell.sequences.tokens import Tokenizer

SPECIAL = ("<pad>", "<s>", "</s>")
PAD, BEGIN, END = range(3)
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Model:
    """What translating needs."""

    settings: Settings
    source: Tokenizer
    target: Tokenizer  # the same one if the vocabulary is joint
    network: TranslateNetwork
    dictionary: Dictionary  # the word-by-word baseline


def encode(tokenizer: Tokenizer, text: str) -> Ids:
    """A sentence as tokens. Every word begins with its blank, the first too, so that it is the same anywhere."""
    return tokenizer.encode(f" {text}")


def decode(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The inverse of `encode`."""
    return tokenizer.decode(tokens).strip()


def source_batch(sentences: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Source sentences, each with its end, [S,B], and their lengths [B]."""
    ids, lengths = pad([np.append(sentence, END) for sentence in sentences], PAD)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


def target_batch(sentences: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """What the decoder reads and what it is to say, each [T,B]; -1 where nothing is to be said."""
    before, _ = pad([np.insert(sentence, 0, BEGIN) for sentence in sentences], PAD)
    after, _ = pad([np.append(sentence, END) for sentence in sentences], -1)
    return torch.from_numpy(before), torch.from_numpy(after)
