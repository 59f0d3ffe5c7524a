"""Where a benchmark ran, and its results as a JSON file and as a table."""

import json
import os
import platform
import re
import subprocess
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """The processor's name, the number of cores that this process may use, and the memory in GiB."""
    cpuinfo = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": named[1] if named else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory),
        "system": f"{platform.system()} {platform.machine()}",
    }


def add_cpu(parser: ArgumentParser) -> None:
    """The option that names the CPU, so that the results of one stand beside those of another."""
    text = "of the CPU, in the file's name, such as zen4"
    parser.add_argument("--cpu", default=platform.machine(), metavar="NAME", help=text)


def moment() -> dict[str, Any]:
    """The date and the machine."""
    return {"date": datetime.now(UTC).date().isoformat(), "machine": machine()}


def circumstances(*packages: str) -> dict[str, Any]:
    """The date, commit, machine and versions that an entry of a results file carries."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    versions = {name: import_module(name).__version__ for name in packages}
    return moment() | {
        "commit": commit or "unknown",
        "versions": {"python": platform.python_version()} | versions,
    }


def read(name: str) -> dict[str, Any]:
    """The entries of a results file; {} where there is none yet."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def update(name: str, entries: Mapping[str, Any]) -> Path:
    """Put these entries in place of the old ones of the same names; the others stay."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json"
    text = json.dumps(read(name) | dict(entries), indent=1, allow_nan=False) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=FOLDER, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    return path


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that also reads well in a terminal; the first row is its head, numbers stand right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head, *body = ("| " + " | ".join(_padded(row, widths)) + " |" for row in rows)
    rule = "|" + "|".join("-" * (width + 1) + ("-" if place == 0 else ":") for place, width in enumerate(widths)) + "|"
    return "\n".join([head, rule, *body])


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
