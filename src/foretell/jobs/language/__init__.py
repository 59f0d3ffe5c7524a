"""The parts of a language model: settings, text as tokens, training, writing, measuring, its folder."""
