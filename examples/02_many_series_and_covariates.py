"""Many series in one model: shops of fixed size, promotions known ahead, visitors known up to now."""

import numpy as np
import polars as pl

import foretell

DAYS, AHEAD, SHOPS = 200, 7, ("north", "south", "east")
generator = np.random.default_rng(0)


def shop(name: str, size: float) -> pl.DataFrame:
    """Sales follow the week and rise with a promotion; visitors are seen on the day itself."""
    day = np.arange(DAYS + AHEAD)
    promotion = (generator.random(len(day)) < 0.2).astype(float)
    visitors = size * (20 + 5 * np.sin(2 * np.pi * day / 7)) + generator.normal(0, 1, len(day))
    sales = 2 * visitors + 15 * size * promotion + generator.normal(0, 1, len(day))
    dates = np.datetime64("2024-01-01") + day
    columns = {"date": dates, "sales": sales, "visitors": visitors, "promotion": promotion}
    return pl.DataFrame(columns).with_columns(shop=pl.lit(name), size=pl.lit(size))


table = pl.concat([shop(name, 1.0 + number) for number, name in enumerate(SHOPS)])
first_unknown = table["date"].min() + pl.duration(days=DAYS)
past = table.filter(pl.col("date") < first_unknown)
future = table.filter(pl.col("date") >= first_unknown).select("shop", "date", "promotion")

# A missing day is a gap, a missing value a mask: neither needs filling in.
past = past.filter(~((pl.col("shop") == "south") & (pl.col("date") == pl.date(2024, 3, 1))))

model = foretell.Forecaster(horizon=AHEAD, hidden=16, windows=4, epochs=20).fit(
    past, time="date", target="sales", series="shop", past="visitors", known="promotion", static="size"
)
print(model.schema_.describe())
print(model.evaluate(windows=4).headline)

# What is known ahead is given for every series and each step to predict.
forecast = model.predict(known=future)
actual = table.select(pl.col("shop").alias("unique_id"), pl.col("date").alias("ds"), "sales")
print(forecast.join(actual, on=["unique_id", "ds"]).select("unique_id", "ds", "sales", "y_hat", "lo-80", "hi-80"))
print(model.explain().inputs)  # how much worse forecasts get without each input
