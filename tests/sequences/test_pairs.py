"""Sentence pairs: every way to give them, and every mistake named by its place."""

import gzip

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import InputError
from foretell.sequences.pairs import read_pairs, read_sentences

SOURCE, TARGET = ("one dog", "two dogs"), ("ein Hund", "zwei Hunde")
TEXT = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1)
SENTENCES = TEXT.filter(str.strip)


def write(folder, name, text):
    path = folder / name
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


LINES = "one dog\tein Hund\ntwo dogs\tzwei Hunde\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.tsv", LINES),
        ("pairs.tsv", LINES.removesuffix("\n")),
        ("pairs.tsv", "source\ttarget\n" + LINES),
        ("pairs.tsv", "\ufeff" + LINES.replace("\n", "\r\n")),
        ("pairs.txt", LINES),
        ("pairs.tsv.gz", LINES),
        ("pairs.csv", "source,target\none dog,ein Hund\ntwo dogs,zwei Hunde\n"),
        ("pairs.jsonl", '{"source":"one dog","target":"ein Hund"}\n{"source":"two dogs","target":"zwei Hunde"}\n'),
    ],
)
def test_one_file(tmp_path, name, text):
    pairs = read_pairs(write(tmp_path, name, text))
    assert (pairs.source, pairs.target) == (SOURCE, TARGET)
    assert name in pairs.name


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_two_parallel_files(tmp_path, ending):
    paths = tuple(
        write(tmp_path, f"train.{name}{ending}", "\n".join(lines) + "\n")
        for name, lines in (("en", SOURCE), ("de", TARGET))
    )
    pairs = read_pairs(paths)
    assert (pairs.source, pairs.target) == (SOURCE, TARGET)


@pytest.mark.parametrize(
    "data",
    [
        list(zip(SOURCE, TARGET, strict=True)),
        {"source": list(SOURCE), "target": list(TARGET)},
        pl.DataFrame({"source": SOURCE, "target": TARGET}),
        pd.DataFrame({"source": SOURCE, "target": TARGET}),
    ],
    ids=["tuples", "dict", "polars", "pandas"],
)
def test_pairs_in_memory(data):
    pairs = read_pairs(data)
    assert (pairs.source, pairs.target) == (SOURCE, TARGET)


def test_columns_by_other_names():
    assert read_pairs(pl.DataFrame({"en": SOURCE, "de": TARGET}), ("en", "de")).target == TARGET


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=5))
def test_whatever_unicode_holds_a_line_ends_at_a_line_feed_only(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("pairs")
    text = "".join(f"{first}\t{second}\n" for first, second in rows)
    if text.startswith("\ufeff"):
        text = "\ufeff" + text  # a file's first one is its mark
    pairs = read_pairs(write(folder, "pairs.tsv", text))
    assert list(zip(pairs.source, pairs.target, strict=True)) == [(a.strip(), b.strip()) for a, b in rows]


def test_lines_blank_on_both_sides_are_left_out_and_counted(tmp_path):
    pairs = read_pairs(write(tmp_path, "pairs.tsv", LINES + "\n \t \n" + LINES))
    assert (len(pairs), pairs.blank) == (4, 2)


def test_parallel_files_of_different_lengths(tmp_path):
    paths = (write(tmp_path, "a.en", "x\ny\nz\n"), write(tmp_path, "a.de", "x\ny\n"))
    with pytest.raises(InputError, match=r"a\.en has 3 lines and a\.de 2: line 3 of a\.en \('z'\) has no partner"):
        read_pairs(paths)
    with pytest.raises(InputError, match=r"line 3 of a\.en"):
        read_pairs(paths[::-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\tc d\nno tab here\n", r"p\.tsv, line 2: must hold .* got 1 field \('no tab here'\)"),
        ("a\tb\nc\td\te\n", r"p\.tsv, line 2: .* got 3 fields"),
        ("a\tb\n\tc\n", r"p\.tsv, line 2: the source sentence is empty, but its partner is 'c'"),
        ("a\tb\nc\t \n", r"p\.tsv, line 2: the target sentence is empty, but its partner is 'c'"),
        ("source\ttarget\nc\t\n", r"p\.tsv, line 2: the target"),
        ("", r"p\.tsv: the file is empty"),
        (" \t \n", "the file is empty|no sentence pairs"),
        (b"a\tb\nc\t\xff\n", r"p\.tsv, line 2, byte 7 of the file: 0xff is not UTF-8"),
        ("a\tb\n".encode("utf-16"), r"p\.tsv: the file is UTF-16"),
    ],
)
def test_mistakes_in_a_file(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_pairs(write(tmp_path, "p.tsv", text))


def test_an_empty_line_in_one_of_two_files(tmp_path):
    paths = (write(tmp_path, "a.en", "x\n\nz\n"), write(tmp_path, "a.de", "x\ny\nz\n"))
    with pytest.raises(InputError, match=r"a\.en and a\.de, line 2: the source sentence is empty"):
        read_pairs(paths)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([("a", "b"), ("c",)], r"list of pairs, place 2: must be \(source sentence, target sentence\)"),
        (["a.en", "a.de"], r"place 1: .*; got .*a\.en.* Two parallel files are given as a tuple"),
        ([("a", 1)], "place 1"),
        ([], "no sentence pairs"),
        (pl.DataFrame({"source": ["a"], "traget": ["b"]}), "unknown column 'target'. Did you mean 'traget'"),
        (pl.DataFrame({"source": ["a"], "target": [1]}), "column 'target': must hold sentences; got Int64"),
        (pl.DataFrame({"source": ["a", "b"], "target": ["c", None]}), "row 2: the target sentence is empty"),
    ],
)
def test_mistakes_in_memory(data, message):
    with pytest.raises(InputError, match=message):
        read_pairs(data)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="this is a folder"):
        read_pairs((tmp_path, tmp_path))
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(write(tmp_path, "pairs.tsv", LINES).rename(tmp_path / "broken.tsv.gz"))


def test_sentences_keep_their_blank_lines(tmp_path):
    assert read_sentences(write(tmp_path, "a.en", "x\n\nz\r\n")) == ["x", "", "z"]
