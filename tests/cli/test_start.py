"""The program as it is started from a shell."""

import json
import subprocess
import sys

import pytest

COMMANDS = ["train", "predict", "evaluate", "explain", "stream", "resume", "info", "demo"]


def start(*words, **more):
    return subprocess.run([sys.executable, "-m", "foretell", *words], capture_output=True, text=True, **more)


def test_help_names_every_command_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from foretell.cli import app\n"
        "print(CliRunner().invoke(app, ['--help']).stdout)\n"
        "assert not {'torch', 'polars', 'numpy', 'altair'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(run, command):
    done = run(command, "--help", env={"TERMINAL_WIDTH": "100"})
    assert done.exit_code == 0
    assert "--json" in done.stdout


def test_version(run):
    from foretell import __version__

    assert run("--version").stdout.strip() == __version__


def test_a_mistake_from_the_shell():
    done = start("predict", "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("nothing: there is no such model folder")
    assert done.stderr.count("\n") == 1


def test_json_from_the_shell_is_all_of_stdout(model):
    done = start("predict", str(model), "--json", check=True)
    assert len(json.loads(done.stdout)["forecast"]) == 5


def test_a_folder_that_may_not_be_written(run, model, tmp_path):
    (tmp_path / "file").write_text("")
    done = run("predict", model, "-o", tmp_path / "file" / "forecast.csv")
    assert done.exit_code == 2
    assert "Traceback" not in done.output
