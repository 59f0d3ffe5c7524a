"""The parts of the translator: splitting, training, searching, evaluating, explaining, storing."""
