"""What a command says when something is wrong."""

import pytest

from foretell.cli import commands  # noqa: F401  # whose options are known from then on
from foretell.cli.command import as_typed


@pytest.mark.parametrize(
    ("python", "terminal"),
    [
        ("Say it with freq=, e.g. freq='1d'.", "Say it with --freq, e.g. --freq 1d."),
        ("too few for horizon=14; give more", "too few for --horizon 14; give more"),
        ("fit with held_out=0.1, or give data=.", "fit with --held-out 0.1, or give DATA."),
        ("Forecaster: learning_rate must be above 0; got -1.", "--learning-rate must be above 0; got -1."),
        ("s.csv: no column 'time=x', no horizons=3", "s.csv: no column 'time=x', no horizons=3"),
        ("year/time=2024/s.csv: no rows", "year/time=2024/s.csv: no rows"),
        ("LSTM: hidden is 3", "LSTM: hidden is 3"),
    ],
)
def test_sentences_name_options_as_they_are_typed(python, terminal):
    assert as_typed(python) == terminal


def test_a_mistake_names_the_option(run, table, tmp_path):
    done = run("train", table, "--target", "sales", "--horizon", 0, "-o", tmp_path / "model")
    assert done.exit_code == 2
    assert done.stderr == "--horizon must be at least 1; got 0.\n"


def test_what_train_takes_the_table_for_is_corrected_by_options(run, table, tmp_path, small):
    done = run("train", table, "--target", "sales", "--horizon", 5, "-o", tmp_path / "model", *small)
    assert "Say --time, --target, --series, --past, --known, --static or --freq." in done.stdout
