"""What is known of items apart from who took them: a table with one row an item."""

import numpy as np
import polars as pl

from foretell.errors import InputError, require_known
from foretell.sequences.columns import is_numeric
from foretell.sequences.events import ITEM_NAMES, codes_of, first_of, identities
from foretell.sequences.features import Features, FeatureSchema, infer_features, read_features
from foretell.sequences.table import Table

MOST_DISTINCT = 0.5  # text with more distinct values than this share of the rows is a name or a title, no category


def read_catalogue(
    table: Table, items: tuple[str, ...], item: str, schema: FeatureSchema | None = None
) -> tuple[FeatureSchema, Features]:
    """The features of these items; those that the table lacks have none, rows of other items are passed over.

    Args:
        table: one row an item; every column but the item's is a feature, but for text that tells items apart.
        items: V names.
        item: the item column of the events; the table's is named alike, or as items usually are.
        schema: that of an earlier table, to be read alike.

    Raises:
        InputError: no column of items, or an item on two rows.
    """
    columns = table.frame.columns
    name = item if item in columns else first_of(columns, ITEM_NAMES, set())
    if name is None:
        require_known(table.name, "column", [item], columns)
    assert name is not None  # require_known has raised otherwise
    names = identities(table, name)
    twice = names.is_duplicated().arg_true()
    if len(twice):
        row = int(twice[-1])
        raise InputError(f"{table.where(row, name)}: item {names[row]!r} has a row already. Keep one row an item.")
    if schema is None:
        schema = infer_features(table, [one for one in columns if one != name and _is_feature(table, one)])
    features = read_features(table, schema)
    place = codes_of(pl.Series(items, dtype=pl.String), names)
    rows = np.where(place >= 0, place, 0)
    missing = Features.missing(len(items), schema)
    found = (place >= 0)[:, None]
    return schema, Features(
        np.where(found, features.numbers[rows], missing.numbers), np.where(found, features.codes[rows], 0)
    )


def _is_feature(table: Table, name: str) -> bool:
    column = table.column(name)
    return is_numeric(column) or column.n_unique() <= max(2, MOST_DISTINCT * len(column))
