"""Published files: in the user's folder, in the cache, or downloaded; used only if their checksum fits."""

import gzip
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foretell.errors import InputError

TIMEOUT = 60.0  # seconds without an answer


@dataclass(frozen=True)
class File:
    """A published file. Where it has no address of its own, `remedy` says how to make it.

    The checksum of a .gz file is that of its content, since no two packers write the same bytes.
    """

    name: str
    address: str | None
    sha256: str
    remedy: str = ""


@dataclass(frozen=True)
class Published:
    """What is known of a data set without reading it."""

    name: str
    title: str
    home: str  # where its publisher describes it
    licence: str
    folder: str  # in FORETELL_DATA, and in the cache
    files: tuple[File, ...]


def github(repository: str, commit: str, paths: Mapping[str, str]) -> tuple[File, ...]:
    """Files of a repository as they stood at a commit; `paths` maps each to its checksum."""
    base = f"https://raw.githubusercontent.com/{repository}/{commit}"
    return tuple(File(Path(path).name, f"{base}/{path}", sha256) for path, sha256 in paths.items())


def cache_folder() -> Path:
    """Where downloaded files are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foretell"


def fetch(file: File, folder: str) -> Path:
    """The path of a file whose checksum fits: in FORETELL_DATA, in the cache, or just downloaded.

    Raises:
        InputError: the file is damaged, or cannot be downloaded.
    """
    own = os.environ.get("FORETELL_DATA")
    cached = cache_folder() / folder / file.name
    for path in ([Path(own) / folder / file.name] if own else []) + [cached]:
        if path.is_file():
            _check(path.read_bytes(), file, str(path))
            return path
    _write_whole(cached, _download(file, cached))
    return cached


def _check(data: bytes, file: File, place: str) -> None:
    try:
        content = gzip.decompress(data) if file.name.endswith(".gz") else data
    except (EOFError, OSError, zlib.error):
        content = data  # not gzip: its checksum cannot fit either
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise InputError(
            f"{place}: the checksum must be {file.sha256}; got {found}. "
            "The file is damaged or another version: remove it, so that it is fetched anew."
        )


def _download(file: File, cached: Path) -> bytes:
    if file.address is None:
        raise InputError(f"{file.name}: it cannot be downloaded by itself. For {cached}, {file.remedy}.")
    try:
        with urllib.request.urlopen(file.address, timeout=TIMEOUT) as response:
            data: bytes = response.read()
    except (urllib.error.URLError, OSError) as error:
        raise InputError(
            f"{file.address}: the download failed ({error}). Check the connection, or put the file into "
            f"{cached.parent.name}/ in a folder that the environment variable FORETELL_DATA names."
        ) from error
    _check(data, file, file.address)
    return data


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as part:
        part.write(data)
    os.replace(part.name, path)
