"""Giving back the space of deleted rows: DuckDB reuses it but never shrinks a file, so the tables move to a new one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.store.database import Database
from flyte_nb.store.disk import sync_folder, sync_path
from flyte_nb.store.errors import StoreError
from flyte_nb.store.migrations import migrate

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["compact"]


def compact(database: Database) -> None:
    """Writes the database anew, as small as it can be. Queries wait meanwhile; runs do not.

    A process that is killed at it leaves the database as it was.

    Raises:
        StoreError: there is no room for the copy; the database is as it was.
    """
    import duckdb

    with database.closed() as path:
        copy = path.with_name(".new-runs.duckdb")
        remove(copy)
        try:
            with duckdb.connect(copy) as connection:
                migrate(connection)
                fill(connection, path)
            sync_path(copy)
        except duckdb.Error as error:
            remove(copy)
            reason = str(error).splitlines()[0].rstrip(".")
            raise StoreError(f"The space of deleted runs in {path} is not given back: {reason}.") from error
        os.replace(copy, path)
        sync_folder(path.parent)


def fill(connection: DuckDBPyConnection, path: Path) -> None:
    """Copies every row of the database in a file, whose schema is the same."""
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)")
    tables = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'old' AND schema_name = 'store'"
    ).fetchall()
    for (table,) in tables:
        connection.execute(f"DELETE FROM store.{table}")
        connection.execute(f"INSERT INTO store.{table} BY NAME FROM old.store.{table}")
    connection.execute("DETACH old")


def remove(database: Path) -> None:
    """Deletes a database's files."""
    database.unlink(missing_ok=True)
    database.with_name(f"{database.name}.wal").unlink(missing_ok=True)
