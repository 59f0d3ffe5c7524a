"""Forecast a table: train, look at the backtest, predict with intervals, save and load."""

import tempfile
from pathlib import Path

import foretell
from foretell.sequences.datasets import SEATTLE_CSV

# Any CSV, Parquet or JSON lines file, database, or pandas, polars or Arrow frame. The roles of the columns
# that are not named are inferred: here the others become past covariates.
model = foretell.Forecaster(horizon=14, level=(80, 95), epochs=2)  # without epochs= it trains for longer
model.fit(SEATTLE_CSV, time="date", target="temp_max", announce=lambda schema: print(schema.describe()))

# Ten windows of 14 days at the end of the table were held out: no forecast saw what it is measured against.
found = model.evaluate()
print(found.headline)
print(found.summary)

forecast = model.predict()
print(forecast)  # unique_id, ds, y_hat, lo-80, hi-80, lo-95, hi-95

with tempfile.TemporaryDirectory() as folder:
    model.save(folder)  # model.json and weights.safetensors; nothing in them is executed on loading
    model.report(Path(folder) / "report.html")  # opens without a network
    print(sorted(path.name for path in Path(folder).iterdir()))
    again = foretell.load(folder)
assert again.predict().equals(forecast)
