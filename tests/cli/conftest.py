"""A small table, a model trained on it by the command line, and a way to call the commands."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from foretell.cli import app

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Options that make training a matter of a second."""
    return ("--epochs", "1", "--hidden", "4", "--context", "14", "--windows", "3")


@pytest.fixture(scope="session")
def run() -> Run:
    """Call a command: run("predict", model); its output is split into stdout and stderr."""
    runner = CliRunner()
    return lambda *words, **more: runner.invoke(app, [str(word) for word in words], **more)


def _write_table(path: Path, rows: int = 160) -> Path:
    """Daily sales with a weekly rhythm, a promotion and a kind of weather."""
    lines = ["date,sales,promo,weather"]
    for day in range(rows):
        when = date(2024, 1, 1) + timedelta(days=day)
        sales = 50 + 10 * math.sin(2 * math.pi * day / 7) + day % 5
        lines.append(f"{when},{sales:.2f},{day % 3},{'sun' if day % 4 else 'rain'}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def write_table() -> Callable[..., Path]:
    return _write_table


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_table(tmp_path_factory.mktemp("table") / "sales.csv")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, table: Path, small: tuple[str, ...], run: Run) -> Path:
    """Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("model") / "sales"
    done = run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, *small)
    assert done.exit_code == 0, done.output
    return folder
