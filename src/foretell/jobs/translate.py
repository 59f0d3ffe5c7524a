"""The translator: from sentence pairs to translations, and where in the source each word was found."""

import time as clock
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from foretell.errors import InputError, require
from foretell.jobs.runs import curve_rows, end_run, read_run, running
from foretell.jobs.trained import TrainedJob
from foretell.jobs.translating import explaining, folder, reporting, streaming
from foretell.jobs.translating.evaluation import Evaluation, evaluate
from foretell.jobs.translating.explaining import Explanation
from foretell.jobs.translating.fitting import draft_model, train_model
from foretell.jobs.translating.model import Model
from foretell.jobs.translating.origin import Parts, read_parts, reread_parts
from foretell.jobs.translating.predicting import Translation, translate
from foretell.jobs.translating.settings import Settings
from foretell.sequences.pairs import Pairs, read_pairs
from foretell.store import CHECKPOINT
from foretell.training.loop import Progress


class Translator(TrainedJob[Model, folder.Record]):
    """Translates sentences, having learnt from pairs of them.

    Args:
        settings: see `Settings`: columns, joint, vocabulary, longest, test, validation (pairs held out), hidden,
            layers, heads, dropout, smoothing, epochs, learning_rate, weight_decay, batch, beam, length_penalty,
            seed.

    After `fit`: `training_` (the training curve), `seconds_`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings.of(**settings)
        self._model: Model | None = None
        self._memory: dict[str, str] = {}  # what `update` took in
        self._test: Pairs | None = None  # the held-out pairs, and what became of them
        self._evaluation: Evaluation | None = None

    def fit(
        self,
        data: Any,
        *,
        validation: Any = None,
        test: Any = None,
        warm: bool = False,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
        announce: Callable[[Parts], None] | None = None,
    ) -> Self:
        """Train on pairs: a file of two columns, a tuple of two parallel files, a frame, or a list of tuples.

        `validation` (to choose the weights by) and `test` (for `evaluate`) are drawn from the pairs unless given.
        `announce` is called with the divided pairs before training, `progress` after each epoch. `warm` fine-tunes
        the weights there are, with the vocabulary they have, on these pairs and on those that `update` took in.
        With a `checkpoint` folder the run can be killed and resumed, see `resume`.

        Raises:
            InputError: the pairs cannot be read or are too few; the message names the place and the remedy.
        """
        require(not (warm and checkpoint), "fit", "checkpoint", "left out when warm=True", checkpoint)
        parts = read_parts(self.settings, data, validation, test)
        if announce:
            announce(parts)
        return self._train(parts, checkpoint, progress, self._fitted() if warm else None)

    @classmethod
    def resume(
        cls,
        checkpoint: str | Path,
        data: Any = None,
        *,
        validation: Any = None,
        test: Any = None,
        progress: Progress | None = None,
    ) -> Self:
        """Go on with a training run that was killed; it ends with the weights it would have ended with.

        What `fit` was given in memory must be given again. InputError if the pairs have changed since.
        """
        run = read_run(Path(checkpoint), folder.Run)
        given = {"data": data, "validation": validation, "test": test}
        parts = reread_parts(run.settings, run.origin, given)
        if folder.checksum(parts.split) == run.checksum:  # the same pairs, whatever files they lie in now
            parts = replace(parts, origin=run.origin)
        self = cls.__new__(cls)
        self.settings, self._model = run.settings, None
        return self._train(parts, checkpoint, progress)

    def _train(
        self,
        parts: Parts,
        checkpoint: str | Path | None,
        progress: Progress | None,
        warm: Model | None = None,
    ) -> Self:
        began, memory = clock.perf_counter(), self._memory if warm else {}
        learnt, checksum = parts.split.with_memory(memory), folder.checksum(parts.split)
        draft = draft_model(learnt, self.settings, warm)  # refuses what it cannot use, before anything is written
        place = Path(checkpoint) if checkpoint is not None else None
        with running(place, lambda: folder.Run(settings=self.settings, origin=parts.origin, checksum=checksum)):
            curve = train_model(draft, place, progress)
        self._record = folder.Record(
            settings=self.settings,
            config=draft.model.network.config,
            origin=parts.origin,
            pairs=folder.Counts(
                train=len(learnt.train),
                validation=len(learnt.validation),
                test=len(learnt.test) if learnt.test else 0,
                too_long=draft.too_long,
                blank=parts.blank,
            ),
            checksum=checksum,
            training=curve_rows(curve),
            seconds=clock.perf_counter() - began,
            headline=None,
            scores=[],
        )
        self._model, self._memory, self._test, self._evaluation = draft.model, memory, learnt.test, None
        return self

    def translate(
        self,
        text: str | Sequence[str],
        *,
        n_best: int | None = None,
        scores: bool = False,
        beam: int | None = None,
    ) -> Any:
        """The translation of a sentence as text, or of many as a list.

        With `scores` each is a `Translation`, which knows the probability of each of its tokens; with `n_best`
        each is a list of so many of them, best first. `beam` is how many hypotheses the search keeps; 1 is
        greedy, and fastest. A sentence that `update` took in is answered with the translation given there.
        """
        model, beam = self._fitted(), self._beam(beam)
        if n_best is not None:
            fine = isinstance(n_best, int) and 1 <= n_best <= beam
            require(fine, "translate", "n_best", f"a whole number from 1 to the beam ({beam})", n_best)
        sentences = _sentences(text)
        found = translate(model, sentences, beam, self.settings.length_penalty)
        for number, sentence in enumerate(sentences):
            known = self._memory.get(sentence.strip())
            if known is not None:
                found[number] = [Translation(known, 0.0, (), ()), *found[number]]
        answers = [_answer(best, n_best, scores) for best in found]
        return answers[0] if isinstance(text, str) else answers

    def evaluate(self, data: Any = None, *, beam: int | None = None) -> Evaluation:
        """BLEU and chrF on the held-out pairs, or on given ones, beside word by word and the source copied.

        It measures the network: what `update` took in is not looked up. InputError if nothing was held out.
        """
        model = self._fitted()
        pairs = self._held_out() if data is None else read_pairs(data, self.settings.columns)
        found = evaluate(model, pairs, self._beam(beam), held_out=data is None)
        if data is None and self._beam(beam) == self.settings.beam:
            self._evaluation = found
            self._record.headline, self._record.scores = found.headline, found.summary.to_dicts()
        return found

    def explain(self, sentence: str, translation: str | None = None) -> Explanation:
        """Where the decoder looked for each token of its translation, or of a given one, and how sure it was."""
        model = self._fitted()
        for name, text in (("sentence", sentence), ("translation", "-" if translation is None else translation)):
            fine = isinstance(text, str) and bool(text.strip())
            require(fine, "explain", name, "a sentence that is not blank", text)
        given = None if translation is None else translation.strip()
        return explaining.explain(model, sentence.strip(), given, self.settings.beam)

    def stream(self, sentence: str) -> Iterator[str]:
        """The greedy translation of a sentence, part by part as it is written; joined they are the whole."""
        model = self._fitted()
        require(isinstance(sentence, str), "stream", "sentence", "text", sentence)
        known = self._memory.get(sentence.strip())
        return streaming.stream(model, sentence) if known is None else iter([known])

    def update(self, data: Any) -> Self:
        """Take in new pairs, without training: from now on `translate` answers these sentences with them.

        The network stays as it is; fit(..., warm=True) trains it on them too. A later pair replaces an earlier.
        """
        self._fitted()
        pairs = read_pairs(data, self.settings.columns)
        self._memory |= dict(zip(pairs.source, pairs.target, strict=True))
        return self

    def report(self, path: str | Path, *, png: bool = False) -> Path:
        """Write report.html, which opens without a network, and on request a PNG of each chart beside it."""
        from foretell.charts import write_report

        model = self._fitted()
        if self._evaluation is None and self._record.pairs.test:
            self.evaluate()
        page = reporting.report_page(model, self._record, self._evaluation)
        return write_report(page, Path(path), png=png)

    def save(self, path: str | Path) -> Path:
        """Write the model folder (weights.safetensors, model.json); checkpoints in it are no longer needed."""
        folder.save(Path(path), self._record, self._fitted(), self._memory)
        end_run(Path(path) / CHECKPOINT)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model folder. InputError if it is cut short, changed, or from another version."""
        self = cls.__new__(cls)
        self._record, self._model, self._memory = folder.load(Path(path))
        self.settings, self._test, self._evaluation = self._record.settings, None, None
        return self

    def facts(self) -> tuple[tuple[str, str], ...]:
        """The same, a few lines for people."""
        return reporting.facts(self._fitted(), self._record)

    def _beam(self, said: int | None) -> int:
        beam = self.settings.beam if said is None else said
        fine = isinstance(beam, int) and 1 <= beam <= 1000
        require(fine, "Translator", "beam", "a whole number from 1 (greedy) to 1000", beam)
        return beam

    def _held_out(self) -> Pairs:
        """The pairs that no part of the training saw, read again where they are not in memory."""
        if self._test is None and self._record.pairs.test:
            parts = reread_parts(self.settings, self._record.origin).split
            if folder.checksum(parts) != self._record.checksum:
                raise InputError(
                    f"{self._record.origin.name}: the pairs are no longer those the model was fitted on, so which were "
                    "held out is not known; give the pairs to test as data=."
                )
            self._test = parts.test
        if self._test is None:
            raise InputError("evaluate: the model held out no pairs; give some as data=.")
        return self._test


def _sentences(text: str | Sequence[str]) -> list[str]:
    sentences = [text] if isinstance(text, str) else list(text)
    for place, sentence in enumerate(sentences, 1):
        if not isinstance(sentence, str):
            raise InputError(f"translate: sentence {place} must be text; got {sentence!r}.")
    return sentences


def _answer(found: list[Translation], n_best: int | None, scores: bool) -> Any:
    if n_best is not None:
        return found[:n_best]
    return found[0] if scores else found[0].text
