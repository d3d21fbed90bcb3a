"""The seam of recording: events go to a `Sink`, which never blocks the loop.

record(event)   ->  buffered, its position
flush()         ->  what was recorded has reached the OS: it survives SIGKILL (before an awaiting code is resumed)
durable(...)    ->  it has reached the disk: it survives a power cut (before a trace is acknowledged)
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Protocol

from flyte_nb.engine.secrets.masking import Masker
from flyte_nb.store.events import Event, as_unicode, encode_event
from flyte_nb.store.journal import Journal

__all__ = ["JournalSink", "ListSink", "Sink"]


class Sink(Protocol):
    """Receives events, in the order in which they are recorded, from any thread."""

    def record(self, event: Event) -> int:
        """Takes an event; returns its position."""

    def flush(self) -> None:
        """Returns when all that was recorded has reached the OS.

        Raises:
            flyte_nb.store.errors.JournalWriteError: when it cannot be written; nothing may go on unrecorded.
        """

    async def durable(self, position: int) -> None:
        """Returns when all up to the position has reached the disk."""

    def wait_durable(self, position: int) -> None:
        """The same, blocking the thread."""


class JournalSink:
    """Events go to this process's journal.

    Args:
        masker: takes the values of secrets out of them.
    """

    def __init__(self, journal: Journal, masker: Masker | None = None) -> None:
        self.journal = journal
        self._masker = masker or Masker()
        self._append = journal.append
        self.flush = journal.flush

    def record(self, event: Event) -> int:
        if self._masker.active:
            event = self._masker.mask_event(event)
        try:
            return self._append(encode_event(event))
        except UnicodeEncodeError:  # in what a task said: a message, a line of output
            return self._append(encode_event(as_unicode(event)))

    async def durable(self, position: int) -> None:
        await asyncio.wrap_future(self._durable(position))

    def wait_durable(self, position: int) -> None:
        self.journal.wait_durable(position)

    def _durable(self, position: int) -> Future[None]:
        return self.journal.durable(position)


class ListSink:
    """Events stay in memory, in `events`: the fake for tests of the engine."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> int:
        self.events.append(event)
        return len(self.events)

    def flush(self) -> None:
        return None

    async def durable(self, position: int) -> None:
        return None

    def wait_durable(self, position: int) -> None:
        return None
