"""Public data sets by name: where each is published, its licence and checksum, how to read it, its split."""

import csv
import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl

from foretell.errors import require_known
from foretell.sequences.corpora import CORPORA
from foretell.sequences.download import File, Published, fetch, github

SEATTLE_CSV = Path(__file__).parent / "data" / "seattle-weather.csv"  # public domain; its origin is beside it

Splits = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Dataset:
    """A data set in memory. `split` maps train, valid and test to parts of `frame`, if published."""

    frame: pl.DataFrame
    split: Splits
    info: "Info"


@dataclass(frozen=True)
class Info(Published):
    """A table that is published, and how it is read."""

    read: Callable[[list[Path]], pl.DataFrame] = field(repr=False)
    divide: Callable[[pl.DataFrame], Splits] = field(repr=False)


def load(name: str) -> Dataset:
    """Read a data set from the folder that FORETELL_DATA names, else from the cache, else from its publisher.

    Raises:
        InputError: an unknown name, no connection, or a file whose checksum is not the published one.
    """
    require_known("datasets.load", "data set", [name], DATASETS)
    info = DATASETS[name]
    return _read(info, [fetch(file, info.folder) for file in info.files])


def files(name: str) -> list[Path]:
    """The files of any data set, tables or not, found and checked as by `load`."""
    require_known("datasets.files", "data set", [name], [*DATASETS, *CORPORA])
    known = DATASETS.get(name) or CORPORA[name]
    return [fetch(file, known.folder) for file in known.files]


def seattle() -> Dataset:
    """Seattle's daily weather, from the copy that comes with the package."""
    return _read(DATASETS["weather_seattle"], [SEATTLE_CSV])


def _read(info: Info, paths: list[Path]) -> Dataset:
    frame = info.read(paths)
    return Dataset(frame, info.divide(frame), info)


def _read_wide(paths: list[Path], time: str, written: str) -> pl.DataFrame:
    """One CSV with a column of times and its own other columns."""
    frame = pl.read_csv(paths[0], infer_schema_length=None)
    texts = frame[time] if "%d" in written else frame[time] + "-01"
    dates = texts.str.strptime(pl.Datetime("us"), written if "%d" in written else f"{written}-%d")
    return frame.with_columns(dates.alias(time))


def _read_m4(paths: list[Path]) -> pl.DataFrame:
    """Training and test file, one series a row after its name, as unique_id, ds (1, 2, ...), y."""
    names: list[str] = []
    steps: list[int] = []
    values: list[float] = []
    train, test = (_rows_by_name(path) for path in paths)
    for name, known in train.items():
        series = known + test[name]
        names += [name] * len(series)
        steps += range(1, len(series) + 1)
        values += series
    return pl.DataFrame({"unique_id": names, "ds": steps, "y": values})


def _rows_by_name(path: Path) -> dict[str, list[float]]:
    with path.open(newline="") as lines:
        rows = csv.reader(lines)
        next(rows)
        return {row[0]: [float(value) for value in row[1:] if value] for row in rows}


def _read_exchange_rates(paths: list[Path]) -> pl.DataFrame:
    """One column a currency and no dates, as unique_id, ds (1, 2, ...), y."""
    wide = pl.read_csv(gzip.decompress(paths[0].read_bytes()), has_header=False, new_columns=CURRENCIES)
    long = wide.with_columns(ds=pl.int_range(1, pl.len() + 1)).unpivot(
        index="ds", variable_name="unique_id", value_name="y"
    )
    return long.select("unique_id", "ds", "y")


def _read_stocks(paths: list[Path]) -> pl.DataFrame:
    """One CSV a stock, newest day first, as unique_id, ds, y: the close adjusted for splits and dividends."""
    with tarfile.open(paths[0]) as archive:
        members = [member for member in archive if "/price_long_50/" in member.name and member.isfile()]
        frames = [
            _read_stock(Path(member.name).stem, file.read())
            for member in sorted(members, key=lambda member: member.name)
            if (file := archive.extractfile(member)) is not None
        ]
    return pl.concat(frames)


def _read_stock(name: str, data: bytes) -> pl.DataFrame:
    frame = pl.read_csv(io.BytesIO(data), columns=["Date", "Adj Close"], infer_schema_length=None)
    slashed = frame["Date"].str.contains("/", literal=True).any()  # one file is written month first
    return frame.select(
        unique_id=pl.lit(name),
        ds=pl.col("Date").str.to_date("%m/%d/%Y" if slashed else "%Y-%m-%d"),
        y=pl.col("Adj Close").cast(pl.Float64),
    ).sort("ds")


def _whole(frame: pl.DataFrame) -> Splits:
    return {}


def _by_rows(frame: pl.DataFrame, train: int, valid: int, test: int) -> Splits:
    return {
        "train": frame[:train],
        "valid": frame[train : train + valid],
        "test": frame[train + valid :][:test],
    }


def _by_share(frame: pl.DataFrame) -> Splits:
    """The first 70 % of each series, the next 10 %, the last 20 %."""
    place, length = _place(frame)
    train, test = (length * 7) // 10, length // 5
    return {
        "train": frame.filter(place < train),
        "valid": frame.filter((place >= train) & (place < length - test)),
        "test": frame.filter(place >= length - test),
    }


def _by_horizon(frame: pl.DataFrame, horizon: int) -> Splits:
    """The last `horizon` rows of each series are the test."""
    place, length = _place(frame)
    return {"train": frame.filter(place < length - horizon), "test": frame.filter(place >= length - horizon)}


def _by_date(frame: pl.DataFrame, valid: date, test: date) -> Splits:
    day = pl.col("ds")
    return {
        "train": frame.filter(day < valid),
        "valid": frame.filter((day >= valid) & (day < test)),
        "test": frame.filter(day >= test),
    }


def _place(frame: pl.DataFrame) -> tuple[pl.Expr, pl.Expr]:
    """The number of each row in its series, and the length of that series."""
    if "unique_id" not in frame.columns:
        return pl.int_range(pl.len()), pl.len()
    return pl.int_range(pl.len()).over("unique_id"), pl.len().over("unique_id")


CURRENCIES = ["AUD", "GBP", "CAD", "CHF", "CNY", "JPY", "NZD", "SGD"]  # in US dollars


def _m4(period: str, horizon: int, train: str, test: str) -> Info:
    repository, commit = "Mcompetitions/M4-methods", "6c1067e5a57161249b17289a565178dc7a3fb3ca"
    paths = {f"Dataset/Train/{period}-train.csv": train, f"Dataset/Test/{period}-test.csv": test}
    return Info(
        f"m4_{period.lower()}",
        f"M4 competition, {period.lower()} series, {horizon} steps to predict",
        f"https://github.com/{repository}",
        "none stated; offered by the organisers for free download",
        "m4",
        github(repository, commit, paths),
        _read_m4,
        partial(_by_horizon, horizon=horizon),
    )


def _ett(number: int, sha256: str) -> Info:
    repository, commit = "zhouhaoyi/ETDataset", "1d16c8f4f943005d613b5bc962e9eeb06058cf07"
    return Info(
        f"etth{number}",
        f"Electricity transformer {number}, hourly oil temperature and loads",
        f"https://github.com/{repository}",
        "CC BY-ND 4.0",
        "ett",
        github(repository, commit, {f"ETT-small/ETTh{number}.csv": sha256}),
        partial(_read_wide, time="date", written="%Y-%m-%d %H:%M:%S"),
        partial(_by_rows, train=8640, valid=2880, test=2880),
    )


def _classic(name: str, title: str, file: str, sha256: str, time: str, written: str) -> Info:
    repository, commit = "jbrownlee/Datasets", "d20fcb6402ae34e653d4513b00f39257bb37ed7f"
    return Info(
        name,
        title,
        f"https://github.com/{repository}",
        "none stated",
        "classic_series",
        github(repository, commit, {file: sha256}),
        partial(_read_wide, time=time, written=written),
        _whole,
    )


def _seattle() -> Info:
    repository, commit = "vega/vega-datasets", "cad85578e232704bb0453544742440038038c6a2"
    checksum = "0845078a290b48e3149ab8639966824110a251db4e06fc144c06ebb534af23be"
    return Info(
        "weather_seattle",
        "Seattle's daily weather, 2012-2015",
        f"https://github.com/{repository}",
        "public domain (NOAA)",
        "weather_seattle",
        github(repository, commit, {"data/seattle-weather.csv": checksum}),
        partial(_read_wide, time="date", written="%Y-%m-%d"),
        _whole,
    )


def _wth() -> Info:
    repository, commit = "songjiang0909/DeepFS", "8229c614924e11c7d1517a91586c2f572ce349f8"
    checksum = "a00aa96b7e73af4fab4e03a790572e78fff037a29eb579a36210a2da6d64032f"
    return Info(
        "weather_wth",
        "Hourly weather, twelve measurements, 2010-2013",
        f"https://github.com/{repository}",
        "MIT; observations of NOAA",
        "weather_wth",
        github(repository, commit, {"data/WTH.csv": checksum}),
        partial(_read_wide, time="date", written="%m/%d/%Y %H:%M"),
        _by_share,
    )


def _exchange_rate() -> Info:
    repository, commit = "laiguokun/multivariate-time-series-data", "7f402f185cc2435b5e66aed13a3b560ed142e023"
    checksum = "0127465b51e3cd3c360f8eb2be30cfd294689a2a55903eb8245aafc396626c7f"
    return Info(
        "exchange_rate",
        "Daily exchange rates of eight currencies, 1990-2016, without dates",
        f"https://github.com/{repository}",
        "none stated",
        "exchange_rate",
        github(repository, commit, {"exchange_rate/exchange_rate.txt.gz": checksum}),
        _read_exchange_rates,
        _by_share,
    )


def _stock_kdd17() -> Info:
    repository, commit = "fulifeng/Adv-ALSTM", "3d6c3dc921f44832dd48734d79dbf60cd832cf5b"
    archive = File(
        "kdd17_price_long_50.tar.gz",
        None,
        "85f2b2da19dcbb82b64a330dc1e2283e8b1ad2449bc50720fe4a6f48865f566b",
        f"clone https://github.com/{repository} and write it there with: git archive --format=tar.gz "
        f"-o kdd17_price_long_50.tar.gz {commit} data/kdd17/price_long_50 data/kdd17/trading_dates.csv",
    )
    return Info(
        "stock_kdd17",
        "Daily adjusted closing prices of 50 stocks, 2007-2016",
        f"https://github.com/{repository}",
        "none stated; prices of Yahoo Finance",
        "stock_kdd17",
        (archive,),
        _read_stocks,
        partial(_by_date, valid=date(2015, 1, 2), test=date(2016, 1, 4)),
    )


DATASETS: dict[str, Info] = {
    info.name: info
    for info in (
        _seattle(),
        _wth(),
        _m4(
            "Hourly",
            48,
            "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
            "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
        ),
        _m4(
            "Weekly",
            13,
            "d478d3f6ed673e6ed3c2cb0fbed5425f72eedd51318ebebeb0b5ecfcefc37714",
            "3b2bc4be8e636e802260dcd843ca3c5da40536a1fbe1ecb3229a97dae4f44688",
        ),
        _ett(1, "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"),
        _ett(2, "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b"),
        _exchange_rate(),
        _stock_kdd17(),
        _classic(
            "daily_min_temperatures",
            "Daily lowest temperatures of Melbourne, 1981-1990",
            "daily-min-temperatures.csv",
            "8b9de63ed6789492bf497625e7f9beb96a63d367b4b0a21754006f749fa5e5da",
            "Date",
            "%Y-%m-%d",
        ),
        _classic(
            "daily_max_temperatures",
            "Daily highest temperatures of Melbourne, 1981-1990",
            "daily-max-temperatures.csv",
            "4f4ab4d6134d9c0f8efb3d6af6edc30a0ad3c56573d0f20f45db010055d0371c",
            "Date",
            "%Y-%m-%d",
        ),
        _classic(
            "airline_passengers",
            "Monthly airline passengers, 1949-1960",
            "monthly-airline-passengers.csv",
            "8cb51be753a718d9be5d76d7e238cc224792754676adc21faa59e954b0201621",
            "Month",
            "%Y-%m",
        ),
        _classic(
            "sunspots",
            "Monthly sunspots, 1749-1983",
            "monthly-sunspots.csv",
            "c4ec8cc57d9f6fb6ecdb3e1f37f25b6f4badd5124c55931052b0cd2fc3bc71f3",
            "Month",
            "%Y-%m",
        ),
    )
}
