"""The LSTM, as a layer and as honest predictions from your sequences."""

from typing import TYPE_CHECKING

from foretell.lazy import imported_on_demand

if TYPE_CHECKING:
    from foretell.errors import InputError
    from foretell.jobs import Forecaster, LanguageModel, Recommender, Translator, load
    from foretell.lstm import LSTM, LSTMCell

__version__ = "0.1.0"
__all__ = [
    "LSTM",
    "Forecaster",
    "InputError",
    "LSTMCell",
    "LanguageModel",
    "Recommender",
    "Translator",
    "__version__",
    "load",
]

# Loaded on first use, so that importing the package costs nothing and the command line starts at once.
_HOMES = {
    "LSTM": "foretell.lstm",
    "LSTMCell": "foretell.lstm",
    "Forecaster": "foretell.jobs",
    "LanguageModel": "foretell.jobs",
    "Recommender": "foretell.jobs",
    "Translator": "foretell.jobs",
    "load": "foretell.jobs",
    "InputError": "foretell.errors",
}
__getattr__ = imported_on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
