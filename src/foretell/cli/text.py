"""The language model on the command line."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from foretell.cli.fitting import address, begin_anew, summary
from foretell.cli.guessing import head
from foretell.cli.options import Columns, Words, option, said
from foretell.cli.printing import print_evaluation, print_json, say
from foretell.cli.progress import ProgressLine
from foretell.errors import InputError
from foretell.store import CHECKPOINT, REPORT, write_atomic

if TYPE_CHECKING:
    from foretell.jobs.text import LanguageModel

TEXT = "Texts"
PROSE = (".txt", ".text", ".md", ".rst")
SEPARATORS = ",;\t|"
LETTERS = 0.5  # of what is no space, in prose
UNITS = 8  # of those that carry most, on the terminal


@dataclass(frozen=True)
class TrainOptions:
    """The settings of a language model."""

    tokens: Annotated[str | None, option(TEXT, "characters, bytes or bpe (pieces of words).", "KIND")] = None
    vocabulary: Annotated[int | None, option(TEXT, "How many tokens bpe learns.")] = None
    held_out: Annotated[float | None, option(TEXT, "Share of the text kept for the test, at its end.")] = None
    lanes: Annotated[int | None, option(TEXT, "Stretches of the text read side by side.")] = None
    steps: Annotated[int | None, option(TEXT, "Tokens that a gradient looks back.")] = None
    ngrams: Annotated[int | None, option(TEXT, "Tokens of the longest n-gram mixed in; 0: the LSTM alone.")] = None
    weight_drop: Annotated[float | None, option(TEXT, "Share of recurrent weights dropped in training.")] = None


@dataclass(frozen=True)
class PredictOptions:
    """How a text goes on."""

    prompt: Annotated[str | None, option(TEXT, "What the text begins with.")] = None
    length: Annotated[int | None, option(TEXT, "The most tokens to write (default 500).")] = None
    temperature: Annotated[float | None, option(TEXT, "Above 1 wilder, below bolder, 0 the likeliest.")] = None
    top_k: Annotated[int | None, option(TEXT, "Draw from the likeliest so many.")] = None
    top_p: Annotated[float | None, option(TEXT, "Draw from the likeliest of this probability.")] = None
    repetition: Annotated[float | None, option(TEXT, "Above 1: avoid what was there before.")] = None
    stop: Annotated[Words, option(TEXT, "End before this text; may be repeated.", "TEXT")] = None
    seed: Annotated[int | None, option(TEXT, "The same gives the same text.")] = None


def looks_like(data: list[str]) -> bool:
    """Prose in files that end as texts do, in a folder, or fitting a pattern: letters, and no columns."""
    if len(data) == 2:  # side by side they are one text in two languages
        return False
    return all(_is_prose(one) for one in data)


def train(
    data: list[str], folder: Path, columns: Columns, options: TrainOptions, settings: dict[str, Any], *, quiet: bool
) -> "LanguageModel":
    """Train on texts; checkpoints go below the model's folder."""
    from foretell.jobs.text import LanguageModel

    for name in said(columns):
        raise InputError(f"--{name} is about tables; a text has no columns.")
    model = LanguageModel(**settings, **said(options))

    def announce(words: str) -> None:
        if not quiet:
            say(words, "")
        begin_anew(folder)  # not before the text is found to be good
        progress.start()

    with ProgressLine() as progress:
        return model.fit(
            [address(one) for one in data], checkpoint=folder / CHECKPOINT, progress=progress, announce=announce
        )


def finish(model: "LanguageModel", folder: Path, report: Path, *, png: bool) -> dict[str, Any]:
    """Measure, save and report a model that has been trained; returns what there is to say of it."""
    found = model.evaluate() if model.settings.held_out else None
    return summary(model, folder, report, found, nothing="Not evaluated: no text was held out.", png=png)


def predict(
    model: "LanguageModel", data: str | None, options: PredictOptions, output: str | None, as_json: bool
) -> None:
    """Write on, as it comes, from a prompt or from the text in a file."""
    values = said(options)
    if data is not None:
        if "prompt" in values:
            raise InputError("--prompt: give either it or a file that holds the prompt.")
        values["prompt"] = _file_text(data)
    prompt = values.get("prompt", "")
    pieces = model.generate(**values)
    if not as_json and output is None:
        _print_pieces(prompt, pieces)
        return
    text = "".join(pieces)
    if output is not None:
        write_atomic(Path(output), (prompt + text).encode())
    if as_json:
        print_json({"prompt": prompt, "text": text, "file": output})
    else:
        say(f"{len(text):,} characters are in {output}")


def evaluate(model: "LanguageModel", data: str | None, options: None, as_json: bool) -> None:
    """Bits of text beside the n-gram models."""
    found = model.evaluate(data)
    print_evaluation(found, (), as_json)


def explain(model: "LanguageModel", data: str | None, options: None, folder: Path, as_json: bool) -> None:
    """What the units carry, and how long the memory lasts."""
    found = model.explain(data)
    units, half_life = found.units.to_dicts(), found.half_life.to_dicts()
    if as_json:
        print_json({"units": units, "half_life": half_life})
        return
    for row in units[:UNITS]:
        say(f"{row['feature']}: layer {row['layer']}, unit {row['unit']}, correlation {row['correlation']:.2f}")
    lives = sorted(row["tokens"] for row in half_life)
    middle, longest = lives[len(lives) // 2], lives[-1]
    say(
        "",
        f"Half of the {len(lives)} cells let go of half their content within {middle:.2g} tokens; the one that holds "
        f"on longest takes {longest:,.0f}.",
    )
    if (folder / REPORT).is_file():
        say(f"The text in the colours of its surprise is in {folder / REPORT}")


def update(model: "LanguageModel", data: str) -> str:
    """Read a text without training; returns what there is to say."""
    text = _file_text(data)
    model.update(text)
    return f"The {len(text):,} characters of {data} are read: what is written next goes on after them."


def stream(model: "LanguageModel", options: None, as_json: bool) -> None:
    """A line of text in, a line of JSON out: how surprising it was, and what may come next."""
    live, ending = model.stream(), _line_end(model)
    for number, line in enumerate(sys.stdin, 1):
        try:
            found = live.step(line.rstrip("\n") + ending)
        except InputError as error:
            raise InputError(f"stdin, line {number}: {error}") from None
        mean = float(found.surprise.mean()) if len(found.surprise) else None
        following = dict(zip(found.tokens, found.probabilities, strict=True))
        print_json({"line": number, "tokens": len(found.surprise), "nats_a_token": mean, "next": following})
        sys.stdout.flush()


def _print_pieces(prompt: str, pieces: Iterator[str]) -> None:
    sys.stdout.write(prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def _file_text(path: str) -> str:
    from foretell.sequences.documents import read_documents

    return read_documents(path).texts[0]


def _line_end(model: "LanguageModel") -> str:
    """A line break, unless the model has never seen one."""
    try:
        model.score("\n")
    except InputError:
        return ""
    return "\n"


def _is_prose(source: str) -> bool:
    path = Path(source)
    if not path.is_file():
        return path.is_dir() or "*" in source
    if path.suffix.lower() not in PROSE:
        return False
    lines = [line.strip() for line in head(path)]
    return bool(lines) and not _has_columns(lines) and _is_mostly_letters("".join(lines))


def _has_columns(lines: list[str]) -> bool:
    """Do all lines have equally many of some separator? Two lines of prose may have, but for tabs."""
    marks = SEPARATORS if len(lines) > 2 else "\t"
    counts = [{line.count(mark) for line in lines} for mark in marks]
    return any(len(count) == 1 and count != {0} for count in counts)


def _is_mostly_letters(text: str) -> bool:
    shown = [one for one in text if not one.isspace()]
    return sum(one.isalpha() for one in shown) > LETTERS * len(shown)
