"""The gates at work: what an LSTM keeps, adds and shows while it reads two months of weather."""

import polars as pl
import torch

import foretell
from foretell.sequences.datasets import SEATTLE_CSV

model = foretell.Forecaster(horizon=7, hidden=16, epochs=2).fit(SEATTLE_CSV, time="date", target="temp_max")
found = model.explain(rows=60)

# One row a day, gate and unit: gates lie between 0 and 1, the candidate between -1 and 1.
means = found.gates.group_by("gate").agg(
    pl.col("value").min().alias("least"),
    pl.col("value").mean().alias("mean"),
    pl.col("value").max().alias("most"),
)
print(means.sort("gate"))

# The cell state is a conveyor belt: a step multiplies it by the forget gate f. At its mean f a unit's content
# fades to half in ln 2 / -ln f steps.
print(found.half_life.head(3))

slowest = found.half_life["unit"][0]
belt = found.gates.filter((pl.col("unit") == slowest) & (pl.col("layer") == 0))
print(belt.pivot("gate", index="ds", values="value").head(10))

# The same of one's own layer: trace() returns every gate of every layer, from the same equations.
trace = foretell.LSTM(input_size=3, hidden_size=5).trace(torch.randn(20, 1, 3))
cell = trace.layers[0][0]
assert (cell.f[1:] * cell.c[:-1] + cell.i[1:] * cell.g[1:]).allclose(cell.c[1:], atol=1e-6)
