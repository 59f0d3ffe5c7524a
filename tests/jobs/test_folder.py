"""Model folders of a forecaster: what is saved comes back, and what is damaged is said to be."""

import json
import re

import numpy as np
import polars as pl
import pytest

import foretell
from foretell.errors import InputError
from foretell.jobs import Forecaster, load
from foretell.jobs.runs import without_password
from foretell.store import FORMAT, write_model

HORIZON = 4
TINY = {"hidden": 4, "epochs": 1, "context": 14}


@pytest.fixture
def folder(plain, tmp_path):
    return plain.save(tmp_path / "model")


def test_a_round_trip_changes_no_digit(rich, rows, future, tmp_path):
    folder = rich.save(tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]
    again = foretell.load(folder)
    assert again.predict(known=future).equals(rich.predict(known=future))
    assert again.predict(rows, known=future).equals(rich.predict(rows, known=future))
    assert again.evaluate(rows, windows=3).windows.equals(rich.evaluate(rows, windows=3).windows)
    assert again.stream("b").step({"y1": 1.0, "x": 0.5}).y_hat == pytest.approx(
        rich.stream("b").step({"y1": 1.0, "x": 0.5}).y_hat
    )
    assert again.training_.equals(rich.training_)
    assert (again.schema_, again.seconds_, again.settings) == (rich.schema_, rich.seconds_, rich.settings)
    assert again.facts() == rich.facts()


def test_a_second_round_trip(rich, future, tmp_path):
    once = load(rich.save(tmp_path / "once"))
    twice = load(once.save(tmp_path / "twice"))
    assert twice.predict(known=future).equals(rich.predict(known=future))


def test_an_update_is_saved(plain, make_daily, tmp_path):
    model = load(plain.save(tmp_path / "one"))
    model.update(make_daily([1.0, 2.0], start=plain.predict()["ds"][0]))
    assert load(model.save(tmp_path / "two")).predict().equals(model.predict())


def test_scores_are_saved(plain, tmp_path):
    found = plain.evaluate()
    content = json.loads((plain.save(tmp_path) / "model.json").read_text())
    assert content["headline"] == found.headline
    assert content["scores"] == found.summary.to_dicts()
    assert content["job"] == "forecast"


def test_evaluating_a_loaded_model_reads_its_file_again(plain_table, tmp_path):
    plain_table.write_csv(tmp_path / "table.csv")
    model = Forecaster(HORIZON, **TINY).fit(tmp_path / "table.csv")
    again = load(model.save(tmp_path / "model"))
    assert again.evaluate().headline == model.evaluate().headline


def test_evaluating_a_loaded_model_without_its_table(folder, plain, plain_table):
    with pytest.raises(InputError, match="data="):
        load(folder).evaluate()
    assert load(folder).evaluate(plain_table).headline == plain.evaluate(plain_table).headline


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "changed"])
def test_a_damaged_folder(folder, name, damage):
    path = folder / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "changed": data[:-9] + b"x" + data[-8:]}[damage])
    with pytest.raises(InputError, match=re.escape(name)):
        load(folder)


def test_settings_edited_by_hand(folder):
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"horizon": 4', '"horizon": 5'))
    with pytest.raises(InputError, match="changed by hand"):
        load(folder)


def test_a_newer_format(folder):
    path = folder / "model.json"
    path.write_text(path.read_text().replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'))
    with pytest.raises(InputError, match="newer version"):
        load(folder)


def test_a_job_not_known_here(tmp_path):
    write_model(tmp_path / "model", {"job": "paint"}, {})
    with pytest.raises(InputError, match=r"'paint'.*forecast"):
        load(tmp_path / "model")


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="no such model folder"):
        load(tmp_path / "nowhere")


def test_saving_where_a_file_is_in_the_way(plain, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file"):
        plain.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_saving_removes_nothing_that_is_not_foretells(plain, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "thesis.txt").write_text("mine")
    plain.save(tmp_path)
    assert (tmp_path / "checkpoint" / "thesis.txt").read_text() == "mine"


def test_saving_removes_the_checkpoints_of_its_own_run(plain_table, tmp_path):
    model = Forecaster(HORIZON, **TINY).fit(plain_table, checkpoint=tmp_path / "model" / "checkpoint")
    assert (tmp_path / "model" / "checkpoint").is_dir()
    model.save(tmp_path / "model")
    assert not (tmp_path / "model" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://ada:secret@host:5432/shop", "postgresql://ada@host:5432/shop"),
        ("postgresql://ada:@host/shop", "postgresql://ada@host/shop"),
        ("postgresql://ada@host/shop", "postgresql://ada@host/shop"),
        ("postgresql://host:5432/shop", "postgresql://host:5432/shop"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("data/a:b@c.csv", "data/a:b@c.csv"),
    ],
)
def test_a_stored_address_has_no_password(address, shown):
    assert without_password(address) == shown


def test_describe_and_facts(rich):
    assert rich.describe()["settings"]["horizon"] == HORIZON
    facts = dict(rich.facts())
    assert facts["Target"] == "y1, y2"
    assert facts["Known covariates"] == "promo, day"
    json.dumps(rich.describe())


def test_explain(rich, rows):
    found = rich.explain(series="b", rows=20)
    length = 6 * 2 * 5 * 20  # units, layers, gates, rows
    assert found.gates.columns == ["ds", "layer", "gate", "unit", "value"]
    assert len(found.gates) == length
    assert found.gates["ds"].max() == rows.filter(pl.col("shop") == "b")["ds"].max()
    for gate in ("forget", "input", "output"):
        assert found.gates.filter(pl.col("gate") == gate)["value"].is_between(0, 1).all()
    named = {
        "calendar",
        "x",
        "mood",
        "promo",
        "day",
        "size",
        "kind",
        "series identity",
        "LSTM (linear skip alone)",
    }
    assert set(found.inputs["input"]) == named
    assert found.inputs["increase"].is_sorted(descending=True)
    assert (found.inputs["loss_without"] > 0).all()


def test_half_lives_by_hand(rich):
    found = rich.explain(series="b", rows=20)
    forget = found.gates.filter((pl.col("gate") == "forget") & (pl.col("layer") == 1) & (pl.col("unit") == 3))
    steps = found.half_life.filter((pl.col("layer") == 1) & (pl.col("unit") == 3))["steps"][0]
    assert forget["value"].mean() ** steps == pytest.approx(0.5)
    assert np.isfinite(found.half_life["steps"].to_numpy()).all()


def test_an_input_that_matters_is_worth_something(make_daily):
    rng = np.random.default_rng(0)
    promo = rng.integers(0, 2, 500).astype(float)
    table = make_daily(10 * promo + rng.normal(size=500), promo=promo, noise=rng.normal(size=500))
    model = Forecaster(HORIZON, hidden=8, epochs=15, learning_rate=0.02, context=8)
    worth = model.fit(table, target="y", known="promo", past="noise").explain().inputs
    increase = dict(worth.select("input", "increase").iter_rows())
    assert increase["promo"] > 0.3
    assert abs(increase["noise"]) < 0.1 * increase["promo"]
