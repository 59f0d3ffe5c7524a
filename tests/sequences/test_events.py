"""Event logs against a plain reading of them, and what is said of broken ones."""

import gzip
from collections import defaultdict

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import InputError
from foretell.sequences.events import is_user_a_line, joined, read_events, recoded, without_strangers

ROWS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyzw"), st.integers(0, 4)), min_size=1, max_size=30)


def frame(rows):
    return pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")


def plainly(rows):
    """Each user's items in order of time, then of row; a row that repeats another is no event."""
    found = defaultdict(list)
    for user, item, time in dict.fromkeys(rows):
        found[user].append((time, item))
    return {user: [item for _, item in sorted(events, key=lambda event: event[0])] for user, events in found.items()}


def as_dict(events):
    return {
        user: [events.items[code] for code in events.item[events.of_user(number)]]
        for number, user in enumerate(events.users)
    }


@given(ROWS)
def test_a_log_is_read_as_said(rows):
    events, schema = read_events(frame(rows))
    assert as_dict(events) == plainly(rows)
    assert events.repeated == len(rows) - len(set(rows))
    assert (schema.user, schema.item, schema.time) == ("user", "item", "time")
    assert all((np.diff(events.times[events.of_user(user)]) >= 0).all() for user in range(len(events.users)))


@given(ROWS)
def test_without_times_rows_are_in_order_and_repeats_are_events(rows):
    events, schema = read_events(frame(rows).drop("time"))
    expected = defaultdict(list)
    for user, item, _ in rows:
        expected[user].append(item)
    assert as_dict(events) == expected
    assert list(events.users) == list(expected)
    assert schema.time is None
    assert events.repeated == 0


@given(ROWS, ROWS)
def test_new_events_come_behind_old_ones(old, new):
    later = [(user, item, time + 10) for user, item, time in new]
    before, after = (read_events(frame(rows))[0] for rows in (old, later))
    both = joined(before, after)
    assert as_dict(both) == plainly(old + later)
    assert both.items[: len(before.items)] == before.items
    assert both.users[: len(before.users)] == before.users


@given(ROWS)
def test_codes_can_begin_with_other_items(rows):
    events, _ = read_events(frame(rows))
    other = recoded(events, ("never", "x"))
    assert other.items[:2] == ("never", "x")
    assert as_dict(other) == as_dict(events)
    few, place = without_strangers(other, 2)
    assert as_dict(few) == {user: [item for item in items if item == "x"] for user, items in as_dict(events).items()}
    kept = place >= 0
    np.testing.assert_array_equal(few.item[place[kept]], other.item[kept])


def test_one_user_a_line(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("7 30 10 30\n\n8 10\n")
    events, schema = read_events(path)
    assert as_dict(events) == {"7": ["30", "10", "30"], "8": ["10"]}
    assert schema.time is None
    assert events.times is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3\n", "line 2: user '3' has no items"),
        ("1 2\n3 4\n1 5\n", "line 3: user '1' stands on line 1 already"),
    ],
)
def test_a_broken_line_is_named(tmp_path, text, message):
    path = tmp_path / "log.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_events(path)


def test_a_byte_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"1 2\n3 \xff\n")
    with pytest.raises(InputError, match=r"line 2: byte 0xff is not UTF-8"):
        read_events(path)


def test_a_table_with_the_ending_txt_is_a_table(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("user,item\na,x\na,y\n")
    assert not is_user_a_line(path)
    assert as_dict(read_events(path)[0]) == {"a": ["x", "y"]}


def test_every_kind_of_source_reads_alike(tmp_path):
    table = frame([("a", "x", 2), ("b", "y", 1), ("a", "y", 1)])
    table.write_csv(tmp_path / "log.csv")
    table.write_parquet(tmp_path / "log.parquet")
    table.write_ndjson(tmp_path / "log.jsonl")
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress((tmp_path / "log.csv").read_bytes()))
    files = [tmp_path / f"log.{ending}" for ending in ("csv", "csv.gz", "parquet", "jsonl")]
    frames = [table, pd.DataFrame(table.to_dict(as_series=False)), table.to_arrow(), table.to_dicts()]
    for source in [*files, *frames]:
        assert as_dict(read_events(source)[0]) == {"a": ["y", "x"], "b": ["y"]}


def test_columns_are_told_by_their_names_or_said():
    table = pl.DataFrame({"sku": [5, 6], "customer_id": [1, 1], "date": ["2024-01-02", "2024-01-01"]})
    events, _ = read_events(table)
    assert as_dict(events) == {"1": ["6", "5"]}
    other = table.rename({"sku": "what", "customer_id": "who", "date": "when"})
    assert as_dict(read_events(other, "who", "what", "when")[0]) == as_dict(events)
    with pytest.raises(InputError, match=r"no column is named like a user .* The columns are what, who, when"):
        read_events(other)
    with pytest.raises(InputError, match=r"unknown column 'whoo'. Did you mean 'who'"):
        read_events(other, "whoo", "what")
    with pytest.raises(InputError, match="must be different columns"):
        read_events(other, "who", "who")


def test_whole_numbers_with_gaps_elsewhere_keep_their_names():
    assert read_events(pl.DataFrame({"user": [1.0, 2.0], "item": [3.0, 4.0]}))[0].items == ("3", "4")


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("user", ["a", None], r"row 2, column 'user': the cell is empty"),
        ("item", [1.5, 2.0], r"row 1, column 'item': 1.5 is neither a name nor a whole number"),
        ("time", ["2024-01-01", "soon"], r"row 2, column 'time': 'soon' cannot be read as a time"),
    ],
)
def test_a_broken_cell_is_named(column, values, message):
    table = {"user": ["a", "b"], "item": ["x", "y"], "time": [1, 2], column: values}
    with pytest.raises(InputError, match=message):
        read_events(table)


def test_an_event_before_those_known_is_refused():
    old, new = (read_events(frame([("a", "x", time)]))[0] for time in (5, 4))
    with pytest.raises(InputError, match="new events of user 'a' is earlier than the last one known"):
        joined(old, new)


def test_features_of_events_go_with_their_events():
    table = {"user": "ab", "item": "xy", "time": [2, 1], "price": [3.0, None], "channel": ["web", "shop"]}
    table = {name: list(values) for name, values in table.items()}
    events, schema = read_events(table, features=["price", "channel"])
    np.testing.assert_array_equal(events.context.numbers, [[3.0], [np.nan]])
    np.testing.assert_array_equal(events.context.codes, [[2], [1]])
    assert schema.context.names == ("price", "channel")
    later, _ = read_events({"user": ["a"], "item": ["x"], "time": [3], "channel": ["phone"]}, schema=schema)
    np.testing.assert_array_equal(later.context.codes, [[0]])
    assert np.isnan(later.context.numbers).all()
