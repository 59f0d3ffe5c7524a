"""The language model on the command line, from a file to its continuation."""

import json

import pytest

from foretell.cli.text import looks_like
from foretell.jobs import load

WORDS = "the cat sat on the mat.\n"
SMALL = ("--hidden", "32", "--epochs", "8", "--lanes", "8", "--steps", "32", "--learning-rate", "0.02")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(WORDS * 250)
    return path


@pytest.fixture(scope="module")
def trained(book, tmp_path_factory, run):
    """A model's folder and what its training said. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("model") / "cat"
    done = run("train", book, "-o", folder, *SMALL)
    assert done.exit_code == 0, done.output
    return folder, done.stdout


def test_a_text_is_recognised_measured_and_reported(trained):
    folder, said = trained
    places = [said.index(words) for words in ("6,000 characters", "best baseline", "5-gram", "report")]
    assert places == sorted(places)
    assert {path.name for path in folder.iterdir()} == {"model.json", "weights.safetensors", "report.html"}


def test_predict_writes_on_from_a_prompt_or_a_file(trained, run, tmp_path):
    folder, _ = trained
    asked = ("--temperature", 0, "--length", 17)
    done = run("predict", folder, "--prompt", "the cat", *asked)
    assert done.stdout == "the cat sat on the mat.\n\n"
    (tmp_path / "prompt.txt").write_text("the cat")
    done = run("predict", folder, tmp_path / "prompt.txt", "-o", tmp_path / "out.txt", "--json", *asked)
    found = json.loads(done.stdout)
    assert found["text"] == " sat on the mat.\n"
    assert (tmp_path / "out.txt").read_text() == WORDS
    done = run("predict", folder, "--prompt", "the cat", "--stop", "mat", "--temperature", 0)
    assert done.stdout == "the cat sat on the \n"


def test_evaluate_explain_and_info(trained, run, book):
    folder, _ = trained
    found = json.loads(run("evaluate", folder, "--json").stdout)
    assert found["summary"][0]["model"] == "foretell"
    assert "BITS" in run("evaluate", folder, book).stdout.upper()
    assert json.loads(run("explain", folder, "--json").stdout)["units"]
    assert "half their content" in run("explain", folder).stdout
    assert "Split" in run("info", folder).stdout


def test_stream_answers_every_line_and_remembers_it(trained, run):
    folder, _ = trained
    done = run("stream", folder, input="the cat sat on the mat.\nthe cat\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["line"], first["tokens"], second["tokens"]) == (1, 24, 8)
    assert second["nats_a_token"] > 0
    assert sum(first["next"].values()) <= 1.001
    done = run("stream", folder, input="the cat\nthe dog\n")
    assert done.exit_code == 2
    assert "stdin, line 2: text, character 5: 'd'" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--prompt", "a dog"), "'d'"),
        (("--length", 0), "length must be a whole number"),
        (("--top-p", 3), "--top-p must be"),
    ],
)
def test_a_mistake_is_a_sentence(trained, run, words, message):
    done = run("predict", trained[0], *words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (b"", (), "there is no text in it"),
        (b"aaaa" * 500, (), "over and over"),
        (b"ab\xff" * 500, (), "byte 3 (line 1)"),
        (b"ab " * 500, ("--tokens", "words"), "tokens"),
        (b"ab " * 500, ("--query", "select 1"), "a text has no columns"),
    ],
)
def test_a_text_of_no_use_leaves_nothing(tmp_path, run, content, words, message):
    (tmp_path / "book.txt").write_bytes(content)
    done = run("train", tmp_path / "book.txt", "--job", "text", "-o", tmp_path / "model", *words, *SMALL)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (tmp_path / "model").exists()


def test_a_stopped_training_goes_on(book, tmp_path, run, monkeypatch):
    from foretell.cli import progress

    def stop(self, epoch, plan):
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    folder = tmp_path / "model"
    with monkeypatch.context() as patched:
        patched.setattr(progress.ProgressLine, "__call__", stop)
        done = run("train", book, "-o", folder, *SMALL)
    assert done.exit_code == 130
    assert "go on with: foretell resume" in done.stderr
    assert run("resume", folder).exit_code == 0
    assert load(folder).training_["epoch"].to_list() == list(range(9))


@pytest.mark.parametrize(
    ("name", "content", "is_text"),
    [
        ("a.txt", "Call me Ishmael. Some years ago, never mind how long\nprecisely, I thought\n", True),
        ("a.md", "# A title\n\nand words\n", True),
        ("a.txt", "date,sales\n2024-01-01,3\n2024-01-02,4\n", False),
        ("a.txt", "1 2 3\n2 3 4\n", False),
        ("a.txt", "hello\tBonjour\nworld\tmonde\n", False),
        ("a.csv", "only words in here\n", False),
        ("a.txt", "", False),
    ],
)
def test_prose_is_told_from_tables(tmp_path, name, content, is_text):
    (tmp_path / name).write_text(content)
    assert looks_like([str(tmp_path / name)]) == is_text


def test_a_folder_and_a_pattern_are_texts_and_two_files_may_be_a_translation(tmp_path):
    (tmp_path / "a.txt").write_text("words and words\n")
    assert looks_like([str(tmp_path)])
    assert looks_like([str(tmp_path / "*.txt")])
    assert not looks_like([str(tmp_path / "a.txt")] * 2)
