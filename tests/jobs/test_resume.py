"""A run that was killed ends with the weights of one that was not, bit for bit."""

import signal
import subprocess
import sys
import time

import polars as pl
import pytest
import torch

from foretell.errors import InputError
from foretell.jobs import Forecaster

SETTINGS = {"horizon": 4, "hidden": 6, "context": 14, "epochs": 6, "members": 2, "seed": 3}
SCRIPT = """
import sys
from foretell.jobs import Forecaster
Forecaster(4, hidden=6, context=14, epochs=60, members=2, seed=3).fit(sys.argv[1], checkpoint=sys.argv[2])
"""


class Killed(Exception):
    """Stands for the end of the process."""


def weights(model):
    networks = [network.state_dict() for network in model._model.networks]
    return {f"{number}.{name}": tensor for number, network in enumerate(networks) for name, tensor in network.items()}


def same(one, other):
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def csv(plain_table, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "table.csv"
    plain_table.write_csv(path)
    return path


@pytest.fixture(scope="module")
def whole(csv):
    return Forecaster(**SETTINGS).fit(csv)


def interrupted(table, checkpoint, after):
    """Stop a run when it has told of that many epochs."""
    lines = []

    def stop(*line):
        lines.append(line)
        if len(lines) == after:
            raise Killed

    with pytest.raises(Killed):
        Forecaster(**SETTINGS).fit(table, checkpoint=checkpoint, progress=stop)


@pytest.mark.parametrize("after", [1, 4, 6, 7, 12])
def test_stopped_after_any_epoch_of_any_network(csv, whole, tmp_path, after):
    interrupted(csv, tmp_path / "run", after)
    lines = []
    resumed = Forecaster.resume(tmp_path / "run", progress=lambda *line: lines.append(line))
    assert same(resumed, whole)
    assert len(lines) == 12 - after
    assert resumed.predict().equals(whole.predict())
    assert resumed.evaluate().headline == whole.evaluate().headline
    assert resumed.training_.drop("seconds").equals(whole.training_.drop("seconds"))


def test_killed_at_any_moment(csv, tmp_path):
    """A real process, killed by the kernel once its first checkpoint is there."""
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(csv), str(run)])
    deadline = time.monotonic() + 60
    while not list(run.glob("member-*.safetensors")):
        assert process.poll() is None, "the process ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it was killed"
    resumed = Forecaster.resume(run)
    uninterrupted = Forecaster(**{**SETTINGS, "epochs": 60}).fit(csv)
    assert same(resumed, uninterrupted)
    assert resumed.predict().equals(uninterrupted.predict())


def test_a_frame_is_asked_for_again(plain_table, whole, tmp_path):
    interrupted(plain_table, tmp_path / "run", 2)
    with pytest.raises(InputError, match="data="):
        Forecaster.resume(tmp_path / "run")
    assert same(Forecaster.resume(tmp_path / "run", plain_table), whole)


def test_another_table_is_refused(plain_table, tmp_path):
    interrupted(plain_table, tmp_path / "run", 2)
    other = plain_table.with_columns(pl.col("y") + 1)
    with pytest.raises(InputError, match=r"table has changed|another training run"):
        Forecaster.resume(tmp_path / "run", other)


def test_another_run_in_the_same_folder_is_refused(csv, tmp_path):
    interrupted(csv, tmp_path / "run", 2)
    with pytest.raises(InputError, match="another training run"):
        Forecaster(**{**SETTINGS, "hidden": 7}).fit(csv, checkpoint=tmp_path / "run")


def test_two_trainings_in_one_folder_at_a_time_are_refused(csv, whole, tmp_path):
    refused = []

    def begin_another(*_):
        with pytest.raises(InputError, match="another training is writing there") as caught:
            Forecaster(**SETTINGS).fit(csv, checkpoint=tmp_path / "run")
        refused.append(caught)

    first = Forecaster(**SETTINGS).fit(csv, checkpoint=tmp_path / "run", progress=begin_another)
    assert len(refused) == 12
    assert same(first, whole)
    assert same(Forecaster.resume(tmp_path / "run"), whole)


def test_the_same_fit_again_goes_on(csv, whole, tmp_path):
    interrupted(csv, tmp_path / "run", 3)
    assert same(Forecaster(**SETTINGS).fit(csv, checkpoint=tmp_path / "run"), whole)


def test_killed_before_the_first_epoch_was_over(csv, whole, tmp_path):
    interrupted(csv, tmp_path / "run", 1)
    (tmp_path / "run" / "member-0.safetensors").unlink()
    assert same(Forecaster.resume(tmp_path / "run"), whole)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match="no training run"):
        Forecaster.resume(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "member-0.safetensors"])
def test_a_damaged_checkpoint_is_an_input_error(csv, tmp_path, name):
    interrupted(csv, tmp_path / "run", 2)
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=name):
        Forecaster.resume(tmp_path / "run")


def test_a_run_writes_nothing_but_its_folder(csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Forecaster(**{**SETTINGS, "epochs": 1}).fit(csv, checkpoint="run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["lock", "member-0.safetensors", "member-1.safetensors", "run.json"]
