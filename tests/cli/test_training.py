"""train, resume and demo: what they say, what they write, and what is left when they fail or are stopped."""

import json
import re
from contextlib import ExitStack

import pytest

from foretell.cli import demo, forecast, progress
from foretell.errors import InputError
from foretell.jobs import Forecaster, load
from foretell.store import CHECKPOINT, locked


def test_train_says_the_schema_then_the_headline_and_where_things_are(run, table, tmp_path, small):
    folder = tmp_path / "model"
    done = run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, *small)
    assert done.exit_code == 0
    assert done.stderr == ""  # no progress where there is no terminal
    places = [done.stdout.index(words) for words in ("frequency  daily", "the best baseline", "MAE", str(folder))]
    assert places == sorted(places)
    assert {path.name for path in folder.iterdir()} == {"model.json", "weights.safetensors", "report.html"}


def test_train_as_json(run, table, tmp_path, small):
    done = run("train", table, "--target", "sales", "-o", tmp_path / "model", "--json", *small)
    found = json.loads(done.stdout)
    assert found["horizon"] == 14
    assert found["schema"]["targets"] == ["sales"]
    assert found["scores"][0]["model"] == "foretell"
    assert load(found["model"]).describe()["headline"] == found["headline"]


def test_lists_are_separated_by_commas_or_repeated(run, table, tmp_path, small):
    words = ("--past", "promo,weather", "--level", "50", "--level", "90", "--season", "7")
    done = run("train", table, "--target", "sales", "-o", tmp_path / "m", "--json", *words, *small)
    settings = load(json.loads(done.stdout)["model"]).settings
    assert json.loads(done.stdout)["schema"]["past"] == ["promo", "weather"]
    assert (settings.level, settings.season) == ((50.0, 90.0), (7,))


@pytest.mark.parametrize("words", [(), ("--force",)])
def test_a_folder_where_another_training_is_writing_is_left_alone(run, table, tmp_path, small, words):
    folder = tmp_path / "model"
    with locked(folder / CHECKPOINT):
        (folder / CHECKPOINT / "run.json").write_text("{}")
        done = run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, *small, *words)
        assert done.exit_code == 2
        assert "another training is writing there" in done.stderr
        assert (folder / CHECKPOINT / "run.json").read_text() == "{}"
    done = run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, "--force", *small)
    assert done.exit_code == 0
    assert not (folder / CHECKPOINT).exists()


def test_another_training_that_came_in_between_is_left_alone(run, table, tmp_path, small, monkeypatch):
    folder = tmp_path / "model"

    def come_in(*_, **__):
        other.enter_context(locked(folder / CHECKPOINT))
        raise InputError("no good")

    with ExitStack() as other:
        monkeypatch.setattr(Forecaster, "fit", come_in)
        done = run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, *small)
        assert done.exit_code == 2
        assert (folder / CHECKPOINT).exists()


def test_png_writes_pictures(run, table, tmp_path, small):
    folder = tmp_path / "model"
    run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, "--png", *small)
    assert (folder / "forecast.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--target", "slaes"), "Did you mean 'sales'?"),
        (("--target", "weather"), "'rain' is not a number"),
        (("--target", "sales", "--horizon", "500"), "too few for --horizon 500"),
        (("--level", "80,high"), "--level must be numbers"),
        (("--season", "1.5"), "--season must be whole numbers"),
        (("--hidden", "0"), "hidden"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_a_sentence_and_leaves_nothing(run, table, tmp_path, words, message):
    done = run("train", table, *words, "-o", tmp_path / "deep" / "model")
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file(run, tmp_path):
    done = run("train", tmp_path / "none.csv", "-o", tmp_path / "model", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout) == {"error": done.stderr.strip()}
    assert "no such file" in done.stderr


def test_a_model_is_replaced_only_by_force(run, model, table, small):
    done = run("train", table, "-o", model, *small)
    assert done.exit_code == 2
    assert "--force" in done.stderr


def test_force_replaces_a_model(run, table, tmp_path, small):
    words = ("train", table, "--target", "sales", "--horizon", 5, "-o", tmp_path / "model", *small)
    run(*words)
    assert run(*words, "--force", "--hidden", 8).exit_code == 0
    assert load(tmp_path / "model").settings.hidden == 8


def test_too_short_for_a_backtest(run, tmp_path, write_table):
    table = write_table(tmp_path / "short.csv", rows=24)
    done = run("train", table, "--target", "sales", "--horizon", 5, "-o", tmp_path / "m", "--windows", 0)
    assert done.exit_code == 0
    assert "Not evaluated" in done.stdout


def stop_at_first_epoch(line, epoch, plan):
    raise KeyboardInterrupt


def test_a_stopped_training_is_resumed_to_the_same_model(run, table, tmp_path, monkeypatch, small):
    words = ("--target", "sales", "--horizon", 5, *small, "--epochs", 3)
    run("train", table, "-o", tmp_path / "whole", *words)
    with monkeypatch.context() as patch:
        patch.setattr(progress.ProgressLine, "__call__", stop_at_first_epoch)
        stopped = run("train", table, "-o", tmp_path / "halves", *words)
    assert stopped.exit_code == 130
    assert stopped.stderr.strip() == f"Stopped; go on with: foretell resume {tmp_path / 'halves'}"
    again = run("train", table, "-o", tmp_path / "halves", *words)
    assert again.exit_code == 2
    assert "foretell resume" in again.stderr
    assert "foretell resume" in run("predict", tmp_path / "halves").stderr
    assert run("resume", tmp_path / "halves").exit_code == 0
    whole, halves = load(tmp_path / "whole").predict(), load(tmp_path / "halves").predict()
    assert whole.equals(halves)
    assert not (tmp_path / "halves" / "checkpoint").exists()


def test_stopped_while_the_report_is_written(run, table, tmp_path, small, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Forecaster, "report", stop)
    done = run("train", table, "--target", "sales", "--horizon", 5, "-o", tmp_path / "model", *small)
    assert (done.exit_code, done.stderr.strip()) == (130, f"Stopped; a model is in {tmp_path / 'model'}.")
    assert load(tmp_path / "model").predict().height == 5


def test_force_with_a_bad_table_leaves_what_was_there(run, table, tmp_path, small, monkeypatch):
    folder = tmp_path / "model"
    with monkeypatch.context() as patch:
        patch.setattr(progress.ProgressLine, "__call__", stop_at_first_epoch)
        run("train", table, "--target", "sales", "--horizon", 5, "-o", folder, *small)
    assert run("train", tmp_path / "none.csv", "-o", folder, "--horizon", 5, "--force").exit_code == 2
    assert run("resume", folder).exit_code == 0


def test_nothing_to_resume(run, model, tmp_path):
    assert "complete" in run("resume", model).stderr
    missing = run("resume", tmp_path / "none")
    assert missing.exit_code == 2
    assert "there is no training run to resume" in missing.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("step", "horizon"),
    [("15min", 96), ("1min", 60), ("1h", 24), ("1d", 14), ("1w", 13), ("1mo", 12), ("2i", 10)],
)
def test_a_horizon_is_chosen_from_the_step_between_rows(tmp_path, step, horizon):
    import numpy as np
    import polars as pl

    from foretell.cli.options import Columns
    from foretell.sequences import Frequency

    times = Frequency.parse(step).times(0 if step.endswith("i") else np.datetime64("2024-01-01"), np.arange(600))
    pl.DataFrame({"ds": times, "y": np.arange(600.0)}).write_csv(tmp_path / "table.csv")
    chosen, words = forecast.choose_horizon(str(tmp_path / "table.csv"), Columns(), forecast.TrainOptions())
    assert chosen == horizon
    assert re.search(rf"\b{horizon} steps", words)


def test_demo_writes_its_folder_and_replaces_it(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "SETTINGS", {"horizon": 14, "epochs": 0})
    done = run("demo")
    assert done.exit_code == 0
    assert {path.name for path in demo.FOLDER.iterdir()} == {"model", "forecast.csv", "report.html"}
    assert len((demo.FOLDER / "forecast.csv").read_text().splitlines()) == 1 + 14
    assert "foretell explain foretell-demo/model" in done.stdout
    assert len(json.loads(run("demo", "--json").stdout)["forecast"]) == 14


def test_demo_removes_nothing_of_the_users(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demo.FOLDER.mkdir()
    (demo.FOLDER / "thesis.txt").write_text("years of work")
    done = run("demo")
    assert done.exit_code == 2
    assert "thesis.txt" in done.stderr
    assert (demo.FOLDER / "thesis.txt").exists()
