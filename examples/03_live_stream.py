"""Live forecasts: each new row costs one step of the LSTM, however long the past is."""

import math
import random
import time

import polars as pl

import foretell


def load_on(hour: int) -> float:
    """A generated load: a day, a week in which the weekends are lower, and noise."""
    noise = random.Random(hour).gauss(0, 3)
    return 100 + 20 * math.sin(2 * math.pi * hour / 24) - 15 * (hour // 24 % 7 >= 5) + noise


history = pl.DataFrame({"y": [load_on(hour) for hour in range(1000)]})  # no time column: rows are counted
model = foretell.Forecaster(horizon=6, hidden=16, season=(24, 168), epochs=1, windows=4).fit(history, target="y")

stream = model.stream()
before = stream.save()
for hour in range(1000, 1048):
    answer = stream.step(load_on(hour))
print("the next six hours:", answer.y_hat.round(1))
print("80 % interval:", *(end.round(1) for end in answer.interval(80)))

# A gap is a row that is missing. A copy goes its own way: what if the next hours were far higher?
stream.step(None)
what_if = stream.copy()
print("after a jump:", what_if.step(200.0).y_hat.round(1))
print("without it:  ", stream.step(load_on(1049)).y_hat.round(1))

stream.restore(before)  # back to where the table ended
began = time.perf_counter()
for hour in range(1000, 1200):
    stream.step(load_on(hour))
print(f"{(time.perf_counter() - began) / 200 * 1e6:.0f} microseconds a step")

# The model itself has not moved. update() moves it: predict() then starts after the new rows.
model.update(pl.DataFrame({"y": [load_on(hour) for hour in range(1000, 1048)]}))
assert model.predict()["ds"][0] == 1048
