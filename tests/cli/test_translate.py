"""The translator on the command line: pairs are recognised, answers are the model's, mistakes are sentences."""

import json
from pathlib import Path

import polars as pl
import pytest

from foretell.cli.translate import looks_like
from foretell.jobs import load

NUMBERS = ("one", "two", "three", "four", "five", "six")
ZAHLEN = ("eins", "zwei", "drei", "vier", "fünf", "sechs")
PAIRS = [
    (f"{NUMBERS[a]} and {NUMBERS[b]} dogs", f"{ZAHLEN[a]} und {ZAHLEN[b]} Hunde") for a in range(6) for b in range(6)
]
SMALL = ("--epochs", "1", "--hidden", "4", "--pieces", "270", "--test-pairs", "5", "--validation-pairs", "5")


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def parallel(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("parallel")
    sides = zip(*PAIRS, strict=True)
    return tuple(write(folder / f"train.{name}", side) for name, side in zip(("en", "de"), sides, strict=True))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("pairs") / "pairs.tsv", ["\t".join(pair) for pair in PAIRS])


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory, run) -> Path:
    """Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("model") / "numbers"
    done = run("train", pairs, "-o", folder, *SMALL)
    assert done.exit_code == 0, done.output
    assert "26 pairs to train on" in done.stdout
    assert "word by word" in done.stdout
    assert {path.name for path in folder.iterdir()} == {"model.json", "weights.safetensors", "report.html"}
    return folder


def test_pairs_are_recognised_and_other_files_are_not(pairs, parallel, tmp_path):
    assert looks_like([str(pairs)])
    assert looks_like([str(path) for path in parallel])
    table = tmp_path / "pairs.csv"
    pl.DataFrame(PAIRS, schema=["source", "target"], orient="row").write_csv(table)
    assert looks_like([str(table)])
    series = write(tmp_path / "series.tsv", ["ds\ty", "2024-01-01\t3"])
    text = write(tmp_path / "book.txt", ["It was the best of times,", "it was the worst of times,"])
    other = write(tmp_path / "poem.md", ["A book of verses underneath the bough"])
    assert not looks_like([str(series)])
    assert not looks_like([str(text)])
    assert not looks_like([str(text), str(other)])
    assert not looks_like([str(text), str(write(tmp_path / "cook.txt", ["Take two eggs."]))])
    assert not looks_like([str(tmp_path / "missing.tsv")])
    assert not looks_like([str(tmp_path)])


def test_two_files_and_files_for_validation_and_test(parallel, run, tmp_path):
    files = ",".join(map(str, parallel))
    more = ("--validation-files", files, "--test-files", files, "--json")
    done = run("train", *parallel, "-o", tmp_path / "model", *SMALL[:6], "--separate", *more)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["pairs"] == {"train": 36, "validation": 36, "test": 36, "too_long": 0, "blank": 0}
    assert not load(tmp_path / "model").settings.joint


def test_predict_gives_what_the_model_gives(run, trained, tmp_path):
    model = load(trained)
    sources = [PAIRS[0][0], "", PAIRS[9][0]]
    file = write(tmp_path / "new.en", sources)
    wanted = model.translate(sources)
    assert run("predict", trained, file).stdout.splitlines() == wanted
    assert run("predict", trained, "--source", sources[0]).stdout.strip() == wanted[0].strip()
    found = json.loads(run("predict", trained, "--source", sources[0], "--n-best", 2, "--beam", 3, "--json").stdout)
    best = model.translate(sources[0], n_best=2, beam=3)
    assert [row["translation"] for row in found["translations"]] == [one.text for one in best]
    assert [row["rank"] for row in found["translations"]] == [1, 2]


def test_predict_writes_lines_or_a_table(run, trained, tmp_path):
    sources = [source for source, _ in PAIRS[:3]]
    file = write(tmp_path / "new.en", sources)
    assert run("predict", trained, file, "-o", tmp_path / "new.txt").exit_code == 0
    assert (tmp_path / "new.txt").read_text().splitlines() == load(trained).translate(sources)
    assert run("predict", trained, file, "-o", tmp_path / "new.csv").exit_code == 0
    assert pl.read_csv(tmp_path / "new.csv").columns == ["source", "rank", "translation", "score"]


def test_evaluate_held_out_and_other_pairs(run, trained, parallel):
    done = run("evaluate", trained)
    assert "on 5 held-out pairs" in done.stdout
    assert "tok:13a" in done.stdout
    found = json.loads(run("evaluate", trained, parallel[0], "--reference", parallel[1], "--json").stdout)
    assert [row["model"] for row in found["summary"]] == ["foretell", "word by word", "source copied"]
    assert len(found["translations"]) == 36


def test_explain_names_where_it_looked(run, trained):
    done = run("explain", trained, "--source", "one and two dogs", "--translation", "eins und zwei Hunde")
    assert done.exit_code == 0, done.output
    assert "eins und zwei Hunde" in done.stdout
    assert "from " in done.stdout
    found = json.loads(run("explain", trained, "--source", "one and two dogs", "--json").stdout)
    assert len(found["attention"]) == len(found["target"]) == len(found["probabilities"])


def test_stream_answers_line_by_line(run, trained):
    model = load(trained)
    sources = [PAIRS[3][0], "", PAIRS[4][0]]
    text = "".join(f"{source}\n" for source in sources)
    wanted = ["".join(model.stream(source)) for source in sources]
    assert run("stream", trained, input=text).stdout == "".join(f"{line}\n" for line in wanted)
    lines = run("stream", trained, "--json", input=text).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"source": source, "translation": line} for source, line in zip(sources, wanted, strict=True)
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("predict", "{model}"), "name a file with a sentence a line"),
        (("predict", "{model}", "--source", "a", "--beam", "0"), "beam must be a whole number from 1"),
        (("predict", "{model}", "--source", "a", "-o", "x.pdf"), "the name must end in"),
        (("predict", "{model}", "--user-id", "a"), "is an option of the job 'recommend'"),
        (("evaluate", "{model}", "--reference", "a"), "name that file too"),
        (("explain", "{model}"), "say which sentence"),
        (("train", "{pairs}", "{pairs}", "{pairs}", "--job", "translate", "-o", "new"), "one file of pairs, or"),
        (("train", "{pairs}", "--time", "ds", "--job", "translate", "-o", "new"), "--time is for tables"),
        (("train", "{pairs}", "--heads", "3", "-o", "new"), "multiple of heads"),
    ],
)
def test_mistakes_are_one_sentence(run, trained, pairs, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    done = run(*(word.format(model=trained, pairs=pairs) for word in words))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_files_of_different_lengths_leave_nothing_behind(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.en", ["one dog", "two dogs"])
    write(tmp_path / "a.de", ["ein Hund"])
    done = run("train", "a.en", "a.de", "-o", "model")
    assert done.exit_code == 2
    assert "a.en has 2 lines and a.de 1: line 2 of a.en ('two dogs') has no partner in a.de" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.de", "a.en"]
