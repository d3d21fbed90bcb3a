"""DuckDB in this process, into which the database's file is attached for a turn.

To start DuckDB takes 15 ms, to attach a file to it 1 ms: so it is started before others have to wait for the file, and
outlives the turn.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte_nb.store.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Instance"]

FOREIGN_SECONDS = 1.0
"""How long a program that opened the file by itself is waited for."""
LOOK_SECONDS = 0.02
ENDINGS = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
"""Of the files that DuckDB makes of a database."""
CATALOG = "runs"
"""What the attached file is called in SQL."""
USE = f"USE {CATALOG}"
HOLDER_PID = re.compile(r"PID (\d+)")


class Instance:
    """DuckDB without access to anything but one file. Not for use by several threads at a time; a cursor each is.

    Args:
        path: the database's file.
    """

    def __init__(self, path: Path) -> None:
        import duckdb

        config: dict[str, Any] = {
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": f"{path}.tmp",
        }
        self._path = path
        self._connection = duckdb.connect(":memory:", config=config)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        files = ", ".join(quoted(f"{path}{ending}") for ending in ENDINGS)
        self._connection.execute(f"SET allowed_paths = [{files}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def attach(self) -> DuckDBPyConnection:
        """Opens the file; waits a little for another program that has it open.

        Returns:
            The connection on which the file is the database.

        Raises:
            StoreBusyError: another program has it open.
            StoreError: it cannot be opened.
        """
        import duckdb

        deadline = time.monotonic() + FOREIGN_SECONDS
        while True:
            try:
                self._connection.execute(f"ATTACH {quoted(self._path)} AS {CATALOG}")
                break
            except duckdb.ResourceInUseException as error:
                raise StoreBusyError(busy_message(self._path, f"this process ({os.getpid()})")) from error
            except duckdb.IOException as error:
                holder = HOLDER_PID.search(str(error))
                if holder is None:
                    raise StoreError(f"{self._path} cannot be opened: {first_line(error)}") from error
                if time.monotonic() > deadline:
                    raise StoreBusyError(busy_message(self._path, f"process {holder[1]}")) from error
                time.sleep(LOOK_SECONDS)
            except duckdb.Error as error:
                cure = "Move it away to begin a new one"
                raise StoreError(f"{self._path} cannot be opened: {first_line(error)}. {cure}.") from error
        self._connection.execute(USE)
        return self._connection

    def detach(self) -> None:
        """Closes the file, complete: DuckDB writes down what it still had beside it."""
        import duckdb

        self._connection.execute("USE memory")
        with contextlib.suppress(duckdb.BinderException):  # it was not attached
            self._connection.execute(f"DETACH {CATALOG}")

    def close(self) -> None:
        """Ends DuckDB."""
        self._connection.close()

    def abandon(self) -> None:
        """In the child of a fork: to close it would write into the parent's file."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))


def quoted(path: Path | str) -> str:
    """A path as SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def busy_message(path: Path, holder: str) -> str:
    return (
        f"{path} is open in {holder}. Close it there (it was opened with duckdb.connect or the duckdb program) and ask"
        " again; flyte_nb.connect() gives a copy to keep open. Runs are recorded meanwhile."
    )


def first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
