"""The files a report is made of: one HTML page, or one PNG a chart."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from foretell.store import write_atomic

if TYPE_CHECKING:
    from foretell.charts.outline import Page


def write_report(page: "Page", path: Path, *, png: bool = False) -> Path:
    """Write one HTML file that opens without a network, whole or not at all, and on request the pictures beside it."""
    from foretell.charts.page import render  # Altair takes half a second to import

    write_atomic(path, render(page).encode())
    if png:
        write_png(page, path.parent)
    return path


def write_png(page: "Page", folder: Path) -> list[Path]:
    """Write a picture of each section as `folder`/name.png at twice the screen's resolution; returns the paths."""
    from foretell.charts.outline import pictures

    paths = []
    for name, chart in pictures(page):
        buffer = BytesIO()
        chart.save(buffer, format="png", scale_factor=2)
        paths.append(folder / f"{name}.png")
        write_atomic(paths[-1], buffer.getvalue())
    return paths
