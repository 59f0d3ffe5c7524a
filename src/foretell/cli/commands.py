"""The commands. Heavy packages are imported where they are used, so that --help answers at once."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from foretell import __version__
from foretell.cli import fitting
from foretell.cli.command import command
from foretell.cli.options import Columns, Folder, Json, OtherTable, Png, Step, Table, Training, Windows
from foretell.cli.printing import (
    print_facts,
    print_forecast,
    print_inputs,
    print_json,
    print_scores,
    print_training,
    say,
)
from foretell.cli.writing import check_ending, write_frame
from foretell.errors import InputError

app = typer.Typer(
    name="foretell",
    help="From a table to an honest forecast. Begin with: foretell demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit()


@app.callback()
def foretell(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """From a table to an honest forecast. Begin with: foretell demo"""


@app.command()
@command
def train(
    data: Table,
    output: Annotated[str, typer.Option("--output", "-o", help="The model folder.", show_default=False)],
    columns: Columns,
    training: Training,
    horizon: Annotated[int | None, typer.Option(help="Steps ahead; else chosen from the data.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there.")] = False,
    png: Png = False,
    json: Json = False,
) -> None:
    """Train on a table, backtest, write a model and its report."""
    folder, settings = fitting.claim_folder(output, force=force), training.settings()
    if horizon is None:
        horizon, words = fitting.choose_horizon(data, columns)
        if not json:
            say(words, "")
    settings["horizon"] = horizon
    with fitting.stoppable(folder):
        model = fitting.train(data, folder, columns, settings, quiet=json)
        found = fitting.finish(model, folder, folder / fitting.REPORT, png=png)
    print_json(found) if json else print_training(found)


@app.command()
@command
def resume(
    model: Folder,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="The table, if it has moved since.")] = None,
    png: Png = False,
    json: Json = False,
) -> None:
    """Go on with a training that was stopped."""
    folder = Path(model)
    with fitting.stoppable(folder):
        trained = fitting.resume(folder, data)
        found = fitting.finish(trained, folder, folder / fitting.REPORT, png=png)
    print_json(found) if json else print_training(found)


@app.command()
@command
def predict(
    model: Folder,
    data: OtherTable = None,
    known: Annotated[str | None, typer.Option(help="A table of the columns known ahead.", show_default=False)] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Write it to a .csv, .parquet or .jsonl.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Forecast what comes next, with intervals."""
    path = None if output is None else check_ending(output)
    frame = fitting.open_model(model).predict(data, known)
    if path:
        write_frame(frame, path)
    if json:
        print_json({"forecast": frame.to_dicts(), "file": output})
    elif path:
        say(f"{frame.height:,} rows are in {output}")
    else:
        print_forecast(frame)


@app.command()
@command
def evaluate(
    model: Folder, data: OtherTable = None, windows: Windows = 10, step: Step = None, json: Json = False
) -> None:
    """Backtest beside the baselines."""
    found = fitting.open_model(model).evaluate(data, windows, step)
    if json:
        frames = {name: getattr(found, name).to_dicts() for name in ("summary", "by_horizon", "windows")}
        print_json({"headline": found.headline, **frames})
    else:
        say(found.headline, "")
        print_scores(found.summary.to_dicts())


@app.command()
@command
def explain(
    model: Folder,
    data: OtherTable = None,
    series: Annotated[str | None, typer.Option(help="Whose gates to look at; else the first.")] = None,
    json: Json = False,
) -> None:
    """What each input is worth, and how long the memory lasts."""
    from foretell.cli.explaining import memory_in_words

    trained = fitting.open_model(model)
    found = trained.explain(data, series)
    half_life, report = found.half_life.to_dicts(), Path(model) / fitting.REPORT
    if json:
        print_json({"inputs": found.inputs.to_dicts(), "half_life": half_life})
        return
    print_inputs(found.inputs.to_dicts())
    say("", *memory_in_words(half_life, trained.schema_.frequency))
    if report.is_file():
        say(f"The gates, step by step, are in {report}")


@app.command()
@command
def stream(
    model: Folder,
    series: Annotated[str | None, typer.Option(help="The series of rows that do not say it.")] = None,
    json: Json = False,
) -> None:
    """Answer every row that comes through a pipe with a forecast.

    Rows are JSON lines, or CSV with a header; answers are lines of JSON."""
    from foretell.cli.live import Feed, read_rows

    feed = Feed(fitting.open_model(model), series)
    for number, row in read_rows(sys.stdin, feed.texts):
        try:
            print_json(feed.take(row))
        except InputError as error:
            raise InputError(f"stdin, line {number}: {error}") from None
        sys.stdout.flush()


@app.command()
@command
def info(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A model folder; left out, this installation.")
    ] = None,
    json: Json = False,
) -> None:
    """What a model holds, or what this installation is."""
    from foretell.cli.describing import describe_installation

    if model is None:
        facts = describe_installation()
        print_json(dict(facts)) if json else print_facts(facts)
        return
    trained = fitting.open_model(model)
    content = trained.describe()
    if json:
        print_json(content)
        return
    print_facts(trained.facts())
    say("", content["headline"] or "Not evaluated.", "")
    if content["scores"]:
        print_scores(content["scores"])


@app.command()
@command
def demo(json: Json = False) -> None:
    """Forecast Seattle's weather, from data that comes along."""
    from foretell.cli.demo import run

    found = run(quiet=json)
    if json:
        print_json(found)
