"""The files a report is made of: one HTML page, or one PNG a chart."""

from io import BytesIO
from pathlib import Path

from foretell.charts.contents import ReportContents
from foretell.store import write_atomic


def write_report(contents: ReportContents, path: Path) -> None:
    """Write one HTML file that opens without a network, whole or not at all."""
    from foretell.charts.page import render  # Altair takes half a second to import

    write_atomic(path, render(contents).encode())


def write_png(contents: ReportContents, folder: Path) -> list[Path]:
    """Write each chart as `folder`/name.png at twice the screen's resolution; returns the paths.

    Of several series the first is shown.
    """
    from foretell.charts.sections import pictures

    paths = []
    for name, chart in pictures(contents):
        buffer = BytesIO()
        chart.save(buffer, format="png", scale_factor=2)
        paths.append(folder / f"{name}.png")
        write_atomic(paths[-1], buffer.getvalue())
    return paths
