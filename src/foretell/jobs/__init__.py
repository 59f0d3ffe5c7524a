"""One file per job: from the user's data to predictions, with the same verbs everywhere."""

from pathlib import Path

from foretell.errors import InputError
from foretell.jobs.forecast import Forecaster as Forecaster
from foretell.jobs.forecasting.evaluation import Evaluation as Evaluation
from foretell.jobs.forecasting.explaining import Explanation as Explanation
from foretell.jobs.forecasting.streaming import LiveForecast as LiveForecast
from foretell.jobs.forecasting.streaming import Stream as Stream
from foretell.jobs.recommend import Recommender as Recommender
from foretell.jobs.text import LanguageModel as LanguageModel
from foretell.jobs.translate import Translator as Translator
from foretell.store import read_settings

Job = Forecaster | LanguageModel | Recommender | Translator
JOBS: dict[str, type[Job]] = {
    "forecast": Forecaster,
    "recommend": Recommender,
    "text": LanguageModel,
    "translate": Translator,
}


def load(path: str | Path) -> Job:
    """Read a model folder, whatever its job. InputError if it is cut short, changed, or from a newer version."""
    job = read_settings(Path(path)).get("job")
    if job not in JOBS:
        raise InputError(f"{path}: holds a model for the job {job!r}; this version knows {', '.join(JOBS)}.")
    return JOBS[job].load(path)
