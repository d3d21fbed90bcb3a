"""The watcher: a thread outside the loop that keeps working when user code blocks it.

While runs are live it looks ten times a second: it flushes what tasks printed, tells the observers (the explorer, a
line in the terminal) what changed, and names the task that blocks the loop.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from flyte_nb.engine.state import RunState

if TYPE_CHECKING:
    from flyte_nb.engine.session import Session

__all__ = ["RunObserver", "Watcher", "observers"]

TICK_SECONDS = 0.1
BLOCKED_SECONDS = 0.2

logger = logging.getLogger("flyte")


class RunObserver(Protocol):
    """Shows runs. `started` is called on the thread that starts the run, the others on any one thread at a time."""

    def started(self, run: RunState) -> None:
        """A run begins; called before its code does."""

    def changed(self, run: RunState) -> None:
        """A live run may have changed: `run.take_changed()` tells what."""

    def ended(self, run: RunState) -> None:
        """The run is over; called once, after the last `changed`."""


observers: list[RunObserver] = []
"""Everybody who wants to see runs; the notebook and the command line add themselves."""


class Watcher:
    """Looks after the live runs of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._wake = threading.Event()
        self._stopped = False
        self._lock = threading.Lock()
        self._live: list[RunState] = []
        self._thread = threading.Thread(target=self._watch, name="flyte-watcher", daemon=True)
        self._thread.start()

    def begin(self, run: RunState) -> None:
        """Takes a run that is about to start into view."""
        for observer in observers:
            _guarded(observer.started, run)
        with self._lock:
            self._live.append(run)
        self._wake.set()

    def settle(self, run: RunState) -> None:
        """Tells the observers of a run's end, now and once; whoever waits for the run calls it before going on."""
        with self._lock:
            if run not in self._live:
                return
            self._live.remove(run)
            run.note = ""
            for observer in observers:
                _guarded(observer.changed, run)
                _guarded(observer.ended, run)

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def _watch(self) -> None:
        while not self._stopped:
            if not self._live:
                self._wake.wait()
                self._wake.clear()
                continue
            self._look()
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _look(self) -> None:
        self._name_blocker()
        for run in list(self._live):
            for output in list(run.outputs.values()):
                output.flush()
            if run.closed:
                self.settle(run)
                continue
            with self._lock:
                if run in self._live:
                    for observer in observers:
                        _guarded(observer.changed, run)

    def _name_blocker(self) -> None:
        """Notes in the runs which task keeps the loop from everybody else."""
        engine = self._session.engine
        blocked = engine.blocked_seconds()
        call = engine.user_call() if blocked > BLOCKED_SECONDS else None
        note = ""
        if call is not None:
            place = engine.user_place()
            note = f"{call.name} blocks the loop for {blocked:.1f} s ({place}): use await, or declare it with plain def"
        for run in self._live:
            run.note = note


def _guarded(tell: object, run: RunState) -> None:
    """An observer that fails must not take the run with it."""
    try:
        tell(run)  # type: ignore[operator]
    except Exception:  # whatever an observer raises is its own, and said
        logger.exception("showing run %s failed", run.name)
