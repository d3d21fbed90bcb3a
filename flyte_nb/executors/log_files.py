"""The rest of a log that is too long for the journal: a text file of the run, and the line that leads to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["CONTINUED", "KEPT_FREE_BYTES", "append_to_log_file", "continued_in", "lines_of_log_file"]

CONTINUED = "continued"
"""The stream of the entry that names the file."""
KEPT_FREE_BYTES = 500_000_000
"""No log takes the last of the disk: the journal of every run needs it."""
GOES_ON = "... the log goes on in "


def continued_in(path: Path) -> str:
    """The text of the entry that names the file."""
    return f"{GOES_ON}{path.absolute()}"


def append_to_log_file(path: Path, text: str) -> None:
    """Adds lines to the file; it is made, with its folder, by the first.

    Raises:
        OSError: it cannot be written, or the disk is all but full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < KEPT_FREE_BYTES:
        raise OSError(f"less than {KEPT_FREE_BYTES // 1_000_000} MB of the disk are free")
    with path.open("ab", buffering=0) as file:
        file.write(text.encode("utf-8", "replace") + b"\n")


def lines_of_log_file(entry: str) -> Iterator[str]:
    """The lines of the file that an entry's text names, one after another.

    Args:
        entry: see `continued_in`.
    """
    path = entry.removeprefix(GOES_ON)
    try:
        with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")
    except OSError as error:
        yield f"... {path} cannot be read: {error.strerror}"
