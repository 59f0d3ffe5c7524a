"""From sentences to translations by a trained model."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from foretell.jobs.translating.model import END, Model, decode, encode
from foretell.jobs.translating.searching import Hypothesis, search
from foretell.sequences.tokens import token_text


@dataclass(frozen=True)
class Translation:
    """A sentence in the other language, and how sure the model is of it."""

    text: str
    score: float  # mean log-probability of a token, or as the length penalty has it
    tokens: tuple[str, ...]  # its pieces, the last of them the end
    probabilities: tuple[float, ...]  # of each piece after those before it


def translate(model: Model, sentences: Sequence[str], beam: int, length_penalty: float) -> list[list[Translation]]:
    """The best translations of each sentence, best first; a blank sentence has the empty one."""
    asked = [number for number, text in enumerate(sentences) if text.strip()]
    ids = [encode(model.source, sentences[number].strip()) for number in asked]
    answers = [[Translation("", 0.0, (), ())] for _ in sentences]
    for number, hypotheses in zip(asked, search(model.network, ids, beam, length_penalty), strict=True):
        answers[number] = [_translation(model, one) for one in hypotheses]
    return answers


def _translation(model: Model, found: Hypothesis) -> Translation:
    pieces = tuple(token_text(model.target, token) for token in (*found.tokens, END))
    return Translation(
        decode(model.target, found.tokens), found.score, pieces, tuple(map(exp, found.log_probabilities))
    )
