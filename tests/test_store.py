"""Model folders: what is written is read back, whole or not at all, and every damage is an InputError."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
import torch

from foretell.errors import InputError
from foretell.store import FORMAT, SETTINGS, WEIGHTS, read_model, read_settings, write_atomic, write_model

TENSORS = {
    "a": torch.arange(6.0).view(2, 3).T,  # not contiguous
    "b": torch.tensor([1, 2], dtype=torch.int64),
    "none": torch.zeros(0, 3),
}


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "model", {"job": "forecast", "sizes": [1, 2], "note": "ä"}, TENSORS)
    return tmp_path / "model"


def test_round_trip(folder):
    settings, tensors = read_model(folder)
    assert {name: settings[name] for name in ("job", "sizes", "note")} == {
        "job": "forecast",
        "sizes": [1, 2],
        "note": "ä",
    }
    assert settings["format"] == FORMAT
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert sorted(path.name for path in folder.iterdir()) == [SETTINGS, WEIGHTS]
    assert read_settings(folder) == settings


def test_a_second_writing_replaces_the_first(folder):
    write_model(folder, {"job": "other"}, {"b": torch.zeros(1)})
    settings, tensors = read_model(folder)
    assert settings["job"] == "other"
    assert list(tensors) == ["b"]


def test_settings_are_for_people(folder):
    assert json.loads((folder / SETTINGS).read_text())["job"] == "forecast"
    assert (folder / SETTINGS).read_text().count("\n") > 3


def refused(folder, *words):
    with pytest.raises(InputError) as caught:
        read_model(folder)
    for word in (str(folder), *words):
        assert re.search(re.escape(word), str(caught.value)), f"{word!r} not in {caught.value}"
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path):
    refused(tmp_path / "nowhere", "no such model folder", "foretell train")


@pytest.mark.parametrize("name", [SETTINGS, WEIGHTS])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    refused(folder, name, "missing")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("name", [SETTINGS, WEIGHTS])
def test_a_file_cut_short(folder, name, share):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(share * len(data))])
    refused(folder, name, "cut short")


def test_a_flipped_bit_of_the_weights(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    refused(folder, WEIGHTS, "checksum")


def test_weights_of_another_model(folder, tmp_path):
    write_model(tmp_path / "other", {"job": "forecast"}, {"b": torch.zeros(1)})
    (folder / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    refused(folder, WEIGHTS, "another model")


def test_settings_changed_by_hand(folder):
    path = folder / SETTINGS
    path.write_text(path.read_text().replace("forecast", "forecaster"))
    refused(folder, SETTINGS, "changed by hand")


@pytest.mark.parametrize(("away", "said"), [(1, ("a newer version", "upgrade")), (-1, ("an older version", "train"))])
def test_another_format_is_told_before_its_checksum(folder, away, said):
    path = folder / SETTINGS
    content = json.loads(path.read_text())
    content["format"] = FORMAT + away
    path.write_text(json.dumps(content))
    refused(folder, *said)


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"format": "1"}', b"\xff\xfe", b"null"])
def test_settings_that_are_none(folder, content):
    (folder / SETTINGS).write_bytes(content)
    refused(folder, SETTINGS)


def test_settings_that_json_cannot_hold_are_refused_before_anything_is_written(folder):
    with pytest.raises(ValueError, match="JSON"):
        write_model(folder, {"loss": float("nan")}, {"b": torch.zeros(1)})
    assert read_model(folder)[1].keys() == TENSORS.keys()


def test_write_atomic_makes_folders_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IROTH


def test_a_writing_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_new_content_appears_only_when_it_is_whole(tmp_path, monkeypatch):
    """At the moment of the swap the old file is still there, and the new one is complete under another name."""
    path = tmp_path / "file"
    write_atomic(path, b"old")
    swap, seen = os.replace, []

    def spy(source, target):
        seen.append((path.read_bytes(), Path(source).read_bytes()))
        swap(source, target)

    monkeypatch.setattr(os, "replace", spy)
    write_atomic(path, b"new" * 1000)
    assert seen == [(b"old", b"new" * 1000)]
