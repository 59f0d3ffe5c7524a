"""Plain text from files, folders and patterns, in order; what is not UTF-8 is named by file and byte."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foretell.errors import InputError

ENDINGS = (".txt", ".md", ".rst", ".text")  # of the files that are taken from a folder
Source = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Documents:
    """Texts in their order, none empty, and the file each came from."""

    names: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def characters(self) -> int:
        return sum(map(len, self.texts))


def read_documents(source: Source) -> Documents:
    """The texts of a file, a folder (its .txt, .md, .rst and .text files, by name), a pattern, or several of them.

    Empty files are passed over.

    Raises:
        InputError: nothing there, a file that may not be read or is not UTF-8, or no text in any of them.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    paths = list(dict.fromkeys(path for one in sources for path in _paths(str(one))))
    found = [(str(path), text) for path in paths if (text := _read(path))]
    if not found:
        raise InputError(
            f"{', '.join(map(str, sources)) or 'data'}: there is no text in it; give files that hold some."
        )
    names, texts = zip(*found, strict=True)
    return Documents(names, texts)


def as_documents(texts: str | Sequence[str]) -> Documents:
    """Texts that are in memory already; InputError if there is nothing in them."""
    given = [texts] if isinstance(texts, str) else list(texts)
    filled = tuple(text for text in given if text)
    if not filled:
        raise InputError("text: it is empty; give a text of at least a few hundred characters.")
    for text in filled:
        _check_whole(text)
    return Documents(tuple(f"text {number}" for number in range(1, len(filled) + 1)), filled)


def _paths(source: str) -> Iterator[Path]:
    path = Path(source)
    if path.is_dir():
        inside = sorted(one for one in path.rglob("*") if one.is_file() and one.suffix.lower() in ENDINGS)
        if not inside:
            raise InputError(f"{source}: the folder holds no file that ends in {', '.join(ENDINGS)}; name the files.")
        yield from inside
    elif path.exists():
        yield path
    else:
        matches = [Path(one) for one in sorted(glob.glob(source, recursive=True)) if Path(one).is_file()]
        if not matches:
            raise InputError(f"{source}: there is no such file, and no file fits it as a pattern; check the name.")
        yield from matches


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except PermissionError:
        raise InputError(f"{path}: the file may not be read. Ask for permission, or copy it.") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}, byte 1: the file is UTF-16. Save it as UTF-8.")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        place = error.start + len(data) - len(data.removeprefix(b"\xef\xbb\xbf"))
        line = data.count(b"\n", 0, place) + 1
        raise InputError(
            f"{path}, byte {place + 1} (line {line}): {data[place]:#04x} is not UTF-8 text. Save the file as UTF-8."
        ) from None
    return text.replace("\r\n", "\n")


def _check_whole(text: str) -> None:
    """Half a pair of UTF-16 is no character: nothing that reads UTF-8 can say it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"text, character {error.start + 1}: {text[error.start]!r} is half a character; decode the text anew."
        ) from None
