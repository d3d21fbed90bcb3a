"""The watcher: a thread outside the loop that keeps working when user code blocks it.

While runs are live it looks ten times a second: it flushes what tasks printed, tells the observers (the explorer, a
line in the terminal) what changed, names the task that blocks the loop, ends it when its time is over, and takes what
other processes ask for.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from flyte_nb.authoring.context import current_scope
from flyte_nb.engine.action import Action
from flyte_nb.engine.contention import Contention
from flyte_nb.engine.requests import RequestDesk
from flyte_nb.engine.state import RunState
from flyte_nb.engine.tracebacks import describe_error
from flyte_nb.executors.base import Call
from flyte_nb.executors.limits.machine import usable_cores
from flyte_nb.store.errors import JournalWriteError

if TYPE_CHECKING:
    from flyte_nb.engine.session import Session

__all__ = ["RunObserver", "Watcher", "observers"]

TICK_SECONDS = 0.1
BLOCKED_SECONDS = 0.2
LATE_SECONDS = 0.05
"""So much later than its timer a bound on time is enforced from here."""
STUCK_SECONDS = 1.0
"""How long code that blocks the loop beyond its time may take to end before it is left behind with its loop."""

TAKE_TURNS = (
    "take turns on one core: Python runs one thread of a process at a time. "
    'flyte.init(isolation="process") gives each a process of its own'
)

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
        self._contention = Contention(session.executor.threads, usable_cores())
        self._desk = RequestDesk(session)
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
            run.note = run.hint
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
        blocked_seconds = self._session.engine.blocked_seconds()
        call = self._session.engine.user_call() if blocked_seconds > 0 else None
        self._hint_at_processes()
        self._name_blocker(call, blocked_seconds)
        if call is not None:
            self._end_overdue(call)
        self._desk.look()
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

    def _name_blocker(self, call: Call | None, blocked_seconds: float) -> None:
        """Notes in the runs which task keeps the loop from everybody else."""
        note = ""
        if call is not None and blocked_seconds > BLOCKED_SECONDS:
            place = self._session.engine.user_place()
            blocks = f"{call.name} blocks the loop for {blocked_seconds:.1f} s ({place})"
            note = f"{blocks}: use await, or declare it with plain def"
        for run in self._live:
            run.note = note or run.hint

    def _hint_at_processes(self) -> None:
        """Says in a run that its sync tasks would be faster in processes."""
        names: dict[RunState, set[str]] = defaultdict(set)
        for job in self._contention.look():
            scope = job.context[current_scope]
            assert scope is not None
            action: Action = scope.attempt.action
            names[action.run_state].add(job.name)
        for run, tasks in names.items():
            run.hint = f"Threads of {', '.join(sorted(tasks))} {TAKE_TURNS}"

    def _end_overdue(self, call: Call) -> None:
        """Ends code that blocks the loop when its time, or that of an action which waits for it, is over."""
        action: Action | None = call.scope.attempt.action
        while action is not None:
            late_seconds = action.bounds.overdue_seconds() if action.bounds is not None else 0.0
            if late_seconds > LATE_SECONDS and action.bounds is not None:
                action.bounds.interrupt()
                self._session.engine.interrupt()
                if late_seconds > STUCK_SECONDS:
                    self._leave_behind(action)
                return
            action = action.parent_action

    def _leave_behind(self, action: Action) -> None:
        """C code cannot be ended: the run is over without it, and later runs get a loop of their own."""
        assert action.bounds is not None
        run = action.run_state
        action.note = "could not be ended and may still run; its result and output are dropped"
        error = action.bounds.overdue_error("its code blocks the loop and could not be ended")
        record = describe_error(error)
        with suppress(JournalWriteError):  # the run ends all the same, and its own error says more
            run.end(action, "timed_out", error=record)
            run.close("timed_out" if action is run.root else "failed", record)
        self._session.replace_loop()  # before anybody goes on and starts the next run
        if not run.finished.done():
            run.finished.set_exception(error)


def _guarded(tell: object, run: RunState) -> None:
    """An observer that fails must not take the run with it."""
    try:
        tell(run)  # type: ignore[operator]
    except Exception:  # whatever an observer raises is its own, and said
        logger.exception("showing run %s failed", run.name)
