"""New rows taken into the memory of a trained model, step by step, without training."""

from typing import Any

import numpy as np

from foretell.errors import InputError, suggestion
from foretell.jobs.forecasting.model import Memory, Model
from foretell.jobs.forecasting.predicting import start_time
from foretell.jobs.forecasting.streaming import Stream
from foretell.sequences import Frequency, Panel, Table
from foretell.sequences.frequency import show_time


def take_in(model: Model, memory: Memory, ids: tuple[str, ...], panel: Panel, table: Table) -> None:
    """Run the streams of the panel's series over its rows; gaps before and between them count as missing rows."""
    first = [_first_position(model, memory, ids, panel, series, table) for series in range(len(panel.ids))]
    after = []  # put in place only when every row has been taken in
    for series, name in enumerate(panel.ids):
        place = ids.index(name)
        stream = Stream(model, memory.of_series(place), name)
        for _ in range(int(first[series] - memory.length[place])):
            stream.step(None, forecast=False)
        for row in range(int(panel.offsets[series]), int(panel.offsets[series + 1])):
            stream.step(_row(model, panel, row), forecast=False)
        after.append((place, stream.save()))
    for place, present in after:
        memory.put(place, present)


def _first_position(
    model: Model, memory: Memory, ids: tuple[str, ...], panel: Panel, series: int, table: Table
) -> np.int64:
    """Where a series of new rows begins on the grid of the memory; InputError if it is not after its end."""
    name = panel.ids[series]
    if name not in ids:
        raise InputError(
            f"{table.name}: series {name!r} is not in this model. {suggestion(name, ids)} For a new series use "
            "predict(data), or fit again with it."
        )
    place = ids.index(name)
    if model.schema.time is None:
        return np.int64(memory.length[place])
    frequency = Frequency.parse(model.schema.frequency)
    begin = start_time(frequency, memory.start[place])
    position = frequency.positions(panel.start[series : series + 1], begin)[0]
    last = frequency.times(begin, memory.length[place : place + 1] - 1)[0]
    if position < memory.length[place]:
        raise InputError(
            f"{table.name}: series {name!r} has a row at {show_time(panel.start[series])}, but the model has taken in "
            f"every row up to {show_time(last)}; give only rows after that, one {frequency.words} step apart."
        )
    return np.int64(position)


def _row(model: Model, panel: Panel, row: int) -> dict[str, Any]:
    """One row of the panel as `Stream.step` takes it."""
    schema = model.schema
    values: dict[str, Any] = dict(zip(schema.targets, panel.y[row].tolist(), strict=True))
    for role in ("past", "known"):
        covariates = getattr(panel, role)
        values |= dict(zip(schema.numeric(role), covariates.numbers[row].tolist(), strict=True))
        for name, code in zip(schema.categorical(role), covariates.codes[row].tolist(), strict=True):
            values[name] = schema.categories[name][code - 1] if code else None
    return values
