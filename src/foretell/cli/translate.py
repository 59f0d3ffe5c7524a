"""The translator on the command line."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foretell.cli.fitting import begin_anew, summary
from foretell.cli.options import Columns, option, said, split
from foretell.cli.pairs import TrainOptions as TrainOptions
from foretell.cli.pairs import files
from foretell.cli.pairs import looks_like as looks_like
from foretell.cli.printing import print_evaluation, print_json, say
from foretell.cli.progress import ProgressLine
from foretell.cli.writing import check_ending, write_frame
from foretell.errors import InputError
from foretell.store import CHECKPOINT, REPORT, write_atomic

if TYPE_CHECKING:
    import polars as pl

    from foretell.jobs.translate import Translator
    from foretell.jobs.translating.origin import Parts

PANEL = "Translations"
LOOKED_AT = 3  # source pieces named for each piece of a translation


@dataclass(frozen=True)
class PredictOptions:
    """What to translate, and how."""

    source: Annotated[str | None, option(PANEL, "A sentence, if there is no file.", "TEXT")] = None
    beam: Annotated[int | None, option(PANEL, "Hypotheses that the search keeps; 1 is fastest.")] = None
    n_best: Annotated[int | None, option(PANEL, "Translations a sentence, best first.")] = None


@dataclass(frozen=True)
class EvaluateOptions:
    """How to measure."""

    reference: Annotated[str | None, option(PANEL, "What the sentences of DATA mean, a line each.", "FILE")] = None
    beam: Annotated[int | None, option(PANEL, "Hypotheses that the search keeps.")] = None


@dataclass(frozen=True)
class ExplainOptions:
    """Of what."""

    source: Annotated[str | None, option(PANEL, "A sentence.", "TEXT")] = None
    translation: Annotated[str | None, option(PANEL, "A translation to look at; else the model's.", "TEXT")] = None


def train(
    data: list[str], folder: Path, columns: Columns, options: TrainOptions, settings: dict[str, Any], *, quiet: bool
) -> "Translator":
    """Train on pairs, saying how they are divided; checkpoints go below the model's folder."""
    from foretell.jobs.translate import Translator

    for name in said(columns):
        raise InputError(f"--{name} is for tables of rows in time; sentence pairs have no use for it.")

    def announce(parts: "Parts") -> None:
        if not quiet:
            say(parts.describe(), "")
        begin_anew(folder)  # not before the pairs are found to be good
        progress.start()

    model = Translator(**settings, **options.settings())
    with ProgressLine() as progress:
        return model.fit(
            files("DATA", data),
            validation=files("--validation-files", split(options.validation_files)),
            test=files("--test-files", split(options.test_files)),
            checkpoint=folder / CHECKPOINT,
            progress=progress,
            announce=announce,
        )


def finish(model: "Translator", folder: Path, report: Path, *, png: bool) -> dict[str, Any]:
    """Evaluate, save and report a model that has been trained; returns what there is to say of it."""
    pairs = model.describe()["pairs"]
    found = model.evaluate() if pairs["test"] else None
    nothing = "Not evaluated: no pairs were held out."
    return summary(model, folder, report, found, nothing=nothing, png=png) | {"pairs": pairs}


def predict(model: "Translator", data: str | None, options: PredictOptions, output: str | None, as_json: bool) -> None:
    """Translate a sentence, or a file of them, a line each."""
    path = None if output is None else _output(output)
    frame = _translated(model, _sentences(data, options), options)
    if path is not None and path.suffix.lower() == ".txt":
        write_atomic(path, "".join(f"{text}\n" for text in frame["translation"]).encode())
    elif path is not None:
        write_frame(frame, path)
    if as_json:
        print_json({"translations": frame.to_dicts(), "file": output})
    elif path is not None:
        say(f"{frame.height:,} translations are in {output}")
    elif options.n_best is None:
        say(*frame["translation"])
    else:
        say(*(f"{row['score']:8.3f}  {row['translation']}" for row in frame.to_dicts()))


def evaluate(model: "Translator", data: str | None, options: EvaluateOptions, as_json: bool) -> None:
    """BLEU and chrF beside the baselines."""
    if options.reference is not None and data is None:
        raise InputError("--reference holds the meanings of the sentences of DATA; name that file too.")
    pairs = data if options.reference is None or data is None else (data, options.reference)
    found = model.evaluate(pairs, beam=options.beam)
    print_evaluation(found, ("by_length", "translations"), as_json, signatures=found.signatures)
    if not as_json:
        say("", *(f"  {name:<5} {signature}" for name, signature in found.signatures.items()))


def explain(model: "Translator", data: str | None, options: ExplainOptions, folder: Path, as_json: bool) -> None:
    """Where the decoder looked for each piece of a translation, and how sure it was."""
    if options.source is None or data is not None:
        raise InputError('explain: say which sentence with --source "...", and leave DATA out.')
    found = model.explain(options.source, options.translation)
    if as_json:
        lists = {"attention": found.attention.tolist(), "probabilities": found.probabilities.tolist()}
        print_json({"translation": found.translation, "source": found.source, "target": found.target, **lists})
        return
    say(found.translation, "")
    for piece, probability, weights in zip(found.target, found.probabilities, found.attention, strict=True):
        places = sorted(range(len(weights)), key=lambda place: -weights[place])[:LOOKED_AT]
        looked = ", ".join(f"{found.source[place].strip()} {weights[place]:.0%}" for place in places)
        say(f"  {piece.strip():<16} {probability:4.0%}  from {looked}")
    if (folder / REPORT).is_file():
        say("", f"More is in {folder / REPORT}")


def update(model: "Translator", data: str) -> str:
    """Take in new pairs; returns what there is to say."""
    model.update(data)
    return f"The pairs of {data} are remembered: their sentences are translated as they say."


def stream(model: "Translator", options: None, as_json: bool) -> None:
    """A sentence a line; its translation comes out as it is written, or as a line of JSON."""
    for line in sys.stdin:
        sentence = line.strip()
        if as_json:
            print_json({"source": sentence, "translation": "".join(model.stream(sentence))})
        else:
            for part in model.stream(sentence):
                sys.stdout.write(part)
                sys.stdout.flush()
            sys.stdout.write("\n")
        sys.stdout.flush()


def _sentences(data: str | None, options: PredictOptions) -> list[str]:
    from foretell.sequences.pairs import read_sentences

    if (data is None) == (options.source is None):
        raise InputError('predict: name a file with a sentence a line, or give one with --source "...".')
    return [options.source or ""] if data is None else read_sentences(data)


def _translated(model: "Translator", sentences: list[str], options: PredictOptions) -> "pl.DataFrame":
    """One row a translation: source, rank, translation, score."""
    import polars as pl

    found = model.translate(sentences, n_best=options.n_best or 1, beam=options.beam)
    rows = [
        {"source": sentence, "rank": rank, "translation": one.text, "score": one.score}
        for sentence, best in zip(sentences, found, strict=True)
        for rank, one in enumerate(best, 1)
    ]
    return pl.DataFrame(rows)


def _output(path: str) -> Path:
    """A text file, or a table."""
    is_text = Path(path).suffix.lower() == ".txt" and not Path(path).is_dir()
    return Path(path) if is_text else check_ending(path)
