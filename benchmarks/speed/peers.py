"""Seconds of one epoch of neuralforecast's LSTM, in the peers' environment: `python peers.py TABLE SHARE`.

An epoch is every window of the series once. A SHARE of its steps is timed, after one to warm up, and scaled
up to all of them; building the model and reading the table are left out. The answer is printed as JSON.
"""

import json
import logging
import math
import os
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from typing import ClassVar

import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.models import LSTM
from pytorch_lightning import Callback

HORIZON, HIDDEN = 24, 64
CONTEXT = 2 * HORIZON  # as in its documentation
BATCH = 1024  # windows a step; the fastest of 1,024, 4,096 and 16,384


class Clock(Callback):
    """The time at the end of every training step; of the class, as the trainer works on a copy."""

    ends: ClassVar[list[float]] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.ends.append(time.perf_counter())


def main() -> None:
    """Train on a share of the windows and scale the time up to all of them."""
    table, share = pd.read_parquet(sys.argv[1]), float(sys.argv[2])
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    windows = len(table) - CONTEXT - HORIZON + 1
    steps = math.ceil(windows / BATCH)
    timed = math.ceil(steps * share)
    seconds = train(table, 1 + timed)
    print(
        json.dumps(
            {
                "epoch_s": seconds * steps / timed,
                "measured_s": seconds,
                "steps": timed,
                "steps_of_epoch": steps,
                "windows_a_step": BATCH,
                "context": CONTEXT,
                "threads": torch.get_num_threads(),
                "versions": {name: version(name) for name in ("neuralforecast", "torch")},
            }
        )
    )


def train(table: pd.DataFrame, steps: int) -> float:
    """Seconds of all steps but the first."""
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    model = LSTM(
        h=HORIZON,
        input_size=CONTEXT,
        encoder_hidden_size=HIDDEN,
        encoder_n_layers=1,
        windows_batch_size=BATCH,
        max_steps=steps,
        accelerator="cpu",
        callbacks=[Clock()],
        **dict.fromkeys(quiet, False),
    )
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        NeuralForecast(models=[model], freq="h").fit(table)
    return Clock.ends[-1] - Clock.ends[0]


if __name__ == "__main__":
    main()
