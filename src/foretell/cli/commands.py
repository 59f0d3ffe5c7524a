"""The commands. Heavy packages are imported where they are used, so that --help answers at once."""

from pathlib import Path
from typing import Annotated

import typer

from foretell import __version__
from foretell.cli import fitting, forecast, jobs, recommend, text, translate
from foretell.cli.command import command
from foretell.cli.options import Columns, Folder, Json, OtherData, Output, Png, Training, said
from foretell.cli.printing import print_facts, print_json, print_scores, print_training, say
from foretell.store import REPORT

app = typer.Typer(
    name="foretell",
    help="From your sequences to honest predictions. Begin with: foretell demo",
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
    """From your sequences to honest predictions. Begin with: foretell demo"""


@app.command()
@command
def train(
    data: Annotated[
        list[str],
        typer.Argument(metavar="DATA...", help="A table, a database, texts, sentence pairs.", show_default=False),
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="The model folder.", show_default=False)],
    columns: Columns,
    network: Training,
    for_forecast: forecast.TrainOptions,
    for_recommend: recommend.TrainOptions,
    for_text: text.TrainOptions,
    for_translate: translate.TrainOptions,
    job: Annotated[
        str | None, typer.Option(help=f"{', '.join(sorted(jobs.JOBS))}; else guessed.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that is there.")] = False,
    png: Png = False,
    json: Json = False,
) -> None:
    """Train on your data, test on what was held out, write a model and its report."""
    folder = fitting.claim_folder(output, force=force)
    groups = {
        "forecast": for_forecast,
        "recommend": for_recommend,
        "text": for_text,
        "translate": for_translate,
    }
    job, words = jobs.choose(data, job, groups)
    options, part = jobs.options_of(job, groups), jobs.commands(job)
    if words and not json:
        say(words, "")
    with fitting.stoppable(folder):
        model = part.train(data, folder, columns, options, said(network), quiet=json)
        found = part.finish(model, folder, folder / REPORT, png=png)
    print_json(found) if json else print_training(found)


@app.command()
@command
def resume(
    model: Folder,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="The data, if they have moved since.")] = None,
    png: Png = False,
    json: Json = False,
) -> None:
    """Go on with a training that was stopped."""
    folder = Path(model)
    with fitting.stoppable(folder):
        trained = fitting.resume(folder, data)
        found = jobs.commands(jobs.job_of(trained)).finish(trained, folder, folder / REPORT, png=png)
    print_json(found) if json else print_training(found)


@app.command()
@command
def predict(
    model: Folder,
    for_forecast: forecast.PredictOptions,
    for_recommend: recommend.PredictOptions,
    for_text: text.PredictOptions,
    for_translate: translate.PredictOptions,
    data: OtherData = None,
    output: Output = None,
    json: Json = False,
) -> None:
    """Say what comes next."""
    trained, part, options = jobs.open_for(
        model, forecast=for_forecast, recommend=for_recommend, text=for_text, translate=for_translate
    )
    part.predict(trained, data, options, output, json)


@app.command()
@command
def evaluate(
    model: Folder,
    for_forecast: forecast.EvaluateOptions,
    for_recommend: recommend.EvaluateOptions,
    for_translate: translate.EvaluateOptions,
    data: OtherData = None,
    json: Json = False,
) -> None:
    """Measure it beside the baselines."""
    trained, part, options = jobs.open_for(
        model, forecast=for_forecast, recommend=for_recommend, translate=for_translate
    )
    part.evaluate(trained, data, options, json)


@app.command()
@command
def explain(
    model: Folder,
    for_forecast: forecast.SeriesOption,
    for_recommend: recommend.ExplainOptions,
    for_translate: translate.ExplainOptions,
    data: OtherData = None,
    json: Json = False,
) -> None:
    """What it goes by, and how long its memory lasts."""
    trained, part, options = jobs.open_for(
        model, forecast=for_forecast, recommend=for_recommend, translate=for_translate
    )
    part.explain(trained, data, options, Path(model), json)


@app.command()
@command
def stream(
    model: Folder,
    for_forecast: forecast.SeriesOption,
    for_recommend: recommend.StreamOptions,
    json: Json = False,
) -> None:
    """Answer every line that comes through a pipe, and remember it."""
    trained, part, options = jobs.open_for(model, forecast=for_forecast, recommend=for_recommend)
    part.stream(trained, options, json)


@app.command()
@command
def update(
    model: Folder,
    data: Annotated[str, typer.Argument(metavar="DATA", help="What has come since.", show_default=False)],
    json: Json = False,
) -> None:
    """Take in new data without training, and keep them with the model."""
    trained, part, _ = jobs.open_for(model)
    words = part.update(trained, data)
    trained.save(model)
    print_json({"model": model, "taken_in": words}) if json else say(words)


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
    trained = jobs.open_model(model)
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
