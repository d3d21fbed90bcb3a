"""Runs as files, to move them to another store."""

from __future__ import annotations

import os
from pathlib import Path

from flyte_nb.remote.run import Run
from flyte_nb.remote.source import source
from flyte_nb.store import transfer

__all__ = ["export_run", "import_run"]


def export_run(run: Run | str, path: str | os.PathLike[str], *, with_files: bool = True) -> Path:
    """Writes a run that is over into one file: its actions, code, values, logs, reports and files.

    Args:
        run: the run, or its name.
        path: the file to write; it must not exist.
        with_files: with the files in the run's own folder: `File` and `Dir` outputs, checkpoints, long logs.

    Returns:
        The file.

    Raises:
        KeyError: there is no such run.
        flyte_nb.store.errors.StoreError: it is live, or the file exists or cannot be written.
    """
    store = source.store
    transfer.export_run(store.home, run.name if isinstance(run, Run) else run, Path(path), with_files)
    return Path(path)


def import_run(path: str | os.PathLike[str]) -> Run:
    """Makes a run of a file that `export_run` wrote, in this store; all of it, or nothing.

    The run keeps its name, numbered when another run has it, and the name of the run that it came from.

    Raises:
        flyte_nb.store.errors.StoreError: the file is damaged, something else, or by a newer release.
    """
    return Run(transfer.import_run(source.store.home, Path(path)))
