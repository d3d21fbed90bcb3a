"""Firing triggers: the loop that `flyte-nb serve` runs over a store.

due    an active schedule's times since it last fired, or became active; of several missed ones the last counts, once
fire   a run of the trigger's version of the task, with its inputs and settings; recorded before the next look

One loop at a time fires the triggers of a store: whoever holds its lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flyte_nb.engine.session import session
from flyte_nb.errors import BaseRuntimeError
from flyte_nb.remote.deploying.deployed import find, load
from flyte_nb.remote.launch import with_runcontext
from flyte_nb.remote.phases import utc_time
from flyte_nb.remote.source import source
from flyte_nb.remote.triggers.schedule import due_times
from flyte_nb.store.deployment_events import TriggerChanged
from flyte_nb.store.errors import StoreError
from flyte_nb.store.home import Home
from flyte_nb.store.locks import FileLock
from flyte_nb.store.rows import TriggerRow
from flyte_nb.types.signature import signature_of

__all__ = ["LABEL", "TriggerLoop", "start_run_of"]

logger = logging.getLogger("flyte")

LOOK_SECONDS = 5.0
"""How often the store is asked which triggers there are."""
LOCK = "triggers.lock"
LABEL = "trigger"
"""By which runs say which trigger started them."""
RUN_OPTIONS = (
    "labels",
    "annotations",
    "env_vars",
    "custom_context",
    "interruptible",
    "queue",
    "max_action_concurrency",
)


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
        since = max(row.changed_ns, row.fired_due_ns or 0)
        last: datetime | None = None
        following: list[datetime] = []
        for due in due_times(row.automation, utc_time(row.changed_ns), utc_time(since)):
            if due > now:
                following = [due]
                break
            last = due
        if last is not None:
            self._fire_one(row, last)
        return following

    def _fire_one(self, row: TriggerRow, due: datetime) -> None:
        run = error = ""
        try:
            run = self._fire(row, due)
        except (BaseRuntimeError, StoreError, KeyError, TypeError, ValueError) as failure:  # the others go on firing
            error = f"{type(failure).__name__}: {failure}"
            logger.error("Trigger %s of task %s cannot start a run: %s", row.name, row.task, error)
        due_ns = (due - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
        source.deploy([TriggerChanged(row.task, row.name, time.time_ns(), "fired", due_ns, run, error)])


def start_run_of(row: TriggerRow, due: datetime) -> str:
    """Starts the run of a trigger that was due at a time; returns the run's name without waiting for its end.

    Raises:
        flyte_nb.errors.RuntimeUserError: the task or its code is gone.
        ValueError, TypeError: the recorded inputs do not fit.
    """
    task = load(find(row.task, row.version))
    inputs = signature_of(task).decode_inputs(row.inputs, session().values)
    inputs.update(dict.fromkeys(row.time_inputs, due))
    options = {name: row.settings[name] for name in RUN_OPTIONS if name in row.settings}
    options["labels"] = {**(options.get("labels") or {}), LABEL: row.name}
    options["overwrite_cache"] = bool(row.settings.get("overwrite_cache", False))
    return with_runcontext(**options).start(task, **inputs).name
