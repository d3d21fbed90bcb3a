"""The engine of this process: one loop, one journal, one controller, made when the first run starts.

    session()  ->  Session    home, journal, values, cache, engine loop, controller, live runs, watcher

A process that forks starts without: the child never writes its parent's journal.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from flyte_nb.engine.cache.caching import ResultCache
from flyte_nb.engine.code.run_code import CodeKeeper
from flyte_nb.engine.code.shipping import Shipper
from flyte_nb.engine.controller import LocalController
from flyte_nb.engine.loop import EngineLoop
from flyte_nb.engine.recorder import JournalSink
from flyte_nb.engine.secrets.masking import Masker
from flyte_nb.engine.state import RunState
from flyte_nb.engine.watcher import Watcher
from flyte_nb.engine.worker_values import OPEN_VALUES
from flyte_nb.executors.inline import InlineExecutor
from flyte_nb.executors.process import ProcessExecutor
from flyte_nb.store.errors import JournalWriteError, StoreError
from flyte_nb.store.events import ErrorRecord
from flyte_nb.store.home import Home
from flyte_nb.store.journal import Journal
from flyte_nb.store.values import ValueStore

__all__ = ["Session", "current_session", "end_session", "session"]

RUNS_IN_MEMORY = 200
ACTIONS_IN_MEMORY = 200_000
"""Ended runs stay in memory, newest first, up to so many runs and actions; older ones are read from the store."""


class Session:
    """What every run of this process shares.

    Args:
        home: the store; None finds it.
    """

    def __init__(self, home: Home | None = None) -> None:
        self.home = home or Home.find()
        self.values = ValueStore(self.home)
        self.journal = Journal.create(self.home, before_sync=self.values.sync)
        self.masker = Masker(self.values)
        self.sink = JournalSink(self.journal, self.masker)
        self.cache = ResultCache(self.home.cache, self.values)
        self.shipper = Shipper()
        self.code = CodeKeeper(self.shipper, self.values, self.masker)
        self.executor = InlineExecutor()
        self.runs: OrderedDict[str, RunState] = OrderedDict()
        self._lock = threading.Lock()
        self.start_loop()
        self.watcher = Watcher(self)

    def start_loop(self) -> None:
        """Starts an engine loop; runs that start from now on live on it."""
        self.engine = EngineLoop()
        self.processes = ProcessExecutor((OPEN_VALUES, str(self.home.path)))
        self.controller = LocalController(
            self.engine,
            self.executor,
            self.processes,
            self.values,
            self.cache,
            self.shipper,
            self.executor.threads,
        )

    def replace_loop(self) -> None:
        """Goes on with a new engine loop; the present one ends when the code that blocks it gives way."""
        self.processes.close()
        self.engine.abandon()
        self.start_loop()

    def enter(self, run: RunState) -> None:
        """Adds a live run and forgets old ones."""
        with self._lock:
            self.runs[run.name] = run
            room = ACTIONS_IN_MEMORY
            for newer, known in enumerate(reversed(list(self.runs.values()))):
                room -= len(known.order)
                if known.closed and (room < 0 or newer >= RUNS_IN_MEMORY):
                    del self.runs[known.name]

    def forget(self, runs: Iterable[str]) -> None:
        """Forgets ended runs that were deleted from the store."""
        with self._lock:
            for name in runs:
                if name in self.runs and self.runs[name].closed:
                    del self.runs[name]

    def live_runs(self) -> list[RunState]:
        """Runs that have not ended, oldest first."""
        with self._lock:
            return [run for run in self.runs.values() if not run.closed]

    def is_orphaned(self) -> bool:
        """Whether its store was deleted or moved away, so that nobody would ever read what it records.

        Raises:
            StoreError: it was, while runs are live.
        """
        if self.journal.is_in_place():
            return False
        if live := self.live_runs():
            raise StoreError(
                f"The store of runs {self.home.path} was deleted or moved away while run {live[-1].name} is live. "
                "Abort it, or restart the kernel."
            )
        return True

    def close(self) -> None:
        """Ends what still runs, as aborted, and lets the store go."""
        for run in self.live_runs():
            run.close("aborted", ErrorRecord("Aborted", "user", "the process that ran it has ended"))
        self.watcher.stop()
        self.processes.close()
        self.engine.stop()
        self.journal.close()


_session: Session | None = None
_guard = threading.Lock()


def session(home: Any = None) -> Session:
    """The session of this process; the first call makes it, and the first after its store was deleted a new one.

    Args:
        home: folder of the store, for the first call; None finds it.

    Raises:
        flyte_nb.store.errors.StoreError: when the store cannot be used.
    """
    global _session
    with _guard:
        if _session is not None and _session.is_orphaned():
            with suppress(JournalWriteError):  # what has no file any more cannot be synced
                _session.close()
            _session = None
        if _session is None:
            _session = Session(Home.find(home))
        return _session


def current_session() -> Session | None:
    """The session, if one was made."""
    return _session


def end_session() -> None:
    """Ends the session; the next run makes a new one."""
    global _session
    with _guard:
        ended, _session = _session, None
    if ended is not None:
        ended.close()


def _forget_in_child() -> None:
    global _session, _guard
    _session = None
    _guard = threading.Lock()


atexit.register(end_session)
os.register_at_fork(after_in_child=_forget_in_child)
