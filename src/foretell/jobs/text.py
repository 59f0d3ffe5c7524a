"""The language model: from a text to its continuation, and to how likely any text is."""

import time as clock
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import polars as pl

from foretell.errors import InputError, require
from foretell.jobs.language import folder
from foretell.jobs.language.corpus import Corpus, checksum, make_corpus, make_tokenizer, whole
from foretell.jobs.language.evaluation import TextEvaluation, evaluate, score_text
from foretell.jobs.language.explaining import TextExplanation, explain
from foretell.jobs.language.fitting import choose_config, fit_network
from foretell.jobs.language.mixture import choose_mixture
from foretell.jobs.language.model import Model
from foretell.jobs.language.sampling import Sampling
from foretell.jobs.language.settings import Settings
from foretell.jobs.language.stepper import Stepper, fresh_context
from foretell.jobs.language.streaming import TextStream
from foretell.jobs.language.writing import write
from foretell.jobs.runs import curve_rows, end_run, read_run, running
from foretell.jobs.trained import TrainedJob
from foretell.sequences.documents import Documents, Source, as_documents, read_documents
from foretell.sequences.tokens import Tokenizer
from foretell.store import CHECKPOINT
from foretell.training.loop import Progress


class LanguageModel(TrainedJob[Model, folder.Record]):
    """Reads texts token by token and learns what comes next.

    Args:
        settings: see `Settings`: tokens ("characters", "bytes" or "bpe"), vocabulary, held_out, validation, hidden,
            layers, embedding, tied, softmax, samples, ngrams, dropout, input_dropout, weight_drop, recurrent_dropout,
            activation_penalty, change_penalty, lanes, steps, epochs, learning_rate, weight_decay, seed.

    After `fit`: `training_` (the training curve), `seconds_`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings.of(**settings)
        self._model: Model | None = None

    def fit(
        self,
        data: Source | None = None,
        *,
        text: str | list[str] | None = None,
        warm: bool = False,
        checkpoint: str | Path | None = None,
        progress: Progress | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> Self:
        """Train on files, folders or patterns, or on a `text` in memory; the state never crosses from file to file.

        `warm` fine-tunes the weights there are instead of starting anew. With a `checkpoint` folder the run can be
        killed and resumed, see `resume`. `announce` is called with a sentence about the text before training,
        `progress` after each epoch.

        Raises:
            InputError: no such file, not UTF-8, or too little text; the message names the place.
        """
        require(not (warm and checkpoint), "fit", "checkpoint", "left out when warm=True", checkpoint)
        documents, sources = _documents(data, text, "fit")
        return self._train(documents, sources, checkpoint, progress, announce, self._fitted() if warm else None)

    @classmethod
    def resume(
        cls,
        checkpoint: str | Path,
        data: Source | None = None,
        *,
        text: str | list[str] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Go on with a training run that was killed; it ends with the weights it would have ended with.

        `data` or `text` is needed if the files have moved, or there were none. InputError if the text has changed.
        """
        run = read_run(Path(checkpoint), folder.Run)
        if data is None and text is None and run.sources is None:
            raise InputError(f"{checkpoint}: the run was fitted on a text in memory; give the same as text=.")
        documents, _ = _documents(data or (run.sources if text is None else None), text, "resume")
        self = cls.__new__(cls)
        self.settings, self._model = run.settings, None
        return self._train(documents, run.sources, checkpoint, progress)

    def _train(
        self,
        documents: Documents,
        sources: tuple[str, ...] | None,
        checkpoint: str | Path | None,
        progress: Progress | None,
        announce: Callable[[str], None] | None = None,
        warm: Model | None = None,
    ) -> Self:
        began = clock.perf_counter()
        tokenizer: Tokenizer = warm.tokenizer if warm else make_tokenizer(documents, self.settings)
        corpus = make_corpus(documents, tokenizer, self.settings)
        config = warm.network.config if warm else choose_config(tokenizer.size, self.settings)
        if announce:
            announce(_sentence(documents, corpus, config.tokens, self.settings))
        place = Path(checkpoint) if checkpoint is not None else None
        of_texts = checksum(documents)
        with running(place, lambda: folder.Run(settings=self.settings, sources=sources, checksum=of_texts)):
            network, curve = fit_network(
                corpus,
                config,
                self.settings,
                warm=warm.network if warm else None,
                checkpoint=place,
                progress=progress,
            )
        mixture = choose_mixture(network, corpus, self.settings, warm.mixture if warm else None)
        self._record = folder.Record(
            settings=self.settings,
            config=config,
            ngrams=folder.ngram_record(mixture),
            tokenizer=tokenizer.to_json(),
            sources=sources,
            checksum=of_texts,
            documents=len(documents.texts),
            characters=documents.characters,
            tokens=(len(corpus.train.tokens), len(corpus.validation.tokens), len(corpus.held_out.tokens)),
            training=curve_rows(curve),
            seconds=clock.perf_counter() - began,
            headline=None,
            scores=[],
        )
        self._model = Model(self.settings, tokenizer, network, mixture)
        self._stepper = Stepper(self._model, fresh_context(network))  # in the context that `update` moves
        self._corpus: Corpus | None = corpus
        self._found: TextEvaluation | None = None  # of the held-out text
        return self

    def generate(
        self,
        prompt: str = "",
        length: int = 500,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """The continuation of a prompt, in pieces as they come: at most `length` tokens, up to the first stop string.

        It goes on from the text taken in by `update`, if any. A token costs the same however long the text is.
        temperature=0 always takes the likeliest token; `repetition` above 1 multiplies ln p of tokens that were
        there before. The same `seed` gives the same text. InputError for settings out of range, and for a
        character in the prompt that the model does not know.
        """
        model = self._fitted()
        sampling = Sampling(temperature, top_k, top_p, repetition)
        return write(self._stepper.copy(), model.tokenizer, prompt, length, sampling, stop, seed)

    def score(self, text: str) -> pl.DataFrame:
        """How likely a text is, after what `update` took in: token, log_probability (ln p), in order."""
        model = self._fitted()
        documents = as_documents(text)
        return score_text(model, self._stepper.save(), documents.texts[0])

    def stream(self) -> TextStream:
        """The model after the text taken in by `update`, to be fed piece by piece; it does not change the model."""
        model = self._fitted()
        return TextStream(self._stepper.copy(), model.tokenizer)

    def update(self, text: str) -> Self:
        """Read a text without training: `generate`, `score` and `stream` then go on after it."""
        model = self._fitted()
        for token in model.tokenizer.encode(as_documents(text).texts[0]).tolist():
            self._stepper.step(token)
        return self

    def evaluate(
        self, data: Source | None = None, *, text: str | list[str] | None = None, lanes: int | None = None
    ) -> TextEvaluation:
        """Score the held-out end of the text, or another text, beside the LSTM alone and n-grams.

        The text trained on, given again, is scored at its held-out end; another one from its beginning to its end.
        A long text is read in up to 16 stretches side by side, each after 1,024 tokens before it; lanes=1 carries
        the state through all of it.
        """
        model = self._fitted()
        if data is not None or text is not None:
            documents, _ = _documents(data, text, "evaluate")
            if checksum(documents) != self._record.checksum:
                seen = self._corpus.seen if self._corpus else None
                return evaluate(model, whole(documents, model.tokenizer), seen, False, lanes=lanes)
            self._corpus = make_corpus(documents, model.tokenizer, self._record.settings)
        corpus = self._own_corpus("evaluate")
        if not len(corpus.held_out.tokens):
            raise InputError("evaluate: the model was fitted with held_out=0; give a text that it has not seen.")
        found = evaluate(model, corpus.held_out, corpus.seen, True, lanes=lanes)
        self._found, self._record.headline, self._record.scores = found, found.headline, found.summary.to_dicts()
        return found

    def explain(self, data: Source | None = None, *, text: str | list[str] | None = None) -> TextExplanation:
        """What the units carry and what surprises the model, over the first 4,096 tokens of the held-out text.

        With `data` or `text`, of that text; of a model without held-out text, of the validation part, which the
        n-grams have seen, so that the network alone is surprised.
        """
        model = self._fitted()
        if data is not None or text is not None:
            return explain(model, whole(_documents(data, text, "explain")[0], model.tokenizer).tokens)
        corpus = self._own_corpus("explain")
        if len(corpus.held_out.tokens):
            return explain(model, corpus.held_out.tokens)
        return explain(replace(model, mixture=None), corpus.validation.tokens)

    def report(
        self,
        path: str | Path,
        *,
        data: Source | None = None,
        text: str | list[str] | None = None,
        png: bool = False,
    ) -> Path:
        """Write report.html, which opens without a network, and on request a PNG of each chart beside it.

        `data` or `text` is a text to measure and to look at instead of the held-out one.
        """
        from foretell.charts import write_report
        from foretell.charts.text import text_page
        from foretell.jobs.language.reporting import text_contents

        model = self._fitted()
        measured = self._found if data is None and text is None else self.evaluate(data, text=text)
        if measured is None and self.settings.held_out:
            measured = self.evaluate()
        page = text_page(text_contents(model, self._record, measured, self.explain(data, text=text)))
        return write_report(page, Path(path), png=png)

    def save(self, path: str | Path) -> Path:
        """Write the model folder (weights.safetensors, model.json); a checkpoint in it is no longer needed."""
        model = self._fitted()
        folder.save(Path(path), self._record, model, self._stepper.save())
        end_run(Path(path) / CHECKPOINT)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model folder. InputError if it is cut short, changed, or from another version."""
        record, model, context = folder.load(Path(path))
        self = cls.__new__(cls)
        self.settings, self._model, self._record = record.settings, model, record
        self._stepper, self._corpus, self._found = Stepper(model, context), None, None
        return self

    def facts(self) -> tuple[tuple[str, str], ...]:
        """The same, a few lines for people."""
        from foretell.jobs.language.reporting import facts

        return facts(self._fitted(), self._record)

    def _own_corpus(self, verb: str) -> Corpus:
        """The text that the model was fitted on, read again if need be; InputError if it is gone or has changed."""
        model = self._fitted()
        if self._corpus is None:
            if self._record.sources is None:
                raise InputError(f"{verb}: the model holds no text; give one as data= or text=.")
            documents = read_documents(self._record.sources)
            if checksum(documents) != self._record.checksum:
                raise InputError(
                    f"{verb}: {', '.join(self._record.sources)} has changed since the training; give a text as data=."
                )
            self._corpus = make_corpus(documents, model.tokenizer, self._record.settings)
        return self._corpus


def _documents(
    data: Source | None, text: str | list[str] | None, verb: str
) -> tuple[Documents, tuple[str, ...] | None]:
    """The texts, and their files' full paths if they come from files."""
    if (data is None) == (text is None):
        raise InputError(f"{verb}: give either files as data= or the text itself as text=.")
    if text is not None:
        return as_documents(text), None
    assert data is not None
    documents = read_documents(data)
    return documents, tuple(str(Path(name).resolve()) for name in documents.names)


def _sentence(documents: Documents, corpus: Corpus, tokens: int, settings: Settings) -> str:
    count = len(documents.texts)
    return (
        f"{count:,} text{'s' if count > 1 else ''} of {documents.characters:,} characters, read as {settings.tokens} "
        f"({tokens:,} different): {len(corpus.train.tokens):,} tokens to train on, "
        f"{len(corpus.validation.tokens):,} to validate, {len(corpus.held_out.tokens):,} held out."
    )
