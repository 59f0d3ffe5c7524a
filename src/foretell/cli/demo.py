"""The demonstration: Seattle's daily weather from the package, forecast two weeks ahead."""

import shutil
from pathlib import Path
from typing import Any

from foretell.cli import fitting
from foretell.cli.options import Columns
from foretell.cli.printing import print_forecast, print_training, say
from foretell.cli.writing import write_frame
from foretell.errors import InputError

FOLDER = Path("foretell-demo")
CONTENTS = {"model", "forecast.csv", fitting.REPORT}
SETTINGS = {"horizon": 14}
NEXT = """Next:
  foretell explain foretell-demo/model
  foretell info foretell-demo/model
  foretell train YOUR.csv -o mymodel"""


def run(*, quiet: bool) -> dict[str, Any]:
    """Train, backtest and forecast into ./foretell-demo; returns what there is to say of it."""
    from foretell.sequences.datasets import SEATTLE_CSV

    _clear()
    model_folder, report, table = FOLDER / "model", FOLDER / fitting.REPORT, FOLDER / "forecast.csv"
    columns = Columns(time="date", target=["temp_max"])
    with fitting.stoppable(model_folder):
        model = fitting.train(str(SEATTLE_CSV), model_folder, columns, SETTINGS, quiet=quiet)
        found = fitting.finish(model, model_folder, report, png=False)
    forecast = model.predict()
    write_frame(forecast, table)
    if not quiet:
        print_training(found)
        say(f"  forecast  {table}", "")
        print_forecast(forecast)
        say("", NEXT)
    return found | {"file": str(table), "forecast": forecast.to_dicts()}


def _clear() -> None:
    """Remove the folder of an earlier demonstration, but nothing else."""
    if not FOLDER.exists():
        return
    others = sorted({path.name for path in FOLDER.iterdir()} - CONTENTS) if FOLDER.is_dir() else [FOLDER.name]
    if others:
        raise InputError(f"{FOLDER}: holds {others[0]}, which is not the demo's; move it, or run elsewhere.")
    shutil.rmtree(FOLDER)
