"""Public data sets that are no tables, from files made here."""

import dataclasses
import hashlib

import pytest

from foretell.errors import InputError
from foretell.sequences import datasets
from foretell.sequences.corpora import CORPORA


def test_every_entry_is_complete():
    for name, corpus in CORPORA.items():
        assert corpus.name == name
        assert all((corpus.title, corpus.licence, corpus.folder, corpus.split, corpus.home.startswith("https://")))
        for file in corpus.files:
            assert len(file.sha256) == 64
            assert file.address is not None
            assert file.address.startswith("https://")


def test_files_are_found_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_DATA", str(tmp_path))
    corpus = CORPORA["tinyshakespeare"]
    (tmp_path / corpus.folder).mkdir()
    path = tmp_path / corpus.folder / "input.txt"
    path.write_text("To be")
    with pytest.raises(InputError, match="checksum"):
        datasets.files("tinyshakespeare")
    fits = dataclasses.replace(corpus.files[0], sha256=hashlib.sha256(b"To be").hexdigest())
    monkeypatch.setitem(CORPORA, corpus.name, dataclasses.replace(corpus, files=(fits,)))
    assert datasets.files("tinyshakespeare") == [path]


def test_an_unknown_name():
    with pytest.raises(InputError, match="Did you mean 'multi30k'"):
        datasets.files("multi30")
