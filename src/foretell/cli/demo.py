"""The demonstration: Seattle's daily weather from the package, forecast two weeks ahead."""

import shutil
from pathlib import Path
from typing import Any

from foretell.cli import fitting, forecast
from foretell.cli.options import Columns
from foretell.cli.printing import print_forecast, print_training, say
from foretell.cli.writing import write_frame
from foretell.errors import InputError
from foretell.store import REPORT

FOLDER = Path("foretell-demo")
CONTENTS = {"model", "forecast.csv", REPORT}
SETTINGS = {"horizon": 14}
NEXT = """Next:
  foretell explain foretell-demo/model
  foretell info foretell-demo/model
  foretell train YOUR.csv -o mymodel"""


def run(*, quiet: bool) -> dict[str, Any]:
    """Train, backtest and forecast into ./foretell-demo; returns what there is to say of it."""
    from foretell.sequences.datasets import SEATTLE_CSV

    _clear()
    model_folder, report, table = FOLDER / "model", FOLDER / REPORT, FOLDER / "forecast.csv"
    columns, options = Columns(time="date"), forecast.TrainOptions(target=["temp_max"])
    with fitting.stoppable(model_folder):
        model = forecast.train([str(SEATTLE_CSV)], model_folder, columns, options, SETTINGS, quiet=quiet)
        found = forecast.finish(model, model_folder, report, png=False)
    frame = model.predict()
    write_frame(frame, table)
    if not quiet:
        print_training(found)
        say(f"  forecast  {table}", "")
        print_forecast(frame)
        say("", NEXT)
    return found | {"file": str(table), "forecast": frame.to_dicts()}


def _clear() -> None:
    """Remove the folder of an earlier demonstration, but nothing else."""
    if not FOLDER.exists():
        return
    others = sorted({path.name for path in FOLDER.iterdir()} - CONTENTS) if FOLDER.is_dir() else [FOLDER.name]
    if others:
        raise InputError(f"{FOLDER}: holds {others[0]}, which is not the demo's; move it, or run elsewhere.")
    shutil.rmtree(FOLDER)
