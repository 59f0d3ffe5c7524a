"""What a trained recommender is made of: settings, columns, network, and the events that it knows of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from foretell.jobs.recommending.settings import Settings
from foretell.jobs.recommending.splits import Split
from foretell.jobs.recommending.task import training_counts
from foretell.networks.recommend import RecommendNetwork
from foretell.sequences.events import Events, EventSchema
from foretell.sequences.features import FeatureSchema


@dataclass(frozen=True)
class Model:
    """Everything that training made, and every user's history, from which recommendations are made."""

    settings: Settings
    schema: EventSchema
    catalogue: FeatureSchema  # features of items
    network: RecommendNetwork
    events: Events
    split: Split  # of the users that were there at training

    @cached_property
    def places(self) -> dict[str, int]:
        """The code of each item by its name."""
        return {name: code for code, name in enumerate(self.events.items)}

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each user by its name."""
        return {name: number for number, name in enumerate(self.events.users)}

    def counts(self) -> NDArray[np.int64]:
        """How often each item occurs in the training events, [V]."""
        return training_counts(self.events, self.whole_split())

    def whole_split(self) -> Split:
        """The split with users who came later: nothing of them was trained on or held out."""
        later = np.zeros(len(self.events.users) - len(self.split.stop), np.int64)
        return Split(*(np.concatenate([part, later]) for part in self.split.parts))
