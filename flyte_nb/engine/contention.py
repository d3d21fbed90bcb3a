"""Sync tasks in the kernel's threads that keep each other waiting: Python runs one thread of a process at a time.

Linux counts for each thread how long it ran, and how long it was ready to but had no core. Threads that compute in
Python are ready by turns: together about one core's time, however many they are. Threads that release the lock
(numpy, files, the network) are ready all at once, or hardly ever.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from flyte_nb.executors.threads import Job, TaskThreads

__all__ = ["Contention"]

WINDOW_SECONDS = 0.5
WINDOWS = 2
"""So many windows in a row must show it."""
READY_LEAST = 0.85
RAN_MOST = 1.25
"""Cores that threads take which share one lock: ready for at least, running on at most."""
READY_MOST_EACH = 0.7
"""Threads with locks of their own would be ready for longer than this, on average."""
OTHERS_LEAST = 0.2
"""Cores that the others take beside the busiest: one thread that computes keeps nobody waiting."""
RAN_SHARE_LEAST = 0.4
"""Of the time that they were ready: on a busy machine threads that only wake and sleep again wait for a core, too."""
BUSY_LEAST = 0.05
"""Cores that a thread takes which counts."""


class Spent(NamedTuple):
    """What a thread has had until a moment, in seconds."""

    at: float
    ran: float
    ready: float
    """Running, or waiting for a core."""


class Cores(NamedTuple):
    """What a thread had of the machine on average."""

    ran: float
    ready: float


class Window(NamedTuple):
    """The threads of sync tasks at one moment."""

    at: float
    spent: dict[int, Spent]
    jobs: list[Job]


class Contention:
    """Finds sync tasks that wait for each other although cores are free.

    Args:
        threads: of the kernel's sync tasks.
        cores: that this process may use.
    """

    def __init__(self, threads: TaskThreads, cores: int) -> None:
        self._threads = threads
        self._cores = cores
        self._before = Window(time.monotonic(), {}, [])
        self._windows = 0

    def look(self) -> list[Job]:
        """The jobs that keep each other waiting, and have for a second; looks twice a second, however often called."""
        now = time.monotonic()
        if self._cores < 2 or now - self._before.at < WINDOW_SECONDS:
            return []
        jobs = self._threads.jobs()
        spent = {thread: had for thread in jobs if (had := spent_by(thread)) is not None}
        before, self._before = self._before, Window(now, spent, [job for job in jobs.values() if job is not None])
        began = Spent(before.at, 0.0, 0.0)  # a thread that was not there then is new
        cores = [cores_between(before.spent.get(thread, began), had) for thread, had in spent.items()]
        self._windows = self._windows + 1 if take_turns(cores) else 0
        return [*before.jobs, *self._before.jobs] if self._windows >= WINDOWS else []


def cores_between(earlier: Spent, later: Spent) -> Cores:
    """What a thread had between two moments, each its own: one that asks has to take its turn too."""
    seconds = later.at - earlier.at
    return Cores((later.ran - earlier.ran) / seconds, (later.ready - earlier.ready) / seconds)


def take_turns(cores: list[Cores]) -> bool:
    """Whether threads that had so many cores during a window share a lock."""
    busy = [had for had in cores if had.ready > BUSY_LEAST]
    if len(busy) < 2:
        return False
    ran, ready = sum(had.ran for had in busy), sum(had.ready for had in busy)
    others = ready - max(had.ready for had in busy)
    shares_a_core = READY_LEAST <= ready <= READY_MOST_EACH * len(busy) and RAN_SHARE_LEAST * ready <= ran <= RAN_MOST
    return shares_a_core and others >= OTHERS_LEAST


def spent_by(thread: int) -> Spent | None:
    """What a thread of this process has had; None where the system does not say, or the thread ended."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb") as file:
            ran_ns, waited_ns, _ = map(int, file.read().split())
    except (OSError, ValueError):
        return None
    return Spent(time.monotonic(), ran_ns / 1e9, (ran_ns + waited_ns) / 1e9)
