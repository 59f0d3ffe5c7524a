"""Beam search over many sentences at once: every hypothesis of every sentence is a row of one batch.

B sentences, K hypotheses each, R = B*K rows, V tokens, t steps so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from foretell.jobs.translating.model import BEGIN, END, PAD, Ids, source_batch
from foretell.networks.translate import Source, State, TranslateNetwork
from foretell.sequences.buckets import bucket_batches

MORE = 10  # tokens that a translation may have beyond twice those of its source
TOKENS = 12_000  # of a batch: steps of its sentences, times the hypotheses


@dataclass(frozen=True)
class Hypothesis:
    """A translation: its tokens, and how likely each was after those before it; the last is the end."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]  # of the tokens and of the end
    score: float  # their sum, divided by a power of their number


@dataclass(frozen=True)
class _Rows:
    """The hypotheses that are still growing."""

    sentence: Tensor  # [B]  its place in the batch
    limit: Tensor  # [B]  the step at which it must end
    source: Source  # R rows
    state: State  # R rows
    tokens: Tensor  # [R,t+1]  from <s> on
    scores: Tensor  # [R,t]  log-probability of each token
    total: Tensor  # [B,K]  their sum; -inf: no hypothesis

    def keep(self, sentences: Tensor) -> "_Rows":
        """Some of the sentences [B], by a mask."""
        beam = self.total.shape[1]
        rows = sentences.repeat_interleave(beam).nonzero()[:, 0]
        moved = self.reordered(rows)
        return replace(
            moved,
            sentence=self.sentence[sentences],
            limit=self.limit[sentences],
            source=self.source.rows(rows),
            total=self.total[sentences],
        )

    def reordered(self, rows: Tensor) -> "_Rows":
        """Hypotheses in another order, within their sentences."""
        h1, c1, h2, c2 = (part.index_select(1, rows) for part in self.state)
        return replace(self, state=(h1, c1, h2, c2), tokens=self.tokens[rows], scores=self.scores[rows])


@torch.inference_mode()
def search(
    network: TranslateNetwork, sentences: Sequence[Ids], beam: int, length_penalty: float
) -> list[list[Hypothesis]]:
    """The best `beam` translations of each sentence, best first.

    A hypothesis ends by itself, or when it is twice as long as the source and ten tokens more. Hypotheses are
    ranked by their log-probability over the `length_penalty`-th power of their length (1: its mean a token).
    How sentences are put into batches makes no difference but for rounding.
    """
    found: list[list[Hypothesis]] = [[] for _ in sentences]
    lengths = np.array([len(sentence) + 1 for sentence in sentences])
    for places in bucket_batches(lengths, max(1, TOKENS // beam)):
        answers = _search_batch(network, [sentences[place] for place in places], beam, length_penalty)
        for place, hypotheses in zip(places, answers, strict=True):
            found[place] = sorted(hypotheses, key=lambda one: -one.score)[:beam]
    return found


def _search_batch(
    network: TranslateNetwork, sentences: Sequence[Ids], beam: int, length_penalty: float
) -> list[list[Hypothesis]]:
    found: list[list[Hypothesis]] = [[] for _ in sentences]
    rows, step = _start(network, sentences, beam), 0
    while len(rows.sentence):
        step += 1
        features, state = network.decode(rows.tokens[:, -1:].T, rows.source, rows.state)
        logs = _allowed(network.scores(features[0]), rows.limit == step, beam)
        rows = _grow(replace(rows, state=state), logs, found, length_penalty)
        full = torch.tensor([len(found[place]) >= beam for place in rows.sentence.tolist()])
        if (done := full | (rows.limit == step)).any():
            rows = rows.keep(~done)
    return found


def _start(network: TranslateNetwork, sentences: Sequence[Ids], beam: int) -> _Rows:
    """Every sentence begins with one hypothesis, the empty one."""
    tokens, lengths = source_batch(sentences)
    source, state = network.encode(tokens, lengths)
    rows = torch.arange(len(sentences)).repeat_interleave(beam)
    total = torch.full((len(sentences), beam), -torch.inf)
    total[:, 0] = 0.0
    h1, c1, h2, c2 = (part.index_select(1, rows) for part in state)
    return _Rows(
        sentence=torch.arange(len(sentences)),
        limit=2 * lengths + MORE,
        source=source.rows(rows),
        state=(h1, c1, h2, c2),
        tokens=torch.full((len(rows), 1), BEGIN),
        scores=torch.empty(len(rows), 0),
        total=total,
    )


def _allowed(logs: Tensor, late: Tensor, beam: int) -> Tensor:
    """Log-probabilities [R,V], -inf for what may not come next: of late sentences [B] all but the end."""
    logs[:, [PAD, BEGIN]] = -torch.inf
    if late.any():
        rows = late.repeat_interleave(beam)
        ends = logs[rows, END]
        logs[rows] = -torch.inf
        logs[rows, END] = ends
    return logs


def _grow(rows: _Rows, logs: Tensor, found: list[list[Hypothesis]], length_penalty: float) -> _Rows:
    """Make every hypothesis one token longer, keep the best; put those that end into `found`."""
    beam = rows.total.shape[1]
    width = min(beam + 1, logs.shape[1])  # tokens of a row that can be among the K best that do not end
    best, token = logs.topk(width)
    total, place = (rows.total.view(-1, 1) + best).view(-1, beam * width).topk(2 * beam)  # [B,2K]
    parent = place // width + beam * torch.arange(len(total))[:, None]  # the row it grew from
    token, score = (part.view(len(total), -1).gather(1, place) for part in (token, best))
    ends = token == END
    for number, rank in (ends & total.isfinite())[:, :beam].nonzero().tolist():
        row = int(parent[number, rank])
        tokens = tuple(rows.tokens[row, 1:].tolist())
        logarithms = (*rows.scores[row].tolist(), score[number, rank].item())
        average = sum(logarithms) / len(logarithms) ** length_penalty
        found[int(rows.sentence[number])].append(Hypothesis(tokens, logarithms, average))
    on = ends.int().argsort(dim=1, stable=True)[:, :beam]  # the best that do not end
    token, score, parent = (part.gather(1, on).flatten() for part in (token, score, parent))
    moved = rows.reordered(parent)
    return replace(
        moved,
        tokens=torch.cat((moved.tokens, token[:, None]), dim=1),
        scores=torch.cat((moved.scores, score[:, None]), dim=1),
        total=total.masked_fill(ends, -torch.inf).gather(1, on),
    )
