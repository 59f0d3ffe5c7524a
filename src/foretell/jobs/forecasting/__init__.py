"""The parts of the forecaster, each small: scaling, linear start, fitting, prediction, evaluation, streaming."""
