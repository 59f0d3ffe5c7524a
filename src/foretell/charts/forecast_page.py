"""The forecaster's report: what is shown, in which order, and what is said about it."""

from dataclasses import replace

import polars as pl

from foretell.charts.accuracy import coverage, coverage_chart, horizon_chart, models_chart, training_chart
from foretell.charts.contents import ReportContents, levels
from foretell.charts.data import with_keys
from foretell.charts.forecast import forecast_chart, windows_chart
from foretell.charts.gates import STRIP, gates_chart, heat_maps, input_chart
from foretell.charts.outline import Figure, Page, Section, section
from foretell.charts.table import score_table


def forecast_page(contents: ReportContents) -> Page:
    """Every section, in the order of the page."""
    sections = (
        _forecast(contents),
        _models(contents),
        _windows(contents),
        _horizon(contents),
        _coverage(contents),
        _training(contents),
        _gates(contents),
    )
    return Page(contents.title, contents.headline, sections, contents.facts)


def _first_series(contents: ReportContents, frame: pl.DataFrame) -> str:
    """What a section with a drop-down shows at first: a picture has no drop-down to say so."""
    if len(contents.series) == 1:
        return ""
    first = with_keys(contents, frame)["key"].sort()[0]
    return f": {contents.series['label'][first]}"


def _forecast(contents: ReportContents) -> Section:
    heading = "Forecast"
    if contents.forecast.is_empty():
        return Section("forecast", heading, "No forecast was made.")
    shares = [f"{level} of 100 in the {level} % interval" for level in reversed(levels(contents.forecast))]
    text = "Right of the dashed line is the model's forecast"
    text += f"; expect about {' and '.join(shares)}." if shares else "."
    shown = section("forecast", heading, text, forecast_chart(contents))
    return replace(shown, picture_note=_first_series(contents, contents.forecast))


def _models(contents: ReportContents) -> Section:
    heading = "The model beside the baselines"
    if contents.scores.is_empty():
        return Section("models", heading, "No data was held out, so nothing could be measured.")
    text = "Average error over the backtest windows: a model earns its place only below the baselines."
    return section("models", heading, text, models_chart(contents), html=score_table(contents.scores))


def _windows(contents: ReportContents) -> Section:
    heading = "Backtest windows"
    if contents.windows.is_empty():
        return Section("windows", heading, "There are no backtest windows to show.")
    text = "At each dashed line the model saw only what lies before it, and forecast what follows."
    shown = section("windows", heading, text, windows_chart(contents))
    return replace(shown, picture_note=_first_series(contents, contents.windows))


def _horizon(contents: ReportContents) -> Section:
    heading = "Error by horizon"
    if contents.by_horizon.is_empty():
        return Section("horizon", heading, "The error at each step ahead was not measured.")
    text = "How the average error grows the further ahead one looks."
    return section("horizon", heading, text, horizon_chart(contents))


def _coverage(contents: ReportContents) -> Section:
    heading = "Do the intervals hold?"
    if contents.scores.is_empty() or coverage(contents).is_empty():
        return Section("coverage", heading, "The coverage of the intervals was not measured.", narrow=True)
    text = "On the dashed line intervals hold what they promise; below they are too narrow, above too wide."
    return section("coverage", heading, text, coverage_chart(contents), narrow=True)


def _training(contents: ReportContents) -> Section:
    heading = "Training"
    if contents.training.is_empty():
        return Section("training", heading, "No training losses were recorded.", narrow=True)
    text = "Loss on the data trained on, and on later data held back to decide when to stop."
    return section("training", heading, text, training_chart(contents.training), narrow=True)


def _gates(contents: ReportContents) -> Section:
    heading = "Inside the memory"
    if contents.gates.is_empty():
        return Section("gates", heading, "The gates were not recorded.")
    strip = input_chart(contents)
    read = [Figure("input-series", *STRIP, strip)] if strip else []
    maps = [Figure(f"gate-{gate.name}", gate.title, gate.caption, chart) for gate, chart in heat_maps(contents)]
    text = (
        "Each row is one unit of the LSTM, each column one step in time. At every step a unit keeps part of "
        "its memory (forget gate), adds something new (input gate times candidate), and passes part of it on "
        "(output gate). Units that remember longest are at the top of each map."
    )
    return Section("gates", heading, text, (*read, *maps), picture=gates_chart(contents))
