"""A translation as it is written: the likeliest token at every step, handed out at once."""

import codecs
from collections.abc import Iterator

import torch

from foretell.jobs.translating.model import BEGIN, END, PAD, Model, encode, source_batch
from foretell.jobs.translating.searching import MORE


def stream(model: Model, sentence: str) -> Iterator[str]:
    """The parts of the greedy translation; joined they are the whole of it."""
    if not sentence.strip():
        return
    source = encode(model.source, sentence.strip())
    reader = codecs.getincrementaldecoder("utf-8")("replace")  # a token may end within a character
    has_begun = False
    for token in _tokens(model, *source_batch([source])):
        text = reader.decode(model.target.to_bytes(token))
        if not has_begun:
            text = text.lstrip()
            has_begun = bool(text)
        if text:
            yield text
    if rest := reader.decode(b"", final=True):
        yield rest


def _tokens(model: Model, source: torch.Tensor, lengths: torch.Tensor) -> Iterator[int]:
    with torch.inference_mode():
        memory, state = model.network.encode(source, lengths)
    token = BEGIN
    for _ in range(2 * int(lengths) + MORE - 1):
        with torch.inference_mode():  # not around the yield: the caller's own work is none of ours
            features, state = model.network.decode(torch.tensor([[token]]), memory, state)
            scores = model.network.scores(features[0, 0])
            scores[[PAD, BEGIN]] = -torch.inf
            token = int(scores.argmax())
        if token == END:
            return
        yield token
