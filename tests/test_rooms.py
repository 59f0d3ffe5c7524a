"""The rooms of the package and who may import whom."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import foretell

SOURCE = Path(__file__).parents[1] / "src" / "foretell"

# Top to bottom: a room imports only from the rooms below it.
ROOMS = [
    "__main__",
    "cli",
    "serving",
    "jobs",
    "charts",
    "training",
    "networks",
    "sequences",
    "store",
    "lstm",
    "native",
    "lazy",
    "errors",
]
STRANGERS = {("networks", "sequences")}  # they meet in jobs
ROOT_NAMES = {"__version__"}  # what a room may take from the package itself

# The other packages that a room may need, beside the standard library; the rooms not named are free.
PACKAGES = {
    "sequences": {"narwhals", "numpy", "polars", "psycopg", "pydantic", "tokenizers"},
    "lstm": {"torch"},
    "native": set(),
    "lazy": set(),
    "errors": set(),
}


def imports(source: str) -> Iterator[tuple[str, ...]]:
    """Every module or name that the source imports, split at the dots; ("",) for a relative import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield ("",)
        elif isinstance(node, ast.ImportFrom) and node.module == "foretell":
            yield from (("foretell", alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield tuple(node.module.split("."))


def offences(room: str, source: str) -> list[str]:
    """What is wrong with the imports of a source file in this room."""
    below = ROOMS[ROOMS.index(room) :]
    found = []
    if re.search(r"\b_native\b", source) and room != "native":
        found.append(f"{room} must not touch the compiled core; foretell.native is its door")
    for package, *inside in imports(source):
        if package == "":
            found.append(f"{room} must import absolutely")
        elif package != "foretell":
            if package not in PACKAGES.get(room, {package}) | sys.stdlib_module_names:
                found.append(f"{room} must not need {package}")
        elif not inside or (inside[0] not in ROOMS and inside[0] not in ROOT_NAMES | {"_native"}):
            found.append(f"{room} must import from the rooms, not from the package")
        elif inside[0] in ROOMS and (inside[0] not in below or (room, inside[0]) in STRANGERS):
            found.append(f"{room} must not import {inside[0]}")
    return found


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path):
    assert offences(room_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("lstm", "from foretell.sequences import panel"),
        ("lstm", "from foretell import store"),
        ("lstm", "import foretell.jobs.forecast"),
        ("lstm", "def late():\n    from foretell.training import loop"),
        ("lstm", "import numpy"),
        ("networks", "from foretell.sequences.panel import Panel"),
        ("sequences", "from foretell.networks import heads"),
        ("sequences", "import torch.nn"),
        ("jobs", "from foretell import LSTM"),
        ("jobs", "import foretell"),
        ("jobs", "from . import forecast"),
        ("lstm", "from foretell import _native"),
        ("errors", "import importlib\ncore = importlib.import_module('foretell._native')"),
    ],
)
def test_the_rule_has_teeth(room, source):
    assert len(offences(room, source)) == 1


def test_the_rule_allows_what_the_rooms_need():
    assert offences("lstm", "import math\nimport torch\nfrom foretell.errors import require") == []
    assert offences("store", "from foretell import __version__, lstm") == []
    assert offences("native", "from foretell import _native, errors") == []


def test_every_file_belongs_to_a_room():
    assert {room_of(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_its_purpose_in_a_sentence(room):
    path = SOURCE / f"{room}.py"
    path = path if path.exists() else SOURCE / room / "__init__.py"
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert docstring.splitlines()[0].endswith(".")


@pytest.mark.parametrize("module", ["foretell", "foretell.cli", "foretell.native", "foretell.store"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*{{'torch', 'polars', 'altair', 'numpy'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


@pytest.mark.parametrize("name", foretell.__all__)
def test_every_public_name_is_there(name):
    assert hasattr(foretell, name)
    assert name in dir(foretell)


def test_an_unknown_public_name_is_an_attribute_error():
    assert not hasattr(foretell, "GRU")
