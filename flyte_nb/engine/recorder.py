"""The seam of recording: events go to a `Sink`, which never blocks the loop.

record(event)   ->  buffered, its position; record_together(events) -> all of them are recorded, or none
flush()         ->  what was recorded has reached the OS: it survives SIGKILL (before an awaiting code is resumed)
durable(...)    ->  it has reached the disk: it survives a power cut (before a trace is acknowledged)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Protocol

from flyte_nb.engine.secrets.masking import Masker
from flyte_nb.store.errors import JournalWriteError
from flyte_nb.store.events import Event, as_unicode, encode_event
from flyte_nb.store.journal import Journal

__all__ = ["JournalSink", "ListSink", "Sink"]

QUICK_SECONDS = 0.01
"""A disk that took less the last time is waited for on a loop that has nothing else to do."""


class Sink(Protocol):
    """Receives events, in the order in which they are recorded, from any thread."""

    def record(self, event: Event) -> int:
        """Takes an event; returns its position."""

    def record_together(self, events: Sequence[Event]) -> int:
        """Takes events of which nobody ever finds only some; returns the position of the last."""

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
        self._waiting: dict[asyncio.AbstractEventLoop, list[tuple[int, asyncio.Future[None]]]] = {}
        """Who waits for the disk since this turn of a loop, and for which position."""

    def record(self, event: Event) -> int:
        return self._append(self._encode(event))

    def record_together(self, events: Sequence[Event]) -> int:
        return self.journal.append_together([self._encode(event) for event in events])

    async def durable(self, position: int) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        waiting = self._waiting.get(loop)
        if waiting is None:
            loop.call_soon(self._sync_for, loop)  # so that all who come in this turn of the loop share an fsync
            waiting = self._waiting[loop] = []  # only now: an interrupt before it leaves nobody waiting in vain
        waiting.append((position, done))
        await done

    def wait_durable(self, position: int) -> None:
        self.journal.wait_durable(position)

    def _encode(self, event: Event) -> bytes:
        if self._masker.active:
            event = self._masker.mask_event(event)
        try:
            return encode_event(event)
        except UnicodeEncodeError:  # in what a task said: a message, a line of output
            return encode_event(as_unicode(event))

    def _sync_for(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting.pop(loop, ())
        if not waiting:
            return
        position = max(position for position, _ in waiting)
        futures = [done for _, done in waiting]
        if _is_idle(loop) and self.journal.sync_seconds < QUICK_SECONDS:
            self._sync_now(position, futures)
        else:
            synced = self.journal.durable(position)
            synced.add_done_callback(partial(_tell, loop, futures))

    def _sync_now(self, position: int, waiting: list[asyncio.Future[None]]) -> None:
        """On the loop itself, which has nothing else to do: a thread would be woken for it, and wake the loop again."""
        try:
            self.journal.sync(position)
        except JournalWriteError as error:
            _let_go_on(waiting, error)
        else:
            _let_go_on(waiting, None)


def _is_idle(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether nothing else is to be done on the loop now. Only its own line says so, which other loops may not have."""
    return not getattr(loop, "_ready", True)


class ListSink:
    """Events stay in memory, in `events`: until they are recorded together, and in tests of the engine."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> int:
        self.events.append(event)
        return len(self.events)

    def record_together(self, events: Sequence[Event]) -> int:
        self.events.extend(events)
        return len(self.events)

    def flush(self) -> None:
        return None

    async def durable(self, position: int) -> None:
        return None

    def wait_durable(self, position: int) -> None:
        return None


def _tell(loop: asyncio.AbstractEventLoop, waiting: list[asyncio.Future[None]], synced: Future[None]) -> None:
    """Lets go on who waited for the disk. On the thread that syncs."""
    with suppress(RuntimeError):  # their loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_let_go_on, waiting, synced.exception())


def _let_go_on(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
