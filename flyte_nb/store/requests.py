"""Requests to a run that lives in another process: small files, read by the process that owns the run's journal.

    requests/JOURNAL.ID    a request to the owner of that journal, as JSON

A request is written under another name and renamed into place, so that nobody ever reads half of one. Its owner takes
it, which deletes it, and answers by what it records. Requests that no process lives to read are deleted by the next
that looks.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec

from flyte_nb.store.home import Home
from flyte_nb.store.journal import lock_path
from flyte_nb.store.locks import is_locked

__all__ = ["ABORT", "SIGNAL", "Request", "Requests"]

ABORT = "abort"
SIGNAL = "signal"
HIDDEN = "."
"""What the name of a request that is being written starts with."""


class Request(msgspec.Struct, frozen=True):
    """What one process asks of another."""

    kind: str
    """What is to be done: `abort`, or `signal` a condition with `value`."""
    run: str
    action: str
    reason: str
    """Recorded with the answer, and shown."""
    sent_ns: int = msgspec.field(default_factory=time.time_ns)
    value: bool | int | float | str | None = None
    """The answer to the condition."""


class Requests:
    """The requests of a home. Every method may be called from any thread."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def send(self, journal: str, request: Request) -> Path:
        """Asks the process that owns a journal.

        Returns:
            The file, which is gone once the request was taken.
        """
        self._drop_unread()
        name = f"{journal}.{uuid.uuid4().hex}"
        path, hidden = self._home.requests / name, self._home.requests / f"{HIDDEN}{name}"
        try:
            hidden.write_bytes(msgspec.json.encode(request))
            hidden.rename(path)
        finally:
            hidden.unlink(missing_ok=True)
        return path

    def take(self, journal: str) -> list[Request]:
        """The requests to the owner of a journal, each returned once. Cheap when there is none."""
        taken = []
        for name in self._names():
            if owner_of(name) == journal:
                path = self._home.requests / name
                with suppress(FileNotFoundError, msgspec.DecodeError):  # withdrawn, or written by a later release
                    taken.append(decode_request(path.read_bytes()))
                path.unlink(missing_ok=True)
        return sorted(taken, key=lambda request: request.sent_ns)

    def _drop_unread(self) -> None:
        """Deletes requests whose readers are dead."""
        journals = self._home.journals
        for name in self._names():
            if not is_locked(lock_path(journals, owner_of(name))):
                (self._home.requests / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._home.requests) if not name.startswith(HIDDEN)]
        except FileNotFoundError:
            return []


def owner_of(name: str) -> str:
    """The journal whose owner shall read the request of this name."""
    return name.partition(".")[0]


decode_request = msgspec.json.Decoder(Request).decode
