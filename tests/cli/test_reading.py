"""predict, evaluate, explain and info, on a model folder."""

import json
import shutil
from datetime import datetime

import polars as pl
import pytest

from foretell.cli import writing
from foretell.jobs import load


def test_predict_prints_every_step(run, model):
    done = run("predict", model)
    assert done.exit_code == 0
    assert [line[:10] for line in done.stdout.splitlines()[2:]] == [f"2024-06-{day:02}" for day in range(9, 14)]


def test_predict_as_json_is_what_python_says(run, model):
    rows = json.loads(run("predict", model, "--json").stdout)["forecast"]
    frame = load(model).predict()
    assert [row["y_hat"] for row in rows] == frame["y_hat"].to_list()
    assert [row["ds"] for row in rows] == [str(day) for day in frame["ds"]]


@pytest.mark.parametrize(
    ("name", "read"), [("f.csv", pl.read_csv), ("f.parquet", pl.read_parquet), ("f.jsonl", pl.read_ndjson)]
)
def test_predict_to_a_file(run, model, tmp_path, name, read):
    done = run("predict", model, "-o", tmp_path / name)
    assert done.exit_code == 0
    frame = read(tmp_path / name)
    assert frame["y_hat"].to_list() == pytest.approx(load(model).predict()["y_hat"].to_list())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_times_in_a_file_have_a_fraction_only_where_there_is_one(tmp_path):
    for name, clock, written in (("a", (3,), "03:00:00"), ("b", (3, 0, 0, 500_000), "03:00:00.500")):
        writing.write_frame(pl.DataFrame({"ds": [datetime(2024, 1, 1, *clock)]}), tmp_path / f"{name}.csv")
        assert (tmp_path / f"{name}.csv").read_text() == f"ds\n2024-01-01T{written}\n"


def test_predict_refuses_an_unknown_ending_before_it_works(run, model, tmp_path, monkeypatch):
    monkeypatch.delattr("foretell.jobs.Forecaster.predict")
    done = run("predict", model, "-o", tmp_path / "f.xlsx")
    assert done.exit_code == 2
    assert ".parquet" in done.stderr


def test_predict_from_other_data(run, model, table, tmp_path):
    shorter = tmp_path / "shorter.csv"
    shorter.write_text("\n".join(table.read_text().splitlines()[:101]))
    rows = json.loads(run("predict", model, shorter, "--json").stdout)["forecast"]
    assert rows[0]["ds"] == "2024-04-10"


def test_predict_needs_no_known_columns(run, model, table):
    done = run("predict", model, "--known", table)
    assert done.exit_code == 2
    assert "known" in done.stderr


def test_evaluate(run, model):
    assert "MASE" in run("evaluate", model).stdout
    found = json.loads(run("evaluate", model, "--windows", 2, "--step", 3, "--json").stdout)
    assert len({row["cutoff"] for row in found["windows"]}) == 2
    assert {row["model"] for row in found["summary"]} == {"foretell", "naive", "seasonal naive", "drift"}


def test_explain(run, model):
    done = run("explain", model)
    assert "promo" in done.stdout
    assert "cells let go of half their content within" in done.stdout
    assert f"{model}/report.html" in done.stdout
    assert len(json.loads(run("explain", model, "--json").stdout)["half_life"]) == 4


def test_info(run, model):
    assert "seasonal naive" in run("info", model).stdout
    assert json.loads(run("info", model, "--json").stdout)["settings"]["hidden"] == 4


def test_info_of_the_installation(run):
    assert "PyTorch" in run("info").stdout
    assert "Threads" in json.loads(run("info", "--json").stdout)


def test_the_table_is_found_from_any_folder(run, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("evaluate", model).exit_code == 0


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain", "stream", "info"])
def test_a_folder_cut_short(run, model, tmp_path, command):
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    (broken / "weights.safetensors").write_bytes(b"half")
    done = run(command, broken)
    assert done.exit_code == 2
    assert "does not match" in done.stderr
    assert done.stdout == ""


def test_update_takes_in_new_rows_and_keeps_them(run, model, table, tmp_path):
    copy = shutil.copytree(model, tmp_path / "model")
    header, last = table.read_text().splitlines()[0], table.read_text().splitlines()[-1]
    more = tmp_path / "more.csv"
    more.write_text(f"{header}\n2024-06-09,{last.split(',', 1)[1]}\n")
    assert "taken in" in run("update", copy, more).stdout
    rows = json.loads(run("predict", copy, "--json").stdout)["forecast"]
    assert [row["ds"] for row in rows] == [f"2024-06-{day}" for day in range(10, 15)]


def test_update_refuses_what_is_no_table_and_keeps_the_model(run, model, tmp_path):
    before = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    done = run("update", model, tmp_path / "none.csv")
    assert done.exit_code == 2
    assert {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()} == before


def test_options_of_another_job_are_refused(run, model):
    done = run("predict", model, "--prompt", "It was")
    assert done.exit_code == 2
    assert "--prompt is an option of the job 'text'; this is 'forecast'" in done.stderr
