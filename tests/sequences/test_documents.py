"""Texts from files, folders and patterns, and what is said of those that cannot be read."""

import pytest

from foretell.errors import InputError
from foretell.sequences.documents import as_documents, read_documents


def test_a_file_several_a_folder_and_a_pattern(tmp_path):
    for name, text in {"b.txt": "two", "a.md": "one", "c.csv": "1,2", "empty.txt": ""}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.rst").write_text("four")
    assert read_documents(tmp_path / "b.txt").texts == ("two",)
    assert read_documents([tmp_path / "b.txt", tmp_path / "a.md", tmp_path / "b.txt"]).texts == ("two", "one")
    assert read_documents(tmp_path).texts == ("one", "two", "four")
    found = read_documents(str(tmp_path / "*.txt"))
    assert (found.texts, found.names) == (("two",), (str(tmp_path / "b.txt"),))
    assert read_documents(tmp_path).characters == 10


def test_marks_and_line_ends_of_other_systems(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    assert read_documents(tmp_path / "a.txt").texts == ("one\ntwo\n",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ab\ncd\xffe", r"a\.txt, byte 6 \(line 2\): 0xff is not UTF-8"),
        (b"\xef\xbb\xbfab\xff", r"a\.txt, byte 6 \(line 1\)"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"", "there is no text in it"),
    ],
)
def test_a_file_that_is_no_text_is_named_with_the_byte(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_documents(tmp_path / "a.txt")


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_documents(tmp_path / "none.txt")
    with pytest.raises(InputError, match="no such file, and no file fits it as a pattern"):
        read_documents(str(tmp_path / "*.txt"))
    with pytest.raises(InputError, match="the folder holds no file"):
        read_documents(tmp_path)
    with pytest.raises(InputError, match="there is no text in it"):
        read_documents([])


def test_texts_in_memory():
    assert as_documents("one").texts == ("one",)
    assert as_documents(["one", "", "two"]).texts == ("one", "two")
    with pytest.raises(InputError, match="it is empty"):
        as_documents("")
    with pytest.raises(InputError, match=r"character 3: .* is half a character"):
        as_documents("ab\ud800")
