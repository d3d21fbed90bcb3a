"""Sync tasks in the kernel's threads that keep each other waiting: Python runs one thread of a process at a time.

Linux counts for each thread how long it ran, and how long it was ready to but had no core. Threads that compute in
Python are ready by turns: together about one core's time, however many they are. Threads that release the lock
(numpy, files, the network) are ready all at once, or hardly ever.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from flyte_nb.executors.threads import Job, TaskThreads

__all__ = ["Contention"]

WINDOW_SECONDS = 0.5
WINDOWS = 2
"""So many windows in a row must show it."""
READY_LEAST = 0.85
RAN_MOST = 1.15
"""Cores that threads take which share one lock: ready for at least, running on at most."""
READY_MOST_EACH = 0.7
"""Threads with locks of their own would be ready for longer than this, on average."""
OTHERS_LEAST = 0.2
"""Cores that the others take beside the busiest: one thread that computes keeps nobody waiting."""
BUSY_LEAST = 0.05
"""Cores that a thread takes which counts."""


class Spent(NamedTuple):
    """What a thread has had so far."""

    ran_seconds: float
    ready_seconds: float
    """Running, or waiting for a core."""


@dataclass(frozen=True)
class Window:
    """What the threads of sync tasks had at one moment."""

    at: float
    spent: dict[Job, Spent]


class Contention:
    """Finds sync tasks that wait for each other although cores are free.

    Args:
        threads: of the kernel's sync tasks.
        cores: that this process may use.
    """

    def __init__(self, threads: TaskThreads, cores: float) -> None:
        self._threads = threads
        self._cores = cores
        self._before = Window(time.monotonic(), {})
        self._windows = 0

    def look(self) -> list[Job]:
        """The jobs that have kept each other waiting for a second; looks twice a second, however often it is called."""
        now = time.monotonic()
        seconds = now - self._before.at
        if self._cores <= 1 or seconds < WINDOW_SECONDS:
            return []
        running = self._threads.running()
        spent = {job: had for job, had in ((job, spent_by(thread)) for thread, job in running.items()) if had}
        before, self._before = self._before, Window(now, spent)
        cores = [
            Spent(
                (had.ran_seconds - before.spent[job].ran_seconds) / seconds,
                (had.ready_seconds - before.spent[job].ready_seconds) / seconds,
            )
            for job, had in spent.items()
            if job in before.spent
        ]
        self._windows = self._windows + 1 if take_turns(cores) else 0
        return list(spent) if self._windows >= WINDOWS else []


def take_turns(cores: list[Spent]) -> bool:
    """Whether threads that had so many cores during a window share a lock."""
    busy = [had for had in cores if had.ready_seconds > BUSY_LEAST]
    if len(busy) < 2:
        return False
    ran, ready = sum(had.ran_seconds for had in busy), sum(had.ready_seconds for had in busy)
    others = ready - max(had.ready_seconds for had in busy)
    return (
        ready >= READY_LEAST
        and ran <= RAN_MOST
        and others >= OTHERS_LEAST
        and ready <= READY_MOST_EACH * len(busy)
    )


def spent_by(thread: int) -> Spent | None:
    """What a thread of this process has had; None where the system does not say, or the thread has ended."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
            ran_ns, waited_ns, _ = map(int, file.read().split())
    except (OSError, ValueError):
        return None
    return Spent(ran_ns / 1e9, (ran_ns + waited_ns) / 1e9)
