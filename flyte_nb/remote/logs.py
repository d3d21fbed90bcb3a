"""Logs as data: entries in order, text when printed, a frame when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from flyte_nb.executors.log_files import CONTINUED, lines_of_log_file
from flyte_nb.store.rows import LogRow

__all__ = ["Logs"]


class Logs(list[LogRow]):
    """What tasks printed. An entry holds one or more whole lines of one stream; a `display` holds a MIME bundle.

    Of an attempt that printed more than 10 MB, the rest stands in a file that an entry of the stream `continued` names.
    """

    def of_attempt(self, attempt: int | None) -> Logs:
        """The entries of one attempt; of all for None."""
        return self if attempt is None else Logs(entry for entry in self if entry.attempt == attempt)

    def lines(self, times: bool = False, files: bool = True) -> Iterator[str]:
        """Line by line.

        Args:
            times: put each line after its time, UTC.
            files: read on in the files that hold the rest.
        """
        for entry in self:
            for line in _lines_of(entry, files):
                yield f"{_time(entry)} {line}" if times else line

    def to_frame(self) -> Any:
        """A pandas frame, one row an entry.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        rows = [(_time(entry), entry.action, entry.attempt, entry.stream, entry.text) for entry in self]
        return pandas.DataFrame(rows, columns=["at", "action", "attempt", "stream", "text"])

    def __str__(self) -> str:
        return "\n".join(self.lines(files=False))

    def __repr__(self) -> str:
        return str(self) if self else "no output"


def _lines_of(entry: LogRow, files: bool) -> Iterable[str]:
    if entry.stream == CONTINUED and files:
        return lines_of_log_file(entry.text)
    return ["<display>"] if entry.stream == "display" else entry.text.split("\n")


def _time(entry: LogRow) -> datetime:
    return datetime.fromtimestamp(entry.at_ns / 1e9, UTC)
