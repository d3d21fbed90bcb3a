"""A copy of the database for users to keep open: their connection never stands in anybody's way."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flyte_nb.store.database import Database
from flyte_nb.store.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["snapshot"]


def snapshot(database: Database) -> DuckDBPyConnection:
    """A read-only connection to a copy of the database as it stands now; the copy is gone when it is closed.

    Raises:
        StoreError: it cannot be copied.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="flyte_nb-") as folder:
        copy = Path(folder) / "runs.duckdb"
        with database.closed() as path:
            # By another process: had this one opened the file itself, closing it would drop DuckDB's lock on it.
            copied = subprocess.run(["cp", "--", path, copy], capture_output=True, text=True, check=False)
        if copied.returncode != 0:
            raise StoreError(f"{database.home.database} cannot be copied: {copied.stderr.strip()}")
        connection = duckdb.connect(copy, read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
