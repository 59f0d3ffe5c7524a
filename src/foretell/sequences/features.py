"""Columns that say more about an event or an item: numbers as they are, text as codes of categories."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from foretell.errors import InputError
from foretell.sequences.columns import encode, is_numeric, read_numbers, spelled_share, vocabulary
from foretell.sequences.table import Table

MOSTLY_NUMBERS = 0.9  # text of which this share spells numbers is numbers with mistakes among them
MOST_CATEGORIES = 10_000  # text with more distinct values says which row it is, not what it is like


class FeatureSchema(BaseModel):
    """Which columns are features, and the values that those of text may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: tuple[str, ...] = ()
    categories: dict[str, tuple[str, ...]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numbers, *self.categories)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of categories of each column of text."""
        return tuple(map(len, self.categories.values()))


@dataclass(frozen=True)
class Features:
    """The features of N rows."""

    numbers: NDArray[np.float32]  # [N,F]  NaN where missing
    codes: NDArray[np.int64]  # [N,C]  from 1; 0 is missing or a category not seen before

    @classmethod
    def missing(cls, rows: int, schema: FeatureSchema) -> Self:
        """Features of which nothing is known."""
        numbers = np.full((rows, len(schema.numbers)), np.nan, np.float32)
        return cls(numbers, np.zeros((rows, len(schema.categories)), np.int64))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """The rows of all parts, one after the other."""
        parts = list(parts)
        return cls(np.concatenate([part.numbers for part in parts]), np.concatenate([part.codes for part in parts]))

    def rows(self, chosen: Any) -> Self:
        """Some rows, by a slice or an array of numbers."""
        return type(self)(self.numbers[chosen], self.codes[chosen])


def infer_features(table: Table, names: Iterable[str]) -> FeatureSchema:
    """What kind each column is. InputError if there is none of that name, or one of text with too many values."""
    numbers, categories = [], {}
    for name in names:
        column = table.column(name)
        if is_numeric(column) or spelled_share(column) >= MOSTLY_NUMBERS:
            numbers.append(name)
            continue
        categories[name] = vocabulary(column)
        if len(categories[name]) > MOST_CATEGORIES:
            raise InputError(
                f"{table.name}, column {name!r}: {len(categories[name]):,} different texts are too many for a "
                f"feature; up to {MOST_CATEGORIES:,} are allowed. Name another column, or group the values."
            )
    return FeatureSchema(numbers=tuple(numbers), categories=categories)


def read_features(table: Table, schema: FeatureSchema) -> Features:
    """The features of every row of a table; a column that the table lacks is missing everywhere.

    Raises:
        InputError: a value that is no number in a column of numbers; the message names its row.
    """
    features = Features.missing(table.frame.height, schema)
    for place, name in enumerate(schema.numbers):
        if name in table.frame.columns:
            features.numbers[:, place] = read_numbers(table, name)
    for place, (name, categories) in enumerate(schema.categories.items()):
        if name in table.frame.columns:
            features.codes[:, place] = encode(table.column(name), categories)
    return features
