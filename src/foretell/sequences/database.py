"""Tables from SQL queries: SQLite by the standard library, PostgreSQL by a driver if there is one."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from foretell.errors import InputError

SQLITE = "sqlite:///"
SQLITE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
POSTGRES = ("postgresql://", "postgres://")


def is_database(source: str) -> bool:
    """Whether the source names a database: an address, or a file that ends as SQLite's do."""
    return "://" in source or source.lower().endswith(SQLITE_SUFFIXES)


def read_database(address: str, query: str | None) -> tuple[pl.DataFrame, str]:
    """The rows a query answers with, and a name for them that shows no password.

    Raises:
        InputError: an unknown kind of database, no such file, no query, a query that fails, no driver.
    """
    if address.startswith(POSTGRES):
        parts = urlsplit(address)
        name = f"query on {parts.hostname or 'localhost'}{parts.path}"
        return _read_postgres(address, _required(query, name), name), name
    if "://" in address and not address.startswith(SQLITE):
        raise InputError(
            f"{urlsplit(address).scheme}: not a database that can be read here. "
            "Use sqlite:///file.db or postgresql://user@host/database, or export a CSV or Parquet file."
        )
    path = Path(address.removeprefix(SQLITE))
    name = f"query on {path.name}"
    if not path.is_file():
        raise InputError(f"{path}: there is no such database file. Check the name and the folder ({Path.cwd()}).")
    return _read_sqlite(path, query, name), name


def _required(query: str | None, name: str, tables: str = "") -> str:
    if query is None:
        raise InputError(f"{name}: a database needs query=, e.g. query='SELECT * FROM sales'.{tables}")
    return query


def _read_sqlite(path: Path, query: str | None, name: str) -> pl.DataFrame:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            listed = f" Its tables: {', '.join(sorted(table for (table,) in tables))}."
            cursor = connection.execute(_required(query, name, listed))
            return _frame(cursor, name)
    except sqlite3.Error as error:
        raise InputError(f"{name}: SQLite refuses it ({error}). Correct the query or the file.") from error


def _read_postgres(address: str, query: str, name: str) -> pl.DataFrame:
    try:
        import psycopg
    except ImportError as error:
        raise InputError(f"{name}: reading PostgreSQL needs a driver: pip install 'psycopg[binary]'.") from error
    try:
        with psycopg.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return _frame(cursor, name)
    except psycopg.Error as error:
        raise InputError(
            f"{name}: PostgreSQL refuses it ({str(error).strip()}). Correct the address or the query."
        ) from error


def _frame(cursor: Any, name: str) -> pl.DataFrame:
    """A frame of a DB-API cursor's rows."""
    if cursor.description is None:
        raise InputError(f"{name}: the query answers with no rows. Start it with SELECT.")
    columns = [column[0] for column in cursor.description]
    try:
        return pl.DataFrame(cursor.fetchall(), schema=columns, orient="row", infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise InputError(
            f"{name}: a column mixes kinds of values, or two share a name ({error}). CAST or rename it in the query."
        ) from error
