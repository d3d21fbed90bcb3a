"""A run in memory, while it lives and until the kernel forgets it.

Only the engine loop changes it, with one exception: `RunState.close`, by which an abort settles a run whose loop does
not answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from flyte_nb.engine.action import TERMINAL, Action, Attempt
from flyte_nb.engine.notifying import notify_of_end
from flyte_nb.engine.secrets.masking import Masker
from flyte_nb.executors.capture import Output
from flyte_nb.store.events import (
    ActionEnded,
    ActionStarted,
    AttemptEnded,
    AttemptStarted,
    ErrorRecord,
    RunEnded,
    TaskDeclared,
)
from flyte_nb.store.rows import AttemptRow

if TYPE_CHECKING:
    from datetime import datetime

    from flyte_nb.authoring.trace import TraceFunction
    from flyte_nb.engine.conditions import OpenCondition
    from flyte_nb.engine.history import History
    from flyte_nb.engine.options import RunOptions
    from flyte_nb.engine.places import Places
    from flyte_nb.engine.plans import Plan
    from flyte_nb.engine.recorder import Sink

__all__ = ["RunState"]


class RunState:
    """A run of this process.

    Attributes:
        finished: done when the run is over, with the error that `flyte.run` raises if there is one.
        changed: actions changed since whoever shows the run last took them.
        cancelled_by: why the run is being aborted, or empty.
    """

    def __init__(self, name: str, task: str, sink: Sink, options: RunOptions, start_time: datetime) -> None:
        self.name = name
        self.task = task
        self.sink = sink
        self.options = options
        self.start_time = start_time
        self.started_ns = time.time_ns()
        self.ended_ns: int | None = None
        self.phase = "queued"
        self.error: ErrorRecord | None = None
        self.first_failure: Action | None = None
        self.labels: dict[str, str] = dict(options.labels)
        self.notebook = ""
        self.cell = ""
        self.environment = ""
        self.parent_run = ""
        self.code = ""
        self.note = ""
        """What whoever shows the run says of it as it stands."""
        self.hint = ""
        """How it could have gone better."""
        self.raw_data_path = ""
        self.actions: dict[str, Action] = {}
        self.order: list[Action] = []
        self.plans: dict[Any, Plan] = {}
        self.specs: dict[bytes, int] = {}
        self.declared: list[TaskDeclared] = []
        """The declarations recorded so far, by their number."""
        self.outputs: dict[Attempt, Output] = {}
        self.changed: set[Action] = set()
        self.counts: dict[str, int] = {}
        self.conditions: dict[str, OpenCondition] = {}
        """Those that wait for their answer, by action."""
        self.places: Places | None = None
        self.history: History | None = None
        """What it may reuse of an earlier run."""
        self.trace_codes: WeakKeyDictionary[TraceFunction[Any, Any], str] = WeakKeyDictionary()
        """The digests of its traced functions: taken once a run, as those of its tasks."""
        self.masker = Masker()
        """Takes the values of secrets out of what is shown; the session's, once the run belongs to one."""
        self.cancelled_by = ""
        self.finished: Future[None] = Future()
        self.closed = False
        self._lock = threading.RLock()

    @property
    def root(self) -> Action:
        return self.order[0]

    @property
    def lineage(self) -> str:
        """`reruns`, `recovers` or `forks` its parent run; empty where a task of that run started it, or nobody."""
        return str(self.options.recorded.get("lineage", ""))

    def add(self, action: Action, sequence: int, custom_context: Mapping[str, str]) -> None:
        """Enters a new action into the tree and records it."""
        with self._lock:
            self.actions[action.name] = action
            action.index = len(self.order)
            self.order.append(action)
            counts = self.counts
            counts[action.phase] = counts.get(action.phase, 0) + 1
            self.changed.add(action)
        self.sink.record(
            ActionStarted(
                self.name,
                action.name,
                action.parent,
                action.kind,
                action.task,
                action.spec,
                sequence,
                action.queued_ns,
                action.inputs,
                action.group,
                action.position.hex(),
                action.trace_inputs,
                dict(custom_context) if custom_context else None,
            )
        )

    def add_recovered(
        self, action: Action, sequence: int, custom_context: Mapping[str, str], outputs: bytes, source: str
    ) -> None:
        """Enters a new action that ended in an earlier run; until this one is flushed, the record of that run stands.

        Args:
            outputs: as recorded there.
            source: RUN/ACTION where that was.
        """
        action.phase = "recovered"
        action.ended_ns = action.queued_ns
        action.outputs = outputs
        action.source = source
        if self.masker.active:
            action.mask(outputs)
        self.add(action, sequence, custom_context)
        self._record_end(action)

    def start(self, action: Action, started_ns: int, where: str, announce: bool) -> None:
        """The attempt's code runs from now on.

        Args:
            announce: record the start itself: it waited for its place, or is not the first attempt.
        """
        action.started_ns = started_ns
        action.where = where
        self.set_phase(action, "running")
        if announce:
            self.sink.record(AttemptStarted(self.name, action.name, action.attempt, started_ns, where))

    def pause(self, action: Action) -> None:
        """The action waits for somebody's answer from now on; when this returns, other processes can know."""
        action.started_ns = time.time_ns()
        action.where = action.parent_action.where if action.parent_action is not None else ""
        self.set_phase(action, "paused")
        paused = AttemptStarted(self.name, action.name, action.attempt, action.started_ns, action.where, "paused")
        self.sink.record(paused)
        self.sink.flush()

    def fail_attempt(self, action: Action, phase: str, error: ErrorRecord) -> None:
        """An attempt is over, another follows."""
        now = time.time_ns()
        started = action.started_ns or now
        if action.attempts is None:
            action.attempts = []
        error = self.masker.mask_error(error)
        action.attempts.append(AttemptRow(action.attempt, phase, started, now, error))
        self.sink.record(AttemptEnded(self.name, action.name, action.attempt, phase, started, now, error))
        self.sink.flush()
        action.attempt += 1
        action.initializing_ns = None
        action.error = error

    def end(
        self,
        action: Action,
        phase: str,
        payload: bytes | None = None,
        error: ErrorRecord | None = None,
        source: str = "",
    ) -> int:
        """The action is over; when this returns, its result is on a record that survives the end of this process, but
        for a step that succeeded: whoever ends it waits for the disk.

        Returns:
            The position of the record, 0 when the action or the run had ended before.
        """
        with self._lock:
            if self.closed or action.phase in TERMINAL:
                return 0
            if self.masker.active:
                error = self.masker.mask_error(error) if error is not None else None
                action.mask(payload)
            now = time.time_ns()
            action.ended_ns = now
            action.outputs = payload
            action.error = error
            action.source = source
            self.set_phase(action, phase)
            if error is not None and phase != "aborted" and self.first_failure is None:
                self.first_failure = action
            position = self._record_end(action)
            # Of what is recovered an earlier record stands; a step waits for the disk before anybody hears of it.
            if phase != "recovered" and (action.kind != "trace" or phase != "succeeded"):
                self.sink.flush()
            return position

    def _record_end(self, action: Action) -> int:
        return self.sink.record(
            ActionEnded(
                self.name,
                action.name,
                action.attempt,
                action.phase,
                action.started_ns or action.ended_ns or action.queued_ns,
                action.ended_ns or action.queued_ns,
                action.outputs,
                action.error,
                action.source,
                action.note,
                action.where,
                action.initializing_ns,
            )
        )

    def abort(self, action: Action) -> None:
        """The action was cancelled, alone or with its run."""
        reason = action.abort_reason
        record = ErrorRecord("Aborted", "user", f"the action was aborted: {reason}") if reason else None
        self.end(action, "aborted", error=record)

    def set_phase(self, action: Action, phase: str) -> None:
        """Moves the action to a phase, counted; recording it is the caller's."""
        with self._lock:
            counts = self.counts
            counts[action.phase] -= 1
            counts[phase] = counts.get(phase, 0) + 1
            action.phase = phase
            self.changed.add(action)

    def restart(self, action: Action) -> None:
        """An action that had ended is tried once more, because its parent is."""
        if action.attempts is None:
            action.attempts = []
        ended = action.ended_ns or action.queued_ns
        action.attempts.append(
            AttemptRow(action.attempt, action.phase, action.started_ns or ended, ended, action.error)
        )
        action.attempt += 1
        action.abort_reason = ""
        action.ended_ns = action.outputs = action.error = action.initializing_ns = None
        self.set_phase(action, "queued")

    def forget_code(self) -> None:
        """Lets go of what its processes were sent, large globals of the notebook among it; the record has the code."""
        for plan in self.plans.values():
            plan.code = None

    def take_changed(self) -> set[Action]:
        """The actions changed since the last call; for whoever shows the run."""
        with self._lock:
            changed, self.changed = self.changed, set()
        return changed

    def close(self, phase: str, error: ErrorRecord | None = None) -> bool:
        """Ends the run: what has not ended is aborted, and nothing is recorded afterwards. Callable from any thread.

        Returns:
            Whether this call closed it; a run is closed once.
        """
        for output in list(self.outputs.values()):
            output.close()
        with self._lock:
            if self.closed:
                return False
            self.closed = True
            error = self.masker.mask_error(error) if error is not None else None
            now = time.time_ns()
            for action in reversed(self.order):
                if action.phase not in TERMINAL:
                    action.ended_ns = now
                    self.set_phase(action, "aborted")
                    self.sink.record(
                        ActionEnded(
                            self.name,
                            action.name,
                            action.attempt,
                            "aborted",
                            action.started_ns or now,
                            now,
                            error=error,
                            note=action.note,
                            where=action.where,
                            initializing_ns=action.initializing_ns,
                        )
                    )
            self.phase = phase
            self.error = error
            self.ended_ns = now
            self.sink.record(RunEnded(self.name, now, phase, error))
            self.sink.flush()
        notify_of_end(self)
        return True
