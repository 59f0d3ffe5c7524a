"""The memory of a model in words."""

from collections.abc import Mapping, Sequence
from typing import Any


def memory_in_words(half_lives: Sequence[Mapping[str, Any]], frequency: str) -> list[str]:
    """How long the cells of each layer keep what they store, from rows of layer, unit, steps."""
    from foretell.sequences import Frequency
    from foretell.sequences.frequency import PLURAL

    step = Frequency.parse(frequency)
    unit = PLURAL[step.unit]
    layers = sorted({row["layer"] for row in half_lives})
    lines = []
    for layer in layers:
        times = sorted(row["steps"] * step.count for row in half_lives if row["layer"] == layer)
        name = f"Layer {layer + 1}: half" if len(layers) > 1 else "Half"
        middle, longest = _span(times[len(times) // 2], unit), _span(times[-1], unit)
        lines.append(
            f"{name} of the {len(times)} cells let go of half their content within {middle}; the one that "
            f"holds on longest takes {longest}."
        )
    return lines


def _span(time: float, unit: str) -> str:
    text = f"{time:,.0f}" if time >= 100 else f"{time:.2g}"
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"
