"""One file per job: from the user's data to predictions, with the same verbs everywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from foretell.errors import InputError
from foretell.lazy import imported_on_demand
from foretell.store import read_settings

if TYPE_CHECKING:
    from foretell.jobs.forecast import Forecaster as Forecaster
    from foretell.jobs.recommend import Recommender as Recommender
    from foretell.jobs.text import LanguageModel as LanguageModel
    from foretell.jobs.translate import Translator as Translator

    Job: TypeAlias = Forecaster | LanguageModel | Recommender | Translator

JOBS = {"forecast": "Forecaster", "recommend": "Recommender", "text": "LanguageModel", "translate": "Translator"}
"""The jobs, as model folders and the command line name them, and their classes. A class is imported when needed."""

__getattr__ = imported_on_demand(__name__, {name: f"foretell.jobs.{job}" for job, name in JOBS.items()})


def job_class(job: str) -> "type[Job]":
    """The class of a job."""
    found: type[Job] = __getattr__(JOBS[job])
    return found


def load(path: str | Path) -> "Job":
    """Read a model folder, whatever its job. InputError if it is cut short, changed, or from another version."""
    job = read_settings(Path(path)).get("job")
    if job not in JOBS:
        raise InputError(f"{path}: holds a model for the job {job!r}; this version knows {', '.join(JOBS)}.")
    return job_class(job).load(path)
