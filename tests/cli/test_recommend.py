"""The recommender on the command line: the log is recognised, answers are the model's, mistakes are sentences."""

import json
from pathlib import Path

import polars as pl
import pytest

from foretell.cli.recommend import looks_like
from foretell.jobs import load

SMALL = ("--epochs", "1", "--hidden", "4")


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> Path:
    """12 users of 9 items; user u goes from item to item by u + 1."""
    rows = [(f"u{user}", f"i{(user + 1) * time % 9}", time) for time in range(6) for user in range(12)]
    path = tmp_path_factory.mktemp("log") / "events.csv"
    pl.DataFrame(rows, schema=["user", "item", "time"], orient="row").write_csv(path)
    return path


@pytest.fixture(scope="module")
def trained(log, tmp_path_factory, run) -> Path:
    """Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("model") / "shop"
    done = run("train", log, "-o", folder, *SMALL)
    assert done.exit_code == 0, done.output
    assert "users in 'user', items in 'item', ordered by 'time'" in done.stdout
    assert {path.name for path in folder.iterdir()} == {"model.json", "weights.safetensors", "report.html"}
    return folder


def test_a_log_is_recognised_and_a_table_of_series_is_not(log, tmp_path):
    assert looks_like([str(log)])
    lines, series, text = (tmp_path / name for name in ("lines.txt", "series.csv", "text.txt"))
    lines.write_text("1 2 3\n2 3 4\n")
    series.write_text("ds,item,y\n2024-01-01,a,3\n")
    text.write_text("once upon a time\nthere was a table\n")
    assert looks_like([str(lines)])
    assert not looks_like([str(series)])
    assert not looks_like([str(text)])
    assert not looks_like([str(log), str(log)])
    assert not looks_like([str(tmp_path / "missing.csv")])
    pl.read_csv(log).write_parquet(tmp_path / "log.parquet")
    pl.read_csv(log).write_ndjson(tmp_path / "log.jsonl")
    assert looks_like([str(tmp_path / "log.parquet")])
    assert looks_like([str(tmp_path / "log.jsonl")])
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n")
    assert looks_like([str(tmp_path / "ratings.csv")])


def test_predict_gives_what_the_model_gives(run, trained, tmp_path):
    model = load(trained)
    found = json.loads(run("predict", trained, "--user-id", "u3", "-k", "2", "--json").stdout)
    assert found["recommendations"] == model.recommend_all(k=2, users=["u3"]).to_dicts()
    found = json.loads(run("predict", trained, "--history", "i1,i2", "--include-seen", "--json").stdout)
    expected = model.recommend(["i1", "i2"], exclude_seen=False)
    assert [row["item"] for row in found["recommendations"]] == list(expected.items)
    path = tmp_path / "all.csv"
    done = run("predict", trained, "-o", path)
    assert str(path) in done.stdout
    assert pl.read_csv(path)["user"].n_unique() == 12
    assert "u3:" in run("predict", trained, "--user-id", "u3").stdout


def test_predict_after_new_events(run, trained, tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("user,item,time\nu99,i1,7\nu99,i2,8\n")
    found = json.loads(run("predict", trained, path, "--json").stdout)
    assert {row["user"] for row in found["recommendations"]} == {"u99"}


def test_evaluate_and_explain(run, trained, log):
    found = json.loads(run("evaluate", trained, "--json").stdout)
    assert found["summary"][0]["model"] == "foretell"
    assert "best baseline" in run("evaluate", trained, log, "--by", "time").stdout
    assert "i3: like" in run("explain", trained, "--items", "i3").stdout
    assert set(json.loads(run("explain", trained, "--json").stdout)) == {"neighbours", "recency", "half_life"}


def test_stream_keeps_a_state_for_each_user(run, trained):
    lines = [{"user": "new", "item": "i1"}, {"user": "u3", "item": "i1"}, {"user": "new", "item": "i2"}]
    done = run("stream", trained, "-k", "3", input="\n".join(map(json.dumps, lines)))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    model = load(trained)
    history = [model.items[code] for code in model._fitted().events.item[model._fitted().events.of_user(3)]]
    expected = [model.recommend(one, k=3).items for one in (["i1"], [*history, "i1"], ["i1", "i2"])]
    assert [tuple(answer["items"]) for answer in answers] == expected
    assert [answer["user"] for answer in answers] == ["new", "u3", "new"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--user-id", "nobody"), "knows no user 'nobody'"),
        (("--history", "moon"), r"none of the history's items (moon)"),
        (("--history", "i1", "--user-id", "u3"), "--history is a new user's"),
        (("-k", "0"), "k must be a whole number of at least 1"),
    ],
)
def test_a_mistake_is_a_sentence(run, trained, words, message):
    done = run("predict", trained, *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_line_that_is_no_event_is_named(run, trained):
    done = run("stream", trained, input='{"user": "a", "item": "i1"}\n{"user": "a"}\n')
    assert done.exit_code == 2
    assert "stdin, line 2: an event needs a user and an item" in done.stderr


def test_a_log_that_is_no_good_leaves_nothing(run, tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user,item\na,x\nb,y\n")
    done = run("train", path, "-o", tmp_path / "model")
    assert done.exit_code == 2
    assert "no user has two events" in done.stderr
    assert not (tmp_path / "model").exists()
