"""Features of items, from a table with one row an item."""

import numpy as np
import pytest

from foretell.errors import InputError
from foretell.sequences.catalogue import read_catalogue
from foretell.sequences.table import read_table

TABLE = {
    "item": ["y", "x", "other", "z"],
    "price": [2.0, 1.0, 9.0, None],
    "kind": ["b", "a", "b", "a"],
    "title": ["Y", "X", "O", "Z"],
}


def test_rows_are_found_by_the_name_of_the_item():
    schema, features = read_catalogue(read_table(TABLE), ("x", "y", "missing"), "item")
    assert schema.names == ("price", "kind")  # a title tells items apart: it is no category
    np.testing.assert_array_equal(features.numbers, [[1.0], [2.0], [np.nan]])
    np.testing.assert_array_equal(features.codes, [[1], [2], [0]])


def test_an_item_on_two_rows_is_refused():
    with pytest.raises(InputError, match=r"row 2, column 'sku': item 'a' has a row already"):
        read_catalogue(read_table({"sku": ["a", "a"], "price": [1, 2]}), ("a",), "item")


def test_a_table_without_items_is_refused():
    with pytest.raises(InputError, match="unknown column 'item'"):
        read_catalogue(read_table({"name": ["a"], "price": [1]}), ("a",), "item")
