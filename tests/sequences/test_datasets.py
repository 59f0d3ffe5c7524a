"""Public data sets from files made here in the publishers' formats."""

import dataclasses
import datetime
import gzip
import hashlib
import io
import tarfile

import polars as pl
import pytest

from foretell.errors import InputError
from foretell.sequences import datasets
from foretell.sequences.download import File, fetch


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Put files of a data set under FORETELL_DATA and make their checksums the published ones."""
    monkeypatch.setenv("FORETELL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(name, *contents):
        info = datasets.DATASETS[name]
        folder = tmp_path / "data" / info.folder
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for file, content in zip(info.files, contents, strict=True):
            packed = file.name.endswith(".gz")
            (folder / file.name).write_bytes(gzip.compress(content) if packed else content)
            files.append(dataclasses.replace(file, sha256=hashlib.sha256(content).hexdigest()))
        monkeypatch.setitem(datasets.DATASETS, name, dataclasses.replace(info, files=tuple(files)))

    return put


def test_seattle_ships_with_the_package():
    data = datasets.seattle()
    assert data.frame.columns == ["date", "precipitation", "temp_max", "temp_min", "wind", "weather"]
    assert data.frame.height == 1461
    assert data.frame["date"][-1] == datetime.datetime(2015, 12, 31)
    assert data.split == {}
    published = data.info.files[0].sha256
    assert hashlib.sha256(datasets.SEATTLE_CSV.read_bytes()).hexdigest() == published


def test_every_entry_is_complete():
    for name, info in datasets.DATASETS.items():
        assert info.name == name
        assert all((info.title, info.licence, info.folder, info.home.startswith("https://")))
        for file in info.files:
            assert len(file.sha256) == 64
            assert file.remedy if file.address is None else file.address.startswith("https://")


def test_m4(publish):
    publish("m4_weekly", b'"V1","V2","V3"\n"W1","1.5","2"\n"W2","7",\n', b'"V1","V2"\n"W1","3"\n"W2","8"\n')
    data = datasets.load("m4_weekly")
    assert data.frame.rows() == [
        ("W1", 1, 1.5),
        ("W1", 2, 2.0),
        ("W1", 3, 3.0),
        ("W2", 1, 7.0),
        ("W2", 2, 8.0),
    ]
    assert data.frame.columns == ["unique_id", "ds", "y"]


def test_the_test_of_m4_is_its_last_steps(publish):
    train = b"V1,V2,V3\nW1,1,2\n"
    test = (
        b"V1," + b",".join(b"V%d" % n for n in range(13)) + b"\nW1," + b",".join(b"%d" % n for n in range(13)) + b"\n"
    )
    publish("m4_weekly", train, test)
    data = datasets.load("m4_weekly")
    assert data.split["train"]["y"].to_list() == [1.0, 2.0]
    assert data.split["test"]["y"].to_list() == [float(n) for n in range(13)]


def test_etth(publish):
    start = datetime.datetime(2016, 7, 1)
    rows = [f"{start + datetime.timedelta(hours=n)},{n}.0" for n in range(14500)]
    publish("etth1", "\n".join(["date,OT", *rows]).encode())
    split = datasets.load("etth1").split
    assert {name: (part.height, part["OT"][0]) for name, part in split.items()} == {
        "train": (8640, 0.0),
        "valid": (2880, 8640.0),
        "test": (2880, 11520.0),
    }


def test_weather_wth(publish):
    rows = [f"1/{day}/2010 13:00,{day},{day}" for day in range(1, 11)]
    publish("weather_wth", "\n".join(["date,WetBulbCelsius,time", *rows]).encode())
    data = datasets.load("weather_wth")
    assert data.frame["date"][1] == datetime.datetime(2010, 1, 2, 13)
    assert [part.height for part in data.split.values()] == [7, 1, 2]


def test_exchange_rate(publish):
    lines = [",".join(str(10 * row + column) for column in range(8)) for row in range(10)]
    publish("exchange_rate", "\n".join(lines).encode())
    data = datasets.load("exchange_rate")
    assert data.frame.filter(unique_id="GBP").rows()[:2] == [("GBP", 1, 1), ("GBP", 2, 11)]
    assert [part.height for part in data.split.values()] == [56, 8, 16]


def test_stock_kdd17(publish):
    tar = io.BytesIO()
    stocks = {
        "AA": b"Date,High,Adj Close,,Open\n1/4/2016,1,3.5,,1\n1/2/2015,1,2.5,,1\n12/31/2014,1,1.5,,1\n",
        "BB": b"Date,Open,Close,Adj Close\n2016-01-04,1,9,6\n2015-01-02,1,9,5\n2014-12-31,1,9,4\n",
    }
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for path, content in [
            *((f"data/kdd17/price_long_50/{n}.csv", c) for n, c in stocks.items()),
            ("data/x.csv", b""),
        ]:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    publish("stock_kdd17", tar.getvalue())
    data = datasets.load("stock_kdd17")
    assert data.frame["y"].to_list() == [1.5, 2.5, 3.5, 4.0, 5.0, 6.0]
    assert data.frame["ds"][0] == datetime.date(2014, 12, 31)
    assert {name: part["y"].to_list() for name, part in data.split.items()} == {
        "train": [1.5, 4.0],
        "valid": [2.5, 5.0],
        "test": [3.5, 6.0],
    }


def test_classic_series(publish):
    publish("daily_min_temperatures", b'"Date","Temp"\n"1981-01-01",20.7\n')
    publish("sunspots", b'"Month","Sunspots"\n"1749-01",58.0\n')
    assert datasets.load("daily_min_temperatures").frame.rows() == [(datetime.datetime(1981, 1, 1), 20.7)]
    assert datasets.load("sunspots").frame.rows() == [(datetime.datetime(1749, 1, 1), 58.0)]


def test_unknown_name():
    with pytest.raises(InputError, match=r"unknown data set 'etth3'\. Did you mean 'etth"):
        datasets.load("etth3")


def test_a_damaged_file(publish, tmp_path):
    publish("sunspots", b"Month,Sunspots\n1749-01,58.0\n")
    path = tmp_path / "data" / "classic_series" / "monthly-sunspots.csv"
    path.write_bytes(b"Month,Sunspots\n1749-01,59.0\n")
    with pytest.raises(InputError, match=r"monthly-sunspots\.csv: the checksum must be .* remove it"):
        datasets.load("sunspots")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("FORETELL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "foretell"


def test_a_download_is_kept(tmp_path, cache):
    origin = tmp_path / "origin.csv"
    origin.write_bytes(b"a\n1\n")
    file = File("a.csv", origin.as_uri(), hashlib.sha256(b"a\n1\n").hexdigest())
    assert fetch(file, "set") == cache / "set" / "a.csv"
    origin.unlink()
    assert fetch(file, "set").read_bytes() == b"a\n1\n"
    assert [path.name for path in (cache / "set").iterdir()] == ["a.csv"]


def test_a_download_with_another_checksum_is_not_kept(tmp_path, cache):
    origin = tmp_path / "origin.csv"
    origin.write_bytes(b"tampered")
    with pytest.raises(InputError, match="the checksum must be 00"):
        fetch(File("a.csv", origin.as_uri(), "0" * 64), "set")
    assert not cache.exists()


def test_no_connection(tmp_path, cache):
    with pytest.raises(InputError, match=r"none\.csv: the download failed .*FORETELL_DATA"):
        fetch(File("a.csv", (tmp_path / "none.csv").as_uri(), "0" * 64), "set")
    with pytest.raises(InputError, match=r"a\.csv: it cannot be downloaded by itself\. For .*a\.csv, knit it\."):
        fetch(File("a.csv", None, "0" * 64, "knit it"), "set")


def test_a_broken_archive_is_damaged(cache):
    path = cache / "set" / "a.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"a\.gz: the checksum must be"):
        fetch(File("a.gz", None, "0" * 64), "set")


def test_the_frames_are_polars():
    assert isinstance(datasets.seattle().frame, pl.DataFrame)
