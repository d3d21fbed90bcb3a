"""Worker processes as people see them in a list."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from flyte_nb.executors.workers import Worker

__all__ = ["WorkerState", "state_of"]


@dataclass(frozen=True)
class WorkerState:
    """One process as it stands.

    Attributes:
        environment: whose pool it belongs to; empty for the process of a single attempt.
        worker: its name; empty while it starts.
        pid: its process id; None while it starts.
        state: starting, busy or idle.
        running: the tasks whose calls run in it.
        calls_ended: how many calls it has run.
        idle_seconds: how long it has had nothing to do; None when that is not so.
    """

    environment: str
    worker: str = ""
    pid: int | None = None
    state: str = "idle"
    running: str = ""
    calls_ended: int = 0
    idle_seconds: float | None = None

    @property
    def memory_bytes(self) -> int | None:
        """The memory that is its own, not shared with other processes; None where it has none any more."""
        import psutil

        try:
            return int(psutil.Process(self.pid).memory_full_info().uss) if self.pid is not None else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def state_of(worker: Worker, environment: str) -> WorkerState:
    """A worker that has been started, as it stands."""
    idle_seconds = worker.idle_seconds
    return WorkerState(
        environment,
        worker.name,
        worker.process.pid,
        "idle" if idle_seconds is not None else "busy",
        ", ".join(f"{name} x{times}" if times > 1 else name for name, times in Counter(worker.running).items()),
        worker.calls_ended,
        idle_seconds,
    )
