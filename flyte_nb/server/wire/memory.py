"""What was read of a store, told again as long as it holds, so that those who ask often do not keep others waiting.

of what is over for a while    until a run is deleted, labelled or tried again: as it was a second ago at most
of all else                    until something is recorded, which is looked for at each question
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from flyteidl2.workflow import run_definition_pb2

from flyte_nb.store.database import Database
from flyte_nb.store.home import Home
from flyte_nb.store.listing import amendment_count, revision

__all__ = ["Details", "Memory"]

STALE_SECONDS = 1.0
"""How long ago the last look may be where the question is about what is over; the next is begun halfway."""
KEPT = 2_000
"""Answers of each kind."""
SETTLED_NS = 10_000_000_000
"""What ended so long ago rarely changes any more."""

Details = TypeVar("Details", run_definition_pb2.RunDetails, run_definition_pb2.ActionDetails)


class Memory:
    """Details of the runs and actions of a store.

    Args:
        home: the store.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._guard = threading.Lock()
        self._looked_at = 0.0
        self._next_look_at = 0.0
        self._revision = ""
        self._lasting: tuple[int, int] | None = None
        self._settled: dict[Hashable, Any] = {}
        self._passing: dict[Hashable, Any] = {}

    def settled(self, key: Hashable) -> Any:
        """Details of what is over for a while; None when they have to be read. Does not block."""
        return self._settled.get(key) if time.monotonic() < self._looked_at + STALE_SECONDS else None

    def is_look_due(self) -> bool:
        """Whether somebody should look; whoever is told so does."""
        now = time.monotonic()
        is_due = now > max(self._next_look_at, self._looked_at + STALE_SECONDS / 2)
        if is_due:
            self._next_look_at = now + STALE_SECONDS / 2
        return is_due

    def look(self) -> None:
        """Forgets what does not hold any more."""
        begun_at, now = time.monotonic(), revision(self._home)
        if now == self._revision:
            self._looked_at = begun_at
            return
        with Database.of(self._home).held():
            self._forget(now, begun_at)

    def details(self, key: Hashable, read: Callable[[], Details]) -> Details:
        """Details as they are now.

        Args:
            key: what they are of.
            read: reads them; whatever it raises is raised.
        """
        # Asked for before the store is read: what is read then is as new as this, at least.
        begun_at, now = time.monotonic(), revision(self._home)
        with self._guard:
            if now == self._revision:
                self._looked_at = begun_at
                known: Details | None = self._settled.get(key, self._passing.get(key))
                if known is not None:
                    return known
        with Database.of(self._home).held():
            settled, passing = self._forget(now, begun_at)
            if key in settled:
                return cast("Details", settled[key])
            found = read()
        kept = settled if is_settled(found) else passing
        with self._guard:
            kept[key] = found
            if len(kept) > KEPT:
                del kept[next(iter(kept))]
        return found

    def _forget(self, now: str, begun_at: float) -> tuple[dict[Hashable, Any], dict[Hashable, Any]]:
        """Forgets what does not hold at a revision; what still does, to add to."""
        amended = amendment_count(self._home)  # before the file is looked at: it may begin it
        lasting = (database_file(self._home), amended)
        with self._guard:
            if lasting != self._lasting:
                self._lasting, self._settled = lasting, {}
            if now != self._revision:
                self._revision, self._passing = now, {}
            self._looked_at = begun_at
            return self._settled, self._passing


def is_settled(details: run_definition_pb2.RunDetails | run_definition_pb2.ActionDetails) -> bool:
    status = details.action.status if isinstance(details, run_definition_pb2.RunDetails) else details.status
    return bool(status.HasField("end_time")) and status.end_time.ToNanoseconds() < time.time_ns() - SETTLED_NS


def database_file(home: Home) -> int:
    """Which file the database is: another one once runs were deleted from it."""
    try:
        return os.stat(home.database).st_ino
    except FileNotFoundError:
        return 0
