"""Sentence pairs as the command line is given them, and what it may be told of training on them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from foretell.cli.fitting import address
from foretell.cli.options import DATA, NETWORK, Words, option, said
from foretell.errors import InputError

PAIRS = f"Translations: {DATA[0].lower()}{DATA[1:]}"
TRANSLATE = f"Translations: {NETWORK[0].lower()}{NETWORK[1:]}"
# Options and the settings they are: some names belong to other jobs too.
SETTINGS = {"pieces": "vocabulary", "label_smoothing": "smoothing", "longest": "longest", "heads": "heads"} | {
    "test_pairs": "test",
    "validation_pairs": "validation",
}
LANGUAGE = re.compile(r"[a-z]{2}([-_]\w+)?|src|tgt|trg|source|target", re.IGNORECASE)  # as names of files say it


@dataclass(frozen=True)
class TrainOptions:
    """Where the pairs are, and the settings of a translator."""

    source_column: Annotated[str | None, option(PAIRS, "The sentences (default source).", "COLUMN")] = None
    target_column: Annotated[str | None, option(PAIRS, "What they mean (default target).", "COLUMN")] = None
    validation_files: Annotated[Words, option(PAIRS, "Pairs to choose the weights by.", "FILES")] = None
    test_files: Annotated[Words, option(PAIRS, "Pairs to measure with at the end.", "FILES")] = None
    validation_pairs: Annotated[int | None, option(PAIRS, "Else so many are drawn for it.")] = None
    test_pairs: Annotated[int | None, option(PAIRS, "Else so many are drawn for it.")] = None
    longest: Annotated[int | None, option(PAIRS, "Pieces of a sentence; pairs with more are left out.")] = None
    pieces: Annotated[int | None, option(TRANSLATE, "Of words, in the vocabulary.")] = None
    separate: Annotated[bool | None, option(TRANSLATE, "A vocabulary a language.", None, "--separate")] = None
    heads: Annotated[int | None, option(TRANSLATE, "Of the attention.")] = None
    label_smoothing: Annotated[float | None, option(TRANSLATE, "Share of a target given to all.")] = None

    def settings(self) -> dict[str, Any]:
        """Those that were said, as `Translator` takes them."""
        values = {SETTINGS[name]: value for name, value in said(self).items() if name in SETTINGS}
        if self.source_column or self.target_column:
            values["columns"] = (self.source_column or "source", self.target_column or "target")
        return values | ({"joint": False} if self.separate else {})


def looks_like(data: list[str]) -> bool:
    """Two files whose names differ in the language (train.en, train.de), or lines of two sentences and a tab."""
    from foretell.cli.guessing import column_names, head

    paths = [Path(one) for one in data]
    if not all(path.is_file() for path in paths):
        return False
    if len(paths) == 2:
        first, second = (path.name.split(".") for path in paths)
        changed = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
        return len(first) == len(second) and len(changed) == 1 and all(map(LANGUAGE.fullmatch, changed[0]))
    if len(paths) != 1:
        return False
    rows = [line.split("\t") for line in head(paths[0])]
    is_long = sum(len(field.split()) for row in rows for field in row) > 3 * len(rows)  # two words a field, and more
    are_pairs = is_long and all(len(row) == 2 for row in rows)
    return are_pairs or {"source", "target"} <= set(column_names(paths[0]))


def files(name: str, words: list[str] | None) -> Any:
    """One file of pairs, or two parallel ones, as `Translator.fit` takes them; None stays None."""
    if words is None:
        return None
    if len(words) > 2:
        raise InputError(f"{name}: one file of pairs, or a source and a target file; got {', '.join(words)}.")
    return address(words[0]) if len(words) == 1 else (address(words[0]), address(words[1]))
