"""Every way a table comes in, and every way it can be broken."""

import gzip
import sqlite3
import sys
from types import ModuleType

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from foretell.errors import InputError
from foretell.sequences.table import Table, read_table, to_native

FRAME = pl.DataFrame({"ds": ["2024-01-01", "2024-01-02"], "y": [1.5, 2.5], "kind": ["a", None]})


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "ds,y,kind\n2024-01-01,1.5,a\n2024-01-02,2.5,\n"),
        ("t.CSV", "\ufeffds,y,kind\r\n2024-01-01,1.5,a\r\n2024-01-02,2.5,NA\r\n"),
        ("t.csv", '"ds","y","kind"\n"2024-01-01","1.5","a"\n"2024-01-02","2.5",""\n\n\n'),
        ("t.tsv", "ds\ty\tkind\n2024-01-01\t1.5\ta\n2024-01-02\t2.5\t\n"),
        ("t.txt", "ds|y|kind\n2024-01-01|1.5|a\n2024-01-02|2.5|\n"),
        ("t.csv", "ds;y;kind\n2024-01-01;1,5;a\n2024-01-02;2,5;\n"),
        ("t.tsv", "ds\ty\tkind\n2024-01-01\t1,5\ta\n2024-01-02\t 2,5 \t\n"),
        ("t.csv", 'ds,y,kind\n2024-01-01,"1,5",a\n2024-01-02,"2,5",\n'),
        ("t.csv.gz", gzip.compress(b"ds,y,kind\n2024-01-01,1.5,a\n2024-01-02,2.5,\n")),
        ("t.jsonl", '{"ds":"2024-01-01","y":1.5,"kind":"a"}\n{"ds":"2024-01-02","y":2.5}\n'),
        ("t.ndjson", '{"ds":"2024-01-01","y":1.5,"kind":"a"}\n\n{"ds":"2024-01-02","y":2.5,"kind":null}\n'),
    ],
)
def test_text_files(tmp_path, name, text):
    path = write(tmp_path, name, text)
    for source in (path, str(path)):
        table = read_table(source)
        assert_frame_equal(table.frame, FRAME)
        assert (table.name, table.kind) == (name, "polars")


@pytest.mark.parametrize(
    ("separator", "texts", "numbers"),
    [
        (";", ["1,5", "20", "-3"], [1.5, 20.0, -3.0]),
        (";", ["1.234,5", "1.234.567", ""], [1234.5, 1234567.0, None]),
        (";", ["1 234,5", "1\u00a0234", "+1,25"], [1234.5, 1234.0, 1.25]),
        (";", ["1,234.5", "2,000.25", "3"], [1234.5, 2000.25, 3.0]),
        (";", ["1,234", "2,000", "3,500"], [1.234, 2.0, 3.5]),
        (",", ["1,234", "2,000", "3"], [1234.0, 2000.0, 3.0]),
        (",", ["1,234.5", "-1,234,567", "0.5"], [1234.5, -1234567.0, 0.5]),
        (",", ["12,5", "1,25", "3"], [12.5, 1.25, 3.0]),
        (";", ["1,5", "2,5", "much"], ["1.5", "2.5", "much"]),
        (";", ["cable, 1,5 m", "rope", "1,5"], ["cable, 1,5 m", "rope", "1,5"]),
    ],
)
def test_commas_in_numbers(tmp_path, separator, texts, numbers):
    lines = [f'{row}{separator}"{text}"' for row, text in enumerate(texts)]
    path = write(tmp_path, "t.csv", "\n".join([f"ds{separator}y", *lines]) + "\n")
    assert read_table(path).frame["y"].to_list() == numbers


def test_parquet(tmp_path):
    FRAME.write_parquet(tmp_path / "t.parquet")
    assert_frame_equal(read_table(tmp_path / "t.parquet").frame, FRAME)


def test_cells_are_named_by_row_and_line(tmp_path):
    table = read_table(write(tmp_path, "t.csv", "a,b\n1,2\n3,4\n"))
    assert table.where(1, "b") == "t.csv, row 2 (line 3), column 'b'"
    assert read_table(FRAME).where(0) == "polars frame, row 1"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", r"t\.csv: the file is empty"),
        ("t.csv", "\n\n", r"t\.csv: the file is empty"),
        ("t.csv", "ds,y\n", r"t\.csv: the table has column names but no rows"),
        ("t.csv", "ds,y\n\n\n", r"t\.csv: the table has column names but no rows"),
        ("t.csv", "1.0,2\n3,4\n", r"t\.csv, line 1: .* column names; got '1\.0,2'.* Add a line of names"),
        ("t.csv", "y,x,y\n3,4,5\n", r"t\.csv, line 1: column 'y' stands there twice"),
        ("t.csv", "a,b\n1,2\n1,2,3\n", r"t\.csv, line 3: 3 fields where the header has 2 \('1,2,3'\)\. Mend"),
        ("t.csv", "a,b\n1,2\n3\n", r"t\.csv, line 3: 1 fields where the header has 2 \('3'\)\. Mend"),
        ("t.csv", b"a,b\n1,2\n1,caf\xe9\n", r"t\.csv, line 3: byte 0xe9 is not UTF-8 text\. Save"),
        ("t.csv", "a,b\n1,2\n".encode("utf-16"), r"t\.csv: the file is UTF-16\. Save it as UTF-8"),
        ("t.csv.gz", b"a,b\n1,2\n", r"t\.csv\.gz: the file cannot be read"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999)[:-9], r"t\.csv\.gz: the file cannot be read"),
        ("t.parquet", b"PAR1 cut short", r"t\.parquet: this is not a whole Parquet file"),
        ("t.jsonl", '{"a":1}\n{"a":\n', r"""t\.jsonl, line 2: '\{"a":' is not a JSON object"""),
        ("t.jsonl", '{"a":1}\n[2]\n', r"t\.jsonl, line 2: '\[2\]' is not a JSON object"),
        ("t.xlsx", "x", r"t\.xlsx: the name must end in \.csv, .*; got '\.xlsx'"),
        ("t", "x", r"t: the name must end in .*; got 'no ending'"),
    ],
)
def test_broken_files(tmp_path, name, text, message):
    path = write(tmp_path, name, text)
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: there is no such file\. Check the name"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"this is a folder\. Name a file in it"):
        read_table(tmp_path)


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sales (ds TEXT, y REAL, kind TEXT)")
        connection.executemany("INSERT INTO sales VALUES (?, ?, ?)", FRAME.rows())
    connection.close()
    return path


def test_sqlite(shop):
    for source in (f"sqlite:///{shop}", str(shop), shop):
        table = read_table(source, query="SELECT * FROM sales ORDER BY ds")
        assert_frame_equal(table.frame, FRAME)
        assert table.name == "query on shop.db"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (None, r"query on shop\.db: a database needs query=.* Its tables: sales\."),
        ("SELECT * FROM sale", r"query on shop\.db: SQLite refuses it \(no such table: sale\)"),
        ("DELETE FROM sales", r"query on shop\.db: SQLite refuses it .*readonly"),
        ("SELECT y AS a, y AS a FROM sales", r"query on shop\.db: .*two share a name"),
        ("SELECT * FROM sales WHERE y > 9", r"query on shop\.db: the table has column names but no rows"),
    ],
)
def test_bad_queries(shop, query, message):
    with pytest.raises(InputError, match=message):
        read_table(f"sqlite:///{shop}", query=query)


def test_bad_database_addresses(tmp_path):
    with pytest.raises(InputError, match=r"none\.db: there is no such database file"):
        read_table(f"sqlite:///{tmp_path}/none.db", query="SELECT 1")
    with pytest.raises(InputError, match=r"mysql: not a database that can be read here"):
        read_table("mysql://host/shop", query="SELECT 1")
    with pytest.raises(InputError, match=r"query must be given only with a database"):
        read_table(FRAME, query="SELECT 1")


def test_postgres_without_a_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"query on host/shop: .* pip install 'psycopg\[binary\]'") as raised:
        read_table("postgresql://me:secret@host/shop", query="SELECT 1")
    assert "secret" not in str(raised.value)


class FakePostgres(ModuleType):
    """psycopg's connect and cursor over SQLite: the two speak the same DB-API."""

    Error = sqlite3.Error

    def __init__(self, path):
        super().__init__("psycopg")
        self.path = path

    def connect(self, address):
        self.address = address
        return _FakeConnection(self.path)


class _FakeConnection:
    def __init__(self, path):
        self.connection = sqlite3.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.connection.close()

    def cursor(self):
        return _FakeCursor(self.connection.cursor())


class _FakeCursor:
    def __init__(self, cursor):
        self.cursor = cursor

    def __enter__(self):
        return self.cursor

    def __exit__(self, *error):
        self.cursor.close()


def test_postgres(shop, monkeypatch):
    fake = FakePostgres(shop)
    monkeypatch.setitem(sys.modules, "psycopg", fake)
    table = read_table("postgresql://me:secret@host/shop", query="SELECT * FROM sales")
    assert_frame_equal(table.frame, FRAME)
    assert table.name == "query on host/shop"
    assert fake.address == "postgresql://me:secret@host/shop"
    with pytest.raises(InputError, match=r"query on host/shop: PostgreSQL refuses it \(no such table: sale\)"):
        read_table("postgresql://me:secret@host/shop", query="SELECT * FROM sale")


@given(
    st.lists(
        st.tuples(
            st.datetimes(min_value=pd.Timestamp("1900-01-01").to_pydatetime()),
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\x00"))),
            st.integers(-(2**53), 2**53),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_frames_come_back_as_their_kind(rows):
    frame = pl.DataFrame(
        rows,
        schema={"ds": pl.Datetime("us"), "y": pl.Float64, "kind": pl.String, "n": pl.Int64},
        orient="row",
    )
    for kind in ("polars", "pandas", "pyarrow"):
        table = read_table(to_native(frame, kind))
        assert table.kind == kind
        assert_frame_equal(table.frame, frame)


def test_the_kinds_are_the_users_own():
    assert isinstance(to_native(FRAME, "polars"), pl.DataFrame)
    assert isinstance(to_native(FRAME, "pandas"), pd.DataFrame)
    assert isinstance(to_native(FRAME, "pyarrow"), pa.Table)


def test_plain_python_and_lazy_frames():
    columns = FRAME.to_dict(as_series=False)
    for source in (columns, FRAME.to_dicts(), FRAME.lazy()):
        assert_frame_equal(read_table(source).frame, FRAME)
    with pytest.raises(InputError, match=r"dict of columns: not a table"):
        read_table({"a": [1, 2], "b": [1, 2, 3]})
    with pytest.raises(InputError, match=r"dict of columns: the table has no columns"):
        read_table({})
    with pytest.raises(InputError, match=r"must be a file, a database address or a frame .*got float"):
        read_table(1.5)


@pytest.mark.parametrize(
    ("index", "column"),
    [
        (pd.date_range("2024-01-01", periods=2), "ds"),
        (pd.date_range("2024-01-01", periods=2, name="day"), "day"),
        (pd.period_range("2024-01-01", periods=2, freq="D"), "ds"),
    ],
)
def test_a_pandas_time_index_becomes_a_column(index, column):
    table = read_table(pd.DataFrame({"y": [1.0, 2.0]}, index=index))
    assert table.frame[column].dt.strftime("%Y-%m-%d").to_list() == ["2024-01-01", "2024-01-02"]


def test_other_pandas_indexes():
    counted = pd.DataFrame({"y": [1.0, 2.0]}, index=[5, 3])
    assert read_table(counted).frame.columns == ["y"]
    named = pd.DataFrame({"y": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["id", "t"]))
    assert read_table(named).frame.columns == ["id", "t", "y"]
    assert read_table(pd.DataFrame({0: [1.0]})).frame.columns == ["0"]


def test_pandas_columns_without_a_plain_kind():
    months = pd.period_range("2024-01", periods=2, freq="M")
    table = read_table(pd.DataFrame({"month": months, "y": pd.Series([1.5, "x"], dtype=object)}))
    assert table.frame["month"].dt.strftime("%Y-%m-%d").to_list() == ["2024-01-01", "2024-02-01"]
    assert table.frame["y"].to_list() == ["1.5", "x"]
    with pytest.raises(InputError, match=r"pandas.*unique"):
        read_table(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_table_is_read_once():
    table = Table(FRAME, "pandas", "mine")
    assert read_table(table) is table
