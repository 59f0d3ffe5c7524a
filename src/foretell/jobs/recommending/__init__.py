"""The parts of the recommender: split, training, ranking, evaluation, explanation, streams, folders."""
