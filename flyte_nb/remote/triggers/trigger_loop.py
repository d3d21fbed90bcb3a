"""Firing triggers: the loop that `flyte-nb serve` runs over a store.

due    an active schedule's times since it last fired, or became active; of several missed ones the last counts, once
fire   a run of the trigger's version of the task, with its inputs and settings; recorded before the next look

One loop at a time fires the triggers of a store: whoever holds its lock. A time fires once: a process that was killed
before it could record that a trigger fired has left the run, whose labels name the trigger and the time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flyte_nb.errors import BaseRuntimeError
from flyte_nb.remote.launch import with_runcontext
from flyte_nb.remote.phases import utc_time
from flyte_nb.remote.source import source
from flyte_nb.remote.triggers.schedule import due_times
from flyte_nb.remote.triggers.trigger_runs import due_labels, run_when_due
from flyte_nb.store.deployment_events import TriggerChanged
from flyte_nb.store.errors import StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.locks import FileLock
from flyte_nb.store.rows import TriggerRow

__all__ = ["TriggerLoop", "start_run_of"]

logger = logging.getLogger("flyte")

LOOK_SECONDS = 5.0
"""How often the store is asked which triggers there are."""
LOCK = "triggers.lock"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TriggerLoop:
    """Fires the triggers of this process's store when they are due.

    Args:
        now: the clock, UTC.
        fire: starts the run of a trigger that was due at a time, and gives the run's name.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        fire: Callable[[TriggerRow, datetime], str] | None = None,
    ) -> None:
        self._now = now
        self._fire = fire or start_run_of
        self._stopped = threading.Event()
        self._set_right: dict[tuple[str, str, int], datetime] = {}
        """By trigger and what is recorded of it for a time to come: since when it is looked at."""

    def run(self) -> None:
        """Fires until `stop` is called, from when on no other process fires this store's triggers."""
        home = source.store.home.ensure()
        lock = FileLock(home.path / LOCK)
        try:
            self._wait_for(lock, home)
            while not self._stopped.is_set():
                following: datetime | None = None
                try:
                    following = self.tick()
                except StoreError as error:  # a full disk, or a database that another program holds: it may pass
                    logger.error("Triggers are not fired now: %s", error)
                wait = LOOK_SECONDS if following is None else (following - self._now()).total_seconds()
                self._stopped.wait(min(LOOK_SECONDS, max(0.0, wait)))
        finally:
            lock.close()

    def _wait_for(self, lock: FileLock, home: Home) -> None:
        if not lock.try_exclusive():
            logger.warning("Another process fires the triggers of %s; this one does when that ends.", home.path)
            while not self._stopped.wait(LOOK_SECONDS) and not lock.try_exclusive():
                pass

    def stop(self) -> None:
        """Has `run` return; runs that were started go on."""
        self._stopped.set()

    def tick(self) -> datetime | None:
        """Fires what is due now; returns when the next trigger will be."""
        now = self._now()
        upcoming: list[datetime] = []
        for row in source.triggers():
            if row.is_active:
                upcoming += self._tick_one(row, now)
        return min(upcoming, default=None)

    def _tick_one(self, row: TriggerRow, now: datetime) -> list[datetime]:
        last: datetime | None = None
        following: list[datetime] = []
        for due in due_times(row.automation, utc_time(row.changed_ns), self._since(row, now)):
            if due > now:
                following = [due]
                break
            last = due
        if last is not None:
            self._fire_one(row, last)
        return following

    def _since(self, row: TriggerRow, now: datetime) -> datetime:
        """After when a time of a trigger counts: it fired then, or became active.

        What stands for a time to come was recorded under a clock that has been set right since, or is behind now:
        times count from when this is noticed.
        """
        recorded = (row.changed_ns, row.fired_due_ns or 0)
        past = [moment for moment in map(utc_time, recorded) if moment <= now]
        if len(past) == len(recorded):
            return max(past)
        return max([self._set_right.setdefault((row.task, row.name, max(recorded)), now), *past])

    def _fire_one(self, row: TriggerRow, due: datetime) -> None:
        due_ns = (due - EPOCH) // timedelta(microseconds=1) * 1_000
        if source.has_fired(row.task, row.name, due_ns):  # before the clock was set back
            return
        run = error = ""
        try:
            run = _run_started_for(row, due) or self._fire(row, due)
        except (BaseRuntimeError, StoreError, KeyError, TypeError, ValueError) as failure:  # the others go on firing
            error = f"{type(failure).__name__}: {failure}"
            logger.error("Trigger %s of task %s cannot start a run: %s", row.name, row.task, error)
        source.deploy([TriggerChanged(row.task, row.name, time.time_ns(), "fired", due_ns, run, error)])


def start_run_of(row: TriggerRow, due: datetime) -> str:
    """Starts the run of a trigger that was due at a time; returns the run's name without waiting for its end.

    Raises:
        flyte_nb.errors.RuntimeUserError: the task or its code is gone.
        ValueError, TypeError: the recorded inputs do not fit.
    """
    run = run_when_due(row, due)
    return with_runcontext(**run.options).start(run.task, **run.inputs).name


def _run_started_for(row: TriggerRow, due: datetime) -> str:
    """The run that a process started for a time, and did not live to record as fired; empty where there is none."""
    runs = source.runs(task=row.task, labels=due_labels(row.name, due), limit=1)
    return runs[0].name if runs else ""
