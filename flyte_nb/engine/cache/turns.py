"""Who computes a cached result, where only one may (`Cache(serialize=True)`): a turn a key, across processes.

    turn = turns.of(path)      the lock file of the key
    await turn.take(waiting)   in order of asking within this loop, whoever comes first between processes
    turn.release()

Between processes it is a lock on the key's own file, which the OS lets go when its holder dies. The file is removed
by whoever lets go, so a lock counts only while its file is still in place.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from weakref import WeakSet, WeakValueDictionary

from flyte_nb.store.locks import FileLock

__all__ = ["Turn", "Turns"]

FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.05


class Turns:
    """The turns of every key that is being computed or waited for. Of one event loop or several."""

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, path: str) -> Turn:
        """A turn, not taken yet, of the key with this lock file."""
        place = asyncio.get_running_loop(), path
        queue = self._queues.get(place)
        if queue is None:
            queue = self._queues[place] = asyncio.Lock()
        return Turn(queue, path)


class Turn:
    """One caller's turn to compute the result of a key."""

    def __init__(self, queue: asyncio.Lock, path: str) -> None:
        self._queue = queue
        self._is_first = False
        self._file = KeyFile(path)

    async def take(self, waiting: Callable[[], None]) -> None:
        """Returns when it is this caller's turn; a caller that is cancelled meanwhile calls `release`, too.

        Args:
            waiting: called once if there is any wait.

        Raises:
            OSError: the key cannot be locked.
        """
        waits = self._queue.locked()
        if waits:
            waiting()
        await self._queue.acquire()
        self._is_first = True
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._file.try_take():
            if not waits:
                waits = True
                waiting()
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)

    def release(self) -> None:
        """The turn is the next one's."""
        if self._is_first:
            self._is_first = False
            self._file.release()
            self._queue.release()


class KeyFile:
    """The lock file of one key."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock: FileLock | None = None
        self._is_held = False

    def try_take(self) -> bool:
        """Takes the lock if nobody has it."""
        while True:
            if self._lock is None:
                self._lock = self._open()
                _open_locks.add(self._lock)
            if not self._lock.try_exclusive():
                return False
            if self._lock.is_at(self._path):
                self._is_held = True
                return True
            self._close()  # its last holder has removed it

    def release(self) -> None:
        """Lets go, and leaves nothing behind."""
        if self._is_held:
            self._is_held = False
            self._path.unlink(missing_ok=True)
        self._close()

    def _open(self) -> FileLock:
        try:
            return FileLock(self._path)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return FileLock(self._path)

    def _close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


_open_locks: WeakSet[FileLock] = WeakSet()


def _abandon_in_child() -> None:
    """A process forked by the user's code must not keep the locks of a parent that dies."""
    for lock in list(_open_locks):
        lock.abandon()


os.register_at_fork(after_in_child=_abandon_in_child)
