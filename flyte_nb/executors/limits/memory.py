"""The memory watch: ends nothing itself, but says at once when a worker uses more than it may.

    watch(pid, limit, exceeded)  ->  one thread reads 40 to 200 times a second  ->  exceeded(peak), once

A limit of the operating system would not do: RLIMIT_AS and RLIMIT_DATA count what was never touched and what is only
mapped, RSS counts what a fork has from the zygote. What counts here is in `flyte_nb.executors.limits.resident`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from flyte_nb.executors.limits.resident import Tree, Trees, trees_of_this_system

__all__ = ["MemoryWatch", "data_limit_bytes"]

SLOWEST_SECONDS = 0.025
FASTEST_BYTES_PER_SECOND = 10e9
"""No process fills memory faster: a worker far from its limit need not be read so often."""
DATA_ROOM_BYTES = 256 << 20


def data_limit_bytes(limit_bytes: int) -> int:
    """What RLIMIT_DATA may allow beyond what is mapped, so that it stops only one absurd allocation, as a MemoryError.

    It counts what was never touched, and mapped inputs too: the watch is the authority.

    Args:
        limit_bytes: the memory limit of the task.
    """
    return limit_bytes + max(DATA_ROOM_BYTES, limit_bytes)


@dataclass(slots=True, eq=False)
class _Watched:
    tree: Tree
    limit_bytes: int
    exceeded: Callable[[int], None]
    used_bytes: int = 0
    peak_bytes: int = 0

    def read(self) -> bool:
        """Takes a reading; False once the process has ended."""
        used_bytes = self.tree.used_bytes(self.limit_bytes)
        self.used_bytes = used_bytes or 0
        self.peak_bytes = max(self.peak_bytes, self.used_bytes)
        return used_bytes is not None

    @property
    def is_over(self) -> bool:
        return self.used_bytes > self.limit_bytes


class MemoryWatch:
    """Reads the private memory of workers. Its methods may be called from any thread.

    Args:
        trees: how memory is read; None takes what this system has.
    """

    def __init__(self, trees: Trees | None = None) -> None:
        self._trees = trees or trees_of_this_system()
        self._watched: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._emptied = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, pid: int, limit_bytes: int, exceeded: Callable[[int], None]) -> Callable[[], None]:
        """Watches a process and all that it starts, from what it has now on.

        Args:
            limit_bytes: how much private memory it may take beyond what it has now.
            exceeded: told the peak in bytes when it has taken more; called once, on the watch's thread.

        Returns:
            A function that ends the watch; calling it again does nothing.

        Raises:
            ProcessLookupError: there is no such process.
        """
        with self._lock:
            watched = self._watched[pid] = _Watched(self._trees.open(pid), limit_bytes, exceeded)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="flyte-memory", daemon=True)
                self._thread.start()
        return lambda: self._end(pid, watched)

    def used_bytes(self, pid: int) -> int:
        """What a watched process has taken so far, freshly read; 0 for any other."""
        with self._lock:
            watched = self._watched.get(pid)
            if watched is None or not watched.read():
                return 0
            return watched.used_bytes

    def peak_bytes(self, pid: int) -> int:
        """The most that a watched process was seen to use; 0 for any other."""
        with self._lock:
            watched = self._watched.get(pid)
            return watched.peak_bytes if watched is not None else 0

    def _end(self, pid: int, watched: _Watched) -> None:
        with self._lock:
            if self._watched.get(pid) is watched:
                self._forget(pid)

    def _forget(self, pid: int) -> None:
        self._watched.pop(pid).tree.close()
        if not self._watched:
            self._emptied.set()

    # ---------------------------------------------------------------- the thread

    def _run(self) -> None:
        found_at = 0.0
        while True:
            with self._lock:
                if not self._watched:
                    self._thread = None
                    return
                if time.monotonic() - found_at >= self._trees.find_seconds:
                    self._trees.find()
                    found_at = time.monotonic()
                over = self._read_all()
                pause_seconds = self._pause_seconds()
            for watched in over:
                watched.exceeded(watched.peak_bytes)
            self._emptied.wait(pause_seconds)
            self._emptied.clear()

    def _read_all(self) -> list[_Watched]:
        """Reads every process, forgets those that have ended or are over their limit; returns the latter."""
        over = []
        for pid, watched in list(self._watched.items()):
            if not watched.read():
                self._forget(pid)
            elif watched.is_over:
                over.append(watched)
                self._forget(pid)
        return over

    def _pause_seconds(self) -> float:
        """How long no worker can get over its limit, within bounds."""
        room = min((watched.limit_bytes - watched.used_bytes for watched in self._watched.values()), default=0)
        return max(self._trees.fastest_seconds, min(SLOWEST_SECONDS, room / FASTEST_BYTES_PER_SECOND))
