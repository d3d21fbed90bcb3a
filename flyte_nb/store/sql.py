"""A user's SQL: exactly one SELECT over the documented views, joined with frames of the notebook.

The database is opened without access to files or the network and with its configuration locked, and the query runs
in a read-only transaction; so whatever it says, it can only read.
"""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flyte_nb.store.errors import QueryError
from flyte_nb.store.schema import VIEW_NAMES
from flyte_nb.store.table import Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["has_pandas", "select"]

TIME_ZONE_TYPE = "TIMESTAMP WITH TIME ZONE"


def select(connection: DuckDBPyConnection, query: str, frames: Mapping[str, object]) -> Any:
    """Runs a SELECT.

    Args:
        connection: a cursor of its own.
        query: one SELECT.
        frames: tables by name; those that the query mentions can be joined. The documented views keep their names.

    Returns:
        A pandas frame where pandas is installed, else a `Table`.

    Raises:
        QueryError: it is not one SELECT, or it failed; in one line.
    """
    import duckdb

    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise QueryError(f"%flyte sql takes exactly one SELECT; this is {kinds}.")
        registered = [name for name in frames if is_mentioned(name, query)]
        for name in registered:
            connection.register(name, joinable(name, frames[name]))
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return frame_of(connection, query) if has_pandas() else table_of(connection, query)
    except duckdb.Error as error:
        raise QueryError(one_line(str(error))) from None


def is_mentioned(name: str, query: str) -> bool:
    """Whether the query may mean the frame."""
    if name.lower() in VIEW_NAMES:
        return False
    return re.search(rf"\b{re.escape(name)}\b", query, re.IGNORECASE) is not None


def joinable(name: str, frame: Any) -> Any:
    """A frame as DuckDB takes it.

    Raises:
        QueryError: it is not a table.
    """
    if isinstance(frame, Table):
        frame = {column: frame[column] for column in frame}
    if isinstance(frame, Mapping):
        import numpy

        return {column: numpy.asarray(values) for column, values in frame.items()}
    if hasattr(frame, "collect_schema") and hasattr(frame, "lazy"):
        return frame.lazy().collect().to_arrow()
    if hasattr(frame, "columns") or hasattr(frame, "schema"):
        return frame
    kind = type(frame).__name__
    raise QueryError(f"{name!r} is a {kind}, not a table; pandas, polars and Arrow frames can be joined.")


def frame_of(connection: DuckDBPyConnection, query: str) -> Any:
    """The answer as a pandas frame."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The inplace keyword")  # of DuckDB's own use of pandas
        return connection.execute(query).df()


def table_of(connection: DuckDBPyConnection, query: str) -> Table:
    """The answer as a `Table`. DuckDB itself would need pytz for times with a time zone."""
    described = connection.execute(query).description or []
    timed = [name for name, kind, *_ in described if str(kind) == TIME_ZONE_TYPE]
    if timed:
        plain = ", ".join(f"timezone('UTC', {quoted(name)}) AS {quoted(name)}" for name in timed)
        connection.execute(f"SELECT * REPLACE ({plain}) FROM ({query.strip().rstrip(';')}\n)")
    rows = connection.fetchall()
    names = [name for name, *_ in described]
    times = [position for position, name in enumerate(names) if name in timed]
    return Table(names, [in_utc(row, times) for row in rows] if times else rows)


def in_utc(row: tuple[Any, ...], times: list[int]) -> tuple[Any, ...]:
    values = list(row)
    for position in times:
        if isinstance(values[position], datetime.datetime):
            values[position] = values[position].replace(tzinfo=datetime.UTC)
    return tuple(values)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def has_pandas() -> bool:
    """Whether pandas is installed; it is imported then, which takes longer than most queries."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        return False
    return True


def one_line(message: str) -> str:
    """DuckDB's message without its drawing of the query."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("LINE ", "^"))]
    return " ".join(kept)
