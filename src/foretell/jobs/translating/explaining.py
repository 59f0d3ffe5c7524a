"""Where the decoder looked while it wrote: attention of every target token to every source token."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from foretell.jobs.translating.model import END, Model, decode, encode, source_batch, target_batch
from foretell.jobs.translating.searching import search
from foretell.sequences.tokens import token_text


@dataclass(frozen=True)
class Explanation:
    """A translation and where it comes from. Tokens are pieces of words, the last of each side is the end."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    attention: NDArray[np.float32]  # [target,source]  how much a target token looked at each source token
    probabilities: NDArray[np.float32]  # [target]  of each token after those before it
    translation: str

    @property
    def frame(self) -> pl.DataFrame:
        """One row a target and source token: target_place, target, source_place, source, attention."""
        rows, columns = len(self.target), len(self.source)
        return pl.DataFrame(
            {
                "target_place": np.repeat(np.arange(rows), columns),
                "target": [token for token in self.target for _ in self.source],
                "source_place": np.tile(np.arange(columns), rows),
                "source": [*self.source] * rows,
                "attention": self.attention.ravel(),
            }
        )


@torch.inference_mode()
def explain(model: Model, sentence: str, translation: str | None, beam: int) -> Explanation:
    """Of the model's own translation, or of a given one."""
    source = encode(model.source, sentence)
    if translation is None:
        best = search(model.network, [source], beam, model.settings.length_penalty)[0][0]
        target = np.array(best.tokens, np.int32)
    else:
        target = encode(model.target, translation)
    before, after = target_batch([target])
    features, attention = model.network.attention(before, *model.network.encode(*source_batch([source])))
    chances = model.network.scores(features)[:, 0].gather(1, after).exp()
    return Explanation(
        source=tuple(token_text(model.source, token) for token in [*source, END]),
        target=tuple(token_text(model.target, token) for token in [*target, END]),
        attention=attention[:, 0].numpy(),
        probabilities=chances[:, 0].numpy(),
        translation=decode(model.target, target.tolist()),
    )
