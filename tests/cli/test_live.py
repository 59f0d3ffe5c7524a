"""Rows through a pipe."""

import json

import pytest

from foretell.cli.live import Feed, read_rows
from foretell.errors import InputError
from foretell.jobs import load

ROWS = [
    {"date": "2024-06-09", "sales": 51.0, "promo": 1, "weather": "sun"},
    {"date": "2024-06-10", "sales": 52.0, "promo": None, "weather": "rain"},
]


def test_json_rows_are_answered_as_python_answers_them(run, model):
    done = run("stream", model, input="\n".join(map(json.dumps, ROWS)))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    stream = load(model).stream()
    expected = [stream.step(row).y_hat.tolist() for row in ROWS]
    assert [answer["y_hat"] for answer in answers] == expected
    assert answers[1]["ds"] == [f"2024-06-{day}" for day in range(11, 16)]


def test_csv_rows_mean_the_same(run, model):
    csv = "date,sales,promo,weather\n2024-06-09,51,1,sun\n2024-06-10,52,,rain\n"
    expected = run("stream", model, input="\n".join(map(json.dumps, ROWS)))
    assert run("stream", model, input=csv).stdout == expected.stdout


def test_skipped_times_are_gaps(run, model):
    row = {**ROWS[1], "date": "2024-06-12"}
    done = run("stream", model, input=json.dumps(row))
    stream = load(model).stream()
    for _ in range(3):
        stream.step(None, forecast=False)
    assert json.loads(done.stdout)["y_hat"] == stream.step(row).y_hat.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"sales": 5}\nfive\n', "line 2: 'five' is no row"),
        ('{"sales": 5', "line 1"),
        ("sales,promo\n5\n", "line 2: 1 fields where the header has 2"),
        ("sales,promo\n5,many\n", "line 2, column 'promo': 'many' is not a number"),
        ('{"slaes": 5}\n', "Did you mean 'sales'?"),
        ('{"date": "2024-06-01", "sales": 5}\n', "expected 2024-06-09"),
        ("true\n", "'true' is no row"),
    ],
)
def test_a_bad_row_is_named_by_its_line(run, model, text, message):
    done = run("stream", model, input=text)
    assert done.exit_code == 2
    assert "stdin, line" in done.stderr
    assert message in done.stderr


def test_numbers_and_gaps_alone():
    assert list(read_rows(["5\n", "\n", "null\n", "6.5\n"], frozenset())) == [(1, 5), (3, None), (4, 6.5)]


def test_an_unknown_series(model):
    with pytest.raises(InputError, match="unknown series 'north'"):
        Feed(load(model), "north").take(ROWS[0])
